//! Groups and the users in them.

use coffer_core::{Cx, PageOf, Registry};
use coffer_model::iam::{self, action};
use coffer_shape::{ApiError, Empty};

use super::users;
use crate::{
    entity::{Planned, own, permitted, seen_through},
    error::IamError,
    group::{GroupNameRecord, GroupRecord},
    holder::ensure_holds_nothing,
    name::{self, key_of},
    page,
    unscoped::ask_for_all,
    user::UserRecord,
};

pub(super) const GROUPS_MAX: usize = 300;
pub(super) const GROUPS_PER_USER_MAX: usize = 10;

pub(super) fn register(registry: &mut Registry) {
    registry.serve::<iam::CreateGroup>(create_group);
    registry.serve::<iam::GetGroup>(get_group);
    registry.serve::<iam::ListGroups>(list_groups);
    registry.serve::<iam::UpdateGroup>(update_group);
    registry.serve::<iam::DeleteGroup>(delete_group);
    registry.serve::<iam::AddUserToGroup>(add_user_to_group);
    registry.serve::<iam::RemoveUserFromGroup>(remove_user_from_group);
    registry.serve::<iam::ListGroupsForUser>(list_groups_for_user);
}

fn create_group(
    cx: &mut Cx<'_>,
    input: iam::CreateGroupRequest,
) -> Result<iam::CreateGroupResponse, ApiError> {
    let path = input.path.as_deref().unwrap_or("/");
    cx.ask(action::CREATE_GROUP, &Planned(name::arn(cx, "group", path, &input.group_name)))?;
    ensure_free(cx, &input.group_name)?;
    if cx.count::<GroupRecord>()? >= GROUPS_MAX {
        return Err(IamError::Quota { name: "GroupsPerAccount", limit: GROUPS_MAX }.into());
    }
    let group = GroupRecord::new(cx, path, &input.group_name);
    let shown = shown(&group);
    cx.save(group.name_record())?;
    cx.save(group)?;
    Ok(iam::CreateGroupResponse { group: shown })
}

fn ensure_free(cx: &Cx<'_>, name: &str) -> Result<(), ApiError> {
    match cx.part::<GroupNameRecord>(&[&key_of(name)])? {
        Some(_) => Err(IamError::EntityExists { kind: "group", name: name.to_owned() }.into()),
        None => Ok(()),
    }
}

/// With a page of its users.
fn get_group(cx: &mut Cx<'_>, input: iam::GetGroupRequest) -> Result<iam::GetGroupResponse, ApiError> {
    let group = permitted::<GroupRecord>(cx, &input.group_name, action::GET_GROUP)?;
    let permit = cx.ask_through::<UserRecord>(action::GET_GROUP, &group)?;
    let query = iam::GetGroupRequest { marker: None, max_items: None, ..input.clone() };
    let (marker, max) = (input.marker.as_deref(), input.max_items);
    let page =
        page::of(&query, marker, max).of_records(cx, permit, PageOf::default(), |user: &UserRecord| {
            user.groups.contains(&group.group_id)
        })?;
    Ok(iam::GetGroupResponse {
        group: shown(&group),
        is_truncated: page.is_truncated(),
        users: page.items.iter().map(|user| users::shown(user, false)).collect(),
        marker: page.marker,
    })
}

fn list_groups(cx: &mut Cx<'_>, input: iam::ListGroupsRequest) -> Result<iam::ListGroupsResponse, ApiError> {
    let permit = ask_for_all(cx, action::LIST_GROUPS, "group", input.path_prefix.as_deref())?;
    let query = iam::ListGroupsRequest { marker: None, max_items: None, ..input.clone() };
    let prefix = query.path_prefix.as_deref().unwrap_or("/");
    let (marker, max) = (input.marker.as_deref(), input.max_items);
    let page =
        page::of(&query, marker, max).of_records(cx, permit, PageOf::default(), |group: &GroupRecord| {
            group.path.starts_with(prefix)
        })?;
    Ok(iam::ListGroupsResponse {
        is_truncated: page.is_truncated(),
        groups: page.items.iter().map(|group| shown(group)).collect(),
        marker: page.marker,
    })
}

