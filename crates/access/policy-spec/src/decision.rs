//! 2.2: the order of decisions, and what each type of policy contributes.

use serde_json::Value;

use crate::case::{CallerKind, Request};
use crate::grant;
use crate::message::{explicit_deny, implicit_deny};
use crate::principal::Class;
use crate::statement::{self, Effect, Principals};
use crate::verdict::{PolicyType, Verdict};

/// The actions of Secrets Manager that ever cross accounts (2.8).
const CROSS_ACCOUNT_SECRETS: &[&str] = &[
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

/// The same of Lambda.
const CROSS_ACCOUNT_LAMBDA: &[&str] = &[
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

/// The same of KMS: the cryptographic operations, then the others.
const CROSS_ACCOUNT_KMS: &[&str] = &[
    "Encrypt",
    "Decrypt",
    "ReEncryptFrom",
    "ReEncryptTo",
    "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext",
    "GenerateDataKeyPair",
    "GenerateDataKeyPairWithoutPlaintext",
    "GenerateMac",
    "VerifyMac",
    "Sign",
    "Verify",
    "DeriveSharedSecret",
    "CreateGrant",
    "DescribeKey",
    "GetKeyRotationStatus",
    "ListKeyRotations",
    "GetPublicKey",
    "ListGrants",
    "RetireGrant",
    "RevokeGrant",
];

/// 2.5: the kinds of resources that differ in what the lack of a resource policy means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ResourceKind {
    Ordinary,
    Key,
    Role,
}

/// What the documents of one type say. Several documents of one type are one OR.
#[derive(Debug, Clone, Copy, Default)]
struct Outcome {
    denies: bool,
    allows: Option<Class>,
}

impl Outcome {
    fn or(self, other: Self) -> Self {
        Self { denies: self.denies || other.denies, allows: self.allows.max(other.allows) }
    }
}

/// Everything, evaluated before anything is decided.
#[derive(Debug)]
struct Outcomes {
    service_control: Vec<Outcome>,
    resource_control: Outcome,
    /// Nothing when there is no such policy, which then limits nothing. So with the next two.
    endpoint: Option<Outcome>,
    boundary: Option<Outcome>,
    session: Option<Outcome>,
    identity: Outcome,
    resource: Outcome,
}

pub(crate) fn decide(request: &Request<'_>) -> Verdict {
    // Step 0: who one is cannot be forbidden.
    if is_get_caller_identity(request) {
        return Verdict::allow();
    }
    // Step 1: every document of every type.
    let outcomes = evaluate(request);
    let kind = resource_kind(request);

    // Step 2: any Deny, of any type.
    let denied = explicitly_denied(&outcomes, kind);
    request.saw("2.2 a Deny applies", denied.is_some());
    if let Some(named) = denied {
        return explicit_deny(request, named);
    }
    // Step 3: every level of SCPs has to allow.
    let levels_allow = outcomes.service_control.iter().all(|level| level.allows.is_some());
    request.saw("2.3 every SCP level allows", levels_allow);
    if !levels_allow {
        return implicit_deny(request, PolicyType::ServiceControl);
    }
    // Step 4: so has the endpoint policy.
    if let Some(endpoint) = outcomes.endpoint {
        request.saw("2.3 the endpoint policy allows", endpoint.allows.is_some());
        if endpoint.allows.is_none() {
            return implicit_deny(request, PolicyType::Endpoint);
        }
    }
    // Step 5: for callers without an account the resource policy alone decides.
    let alone = !request.caller.lives_in_an_account();
    request.saw("2.2 the resource policy decides alone", alone);
    if alone {
        return resource_policy_alone(request, &outcomes, kind);
    }
    // Steps 6 and 7.
    let same_account = request.caller.account == request.resource_account;
    request.saw("2.2 caller and resource are of one account", same_account);
    if same_account {
        within_the_account(request, &outcomes, kind)
    } else {
        across_accounts(request, &outcomes, kind)
    }
}

fn is_get_caller_identity(request: &Request<'_>) -> bool {
    let authenticated = request.caller.kind != CallerKind::Anonymous;
    let answer = authenticated && request.action_is("sts:GetCallerIdentity");
    request.saw("2.2 GetCallerIdentity is always allowed", answer);
    answer
}

fn evaluate(request: &Request<'_>) -> Outcomes {
    Outcomes {
        service_control: service_control(request),
        resource_control: resource_control(request),
        endpoint: request
            .policies
            .get("endpoint")
            .map(|document| document_outcome(request, Principals::NamedOrEverybody, document)),
        boundary: boundary(request),
        session: limiting(request, "session"),
        identity: identity(request),
        resource: resource(request),
    }
}

/// 2.3: SCPs bind the principals of accounts, root included, and nobody else. Within a level any document may allow.
fn service_control(request: &Request<'_>) -> Vec<Outcome> {
    let bound = request.caller.lives_in_an_account();
    request.saw("2.3 the caller is bound by SCPs", bound);
    if !bound {
        return Vec::new();
    }
    let levels = list(request, "scp").iter();
    levels.map(|level| documents_outcome(request, Principals::Implied, documents(level))).collect()
}

/// 2.3: RCPs bind everybody. They come with an implied full allow, so only what they deny matters.
fn resource_control(request: &Request<'_>) -> Outcome {
    let levels = list(request, "rcp").iter();
    let outcomes = levels.map(|level| documents_outcome(request, Principals::Named, documents(level)));
    let outcome = outcomes.fold(Outcome::default(), Outcome::or);
    request.saw("2.3 an RCP denies", outcome.denies);
    outcome
}

/// 2.6 and 2.7: what is attached to the caller, as far as it counts.
fn identity(request: &Request<'_>) -> Outcome {
    let written = documents_outcome(request, Principals::Implied, list(request, "identity"));
    match request.caller.kind {
        // Root acts as if it were allowed everything.
        CallerKind::Root => Outcome { allows: Some(Class::Direct), ..written },
        // A federated session has the permissions of its user only within session policies; without any it has none.
        CallerKind::FederatedUser => {
            let has_session_policy = !list(request, "session").is_empty();
            request.saw("2.6 a federated session has identity permissions", has_session_policy);
            Outcome { allows: written.allows.filter(|_| has_session_policy), ..written }
        }
        _ => written,
    }
}

/// 2.7: root has no boundary.
fn boundary(request: &Request<'_>) -> Option<Outcome> {
    if request.caller.kind == CallerKind::Root { None } else { limiting(request, "boundary") }
}

/// 2.6: boundaries and session policies limit once there is one.
fn limiting(request: &Request<'_>, member: &str) -> Option<Outcome> {
    let documents = list(request, member);
    (!documents.is_empty()).then(|| documents_outcome(request, Principals::Implied, documents))
}

/// The policy of the secret, the key or the role. KMS grants are counted where they are decided.
fn resource(request: &Request<'_>) -> Outcome {
    let document = request.policies.get("resource");
    document.map(|document| document_outcome(request, Principals::Named, document)).unwrap_or_default()
}

fn list<'a>(request: &Request<'a>, member: &str) -> &'a [Value] {
    request.policies.get(member).map(documents).unwrap_or_default()
}

