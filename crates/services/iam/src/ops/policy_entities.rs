//! Who holds a managed policy, or is bounded by it.

use std::{ops::ControlFlow, sync::Arc};

use coffer_core::{Cx, Listed, Registry, Walk};
use coffer_model::iam::{self, action};
use coffer_shape::ApiError;

use super::managed_policies::{Found, permitted};
use crate::{group::GroupRecord, holder::Holder, page, role::RoleRecord, user::UserRecord};

pub(super) fn register(registry: &mut Registry) {
    registry.serve::<iam::ListEntitiesForPolicy>(list_entities_for_policy);
}

enum Entity {
    Group(Arc<GroupRecord>),
    User(Arc<UserRecord>),
    Role(Arc<RoleRecord>),
}

/// Groups first, then users, then roles, each kind by name. A page may end within a kind.
fn list_entities_for_policy(
    cx: &mut Cx<'_>,
    input: iam::ListEntitiesForPolicyRequest,
) -> Result<iam::ListEntitiesForPolicyResponse, ApiError> {
    let query = iam::ListEntitiesForPolicyRequest { marker: None, max_items: None, ..input.clone() };
    let policy = permitted(cx, &input.policy_arn, action::LIST_ENTITIES_FOR_POLICY)?;
    let search = Search { cx, policy: &policy, input: &input };
    let mut held = Vec::new();
    if search.wants("Group") && search.usage() != Some("PermissionsBoundary") {
        search.each::<GroupRecord>(&mut |group| {
            if search.admits(&**group, &group.path, None) {
                held.push((format!("1 {}", group.key), Entity::Group(Arc::clone(group))));
            }
        })?;
    }
    if search.wants("User") {
        search.each::<UserRecord>(&mut |user| {
            if search.admits(&**user, &user.path, user.boundary.as_ref()) {
                held.push((format!("2 {}", user.key), Entity::User(Arc::clone(user))));
            }
        })?;
    }
    if search.wants("Role") {
        search.each::<RoleRecord>(&mut |role| {
            if search.admits(&**role, &role.path, role.boundary.as_ref()) {
                held.push((format!("3 {}", role.key), Entity::Role(Arc::clone(role))));
            }
        })?;
    }
    let page = page::of(&query, input.marker.as_deref(), input.max_items).of_gathered(cx, held)?;
    let is_truncated = page.is_truncated();
    let (mut groups, mut users, mut roles) = (Vec::new(), Vec::new(), Vec::new());
    for entity in page.items {
        match entity {
            Entity::Group(group) => groups.push(iam::PolicyGroup {
                group_name: Some(group.name.clone()),
                group_id: Some(group.group_id.clone()),
            }),
            Entity::User(user) => users.push(iam::PolicyUser {
                user_name: Some(user.name.clone()),
                user_id: Some(user.user_id.clone()),
            }),
            Entity::Role(role) => roles.push(iam::PolicyRole {
                role_name: Some(role.name.clone()),
                role_id: Some(role.role_id.clone()),
            }),
        }
    }
    Ok(iam::ListEntitiesForPolicyResponse {
        policy_groups: Some(groups),
        policy_users: Some(users),
        policy_roles: Some(roles),
        is_truncated,
        marker: page.marker,
    })
}

struct Search<'a, 'cx> {
    cx: &'a Cx<'cx>,
    policy: &'a Found,
    input: &'a iam::ListEntitiesForPolicyRequest,
}

impl Search<'_, '_> {
    /// The filter may name kinds of policies, which hold none.
    fn wants(&self, kind: &str) -> bool {
        self.input.entity_filter.as_deref().is_none_or(|filter| filter == kind)
    }

    fn usage(&self) -> Option<&str> {
        self.input.policy_usage_filter.as_deref()
    }

    fn each<R: Listed>(&self, visit: &mut dyn FnMut(&Arc<R>)) -> Result<(), ApiError> {
        let permit = self.cx.ask_through::<R>(action::LIST_ENTITIES_FOR_POLICY, self.policy)?;
        self.cx.walk(permit, Walk::default(), &mut |record| {
            visit(record);
            ControlFlow::Continue(())
        })
    }

    fn admits<H: Holder>(&self, holder: &H, path: &str, boundary: Option<&String>) -> bool {
        let arn = &self.input.policy_arn;
        let is_attached = holder.held().attached.contains(arn);
        let is_boundary = boundary == Some(arn);
        let is_used = match self.usage() {
            Some("PermissionsPolicy") => is_attached,
            Some("PermissionsBoundary") => is_boundary,
            _ => is_attached || is_boundary,
        };
        is_used && self.input.path_prefix.as_deref().is_none_or(|prefix| path.starts_with(prefix))
    }
}
