//! Holds the generated modules against what the seam promises: names are unique, patterns compile, allow-lists name
//! members, secrets are secrets, and a value with every member present is written as completely as it is read.

// Said to be test code, so that the lints for shipped code leave it alone.
#[cfg(test)]
mod walk;

use std::collections::{BTreeMap, BTreeSet};

use coffer_model::{SERVICES, cloudtrail, iam, kms, lambda, logs, secretsmanager, sts};
use coffer_shape::{Action, ApiError, Kind, Operation, OperationSpec, Protocol, Schema, Shape};

use self::walk::{Full, Strict};

fn operations() -> impl Iterator<Item = &'static OperationSpec> {
    SERVICES.iter().flat_map(|service| service.operations.iter().copied())
}

/// Every schema that served operations reach.
fn schemas() -> Vec<&'static Schema> {
    fn follow(schema: &'static Schema, seen: &mut BTreeMap<*const Schema, &'static Schema>) {
        if seen.insert(std::ptr::from_ref(schema), schema).is_some() {
            return;
        }
        match schema.kind {
            Kind::Structure(members) => members.iter().for_each(|member| follow(member.schema, seen)),
            Kind::List(element) => follow(element.schema, seen),
            Kind::Map(entry) => {
                follow(entry.key, seen);
                follow(entry.value, seen);
            }
            _ => {}
        }
    }
    let mut seen = BTreeMap::new();
    for operation in operations() {
        follow(operation.input, &mut seen);
        follow(operation.output, &mut seen);
    }
    seen.into_values().collect()
}

#[test]
fn operations_have_unique_names_and_know_their_service() {
    for service in SERVICES {
        let served = service.operations.iter().map(|operation| operation.name);
        let names: Vec<&str> = served.chain(service.unserved.iter().copied()).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{}", service.name);
        for operation in service.operations {
            assert_eq!(operation.service.name, service.name);
            assert!(operation.action.0.starts_with(&format!("{}:", service.name)), "{}", operation.name);
            assert!(operation.body_limit >= 1024, "{}", operation.name);
        }
    }
}

#[test]
fn the_whole_model_of_each_service_is_accounted_for() {
    let count = |service: &coffer_shape::ServiceSpec| service.operations.len() + service.unserved.len();
    let counts = SERVICES.iter().map(|service| (service.name, count(service)));
    assert_eq!(
        counts.collect::<Vec<_>>(),
        [
            ("cloudtrail", 60),
            ("iam", 181),
            ("kms", 56),
            ("lambda", 91),
            ("logs", 118),
            ("secretsmanager", 26),
            ("sts", 12)
        ]
    );
    assert_eq!(iam::action::CREATE_ROLE, Action("iam:CreateRole"));
    assert_eq!(secretsmanager::action::ROTATE_SECRET, Action("secretsmanager:RotateSecret"));
}

#[test]
fn protocols_are_those_of_the_services() {
    assert_eq!(secretsmanager::SERVICE.protocol, Protocol::AwsJson11 { target_prefix: "secretsmanager" });
    assert_eq!(kms::SERVICE.protocol, Protocol::AwsJson11 { target_prefix: "TrentService" });
    let namespace = "https://sts.amazonaws.com/doc/2011-06-15/";
    assert_eq!(sts::SERVICE.protocol, Protocol::Query { namespace });
}

#[test]
fn every_pattern_compiles() {
    let patterns: Vec<_> = schemas()
        .iter()
        .filter_map(|schema| schema.limits.pattern.map(|pattern| (schema.name, pattern)))
        .collect();
    assert!(patterns.len() > 5, "{patterns:?}");
    for (name, pattern) in patterns {
        assert!(pattern.is_valid(), "{name}: {}", pattern.regex);
    }
}

#[test]
fn audit_names_members_that_are_no_secrets_and_reads_record_no_answer() {
    for operation in operations() {
        let allowed = |schema: &'static Schema, names: &[&str]| {
            for name in names {
                let member = schema.members().iter().find(|member| member.name == *name);
                let member = member.unwrap_or_else(|| panic!("{}: no member {name}", operation.name));
                assert!(!member.schema.sensitive, "{}: {name} is a secret", operation.name);
            }
        };
        allowed(operation.input, operation.audit.request);
        allowed(operation.output, operation.audit.response);
        assert!(!operation.read_only || operation.audit.response.is_empty(), "{}", operation.name);
    }
}

#[test]
fn what_must_be_secret_is_secret() {
    let sensitive: BTreeSet<&str> =
        schemas().iter().filter(|schema| schema.sensitive).map(|schema| schema.name).collect();
    let expected = [
        // Code, and what is sent to functions.
        "Blob",
        "EnvironmentVariableName",
        "EnvironmentVariableValue",
        "EnvironmentVariables",
        // What is logged.
        "EventMessage",
        "FilterPattern",
        "PlaintextType",
        "RandomPasswordType",
        "RotationTokenType",
        "SecretBinaryType",
        "SecretStringType",
        "SensitiveString",
        "TrustedIdentityPropagationContext",
        "accessKeySecretType",
        "clientTokenType",
        "originIdentityIssuerType",
        "originIdentitySubjectType",
        "originIdentitySubjectTypeType",
        "passwordType",
        "tokenType",
        "transactionContextValueType",
    ];
    assert_eq!(sensitive, BTreeSet::from(expected));

    let string = secretsmanager::PutSecretValueRequest::SCHEMA.member("SecretString").unwrap().1.schema;
    assert!(string.limits.in_bytes);
    assert_eq!((string.limits.min, string.limits.max), (Some(1), Some(65_536)));
}

