//! What can go wrong in IAM, and how AWS says it.
//!
//! The sentences are those of AWS where they are recorded or reported in public, and ours where AWS only documents the code.

use coffer_model::iam::err;
use coffer_policy::Malformed;
use coffer_shape::ApiError;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum IamError {
    /// A user, group or role.
    NoSuchEntity {
        kind: &'static str,
        name: String,
    },
    NoSuchInline {
        kind: &'static str,
        name: String,
    },
    NoSuchPolicy {
        arn: String,
    },
    NotAttachable {
        arn: String,
    },
    EntityExists {
        kind: &'static str,
        name: String,
    },
    Malformed(Malformed),
    InlineTooLong {
        kind: &'static str,
        name: String,
        max: usize,
    },
    Quota {
        name: &'static str,
        limit: usize,
    },
    NoSuchAccessKey {
        id: String,
    },
    /// Somebody who is no user left out the name of a user.
    NotAUser,
    MustDetachPolicies,
    MustDeletePolicies,
    MustDeleteAccessKeys,
    MustLeaveGroups,
    TagKeyTwice,
    InvalidMarker,
}

impl From<IamError> for ApiError {
    fn from(error: IamError) -> Self {
        match error {
            IamError::NoSuchEntity { kind, name } => {
                err::no_such_entity(format!("The {kind} with name {name} cannot be found."))
            }
            IamError::NoSuchInline { kind, name } => {
                err::no_such_entity(format!("The {kind} policy with name {name} cannot be found."))
            }
            IamError::NoSuchPolicy { arn } => err::no_such_entity(format!("Policy {arn} was not found.")),
            IamError::NotAttachable { arn } => {
                err::no_such_entity(format!("Policy {arn} does not exist or is not attachable."))
            }
            IamError::EntityExists { kind, name } => {
                err::entity_already_exists(format!("{} with name {name} already exists.", capital(kind)))
            }
            IamError::Malformed(malformed) => err::malformed_policy_document(malformed.to_string()),
            IamError::InlineTooLong { kind, name, max } => {
                err::limit_exceeded(format!("Maximum policy size of {max} bytes exceeded for {kind} {name}"))
            }
            IamError::Quota { name, limit } => {
                err::limit_exceeded(format!("Cannot exceed quota for {name}: {limit}"))
            }
            IamError::NoSuchAccessKey { id } => {
                err::no_such_entity(format!("The Access Key with id {id} cannot be found."))
            }
            IamError::NotAUser => {
                err::validation("Must specify userName when calling with non-User credentials")
            }
            IamError::MustDetachPolicies => {
                err::delete_conflict("Cannot delete entity, must detach all policies first.")
            }
            IamError::MustDeletePolicies => {
                err::delete_conflict("Cannot delete entity, must delete policies first.")
            }
            IamError::MustDeleteAccessKeys => {
                err::delete_conflict("Cannot delete entity, must delete access keys first.")
            }
            IamError::MustLeaveGroups => {
                err::delete_conflict("Cannot delete entity, must remove users from group first.")
            }
            IamError::TagKeyTwice => err::invalid_input(
                "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
            ),
            // Our words, under the code that AWS documents for a request it cannot use.
            IamError::InvalidMarker => err::validation("The marker is not one of this list."),
        }
    }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
