//! A policy ready to decide by.
//!
//! A document is what somebody wrote; a policy is the same, made once for many requests: actions in lower case, patterns split,
//! variables found, the values of conditions typed. It never changes, so that whoever keeps one shares it.
//!
//! It carries the name under which it is attached, because whoever is refused asks which one it was.

use crate::{
    Context, Document, Effect, Key, Kind, Principal, Scope, Statement, Version,
    glob::{self, Part, Span},
    operators::Check,
    variables::Template,
};

#[derive(Debug, PartialEq, Eq)]
pub struct Policy {
    name: Box<str>,
    rules: Box<[Rule]>,
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) sid: Option<Box<str>>,
    pub(crate) effect: Effect,
    pub(crate) principals: Option<Scope<Vec<Principal>>>,
    actions: Scope<Vec<Vec<Part>>>,
    resources: Option<Scope<Vec<Template>>>,
    checks: Box<[Check]>,
}

/// A request without the one who makes it.
pub(crate) struct Asked<'a> {
    /// In lower case.
    pub(crate) action: &'a str,
    pub(crate) resource: Option<&'a str>,
    pub(crate) context: &'a dyn Context,
}

impl Policy {
    pub fn new(name: &str, document: &Document) -> Self {
        let rules = document.statements.iter().map(|statement| Rule::compile(document.version, statement));
        Self { name: name.into(), rules: rules.collect() }
    }

    /// A policy from where it is kept. It was one when it was written; if it cannot be read any more, it may have denied anything,
    /// and so it denies everything.
    pub fn stored(name: &str, kind: Kind, text: &str) -> Self {
        match Document::stored(kind, text) {
            Ok(document) => Self::new(name, &document),
            Err(_) => Self::denying(name),
        }
    }

    /// Several policies that decide as one, under the name of the first.
    pub fn joined(policies: &[&Self]) -> Self {
        let name = policies.first().map(|policy| policy.name.clone()).unwrap_or_default();
        Self { name, rules: policies.iter().flat_map(|policy| policy.rules.iter().cloned()).collect() }
    }

    /// What stands for a policy that is there and cannot be read: it denies everybody everything.
    pub fn denying(name: &str) -> Self {
        let rule = Rule {
            sid: None,
            effect: Effect::Deny,
            principals: Some(Scope::Only(vec![Principal::Anyone])),
            actions: Scope::AllBut(Vec::new()),
            resources: None,
            checks: Box::default(),
        };
        Self { name: name.into(), rules: Box::new([rule]) }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The condition keys that it asks for, by conditions and by variables; some of them more than once.
    pub fn context_keys(&self) -> impl Iterator<Item = &Key> {
        self.rules.iter().flat_map(Rule::keys)
    }

    pub(crate) fn rules(&self) -> &[Rule] {
        &self.rules
    }
}

impl Rule {
    pub(crate) fn compile(version: Version, statement: &Statement) -> Self {
        let actions = |listed: &Vec<String>| {
            listed.iter().map(|action| glob::split(&action.to_ascii_lowercase())).collect()
        };
        let resources = |listed: &Vec<String>| {
            listed.iter().map(|resource| Template::resource(version, resource)).collect()
        };
        Self {
            sid: statement.sid.as_deref().map(Into::into),
            effect: statement.effect,
            principals: statement.principals.clone(),
            actions: statement.actions.map(actions),
            resources: statement.resources.as_ref().map(|scope| scope.map(resources)),
            checks: statement.conditions.iter().map(|condition| Check::compile(version, condition)).collect(),
        }
    }

    /// Whether it speaks of this action on this resource, whoever asks.
    pub(crate) fn covers(&self, asked: &Asked<'_>) -> bool {
        self.covers_action(asked) && self.covers_resource(asked)
    }

    pub(crate) fn covers_action(&self, asked: &Asked<'_>) -> bool {
        let is_listed = |listed: &Vec<Vec<Part>>| {
            listed.iter().any(|pattern| glob::covers(pattern, &[], asked.action, Span::Whole))
        };
        self.actions.covers(is_listed)
    }

    pub(crate) fn covers_resource(&self, asked: &Asked<'_>) -> bool {
        // `*` covers also what has no name, and nothing else does.
        let is_covered = |template: &Template| match asked.resource {
            _ if template.is_star() => Some(true),
            Some(resource) => template.covers(asked.context, resource, Span::Fields),
            None => Some(false),
        };
        match &self.resources {
            None => true,
            Some(Scope::Only(listed)) => listed.iter().any(|template| is_covered(template) == Some(true)),
            Some(Scope::AllBut(listed)) => {
                // Whoever is to be kept out by name must have one: an exception that stands for nothing would let everybody in.
                let holds_for_nothing = |template: &Template| template.fill(asked.context).is_none();
                let is_void = self.effect == Effect::Allow && listed.iter().any(holds_for_nothing);
                !is_void && !listed.iter().any(|template| is_covered(template) == Some(true))
            }
        }
    }

    /// Whether all its conditions hold.
    pub(crate) fn holds(&self, asked: &Asked<'_>) -> bool {
        self.checks.iter().all(|check| check.holds(asked.context))
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        self.resource_keys().chain(self.condition_keys())
    }

    pub(crate) fn resource_keys(&self) -> impl Iterator<Item = &Key> {
        self.resources.iter().flat_map(|scope| scope.listed()).flat_map(Template::keys)
    }

    pub(crate) fn condition_keys(&self) -> impl Iterator<Item = &Key> {
        self.checks.iter().flat_map(Check::keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_cannot_be_read_any_more_denies_everything() {
        for (resource, text) in [(None, "{"), (Some("arn:aws:s3:::x"), r#"{"Statement": []}"#)] {
            let policy = Policy::stored("broken", Kind::Inline, text);
            let [rule] = policy.rules() else { panic!("{policy:?}") };
            let asked = Asked { action: "s3:getobject", resource, context: &() };
            assert!(rule.effect == Effect::Deny && rule.covers(&asked) && rule.holds(&asked));
        }
    }

    #[test]
    fn a_policy_tells_the_keys_it_asks_for() {
        let text = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*",
            "Resource": "arn:aws:s3:::${aws:username}/*",
            "Condition": {"StringLike": {"aws:ResourceTag/Team": "${aws:PrincipalTag/Team, 'none'}"}}}]}"#;
        let policy = Policy::new("mine", &Document::parse(Kind::Managed, text).unwrap());
        let keys: Vec<_> = policy.context_keys().map(Key::as_written).collect();
        assert_eq!(keys, ["aws:username", "aws:ResourceTag/Team", "aws:PrincipalTag/Team"]);
    }
}
