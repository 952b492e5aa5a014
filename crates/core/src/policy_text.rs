//! A policy as it is kept: the text that somebody sent, and what it means.
//!
//! The text is stored byte for byte and given back as it was. What it means is worked out when it is first asked for, and stays
//! with the record as long as that is in memory, so that deciding on a request reads no text.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use coffer_policy::{Document, Kind, Malformed};
use coffer_shape::{Read, Reader, Schema, Shape, Writer, Wrote};

#[derive(Clone, Default)]
pub struct PolicyText {
    text: String,
    /// Nothing in it for a text that is no policy.
    document: OnceLock<Option<Arc<Document>>>,
}

impl PolicyText {
    /// A text that is a policy of this kind.
    pub fn parse(kind: Kind, text: String) -> Result<Self, Malformed> {
        let document = Document::parse(kind, &text)?;
        Ok(Self { text, document: OnceLock::from(Some(Arc::new(document))) })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What it means. It was a policy when it was stored; if it is none any more, nothing can be said about it, and whoever
    /// decides by it refuses.
    pub fn document(&self, kind: Kind) -> Option<&Arc<Document>> {
        self.document.get_or_init(|| Document::parse(kind, &self.text).ok().map(Arc::new)).as_ref()
    }
}

impl PartialEq for PolicyText {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Debug for PolicyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PolicyText").field(&self.text).finish()
    }
}

impl Shape for PolicyText {
    const SCHEMA: &'static Schema = String::SCHEMA;

    fn read_as(schema: &'static Schema, from: &mut dyn Reader) -> Read<Self> {
        Ok(Self { text: from.string(schema)?, document: OnceLock::new() })
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
        assert_eq!(again.document(Kind::Inline), kept.document(Kind::Inline));
        assert!(PolicyText::default().document(Kind::Inline).is_none());
    }
}
