//! Roles, their trust policies, their tags and their boundaries.

use coffer_core::{Cx, PageOf, Registry};
use coffer_model::iam::{self, action};
use coffer_shape::{ApiError, Empty};

use super::users::shown_boundary;
use crate::{
    access_key::unique_id,
    attachments::{self, Use},
    entity::{self, Planned, bound, changeable, page_of_tags, permitted, set_boundary},
    error::IamError,
    holder::ensure_holds_nothing,
    name::{self, key_of},
    page,
    role::{RoleRecord, SERVICES_PATH},
    tags, trust,
    unscoped::ask_for_all,
};

pub(super) const ROLES_MAX: usize = 1_000;
const SESSION_SECONDS_DEFAULT: i64 = 3_600;

pub(super) fn register(registry: &mut Registry) {
    registry.serve::<iam::CreateRole>(create_role);
    registry.serve::<iam::GetRole>(get_role);
    registry.serve::<iam::ListRoles>(list_roles);
    registry.serve::<iam::UpdateRole>(update_role);
    registry.serve::<iam::UpdateRoleDescription>(update_role_description);
    registry.serve::<iam::UpdateAssumeRolePolicy>(update_assume_role_policy);
    registry.serve::<iam::DeleteRole>(delete_role);
    registry.serve::<iam::TagRole>(|cx, input| {
        entity::tag::<RoleRecord>(cx, &input.role_name, input.tags, action::TAG_ROLE)?;
        Ok(Empty {})
    });
    registry.serve::<iam::UntagRole>(|cx, input| {
        entity::untag::<RoleRecord>(cx, &input.role_name, &input.tag_keys, action::UNTAG_ROLE)?;
        Ok(Empty {})
    });
    registry.serve::<iam::ListRoleTags>(list_role_tags);
    registry.serve::<iam::PutRolePermissionsBoundary>(|cx, input| {
        let boundary = Some(input.permissions_boundary);
        bound::<RoleRecord>(cx, &input.role_name, boundary, action::PUT_ROLE_PERMISSIONS_BOUNDARY)?;
        Ok(Empty {})
    });
    registry.serve::<iam::DeleteRolePermissionsBoundary>(|cx, input| {
        bound::<RoleRecord>(cx, &input.role_name, None, action::DELETE_ROLE_PERMISSIONS_BOUNDARY)?;
        Ok(Empty {})
    });
}

fn create_role(cx: &mut Cx<'_>, input: iam::CreateRoleRequest) -> Result<iam::CreateRoleResponse, ApiError> {
    let path = input.path.as_deref().unwrap_or("/");
    let arn = name::arn(cx, "role", path, &input.role_name);
    let (planned, tags) = (Planned(arn.clone()), input.tags.as_ref());
    entity::ask_to_make(cx, &planned, action::CREATE_ROLE, action::TAG_ROLE, tags)?;
    if path.starts_with(SERVICES_PATH) {
        return Err(IamError::ReservedPath { path: path.to_owned() }.into());
    }
    let key = key_of(&input.role_name);
    if cx.exists::<RoleRecord>(&[&key], None)? {
        return Err(IamError::EntityExists { kind: "role", name: input.role_name }.into());
    }
    ensure_room(cx)?;
    let mut role = RoleRecord {
        key,
        path: path.to_owned(),
        name: input.role_name,
        role_id: unique_id(cx.entropy(), "AROA"),
        arn,
        created_at: cx.now(),
        description: input.description,
        trust: trust::written(cx, input.assume_role_policy_document)?,
        max_session_seconds: input.max_session_duration.unwrap_or(SESSION_SECONDS_DEFAULT),
        max_signin_session_seconds: input.max_signin_session_duration,
        ..RoleRecord::default()
    };
    tags::set(&mut role.tags, input.tags.unwrap_or_default())?;
    if let Some(boundary) = input.permissions_boundary {
        set_boundary(cx, &mut role.boundary, Some(boundary))?;
    }
    let shown = shown(cx, &role, Shown::Whole)?;
    cx.save(role)?;
    Ok(iam::CreateRoleResponse { role: shown })
}

pub(super) fn ensure_room(cx: &Cx<'_>) -> Result<(), ApiError> {
    if cx.count::<RoleRecord>()? >= ROLES_MAX {
        return Err(IamError::Quota { name: "RolesPerAccount", limit: ROLES_MAX }.into());
    }
    Ok(())
}

fn get_role(cx: &mut Cx<'_>, input: iam::GetRoleRequest) -> Result<iam::GetRoleResponse, ApiError> {
    let role = permitted::<RoleRecord>(cx, &input.role_name, action::GET_ROLE)?;
    // Empty until the role is used.
    let role = iam::Role { role_last_used: Some(last_used(&role)), ..shown(cx, &role, Shown::Whole)? };
    Ok(iam::GetRoleResponse { role })
}

pub(super) fn last_used(role: &RoleRecord) -> iam::RoleLastUsed {
    iam::RoleLastUsed { last_used_date: role.last_used_at, region: role.last_used_region.clone() }
}

