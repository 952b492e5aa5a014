//! GetPublicKey.

use coffer_core::Cx;
use coffer_model::kms::{GetPublicKeyRequest, GetPublicKeyResponse, action};
use coffer_shape::ApiError;

use crate::{
    error::KmsError,
    grant::check_tokens,
    named::{Use, permitted},
    state::Class,
};

pub(crate) fn get_public_key(
    cx: &mut Cx<'_>,
    input: GetPublicKeyRequest,
) -> Result<GetPublicKeyResponse, ApiError> {
    check_tokens(input.grant_tokens.as_ref())?;

    let key = permitted(cx, &input.key_id, Use::default(), action::GET_PUBLIC_KEY)?;
    if !key.is_pair() {
        return Err(KmsError::Unsupported.into());
    }
    key.ensure(Class::Use)?;

    let metadata = key.metadata(cx.account().as_str());
    Ok(GetPublicKeyResponse {
        key_id: metadata.arn,
        public_key: Some(key.private_key(cx)?.public_key()),
        customer_master_key_spec: metadata.customer_master_key_spec,
        key_spec: metadata.key_spec,
        key_usage: metadata.key_usage,
        encryption_algorithms: metadata.encryption_algorithms,
        signing_algorithms: metadata.signing_algorithms,
        key_agreement_algorithms: metadata.key_agreement_algorithms,
        ..GetPublicKeyResponse::default()
    })
}
