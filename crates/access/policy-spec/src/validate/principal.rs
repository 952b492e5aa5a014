//! V10 and V13 to V16: principals.
//!
//! Which entities exist is not known here; only their form is looked at.

use super::Kind;
use crate::json::Json;
use crate::principal::is_account_id;

const WELL_KNOWN_PROVIDERS: &[&str] =
    &["accounts.google.com", "www.amazon.com", "graph.facebook.com", "cognito-identity.amazonaws.com"];

/// V10.
pub(super) fn in_identity_policy(kind: Kind, statements: &[Json]) -> Option<String> {
    let names_somebody =
        |statement: &Json| statement.get("Principal").or(statement.get("NotPrincipal")).is_some();
    (kind == Kind::Identity && statements.iter().any(names_somebody))
        .then(|| "Policy document should not specify a principal.".to_owned())
}

/// V13.
pub(super) fn malformed_in_trust_policy(kind: Kind, statements: &[Json]) -> Option<String> {
    if kind != Kind::Trust {
        return None;
    }
    let (of, name) = first_malformed(statements)?;
    Some(format!("Invalid principal in policy: \"{of}\":\"{name}\""))
}

/// V14.
pub(super) fn malformed_in_key_policy(kind: Kind, statements: &[Json]) -> Option<String> {
    (kind == Kind::Key && first_malformed(statements).is_some())
        .then(|| "Policy contains a statement with one or more invalid principals.".to_owned())
}

/// V15.
pub(super) fn malformed_in_secret_policy(kind: Kind, statements: &[Json]) -> Option<String> {
    (kind == Kind::Secret && first_malformed(statements).is_some())
        .then(|| "This resource policy contains an unsupported principal.".to_owned())
}

/// V16: a trust policy has no `NotPrincipal`, other resource policies none with Allow; all have a principal in every statement.
pub(super) fn missing_or_negated(kind: Kind, statements: &[Json]) -> Option<String> {
    if kind == Kind::Identity {
        return None;
    }
    for statement in statements {
        let negated = statement.get("NotPrincipal").is_some();
        if negated && kind == Kind::Trust {
            return Some("NotPrincipal is not supported in a trust policy.".to_owned());
        }
        if negated && statement.get("Effect").and_then(Json::as_text) == Some("Allow") {
            return Some("NotPrincipal is not supported with the Allow effect.".to_owned());
        }
        if !negated && statement.get("Principal").is_none() {
            return Some("This resource policy contains a statement without a principal.".to_owned());
        }
    }
    None
}

/// Kind and name of the first principal that is not well formed.
fn first_malformed(statements: &[Json]) -> Option<(String, String)> {
    let elements = statements
        .iter()
        .filter_map(|statement| statement.get("Principal").or(statement.get("NotPrincipal")));
    elements.flat_map(named).find(|(kind, name)| !is_well_formed(kind, name))
}

fn named(element: &Json) -> Vec<(String, String)> {
    match element {
        Json::Text(text) => vec![("AWS".to_owned(), text.clone())],
        Json::Object(kinds) => kinds.iter().flat_map(|(kind, names)| of_kind(kind, names)).collect(),
        // Neither "*" nor an object of kinds: nothing well formed.
        _ => vec![(String::new(), String::new())],
    }
}

fn of_kind(kind: &str, names: &Json) -> Vec<(String, String)> {
    let names = names.as_list().iter();
    names.map(|name| (kind.to_owned(), name.as_text().unwrap_or_default().to_owned())).collect()
}

fn is_well_formed(kind: &str, name: &str) -> bool {
    match kind {
        "AWS" => name == "*" || is_account_id(name) || is_entity_arn(name) || is_unique_id(name),
        "Service" => is_service(name),
        "Federated" => is_provider_arn(name) || WELL_KNOWN_PROVIDERS.contains(&name),
        // CanonicalUser means nothing outside S3.
        _ => false,
    }
}

/// Root, users, roles, and the sessions of roles and federated users. A `*` inside an ARN is never accepted.
fn is_entity_arn(name: &str) -> bool {
    let fields: Vec<&str> = name.splitn(6, ':').collect();
    let ["arn", partition, service, "", account, rest] = fields.as_slice() else { return false };
    let named = |prefix: &str| rest.strip_prefix(prefix).filter(|name| !name.is_empty());
    let is_entity = match *service {
        "iam" => *rest == "root" || named("user/").or(named("role/")).is_some(),
        "sts" => {
            let session = named("assumed-role/").and_then(|name| name.split_once('/'));
            session.is_some_and(|(role, session)| {
                !role.is_empty() && !session.is_empty() && !session.contains('/')
            }) || named("federated-user/").is_some()
        }
        _ => false,
    };
    is_partition(partition) && is_account_id(account) && is_entity && !rest.contains('*')
}

fn is_provider_arn(name: &str) -> bool {
    let fields: Vec<&str> = name.splitn(6, ':').collect();
    let ["arn", partition, "iam", "", account, rest] = fields.as_slice() else { return false };
    let provider = rest.strip_prefix("oidc-provider/").or(rest.strip_prefix("saml-provider/"));
    is_partition(partition)
        && is_account_id(account)
        && provider.is_some_and(|name| !name.is_empty() && !name.contains('*'))
}

fn is_partition(text: &str) -> bool {
    super::resource::is_partition(text)
}

/// The unique id of a role or user, which is what a principal becomes when its entity is gone.
fn is_unique_id(name: &str) -> bool {
    let rest = name.strip_prefix("AROA").or(name.strip_prefix("AIDA")).unwrap_or_default();
    !rest.is_empty() && rest.chars().all(|letter| letter.is_ascii_uppercase() || letter.is_ascii_digit())
}

fn is_service(name: &str) -> bool {
    name.strip_suffix(".amazonaws.com").is_some_and(|service| !service.is_empty() && !service.contains('*'))
}
