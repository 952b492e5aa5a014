//! The policies of groups: inline and attached.

use coffer_core::{Cx, Registry};
use coffer_model::iam::{self, action};
use coffer_shape::{ApiError, Empty};

use super::policies_of_users::shown_attached;
use crate::{
    group::GroupRecord,
    holder::{self, Attached, page_of_attached, page_of_inline},
    name,
};

pub(super) fn register(registry: &mut Registry) {
    registry.serve::<iam::PutGroupPolicy>(|cx, input| {
        let (group, policy) = (&input.group_name, &input.policy_name);
        holder::put_inline::<GroupRecord>(
            cx,
            group,
            policy,
            input.policy_document,
            action::PUT_GROUP_POLICY,
        )?;
        Ok(Empty {})
    });
    registry.serve::<iam::GetGroupPolicy>(|cx, input| {
        let (group, policy) = (&input.group_name, &input.policy_name);
        let found = holder::get_inline::<GroupRecord>(cx, group, policy, action::GET_GROUP_POLICY)?;
        Ok(iam::GetGroupPolicyResponse {
            group_name: input.group_name,
            policy_name: found.name,
            policy_document: name::encoded(found.document.as_str()),
        })
    });
    registry.serve::<iam::DeleteGroupPolicy>(|cx, input| {
        let (group, policy) = (&input.group_name, &input.policy_name);
        holder::delete_inline::<GroupRecord>(cx, group, policy, action::DELETE_GROUP_POLICY)?;
        Ok(Empty {})
    });
    registry.serve::<iam::ListGroupPolicies>(list_group_policies);
    registry.serve::<iam::AttachGroupPolicy>(|cx, input| {
        holder::attach::<GroupRecord>(cx, &input.group_name, &input.policy_arn, action::ATTACH_GROUP_POLICY)?;
        Ok(Empty {})
    });
    registry.serve::<iam::DetachGroupPolicy>(|cx, input| {
        holder::detach::<GroupRecord>(cx, &input.group_name, &input.policy_arn, action::DETACH_GROUP_POLICY)?;
        Ok(Empty {})
    });
    registry.serve::<iam::ListAttachedGroupPolicies>(list_attached_group_policies);
}

fn list_group_policies(
    cx: &mut Cx<'_>,
    input: iam::ListGroupPoliciesRequest,
) -> Result<iam::ListGroupPoliciesResponse, ApiError> {
    let query = iam::ListGroupPoliciesRequest { marker: None, max_items: None, ..input.clone() };
    let (marker, max, action) = (input.marker.as_deref(), input.max_items, action::LIST_GROUP_POLICIES);
    let page = page_of_inline::<GroupRecord, _>(cx, &input.group_name, &query, marker, max, action)?;
    Ok(iam::ListGroupPoliciesResponse {
        is_truncated: page.is_truncated(),
        policy_names: page.items,
        marker: page.marker,
    })
}

fn list_attached_group_policies(
    cx: &mut Cx<'_>,
    input: iam::ListAttachedGroupPoliciesRequest,
) -> Result<iam::ListAttachedGroupPoliciesResponse, ApiError> {
    let query = iam::ListAttachedGroupPoliciesRequest { marker: None, max_items: None, ..input.clone() };
    let (prefix, marker) = (input.path_prefix.as_deref(), input.marker.as_deref());
    let which = Attached { prefix, marker, max_items: input.max_items };
    let action = action::LIST_ATTACHED_GROUP_POLICIES;
    let page = page_of_attached::<GroupRecord, _>(cx, &input.group_name, &query, &which, action)?;
    Ok(iam::ListAttachedGroupPoliciesResponse {
        is_truncated: page.is_truncated(),
        attached_policies: Some(page.items.into_iter().map(shown_attached).collect()),
        marker: page.marker,
    })
}
