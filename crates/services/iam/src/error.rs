//! What can go wrong in IAM, and how AWS says it.
//!
//! The sentences are those of AWS where they are recorded or reported in public, and ours where AWS only documents the code.

use coffer_model::iam::err;
use coffer_policy::Malformed;
use coffer_shape::ApiError;
use coffer_types::AccountId;

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
    NoSuchPolicyVersion {
        arn: String,
        version: String,
    },
    PolicyExists {
        name: String,
    },
    /// One that comes with Coffer, which nobody can change.
    NotYourPolicy,
    TooManyVersions {
        max: usize,
    },
    DefaultVersion,
    MoreThanOneVersion,
    PolicyInUse,
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
    MustDeleteLoginProfile,
    NoLoginProfile {
        user: String,
    },
    LoginProfileExists {
        user: String,
    },
    NoPassword,
    PasswordTooWeak,
    NoPasswordPolicy {
        account: AccountId,
    },
    AliasExists {
        alias: String,
    },
    NoSuchAlias {
        alias: String,
    },
    NotInGroup {
        user: String,
        group: String,
    },
    TagKeyTwice,
    InvalidMarker,
    /// A role that belongs to a service of AWS.
    Protected {
        role: String,
    },
    /// A path under which only services of AWS have roles.
    ReservedPath {
        path: String,
    },
    MustLeaveInstanceProfiles,
    NoSuchInstanceProfile {
        name: String,
    },
    InstanceProfileExists {
        name: String,
    },
    NoSuchProvider {
        arn: String,
    },
    ProviderExists {
        url: String,
    },
    InvalidArn,
    InvalidProviderUrl,
    InvalidThumbprint,
    TooManyThumbprints,
    /// A provider for what does not exist here.
    IdentityCenter,
    NoSuchService {
        service: String,
    },
    NoSuffix {
        service: String,
    },
    ServiceRoleExists {
        role: String,
    },
    NotAServiceRole {
        role: String,
    },
    NoSuchDeletion {
        task: String,
    },
    /// Not the ARN of a user, group or role.
    UnclearEntity {
        arn: String,
    },
    /// A policy that a simulation is to try, by what results call it.
    InputPolicy {
        id: String,
        malformed: Malformed,
    },
    TwoBoundaries,
    InvalidPolicyIdentifier,
    InvalidAction {
        name: String,
    },
    NotAnArn {
        name: String,
    },
    TooManyResources {
        max: usize,
    },
    TakesTooLong {
        action: String,
    },
    InvalidOwner {
        owner: String,
    },
    CallerIsNoUser,
    UnknownScenario {
        scenario: String,
    },
    NamelessKey,
    InvalidKeyValues {
        key: String,
    },
    KeyTwice {
        key: String,
    },
    NoSuchReport {
        job_id: String,
    },
    NotInReport {
        service: String,
    },
    TooManyWatched {
        max: usize,
    },
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
            IamError::NoSuchPolicyVersion { arn, version } => err::no_such_entity(format!(
                "Policy {arn} version {version} does not exist or is not attachable."
            )),
            IamError::PolicyExists { name } => err::entity_already_exists(format!(
                "A policy called {name} already exists. Duplicate names are not allowed."
            )),
            IamError::NotYourPolicy => err::access_denied("Policy is outside your own account."),
            IamError::TooManyVersions { max } => err::limit_exceeded(format!(
                "A managed policy can have up to {max} versions. Before you create a new version, you must delete an existing version."
            )),
            IamError::DefaultVersion => {
                err::delete_conflict("Cannot delete the default version of a policy.")
            }
            IamError::MoreThanOneVersion => err::delete_conflict(
                "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.",
            ),
            IamError::PolicyInUse => err::delete_conflict("Cannot delete a policy attached to entities."),
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
            IamError::MustDeleteLoginProfile => {
                err::delete_conflict("Cannot delete entity, must delete login profile first.")
            }
            IamError::NoLoginProfile { user } => {
                err::no_such_entity(format!("Login Profile for User {user} cannot be found."))
            }
            IamError::LoginProfileExists { user } => {
                err::entity_already_exists(format!("Login Profile for user {user} already exists."))
            }
            // Our words.
            IamError::NoPassword => err::validation("A login profile begins with a password."),
            IamError::PasswordTooWeak => {
                err::password_policy_violation("Password does not conform to the account password policy.")
            }
            IamError::NoPasswordPolicy { account } => err::no_such_entity(format!(
                "The Password Policy with domain name {account} cannot be found."
            )),
            IamError::AliasExists { alias } => {
                err::entity_already_exists(format!("The account alias {alias} already exists."))
            }
            // Our words.
            IamError::NoSuchAlias { alias } => {
                err::no_such_entity(format!("The account alias {alias} cannot be found."))
            }
            // Our words.
            IamError::NotInGroup { user, group } => err::no_such_entity(format!(
                "The user with name {user} is not in the group with name {group}."
            )),
            IamError::TagKeyTwice => err::invalid_input(
                "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
            ),
            IamError::Protected { role } => err::unmodifiable_entity(format!(
                "Cannot perform the operation on the protected role '{role}' - this role is only modifiable by AWS"
            )),
            // Our words.
            IamError::ReservedPath { path } => err::invalid_input(format!(
                "The path {path} is reserved for roles of services. Use CreateServiceLinkedRole instead."
            )),
            IamError::MustLeaveInstanceProfiles => {
                err::delete_conflict("Cannot delete entity, must remove roles from instance profile first.")
            }
            IamError::NoSuchInstanceProfile { name } => {
                err::no_such_entity(format!("Instance Profile {name} cannot be found."))
            }
            IamError::InstanceProfileExists { name } => {
                err::entity_already_exists(format!("Instance Profile {name} already exists."))
            }
            IamError::NoSuchProvider { arn } => {
                err::no_such_entity(format!("OpenIDConnect Provider not found for arn {arn}"))
            }
            IamError::ProviderExists { url } => {
                err::entity_already_exists(format!("Provider with url {url} already exists."))
            }
            IamError::InvalidArn => err::validation("Invalid ARN:  Could not be parsed!"),
            IamError::InvalidProviderUrl => err::validation("Invalid Open ID Connect Provider URL"),
            // Our words.
            IamError::InvalidThumbprint => err::invalid_input("A thumbprint has 40 hexadecimal digits."),
            IamError::TooManyThumbprints => {
                err::invalid_input("Thumbprint list must contain fewer than 5 entries.")
            }
            // Our words.
            IamError::IdentityCenter => err::invalid_input("There is no Identity Center here."),
            // Our words.
            IamError::NoSuchService { service } => {
                err::invalid_input(format!("No service-linked role is known for {service}."))
            }
            IamError::NoSuffix { service } => {
                err::invalid_input(format!("Custom suffix is not allowed for {service}"))
            }
            IamError::ServiceRoleExists { role } => err::invalid_input(format!(
                "Service role name {role} has been taken in this account, please try a different suffix."
            )),
            // Our words.
            IamError::NotAServiceRole { role } => {
                err::no_such_entity(format!("The role with name {role} is not a service-linked role."))
            }
            // Our words.
            IamError::NoSuchDeletion { task } => {
                err::no_such_entity(format!("The deletion task with id {task} cannot be found."))
            }
            IamError::UnclearEntity { arn } => err::invalid_input(format!(
                "Invalid Entity Arn: {arn} does not clearly define entity type and name."
            )),
            IamError::NotAnArn { name } => {
                err::invalid_input(format!("ResourceNames are not in a valid ARN format: {name}."))
            }
            IamError::InvalidOwner { owner } => {
                err::invalid_input(format!("'{owner}' is not a valid as a Resource Owner."))
            }
            IamError::CallerIsNoUser => {
                err::invalid_input("Invalid caller - Caller must be an IAM user in this context.")
            }
            // Our words from here on: AWS documents the code.
            IamError::InputPolicy { id, malformed } => err::invalid_input(format!("{id}: {malformed}")),
            IamError::TwoBoundaries => {
                err::invalid_input("There can be one policy in PermissionsBoundaryPolicyInputList.")
            }
            IamError::InvalidPolicyIdentifier => err::invalid_input(
                "An entry of PolicyExclusionList names one of a type, the ARN of a managed policy or an inline policy.",
            ),
            IamError::InvalidAction { name } => {
                err::invalid_input(format!("{name} is not the name of an action, such as iam:CreateUser."))
            }
            IamError::TooManyResources { max } => {
                err::invalid_input(format!("An action is simulated on {max} resources at most."))
            }
            IamError::TakesTooLong { action } => err::invalid_input(format!(
                "To simulate {action} on all resources takes too long. Ask for fewer resources."
            )),
            IamError::UnknownScenario { scenario } => {
                err::invalid_input(format!("The scenario {scenario} is of a service that is not here."))
            }
            IamError::NamelessKey => err::invalid_input("An entry of ContextEntries has no ContextKeyName."),
            IamError::InvalidKeyValues { key } => {
                err::invalid_input(format!("The values of {key} are not of the type of the key."))
            }
            IamError::KeyTwice { key } => err::invalid_input(format!("{key} is in ContextEntries twice.")),
            IamError::NoSuchReport { job_id } => {
                err::no_such_entity(format!("The report with job id {job_id} cannot be found."))
            }
            IamError::NotInReport { service } => {
                err::no_such_entity(format!("No policy of the report opens the service {service}."))
            }
            IamError::TooManyWatched { max } => {
                err::invalid_input(format!("A report is about {max} users and roles at most."))
            }
            // Our words, under the code that AWS documents for a request it cannot use.
            IamError::InvalidMarker => err::validation("The marker is not one of this list."),
        }
    }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
