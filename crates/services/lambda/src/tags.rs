//! Tags of functions.

use std::collections::BTreeMap;

use coffer_shape::record;

use crate::{error::LambdaError, function::FunctionRecord};

const TAGS_MAX: usize = 50;
const RESERVED_PREFIX: &str = "aws:";

record! {
    #[derive(Clone, PartialEq)]
    pub struct TagRecord {
        pub key: String,
        pub value: String,
    }
}

pub(crate) fn from_request(tags: BTreeMap<String, String>) -> Result<Vec<TagRecord>, LambdaError> {
    let is_reserved = |key: &String| {
        key.get(..RESERVED_PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(RESERVED_PREFIX))
    };
    if tags.keys().any(is_reserved) {
        return Err(LambdaError::TagKeyReserved);
    }
    if tags.len() > TAGS_MAX {
        return Err(LambdaError::TooManyTags);
    }
    Ok(tags.into_iter().map(|(key, value)| TagRecord { key, value }).collect())
}

impl FunctionRecord {
    pub(crate) fn set_tags(&mut self, new: Vec<TagRecord>) -> Result<(), LambdaError> {
        for tag in new {
            match self.tags.iter_mut().find(|known| known.key == tag.key) {
                Some(known) => known.value = tag.value,
                None => self.tags.push(tag),
            }
        }
        if self.tags.len() > TAGS_MAX { Err(LambdaError::TooManyTags) } else { Ok(()) }
    }

    pub(crate) fn shown_tags(&self) -> BTreeMap<String, String> {
        self.tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect()
    }
}