#[test]
fn debug_shows_no_secret() {
    let request = secretsmanager::PutSecretValueRequest {
        secret_id: String::from("db/password"),
        secret_string: Some(String::from("hunter2").into()),
        secret_binary: Some(b"hunter2".to_vec().into()),
        rotation_token: Some(String::from("hunter2").into()),
        ..Default::default()
    };
    let shown = format!("{request:?}");
    assert!(
        shown.contains("db/password") && !shown.contains("hunter2") && !shown.contains("104, 117"),
        "{shown}"
    );
}

#[test]
fn errors_carry_code_status_and_the_spelling_of_their_message() {
    let check = |error: ApiError, code: &str, status: u16, member: &str| {
        assert_eq!((error.code(), error.status(), error.spec.message_member), (code, status, member));
        assert_eq!(error.message, "m");
    };
    use secretsmanager::err;
    check(err::resource_not_found("m"), "ResourceNotFoundException", 400, "Message");
    check(err::invalid_request("m"), "InvalidRequestException", 400, "Message");
    check(err::encryption_failure("m"), "EncryptionFailure", 400, "Message");
    check(err::internal_service_error("m"), "InternalServiceError", 500, "Message");
    check(err::internal("m"), "InternalServiceError", 500, "Message");
    check(err::validation("m"), "ValidationException", 400, "message");
    check(err::access_denied("m"), "AccessDeniedException", 400, "Message");
    check(err::unavailable("m"), "ServiceUnavailable", 503, "message");
    check(kms::err::not_found("m"), "NotFoundException", 400, "message");
    check(kms::err::key_unavailable("m"), "KeyUnavailableException", 500, "message");
    check(sts::err::access_denied("m"), "AccessDenied", 403, "message");
}

#[test]
fn an_enumeration_is_closed_where_we_decide() {
    use kms::DataKeySpec;
    assert_eq!(DataKeySpec::try_from("AES_256"), Ok(DataKeySpec::Aes256));
    assert!(DataKeySpec::try_from("aes_256").is_err());
    for name in secretsmanager::FilterNameStringType::NAMES {
        assert_eq!(secretsmanager::FilterNameStringType::try_from(*name).unwrap().as_str(), *name);
    }
}

