//! A group of streams, on its way to being permitted.
//!
//! AWS asks about a group as if it were a stream without a name, `log-group:app:log-stream:`, so that policies name it with `:*` behind.
//! Only tags are asked about under the ARN itself.

use std::sync::Arc;

use coffer_core::{Cx, Guarded, Listed, Place, Resource, table};
use coffer_shape::{Action, ApiError};
use coffer_types::{Arn, Timestamp};

use crate::{error::LogsError, tags::TagRecord};

const SERVICE: &str = "logs";
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

table! {
    0x50 "log-group", version 1, key (name);

    #[derive(Clone)]
    pub struct GroupRecord {
        pub name: String,
        /// Its streams belong to this, and not to the name.
        pub id: String,
        pub created_at: Timestamp,
        pub class: String,
        pub retention_days: Option<i64>,
        pub is_protected: bool,
        pub tags: Vec<TagRecord>,
    }
}

impl Listed for GroupRecord {
    const ORDERS: usize = 1;

    fn place(&self, _: usize) -> Place<'_> {
        Place { number: None, text: &self.name, tie: "" }
    }
}

impl GroupRecord {
    /// Events that are older are gone, whether or not they are still there.
    pub(crate) fn oldest(&self, now: Timestamp) -> i64 {
        self.retention_days.map_or(i64::MIN, |days| now.millis().saturating_sub(days.saturating_mul(DAY_MS)))
    }
}

/// The ARN of a group, without anything behind it.
pub(crate) fn arn(cx: &Cx<'_>, name: &str) -> String {
    cx.arn(SERVICE, &format!("log-group:{name}")).to_string()
}

pub(crate) fn stream_arn(cx: &Cx<'_>, group: &str, stream: &str) -> String {
    format!("{}:log-stream:{stream}", arn(cx, group))
}

/// What is asked about: a group, a stream of it, or its tags.
#[derive(Debug)]
pub(crate) struct Named {
    arn: String,
    /// None where there is no such group.
    group: Option<Arc<GroupRecord>>,
}

impl Named {
    pub(crate) fn existing(self) -> Result<Arc<GroupRecord>, LogsError> {
        self.group.ok_or(LogsError::NoGroup)
    }

    pub(crate) const fn exists(&self) -> bool {
        self.group.is_some()
    }
}

impl Resource for Named {
    fn arn(&self) -> String {
        self.arn.clone()
    }

    fn tags(&self) -> Vec<(&str, &str)> {
        let tags = self.group.iter().flat_map(|group| &group.tags);
        tags.map(|tag| (tag.key.as_str(), tag.value.as_str())).collect()
    }
}

/// A group of this name, and whether there is one.
pub(crate) fn find(cx: &Cx<'_>, name: &str) -> Result<Guarded<Named>, ApiError> {
    find_stream(cx, name, "")
}

/// The same for what is done with one of its streams.
pub(crate) fn find_stream(cx: &Cx<'_>, name: &str, stream: &str) -> Result<Guarded<Named>, ApiError> {
    let arn = stream_arn(cx, name, stream);
    cx.find_as::<GroupRecord, Named>(&[name], |group| Named { arn, group })
}

/// An existing group that the caller may do this with.
pub(crate) fn permitted(cx: &Cx<'_>, name: &str, action: Action) -> Result<Arc<GroupRecord>, ApiError> {
    Ok(find(cx, name)?.permit(cx, action)?.existing()?)
}

pub(crate) fn permitted_stream(
    cx: &Cx<'_>,
    name: &str,
    stream: &str,
    action: Action,
) -> Result<Arc<GroupRecord>, ApiError> {
    Ok(find_stream(cx, name, stream)?.permit(cx, action)?.existing()?)
}

/// The group whose tags are meant.
pub(crate) fn tagged(cx: &Cx<'_>, written: &str, action: Action) -> Result<Arc<GroupRecord>, ApiError> {
    let name = name_of(cx, written)?;
    let arn = arn(cx, &name);
    let found = cx.find_as::<GroupRecord, Named>(&[&name], |group| Named { arn, group })?;
    Ok(found.permit(cx, action)?.existing()?)
}

/// The name in an ARN of a group that is here. One that is elsewhere is not found.
pub(crate) fn name_of(cx: &Cx<'_>, written: &str) -> Result<String, LogsError> {
    let arn: Arn = written.parse().map_err(|_| LogsError::Arn)?;
    let name = arn.resource().strip_prefix("log-group:").ok_or(LogsError::Arn)?;
    if arn.service() != SERVICE || name.is_empty() || name.contains(':') {
        return Err(LogsError::Arn);
    }
    let is_here = arn.region() == cx.region().as_str() && arn.account() == cx.account().as_str();
    if is_here { Ok(name.to_owned()) } else { Err(LogsError::NoGroup) }
}

/// A group is written as its name or, where the operation takes that, as its ARN. One of the two.
pub(crate) fn written(
    cx: &Cx<'_>,
    name: Option<String>,
    identifier: Option<&str>,
) -> Result<String, LogsError> {
    match (name, identifier) {
        (Some(_), Some(_)) => Err(LogsError::NameAndIdentifier),
        (Some(name), None) => Ok(name),
        (None, Some(arn)) if arn.starts_with("arn:") => name_of(cx, arn),
        (None, Some(name)) => Ok(name.to_owned()),
        (None, None) => Err(LogsError::NoName),
    }
}

/// What is asked about where there is no group: all of them, or one that is about to be made.
#[derive(Debug)]
pub(crate) struct Asked(String);

impl Asked {
    /// AWS asks about a group without a name.
    pub(crate) fn all(cx: &Cx<'_>) -> Self {
        Self(stream_arn(cx, "", ""))
    }

    pub(crate) fn named(cx: &Cx<'_>, name: &str) -> Self {
        Self(arn(cx, name))
    }
}

impl Resource for Asked {
    fn arn(&self) -> String {
        self.0.clone()
    }
}
