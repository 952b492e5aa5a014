//! What can go wrong in STS, and how AWS says it.
//!
//! The sentences are those of AWS where they are recorded or reported in public, and ours where AWS only documents the code.

use coffer_model::sts::err;
use coffer_policy::Malformed;
use coffer_shape::ApiError;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum StsError {
    NotARole {
        arn: String,
    },
    TooLongForRole,
    TooLongForChain,
    /// Temporary credentials, where AWS takes none.
    HasSession {
        operation: &'static str,
    },
    NoSuchDevice,
    Malformed(Malformed),
    NoSuchPolicy {
        arn: String,
    },
    TooManyPolicies,
    /// Whether there were policies at all, or only tags.
    TooLarge {
        percent: i64,
        has_policies: bool,
    },
    TagKeyTwice,
    TransitiveButNotSent,
    TagIsInherited,
    SourceIdentityIsInherited,
    NotATagOfAToken,
    NoContexts,
    NotAKeyId,
    NotAMessage,
    NotByToken,
}

impl From<StsError> for ApiError {
    fn from(error: StsError) -> Self {
        match error {
            StsError::NotARole { arn } => err::validation(format!("{arn} is invalid")),
            StsError::TooLongForRole => err::validation(
                "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
            ),
            StsError::TooLongForChain => err::validation(
                "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.",
            ),
            StsError::HasSession { operation } => {
                err::access_denied(format!("Cannot call {operation} with session credentials"))
            }
            // The two spaces are AWS's.
            StsError::NoSuchDevice => err::access_denied(
                "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA serial number is valid and associated with this user.",
            ),
            StsError::Malformed(malformed) => err::malformed_policy_document(malformed.to_string()),
            // Our words, as IAM says it where such a policy is to be attached.
            StsError::NoSuchPolicy { arn } => {
                err::validation(format!("Policy {arn} does not exist or is not attachable."))
            }
            // Our words, in the form of AWS.
            StsError::TooManyPolicies => err::validation(
                "1 validation error detected: Value at 'policyArns' failed to satisfy constraint: Member must have length less than or equal to 10",
            ),
            StsError::TooLarge { percent, has_policies: true } => err::packed_policy_too_large(format!(
                "Packed policy consumes {percent}% of allotted space, please use smaller policy."
            )),
            StsError::TooLarge { percent, has_policies: false } => err::packed_policy_too_large(format!(
                "Packed size of session tags consumes {percent}% of allotted space."
            )),
            StsError::TagKeyTwice => err::invalid_parameter_value(
                "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
            ),
            StsError::TransitiveButNotSent => err::invalid_parameter_value(
                "The specified transitive tag key must be included in the requested tags.",
            ),
            StsError::TagIsInherited => err::invalid_parameter_value(
                "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.",
            ),
            // Our words.
            StsError::SourceIdentityIsInherited => {
                err::access_denied("The source identity of the calling session cannot be changed.")
            }
            // Our words.
            StsError::NotATagOfAToken => err::invalid_identity_token(
                "The token has a tag or a source identity that a session cannot have.",
            ),
            // Our words.
            StsError::NoContexts => err::invalid_context_assertion("No provider of contexts is known here."),
            // Our words.
            StsError::NotAKeyId => err::validation("The access key id carries no account."),
            StsError::NotAMessage => err::invalid_authorization_message("Message is not valid"),
            StsError::NotByToken => {
                err::access_denied("Not authorized to perform sts:AssumeRoleWithWebIdentity")
            }
        }
    }
}
