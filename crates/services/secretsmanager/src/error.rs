//! What can go wrong with a secret, and how AWS says it.
//!
//! Some sentences are recorded on AWS, some are reported by others, and some are our choice where AWS's text is not known, under the
//! code that AWS documents. Which is which stands on the page `docs/services/secretsmanager.md`, from the overlay of the model.

use coffer_core::Cx;
use coffer_model::secretsmanager::err;
use coffer_policy::Malformed;
use coffer_shape::ApiError;

use crate::rotation::ScheduleError;

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
    TooManySecrets,
    TooManyVersions,
    TooManyLabels,
    TooManyTags,
    TagWithoutKey,
    TagKeyTwice { key: String },
    TagKeyReserved { key: String },
    NotWithPrimaryAbroad { member: &'static str },
    ReplicaNeedsKey,
    NotAcrossAccounts,
    IncompleteArn { member: &'static str },
    OnReplicaAbroad,
    DeleteReplicaAbroad,
    DeleteWithReplicaAbroad { secret_id: String, arn: String },
    HasReplicaAbroad { arn: String },
    NotItsReplica { arn: String },
    OtherOrganization,
    NoSuchReplica,
    NoRoleOfPrimary,
    KeyOfLinkUnusable { side: Linked },
    RoleNotAssumable,
    DefaultKeyAbroad,
    OnReplica,
    HasReplicas { secret_id: String, regions: Vec<String> },
    ReplicaRegionInvalid,
    ReplicaRegionTwice { region: String },
    TooManyReplicas,
    ReplicaNameTaken { name: String, region: String },
    ReplicatedElsewhere { name: String, region: String },
    NotReplica,
    BatchOfBothOrNeither,
    BatchSizeWithoutFilters,
    MalformedPolicy(Malformed),
    UnsupportedPrincipal,
    PublicPolicy,
    PolicyReadOnly,
    NoSuchPolicy,
    RotationTokenMissing,
    RotationTokenUsed { token: String, arn: String },
    NotThisRotation { arn: String },
    NoRotationFunction,
    FunctionNotInvocable,
    OutputHidden,
    RotationIncomplete,
    NoVersionForRotation,
    NoLabelForRotation,
    BothSchedules,
    NeitherSchedule,
    Schedule(ScheduleError),
    MetadataIncomplete,
    TooMuchMetadata,
    NoRole,
}

/// Why a step of a rotation failed, as its event says it.
#[derive(Debug)]
pub(crate) enum StepTrouble<'t> {
    /// The function failed, did not end in time, or did not do what the step is for.
    Function {
        function: &'t str,
        step: &'static str,
    },
    NotCreated {
        version_id: &'t str,
        arn: &'t str,
        function: &'t str,
    },
    NotInvocable,
}