fn documents(list: &Value) -> &[Value] {
    list.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn documents_outcome(request: &Request<'_>, principals: Principals, documents: &[Value]) -> Outcome {
    let outcomes = documents.iter().map(|document| document_outcome(request, principals, document));
    outcomes.fold(Outcome::default(), Outcome::or)
}

/// A document denies if any statement of it denies, and allows as well as its best statement.
fn document_outcome(request: &Request<'_>, principals: Principals, document: &Value) -> Outcome {
    // 1.7: only the later version has variables; no version means the earlier one.
    let variables = document.get("Version").and_then(Value::as_str) == Some("2012-10-17");
    request.saw("1.7 the document has variables", variables);
    let statements = match document.get("Statement") {
        Some(Value::Array(list)) => list.as_slice(),
        Some(single) => std::slice::from_ref(single),
        None => &[],
    };
    let applied = statements.iter().map(|statement| {
        match statement::applies(request, principals, variables, statement) {
            Some((Effect::Deny, _)) => Outcome { denies: true, allows: None },
            Some((Effect::Allow, class)) => Outcome { denies: false, allows: Some(class) },
            None => Outcome::default(),
        }
    });
    applied.fold(Outcome::default(), Outcome::or)
}

/// 2.9: which type is named when several deny: SCP, RCP, endpoint, identity, boundary, session, resource.
fn explicitly_denied(outcomes: &Outcomes, kind: ResourceKind) -> Option<PolicyType> {
    let denies = |outcome: &Option<Outcome>| outcome.is_some_and(|outcome| outcome.denies);
    let in_order = [
        (PolicyType::ServiceControl, outcomes.service_control.iter().any(|level| level.denies)),
        (PolicyType::ResourceControl, outcomes.resource_control.denies),
        (PolicyType::Endpoint, denies(&outcomes.endpoint)),
        (PolicyType::Identity, outcomes.identity.denies),
        (PolicyType::Boundary, denies(&outcomes.boundary)),
        (PolicyType::Session, denies(&outcomes.session)),
        (resource_policy_of(kind), outcomes.resource.denies),
    ];
    in_order.into_iter().find(|(_, denies)| *denies).map(|(named, _)| named)
}

/// The resource policy of a role is called its trust policy.
const fn resource_policy_of(kind: ResourceKind) -> PolicyType {
    match kind {
        ResourceKind::Ordinary | ResourceKind::Key => PolicyType::Resource,
        ResourceKind::Role => PolicyType::Trust,
    }
}

/// 2.5: a key is a key whatever is asked of it; a role is of the kind *role* only when somebody wants to become it.
fn resource_kind(request: &Request<'_>) -> ResourceKind {
    let segments: Vec<&str> = request.resource.unwrap_or_default().splitn(6, ':').collect();
    match segments.as_slice() {
        [_, _, "kms", _, _, rest] if rest.starts_with("key/") => ResourceKind::Key,
        [_, _, "iam", _, _, rest] if rest.starts_with("role/") && is_sts(request) => ResourceKind::Role,
        _ => ResourceKind::Ordinary,
    }
}

fn is_sts(request: &Request<'_>) -> bool {
    request.action.split_once(':').is_some_and(|(service, _)| service.eq_ignore_ascii_case("sts"))
}

/// Step 5: services, web identities and anonymous callers have nothing but the resource policy.
fn resource_policy_alone(request: &Request<'_>, outcomes: &Outcomes, kind: ResourceKind) -> Verdict {
    let allows = outcomes.resource.allows.is_some();
    request.saw("2.2 the resource policy alone allows", allows);
    if allows { Verdict::allow() } else { implicit_deny(request, resource_policy_of(kind)) }
}

/// 2.10: on a key, what a grant gives counts like a grant of the key policy.
fn granted(request: &Request<'_>, outcomes: &Outcomes, kind: ResourceKind) -> Option<Class> {
    match kind {
        ResourceKind::Key => outcomes.resource.allows.max(grant::best(request)),
        ResourceKind::Ordinary | ResourceKind::Role => outcomes.resource.allows,
    }
}

/// 2.5: the table of the same account.
fn within_the_account(request: &Request<'_>, outcomes: &Outcomes, kind: ResourceKind) -> Verdict {
    let identity = outcomes.identity.allows.is_some();
    let granted = granted(request, outcomes, kind);
    request.saw("2.5 a direct grant", granted == Some(Class::Direct));
    request.saw("2.5 a grant to the role", granted == Some(Class::Role));
    request.saw("2.5 a grant to the federated user's user", granted == Some(Class::FederatedUser));
    match granted {
        Some(Class::Direct) => Verdict::allow(),
        Some(Class::Role | Class::FederatedUser) => limited(request, outcomes),
        Some(Class::Account) => {
            request.saw("2.5 a grant to the account, and an identity policy that allows", identity);
            if identity { limited(request, outcomes) } else { implicit_deny(request, PolicyType::Identity) }
        }
        None => {
            let needs_grant = kind != ResourceKind::Ordinary;
            request.saw("2.5 no grant on a key or role", needs_grant);
            if needs_grant {
                return implicit_deny(request, resource_policy_of(kind));
            }
            request.saw("2.5 no grant, but an identity policy that allows", identity);
            if identity { limited(request, outcomes) } else { implicit_deny(request, PolicyType::Identity) }
        }
    }
}

/// 2.6: allowed, if the boundary and the session policies allow too, where there are any.
fn limited(request: &Request<'_>, outcomes: &Outcomes) -> Verdict {
    let (boundary, session) = limits_permit(request, outcomes);
    if !boundary {
        implicit_deny(request, PolicyType::Boundary)
    } else if !session {
        implicit_deny(request, PolicyType::Session)
    } else {
        Verdict::allow()
    }
}

fn limits_permit(request: &Request<'_>, outcomes: &Outcomes) -> (bool, bool) {
    let permits = |limit: &Option<Outcome>| limit.is_none_or(|outcome| outcome.allows.is_some());
    let (boundary, session) = (permits(&outcomes.boundary), permits(&outcomes.session));
    request.saw("2.6 the boundary permits", boundary);
    request.saw("2.6 the session policies permit", session);
    (boundary, session)
}

/// 2.8: across accounts both sides have to allow, and only for some actions.
fn across_accounts(request: &Request<'_>, outcomes: &Outcomes, kind: ResourceKind) -> Verdict {
    let may_cross = may_cross_accounts(request, kind);
    request.saw("2.8 the action may cross accounts", may_cross);
    if !may_cross {
        return implicit_deny(request, resource_policy_of(kind));
    }
    if kind == ResourceKind::Key {
        let suffices = grant::best(request) == Some(Class::Direct);
        request.saw("2.8 a grant alone suffices", suffices);
        if suffices {
            return Verdict::allow();
        }
    }
    let identity = outcomes.identity.allows.is_some();
    let (boundary, session) = limits_permit(request, outcomes);
    let granted = granted(request, outcomes, kind);
    request.saw("2.8 the caller's side allows", identity && boundary && session);
    request.saw("2.8 the resource's side grants", granted.is_some());
    if identity && boundary && session && granted.is_some() {
        return Verdict::allow();
    }
    // 2.9: when the resource policy names the caller and only his own policy is missing, that is said; else the resource policy is
    // named, even if the account is granted and only the identity policy is missing.
    let names_caller = matches!(granted, Some(Class::Direct | Class::Role));
    let named = if names_caller && !identity { PolicyType::Identity } else { resource_policy_of(kind) };
    implicit_deny(request, named)
}

fn may_cross_accounts(request: &Request<'_>, kind: ResourceKind) -> bool {
    let among = |service: &str, names: &[&str]| {
        names.iter().any(|name| request.action_is(&format!("{service}:{name}")))
    };
    kind == ResourceKind::Role
        || among("secretsmanager", CROSS_ACCOUNT_SECRETS)
        || among("kms", CROSS_ACCOUNT_KMS)
        || among("lambda", CROSS_ACCOUNT_LAMBDA)
}
