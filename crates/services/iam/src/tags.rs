//! Tags of what lives in IAM. Keys are told apart without regard to case, and shown as they were written.

use coffer_model::iam::Tag;
use coffer_shape::record;

use crate::error::IamError;

const TAGS_MAX: usize = 50;

record! {
    #[derive(Clone, PartialEq)]
    pub struct TagRecord {
        pub key: String,
        pub value: String,
    }
}

/// Adds tags to those that are there; a key that is there takes the new value, and the new spelling.
pub(crate) fn set(tags: &mut Vec<TagRecord>, new: Vec<Tag>) -> Result<(), IamError> {
    for (index, tag) in new.iter().enumerate() {
        if new.iter().skip(index + 1).any(|other| is_same(&other.key, &tag.key)) {
            return Err(IamError::TagKeyTwice);
        }
    }
    for Tag { key, value } in new {
        match tags.iter_mut().find(|known| is_same(&known.key, &key)) {
            Some(known) => *known = TagRecord { key, value },
            None => tags.push(TagRecord { key, value }),
        }
    }
    if tags.len() > TAGS_MAX {
        Err(IamError::Quota { name: "TagsPerEntity", limit: TAGS_MAX })
    } else {
        Ok(())
    }
}

/// Keys that are not there are passed over.
pub(crate) fn remove(tags: &mut Vec<TagRecord>, keys: &[String]) {
    tags.retain(|tag| !keys.iter().any(|key| is_same(key, &tag.key)));
}

/// Absent when there are none, as AWS leaves them out.
pub(crate) fn shown(tags: &[TagRecord]) -> Option<Vec<Tag>> {
    let shown = || tags.iter().map(|tag| Tag { key: tag.key.clone(), value: tag.value.clone() }).collect();
    (!tags.is_empty()).then(shown)
}

/// As the conditions of policies ask for them.
pub(crate) fn pairs(tags: &[TagRecord]) -> Vec<(&str, &str)> {
    tags.iter().map(|tag| (tag.key.as_str(), tag.value.as_str())).collect()
}

fn is_same(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}