impl StepTrouble<'_> {
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Function { function, step } => {
                format!("Error when executing lambda {function} during {step} step")
            }
            Self::NotCreated { version_id, arn, function } => format!(
                "Pending secret version {version_id} for Secret {arn} was not created by Lambda {function}. Remove the AWSPENDING staging label and restart rotation."
            ),
            Self::NotInvocable => ApiError::from(SecretError::FunctionNotInvocable).message,
        }
    }
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
            // E10: recorded with another code for RotateSecret
            SecretError::RotationTokenMissing => err::invalid_parameter(
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
            // E19
            SecretError::NoRotationFunction => {
                err::invalid_request("No Lambda rotation function ARN is associated with this secret.")
            }
            // E20
            SecretError::FunctionNotInvocable => err::access_denied(
                "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy grants access to the principal secretsmanager.amazonaws.com.",
            ),
            // Told to nobody but the server's own log.
            SecretError::OutputHidden => {
                err::access_denied("The role of the function may not read the secret that it rotates.")
            }
            // E21
            SecretError::RotationIncomplete => {
                err::invalid_request("A previous rotation isn't complete. That rotation will be reattempted.")
            }
            // E22
            SecretError::BothSchedules => err::invalid_parameter(
                "You cannot specify both rotation frequency and schedule expression together.",
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
            // E30
            SecretError::BatchOfBothOrNeither => {
                err::invalid_parameter("Either 'SecretIdList' or 'Filters' must be provided, but not both.")
            }
            // E31
            SecretError::BatchSizeWithoutFilters => err::invalid_parameter(
                "'Filters' not specified. 'Filters' must also be specified when 'MaxResults' is provided.",
            ),
            SecretError::MalformedPolicy(malformed) => {
                err::malformed_policy_document(policy_sentence(&malformed))
            }
            SecretError::UnsupportedPrincipal => err::malformed_policy_document(UNSUPPORTED_PRINCIPAL),
            // AWS's documentation describes the error so.
            SecretError::PublicPolicy => err::public_policy(
                "The BlockPublicPolicy parameter is set to true, and the resource policy did not prevent broad access to the secret.",
            ),
            // E32
            SecretError::FilterWithoutKey => err::invalid_parameter("Invalid filter key"),
            SecretError::FilterWithoutValues { key } => {
                err::invalid_parameter(format!("Invalid filter values for key: {key}"))
            }
            // E34
            SecretError::InvalidNextToken => err::invalid_next_token("The NextToken value is invalid."),
            // E46: the code is documented
            SecretError::PolicyReadOnly => {
                err::invalid_parameter("You can modify only the resource policy named default.")
            }
            // E47: the code is documented
            SecretError::NoSuchPolicy => {
                err::resource_not_found("Secrets Manager can't find the specified resource policy.")
            }
            // E33
            SecretError::PasswordTooShort => {
                err::invalid_parameter("Password length is too short based on the required types.")
            }
            SecretError::PasswordWithoutCharacters => {
                err::invalid_parameter("You must include at least one character type.")
            }
            SecretError::TooManySecrets => err::limit_exceeded(
                "You can't have another secret in this region: the limit is 500,000 secrets.",
            ),
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
            // Our choice, in the words of E9: the model lets RotateSecret answer with no ResourceExistsException.
            SecretError::RotationTokenUsed { token, arn } => err::invalid_parameter(format!(
                "You can't use ClientRequestToken {token} because that value is already in use for a version of secret {arn}."
            )),
            // Our choice: nobody has recorded it.
            SecretError::NotThisRotation { arn } => err::invalid_request(format!(
                "You can't use this RotationToken because no rotation that it was given to is under way for secret {arn}."
            )),
            SecretError::NoVersionForRotation => err::invalid_request(
                "You can't rotate this secret: it has 100 versions, and versions younger than 24 hours aren't cleaned up.",
            ),
            SecretError::NoLabelForRotation => err::invalid_request(
                "You can't rotate this secret: its versions have 20 staging labels, and AWSPENDING would be another one.",
            ),
            SecretError::NeitherSchedule => err::invalid_parameter(
                "RotationRules must have either AutomaticallyAfterDays or ScheduleExpression.",
            ),
            SecretError::Schedule(error) => err::invalid_parameter(schedule_sentence(error)),
            SecretError::MetadataIncomplete => err::invalid_parameter(
                "Every item of ExternalSecretRotationMetadata must have a Key and a Value.",
            ),
            SecretError::TooMuchMetadata => {
                err::invalid_parameter("ExternalSecretRotationMetadata can't have more than 50 items.")
            }
            SecretError::NoRole => {
                err::invalid_parameter("ExternalSecretRotationRoleArn must be the ARN of an IAM role.")
            }
            // E26
            SecretError::DefaultKeyAbroad => err::invalid_request(
                "You can't access a secret from a different AWS account if you encrypt the secret with the default KMS service key.",
            ),
            // E35
            SecretError::OnReplicaAbroad => err::invalid_parameter(
                "Operation not permitted on a cross-account replica secret. Call must be made on the primary secret.",
            ),
            // E36
            SecretError::DeleteWithReplicaAbroad { secret_id, arn } => err::invalid_parameter(format!(
                "You can't delete secret {secret_id} that still has cross-account replicas [{arn}]."
            )),
            // E42
            SecretError::HasReplicaAbroad { arn } => {
                err::limit_exceeded(format!("This secret already has a cross-account replica: {arn}."))
            }
            // E43
            SecretError::NotItsReplica { arn } => err::invalid_request(format!(
                "The secret {arn} isn't a cross-account replica of this secret."
            )),
            // E44
            SecretError::OtherOrganization => err::invalid_request(
                "The replica account isn't in the same organization as the primary account.",
            ),
            // E45
            SecretError::NoSuchReplica => {
                err::resource_not_found("Secrets Manager can't find the specified cross-account replica.")
            }
            // E48
            SecretError::NoRoleOfPrimary => err::invalid_parameter(
                "ReplicationRoleARN must be the ARN of an IAM role in the account of the primary secret.",
            ),
            // E49
            SecretError::KeyOfLinkUnusable { side } => err::invalid_request(match side {
                Linked::Primary => "Secrets Manager can't use the KMS key of the primary secret.",
                Linked::Replica => "Secrets Manager can't use the KMS key of the replica secret.",
            }),
            // E50
            SecretError::RoleNotAssumable => {
                err::access_denied("Secrets Manager can't assume the specified replication role.")
            }
            // E37
            SecretError::DeleteReplicaAbroad => err::invalid_parameter(
                "You can't delete a cross-account replica secret. Stop replication to the replica first.",
            ),
            // E38
            SecretError::NotWithPrimaryAbroad { member } => err::invalid_parameter(format!(
                "You can't specify {member} when you create a cross-account replica secret."
            )),
            // E39
            SecretError::ReplicaNeedsKey => err::invalid_parameter(
                "A cross-account replica secret must be encrypted with a customer managed KMS key.",
            ),
            // E40
            SecretError::NotAcrossAccounts => err::invalid_parameter(
                "A cross-account replica must be in the same Region and partition as its primary secret and in a different account.",
            ),
            // E41
            SecretError::IncompleteArn { member } => {
                err::invalid_parameter(format!("{member} must be the complete ARN of a secret."))
            }
            // E16
            SecretError::OnReplica => err::invalid_parameter(
                "Operation not permitted on a replica secret. Call must be made in primary secret's region.",
            ),
            // E17
            SecretError::HasReplicas { secret_id, regions } => err::invalid_parameter(format!(
                "You can't delete secret {secret_id} that still has replica regions [{}].",
                regions.join(", ")
            )),
            // E18: as another emulator says it
            SecretError::ReplicaRegionInvalid => err::invalid_parameter("Invalid replica region."),
            SecretError::ReplicaRegionTwice { region } => err::invalid_parameter(format!(
                "The replica region {region} appears more than once in the request."
            )),
            SecretError::TooManyReplicas => {
                err::invalid_parameter("A secret can't have more than 50 replicas.")
            }
            // The next two are seen in the status of a replica, after "Replication failed: ". Recorded and reported.
            SecretError::ReplicaNameTaken { name, region } => {
                err::resource_exists(format!("Secret name {name} already exists in region {region}."))
            }
            SecretError::ReplicatedElsewhere { name, region } => err::resource_exists(format!(
                "Secret name {name} is currently replicated to {region} with a different arn"
            )),
            SecretError::NotReplica => {
                err::invalid_request("You can't stop replication to this secret because it isn't a replica.")
            }
        }
    }
}

