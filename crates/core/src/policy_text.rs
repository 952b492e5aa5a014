//! A policy as it is kept: the text that somebody sent, and what it means.
//!
//! The text is stored byte for byte and given back as it was. What it means is worked out when it is first asked for, and stays
//! with the record as long as that is in memory, so that deciding on a request reads no text.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use coffer_policy::{Document, Kind, Malformed, Policy};
use coffer_shape::{Read, Reader, Schema, Shape, Writer, Wrote};

#[derive(Clone, Default)]
pub struct PolicyText {
    text: String,
    policy: OnceLock<Arc<Policy>>,
}

impl PolicyText {
    /// A text that is a policy of this kind.
    pub fn parse(kind: Kind, text: String) -> Result<Self, Malformed> {
        Document::parse(kind, &text)?;
        Ok(Self::of(text))
    }

    /// A text that was parsed already.
    pub(crate) const fn of(text: String) -> Self {
        Self { text, policy: OnceLock::new() }
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What is decided by, under the name by which an explanation calls it. The kind and the name are those of the first who asks:
    /// a text has one place.
    pub fn policy(&self, kind: Kind, name: &str) -> &Arc<Policy> {
        self.compiled(|text| Policy::stored(name, kind, text))
    }

    pub(crate) fn compiled(&self, make: impl FnOnce(&str) -> Policy) -> &Arc<Policy> {
        self.policy.get_or_init(|| Arc::new(make(&self.text)))
    }
}

impl PartialEq for PolicyText {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for PolicyText {}

impl fmt::Debug for PolicyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PolicyText").field(&self.text).finish()
    }
}

impl Shape for PolicyText {
    const SCHEMA: &'static Schema = String::SCHEMA;

    fn read_as(schema: &'static Schema, from: &mut dyn Reader) -> Read<Self> {
        Ok(Self { text: from.string(schema)?, policy: OnceLock::new() })
    }

    fn write_as(&self, schema: &'static Schema, to: &mut dyn Writer) -> Wrote {
        to.string(schema, &self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOW: &str =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"a:b","Resource":"*"}]}"#;

    #[test]
    fn a_text_that_is_no_policy_is_not_kept_as_one_and_one_that_was_is_read_again() {
        assert!(PolicyText::parse(Kind::Inline, String::from("{")).is_err());
        let kept = PolicyText::parse(Kind::Inline, String::from(ALLOW)).unwrap();
        let bytes = coffer_shape::stored::to_bytes(&kept).unwrap();
        let again: PolicyText = coffer_shape::stored::from_bytes(bytes.expose()).unwrap();
        assert_eq!(again.as_str(), ALLOW);
        assert_eq!(again.policy(Kind::Inline, "mine"), kept.policy(Kind::Inline, "mine"));
        // What is no policy any more denies everything.
        let broken = PolicyText::default();
        assert_eq!(**broken.policy(Kind::Inline, "mine"), Policy::denying("mine"));
    }
}