/// A new name, a new path or both. Its users stay in it.
fn update_group(cx: &mut Cx<'_>, input: iam::UpdateGroupRequest) -> Result<Empty, ApiError> {
    let before = permitted::<GroupRecord>(cx, &input.group_name, action::UPDATE_GROUP)?;
    let mut group = (*before).clone();
    group.name = input.new_group_name.unwrap_or(group.name);
    group.path = input.new_path.unwrap_or(group.path);
    group.key = key_of(&group.name);
    group.arn = name::arn(cx, "group", &group.path, &group.name);
    if group.arn == before.arn {
        return Ok(Empty {});
    }
    // AWS asks for both, what it is and what it will be.
    cx.ask(action::UPDATE_GROUP, &group)?;
    if group.key != before.key {
        ensure_free(cx, &group.name)?;
        cx.erase::<GroupNameRecord>(&[&before.key])?;
        cx.save(group.name_record())?;
    }
    cx.save(group)?;
    Ok(Empty {})
}

fn delete_group(cx: &mut Cx<'_>, input: iam::DeleteGroupRequest) -> Result<Empty, ApiError> {
    let group = permitted::<GroupRecord>(cx, &input.group_name, action::DELETE_GROUP)?;
    if group.members > 0 {
        return Err(IamError::MustLeaveGroups.into());
    }
    ensure_holds_nothing(&group.policies)?;
    cx.erase::<GroupNameRecord>(&[&group.key])?;
    cx.erase::<GroupRecord>(&[&group.group_id])?;
    Ok(Empty {})
}

/// A user who is in it already stays so. AWS asks about the group alone.
fn add_user_to_group(cx: &mut Cx<'_>, input: iam::AddUserToGroupRequest) -> Result<Empty, ApiError> {
    let mut group = own::<GroupRecord>(cx, &input.group_name, action::ADD_USER_TO_GROUP)?;
    let found = seen_through::<UserRecord>(cx, &key_of(&input.user_name), &group, action::ADD_USER_TO_GROUP)?;
    let mut user = member(found, &input.user_name)?;
    if user.groups.contains(&group.group_id) {
        return Ok(Empty {});
    }
    if user.groups.len() >= GROUPS_PER_USER_MAX {
        return Err(IamError::Quota { name: "GroupsPerUser", limit: GROUPS_PER_USER_MAX }.into());
    }
    user.groups.push(group.group_id.clone());
    group.members = group.members.saturating_add(1);
    cx.save(user)?;
    cx.save(group)?;
    Ok(Empty {})
}

fn remove_user_from_group(
    cx: &mut Cx<'_>,
    input: iam::RemoveUserFromGroupRequest,
) -> Result<Empty, ApiError> {
    let action = action::REMOVE_USER_FROM_GROUP;
    let mut group = own::<GroupRecord>(cx, &input.group_name, action)?;
    let found = seen_through::<UserRecord>(cx, &key_of(&input.user_name), &group, action)?;
    let mut user = member(found, &input.user_name)?;
    if !user.groups.contains(&group.group_id) {
        return Err(IamError::NotInGroup { user: user.name, group: group.name }.into());
    }
    user.groups.retain(|id| *id != group.group_id);
    group.members = group.members.saturating_sub(1);
    cx.save(user)?;
    cx.save(group)?;
    Ok(Empty {})
}

fn member(found: Option<std::sync::Arc<UserRecord>>, name: &str) -> Result<UserRecord, IamError> {
    let missing = || IamError::NoSuchEntity { kind: "user", name: name.to_owned() };
    found.map(std::sync::Arc::unwrap_or_clone).ok_or_else(missing)
}

fn list_groups_for_user(
    cx: &mut Cx<'_>,
    input: iam::ListGroupsForUserRequest,
) -> Result<iam::ListGroupsForUserResponse, ApiError> {
    let action = action::LIST_GROUPS_FOR_USER;
    let user = permitted::<UserRecord>(cx, &input.user_name, action)?;
    let query = iam::ListGroupsForUserRequest { marker: None, max_items: None, ..input.clone() };
    let mut groups = Vec::with_capacity(user.groups.len());
    for id in &user.groups {
        if let Some(group) = seen_through::<GroupRecord>(cx, id, &user, action)? {
            groups.push((group.key.clone(), shown(&group)));
        }
    }
    let page = page::of(&query, input.marker.as_deref(), input.max_items).of_gathered(cx, groups)?;
    Ok(iam::ListGroupsForUserResponse {
        is_truncated: page.is_truncated(),
        groups: page.items,
        marker: page.marker,
    })
}

fn shown(group: &GroupRecord) -> iam::Group {
    iam::Group {
        path: group.path.clone(),
        group_name: group.name.clone(),
        group_id: group.group_id.clone(),
        arn: group.arn.clone(),
        create_date: group.created_at,
    }
}