/// The two secrets of a link between accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Linked {
    Primary,
    Replica,
}

/// Why a replica in another account does not follow, until somebody does something about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkTrouble {
    /// Whoever replicates may not use the key of this side.
    KeyDenied(Linked),
    KeyUnusable(Linked),
    RoleNotAssumable,
    WriterExpired,
    OtherOrganization,
    TooManyVersions,
}

/// What a link shows while it is tried again.
pub(crate) const LINK_DELAYED: &str = "Replication is delayed and will be tried again.";

impl LinkTrouble {
    /// What a side is told of it, after "Replication failed: ". Neither hears of keys and principals of the other.
    pub(crate) fn reason(self, on: Linked) -> &'static str {
        match (self, on) {
            (Self::KeyDenied(side), on) if side == on => {
                "whoever replicates isn't allowed to use the KMS key of this secret."
            }
            (Self::KeyUnusable(side), on) if side == on => "the KMS key of this secret can't be used.",
            (Self::TooManyVersions, Linked::Replica) => {
                "this secret has 100 versions, and versions younger than 24 hours aren't cleaned up."
            }
            (Self::RoleNotAssumable, Linked::Primary) => "Secrets Manager can't assume the replication role.",
            (Self::WriterExpired, Linked::Primary) => {
                "the session of whoever changed this secret last is over."
            }
            (Self::OtherOrganization, _) => "the two accounts aren't in the same organization.",
            (_, Linked::Primary) => "the replica secret can't be written.",
            (_, Linked::Replica) => "the primary secret can't be read.",
        }
    }
}

