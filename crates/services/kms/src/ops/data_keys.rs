//! GenerateDataKey and GenerateDataKeyWithoutPlaintext.

use std::sync::Arc;

use coffer_core::Cx;
use coffer_model::kms::{
    GenerateDataKeyRequest, GenerateDataKeyResponse, GenerateDataKeyWithoutPlaintextRequest,
    GenerateDataKeyWithoutPlaintextResponse, action,
};
use coffer_shape::{Action, ApiError};
use coffer_types::Secret;

use super::encrypt::{ensure_encrypts, wrapped};
use crate::{
    context::{self, Context},
    error::KmsError,
    grant::check_tokens,
    key::KeyRecord,
    named::{Use, permitted},
    spec::SYMMETRIC_DEFAULT,
};

/// Makes a data key and returns it twice: in clear for use now, wrapped for use later.
pub(crate) fn generate_data_key(
    cx: &mut Cx<'_>,
    input: GenerateDataKeyRequest,
) -> Result<GenerateDataKeyResponse, ApiError> {
    if input.recipient.is_some() {
        return Err(KmsError::Recipient.into());
    }
    check_tokens(input.grant_tokens.as_ref())?;
    let wanted = Wanted {
        len: data_key_length(input.key_spec.as_deref(), input.number_of_bytes)?,
        context: context::from_request(input.encryption_context)?,
        dry_run: input.dry_run,
    };
    let made = wanted.make(cx, &input.key_id, action::GENERATE_DATA_KEY, "GenerateDataKey")?;
    Ok(GenerateDataKeyResponse {
        ciphertext_blob: Some(made.wrapped),
        plaintext: Some(made.plaintext),
        key_id: Some(made.key.arn.clone()),
        key_material_id: made.key.shown_material_id(),
        ..GenerateDataKeyResponse::default()
    })
}

/// The same for whoever only hands it on.
pub(crate) fn generate_data_key_without_plaintext(
    cx: &mut Cx<'_>,
    input: GenerateDataKeyWithoutPlaintextRequest,
) -> Result<GenerateDataKeyWithoutPlaintextResponse, ApiError> {
    check_tokens(input.grant_tokens.as_ref())?;
    let wanted = Wanted {
        len: data_key_length(input.key_spec.as_deref(), input.number_of_bytes)?,
        context: context::from_request(input.encryption_context)?,
        dry_run: input.dry_run,
    };
    let action = action::GENERATE_DATA_KEY_WITHOUT_PLAINTEXT;
    let made = wanted.make(cx, &input.key_id, action, "GenerateDataKeyWithoutPlaintext")?;
    Ok(GenerateDataKeyWithoutPlaintextResponse {
        ciphertext_blob: Some(made.wrapped),
        key_id: Some(made.key.arn.clone()),
        key_material_id: made.key.shown_material_id(),
    })
}

struct Wanted {
    len: usize,
    context: Context,
    dry_run: Option<bool>,
}

struct Made {
    key: Arc<KeyRecord>,
    plaintext: Secret<Vec<u8>>,
    wrapped: Vec<u8>,
}

impl Wanted {
    fn make(
        &self,
        cx: &mut Cx<'_>,
        key_id: &str,
        action: Action,
        operation: &'static str,
    ) -> Result<Made, ApiError> {
        let to = Use { context: Some(&self.context), algorithm: Some(SYMMETRIC_DEFAULT), ..Use::default() };
        let key = permitted(cx, key_id, to, action)?;
        ensure_encrypts(&key, SYMMETRIC_DEFAULT, operation)?;
        super::ensure_meant(self.dry_run)?;
        crate::last_use::note(cx, &key, operation)?;

        let mut plaintext = Secret::new(vec![0; self.len]);
        cx.entropy().fill(plaintext.expose_mut());
        let wrapped = wrapped(cx, &key, &self.context, plaintext.expose())?;
        Ok(Made { key, plaintext, wrapped })
    }
}

/// Exactly one of the two says how long the data key is.
fn data_key_length(spec: Option<&str>, bytes: Option<i64>) -> Result<usize, KmsError> {
    match (spec, bytes) {
        (Some("AES_256"), None) => Ok(32),
        (Some("AES_128"), None) => Ok(16),
        // The model admits 1 to 1024.
        (None, Some(bytes)) => usize::try_from(bytes).map_err(|_| KmsError::DataKeyLength),
        _ => Err(KmsError::DataKeyLength),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_said_in_one_way() {
        for (spec, bytes, expected) in [
            (Some("AES_256"), None, Ok(32)),
            (Some("AES_128"), None, Ok(16)),
            (None, Some(1_024), Ok(1_024)),
            (None, None, Err(KmsError::DataKeyLength)),
            (Some("AES_256"), Some(32), Err(KmsError::DataKeyLength)),
        ] {
            assert_eq!(data_key_length(spec, bytes), expected, "{spec:?} {bytes:?}");
        }
    }
}
