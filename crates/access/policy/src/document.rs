//! A policy that has passed every check.
//!
//! The text itself is not kept: whoever stores a policy stores what was sent, byte for byte, and parses it when it is asked.

use crate::{
    Condition, Malformed, Principal, check, draft,
    glob::{self, Span},
};

/// What a document is attached to; it decides which elements a statement must and must not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A policy of its own that is attached to users, groups and roles.
    Managed,
    /// A policy inside a user, group or role; boundaries and session policies are alike.
    Inline,
    /// Who may assume a role.
    Trust,
    /// The policy of a secret, a key or another resource.
    Resource,
}

/// The version of the language. It decides whether `${…}` is a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// Also when nothing is said.
    V2008,
    V2012,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    Allow,
    Deny,
}

/// `Action` or `NotAction`, and so on: what is listed, or everything else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope<T> {
    Only(T),
    AllBut(T),
}

impl<T> Scope<T> {
    pub const fn listed(&self) -> &T {
        match self {
            Self::Only(listed) | Self::AllBut(listed) => listed,
        }
    }

    pub(crate) fn map<U>(&self, change: impl FnOnce(&T) -> U) -> Scope<U> {
        match self {
            Self::Only(listed) => Scope::Only(change(listed)),
            Self::AllBut(listed) => Scope::AllBut(change(listed)),
        }
    }

    /// Whether the scope covers something, given whether something listed does.
    pub(crate) fn covers(&self, is_listed: impl FnOnce(&T) -> bool) -> bool {
        match self {
            Self::Only(listed) => is_listed(listed),
            Self::AllBut(listed) => !is_listed(listed),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    pub sid: Option<String>,
    pub effect: Effect,
    /// None in the policies of identities.
    pub principals: Option<Scope<Vec<Principal>>>,
    /// Patterns, as written.
    pub actions: Scope<Vec<String>>,
    /// Patterns, as written. None in trust policies.
    pub resources: Option<Scope<Vec<String>>>,
    pub conditions: Vec<Condition>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    pub version: Version,
    pub id: Option<String>,
    pub statements: Vec<Statement>,
}

impl Document {
    /// Reads a policy of this kind, or says what is wrong with it. How long a text may be is for the caller to say first.
    pub fn parse(kind: Kind, text: &str) -> Result<Self, Malformed> {
        check::document(kind, draft::read(kind, text)?)
    }

    /// Reads a policy that was accepted when it was written. Only its syntax is looked at again, and principals that would not be
    /// accepted any more are nobody.
    pub fn stored(kind: Kind, text: &str) -> Result<Self, Malformed> {
        check::stored(kind, draft::read(kind, text)?)
    }
    /// Whether a statement allows anything of a service, such as `s3`: one action of it at least, on whatever.
    pub fn grants_some_of(&self, service: &str) -> bool {
        let service = service.to_ascii_lowercase();
        let is_of = |action: &str| {
            let vendor = action.split(':').next().unwrap_or_default().to_ascii_lowercase();
            glob::covers(&glob::split(&vendor), &[], &service, Span::Whole)
        };
        let is_all_of = |action: &str| {
            let rest = action.split_once(':').map_or(action, |(_, rest)| rest);
            is_of(action) && !rest.is_empty() && rest.bytes().all(|byte| byte == b'*')
        };
        let allowing = self.statements.iter().filter(|statement| statement.effect == Effect::Allow);
        allowing.into_iter().any(|statement| match &statement.actions {
            Scope::Only(listed) => listed.iter().any(|action| is_of(action)),
            Scope::AllBut(listed) => !listed.iter().any(|action| is_all_of(action)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_tells_the_services_that_it_opens() {
        for (statement, of_s3, of_kms) in [
            (r#""Effect":"Allow","Action":"*""#, true, true),
            (r#""Effect":"Deny","Action":"*""#, false, false),
            (r#""Effect":"Allow","Action":["sqs:Send","S3:Get*"]"#, true, false),
            (r#""Effect":"Allow","NotAction":"s3:*""#, false, true),
            (r#""Effect":"Allow","NotAction":"s3:Get*""#, true, true),
            (r#""Effect":"Allow","NotAction":"*""#, false, false),
        ] {
            let text = format!(r#"{{"Version":"2012-10-17","Statement":{{{statement},"Resource":"*"}}}}"#);
            let document = Document::parse(Kind::Managed, &text).unwrap();
            let opens = (document.grants_some_of("s3"), document.grants_some_of("kms"));
            assert_eq!(opens, (of_s3, of_kms), "{statement}");
        }
    }
}
