//! Tags of keys.

use coffer_model::kms::Tag;
use coffer_shape::record;

use crate::{error::KmsError, key::KeyRecord};

const TAGS_MAX: usize = 50;
const RESERVED_PREFIX: &str = "aws:";

record! {
    #[derive(Clone, PartialEq)]
    pub struct TagRecord {
        pub key: String,
        pub value: String,
    }
}

/// Tags as a request gives them.
pub(crate) fn from_request(tags: Vec<Tag>) -> Result<Vec<TagRecord>, KmsError> {
    let mut records: Vec<TagRecord> = Vec::with_capacity(tags.len().min(TAGS_MAX));
    for Tag { tag_key, tag_value } in tags {
        ensure_free(&tag_key)?;
        if records.iter().any(|known| known.key == tag_key) {
            return Err(KmsError::TagKeyTwice);
        }
        if records.len() >= TAGS_MAX {
            return Err(KmsError::TooManyTags);
        }
        records.push(TagRecord { key: tag_key, value: tag_value });
    }
    Ok(records)
}

/// Names that only AWS gives to tags.
pub(crate) fn ensure_free(key: &str) -> Result<(), KmsError> {
    let start = key.get(..RESERVED_PREFIX.len()).unwrap_or_default();
    if start.eq_ignore_ascii_case(RESERVED_PREFIX) { Err(KmsError::TagKeyReserved) } else { Ok(()) }
}

impl KeyRecord {
    /// A known key keeps its place and takes the new value.
    pub(crate) fn set_tags(&mut self, new: Vec<TagRecord>) -> Result<(), KmsError> {
        for tag in new {
            match self.tags.iter_mut().find(|known| known.key == tag.key) {
                Some(known) => known.value = tag.value,
                None => self.tags.push(tag),
            }
        }
        if self.tags.len() > TAGS_MAX { Err(KmsError::TooManyTags) } else { Ok(()) }
    }

    /// Keys that are not there are passed over.
    pub(crate) fn remove_tags(&mut self, keys: &[String]) {
        self.tags.retain(|tag| !keys.contains(&tag.key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(key: &str, value: &str) -> Tag {
        Tag { tag_key: key.into(), tag_value: value.into() }
    }

    #[test]
    fn tags_keep_their_order_and_their_bounds() {
        let mut key = KeyRecord::default();
        key.set_tags(from_request(vec![tag("a", "1"), tag("b", "2")]).unwrap()).unwrap();
        key.set_tags(from_request(vec![tag("c", "3"), tag("a", "4")]).unwrap()).unwrap();
        key.remove_tags(&["b".into(), "unknown".into()]);
        let shown: Vec<String> = key.tags.iter().map(|tag| format!("{}={}", tag.key, tag.value)).collect();
        assert_eq!(shown, ["a=4", "c=3"]);

        let many = |count: usize| (0..count).map(|n| tag(&format!("k{n}"), "")).collect();
        assert_eq!(from_request(many(50)).map(|tags| tags.len()), Ok(50));
        assert_eq!(from_request(many(51)), Err(KmsError::TooManyTags));
        assert_eq!(key.set_tags(from_request(many(49)).unwrap()), Err(KmsError::TooManyTags));
        assert_eq!(from_request(vec![tag("a", "1"), tag("a", "2")]), Err(KmsError::TagKeyTwice));
        assert_eq!(from_request(vec![tag("AWS:x", "")]), Err(KmsError::TagKeyReserved));
    }
}
