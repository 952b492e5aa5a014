//! TagResource, UntagResource and ListResourceTags.

use coffer_core::Cx;
use coffer_model::kms::{
    ListResourceTagsRequest, ListResourceTagsResponse, Tag, TagResourceRequest, UntagResourceRequest, action,
};
use coffer_shape::{ApiError, Empty};

use crate::{
    named::{Use, permitted},
    page,
    state::Class,
    tags::{ensure_free, from_request},
};

/// Sets tags; a key that is there keeps its place and takes the new value.
pub(crate) fn tag_resource(cx: &mut Cx<'_>, input: TagResourceRequest) -> Result<Empty, ApiError> {
    let new = from_request(input.tags)?;

    let key = permitted(cx, &input.key_id, Use::default(), action::TAG_RESOURCE)?;
    key.ensure(Class::Annotate)?;

    let mut key = (*key).clone();
    key.set_tags(new)?;
    cx.save(key)?;
    Ok(Empty {})
}

/// Removes tags. Keys that are not there are passed over.
pub(crate) fn untag_resource(cx: &mut Cx<'_>, input: UntagResourceRequest) -> Result<Empty, ApiError> {
    input.tag_keys.iter().try_for_each(|key| ensure_free(key))?;

    let key = permitted(cx, &input.key_id, Use::default(), action::UNTAG_RESOURCE)?;
    key.ensure(Class::Annotate)?;

    let mut key = (*key).clone();
    key.remove_tags(&input.tag_keys);
    cx.save(key)?;
    Ok(Empty {})
}

pub(crate) fn list_resource_tags(
    cx: &mut Cx<'_>,
    input: ListResourceTagsRequest,
) -> Result<ListResourceTagsResponse, ApiError> {
    let query = ListResourceTagsRequest { limit: None, marker: None, ..input.clone() };
    let limit = page::limit(input.limit, 50, 50);

    let key = permitted(cx, &input.key_id, Use::default(), action::LIST_RESOURCE_TAGS)?;
    key.ensure(Class::Look)?;

    let tags = key.tags.iter().map(|tag| (tag.key.clone(), tag.clone())).collect();
    let page = page::of(&query, input.marker.as_deref(), limit).of_gathered(cx, tags)?;
    Ok(ListResourceTagsResponse {
        truncated: page.is_truncated(),
        next_marker: page.marker,
        tags: Some(
            page.items.into_iter().map(|tag| Tag { tag_key: tag.key, tag_value: tag.value }).collect(),
        ),
    })
}
