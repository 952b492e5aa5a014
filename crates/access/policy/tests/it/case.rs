//! A case of the vectors, put to the engine: one request with every policy that has a say, as JSON.

use std::borrow::Cow;

use coffer_policy::{
    Caller, Constraint, Context, Decision, Grant, Key, Kind, Policies, Policy, Request, Shown, Values, tag,
};
use serde_json::Value;

/// What the engine said, in the words of the cases.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) decision: &'static str,
    /// By which type of policy it was refused.
    pub(crate) named: Option<String>,
    pub(crate) message: Option<String>,
}

/// The keys of a case. A list of one is a text, as in a real request whose key is no list.
struct Keys<'c>(&'c Value);

impl Context for Keys<'_> {
    fn values<'a>(&'a self, key: &'a Key) -> Option<Values<'a>> {
        let entries = self.0.as_object()?;
        // A key has no case, and a tag behind it has one for which a service looks.
        let (prefix, wanted) = key.as_written().split_once('/').unwrap_or((key.as_written(), ""));
        let tags = entries.keys().filter_map(|name| {
            let (head, tail) = name.split_once('/').unwrap_or((name, ""));
            head.eq_ignore_ascii_case(prefix).then_some((tail, name.as_str()))
        });
        let values = entries.get(tag(tags, wanted)?)?.as_array()?;
        let text = |value: &'a Value| Cow::Borrowed(value.as_str().unwrap());
        Some(match values.as_slice() {
            [lone] => Values::One(text(lone)),
            many => Values::Many(many.iter().map(text).collect()),
        })
    }
}

pub(crate) fn decide(case: &Value) -> Said {
    let text = |name: &str| case[name].as_str();
    let resource = text("resource").filter(|resource| *resource != "*");
    let encryption_context = pairs(&case["encryption_context"]);
    let encryption_context: Vec<_> =
        encryption_context.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let context = Keys(&case["context"]);
    let request = Request {
        caller: caller(&case["principal"]),
        action: text("action").unwrap(),
        resource,
        resource_account: text("resource_account").map(|account| account.parse().unwrap()),
        context: &context,
        encryption_context: &encryption_context,
    };
    let shown = text("display_resource").or(resource).map_or(Shown::Nothing, Shown::As);
    with_policies(case, |policies| {
        let decision = policies.decide(&request);
        assert_eq!(policies.explain(&request).decision, decision);
        let (word, named) = match decision {
            Decision::Allowed(_) => ("Allow", None),
            Decision::ExplicitDeny { by, .. } => ("ExplicitDeny", Some(format!("{by:?}"))),
            Decision::ImplicitDeny { by } => ("ImplicitDeny", Some(format!("{by:?}"))),
        };
        Said { decision: word, named, message: decision.message(&request, shown) }
    })
}

fn caller(principal: &Value) -> Caller<'_> {
    let text = |name: &str| principal[name].as_str().unwrap();
    let account = || text("account").parse().unwrap();
    match text("type") {
        "Root" => Caller::Root { arn: text("arn"), account: account() },
        "User" => Caller::User { arn: text("arn"), account: account(), id: None },
        "AssumedRole" => Caller::RoleSession {
            arn: text("arn"),
            account: account(),
            role: text("role_arn"),
            role_id: None,
        },
        "FederatedUser" => Caller::FederatedUser {
            arn: text("arn"),
            account: account(),
            user: text("user_arn"),
            user_id: None,
        },
        "Service" => Caller::Service(text("service")),
        "WebIdentity" => Caller::WebIdentity { provider: text("provider") },
        "Anonymous" => Caller::Anonymous,
        other => panic!("{other}"),
    }
}

fn with_policies<T>(case: &Value, ask: impl FnOnce(&Policies<'_>) -> T) -> T {
    let policies = &case["policies"];
    // The policy of a role has other elements than any other.
    let is_trust = case["resource"].as_str().is_some_and(|arn| arn.contains(":role/"))
        && case["action"].as_str().is_some_and(|action| action.to_ascii_lowercase().starts_with("sts:"));
    let of_resource = if is_trust { Kind::Trust } else { Kind::Resource };
    let list = |value: &Value, kind| -> Option<Vec<Policy>> {
        let read = |document: &Value| Policy::stored("policy", kind, &document.to_string());
        Some(value.as_array()?.iter().map(read).collect())
    };
    let one =
        |value: &Value, kind| value.as_object().map(|_| Policy::stored("policy", kind, &value.to_string()));
    let levels = |value: &Value, kind| -> Vec<Vec<Policy>> {
        value
            .as_array()
            .map(|levels| levels.iter().filter_map(|level| list(level, kind)).collect())
            .unwrap_or_default()
    };
    let identity = list(&policies["identity"], Kind::Inline).unwrap_or_default();
    let boundary = list(&policies["boundary"], Kind::Inline);
    let session = list(&policies["session"], Kind::Inline);
    let resource = one(&policies["resource"], of_resource);
    let endpoint = one(&policies["endpoint"], Kind::Resource);
    let service_control = levels(&policies["scp"], Kind::Inline);
    let resource_control = levels(&policies["rcp"], Kind::Resource);
    let grants: Vec<Grant> = policies["grants"].as_array().into_iter().flatten().map(grant).collect();

    let identity: Vec<_> = identity.iter().collect();
    let boundary: Option<Vec<_>> = boundary.as_ref().map(|list| list.iter().collect());
    let session: Option<Vec<_>> = session.as_ref().map(|list| list.iter().collect());
    let service_control: Vec<Vec<&Policy>> =
        service_control.iter().map(|level| level.iter().collect()).collect();
    let service_control: Vec<&[&Policy]> = service_control.iter().map(Vec::as_slice).collect();
    let resource_control: Vec<Vec<&Policy>> =
        resource_control.iter().map(|level| level.iter().collect()).collect();
    let resource_control: Vec<&[&Policy]> = resource_control.iter().map(Vec::as_slice).collect();
    ask(&Policies {
        identity: &identity,
        boundary: boundary.as_deref(),
        session: session.as_deref(),
        resource: resource.as_ref(),
        grants: &grants,
        endpoint: endpoint.as_ref(),
        service_control: &service_control,
        resource_control: &resource_control,
    })
}

fn grant(value: &Value) -> Grant {
    let operations =
        value["Operations"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned());
    let constraints = &value["Constraints"];
    let constraint = if constraints["EncryptionContextEquals"].is_object() {
        Some(Constraint::Equals(pairs(&constraints["EncryptionContextEquals"])))
    } else if constraints["EncryptionContextSubset"].is_object() {
        Some(Constraint::Subset(pairs(&constraints["EncryptionContextSubset"])))
    } else {
        None
    };
    Grant::new(value["GranteePrincipal"].as_str().unwrap(), operations.collect(), constraint)
}

fn pairs(value: &Value) -> Vec<(String, String)> {
    let pair = |(name, value): (&String, &Value)| (name.clone(), value.as_str().unwrap().to_owned());
    value.as_object().into_iter().flatten().map(pair).collect()
}
