//! GenerateDataKeyPair, with the private half in clear and without.

use coffer_core::Cx;
use coffer_crypto::PrivateKey;
use coffer_model::kms::{
    GenerateDataKeyPairRequest, GenerateDataKeyPairResponse, GenerateDataKeyPairWithoutPlaintextRequest,
    GenerateDataKeyPairWithoutPlaintextResponse, action,
};
use coffer_shape::ApiError;

use super::encrypt::{ensure_encrypts, wrapped};
use crate::{
    context,
    error::KmsError,
    grant::check_tokens,
    named::{Use, permitted},
    spec::{KeySpec, MadeOf, SYMMETRIC_DEFAULT},
};

pub(crate) fn generate_data_key_pair(
    cx: &mut Cx<'_>,
    input: GenerateDataKeyPairRequest,
) -> Result<GenerateDataKeyPairResponse, ApiError> {
    if input.recipient.is_some() {
        return Err(KmsError::Unsupported.into());
    }
    check_tokens(input.grant_tokens.as_ref())?;
    let context = context::from_request(input.encryption_context)?;
    let to = Use { context: Some(&context), algorithm: Some(SYMMETRIC_DEFAULT), ..Use::default() };

    let key = permitted(cx, &input.key_id, to, action::GENERATE_DATA_KEY_PAIR)?;
    ensure_encrypts(&key, SYMMETRIC_DEFAULT, "GenerateDataKeyPair")?;
    let pair = new_pair(cx, &input.key_pair_spec, input.dry_run)?;
    crate::last_use::note(cx, &key, "GenerateDataKeyPair")?;
    let private_key = pair.to_pkcs8();
    let blob = wrapped(cx, &key, &context, private_key.expose())?;

    Ok(GenerateDataKeyPairResponse {
        private_key_ciphertext_blob: Some(blob),
        private_key_plaintext: Some(private_key),
        public_key: Some(pair.public_key()),
        key_id: Some(key.arn.clone()),
        key_pair_spec: Some(input.key_pair_spec),
        key_material_id: key.shown_material_id(),
        ..GenerateDataKeyPairResponse::default()
    })
}

pub(crate) fn generate_data_key_pair_without_plaintext(
    cx: &mut Cx<'_>,
    input: GenerateDataKeyPairWithoutPlaintextRequest,
) -> Result<GenerateDataKeyPairWithoutPlaintextResponse, ApiError> {
    check_tokens(input.grant_tokens.as_ref())?;
    let context = context::from_request(input.encryption_context)?;
    let to = Use { context: Some(&context), algorithm: Some(SYMMETRIC_DEFAULT), ..Use::default() };

    let key = permitted(cx, &input.key_id, to, action::GENERATE_DATA_KEY_PAIR_WITHOUT_PLAINTEXT)?;
    ensure_encrypts(&key, SYMMETRIC_DEFAULT, "GenerateDataKeyPairWithoutPlaintext")?;
    let pair = new_pair(cx, &input.key_pair_spec, input.dry_run)?;
    crate::last_use::note(cx, &key, "GenerateDataKeyPairWithoutPlaintext")?;
    let blob = wrapped(cx, &key, &context, pair.to_pkcs8().expose())?;

    Ok(GenerateDataKeyPairWithoutPlaintextResponse {
        private_key_ciphertext_blob: Some(blob),
        public_key: Some(pair.public_key()),
        key_id: Some(key.arn.clone()),
        key_pair_spec: Some(input.key_pair_spec),
        key_material_id: key.shown_material_id(),
    })
}

fn new_pair(cx: &Cx<'_>, spec: &str, dry_run: Option<bool>) -> Result<PrivateKey, ApiError> {
    let spec = KeySpec::parse(spec).map(KeySpec::made_of);
    let Some(MadeOf::Pair(kind)) = spec else { return Err(KmsError::Unsupported.into()) };
    super::ensure_meant(dry_run)?;
    cx.at_length(|| PrivateKey::generate(kind))
}
