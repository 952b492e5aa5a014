//! Everything that decides on permissions in an account, in one list.

use std::{ops::ControlFlow, sync::Arc};

use coffer_core::{Cx, Listed, Registry, Walk};
use coffer_model::iam::{self, action};
use coffer_shape::ApiError;

use super::{
    instance_profiles,
    managed_policies::{self, Found},
    policies_of_users::shown_attached,
    policy_versions, roles, users,
};
use crate::{
    attachments::uses_of, bundled, entity::seen_through, group::GroupRecord, holder::Held,
    instance_profile::InstanceProfileRecord, managed::PolicyRecord, name, page, role::RoleRecord,
    unscoped::Unscoped, user::UserRecord,
};

/// Whatever is asked for: with all its policies an item may take many kilobytes, and AWS too may answer with less.
const ITEMS_MAX: i64 = 100;
const ACTION: coffer_shape::Action = action::GET_ACCOUNT_AUTHORIZATION_DETAILS;

pub(super) fn register(registry: &mut Registry) {
    registry.serve::<iam::GetAccountAuthorizationDetails>(get_account_authorization_details);
}

enum Item {
    User(Arc<UserRecord>),
    Group(Arc<GroupRecord>),
    Role(Arc<RoleRecord>),
    Policy(Found),
}

/// Users, groups, roles and policies, each kind by name; of the policies that come with Coffer those that somebody uses.
fn get_account_authorization_details(
    cx: &mut Cx<'_>,
    input: iam::GetAccountAuthorizationDetailsRequest,
) -> Result<iam::GetAccountAuthorizationDetailsResponse, ApiError> {
    cx.ask(ACTION, &Unscoped::account())?;
    let query =
        iam::GetAccountAuthorizationDetailsRequest { filter: input.filter.clone(), ..Default::default() };
    let wants = |kind: &str| {
        let filter = input.filter.as_deref().filter(|filter| !filter.is_empty());
        filter.is_none_or(|filter| filter.iter().any(|known| known == kind))
    };
    let mut items = Vec::new();
    if wants("User") {
        each::<UserRecord>(cx, &mut |user| {
            items.push((format!("1 {}", user.key), Item::User(Arc::clone(user))));
        })?;
    }
    if wants("Group") {
        each::<GroupRecord>(cx, &mut |group| {
            items.push((format!("2 {}", group.key), Item::Group(Arc::clone(group))));
        })?;
    }
    if wants("Role") {
        each::<RoleRecord>(cx, &mut |role| {
            items.push((format!("3 {}", role.key), Item::Role(Arc::clone(role))));
        })?;
    }
    if wants("LocalManagedPolicy") {
        each::<PolicyRecord>(cx, &mut |policy| {
            let policy = Found::Own(Arc::clone(policy));
            items.push((format!("4 {}", policy.place()), Item::Policy(policy)));
        })?;
    }
    if wants("AWSManagedPolicy") {
        for policy in bundled::all() {
            let uses = uses_of(cx, policy.arn)?;
            if uses.attached > 0 || uses.boundary_of > 0 {
                let policy = Found::Bundled(policy);
                items.push((format!("4 {}", policy.place()), Item::Policy(policy)));
            }
        }
    }
    let max = input.max_items.unwrap_or(ITEMS_MAX).min(ITEMS_MAX);
    let page = page::of(&query, input.marker.as_deref(), Some(max)).of_gathered(cx, items)?;
    let is_truncated = page.is_truncated();
    let (mut users, mut groups, mut roles, mut policies) = (vec![], vec![], vec![], vec![]);
    for item in page.items {
        match item {
            Item::User(user) => users.push(of_user(cx, &user)?),
            Item::Group(group) => groups.push(of_group(&group)),
            Item::Role(role) => roles.push(of_role(cx, &role)?),
            Item::Policy(policy) => policies.push(of_policy(cx, &policy)?),
        }
    }
    Ok(iam::GetAccountAuthorizationDetailsResponse {
        user_detail_list: Some(users),
        group_detail_list: Some(groups),
        role_detail_list: Some(roles),
        policies: Some(policies),
        is_truncated,
        marker: page.marker,
    })
}

