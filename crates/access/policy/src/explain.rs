//! Why: the same decision, with every statement that had a say.
//!
//! A decision stops looking where nothing can change it any more. Whoever wants to understand it wants the rest as well: all statements
//! that speak of the request, and the keys that were asked for and are not there. They are noted while the decision is made, by what
//! makes every other decision, so that an explanation cannot be of another one.

use crate::{
    Decision, Effect, Key, Policies, Policy, PolicyType, Request,
    policy::{Asked, Rule},
};

/// Keys in an explanation; whoever misses more has the wrong policy in hand.
const MISSING_MAX: usize = 100;

#[derive(Debug)]
pub struct Explanation<'p> {
    pub decision: Decision<'p>,
    /// In the order in which they are heard: type by type, policy by policy.
    pub matched: Vec<Matched<'p>>,
    /// What the statements about the action ask for, in conditions and variables, and the request has not; the first hundred.
    pub missing: Vec<Missing<'p>>,
}

/// A key that is not there, and the type of policy that asks for it. Each stands once for each type.
#[derive(Debug, Clone, Copy)]
pub struct Missing<'p> {
    pub by: PolicyType,
    pub key: &'p Key,
}

/// A statement that means the caller and the request, and whose conditions hold.
#[derive(Debug, Clone, Copy)]
pub struct Matched<'p> {
    pub by: PolicyType,
    pub policy: &'p Policy,
    /// From zero.
    pub index: usize,
    pub effect: Effect,
}

/// What the policies of one type say, taken alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Allowed,
    ExplicitDeny,
    ImplicitDeny,
}

impl<'p> Policies<'p> {
    /// Decides, and tells by what.
    pub fn explain(&self, request: &Request<'_>) -> Explanation<'p> {
        let mut notes = Notes::default();
        let decision = self.hear(request, Some(&mut notes));
        Explanation { decision, matched: notes.matched, missing: notes.missing }
    }
}

impl Explanation<'_> {
    pub fn verdict(&self, by: PolicyType) -> Verdict {
        let says = |effect| self.matched.iter().any(|one| one.by == by && one.effect == effect);
        if says(Effect::Deny) {
            Verdict::ExplicitDeny
        } else if says(Effect::Allow) {
            Verdict::Allowed
        } else {
            Verdict::ImplicitDeny
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Notes<'p> {
    matched: Vec<Matched<'p>>,
    missing: Vec<Missing<'p>>,
}

impl<'p> Notes<'p> {
    pub(crate) fn matched(&mut self, by: PolicyType, policy: &'p Policy, index: usize, effect: Effect) {
        self.matched.push(Matched { by, policy, index, effect });
    }

    /// Keys of a statement about another action are nobody's business here, nor are the conditions of one about another resource.
    pub(crate) fn missing_in(&mut self, by: PolicyType, rule: &'p Rule, asked: &Asked<'_>) {
        if !rule.covers_action(asked) {
            return;
        }
        for key in rule.resource_keys() {
            self.note_missing(by, key, asked);
        }
        if rule.covers_resource(asked) {
            for key in rule.condition_keys() {
                self.note_missing(by, key, asked);
            }
        }
    }

    fn note_missing(&mut self, by: PolicyType, key: &'p Key, asked: &Asked<'_>) {
        let is_same = |known: &Missing<'_>| known.by == by && known.key.as_lower() == key.as_lower();
        let is_full = self.missing.len() >= MISSING_MAX;
        if !is_full && !self.missing.iter().any(is_same) && asked.context.values(key).is_none() {
            self.missing.push(Missing { by, key });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Caller, Document, Kind};

    fn policy(name: &str, statements: &str) -> Policy {
        let text = format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#);
        Policy::new(name, &Document::parse(Kind::Inline, &text).unwrap())
    }

    #[test]
    fn every_statement_that_speaks_of_the_request_is_told() {
        let first = policy(
            "first",
            r#"{"Effect":"Allow","Action":"s3:*","Resource":"*"},
               {"Effect":"Allow","Action":"sqs:*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"true"}}},
               {"Effect":"Allow","Action":"s3:Get*","Resource":"*"}"#,
        );
        let second = policy(
            "second",
            r#"{"Effect":"Deny","Action":"s3:*","Resource":"arn:aws:s3:::${aws:username}","Condition":{"Null":{"a:b":"true"}}},
               {"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/x":"${c:d}"}}}"#,
        );
        let arn = "arn:aws:iam::111122223333:user/u";
        let request = Request {
            caller: Caller::User { arn, account: "111122223333".parse().unwrap(), id: None },
            action: "s3:GetObject",
            resource: Some("arn:aws:s3:::b"),
            resource_account: None,
            context: &(),
            encryption_context: &[],
        };
        let policies = Policies { identity: &[&first, &second], ..Policies::default() };
        let explanation = policies.explain(&request);
        assert_eq!(explanation.decision, policies.decide(&request));
        assert_eq!(explanation.verdict(PolicyType::Identity), Verdict::Allowed);
        assert_eq!(explanation.verdict(PolicyType::Boundary), Verdict::ImplicitDeny);
        let matched: Vec<_> = explanation.matched.iter().map(|one| (one.policy.name(), one.index)).collect();
        assert_eq!(matched, [("first", 0), ("first", 2)]);
        // Not the key of the statement about queues, nor the one behind a resource that is another.
        let missing: Vec<_> = explanation.missing.iter().map(|missing| missing.key.as_written()).collect();
        assert_eq!(missing, ["aws:username", "aws:PrincipalTag/x", "c:d"]);
    }
}
