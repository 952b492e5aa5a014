//! 2.4: principals in resource policies: how well a statement knows the caller.
//!
//! Entities are compared by their whole ARN, which a case gives with path; the format has no unique ids.

use serde_json::Value;

use crate::case::{CallerKind, Request};
use crate::element::texts;
use crate::statement::{Effect, Principals};

/// How well an entry knows the caller. The better class is the greater one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    Account,
    FederatedUser,
    Role,
    Direct,
}

/// One entry of a `Principal` or `NotPrincipal` element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named<'a> {
    Everybody,
    Aws(&'a str),
    Service(&'a str),
    Federated(&'a str),
    /// A kind that means nobody here, such as `CanonicalUser`.
    Nobody,
}

/// The class of a statement for the caller; nothing when it does not mean him.
pub(crate) fn class(
    request: &Request<'_>,
    principals: Principals,
    effect: Effect,
    statement: &Value,
) -> Option<Class> {
    if principals == Principals::Implied {
        return Some(Class::Direct);
    }
    if let Some(element) = statement.get("Principal") {
        return best_class(request, &entries(element));
    }
    if let Some(element) = statement.get("NotPrincipal") {
        let entries = entries(element);
        return match effect {
            Effect::Deny => (!is_exempt(request, &entries)).then_some(Class::Direct),
            Effect::Allow => is_matched_by_nothing(request, &entries).then_some(Class::Direct),
        };
    }
    (principals == Principals::NamedOrEverybody).then_some(Class::Direct)
}

/// The class of a statement is the best class of its entries.
fn best_class(request: &Request<'_>, entries: &[Named<'_>]) -> Option<Class> {
    entries.iter().filter_map(|entry| entry_class(request, *entry)).max()
}

/// The class of one entry. Every kind of entry is asked, and at most one answers.
fn entry_class(request: &Request<'_>, entry: Named<'_>) -> Option<Class> {
    match entry {
        Named::Everybody => Some(Class::Direct),
        Named::Aws(text) => {
            let caller = caller_class(request, text);
            let role = role_class(request, text);
            let federated = federated_user_class(request, text);
            let account = account_class(request, text);
            caller.or(role).or(federated).or(account)
        }
        Named::Service(text) => service_class(request, text),
        Named::Federated(text) => provider_class(request, text),
        Named::Nobody => None,
    }
}

/// A user, session or federated-user ARN that is the caller's own. There are no wildcards in ARNs of principals.
fn caller_class(request: &Request<'_>, text: &str) -> Option<Class> {
    let is_caller = request.caller.lives_in_an_account()
        && request.caller.kind != CallerKind::Root
        && request.caller.arn == Some(text);
    request.saw("2.4 the caller's own ARN", is_caller);
    is_caller.then_some(Class::Direct)
}

/// A role ARN that is the role of the caller's session.
fn role_class(request: &Request<'_>, text: &str) -> Option<Class> {
    if request.caller.kind != CallerKind::AssumedRole {
        return None;
    }
    let is_role = request.caller.role_arn == Some(text);
    request.saw("2.4 the role of the session", is_role);
    is_role.then_some(Class::Role)
}

/// A user ARN that is the user behind a federated-user session.
fn federated_user_class(request: &Request<'_>, text: &str) -> Option<Class> {
    if request.caller.kind != CallerKind::FederatedUser {
        return None;
    }
    let is_user = request.caller.user_arn == Some(text);
    request.saw("2.4 the user behind the federated session", is_user);
    is_user.then_some(Class::FederatedUser)
}

/// An account id or `:root` ARN of the caller's account. For the root user that is himself.
fn account_class(request: &Request<'_>, text: &str) -> Option<Class> {
    if !request.caller.lives_in_an_account() {
        return None;
    }
    let named = account_named(text)?;
    let is_account = request.caller.account == Some(named);
    let is_root = request.caller.kind == CallerKind::Root;
    request.saw("2.4 the account of the caller", is_account);
    if is_account {
        request.saw("2.4 the account is named and the caller is its root", is_root);
    }
    is_account.then_some(if is_root { Class::Direct } else { Class::Account })
}

/// The account that `111122223333` and `arn:aws:iam::111122223333:root` name.
pub(crate) fn account_named(text: &str) -> Option<&str> {
    if is_account_id(text) {
        return Some(text);
    }
    let segments: Vec<&str> = text.splitn(6, ':').collect();
    match segments.as_slice() {
        ["arn", _, "iam", "", account, "root"] if is_account_id(account) => Some(account),
        _ => None,
    }
}

pub(crate) fn is_account_id(text: &str) -> bool {
    text.len() == 12 && text.chars().all(|letter| letter.is_ascii_digit())
}

fn service_class(request: &Request<'_>, text: &str) -> Option<Class> {
    let is_caller = request.caller.kind == CallerKind::Service && request.caller.service == Some(text);
    request.saw("2.4 the service", is_caller);
    is_caller.then_some(Class::Direct)
}

/// The caller presents a token of that provider.
fn provider_class(request: &Request<'_>, text: &str) -> Option<Class> {
    let is_provider = request.caller.kind == CallerKind::WebIdentity && request.caller.provider == Some(text);
    request.saw("2.4 the provider of the token", is_provider);
    is_provider.then_some(Class::Direct)
}

/// `NotPrincipal` with Deny: who is exempt.
///
/// His own ARN has to be listed and, for a role session, the role's too; the account or the role alone do not exempt. A caller with
/// a permissions boundary is never exempt. A star exempts everybody else.
fn is_exempt(request: &Request<'_>, entries: &[Named<'_>]) -> bool {
    let everybody = entries.contains(&Named::Everybody);
    let listed = entries
        .iter()
        .any(|entry| *entry != Named::Everybody && entry_class(request, *entry) == Some(Class::Direct));
    let role_listed = request.caller.kind != CallerKind::AssumedRole
        || entries.iter().any(|entry| entry_class(request, *entry) == Some(Class::Role));
    let bounded = has_boundary(request);
    let exempt = (everybody || (listed && role_listed)) && !bounded;
    request.saw("2.4 a boundary undoes NotPrincipal", bounded);
    request.saw("2.4 NotPrincipal exempts from Deny", exempt);
    exempt
}

/// `NotPrincipal` with Allow: a direct grant to every caller that no entry matches, anonymous included.
fn is_matched_by_nothing(request: &Request<'_>, entries: &[Named<'_>]) -> bool {
    let granted = best_class(request, entries).is_none();
    request.saw("2.4 NotPrincipal with Allow grants", granted);
    granted
}

/// Root has no boundary (2.7).
pub(crate) fn has_boundary(request: &Request<'_>) -> bool {
    request.caller.kind != CallerKind::Root
        && request.policies.get("boundary").and_then(Value::as_array).is_some_and(|list| !list.is_empty())
}

fn entries(element: &Value) -> Vec<Named<'_>> {
    match element {
        Value::String(text) if text == "*" => vec![Named::Everybody],
        Value::Object(kinds) => kinds
            .iter()
            .flat_map(|(kind, names)| texts(names).into_iter().map(|name| entry(kind, name)))
            .collect(),
        _ => Vec::new(),
    }
}

fn entry<'a>(kind: &str, name: &'a str) -> Named<'a> {
    match (kind, name) {
        ("AWS", "*") => Named::Everybody,
        ("AWS", arn) => Named::Aws(arn),
        ("Service", service) => Named::Service(service),
        ("Federated", provider) => Named::Federated(provider),
        _ => Named::Nobody,
    }
}
