//! EnableKeyRotation, DisableKeyRotation, GetKeyRotationStatus, RotateKeyOnDemand and ListKeyRotations.

use coffer_core::Cx;
use coffer_model::kms::{
    DisableKeyRotationRequest, EnableKeyRotationRequest, GetKeyRotationStatusRequest,
    GetKeyRotationStatusResponse, ListKeyRotationsRequest, ListKeyRotationsResponse,
    RotateKeyOnDemandRequest, RotateKeyOnDemandResponse, RotationsListEntry, action,
};
use coffer_shape::{ApiError, Empty};

use crate::{
    key::{Came, KeyRecord, Material},
    multi_region,
    named::{Use, permitted},
    page,
    rotation::{PERIOD_DEFAULT_DAYS, RotationRecord},
    spec::{KeySpec, Origin},
    state::{Class, KeyState},
};

/// The first rotation is a period from now, also where there was another period.
pub(crate) fn enable_key_rotation(
    cx: &mut Cx<'_>,
    input: EnableKeyRotationRequest,
) -> Result<Empty, ApiError> {
    let key = permitted(cx, &input.key_id, Use::default(), action::ENABLE_KEY_ROTATION)?;
    key.ensure_rotates()?;
    key.ensure_not_replica()?;
    key.ensure(Class::SetRotation)?;

    let asked = input.rotation_period_in_days;
    let is_new = |rotation: &RotationRecord| asked.is_some_and(|days| days != rotation.period_days);
    if key.rotation.as_ref().is_none_or(is_new) {
        let rotation = Some(RotationRecord::from_now(cx.now(), asked.unwrap_or(PERIOD_DEFAULT_DAYS)));
        super::save_and_wake(cx, KeyRecord { rotation, ..(*key).clone() })?;
    }
    Ok(Empty {})
}

pub(crate) fn disable_key_rotation(
    cx: &mut Cx<'_>,
    input: DisableKeyRotationRequest,
) -> Result<Empty, ApiError> {
    let key = permitted(cx, &input.key_id, Use::default(), action::DISABLE_KEY_ROTATION)?;
    key.ensure_rotates()?;
    key.ensure_not_replica()?;
    key.ensure(Class::SetRotation)?;

    cx.save(KeyRecord { rotation: None, ..(*key).clone() })?;
    Ok(Empty {})
}

/// A key that is going to be deleted is not rotated; if it is taken back, it is again. A key that has no generations is never rotated, and
/// that is its status: Terraform asks this of every key.
pub(crate) fn get_key_rotation_status(
    cx: &mut Cx<'_>,
    input: GetKeyRotationStatusRequest,
) -> Result<GetKeyRotationStatusResponse, ApiError> {
    let key = permitted(cx, &input.key_id, Use::default(), action::GET_KEY_ROTATION_STATUS)?;
    if key.spec == KeySpec::SymmetricDefault {
        key.ensure_rotates()?;
        key.ensure(Class::LookAtRotation)?;
    }

    let rotation = key
        .rotation
        .as_ref()
        .filter(|_| !matches!(key.state, KeyState::PendingDeletion | KeyState::PendingReplicaDeletion));
    Ok(GetKeyRotationStatusResponse {
        key_rotation_enabled: Some(rotation.is_some()),
        key_id: Some(key.arn.clone()),
        rotation_period_in_days: rotation.map(|rotation| rotation.period_days),
        next_rotation_date: rotation.map(|rotation| rotation.next_at),
        on_demand_rotation_start_date: None,
    })
}

/// On AWS it takes a while, in which another one is a conflict; here it is done.
pub(crate) fn rotate_key_on_demand(
    cx: &mut Cx<'_>,
    input: RotateKeyOnDemandRequest,
) -> Result<RotateKeyOnDemandResponse, ApiError> {
    let key = permitted(cx, &input.key_id, Use::default(), action::ROTATE_KEY_ON_DEMAND)?;
    key.ensure(Class::RotateOnDemand)?;
    key.ensure_not_replica()?;
    key.ensure_rotates_on_demand()?;
    key.ensure_on_demand_left()?;
    multi_region::ensure_everywhere(cx, &key)?;

    let mut key = (*key).clone();
    key.rotate(cx, Came::OnDemand);
    let answer = RotateKeyOnDemandResponse { key_id: Some(key.arn.clone()) };
    cx.save(key)?;
    Ok(answer)
}

/// Oldest first. What the key began with is no rotation.
pub(crate) fn list_key_rotations(
    cx: &mut Cx<'_>,
    input: ListKeyRotationsRequest,
) -> Result<ListKeyRotationsResponse, ApiError> {
    let query = ListKeyRotationsRequest { limit: None, marker: None, ..input.clone() };
    let limit = page::limit(input.limit, 100, 1_000);
    let all = input.include_key_material.as_deref() == Some("ALL_KEY_MATERIAL");

    let key = permitted(cx, &input.key_id, Use::default(), action::LIST_KEY_ROTATIONS)?;
    if key.origin == Origin::AwsKms {
        key.ensure_rotates()?;
        key.ensure(Class::LookAtRotation)?;
    }

    // The place of a generation is its number; what is to become one comes last.
    let generations = key.materials.iter().chain(key.pending.iter().filter(|_| all)).enumerate();
    let listed: Vec<(String, &Material)> = generations
        .filter(|(_, material)| all || material.came != Came::WithTheKey)
        .map(|(number, material)| (format!("{number:09}"), material))
        .collect();
    let page = page::of(&query, input.marker.as_deref(), limit).of_gathered(cx, listed)?;

    let is_awaited = key.pending.is_some() && multi_region::ensure_everywhere(cx, &key).is_err();
    let current = key.current().map(|material| material.id.as_str());
    let entry = |material: &Material| {
        let was_rotated = material.came != Came::WithTheKey;
        let is_current = current == Some(material.id.as_str());
        let is_pending = key.pending.as_ref().is_some_and(|pending| pending.id == material.id);
        let state = match (is_current, is_pending) {
            (true, _) => "CURRENT",
            (false, true) if is_awaited => "PENDING_MULTI_REGION_IMPORT_AND_ROTATION",
            (false, true) => "PENDING_ROTATION",
            (false, false) => "NON_CURRENT",
        };
        let is_external = key.origin == Origin::External;
        let import_state = if material.is_here() { "IMPORTED" } else { "PENDING_IMPORT" };
        let (expiration_model, valid_to) = material.shown_validity(key.origin);
        RotationsListEntry {
            key_id: Some(key.arn.clone()),
            key_material_id: Some(material.id.clone()),
            key_material_description: material.description.clone(),
            key_material_state: Some(state.to_owned()),
            import_state: is_external.then(|| import_state.to_owned()),
            expiration_model,
            valid_to,
            rotation_date: was_rotated.then_some(material.created_at),
            rotation_type: was_rotated.then(|| material.came.as_str().to_owned()),
        }
    };
    Ok(ListKeyRotationsResponse {
        truncated: page.is_truncated(),
        rotations: Some(page.items.into_iter().map(entry).collect()),
        next_marker: page.marker,
    })
}
