//! Which actions somebody of another account can be allowed at all.
//!
//! For anything else it makes no difference what the policies say. The lists are the documented ones of each service; a service that
//! is not here serves its own account only.

use crate::request::ResourceKind;

const SECRETS_MANAGER: &[&str] = &[
    "AcceptCrossAccountReplication",
    "CancelRotateSecret",
    "DeleteResourcePolicy",
    "DeleteSecret",
    "DescribeSecret",
    "GetRandomPassword",
    "GetResourcePolicy",
    "GetSecretValue",
    "ListResourcePolicies",
    "ListSecretVersionIds",
    "PutResourcePolicy",
    "PutSecretValue",
    "RemoveRegionsFromReplication",
    "ReplicateSecretToRegions",
    "RestoreSecret",
    "RotateSecret",
    "StopReplicationToReplica",
    "TagResource",
    "UntagResource",
    "UpdateSecret",
    "UpdateSecretVersionStage",
    "ValidateResourcePolicy",
];

const KMS: &[&str] = &[
    "CreateGrant",
    "Decrypt",
    "DeriveSharedSecret",
    "DescribeKey",
    "Encrypt",
    "GenerateDataKey",
    "GenerateDataKeyPair",
    "GenerateDataKeyPairWithoutPlaintext",
    "GenerateDataKeyWithoutPlaintext",
    "GenerateMac",
    "GetKeyRotationStatus",
    "GetPublicKey",
    "ListGrants",
    "ListKeyRotations",
    "ReEncryptFrom",
    "ReEncryptTo",
    "RetireGrant",
    "RevokeGrant",
    "Sign",
    "Verify",
    "VerifyMac",
];

/// As Lambda's documentation lists them.
const LAMBDA: &[&str] = &[
    "CreateAlias",
    "DeleteAlias",
    "DeleteFunction",
    "DeleteFunctionConcurrency",
    "GetAlias",
    "GetFunction",
    "GetFunctionConfiguration",
    "GetLayerVersion",
    "GetPolicy",
    "InvokeFunction",
    "ListAliases",
    "ListTags",
    "ListVersionsByFunction",
    "PublishVersion",
    "PutFunctionConcurrency",
    "TagResource",
    "UntagResource",
    "UpdateAlias",
    "UpdateFunctionCode",
];

pub(crate) fn may_cross(action: &str, kind: ResourceKind) -> bool {
    let Some((service, name)) = action.split_once(':') else { return false };
    let is_in = |list: &[&str]| list.iter().any(|known| known.eq_ignore_ascii_case(name));
    match service.to_ascii_lowercase().as_str() {
        "secretsmanager" => is_in(SECRETS_MANAGER),
        "kms" => is_in(KMS),
        "lambda" => is_in(LAMBDA),
        // A role is there to be assumed.
        "sts" => kind == ResourceKind::Role,
        _ => false,
    }
}
