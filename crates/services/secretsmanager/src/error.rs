//! What can go wrong with a secret, and how AWS says it.
//!
//! Recorded sentences are marked by their number in AWS's own wording (E1 and so on); the others are our choice where AWS's text is
//! not known, under the code that AWS documents.

use coffer_core::Cx;
use coffer_model::secretsmanager::err;
use coffer_shape::ApiError;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SecretError {
    NotFound,
    NoValueForLabel { label: String },
    NoValueForVersion { version_id: String },
    LabelNotOnVersion,
    MarkedForDeletion,
    NameScheduledForDeletion,
    NameTaken { name: String },
    TokenReused { token: String, arn: String },
    TokenMissing,
    InvalidName,
    BothValues,
    NeitherValue,
    RecoveryWindowOutOfRange,
    RecoveryWindowWithForce,
    LabelNeedsRemoveFrom { label: String, holder: String },
    CurrentCannotBeRemoved,
    LabelElsewhere { label: String },
    NeitherVersion,
    CurrentOnEmptyVersion,
    FilterWithoutKey,
    FilterWithoutValues { key: String },
    InvalidNextToken,
    PasswordTooShort,
    PasswordWithoutCharacters,
    TooManyVersions,
    TooManyLabels,
    TooManyTags,
    TagWithoutKey,
    TagKeyTwice { key: String },
    TagKeyReserved { key: String },
    ReplicationUnavailable,
}

impl From<SecretError> for ApiError {
    fn from(error: SecretError) -> Self {
        match error {
            // E1
            SecretError::NotFound => {
                err::resource_not_found("Secrets Manager can't find the specified secret.")
            }
            // E2
            SecretError::NoValueForLabel { label } => err::resource_not_found(format!(
                "Secrets Manager can't find the specified secret value for staging label: {label}"
            )),
            // E3
            SecretError::NoValueForVersion { version_id } => err::resource_not_found(format!(
                "Secrets Manager can't find the specified secret value for VersionId: {version_id}"
            )),
            // E4
            SecretError::LabelNotOnVersion => err::invalid_request(
                "You provided a VersionStage that is not associated to the provided VersionId.",
            ),
            // E5
            SecretError::MarkedForDeletion => err::invalid_request(
                "You can't perform this operation on the secret because it was marked for deletion.",
            ),
            // E6
            SecretError::NameScheduledForDeletion => err::invalid_request(
                "You can't create this secret because a secret with this name is already scheduled for deletion.",
            ),
            // E8
            SecretError::NameTaken { name } => err::resource_exists(format!(
                "The operation failed because the secret {name} already exists."
            )),
            // E9
            SecretError::TokenReused { token, arn } => err::resource_exists(format!(
                "You can't use ClientRequestToken {token} because that value is already in use for a version of secret {arn}."
            )),
            // E10
            SecretError::TokenMissing => err::invalid_request(
                "You must provide a ClientRequestToken value. We recommend a UUID-type value.",
            ),
            // E11
            SecretError::InvalidName => err::validation(
                "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!",
            ),
            // E12
            SecretError::BothValues => err::invalid_parameter(
                "You can't specify both a binary secret value and a string secret value in the same secret.",
            ),
            // E13
            SecretError::NeitherValue => {
                err::invalid_request("You must provide either SecretString or SecretBinary.")
            }
            // E14
            SecretError::RecoveryWindowOutOfRange => err::invalid_parameter(
                "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).",
            ),
            // E15
            SecretError::RecoveryWindowWithForce => err::invalid_parameter(
                "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.",
            ),
            // E23
            SecretError::LabelNeedsRemoveFrom { label, holder } => err::invalid_parameter(format!(
                "The parameter RemoveFromVersionId can't be empty. Staging label {label} is currently attached to version {holder}, so you must explicitly reference that version in RemoveFromVersionId."
            )),
            // E24
            SecretError::CurrentCannotBeRemoved => err::invalid_parameter(
                "You can only move staging label AWSCURRENT to a different secret version. It can't be completely removed.",
            ),
            // E25
            SecretError::LabelElsewhere { label } => err::invalid_parameter(format!(
                "When you move staging label {label}, if you specify RemoveFromVersionId, it must be set to the version that currently has the staging label {label}."
            )),
            SecretError::NeitherVersion => {
                err::invalid_parameter("You must specify MoveToVersionId, RemoveFromVersionId, or both.")
            }
            SecretError::CurrentOnEmptyVersion => err::invalid_request(
                "You can't move staging label AWSCURRENT to a version that doesn't contain a value.",
            ),
            // E32
            SecretError::FilterWithoutKey => err::invalid_parameter("Invalid filter key"),
            SecretError::FilterWithoutValues { key } => {
                err::invalid_parameter(format!("Invalid filter values for key: {key}"))
            }
            // E34
            SecretError::InvalidNextToken => err::invalid_next_token("The NextToken value is invalid."),
            // E33
            SecretError::PasswordTooShort => {
                err::invalid_parameter("Password length is too short based on the required types.")
            }
            SecretError::PasswordWithoutCharacters => {
                err::invalid_parameter("You must include at least one character type.")
            }
            SecretError::TooManyVersions => err::limit_exceeded(
                "You can't create another version of this secret: the limit is 100 versions, and versions younger than 24 hours aren't cleaned up.",
            ),
            SecretError::TooManyLabels => err::limit_exceeded(
                "You can't attach more than 20 staging labels to the versions of a secret.",
            ),
            SecretError::TooManyTags => err::invalid_parameter("A secret can't have more than 50 tags."),
            SecretError::TagWithoutKey => err::invalid_parameter("A tag must have a key."),
            SecretError::TagKeyTwice { key } => {
                err::invalid_parameter(format!("The tag key {key} appears more than once in the request."))
            }
            SecretError::TagKeyReserved { key } => err::invalid_parameter(format!(
                "The tag key {key} is not allowed: the prefix aws: is reserved for AWS use."
            )),
            SecretError::ReplicationUnavailable => err::invalid_parameter(
                "Replication isn't available in this version of Coffer. Create the secret without replica regions.",
            ),
        }
    }
}

/// Which side of KMS failed: it decides the code the client sees.
#[derive(Debug, Clone, Copy)]
pub(crate) enum KmsSide {
    Encrypt,
    Decrypt,
}

/// A refusal of KMS in the words of Secrets Manager.
pub(crate) fn from_kms(cx: &Cx<'_>, side: KmsSide, error: ApiError) -> ApiError {
    // E27
    if error.code() == "AccessDeniedException" {
        return err::access_denied("Access to KMS is not allowed").because(error);
    }
    if error.is_fault() {
        return cx.internal(error);
    }
    let detail = format!(
        "{} (Service: AWSKMS; Status Code: {}; Error Code: {}; Request ID: {}; Proxy: null)",
        error.message,
        error.status(),
        error.code(),
        cx.request_id()
    );
    match side {
        KmsSide::Encrypt => {
            err::encryption_failure(format!("Secrets Manager can't encrypt the secret value: {detail}"))
        }
        KmsSide::Decrypt => {
            err::decryption_failure(format!("Secrets Manager can't decrypt the secret value: {detail}"))
        }
    }
}
