//! ReEncrypt: from one key to another, or from one context to another, without a plaintext that anybody sees.

use coffer_core::Cx;
use coffer_model::kms::{ReEncryptRequest, ReEncryptResponse, action};
use coffer_shape::ApiError;

use super::{
    decrypt::Sealed,
    encrypt::{enclosed, ensure_encrypts},
};
use crate::{
    context,
    grant::check_tokens,
    named::{self, Use, permitted},
    spec::SYMMETRIC_DEFAULT,
};

pub(crate) fn re_encrypt(cx: &mut Cx<'_>, input: ReEncryptRequest) -> Result<ReEncryptResponse, ApiError> {
    let from = context::from_request(input.source_encryption_context)?;
    let to = context::from_request(input.destination_encryption_context)?;
    let default = || SYMMETRIC_DEFAULT.to_owned();
    let from_algorithm = input.source_encryption_algorithm.unwrap_or_else(default);
    let to_algorithm = input.destination_encryption_algorithm.unwrap_or_else(default);
    check_tokens(input.grant_tokens.as_ref())?;
    let sealed = Sealed {
        ciphertext: input.ciphertext_blob,
        key_id: input.source_key_id,
        dry_run: input.dry_run,
        modifiers: input.dry_run_modifiers,
    };

    let on_same_key = Some(named::key_id(cx, &input.destination_key_id)? == sealed.key_id(cx)?);
    let use_from =
        Use { context: Some(&from), algorithm: Some(&from_algorithm), on_same_key, ..Use::default() };
    let source = sealed.key(cx, use_from, action::RE_ENCRYPT_FROM)?;
    let use_to = Use { context: Some(&to), algorithm: Some(&to_algorithm), on_same_key, ..Use::default() };
    let destination = permitted(cx, &input.destination_key_id, use_to, action::RE_ENCRYPT_TO)?;
    ensure_encrypts(&source, &from_algorithm, "ReEncryptFrom")?;
    ensure_encrypts(&destination, &to_algorithm, "ReEncryptTo")?;
    let (plaintext, source_material_id) = sealed.open(cx, &source, &from_algorithm, &from)?;
    super::ensure_meant(sealed.dry_run)?;
    crate::last_use::note(cx, &source, "ReEncrypt")?;
    if source.arn != destination.arn {
        crate::last_use::note(cx, &destination, "ReEncrypt")?;
    }

    Ok(ReEncryptResponse {
        ciphertext_blob: Some(enclosed(cx, &destination, &to_algorithm, &to, plaintext.expose())?),
        source_key_id: Some(source.arn.clone()),
        key_id: Some(destination.arn.clone()),
        source_encryption_algorithm: Some(from_algorithm),
        destination_encryption_algorithm: Some(to_algorithm),
        source_key_material_id: source_material_id,
        destination_key_material_id: destination.shown_material_id(),
    })
}
