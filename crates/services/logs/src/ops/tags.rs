//! Tags of groups: by ARN, and by name as AWS did it before.

use std::collections::BTreeMap;

use coffer_core::Cx;
use coffer_model::logs::{
    ListTagsForResourceRequest, ListTagsForResourceResponse, ListTagsLogGroupRequest,
    ListTagsLogGroupResponse, TagLogGroupRequest, TagResourceRequest, UntagLogGroupRequest,
    UntagResourceRequest, action,
};
use coffer_shape::{ApiError, Empty};

use crate::group::{GroupRecord, permitted, tagged};

pub(crate) fn list_tags_for_resource(
    cx: &mut Cx<'_>,
    input: ListTagsForResourceRequest,
) -> Result<ListTagsForResourceResponse, ApiError> {
    let group = tagged(cx, &input.resource_arn, action::LIST_TAGS_FOR_RESOURCE)?;
    Ok(ListTagsForResourceResponse { tags: Some(group.shown_tags()) })
}

pub(crate) fn list_tags_log_group(
    cx: &mut Cx<'_>,
    input: ListTagsLogGroupRequest,
) -> Result<ListTagsLogGroupResponse, ApiError> {
    let group = permitted(cx, &input.log_group_name, action::LIST_TAGS_LOG_GROUP)?;
    Ok(ListTagsLogGroupResponse { tags: Some(group.shown_tags()) })
}

pub(crate) fn tag_resource(cx: &mut Cx<'_>, input: TagResourceRequest) -> Result<Empty, ApiError> {
    let group = tagged(cx, &input.resource_arn, action::TAG_RESOURCE)?;
    tag(cx, (*group).clone(), input.tags)
}

pub(crate) fn tag_log_group(cx: &mut Cx<'_>, input: TagLogGroupRequest) -> Result<Empty, ApiError> {
    let group = permitted(cx, &input.log_group_name, action::TAG_LOG_GROUP)?;
    tag(cx, (*group).clone(), input.tags)
}

fn tag(cx: &mut Cx<'_>, mut group: GroupRecord, tags: BTreeMap<String, String>) -> Result<Empty, ApiError> {
    group.set_tags(tags)?;
    cx.save(group)?;
    Ok(Empty {})
}

/// Keys that are not there are passed over.
pub(crate) fn untag_resource(cx: &mut Cx<'_>, input: UntagResourceRequest) -> Result<Empty, ApiError> {
    let group = tagged(cx, &input.resource_arn, action::UNTAG_RESOURCE)?;
    untag(cx, (*group).clone(), &input.tag_keys)
}

pub(crate) fn untag_log_group(cx: &mut Cx<'_>, input: UntagLogGroupRequest) -> Result<Empty, ApiError> {
    let group = permitted(cx, &input.log_group_name, action::UNTAG_LOG_GROUP)?;
    untag(cx, (*group).clone(), &input.tags)
}

fn untag(cx: &mut Cx<'_>, mut group: GroupRecord, keys: &[String]) -> Result<Empty, ApiError> {
    group.remove_tags(keys);
    cx.save(group)?;
    Ok(Empty {})
}
