//! Tags of groups.

use std::collections::BTreeMap;

use coffer_shape::record;

use crate::{error::LogsError, group::GroupRecord};

const TAGS_MAX: usize = 50;
const RESERVED_PREFIX: &str = "aws:";

record! {
    #[derive(Clone, PartialEq)]
    pub struct TagRecord {
        pub key: String,
        pub value: String,
    }
}

impl GroupRecord {
    pub(crate) fn set_tags(&mut self, new: BTreeMap<String, String>) -> Result<(), LogsError> {
        let is_reserved = |key: &String| {
            key.get(..RESERVED_PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(RESERVED_PREFIX))
        };
        if new.keys().any(is_reserved) {
            return Err(LogsError::TagKeyReserved);
        }
        for (key, value) in new {
            match self.tags.iter_mut().find(|known| known.key == key) {
                Some(known) => known.value = value,
                None => self.tags.push(TagRecord { key, value }),
            }
        }
        if self.tags.len() > TAGS_MAX { Err(LogsError::TooManyTags) } else { Ok(()) }
    }

    pub(crate) fn remove_tags(&mut self, keys: &[String]) {
        self.tags.retain(|tag| !keys.contains(&tag.key));
    }

    pub(crate) fn shown_tags(&self) -> BTreeMap<String, String> {
        self.tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect()
    }
}
