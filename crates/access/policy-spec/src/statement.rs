//! Whether one statement applies to a request: its action, its resource, its condition and, where the document has principals, whom
//! it means. All four are looked at always.

use serde_json::Value;

use crate::case::Request;
use crate::condition;
use crate::element::texts;
use crate::principal::{self, Class};
use crate::resource::{self, Entry};
use crate::wildcard::{matches, pattern};

/// What the statements of a document have to say about principals (2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Principals {
    /// Identity policies, boundaries, session policies and SCPs: the caller, because it is his.
    Implied,
    /// Secret, key and trust policies and RCPs: a statement that names nobody never applies.
    Named,
    /// Endpoint policies: a statement that names nobody means everybody.
    NamedOrEverybody,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Allow,
    Deny,
}

/// What the statement does for this request: its effect, and how well it knows the caller. Nothing when it does not apply.
pub(crate) fn applies(
    request: &Request<'_>,
    principals: Principals,
    variables: bool,
    statement: &Value,
) -> Option<(Effect, Class)> {
    let effect = match statement.get("Effect")?.as_str()? {
        "Allow" => Effect::Allow,
        "Deny" => Effect::Deny,
        _ => return None,
    };
    let action = action_applies(request, statement);
    let resource = resource_applies(request, variables, effect, statement);
    let condition = condition::holds(request, variables, statement.get("Condition"));
    let class = principal::class(request, principals, effect, statement);
    class.filter(|_| action && resource && condition).map(|class| (effect, class))
}

/// 1.5: `Action` applies when a pattern matches, `NotAction` when none does.
fn action_applies(request: &Request<'_>, statement: &Value) -> bool {
    if let Some(actions) = statement.get("Action") {
        let applies = any_action_matches(request, actions);
        request.saw("1.5 Action", applies);
        applies
    } else if let Some(actions) = statement.get("NotAction") {
        let applies = !any_action_matches(request, actions);
        request.saw("1.5 NotAction", applies);
        applies
    } else {
        false
    }
}

/// 1.5: whole string, ignoring case, no variables, no trimming.
fn any_action_matches(request: &Request<'_>, actions: &Value) -> bool {
    let action = request.action.to_lowercase();
    texts(actions).into_iter().any(|written| matches(&pattern(&written.to_lowercase()), &action))
}

/// 1.6: `Resource` applies when an entry matches, `NotResource` when none does.
/// A trust policy has neither, and means its role (V11).
fn resource_applies(request: &Request<'_>, variables: bool, effect: Effect, statement: &Value) -> bool {
    let entries = |element: &Value| -> Vec<Entry> {
        texts(element).into_iter().map(|written| resource::entry(request, variables, written)).collect()
    };
    if let Some(element) = statement.get("Resource") {
        let applies = entries(element).contains(&Entry::Matches);
        request.saw("1.6 Resource", applies);
        applies
    } else if let Some(element) = statement.get("NotResource") {
        let applies = not_resource_applies(request, effect, &entries(element));
        request.saw("1.6 NotResource", applies);
        applies
    } else {
        true
    }
}

/// 1.6: an entry with an unresolved variable matches nothing, which would let `NotResource` apply to more; so it voids an Allow.
fn not_resource_applies(request: &Request<'_>, effect: Effect, entries: &[Entry]) -> bool {
    if effect == Effect::Allow {
        let void = entries.contains(&Entry::Unresolved);
        request.saw("1.6 an unresolved variable voids Allow with NotResource", void);
        if void {
            return false;
        }
    }
    !entries.contains(&Entry::Matches)
}
