//! One case: who asks for what, with which condition keys, and every policy that has a say.
//!
//! Nothing is derived here that a case does not say, except the owner of the resource.

use serde_json::{Map, Value};

use crate::resource;
use crate::trace::Trace;

/// The types of 2.1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallerKind {
    User,
    AssumedRole,
    FederatedUser,
    Root,
    Service,
    WebIdentity,
    Anonymous,
}

#[derive(Debug)]
pub(crate) struct Caller<'a> {
    pub(crate) kind: CallerKind,
    pub(crate) arn: Option<&'a str>,
    pub(crate) account: Option<&'a str>,
    /// The role of an assumed role, with its path.
    pub(crate) role_arn: Option<&'a str>,
    /// The user behind a `GetFederationToken` session.
    pub(crate) user_arn: Option<&'a str>,
    pub(crate) service: Option<&'a str>,
    pub(crate) provider: Option<&'a str>,
}

impl Caller<'_> {
    /// A principal that lives in an account: what organisation policies bind and identity policies are attached to.
    pub(crate) const fn lives_in_an_account(&self) -> bool {
        match self.kind {
            CallerKind::User | CallerKind::AssumedRole | CallerKind::FederatedUser | CallerKind::Root => true,
            CallerKind::Service | CallerKind::WebIdentity | CallerKind::Anonymous => false,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) caller: Caller<'a>,
    pub(crate) action: &'a str,
    /// The ARN. Nothing for an action without a resource, which a case writes as `*`.
    pub(crate) resource: Option<&'a str>,
    pub(crate) resource_account: Option<&'a str>,
    pub(crate) display_resource: Option<&'a str>,
    context: Vec<(&'a str, Vec<String>)>,
    pub(crate) encryption_context: Vec<(&'a str, &'a str)>,
    pub(crate) policies: &'a Map<String, Value>,
    pub(crate) trace: Trace,
}

impl<'a> Request<'a> {
    pub(crate) fn read(case: &'a Value) -> Option<Self> {
        let text = |member: &str| case.get(member).and_then(Value::as_str);
        let caller = read_caller(case.get("principal")?)?;
        let resource = text("resource").filter(|resource| *resource != "*");
        let owner = resource.and_then(|arn| resource::account(arn)).filter(|account| !account.is_empty());
        Some(Self {
            action: text("action")?,
            resource,
            resource_account: text("resource_account").or(owner).or(caller.account),
            display_resource: text("display_resource"),
            context: case.get("context").and_then(Value::as_object).map(read_context).unwrap_or_default(),
            encryption_context: case.get("encryption_context").map(pairs).unwrap_or_default(),
            policies: case.get("policies")?.as_object()?,
            trace: Trace::default(),
            caller,
        })
    }

    /// The values of a condition key; nothing when it is absent.
    ///
    /// 1.8 Keys: names ignore case, the part after `/` too. Among names that differ only by case the one whose tag key is written
    /// exactly so is taken; if none is, the key counts as absent.
    pub(crate) fn values(&self, key: &str) -> Option<&[String]> {
        let same: Vec<_> =
            self.context.iter().filter(|(name, _)| name.to_lowercase() == key.to_lowercase()).collect();
        let found = match same.as_slice() {
            [] => None,
            [only] => Some(*only),
            several => {
                let exact = several.iter().find(|(name, _)| tag_key(name) == tag_key(key)).copied();
                self.saw("1.8 one of several tags is spelled exactly so", exact.is_some());
                exact
            }
        };
        self.saw("1.8 the key is present", found.is_some());
        found.map(|(_, values)| values.as_slice())
    }

    /// 1.7: a variable is the single value of its key; a key with no or several values cannot be a variable.
    pub(crate) fn single_value(&self, key: &str) -> Option<&str> {
        match self.values(key) {
            Some([only]) => Some(only),
            _ => None,
        }
    }

    /// `service:Name`, compared ignoring case.
    pub(crate) fn action_is(&self, name: &str) -> bool {
        self.action.eq_ignore_ascii_case(name)
    }

    pub(crate) fn saw(&self, rule: &str, answer: bool) {
        self.trace.saw(rule, answer);
    }
}

fn tag_key(name: &str) -> Option<&str> {
    name.split_once('/').map(|(_, tag)| tag)
}

fn read_caller(principal: &Value) -> Option<Caller<'_>> {
    let text = |member: &str| principal.get(member).and_then(Value::as_str);
    let kind = match text("type")? {
        "User" => CallerKind::User,
        "AssumedRole" => CallerKind::AssumedRole,
        "FederatedUser" => CallerKind::FederatedUser,
        "Root" => CallerKind::Root,
        "Service" => CallerKind::Service,
        "WebIdentity" => CallerKind::WebIdentity,
        "Anonymous" => CallerKind::Anonymous,
        _ => return None,
    };
    Some(Caller {
        kind,
        arn: text("arn"),
        account: text("account"),
        role_arn: text("role_arn"),
        user_arn: text("user_arn"),
        service: text("service"),
        provider: text("provider"),
    })
}

fn read_context(context: &Map<String, Value>) -> Vec<(&str, Vec<String>)> {
    context.iter().map(|(key, values)| (key.as_str(), crate::element::values(values))).collect()
}

fn pairs(value: &Value) -> Vec<(&str, &str)> {
    let members = value.as_object().into_iter().flatten();
    members.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?))).collect()
}
