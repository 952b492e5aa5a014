//! What can go wrong with a key, and how AWS says it.
//!
//! The sentences are those of AWS where they are recorded or reported in public, and ours where AWS only documents the code (marked).

use coffer_model::kms::err;
use coffer_policy::Malformed;
use coffer_shape::ApiError;

use crate::state::Obstacle;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum KmsError {
    /// Neither an id nor an ARN nor an alias.
    InvalidKeyId {
        written: String,
    },
    /// What is wrong with the ARN: all of it, or its region.
    InvalidArn {
        written: String,
    },
    /// No key behind this ARN.
    KeyNotFound {
        arn: String,
    },
    State {
        arn: String,
        obstacle: Obstacle,
    },
    /// A key of this usage does not do that.
    UsageInvalid {
        arn: String,
        usage: &'static str,
        operation: &'static str,
    },
    AlgorithmUnfit {
        algorithm: String,
        spec: &'static str,
    },
    /// Not offered, or not for such a key.
    Unsupported,
    /// Not for keys whose material comes from there.
    Origin {
        arn: String,
        origin: &'static str,
    },

    UsageMissing,
    UsageUnfit {
        usage: String,
        spec: &'static str,
    },
    SpecTwice,

    /// A replica, or a key of one region.
    NotPrimary {
        arn: String,
    },
    KeyExists {
        arn: String,
    },
    AlreadyPrimary {
        arn: String,
    },
    TooManyReplicas {
        arn: String,
    },

    AliasNotFound {
        arn: String,
    },
    AliasExists {
        arn: String,
    },
    AliasWithoutPrefix,
    AliasReserved,
    AliasName,
    AliasToOtherKind,
    TooManyAliases {
        arn: String,
    },

    /// Not a ciphertext of ours, or not with this context, or changed. There is deliberately no detail.
    InvalidCiphertext,
    CiphertextMissing,
    /// An attested machine that the answer is to be sealed for.
    Recipient,
    /// The ciphertext is good, but of another key than the caller named.
    IncorrectKey,
    KeyMissing,
    InvalidMac,
    InvalidSignature,
    DigestLength {
        algorithm: String,
    },
    MessageTypeUnfit {
        algorithm: String,
    },
    PlaintextTooLong {
        algorithm: String,
        spec: &'static str,
        most: usize,
    },
    ContextWithPair,
    /// Not in the form in which public keys are given, or of another curve.
    PublicKeyUnfit,
    DataKeyLength,
    RandomLengthMissing,
    ContextTooLong,
    ContextKeyEmpty,
    DryRun,

    MalformedPolicy(Malformed),
    InvalidPrincipal,
    PolicyLocksOut,
    PolicyTooLong,
    NoSuchPolicy,

    TooManyTags,
    TagKeyTwice,
    TagKeyReserved,

    DeletionWindow,
    TooManyRotations {
        arn: String,
    },

    ImportTokenInvalid,
    ImportTokenExpired,
    ValidToMissing,
    ValidToWithoutExpiry,
    ValidToOutOfRange,
    /// Not such as the key takes, or not the material that it had.
    MaterialUnfit,
    MaterialPending {
        arn: String,
        new: String,
        pending: String,
    },
    NoMaterialPending {
        arn: String,
    },
    MaterialNotFound {
        id: String,
    },

    InvalidGrantToken,
    InvalidGrantId,
    GrantNotFound,
    GrantUnnamed,
    GranteeMissing,
    ServiceGrantee,
    NoSuchPrincipal {
        written: String,
    },
    TwoConstraints,
    ConstraintWithoutContext,
    SourceArnConstraint,
    GrantOperations,
    TooManyGrants {
        arn: String,
    },

    InvalidMarker,
}

