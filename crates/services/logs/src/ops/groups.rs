//! Groups: made, described, configured and deleted.

use std::{collections::BTreeMap, ops::ControlFlow, sync::Arc};

use coffer_core::{Cx, PageOf, Pages, Permit, Walk};
use coffer_model::logs::{
    CreateLogGroupRequest, DeleteLogGroupRequest, DeleteRetentionPolicyRequest, DescribeLogGroupsRequest,
    DescribeLogGroupsResponse, LogGroup, LogGroupClass, PutLogGroupDeletionProtectionRequest,
    PutRetentionPolicyRequest, action,
};
use coffer_shape::{ApiError, Empty};

use crate::{
    error::LogsError,
    group::{Asked, GroupRecord, arn, find, name_of, permitted, written},
    janitor,
    stream::StreamRecord,
};

const DAYS: [i64; 22] =
    [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];
const PAGE_MAX: usize = 50;
const RESERVED_PREFIX: &str = "aws/";

pub(crate) fn create_log_group(cx: &mut Cx<'_>, input: CreateLogGroupRequest) -> Result<Empty, ApiError> {
    if input.kms_key_id.is_some() {
        return Err(LogsError::NoKeys.into());
    }
    let name = input.log_group_name;
    if name.get(..RESERVED_PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(RESERVED_PREFIX)) {
        return Err(LogsError::Reserved.into());
    }
    let mut group = GroupRecord {
        id: cx.uuid().to_string(),
        created_at: cx.now(),
        class: input.log_group_class.unwrap_or_else(|| LogGroupClass::Standard.as_str().to_owned()),
        is_protected: input.deletion_protection_enabled.unwrap_or_default(),
        ..GroupRecord::default()
    };
    let tags = input.tags.unwrap_or_default();
    let is_tagged = !tags.is_empty();
    group.set_tags(tags)?;

    let named = find(cx, &name)?.permit(cx, action::CREATE_LOG_GROUP)?;
    if is_tagged {
        cx.ask(action::TAG_RESOURCE, &Asked::named(cx, &name))?;
    }
    if named.exists() {
        return Err(LogsError::GroupExists.into());
    }
    cx.save(GroupRecord { name, ..group })?;
    Ok(Empty {})
}

pub(crate) fn delete_log_group(cx: &mut Cx<'_>, input: DeleteLogGroupRequest) -> Result<Empty, ApiError> {
    let group = permitted(cx, &input.log_group_name, action::DELETE_LOG_GROUP)?;
    if group.is_protected {
        return Err(LogsError::Protected.into());
    }
    janitor::delete_group(cx, &group)?;
    Ok(Empty {})
}

pub(crate) fn put_log_group_deletion_protection(
    cx: &mut Cx<'_>,
    input: PutLogGroupDeletionProtectionRequest,
) -> Result<Empty, ApiError> {
    let name = written(cx, None, Some(&input.log_group_identifier))?;
    let group = permitted(cx, &name, action::PUT_LOG_GROUP_DELETION_PROTECTION)?;
    let is_protected = input.deletion_protection_enabled;
    cx.save(GroupRecord { is_protected, ..(*group).clone() })?;
    Ok(Empty {})
}

pub(crate) fn put_retention_policy(
    cx: &mut Cx<'_>,
    input: PutRetentionPolicyRequest,
) -> Result<Empty, ApiError> {
    let asked = input.retention_in_days;
    if !DAYS.contains(&asked) {
        return Err(LogsError::Retention { asked }.into());
    }
    let group = permitted(cx, &input.log_group_name, action::PUT_RETENTION_POLICY)?;
    cx.save(GroupRecord { retention_days: Some(asked), ..(*group).clone() })?;
    cx.activate(janitor::NAME);
    Ok(Empty {})
}

