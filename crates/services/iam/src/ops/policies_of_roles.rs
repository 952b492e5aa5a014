//! The policies of roles: inline and attached.

use coffer_core::{Cx, Registry};
use coffer_model::iam::{self, action};
use coffer_shape::{ApiError, Empty};

use super::policies_of_users::shown_attached;
use crate::{
    holder::{self, Attached, page_of_attached, page_of_inline},
    name,
    role::RoleRecord,
};

pub(super) fn register(registry: &mut Registry) {
    registry.serve::<iam::PutRolePolicy>(|cx, input| {
        let (role, policy) = (&input.role_name, &input.policy_name);
        holder::put_inline::<RoleRecord>(cx, role, policy, input.policy_document, action::PUT_ROLE_POLICY)?;
        Ok(Empty {})
    });
    registry.serve::<iam::GetRolePolicy>(|cx, input| {
        let (role, policy) = (&input.role_name, &input.policy_name);
        let found = holder::get_inline::<RoleRecord>(cx, role, policy, action::GET_ROLE_POLICY)?;
        Ok(iam::GetRolePolicyResponse {
            role_name: input.role_name,
            policy_name: found.name,
            policy_document: name::encoded(found.document.as_str()),
        })
    });
    registry.serve::<iam::DeleteRolePolicy>(|cx, input| {
        let (role, policy) = (&input.role_name, &input.policy_name);
        holder::delete_inline::<RoleRecord>(cx, role, policy, action::DELETE_ROLE_POLICY)?;
        Ok(Empty {})
    });
    registry.serve::<iam::ListRolePolicies>(list_role_policies);
    registry.serve::<iam::AttachRolePolicy>(|cx, input| {
        holder::attach::<RoleRecord>(cx, &input.role_name, &input.policy_arn, action::ATTACH_ROLE_POLICY)?;
        Ok(Empty {})
    });
    registry.serve::<iam::DetachRolePolicy>(|cx, input| {
        holder::detach::<RoleRecord>(cx, &input.role_name, &input.policy_arn, action::DETACH_ROLE_POLICY)?;
        Ok(Empty {})
    });
    registry.serve::<iam::ListAttachedRolePolicies>(list_attached_role_policies);
}

fn list_role_policies(
    cx: &mut Cx<'_>,
    input: iam::ListRolePoliciesRequest,
) -> Result<iam::ListRolePoliciesResponse, ApiError> {
    let query = iam::ListRolePoliciesRequest { marker: None, max_items: None, ..input.clone() };
    let (marker, max, action) = (input.marker.as_deref(), input.max_items, action::LIST_ROLE_POLICIES);
    let page = page_of_inline::<RoleRecord, _>(cx, &input.role_name, &query, marker, max, action)?;
    Ok(iam::ListRolePoliciesResponse {
        is_truncated: page.is_truncated(),
        policy_names: page.items,
        marker: page.marker,
    })
}

fn list_attached_role_policies(
    cx: &mut Cx<'_>,
    input: iam::ListAttachedRolePoliciesRequest,
) -> Result<iam::ListAttachedRolePoliciesResponse, ApiError> {
    let query = iam::ListAttachedRolePoliciesRequest { marker: None, max_items: None, ..input.clone() };
    let (prefix, marker) = (input.path_prefix.as_deref(), input.marker.as_deref());
    let which = Attached { prefix, marker, max_items: input.max_items };
    let action = action::LIST_ATTACHED_ROLE_POLICIES;
    let page = page_of_attached::<RoleRecord, _>(cx, &input.role_name, &query, &which, action)?;
    Ok(iam::ListAttachedRolePoliciesResponse {
        is_truncated: page.is_truncated(),
        attached_policies: Some(page.items.into_iter().map(shown_attached).collect()),
        marker: page.marker,
    })
}
