//! The policies of users: inline and attached.

use coffer_core::{Cx, Registry};
use coffer_model::iam::{self, action};
use coffer_shape::{ApiError, Empty};

use crate::{
    holder::{self, Attached, page_of_attached, page_of_inline},
    name::{self, name_in},
    user::UserRecord,
};

pub(super) fn register(registry: &mut Registry) {
    registry.serve::<iam::PutUserPolicy>(|cx, input| {
        let (user, policy) = (&input.user_name, &input.policy_name);
        holder::put_inline::<UserRecord>(cx, user, policy, input.policy_document, action::PUT_USER_POLICY)?;
        Ok(Empty {})
    });
    registry.serve::<iam::GetUserPolicy>(|cx, input| {
        let (user, policy) = (&input.user_name, &input.policy_name);
        let found = holder::get_inline::<UserRecord>(cx, user, policy, action::GET_USER_POLICY)?;
        Ok(iam::GetUserPolicyResponse {
            user_name: input.user_name,
            policy_name: found.name,
            policy_document: name::encoded(found.document.as_str()),
        })
    });
    registry.serve::<iam::DeleteUserPolicy>(|cx, input| {
        let (user, policy) = (&input.user_name, &input.policy_name);
        holder::delete_inline::<UserRecord>(cx, user, policy, action::DELETE_USER_POLICY)?;
        Ok(Empty {})
    });
    registry.serve::<iam::ListUserPolicies>(list_user_policies);
    registry.serve::<iam::AttachUserPolicy>(|cx, input| {
        holder::attach::<UserRecord>(cx, &input.user_name, &input.policy_arn, action::ATTACH_USER_POLICY)?;
        Ok(Empty {})
    });
    registry.serve::<iam::DetachUserPolicy>(|cx, input| {
        holder::detach::<UserRecord>(cx, &input.user_name, &input.policy_arn, action::DETACH_USER_POLICY)?;
        Ok(Empty {})
    });
    registry.serve::<iam::ListAttachedUserPolicies>(list_attached_user_policies);
}

fn list_user_policies(
    cx: &mut Cx<'_>,
    input: iam::ListUserPoliciesRequest,
) -> Result<iam::ListUserPoliciesResponse, ApiError> {
    let query = iam::ListUserPoliciesRequest { marker: None, max_items: None, ..input.clone() };
    let (marker, max, action) = (input.marker.as_deref(), input.max_items, action::LIST_USER_POLICIES);
    let page = page_of_inline::<UserRecord, _>(cx, &input.user_name, &query, marker, max, action)?;
    Ok(iam::ListUserPoliciesResponse {
        is_truncated: page.is_truncated(),
        policy_names: page.items,
        marker: page.marker,
    })
}

fn list_attached_user_policies(
    cx: &mut Cx<'_>,
    input: iam::ListAttachedUserPoliciesRequest,
) -> Result<iam::ListAttachedUserPoliciesResponse, ApiError> {
    let query = iam::ListAttachedUserPoliciesRequest { marker: None, max_items: None, ..input.clone() };
    let (prefix, marker) = (input.path_prefix.as_deref(), input.marker.as_deref());
    let which = Attached { prefix, marker, max_items: input.max_items };
    let action = action::LIST_ATTACHED_USER_POLICIES;
    let page = page_of_attached::<UserRecord, _>(cx, &input.user_name, &query, &which, action)?;
    Ok(iam::ListAttachedUserPoliciesResponse {
        is_truncated: page.is_truncated(),
        attached_policies: Some(page.items.into_iter().map(shown_attached).collect()),
        marker: page.marker,
    })
}

pub(super) fn shown_attached(arn: String) -> iam::AttachedPolicy {
    iam::AttachedPolicy { policy_name: Some(name_in(&arn).to_owned()), policy_arn: Some(arn) }
}