/// All our choice: AWS's sentences are not known. The code is one that clients do not retry.
fn schedule_sentence(error: ScheduleError) -> String {
    let sentence = match error {
        ScheduleError::Syntax => {
            "The ScheduleExpression must be rate(<number> <hours or days>) or cron(0 <hours> <day-of-month> <month> <day-of-week> *)."
        }
        ScheduleError::RateOutOfRange => "The rate of a rotation must be between 4 hours and 999 days.",
        ScheduleError::Field("minutes") => {
            "The minutes of a cron expression must be 0: a rotation window opens on the hour."
        }
        ScheduleError::Field("year") => "The year of a cron expression must be *.",
        ScheduleError::Field(name) => {
            return format!("The {name} of the cron expression can't be understood.");
        }
        ScheduleError::DayFields => {
            "Exactly one of day-of-month and day-of-week must be ? in a cron expression."
        }
        ScheduleError::NeverMatches => "The cron expression names a day that never comes.",
        ScheduleError::Duration { hours_max } => {
            return format!(
                "The Duration of this rotation schedule must be between 1h and {hours_max}h: a window can't extend into the next one or into the next UTC day."
            );
        }
    };
    sentence.to_owned()
}

/// E28
const UNSUPPORTED_PRINCIPAL: &str = "This resource policy contains an unsupported principal.";

/// IAM's sentences, where Secrets Manager has none of its own.
fn policy_sentence(malformed: &Malformed) -> String {
    match malformed {
        Malformed::NotJson => String::from("This policy contains invalid JSON"),
        // E29
        Malformed::Syntax => String::from("This policy has invalid syntax."),
        Malformed::Principal { .. } => UNSUPPORTED_PRINCIPAL.to_owned(),
        other => other.to_string(),
    }
}

/// Which side of KMS failed: it decides the code the client sees.
#[derive(Debug, Clone, Copy)]
pub(crate) enum KmsSide {
    Encrypt,
    Decrypt,
    /// The same of a version that is not under the secret's key any more.
    DecryptFormer,
}

/// A refusal of KMS in the words of Secrets Manager.
pub(crate) fn from_kms(cx: &Cx<'_>, side: KmsSide, error: ApiError) -> ApiError {
    // E27
    if error.code() == "AccessDeniedException" {
        let sentence = match side {
            KmsSide::Encrypt | KmsSide::Decrypt => "Access to KMS is not allowed",
            KmsSide::DecryptFormer => {
                "Access to KMS is not allowed. This version of secret is not encrypted with the current KMS key."
            }
        };
        return err::access_denied(sentence).because(error);
    }
    if error.code() == "InvalidKeyUsageException" {
        return err::invalid_parameter("Cannot generate a data key with an asymmetric KMS key")
            .because(error);
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
        KmsSide::Decrypt | KmsSide::DecryptFormer => {
            err::decryption_failure(format!("Secrets Manager can't decrypt the secret value: {detail}"))
        }
    }
}