#[test]
fn a_full_value_is_written_as_completely_as_it_was_read() {
    fn round<S: Shape>() {
        let mut writer = Strict::expecting(S::SCHEMA);
        S::read(&mut Full).unwrap().write(&mut writer).unwrap();
        assert!(writer.is_done(), "{}", S::SCHEMA.name);
    }
    fn both<O: Operation>(covered: &mut BTreeSet<&'static str>) {
        let names = (O::Input::SCHEMA.name, O::Output::SCHEMA.name);
        assert_eq!((O::SPEC.input.name, O::SPEC.output.name), names);
        round::<O::Input>();
        round::<O::Output>();
        covered.insert(O::SPEC.action.0);
    }
    macro_rules! all {
        ($($service:ident: $($operation:ident)*;)*) => {{
            let mut covered = BTreeSet::new();
            $($(both::<$service::$operation>(&mut covered);)*)*
            covered
        }};
    }
    let covered = all! {
        cloudtrail: LookupEvents;
        iam: AddClientIDToOpenIDConnectProvider AddRoleToInstanceProfile AddUserToGroup AttachGroupPolicy
            AttachRolePolicy AttachUserPolicy CreateAccessKey CreateAccountAlias CreateGroup CreateInstanceProfile
            CreateLoginProfile CreateOpenIDConnectProvider CreatePolicy CreatePolicyVersion CreateRole
            CreateServiceLinkedRole CreateUser DeleteAccessKey DeleteAccountAlias DeleteAccountPasswordPolicy
            DeleteGroup DeleteGroupPolicy DeleteInstanceProfile DeleteLoginProfile DeleteOpenIDConnectProvider
            DeletePolicy DeletePolicyVersion DeleteRole DeleteRolePermissionsBoundary DeleteRolePolicy
            DeleteServiceLinkedRole DeleteUser DeleteUserPermissionsBoundary DeleteUserPolicy DetachGroupPolicy
            DetachRolePolicy DetachUserPolicy GenerateServiceLastAccessedDetails GetAccessKeyLastUsed
            GetAccountAuthorizationDetails GetAccountPasswordPolicy GetAccountSummary GetContextKeysForCustomPolicy
            GetContextKeysForPrincipalPolicy GetGroup GetGroupPolicy GetInstanceProfile GetLoginProfile
            GetOpenIDConnectProvider GetPolicy GetPolicyVersion GetRole GetRolePolicy GetServiceLastAccessedDetails
            GetServiceLastAccessedDetailsWithEntities GetServiceLinkedRoleDeletionStatus GetUser GetUserPolicy
            ListAccessKeys ListAccountAliases ListAttachedGroupPolicies ListAttachedRolePolicies
            ListAttachedUserPolicies ListEntitiesForPolicy ListGroupPolicies ListGroups ListGroupsForUser
            ListInstanceProfileTags ListInstanceProfiles ListInstanceProfilesForRole ListOpenIDConnectProviderTags
            ListOpenIDConnectProviders ListPolicies ListPoliciesGrantingServiceAccess ListPolicyTags
            ListPolicyVersions ListRolePolicies ListRoleTags ListRoles ListUserPolicies ListUserTags ListUsers
            PutGroupPolicy PutRolePermissionsBoundary PutRolePolicy PutUserPermissionsBoundary PutUserPolicy
            RemoveClientIDFromOpenIDConnectProvider RemoveRoleFromInstanceProfile RemoveUserFromGroup
            SetDefaultPolicyVersion SimulateCustomPolicy SimulatePrincipalPolicy TagInstanceProfile
            TagOpenIDConnectProvider TagPolicy TagRole TagUser UntagInstanceProfile UntagOpenIDConnectProvider
            UntagPolicy UntagRole UntagUser UpdateAccessKey UpdateAccountPasswordPolicy UpdateAssumeRolePolicy
            UpdateGroup UpdateLoginProfile UpdateOpenIDConnectProviderThumbprint UpdateRole UpdateRoleDescription
            UpdateUser;
        kms: CancelKeyDeletion CreateAlias CreateGrant CreateKey Decrypt DeleteAlias
            DeleteImportedKeyMaterial DeriveSharedSecret DescribeKey DisableKey DisableKeyRotation EnableKey
            EnableKeyRotation Encrypt GenerateDataKey GenerateDataKeyPair
            GenerateDataKeyPairWithoutPlaintext GenerateDataKeyWithoutPlaintext GenerateMac GenerateRandom
            GetKeyLastUsage GetKeyPolicy GetKeyRotationStatus GetParametersForImport GetPublicKey ImportKeyMaterial
            ListAliases ListGrants ListKeyPolicies ListKeyRotations ListKeys ListResourceTags
            ListRetirableGrants PutKeyPolicy ReEncrypt ReplicateKey RetireGrant RevokeGrant RotateKeyOnDemand
            ScheduleKeyDeletion Sign TagResource UntagResource UpdateAlias UpdateKeyDescription
            UpdatePrimaryRegion Verify VerifyMac;
        lambda: AddPermission CreateAlias CreateFunction DeleteAlias DeleteFunction DeleteFunctionConcurrency
            DeleteFunctionEventInvokeConfig DeleteLayerVersion GetAccountSettings GetAlias GetFunction
            GetFunctionCodeSigningConfig GetFunctionConcurrency GetFunctionConfiguration
            GetFunctionEventInvokeConfig GetFunctionRecursionConfig GetLayerVersion GetLayerVersionByArn
            GetPolicy GetRuntimeManagementConfig Invoke ListAliases ListFunctionEventInvokeConfigs
            ListFunctions ListLayerVersions ListLayers ListTags ListVersionsByFunction PublishLayerVersion
            PublishVersion PutFunctionConcurrency PutFunctionEventInvokeConfig PutRuntimeManagementConfig
            RemovePermission TagResource UntagResource UpdateAlias UpdateFunctionCode
            UpdateFunctionConfiguration UpdateFunctionEventInvokeConfig;
        logs: CreateLogGroup CreateLogStream DeleteLogGroup DeleteLogStream DeleteRetentionPolicy DescribeLogGroups
            DescribeLogStreams FilterLogEvents GetLogEvents ListTagsForResource ListTagsLogGroup PutLogEvents
            PutLogGroupDeletionProtection PutRetentionPolicy TagLogGroup TagResource UntagLogGroup UntagResource;
        secretsmanager: AssociateCrossAccountReplica BatchGetSecretValue CancelRotateSecret CreateSecret
            DeleteResourcePolicy DeleteSecret DescribeSecret DisassociateCrossAccountReplica
            GetRandomPassword GetResourcePolicy GetSecretValue ListResourcePolicies ListSecretVersionIds
            ListSecrets PutResourcePolicy PutSecretValue RemoveRegionsFromReplication ReplicateSecretToRegions RestoreSecret
            RotateSecret StopReplicationToReplica TagResource UntagResource UpdateSecret UpdateSecretVersionStage
            ValidateResourcePolicy;
        sts: AssumeRole AssumeRoleWithWebIdentity DecodeAuthorizationMessage GetAccessKeyInfo GetCallerIdentity
            GetSessionToken;
    };
    let served: BTreeSet<&str> = operations().map(|operation| operation.action.0).collect();
    assert_eq!(covered, served, "an operation is served and not in this list");
}
