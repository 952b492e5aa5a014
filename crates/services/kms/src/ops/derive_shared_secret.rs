//! DeriveSharedSecret.

use coffer_core::Cx;
use coffer_crypto::KeyError;
use coffer_model::kms::{DeriveSharedSecretRequest, DeriveSharedSecretResponse, action};
use coffer_shape::ApiError;

use crate::{
    error::KmsError,
    grant::check_tokens,
    named::{Use, permitted},
    spec::KeyUsage,
    state::Class,
};

/// The secret as ECDH gives it: callers derive a key from it before they use it.
pub(crate) fn derive_shared_secret(
    cx: &mut Cx<'_>,
    input: DeriveSharedSecretRequest,
) -> Result<DeriveSharedSecretResponse, ApiError> {
    check_tokens(input.grant_tokens.as_ref())?;

    let key = permitted(cx, &input.key_id, Use::default(), action::DERIVE_SHARED_SECRET)?;
    key.ensure_usage(KeyUsage::KeyAgreement, "DeriveSharedSecret")?;
    key.ensure(Class::Use)?;
    if input.recipient.is_some() {
        return Err(KmsError::Unsupported.into());
    }

    let shared = key.private_key(cx)?.agree(&input.public_key).map_err(|error| match error {
        KeyError::NotAKey => ApiError::from(KmsError::PublicKeyUnfit),
        other => cx.internal(other),
    })?;
    super::ensure_meant(input.dry_run)?;
    crate::last_use::note(cx, &key, "DeriveSharedSecret")?;
    Ok(DeriveSharedSecretResponse {
        key_id: Some(key.arn.clone()),
        shared_secret: Some(shared),
        key_agreement_algorithm: Some(input.key_agreement_algorithm),
        key_origin: Some(key.origin.as_str().to_owned()),
        ..DeriveSharedSecretResponse::default()
    })
}
