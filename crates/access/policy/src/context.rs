//! What a request brings with it: the values of condition keys.
//!
//! Nobody gathers them in advance. A policy asks for the keys that it names, and a service answers from what it has in its hands, so
//! that a request under a policy without conditions pays nothing. Names of keys are compared without regard to case; a tag behind the
//! slash is told in the spelling of the policy, because of two tags that differ in nothing else the one spelt alike is meant.
//!
//! Case is that of ASCII: a sign that only looks like a letter, or that some alphabet lower-cases to one, is another name.

use std::{borrow::Cow, fmt};

/// The name of a condition key, as a policy writes it.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    written: Box<str>,
    lower: Box<str>,
}

impl Key {
    pub fn new(name: &str) -> Self {
        Self { written: name.into(), lower: name.to_ascii_lowercase().into() }
    }

    pub fn as_written(&self) -> &str {
        &self.written
    }

    /// For comparing with a name in lower case.
    pub fn as_lower(&self) -> &str {
        &self.lower
    }

    /// What follows a prefix such as `aws:resourcetag/` (in lower case), in the spelling of the policy.
    pub fn behind(&self, prefix: &str) -> Option<&str> {
        self.lower.strip_prefix(prefix)?;
        self.written.get(prefix.len()..)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// The values of a key that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Values<'a> {
    One(Cow<'a, str>),
    /// Those of a key whose type is a list, however many there are.
    Many(Vec<Cow<'a, str>>),
}

impl Values<'_> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        let all = match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Many(values) => values.as_slice(),
        };
        all.iter().map(|value| &**value)
    }
}

/// Where the values of a request come from.
pub trait Context {
    /// Nothing if the key is absent. An empty list is not absent.
    fn values<'a>(&'a self, key: &'a Key) -> Option<Values<'a>>;
}

/// A request that brings nothing.
impl Context for () {
    fn values<'a>(&'a self, _: &'a Key) -> Option<Values<'a>> {
        None
    }
}

/// The tag that a policy means: the one spelt alike, or else the only one that differs in case. Of several such none is meant.
pub fn tag<'t>(tags: impl IntoIterator<Item = (&'t str, &'t str)>, wanted: &str) -> Option<&'t str> {
    let mut like = None;
    let mut is_only = true;
    for (name, value) in tags {
        if name == wanted {
            return Some(value);
        }
        if name.eq_ignore_ascii_case(wanted) {
            is_only = like.is_none();
            like = Some(value);
        }
    }
    like.filter(|_| is_only)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_knows_its_prefix_in_any_case_and_the_rest_as_written() {
        let key = Key::new("AWS:ResourceTag/Team/Sub");
        assert_eq!(key.behind("aws:resourcetag/"), Some("Team/Sub"));
        assert_eq!(key.behind("aws:requesttag/"), None);
        assert_eq!(Key::new("aws:ResourceTag").behind("aws:resourcetag/"), None);
        // The sign for kelvin is no K, though Unicode lower-cases it to one.
        assert_ne!(Key::new("\u{212a}ms:ViaService").as_lower(), "kms:viaservice");
    }

    #[test]
    fn of_tags_that_differ_in_case_the_one_spelt_alike_is_meant() {
        let tags = [("team", "a"), ("Team", "b"), ("env", "c")];
        assert_eq!(tag(tags, "team"), Some("a"));
        assert_eq!(tag(tags, "Team"), Some("b"));
        assert_eq!(tag(tags, "TEAM"), None);
        assert_eq!(tag(tags, "ENV"), Some("c"));
        assert_eq!(tag(tags, "none"), None);
    }
}
