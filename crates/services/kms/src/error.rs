//! What can go wrong with a key, and how AWS says it.

use coffer_model::kms::err;
use coffer_shape::ApiError;

#[derive(Debug)]
pub(crate) enum KmsError {
    /// No key behind this ARN.
    KeyNotFound {
        arn: String,
    },
    AliasNotFound {
        arn: String,
    },
    Disabled {
        arn: String,
    },
    /// Not a ciphertext of ours, or not with this context, or changed. There is deliberately no detail.
    InvalidCiphertext,
    /// The ciphertext is good, but of another key than the caller named.
    IncorrectKey,
    InvalidKeySpec,
}

impl From<KmsError> for ApiError {
    fn from(error: KmsError) -> Self {
        match error {
            KmsError::KeyNotFound { arn } => err::not_found(format!("Key '{arn}' does not exist")),
            KmsError::AliasNotFound { arn } => err::not_found(format!("Alias {arn} is not found.")),
            KmsError::Disabled { arn } => err::disabled(format!("{arn} is disabled.")),
            KmsError::InvalidCiphertext => err::invalid_ciphertext(""),
            KmsError::IncorrectKey => err::incorrect_key(
                "The key ID in the request does not identify a CMK that can perform this operation.",
            ),
            KmsError::InvalidKeySpec => err::validation("Please specify either number of bytes or key spec."),
        }
    }
}
