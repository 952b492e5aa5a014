//! Instance profiles and the role in each.

use coffer_core::{Cx, PageOf, Registry, Resource};
use coffer_model::iam::{self, action};
use coffer_shape::{Action, ApiError, Empty};

use super::roles;
use crate::{
    access_key::unique_id,
    entity::{self, Planned, changeable, own, page_of_tags, permitted, seen_through},
    error::IamError,
    instance_profile::InstanceProfileRecord,
    name::{self, key_of},
    page,
    role::RoleRecord,
    tags,
    unscoped::{Unscoped, ask_for_all},
};

pub(super) const PROFILES_MAX: usize = 1_000;
const ROLES_PER_PROFILE_MAX: usize = 1;

pub(super) fn register(registry: &mut Registry) {
    registry.serve::<iam::CreateInstanceProfile>(create_instance_profile);
    registry.serve::<iam::GetInstanceProfile>(get_instance_profile);
    registry.serve::<iam::ListInstanceProfiles>(list_instance_profiles);
    registry.serve::<iam::ListInstanceProfilesForRole>(list_instance_profiles_for_role);
    registry.serve::<iam::DeleteInstanceProfile>(delete_instance_profile);
    registry.serve::<iam::AddRoleToInstanceProfile>(add_role_to_instance_profile);
    registry.serve::<iam::RemoveRoleFromInstanceProfile>(remove_role_from_instance_profile);
    registry.serve::<iam::TagInstanceProfile>(|cx, input| {
        let (name, tags) = (&input.instance_profile_name, input.tags);
        entity::tag::<InstanceProfileRecord>(cx, name, tags, action::TAG_INSTANCE_PROFILE)?;
        Ok(Empty {})
    });
    registry.serve::<iam::UntagInstanceProfile>(|cx, input| {
        let (name, keys) = (&input.instance_profile_name, &input.tag_keys);
        entity::untag::<InstanceProfileRecord>(cx, name, keys, action::UNTAG_INSTANCE_PROFILE)?;
        Ok(Empty {})
    });
    registry.serve::<iam::ListInstanceProfileTags>(list_instance_profile_tags);
}

fn create_instance_profile(
    cx: &mut Cx<'_>,
    input: iam::CreateInstanceProfileRequest,
) -> Result<iam::CreateInstanceProfileResponse, ApiError> {
    let path = input.path.as_deref().unwrap_or("/");
    let arn = name::arn(cx, "instance-profile", path, &input.instance_profile_name);
    let planned = Planned(arn.clone());
    let (create, tag) = (action::CREATE_INSTANCE_PROFILE, action::TAG_INSTANCE_PROFILE);
    entity::ask_to_make(cx, &planned, create, tag, input.tags.as_ref())?;
    let key = key_of(&input.instance_profile_name);
    if cx.exists::<InstanceProfileRecord>(&[&key], None)? {
        return Err(IamError::InstanceProfileExists { name: input.instance_profile_name }.into());
    }
    if cx.count::<InstanceProfileRecord>()? >= PROFILES_MAX {
        return Err(IamError::Quota { name: "InstanceProfilesPerAccount", limit: PROFILES_MAX }.into());
    }
    let mut profile = InstanceProfileRecord {
        key,
        path: path.to_owned(),
        name: input.instance_profile_name,
        profile_id: unique_id(cx.entropy(), "AIPA"),
        arn,
        created_at: cx.now(),
        ..InstanceProfileRecord::default()
    };
    tags::set(&mut profile.tags, input.tags.unwrap_or_default())?;
    let tags = tags::shown(&profile.tags);
    let shown = shown(cx, &profile, &planned, action::CREATE_INSTANCE_PROFILE)?;
    cx.save(profile)?;
    Ok(iam::CreateInstanceProfileResponse { instance_profile: iam::InstanceProfile { tags, ..shown } })
}

fn get_instance_profile(
    cx: &mut Cx<'_>,
    input: iam::GetInstanceProfileRequest,
) -> Result<iam::GetInstanceProfileResponse, ApiError> {
    let action = action::GET_INSTANCE_PROFILE;
    let profile = permitted::<InstanceProfileRecord>(cx, &input.instance_profile_name, action)?;
    let shown = shown(cx, &profile, &profile, action)?;
    let instance_profile = iam::InstanceProfile { tags: tags::shown(&profile.tags), ..shown };
    Ok(iam::GetInstanceProfileResponse { instance_profile })
}

fn list_instance_profiles(
    cx: &mut Cx<'_>,
    input: iam::ListInstanceProfilesRequest,
) -> Result<iam::ListInstanceProfilesResponse, ApiError> {
    let permit =
        ask_for_all(cx, action::LIST_INSTANCE_PROFILES, "instance-profile", input.path_prefix.as_deref())?;
    let query = iam::ListInstanceProfilesRequest { marker: None, max_items: None, ..input.clone() };
    let prefix = query.path_prefix.as_deref().unwrap_or("/");
    let admits = |profile: &InstanceProfileRecord| profile.path.starts_with(prefix);
    let page = page::of(&query, input.marker.as_deref(), input.max_items).of_records(
        cx,
        permit,
        PageOf::default(),
        admits,
    )?;
    let profiles = page
        .items
        .iter()
        .map(|profile| shown(cx, profile, &Unscoped::account(), action::LIST_INSTANCE_PROFILES));
    Ok(iam::ListInstanceProfilesResponse {
        is_truncated: page.is_truncated(),
        instance_profiles: profiles.collect::<Result<_, _>>()?,
        marker: page.marker,
    })
}

