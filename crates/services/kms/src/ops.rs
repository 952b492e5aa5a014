//! The operations.

use coffer_core::Cx;
use coffer_model::kms::{
    DecryptRequest, DecryptResponse, GenerateDataKeyRequest, GenerateDataKeyResponse, action,
};
use coffer_shape::ApiError;
use coffer_types::{Secret, Uuid};

use crate::{
    blob::{Blob, wrap},
    error::KmsError,
    key,
};

/// Makes a data key and returns it twice: in clear for use now, wrapped for use later.
pub(crate) fn generate_data_key(
    cx: &mut Cx<'_>,
    input: GenerateDataKeyRequest,
) -> Result<GenerateDataKeyResponse, ApiError> {
    let length = data_key_length(input.key_spec.as_deref(), input.number_of_bytes)?;
    let context = input.encryption_context.unwrap_or_default();

    let key = key::find(cx, &input.key_id)?.permit(cx, action::GENERATE_DATA_KEY)?;
    key.ensure_enabled()?;

    let mut plaintext = Secret::new(vec![0; length]);
    cx.entropy().fill(plaintext.expose_mut());
    let key_id: Uuid = key.key_id.parse().map_err(|error| cx.internal(error))?;
    let material = key.current_material().ok_or_else(|| cx.internal("a key without material"))?;
    let blob = wrap(cx.entropy(), key_id.as_bytes(), material, &context, plaintext.expose());

    Ok(GenerateDataKeyResponse {
        ciphertext_blob: Some(blob),
        plaintext: Some(plaintext),
        key_id: Some(key.arn.clone()),
        ..GenerateDataKeyResponse::default()
    })
}

pub(crate) fn decrypt(cx: &mut Cx<'_>, input: DecryptRequest) -> Result<DecryptResponse, ApiError> {
    let context = input.encryption_context.unwrap_or_default();
    let ciphertext = input.ciphertext_blob.unwrap_or_default();
    let blob = Blob::parse(&ciphertext).ok_or(KmsError::InvalidCiphertext)?;

    let key = key::find_by_id(cx, Uuid::from_bytes(blob.key_id))?.permit(cx, action::DECRYPT)?;
    if let Some(named) = &input.key_id {
        let named = key::find(cx, named)?.permit(cx, action::DECRYPT)?;
        if named.key_id != key.key_id {
            return Err(KmsError::IncorrectKey.into());
        }
    }
    key.ensure_enabled()?;

    let plaintext = key
        .material(&blob.material_prefix)
        .and_then(|material| blob.open(material, &context))
        .ok_or(KmsError::InvalidCiphertext)?;
    Ok(DecryptResponse {
        key_id: Some(key.arn.clone()),
        plaintext: Some(plaintext),
        encryption_algorithm: Some(String::from("SYMMETRIC_DEFAULT")),
        ..DecryptResponse::default()
    })
}

/// Exactly one of the two says how long the data key is.
fn data_key_length(spec: Option<&str>, bytes: Option<i64>) -> Result<usize, KmsError> {
    match (spec, bytes) {
        (Some("AES_256"), None) => Ok(32),
        (Some("AES_128"), None) => Ok(16),
        // The model admits 1 to 1024.
        (None, Some(bytes)) => usize::try_from(bytes).map_err(|_| KmsError::InvalidKeySpec),
        _ => Err(KmsError::InvalidKeySpec),
    }
}