pub(crate) fn delete_retention_policy(
    cx: &mut Cx<'_>,
    input: DeleteRetentionPolicyRequest,
) -> Result<Empty, ApiError> {
    let group = permitted(cx, &input.log_group_name, action::DELETE_RETENTION_POLICY)?;
    cx.save(GroupRecord { retention_days: None, ..(*group).clone() })?;
    Ok(Empty {})
}

pub(crate) fn describe_log_groups(
    cx: &mut Cx<'_>,
    input: DescribeLogGroupsRequest,
) -> Result<DescribeLogGroupsResponse, ApiError> {
    let (prefix, pattern) = (input.log_group_name_prefix.as_deref(), input.log_group_name_pattern.as_deref());
    if prefix.is_some() && pattern.is_some() {
        return Err(LogsError::PrefixAndPattern.into());
    }
    let named = match &input.log_group_identifiers {
        None => None,
        Some(_) if prefix.is_some() || pattern.is_some() || input.limit.is_some() => {
            return Err(LogsError::IdentifiersAlone.into());
        }
        Some(named) => Some(names(cx, named)?),
    };
    let query = DescribeLogGroupsRequest { limit: None, next_token: None, ..input.clone() };

    let permit: Permit<GroupRecord> = cx.ask_through(action::DESCRIBE_LOG_GROUPS, &Asked::all(cx))?;
    let class = input.log_group_class.as_deref();
    let admits = |group: &GroupRecord| {
        prefix.is_none_or(|prefix| group.name.starts_with(prefix))
            && pattern.is_none_or(|pattern| group.name.contains(pattern))
            && named.as_ref().is_none_or(|named| named.contains(&group.name))
            && class.is_none_or(|class| group.class == class)
    };
    let limit = input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(PAGE_MAX);
    let pages = Pages {
        query: &query,
        marker: input.next_token.as_deref(),
        limit: limit.clamp(1, PAGE_MAX),
        refusal: || LogsError::Token.into(),
    };
    let page = pages.of_records(cx, permit, PageOf::default(), admits)?;
    let permit = cx.ask_through(action::DESCRIBE_LOG_GROUPS, &Asked::all(cx))?;
    let sizes = sizes(cx, permit, &page.items)?;
    let shown = page.items.iter().map(|group| shown(cx, group, sizes.get(&group.id).copied()));
    Ok(DescribeLogGroupsResponse { log_groups: Some(shown.collect()), next_token: page.marker })
}

fn names(cx: &Cx<'_>, identifiers: &[String]) -> Result<Vec<String>, LogsError> {
    let name = |written: &String| {
        if written.starts_with("arn:") { name_of(cx, written) } else { Ok(written.clone()) }
    };
    identifiers.iter().map(name).collect()
}

/// How much lies in these groups.
fn sizes(
    cx: &Cx<'_>,
    permit: Permit<StreamRecord>,
    groups: &[Arc<GroupRecord>],
) -> Result<BTreeMap<String, i64>, ApiError> {
    let mut sizes: BTreeMap<String, i64> = groups.iter().map(|group| (group.id.clone(), 0)).collect();
    if sizes.is_empty() {
        return Ok(sizes);
    }
    cx.walk(permit, Walk::default(), &mut |stream: &Arc<StreamRecord>| {
        if let Some(size) = sizes.get_mut(&stream.group) {
            *size = size.saturating_add(stream.bytes);
        }
        ControlFlow::Continue(())
    })?;
    Ok(sizes)
}

fn shown(cx: &Cx<'_>, group: &GroupRecord, size: Option<i64>) -> LogGroup {
    let arn = arn(cx, &group.name);
    LogGroup {
        log_group_name: Some(group.name.clone()),
        creation_time: Some(group.created_at.millis()),
        retention_in_days: group.retention_days,
        metric_filter_count: Some(0),
        arn: Some(format!("{arn}:*")),
        stored_bytes: Some(size.unwrap_or_default()),
        log_group_class: Some(group.class.clone()),
        log_group_arn: Some(arn),
        deletion_protection_enabled: Some(group.is_protected),
        ..LogGroup::default()
    }
}