fn list_instance_profiles_for_role(
    cx: &mut Cx<'_>,
    input: iam::ListInstanceProfilesForRoleRequest,
) -> Result<iam::ListInstanceProfilesForRoleResponse, ApiError> {
    let action = action::LIST_INSTANCE_PROFILES_FOR_ROLE;
    let role = permitted::<RoleRecord>(cx, &input.role_name, action)?;
    let query = iam::ListInstanceProfilesForRoleRequest { marker: None, max_items: None, ..input.clone() };
    let (marker, max) = (input.marker.as_deref(), input.max_items);
    let page = page::of(&query, marker, max).of_items(cx, &role.instance_profiles, |key| key)?;
    let mut profiles = Vec::with_capacity(page.items.len());
    for key in &page.items {
        if let Some(profile) = seen_through::<InstanceProfileRecord>(cx, key, &role, action)? {
            profiles.push(shown(cx, &profile, &role, action)?);
        }
    }
    Ok(iam::ListInstanceProfilesForRoleResponse {
        is_truncated: page.is_truncated(),
        instance_profiles: profiles,
        marker: page.marker,
    })
}

fn delete_instance_profile(
    cx: &mut Cx<'_>,
    input: iam::DeleteInstanceProfileRequest,
) -> Result<Empty, ApiError> {
    let profile = permitted::<InstanceProfileRecord>(
        cx,
        &input.instance_profile_name,
        action::DELETE_INSTANCE_PROFILE,
    )?;
    if profile.role.is_some() {
        return Err(IamError::MustLeaveInstanceProfiles.into());
    }
    cx.erase::<InstanceProfileRecord>(&[&profile.key])?;
    Ok(Empty {})
}

/// Whoever puts a role into a profile hands it to machines, which is a permission of its own.
fn add_role_to_instance_profile(
    cx: &mut Cx<'_>,
    input: iam::AddRoleToInstanceProfileRequest,
) -> Result<Empty, ApiError> {
    let action = action::ADD_ROLE_TO_INSTANCE_PROFILE;
    let mut profile = own::<InstanceProfileRecord>(cx, &input.instance_profile_name, action)?;
    let mut role = changeable::<RoleRecord>(cx, &input.role_name, action::PASS_ROLE)?;
    if profile.role.is_some() {
        let (name, limit) = ("InstanceSessionsPerInstanceProfile", ROLES_PER_PROFILE_MAX);
        return Err(IamError::Quota { name, limit }.into());
    }
    if let Err(place) = role.instance_profiles.binary_search(&profile.key) {
        role.instance_profiles.insert(place, profile.key.clone());
    }
    profile.role = Some(role.key.clone());
    cx.save(role)?;
    cx.save(profile)?;
    Ok(Empty {})
}

fn remove_role_from_instance_profile(
    cx: &mut Cx<'_>,
    input: iam::RemoveRoleFromInstanceProfileRequest,
) -> Result<Empty, ApiError> {
    let action = action::REMOVE_ROLE_FROM_INSTANCE_PROFILE;
    let mut profile = own::<InstanceProfileRecord>(cx, &input.instance_profile_name, action)?;
    let Some(key) = profile.role.take_if(|key| *key == key_of(&input.role_name)) else {
        return Err(IamError::NoSuchEntity { kind: "role", name: input.role_name }.into());
    };
    if let Some(role) = seen_through::<RoleRecord>(cx, &key, &profile, action)? {
        let mut role = std::sync::Arc::unwrap_or_clone(role);
        role.instance_profiles.retain(|known| *known != profile.key);
        cx.save(role)?;
    }
    cx.save(profile)?;
    Ok(Empty {})
}

fn list_instance_profile_tags(
    cx: &mut Cx<'_>,
    input: iam::ListInstanceProfileTagsRequest,
) -> Result<iam::ListInstanceProfileTagsResponse, ApiError> {
    let query = iam::ListInstanceProfileTagsRequest { marker: None, max_items: None, ..input.clone() };
    let (name, marker, max) = (&input.instance_profile_name, input.marker.as_deref(), input.max_items);
    let action = action::LIST_INSTANCE_PROFILE_TAGS;
    let page = page_of_tags::<InstanceProfileRecord, _>(cx, name, &query, marker, max, action)?;
    Ok(iam::ListInstanceProfileTagsResponse {
        is_truncated: page.is_truncated(),
        tags: page.items,
        marker: page.marker,
    })
}

/// Without tags, as lists leave them out. `permitted` is what the caller has been permitted to look at with this action.
pub(super) fn shown(
    cx: &Cx<'_>,
    profile: &InstanceProfileRecord,
    permitted: &dyn Resource,
    action: Action,
) -> Result<iam::InstanceProfile, ApiError> {
    let role = profile.role.as_ref().map(|key| seen_through::<RoleRecord>(cx, key, permitted, action));
    let role = role.transpose()?.flatten();
    let role = role.map(|role| roles::shown(cx, &role, roles::Shown::Listed)).transpose()?;
    Ok(iam::InstanceProfile {
        path: profile.path.clone(),
        instance_profile_name: profile.name.clone(),
        instance_profile_id: profile.profile_id.clone(),
        arn: profile.arn.clone(),
        create_date: profile.created_at,
        roles: role.into_iter().collect(),
        tags: None,
    })
}
