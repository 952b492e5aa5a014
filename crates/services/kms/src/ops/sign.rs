//! Sign and Verify.

use coffer_core::Cx;
use coffer_model::kms::{SignRequest, SignResponse, VerifyRequest, VerifyResponse, action};
use coffer_shape::ApiError;

use crate::{
    asymmetric::Signed,
    error::KmsError,
    grant::check_tokens,
    named::{Use, permitted},
    spec::KeyUsage,
    state::Class,
};

pub(crate) fn sign(cx: &mut Cx<'_>, input: SignRequest) -> Result<SignResponse, ApiError> {
    check_tokens(input.grant_tokens.as_ref())?;
    let to_sign = Signed {
        algorithm: &input.signing_algorithm,
        message: input.message.expose(),
        message_type: input.message_type.as_deref(),
    };

    let key = permitted(cx, &input.key_id, Use::default(), action::SIGN)?;
    key.ensure_usage(KeyUsage::SignVerify, "Sign")?;
    let (signing, what) = to_sign.with(&key)?;
    key.ensure(Class::Use)?;
    super::ensure_meant(input.dry_run)?;
    crate::last_use::note(cx, &key, "Sign")?;

    let signature = key.private_key(cx)?.sign(signing, what).map_err(|error| cx.internal(error))?;
    Ok(SignResponse {
        key_id: Some(key.arn.clone()),
        signature: Some(signature),
        signing_algorithm: Some(input.signing_algorithm),
    })
}

/// A signature that does not hold is an error, so that nobody can overlook it.
pub(crate) fn verify(cx: &mut Cx<'_>, input: VerifyRequest) -> Result<VerifyResponse, ApiError> {
    check_tokens(input.grant_tokens.as_ref())?;
    let signed = Signed {
        algorithm: &input.signing_algorithm,
        message: input.message.expose(),
        message_type: input.message_type.as_deref(),
    };

    let key = permitted(cx, &input.key_id, Use::default(), action::VERIFY)?;
    key.ensure_usage(KeyUsage::SignVerify, "Verify")?;
    let (signing, what) = signed.with(&key)?;
    key.ensure(Class::Use)?;
    super::ensure_meant(input.dry_run)?;

    if !key.private_key(cx)?.verifies(signing, what, &input.signature) {
        return Err(KmsError::InvalidSignature.into());
    }
    crate::last_use::note(cx, &key, "Verify")?;
    Ok(VerifyResponse {
        key_id: Some(key.arn.clone()),
        signature_valid: Some(true),
        signing_algorithm: Some(input.signing_algorithm),
    })
}
