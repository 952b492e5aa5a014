//! Tags: an ordered list that remembers whether it ever had anything in it.

use coffer_model::secretsmanager::Tag;

use crate::{
    error::SecretError,
    secret::{SecretRecord, TagRecord},
};

const TAGS_MAX: usize = 50;
const RESERVED_PREFIX: &str = "aws:";

/// Tags as a request gives them. The model admits a tag without key or value; an absent value is an empty one.
pub(crate) fn from_request(tags: Vec<Tag>) -> Result<Vec<TagRecord>, SecretError> {
    let mut records: Vec<TagRecord> = Vec::with_capacity(tags.len().min(TAGS_MAX));
    for tag in tags {
        let key = tag.key.ok_or(SecretError::TagWithoutKey)?;
        if key.get(..RESERVED_PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(RESERVED_PREFIX)) {
            return Err(SecretError::TagKeyReserved { key });
        }
        if records.iter().any(|known| known.key == key) {
            return Err(SecretError::TagKeyTwice { key });
        }
        if records.len() >= TAGS_MAX {
            return Err(SecretError::TooManyTags);
        }
        records.push(TagRecord { key, value: tag.value.unwrap_or_default() });
    }
    Ok(records)
}

/// As the conditions of policies ask for them.
pub(crate) fn pairs(tags: Option<&Vec<TagRecord>>) -> Vec<(&str, &str)> {
    tags.into_iter().flatten().map(|tag| (tag.key.as_str(), tag.value.as_str())).collect()
}

pub(crate) fn to_answer(tags: Option<&Vec<TagRecord>>) -> Option<Vec<Tag>> {
    tags.map(|tags| {
        tags.iter().map(|tag| Tag { key: Some(tag.key.clone()), value: Some(tag.value.clone()) }).collect()
    })
}

impl SecretRecord {
    /// A known key keeps its place and takes the new value; new keys follow in the order of the request.
    pub(crate) fn set_tags(&mut self, new: Vec<TagRecord>) -> Result<(), SecretError> {
        let tags = self.tags.get_or_insert_default();
        for tag in new {
            match tags.iter_mut().find(|known| known.key == tag.key) {
                Some(known) => known.value = tag.value,
                None => tags.push(tag),
            }
        }
        if tags.len() > TAGS_MAX { Err(SecretError::TooManyTags) } else { Ok(()) }
    }

    /// Keys that are not there are passed over.
    pub(crate) fn remove_tags(&mut self, keys: &[String]) {
        if let Some(tags) = &mut self.tags {
            tags.retain(|tag| !keys.contains(&tag.key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(key: &str, value: &str) -> Tag {
        Tag { key: Some(key.into()), value: Some(value.into()) }
    }

    fn shown(secret: &SecretRecord) -> Option<String> {
        let tags = secret.tags.as_ref()?;
        Some(tags.iter().map(|tag| format!("{}={}", tag.key, tag.value)).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn tags_keep_their_order_and_the_memory_of_having_been() {
        let mut secret = SecretRecord::default();
        secret.remove_tags(&["a".into()]);
        assert_eq!(shown(&secret), None);
        secret.set_tags(from_request(vec![tag("a", "1"), tag("b", "2")]).unwrap()).unwrap();
        secret.set_tags(from_request(vec![tag("c", "3"), tag("a", "4")]).unwrap()).unwrap();
        assert_eq!(shown(&secret).as_deref(), Some("a=4 b=2 c=3"));
        secret.remove_tags(&["a".into(), "b".into(), "c".into(), "unknown".into()]);
        assert_eq!(shown(&secret).as_deref(), Some(""));
    }

    #[test]
    fn what_is_refused() {
        let many = |count: usize| (0..count).map(|n| tag(&format!("k{n}"), "")).collect();
        assert_eq!(from_request(many(50)).map(|tags| tags.len()).ok(), Some(50));
        assert_eq!(from_request(many(51)).err(), Some(SecretError::TooManyTags));
        assert_eq!(
            from_request(vec![tag("a", "1"), tag("a", "2")]).err(),
            Some(SecretError::TagKeyTwice { key: "a".into() })
        );
        assert_eq!(
            from_request(vec![tag("aws:x", "1")]).err(),
            Some(SecretError::TagKeyReserved { key: "aws:x".into() })
        );
        assert_eq!(
            from_request(vec![tag("AWS:x", "1")]).err(),
            Some(SecretError::TagKeyReserved { key: "AWS:x".into() })
        );
        assert_eq!(from_request(vec![Tag::default()]).err(), Some(SecretError::TagWithoutKey));
        let mut secret = SecretRecord::default();
        secret.set_tags(from_request(many(50)).unwrap()).unwrap();
        assert_eq!(
            secret.set_tags(from_request(vec![tag("new", "")]).unwrap()),
            Err(SecretError::TooManyTags)
        );
    }
}
