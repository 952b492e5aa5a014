//! DescribeKey, ListKeys, EnableKey, DisableKey and UpdateKeyDescription.

use std::sync::Arc;

use coffer_core::{Cx, PageOf, Resource};
use coffer_model::kms::{
    DescribeKeyRequest, DescribeKeyResponse, DisableKeyRequest, EnableKeyRequest, GetKeyLastUsageRequest,
    GetKeyLastUsageResponse, KeyListEntry, ListKeysRequest, ListKeysResponse, UpdateKeyDescriptionRequest,
    action,
};
use coffer_shape::{ApiError, Empty};

use crate::{
    key::{KeyRecord, order},
    last_use::LastUseRecord,
    named::{Use, permitted},
    page,
    state::{Class, KeyState},
};

/// All keys, or all aliases: KMS calls what has no resource a star.
pub(crate) struct All;

impl Resource for All {
    fn arn(&self) -> String {
        String::from("*")
    }
}

pub(crate) fn describe_key(
    cx: &mut Cx<'_>,
    input: DescribeKeyRequest,
) -> Result<DescribeKeyResponse, ApiError> {
    // Grant tokens say nothing that is not so without them, and the model declares no error for wrong ones.
    let key = permitted(cx, &input.key_id, Use::default(), action::DESCRIBE_KEY)?;
    key.ensure(Class::Look)?;

    Ok(DescribeKeyResponse { key_metadata: Some(key.metadata(cx.account().as_str())) })
}

/// By the day: see [`last_use`](crate::last_use). What came before the first note is not known, and is not told from nothing.
pub(crate) fn get_key_last_usage(
    cx: &mut Cx<'_>,
    input: GetKeyLastUsageRequest,
) -> Result<GetKeyLastUsageResponse, ApiError> {
    let key = permitted(cx, &input.key_id, Use::default(), action::GET_KEY_LAST_USAGE)?;
    key.ensure(Class::Look)?;

    Ok(GetKeyLastUsageResponse {
        key_id: Some(key.arn.clone()),
        key_last_usage: key.last_use.as_ref().map(LastUseRecord::shown),
        tracking_start_date: Some(key.created_at),
        key_creation_date: Some(key.created_at),
    })
}

pub(crate) fn list_keys(cx: &mut Cx<'_>, input: ListKeysRequest) -> Result<ListKeysResponse, ApiError> {
    let query = ListKeysRequest { limit: None, marker: None, ..input.clone() };
    let limit = page::limit(input.limit, 100, 1_000);
    // Keys that other accounts share by other means than policies: there are none.
    let own = input.resource_owners.as_ref().is_none_or(|owners| owners.iter().any(|owner| owner == "SELF"));

    let permit = cx.ask_through::<KeyRecord>(action::LIST_KEYS, &All)?;
    let part = PageOf { order: order::ID, of: None };
    let page = page::of(&query, input.marker.as_deref(), limit).of_records(cx, permit, part, |_| own)?;

    let entry = |key: &Arc<KeyRecord>| KeyListEntry {
        key_id: Some(key.key_id.clone()),
        key_arn: Some(key.arn.clone()),
    };
    Ok(ListKeysResponse {
        truncated: page.is_truncated(),
        keys: Some(page.items.iter().map(entry).collect()),
        next_marker: page.marker,
    })
}

pub(crate) fn enable_key(cx: &mut Cx<'_>, input: EnableKeyRequest) -> Result<Empty, ApiError> {
    let key = permitted(cx, &input.key_id, Use::default(), action::ENABLE_KEY)?;
    key.ensure(Class::Switch)?;

    switch(cx, &key, KeyState::Enabled)
}

pub(crate) fn disable_key(cx: &mut Cx<'_>, input: DisableKeyRequest) -> Result<Empty, ApiError> {
    let key = permitted(cx, &input.key_id, Use::default(), action::DISABLE_KEY)?;
    key.ensure(Class::Switch)?;

    switch(cx, &key, KeyState::Disabled)
}

/// A key that was to be rotated while it was disabled is, as soon as it is enabled again.
fn switch(cx: &mut Cx<'_>, key: &KeyRecord, state: KeyState) -> Result<Empty, ApiError> {
    if key.state != state {
        super::save_and_wake(cx, KeyRecord { state, ..key.clone() })?;
    }
    Ok(Empty {})
}

pub(crate) fn update_key_description(
    cx: &mut Cx<'_>,
    input: UpdateKeyDescriptionRequest,
) -> Result<Empty, ApiError> {
    let key = permitted(cx, &input.key_id, Use::default(), action::UPDATE_KEY_DESCRIPTION)?;
    key.ensure(Class::Annotate)?;

    cx.save(KeyRecord { description: input.description, ..(*key).clone() })?;
    Ok(Empty {})
}
