//! GenerateRandom.

use coffer_core::Cx;
use coffer_model::kms::{GenerateRandomRequest, GenerateRandomResponse, action};
use coffer_shape::ApiError;
use coffer_types::Secret;

use super::keys::All;
use crate::error::KmsError;

pub(crate) fn generate_random(
    cx: &mut Cx<'_>,
    input: GenerateRandomRequest,
) -> Result<GenerateRandomResponse, ApiError> {
    if input.custom_key_store_id.is_some() || input.recipient.is_some() {
        return Err(KmsError::Unsupported.into());
    }
    // The model admits 1 to 1024.
    let len = input.number_of_bytes.and_then(|bytes| usize::try_from(bytes).ok());
    let len = len.ok_or(KmsError::RandomLengthMissing)?;

    cx.ask(action::GENERATE_RANDOM, &All)?;

    let mut plaintext = Secret::new(vec![0; len]);
    cx.entropy().fill(plaintext.expose_mut());
    Ok(GenerateRandomResponse { plaintext: Some(plaintext), ..GenerateRandomResponse::default() })
}
