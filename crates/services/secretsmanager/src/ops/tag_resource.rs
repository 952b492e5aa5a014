//! TagResource and UntagResource.
//!
//! Tags decide who may, so whoever changes them is asked about twice: before, and as if the change were made. AWS refuses a change after
//! which its author could not make it any more.

use coffer_core::Cx;
use coffer_model::secretsmanager::{TagResourceRequest, UntagResourceRequest, action};
use coffer_shape::{ApiError, Empty};

use crate::{
    identifier::{check_secret_id, secret},
    tags,
};

/// Sets tags; a key that is there keeps its place and takes the new value.
pub(crate) fn tag_resource(cx: &mut Cx<'_>, input: TagResourceRequest) -> Result<Empty, ApiError> {
    check_secret_id(&input.secret_id)?;
    let new = tags::from_request(input.tags)?;

    let target = secret(cx, &input.secret_id)?.permit(cx, action::TAG_RESOURCE)?;
    let mut secret = target.to_record()?;
    secret.ensure_annotatable()?;

    if !new.is_empty() {
        secret.set_tags(new)?;
        secret.changed_at = cx.now();
        cx.ask(action::TAG_RESOURCE, &target.changed_to(&secret))?;
        cx.save(secret)?;
    }
    Ok(Empty {})
}

/// Removes tags. Keys that are not there are passed over.
pub(crate) fn untag_resource(cx: &mut Cx<'_>, input: UntagResourceRequest) -> Result<Empty, ApiError> {
    let target = secret(cx, &input.secret_id)?.permit(cx, action::UNTAG_RESOURCE)?;
    let mut secret = target.to_record()?;
    secret.ensure_annotatable()?;

    secret.remove_tags(&input.tag_keys);
    secret.changed_at = cx.now();
    cx.ask(action::UNTAG_RESOURCE, &target.changed_to(&secret))?;
    cx.save(secret)?;
    Ok(Empty {})
}