fn list_roles(cx: &mut Cx<'_>, input: iam::ListRolesRequest) -> Result<iam::ListRolesResponse, ApiError> {
    let permit = ask_for_all(cx, action::LIST_ROLES, "role", input.path_prefix.as_deref())?;
    let query = iam::ListRolesRequest { marker: None, max_items: None, ..input.clone() };
    let prefix = query.path_prefix.as_deref().unwrap_or("/");
    let (marker, max) = (input.marker.as_deref(), input.max_items);
    let page =
        page::of(&query, marker, max)
            .of_records(cx, permit, PageOf::default(), |role: &RoleRecord| role.path.starts_with(prefix))?;
    let roles = page.items.iter().map(|role| shown(cx, role, Shown::Listed));
    Ok(iam::ListRolesResponse {
        is_truncated: page.is_truncated(),
        roles: roles.collect::<Result<_, _>>()?,
        marker: page.marker,
    })
}

fn update_role(cx: &mut Cx<'_>, input: iam::UpdateRoleRequest) -> Result<iam::UpdateRoleResponse, ApiError> {
    let mut role = changeable::<RoleRecord>(cx, &input.role_name, action::UPDATE_ROLE)?;
    if let Some(description) = input.description {
        role.description = Some(description);
    }
    if let Some(seconds) = input.max_session_duration {
        role.max_session_seconds = seconds;
    }
    if input.reset_max_signin_session_duration == Some(true) {
        role.max_signin_session_seconds = None;
    }
    if let Some(seconds) = input.max_signin_session_duration {
        role.max_signin_session_seconds = Some(seconds);
    }
    cx.save(role)?;
    Ok(iam::UpdateRoleResponse {})
}

/// The one thing about a role of a service that its account may change.
fn update_role_description(
    cx: &mut Cx<'_>,
    input: iam::UpdateRoleDescriptionRequest,
) -> Result<iam::UpdateRoleDescriptionResponse, ApiError> {
    let mut role = entity::own::<RoleRecord>(cx, &input.role_name, action::UPDATE_ROLE_DESCRIPTION)?;
    role.description = Some(input.description);
    let shown = shown(cx, &role, Shown::Whole)?;
    cx.save(role)?;
    Ok(iam::UpdateRoleDescriptionResponse { role: Some(shown) })
}

fn update_assume_role_policy(
    cx: &mut Cx<'_>,
    input: iam::UpdateAssumeRolePolicyRequest,
) -> Result<Empty, ApiError> {
    let mut role = changeable::<RoleRecord>(cx, &input.role_name, action::UPDATE_ASSUME_ROLE_POLICY)?;
    role.trust = trust::written(cx, input.policy_document)?;
    cx.save(role)?;
    Ok(Empty {})
}

fn delete_role(cx: &mut Cx<'_>, input: iam::DeleteRoleRequest) -> Result<Empty, ApiError> {
    let role = changeable::<RoleRecord>(cx, &input.role_name, action::DELETE_ROLE)?;
    if !role.instance_profiles.is_empty() {
        return Err(IamError::MustLeaveInstanceProfiles.into());
    }
    ensure_holds_nothing(&role.policies)?;
    if let Some(boundary) = &role.boundary {
        attachments::count(cx, boundary, Use::Boundary, -1)?;
    }
    cx.erase::<RoleRecord>(&[&role.key])?;
    Ok(Empty {})
}

fn list_role_tags(
    cx: &mut Cx<'_>,
    input: iam::ListRoleTagsRequest,
) -> Result<iam::ListRoleTagsResponse, ApiError> {
    let query = iam::ListRoleTagsRequest { marker: None, max_items: None, ..input.clone() };
    let (marker, max) = (input.marker.as_deref(), input.max_items);
    let page =
        page_of_tags::<RoleRecord, _>(cx, &input.role_name, &query, marker, max, action::LIST_ROLE_TAGS)?;
    Ok(iam::ListRoleTagsResponse { is_truncated: page.is_truncated(), tags: page.items, marker: page.marker })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    Whole,
    /// Without tags and boundary, as in lists and instance profiles.
    Listed,
}

pub(super) fn shown(cx: &Cx<'_>, role: &RoleRecord, how: Shown) -> Result<iam::Role, ApiError> {
    let is_whole = how == Shown::Whole;
    Ok(iam::Role {
        path: role.path.clone(),
        role_name: role.name.clone(),
        role_id: role.role_id.clone(),
        arn: role.arn.clone(),
        create_date: role.created_at,
        assume_role_policy_document: Some(name::encoded(&trust::shown(cx, &role.trust)?)),
        description: role.description.clone(),
        max_session_duration: Some(role.max_session_seconds),
        max_signin_session_duration: role.max_signin_session_seconds,
        permissions_boundary: shown_boundary(role.boundary.as_ref().filter(|_| is_whole)),
        tags: tags::shown(&role.tags).filter(|_| is_whole),
        ..iam::Role::default()
    })
}
