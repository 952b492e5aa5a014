//! When a key was last used, by day.
//!
//! A note for each use would make every read of a secret a change. So the first use of a day is noted, and it may be lost like the day on
//! which a secret was read: the answer goes out all the same. A key that is lent to a secret of another account is not noted there.

use coffer_core::Cx;
use coffer_model::kms::KeyLastUsageData;
use coffer_shape::{ApiError, record};
use coffer_types::Timestamp;

use crate::key::KeyRecord;

record! {
    #[derive(Clone)]
    pub struct LastUseRecord {
        pub operation: String,
        pub at: Timestamp,
        pub request_id: String,
    }
}

/// Notes a use that is going to succeed.
pub(crate) fn note(cx: &mut Cx<'_>, key: &KeyRecord, operation: &str) -> Result<(), ApiError> {
    let now = cx.now();
    let is_noted = key.last_use.as_ref().is_some_and(|last| last.at.start_of_day() == now.start_of_day());
    let is_here = key.arn == cx.arn("kms", &format!("key/{}", key.key_id)).as_str();
    if is_noted || !is_here {
        return Ok(());
    }
    let last_use =
        Some(LastUseRecord { operation: operation.to_owned(), at: now, request_id: cx.request_id() });
    cx.save_if_possible(KeyRecord { last_use, ..key.clone() })
}

impl LastUseRecord {
    pub(crate) fn shown(&self) -> KeyLastUsageData {
        KeyLastUsageData {
            operation: Some(self.operation.clone()),
            timestamp: Some(self.at),
            kms_request_id: Some(self.request_id.clone()),
            ..KeyLastUsageData::default()
        }
    }
}
