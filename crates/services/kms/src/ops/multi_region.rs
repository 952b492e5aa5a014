//! ReplicateKey and UpdatePrimaryRegion.

use coffer_core::{Cx, Task};
use coffer_model::kms::{ReplicateKeyRequest, ReplicateKeyResponse, Tag, UpdatePrimaryRegionRequest, action};
use coffer_shape::{ApiError, Empty};

use super::create_key::{ensure_may_have, ensure_may_make};
use crate::{
    error::KmsError,
    key::{KeyRecord, Kind},
    multi_region::place,
    named::{Use, permitted},
    policy::{self, PolicyRecord},
    state::{Class, KeyState},
    tags::{self, TagRecord},
    tasks::{DestroyedRecord, KeyKeeper},
};

/// Makes the same key in another region, where it has a policy, a description and tags of its own. Whoever may replicate a key must also be
/// permitted to make keys there.
pub(crate) fn replicate_key(
    cx: &mut Cx<'_>,
    input: ReplicateKeyRequest,
) -> Result<ReplicateKeyResponse, ApiError> {
    let tags = tags::from_request(input.tags.unwrap_or_default())?;
    let region = input.replica_region;
    let bypass = input.bypass_policy_lockout_safety_check;

    let key = permitted(cx, &input.key_id, Use::default(), action::REPLICATE_KEY)?;
    key.ensure_primary()?;
    key.ensure(Class::Replicate)?;
    let mut primary = (*key).clone();
    primary.add_replica(&region)?;
    let place = place(cx, &region)?;

    let description = input.description.unwrap_or_default();
    let answer = cx.there(&place, |cx| {
        ensure_may_make(cx, Kind::of(&primary))?;
        let mut replica = KeyRecord {
            arn: cx.arn("kms", &format!("key/{}", primary.key_id)).to_string(),
            key_id: primary.key_id.clone(),
            created_at: cx.now(),
            spec: primary.spec,
            usage: primary.usage,
            origin: primary.origin,
            description,
            tags,
            ..KeyRecord::default()
        };
        replica.follow(&primary);
        let policy = ensure_may_have(cx, &replica, input.policy, bypass)?;
        let policy = PolicyRecord { key_id: replica.key_id.clone(), policy };
        cx.save(policy)?;
        if cx.part::<DestroyedRecord>(&[&replica.key_id])?.is_some() {
            cx.erase::<DestroyedRecord>(&[&replica.key_id])?;
        }
        let tag = |tag: &TagRecord| Tag { tag_key: tag.key.clone(), tag_value: tag.value.clone() };
        // On AWS it takes a moment, and this is what its answer says. Here the replica is ready by the time anybody has read that.
        let new = KeyRecord { state: KeyState::Creating, ..replica.clone() };
        let answer = ReplicateKeyResponse {
            replica_key_metadata: Some(new.metadata(cx.account().as_str())),
            replica_policy: Some(policy::shown(cx, &replica)?),
            replica_tags: Some(replica.tags.iter().map(tag).collect()),
        };
        cx.save(replica)?;
        Ok::<_, ApiError>(answer)
    })?;
    cx.save(primary)?;
    Ok(answer)
}

/// Makes a replica the primary. On AWS both are being updated for a while; here it is done, in all regions at once.
pub(crate) fn update_primary_region(
    cx: &mut Cx<'_>,
    input: UpdatePrimaryRegionRequest,
) -> Result<Empty, ApiError> {
    let key = permitted(cx, &input.key_id, Use::default(), action::UPDATE_PRIMARY_REGION)?;
    key.ensure_primary()?;
    key.ensure(Class::HandOn)?;
    let region = input.primary_region;
    if region == cx.region().as_str() {
        return Err(KmsError::AlreadyPrimary { arn: key.arn.clone() }.into());
    }

    let place = place(cx, &region)?;
    cx.there(&place, |cx| {
        let replica = permitted(cx, &key.key_id, Use::default(), action::UPDATE_PRIMARY_REGION)?;
        replica.ensure(Class::HandOn)?;
        let mut replica = (*replica).clone();
        replica.hand_on(&region);
        cx.save(replica)?;
        cx.activate(KeyKeeper::NAME);
        Ok::<(), ApiError>(())
    })?;
    Ok(Empty {})
}
