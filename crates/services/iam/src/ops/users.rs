//! Users, their tags and their boundaries.

use coffer_core::{Cx, PageOf, Registry};
use coffer_model::iam::{self, action};
use coffer_shape::{ApiError, Empty};

use crate::{
    access_key::AccessKeyRecord,
    attachments::{self, Use},
    entity::{self, Planned, bound, own, page_of_tags, permitted, set_boundary},
    error::IamError,
    holder::ensure_holds_nothing,
    login_profile::LoginProfileRecord,
    name::{self, key_of},
    page, tags,
    trust::MovedRecord,
    unscoped::ask_for_all,
    user::UserRecord,
};

/// AWS's default; it raises no other.
pub(super) const USERS_MAX: usize = 5_000;

pub(super) fn register(registry: &mut Registry) {
    registry.serve::<iam::CreateUser>(create_user);
    registry.serve::<iam::GetUser>(get_user);
    registry.serve::<iam::ListUsers>(list_users);
    registry.serve::<iam::UpdateUser>(update_user);
    registry.serve::<iam::DeleteUser>(delete_user);
    registry.serve::<iam::TagUser>(|cx, input| {
        entity::tag::<UserRecord>(cx, &input.user_name, input.tags, action::TAG_USER)?;
        Ok(Empty {})
    });
    registry.serve::<iam::UntagUser>(|cx, input| {
        entity::untag::<UserRecord>(cx, &input.user_name, &input.tag_keys, action::UNTAG_USER)?;
        Ok(Empty {})
    });
    registry.serve::<iam::ListUserTags>(list_user_tags);
    registry.serve::<iam::PutUserPermissionsBoundary>(|cx, input| {
        let boundary = Some(input.permissions_boundary);
        bound::<UserRecord>(cx, &input.user_name, boundary, action::PUT_USER_PERMISSIONS_BOUNDARY)?;
        Ok(Empty {})
    });
    registry.serve::<iam::DeleteUserPermissionsBoundary>(|cx, input| {
        bound::<UserRecord>(cx, &input.user_name, None, action::DELETE_USER_PERMISSIONS_BOUNDARY)?;
        Ok(Empty {})
    });
}

fn create_user(cx: &mut Cx<'_>, input: iam::CreateUserRequest) -> Result<iam::CreateUserResponse, ApiError> {
    let path = input.path.as_deref().unwrap_or("/");
    let planned = Planned(name::arn(cx, "user", path, &input.user_name));
    entity::ask_to_make(cx, &planned, action::CREATE_USER, action::TAG_USER, input.tags.as_ref())?;
    if cx.exists::<UserRecord>(&[&key_of(&input.user_name)], None)? {
        return Err(IamError::EntityExists { kind: "user", name: input.user_name }.into());
    }
    if cx.count::<UserRecord>()? >= USERS_MAX {
        return Err(IamError::Quota { name: "UsersPerAccount", limit: USERS_MAX }.into());
    }
    let mut user = UserRecord::new(cx, path, &input.user_name);
    tags::set(&mut user.tags, input.tags.unwrap_or_default())?;
    if let Some(boundary) = input.permissions_boundary {
        set_boundary(cx, &mut user.boundary, Some(boundary))?;
    }
    let shown = shown(&user, true);
    cx.save(user)?;
    Ok(iam::CreateUserResponse { user: Some(shown) })
}

/// Without a name it is the caller himself.
fn get_user(cx: &mut Cx<'_>, input: iam::GetUserRequest) -> Result<iam::GetUserResponse, ApiError> {
    let name = match input.user_name {
        Some(name) => name,
        None => own_name(cx)?,
    };
    let user = permitted::<UserRecord>(cx, &name, action::GET_USER)?;
    Ok(iam::GetUserResponse { user: shown(&user, true) })
}

fn list_users(cx: &mut Cx<'_>, input: iam::ListUsersRequest) -> Result<iam::ListUsersResponse, ApiError> {
    let permit = ask_for_all(cx, action::LIST_USERS, "user", input.path_prefix.as_deref())?;
    let query = iam::ListUsersRequest { path_prefix: input.path_prefix, marker: None, max_items: None };
    let prefix = query.path_prefix.as_deref().unwrap_or("/");
    let page = page::of(&query, input.marker.as_deref(), input.max_items).of_records(
        cx,
        permit,
        PageOf::default(),
        |user: &UserRecord| user.path.starts_with(prefix),
    )?;
    Ok(iam::ListUsersResponse {
        is_truncated: page.is_truncated(),
        users: page.items.iter().map(|user| shown(user, false)).collect(),
        marker: page.marker,
    })
}