fn each<R: Listed>(cx: &Cx<'_>, visit: &mut dyn FnMut(&Arc<R>)) -> Result<(), ApiError> {
    let permit = cx.ask_all::<R>(ACTION)?;
    cx.walk(permit, Walk::default(), &mut |record| {
        visit(record);
        ControlFlow::Continue(())
    })
}

/// Absent when there are none, as with all that is inline.
fn inline(held: &Held) -> Option<Vec<iam::PolicyDetail>> {
    let shown = held.inline.iter().map(|policy| iam::PolicyDetail {
        policy_name: Some(policy.name.clone()),
        policy_document: Some(name::encoded(policy.document.as_str())),
    });
    Some(shown.collect()).filter(|shown: &Vec<_>| !shown.is_empty())
}

fn attached(held: &Held) -> Option<Vec<iam::AttachedPolicy>> {
    Some(held.attached.iter().cloned().map(shown_attached).collect())
}

fn of_user(cx: &Cx<'_>, user: &UserRecord) -> Result<iam::UserDetail, ApiError> {
    let mut groups = Vec::with_capacity(user.groups.len());
    for id in &user.groups {
        if let Some(group) = seen_through::<GroupRecord>(cx, id, &Unscoped::account(), ACTION)? {
            groups.push(group.name.clone());
        }
    }
    groups.sort_unstable_by_key(|name| name.to_lowercase());
    let shown = users::shown(user, true);
    Ok(iam::UserDetail {
        path: Some(shown.path),
        user_name: Some(shown.user_name),
        user_id: Some(shown.user_id),
        arn: Some(shown.arn),
        create_date: Some(shown.create_date),
        user_policy_list: inline(&user.policies),
        group_list: Some(groups),
        attached_managed_policies: attached(&user.policies),
        permissions_boundary: shown.permissions_boundary,
        tags: shown.tags,
    })
}

fn of_group(group: &GroupRecord) -> iam::GroupDetail {
    iam::GroupDetail {
        path: Some(group.path.clone()),
        group_name: Some(group.name.clone()),
        group_id: Some(group.group_id.clone()),
        arn: Some(group.arn.clone()),
        create_date: Some(group.created_at),
        group_policy_list: inline(&group.policies),
        attached_managed_policies: attached(&group.policies),
    }
}

fn of_role(cx: &Cx<'_>, role: &RoleRecord) -> Result<iam::RoleDetail, ApiError> {
    let mut profiles = Vec::with_capacity(role.instance_profiles.len());
    for key in &role.instance_profiles {
        if let Some(profile) = seen_through::<InstanceProfileRecord>(cx, key, &Unscoped::account(), ACTION)? {
            profiles.push(instance_profiles::shown(cx, &profile, &Unscoped::account(), ACTION)?);
        }
    }
    let shown = roles::shown(cx, role, roles::Shown::Whole)?;
    Ok(iam::RoleDetail {
        path: Some(shown.path),
        role_name: Some(shown.role_name),
        role_id: Some(shown.role_id),
        arn: Some(shown.arn),
        create_date: Some(shown.create_date),
        assume_role_policy_document: shown.assume_role_policy_document,
        instance_profile_list: Some(profiles),
        role_policy_list: inline(&role.policies),
        attached_managed_policies: attached(&role.policies),
        permissions_boundary: shown.permissions_boundary,
        tags: shown.tags,
        role_last_used: Some(roles::last_used(role)),
    })
}

fn of_policy(cx: &Cx<'_>, policy: &Found) -> Result<iam::ManagedPolicyDetail, ApiError> {
    let shown = managed_policies::shown(policy, &uses_of(cx, policy.arn())?);
    Ok(iam::ManagedPolicyDetail {
        policy_name: shown.policy_name,
        policy_id: shown.policy_id,
        arn: shown.arn,
        path: shown.path,
        default_version_id: shown.default_version_id,
        attachment_count: shown.attachment_count,
        permissions_boundary_usage_count: shown.permissions_boundary_usage_count,
        is_attachable: shown.is_attachable,
        description: policy.description(),
        create_date: shown.create_date,
        update_date: shown.update_date,
        policy_version_list: Some(policy_versions::with_texts(policy)),
    })
}