impl From<KmsError> for ApiError {
    fn from(error: KmsError) -> Self {
        match error {
            KmsError::InvalidKeyId { written } => err::not_found(format!("Invalid keyId '{written}'")),
            KmsError::InvalidArn { written } => err::not_found(format!("Invalid arn {written}")),
            KmsError::KeyNotFound { arn } => err::not_found(format!("Key '{arn}' does not exist")),
            KmsError::State { arn, obstacle } => in_the_way(&arn, obstacle),
            KmsError::UsageInvalid { arn, usage, operation } => err::invalid_key_usage(format!(
                "{arn} key usage is {usage} which is not valid for {operation}."
            )),
            KmsError::AlgorithmUnfit { algorithm, spec } => {
                err::invalid_key_usage(format!("Algorithm {algorithm} is incompatible with key spec {spec}."))
            }
            KmsError::Unsupported => err::unsupported_operation(""),
            KmsError::Origin { arn, origin } => err::unsupported_operation(format!(
                "{arn} origin is {origin} which is not valid for this operation."
            )),

            KmsError::UsageMissing => err::validation(
                "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.",
            ),
            KmsError::UsageUnfit { usage, spec } => {
                err::validation(format!("KeyUsage {usage} is not compatible with KeySpec {spec}"))
            }
            // Ours.
            KmsError::SpecTwice => err::validation(
                "You cannot specify KeySpec and CustomerMasterKeySpec in the same request. CustomerMasterKeySpec is deprecated.",
            ),

            KmsError::NotPrimary { arn } => {
                err::unsupported_operation(format!("{arn} is not a multi-region primary key."))
            }
            // Ours, and so are the next two.
            KmsError::KeyExists { arn } => err::already_exists(format!("The key {arn} already exists")),
            KmsError::AlreadyPrimary { arn } => {
                err::unsupported_operation(format!("{arn} is the multi-region primary key."))
            }
            KmsError::TooManyReplicas { arn } => err::limit_exceeded(format!(
                "The limit of 50 replica keys has been reached for the key {arn}."
            )),

            KmsError::AliasNotFound { arn } => err::not_found(format!("Alias {arn} is not found.")),
            KmsError::AliasExists { arn } => {
                err::already_exists(format!("An alias with the name {arn} already exists"))
            }
            KmsError::AliasWithoutPrefix => err::validation(
                "Alias must start with the prefix \"alias/\". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html",
            ),
            // Ours, and so are the next two.
            KmsError::AliasReserved => err::validation(
                "Aliases that begin with the prefix \"alias/aws/\" are reserved for AWS services.",
            ),
            KmsError::AliasName => err::invalid_alias_name(
                "An alias must be alias/ and 1 to 250 letters, digits, slashes, underscores and dashes.",
            ),
            KmsError::AliasToOtherKind => {
                err::validation("An alias can only be moved to a key of the same type and usage.")
            }
            // Ours.
            KmsError::TooManyAliases { arn } => {
                err::limit_exceeded(format!("The limit of 50 aliases has been reached for the key {arn}."))
            }

            KmsError::InvalidCiphertext => err::invalid_ciphertext(""),
            // Ours: the model asks for none, because a dry run may do without.
            KmsError::CiphertextMissing => err::validation("You must specify a CiphertextBlob."),
            // Ours: the model declares no error for it.
            KmsError::Recipient => err::validation("Recipient isn't available in Coffer."),
            KmsError::IncorrectKey => err::incorrect_key(
                "The key ID in the request does not identify a CMK that can perform this operation.",
            ),
            // Ours.
            KmsError::KeyMissing => {
                err::validation("You must specify the key that a ciphertext is ignored for.")
            }
            KmsError::InvalidMac => err::kms_invalid_mac(""),
            KmsError::InvalidSignature => err::kms_invalid_signature(""),
            KmsError::DigestLength { algorithm } => {
                err::validation(format!("Digest is invalid length for algorithm {algorithm}."))
            }
            // Ours.
            KmsError::MessageTypeUnfit { algorithm } => {
                err::validation(format!("The message type is not valid for algorithm {algorithm}."))
            }
            KmsError::PlaintextTooLong { algorithm, spec, most } => err::validation(format!(
                "Algorithm {algorithm} and key spec {spec} cannot encrypt data larger than {most} bytes."
            )),
            // Ours, and so is the next one.
            KmsError::ContextWithPair => {
                err::validation("An encryption context is for symmetric encryption keys only.")
            }
            KmsError::PublicKeyUnfit => err::validation("The public key is not one of the curve of the key."),
            KmsError::DataKeyLength => err::validation("Please specify either number of bytes or key spec."),
            KmsError::RandomLengthMissing => err::validation("NumberOfBytes is required."),
            // Ours, and so is the next one.
            KmsError::ContextTooLong => err::validation(
                "The keys and values of the encryption context are longer than 8192 bytes together.",
            ),
            KmsError::ContextKeyEmpty => err::validation("A key of the encryption context is empty."),
            KmsError::DryRun => {
                err::dry_run_operation("The request would have succeeded, but the DryRun option is set.")
            }

            KmsError::MalformedPolicy(malformed) => {
                err::malformed_policy_document(policy_sentence(&malformed))
            }
            KmsError::InvalidPrincipal => err::malformed_policy_document(INVALID_PRINCIPAL),
            KmsError::PolicyLocksOut => err::malformed_policy_document(
                "The new key policy will not allow you to update the key policy in the future.",
            ),
            // Ours, and so is the next one.
            KmsError::PolicyTooLong => err::limit_exceeded("A key policy can't be longer than 32768 bytes."),
            KmsError::NoSuchPolicy => err::not_found("No such policy exists"),

            KmsError::TooManyTags => err::tag("Too many tags"),
            KmsError::TagKeyTwice => err::tag("Duplicate tag keys"),
            KmsError::TagKeyReserved => err::tag("Tags beginning with aws: are reserved"),

            // In the words of a limit, which the model draws wider than AWS's documentation.
            KmsError::DeletionWindow => {
                err::validation("PendingWindowInDays must be between 7 and 30 (inclusive).")
            }
            KmsError::TooManyRotations { arn } => err::limit_exceeded(format!(
                "The on-demand rotations limit has been reached for the given keyId. No more on-demand rotations can be performed for this key: {arn}"
            )),

            KmsError::ImportTokenInvalid => err::invalid_import_token(""),
            KmsError::ImportTokenExpired => err::expired_import_token(""),
            KmsError::ValidToMissing => {
                err::validation("A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES")
            }
            // Ours, and so is the next one.
            KmsError::ValidToWithoutExpiry => err::validation(
                "A validTo date must not be set if the ExpirationModel is KEY_MATERIAL_DOES_NOT_EXPIRE",
            ),
            KmsError::ValidToOutOfRange => {
                err::validation("The validTo date must be in the future and at most 365 days away.")
            }
            KmsError::MaterialUnfit => err::incorrect_key_material(""),
            KmsError::MaterialPending { arn, new, pending } => err::kms_invalid_state(format!(
                "New key material (id: {new}) cannot be imported into KMS key {arn}, because another key material (id: {pending}) is pending rotation."
            )),
            KmsError::NoMaterialPending { arn } => err::kms_invalid_state(format!(
                "No available key material pending rotation for the key: {arn}."
            )),
            // Ours.
            KmsError::MaterialNotFound { id } => {
                err::not_found(format!("Key material '{id}' does not exist"))
            }

            KmsError::InvalidGrantToken => err::invalid_grant_token("The grant token is invalid."),
            KmsError::InvalidGrantId => err::invalid_grant_id("InvalidGrantId"),
            // Reported.
            KmsError::GrantNotFound => err::not_found("Grant ID not found"),
            // Ours, and so are the next ones but NoSuchPrincipal.
            KmsError::GrantUnnamed => {
                err::validation("Specify either a grant token, or a key and a grant ID.")
            }
            KmsError::GranteeMissing => err::validation("You must specify a GranteePrincipal."),
            KmsError::ServiceGrantee => {
                err::validation("Grants for service principals aren't available in Coffer.")
            }
            // Reported.
            KmsError::NoSuchPrincipal { written } => {
                err::invalid_arn(format!("ARN does not refer to a valid principal: {written}"))
            }
            KmsError::TwoConstraints => err::validation(
                "You can't specify EncryptionContextEquals and EncryptionContextSubset in the same grant.",
            ),
            KmsError::ConstraintWithoutContext => {
                err::validation("Grant constraints need a symmetric encryption key and at least one pair.")
            }
            KmsError::SourceArnConstraint => {
                err::validation("The grant constraint SourceArn isn't available in Coffer.")
            }
            KmsError::GrantOperations => {
                err::validation("The list of operations has one that the key does not support, or is empty.")
            }
            KmsError::TooManyGrants { arn } => {
                err::limit_exceeded(format!("The limit of grants has been reached for the key {arn}."))
            }

            // Ours.
            KmsError::InvalidMarker => err::invalid_marker("The marker is invalid."),
        }
    }
}

fn in_the_way(arn: &str, obstacle: Obstacle) -> ApiError {
    match obstacle {
        Obstacle::Disabled => err::disabled(format!("{arn} is disabled.")),
        Obstacle::PendingDeletion => err::kms_invalid_state(format!("{arn} is pending deletion.")),
        Obstacle::PendingImport => err::kms_invalid_state(format!("{arn} is pending import.")),
        Obstacle::Creating => err::kms_invalid_state(format!("{arn} is creating.")),
        Obstacle::Updating => err::kms_invalid_state(format!("{arn} is updating.")),
        Obstacle::NotPendingDeletion => err::kms_invalid_state(format!("{arn} is not pending deletion.")),
        Obstacle::Origin => err::unsupported_operation(format!(
            "{arn} origin is EXTERNAL which is not valid for this operation."
        )),
    }
}

const INVALID_PRINCIPAL: &str = "Policy contains a statement with one or more invalid principals.";

/// IAM's sentences, where KMS has none of its own.
fn policy_sentence(malformed: &Malformed) -> String {
    match malformed {
        Malformed::Principal { .. } => INVALID_PRINCIPAL.to_owned(),
        Malformed::NotJson => Malformed::Syntax.to_string(),
        other => other.to_string(),
    }
}
