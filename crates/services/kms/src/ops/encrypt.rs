//! Encrypt.

use coffer_core::Cx;
use coffer_model::kms::{EncryptRequest, EncryptResponse, action};
use coffer_shape::ApiError;

use crate::{
    blob::wrap,
    context,
    error::KmsError,
    grant::check_tokens,
    id::KeyId,
    key::KeyRecord,
    named::{Use, permitted},
    spec::{KeyUsage, SYMMETRIC_DEFAULT},
    state::Class,
};

pub(crate) fn encrypt(cx: &mut Cx<'_>, input: EncryptRequest) -> Result<EncryptResponse, ApiError> {
    let context = context::from_request(input.encryption_context)?;
    let algorithm = input.encryption_algorithm.unwrap_or_else(|| SYMMETRIC_DEFAULT.to_owned());
    check_tokens(input.grant_tokens.as_ref())?;

    let to = Use { context: Some(&context), algorithm: Some(&algorithm), ..Use::default() };
    let key = permitted(cx, &input.key_id, to, action::ENCRYPT)?;
    ensure_encrypts(&key, &algorithm, "Encrypt")?;
    super::ensure_meant(input.dry_run)?;
    crate::last_use::note(cx, &key, "Encrypt")?;

    Ok(EncryptResponse {
        ciphertext_blob: Some(enclosed(cx, &key, &algorithm, &context, input.plaintext.expose())?),
        key_id: Some(key.arn.clone()),
        encryption_algorithm: Some(algorithm),
    })
}

/// The key is for encryption, with this algorithm, and now.
pub(super) fn ensure_encrypts(
    key: &KeyRecord,
    algorithm: &str,
    operation: &'static str,
) -> Result<(), ApiError> {
    key.ensure_usage(KeyUsage::EncryptDecrypt, operation)?;
    key.spec.ensure_among(key.encryption_algorithms(), algorithm)?;
    key.ensure(Class::Use)?;
    Ok(())
}

/// A ciphertext for a key, with an algorithm that it has.
pub(super) fn enclosed(
    cx: &Cx<'_>,
    key: &KeyRecord,
    algorithm: &str,
    context: &context::Context,
    plaintext: &[u8],
) -> Result<Vec<u8>, ApiError> {
    if !key.is_pair() {
        return wrapped(cx, key, context, plaintext);
    }
    if !context.is_empty() {
        return Err(KmsError::ContextWithPair.into());
    }
    key.encrypt_with_pair(cx, algorithm, plaintext)
}

/// A ciphertext under the current material of a key for symmetric encryption.
pub(super) fn wrapped(
    cx: &Cx<'_>,
    key: &KeyRecord,
    context: &context::Context,
    plaintext: &[u8],
) -> Result<Vec<u8>, ApiError> {
    let key_id = KeyId::parse(&key.key_id).ok_or_else(|| cx.internal("a key whose id is none"))?;
    let material = key.current().and_then(|material| material.as_symmetric());
    let material = material.ok_or_else(|| cx.internal("a key without material"))?;
    Ok(wrap(cx.entropy(), key_id, material, context, plaintext))
}