/// A new name, a new path or both. Who the user is stays the same, so whatever trusts him still does.
fn update_user(cx: &mut Cx<'_>, input: iam::UpdateUserRequest) -> Result<Empty, ApiError> {
    let before = permitted::<UserRecord>(cx, &input.user_name, action::UPDATE_USER)?;
    let mut user = (*before).clone();
    user.name = input.new_user_name.unwrap_or(user.name);
    user.path = input.new_path.unwrap_or(user.path);
    user.key = key_of(&user.name);
    user.arn = name::arn(cx, "user", &user.path, &user.name);
    if user.arn == before.arn {
        return Ok(Empty {});
    }
    // AWS asks for both, what he is and what he will be.
    cx.ask(action::UPDATE_USER, &user)?;
    if user.key != before.key {
        if cx.exists::<UserRecord>(&[&user.key], None)? {
            return Err(IamError::EntityExists { kind: "user", name: user.name }.into());
        }
        cx.erase::<UserRecord>(&[&before.key])?;
    }
    if user.name != before.name {
        for id in &user.access_keys {
            let Some(key) = cx.part::<AccessKeyRecord>(&[id])? else { continue };
            cx.save(key.of_user(&user.name))?;
        }
    }
    cx.save(MovedRecord { unique_id: user.user_id.clone(), arn: user.arn.clone() })?;
    cx.save(user)?;
    Ok(Empty {})
}

fn delete_user(cx: &mut Cx<'_>, input: iam::DeleteUserRequest) -> Result<Empty, ApiError> {
    let user = own::<UserRecord>(cx, &input.user_name, action::DELETE_USER)?;
    ensure_holds_nothing(&user.policies)?;
    if !user.access_keys.is_empty() {
        return Err(IamError::MustDeleteAccessKeys.into());
    }
    if cx.part::<LoginProfileRecord>(&[&user.user_id])?.is_some() {
        return Err(IamError::MustDeleteLoginProfile.into());
    }
    if !user.groups.is_empty() {
        return Err(IamError::MustLeaveGroups.into());
    }
    if let Some(boundary) = &user.boundary {
        attachments::count(cx, boundary, Use::Boundary, -1)?;
    }
    if cx.part::<MovedRecord>(&[&user.user_id])?.is_some() {
        cx.erase::<MovedRecord>(&[&user.user_id])?;
    }
    cx.erase::<UserRecord>(&[&user.key])?;
    Ok(Empty {})
}

fn list_user_tags(
    cx: &mut Cx<'_>,
    input: iam::ListUserTagsRequest,
) -> Result<iam::ListUserTagsResponse, ApiError> {
    let query = iam::ListUserTagsRequest { marker: None, max_items: None, ..input.clone() };
    let (marker, max) = (input.marker.as_deref(), input.max_items);
    let page =
        page_of_tags::<UserRecord, _>(cx, &input.user_name, &query, marker, max, action::LIST_USER_TAGS)?;
    Ok(iam::ListUserTagsResponse { is_truncated: page.is_truncated(), tags: page.items, marker: page.marker })
}

pub(super) fn shown_boundary(boundary: Option<&String>) -> Option<iam::AttachedPermissionsBoundary> {
    boundary.map(|arn| iam::AttachedPermissionsBoundary {
        permissions_boundary_type: Some(String::from("PermissionsBoundaryPolicy")),
        permissions_boundary_arn: Some(arn.clone()),
    })
}

/// The name of the calling user, for operations where leaving it out means oneself.
pub(super) fn own_name(cx: &Cx<'_>) -> Result<String, ApiError> {
    match &cx.caller().kind {
        coffer_core::PrincipalKind::User { name } => Ok(name.clone()),
        _ => Err(IamError::NotAUser.into()),
    }
}

/// Lists leave out tags and boundary.
pub(super) fn shown(user: &UserRecord, whole: bool) -> iam::User {
    iam::User {
        path: user.path.clone(),
        user_name: user.name.clone(),
        user_id: user.user_id.clone(),
        arn: user.arn.clone(),
        create_date: user.created_at,
        permissions_boundary: shown_boundary(user.boundary.as_ref().filter(|_| whole)),
        tags: tags::shown(&user.tags).filter(|_| whole),
        ..iam::User::default()
    }
}
