//! Tags of functions, which are named by ARN.

use coffer_core::Cx;
use coffer_model::lambda::{
    ListTagsRequest, ListTagsResponse, TagResourceRequest, UntagResourceRequest, action,
};
use coffer_shape::{Action, ApiError, Empty};

use crate::{
    error::LambdaError,
    function::FunctionRecord,
    named::{FunctionId, find},
    tags::from_request,
};

fn tagged(cx: &Cx<'_>, arn: &str, action: Action) -> Result<FunctionRecord, ApiError> {
    if !arn.contains(":function:") {
        return Err(LambdaError::NotSupported { what: "A resource that is no function" }.into());
    }
    let id = FunctionId::parse(arn, None)?;
    if id.qualifier.is_some() {
        return Err(LambdaError::TagsOfVersion.into());
    }
    let function = find(cx, id)?.permit(cx, action)?.existing()?;
    Ok((*function).clone())
}

pub(crate) fn list_tags(cx: &mut Cx<'_>, input: ListTagsRequest) -> Result<ListTagsResponse, ApiError> {
    let function = tagged(cx, &input.resource, action::LIST_TAGS)?;
    Ok(ListTagsResponse { tags: Some(function.shown_tags()) })
}

pub(crate) fn tag_resource(cx: &mut Cx<'_>, input: TagResourceRequest) -> Result<Empty, ApiError> {
    let tags = from_request(input.tags)?;
    let mut function = tagged(cx, &input.resource, action::TAG_RESOURCE)?;
    function.set_tags(tags)?;
    cx.save(function)?;
    Ok(Empty {})
}

/// Keys that are not there are passed over.
pub(crate) fn untag_resource(cx: &mut Cx<'_>, input: UntagResourceRequest) -> Result<Empty, ApiError> {
    let mut function = tagged(cx, &input.resource, action::UNTAG_RESOURCE)?;
    function.tags.retain(|tag| !input.tag_keys.contains(&tag.key));
    cx.save(function)?;
    Ok(Empty {})
}
