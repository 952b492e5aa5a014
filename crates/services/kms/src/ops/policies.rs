//! PutKeyPolicy, GetKeyPolicy and ListKeyPolicies.

use coffer_core::Cx;
use coffer_model::kms::{
    GetKeyPolicyRequest, GetKeyPolicyResponse, ListKeyPoliciesRequest, ListKeyPoliciesResponse,
    PutKeyPolicyRequest, action,
};
use coffer_shape::{ApiError, Empty};

use crate::{
    error::KmsError,
    named::{Use, permitted},
    policy::{self, DEFAULT, Planned, PolicyRecord},
    state::Class,
};

pub(crate) fn put_key_policy(cx: &mut Cx<'_>, input: PutKeyPolicyRequest) -> Result<Empty, ApiError> {
    ensure_default(input.policy_name.as_deref())?;

    let key = permitted(cx, &input.key_id, Use::default(), action::PUT_KEY_POLICY)?;
    key.ensure(Class::Look)?;
    let policy = policy::written(cx, input.policy)?;
    Planned { key: &key, policy: &policy }.ensure_no_lockout(cx, input.bypass_policy_lockout_safety_check)?;

    cx.save(PolicyRecord { key_id: key.key_id.clone(), policy })?;
    Ok(Empty {})
}

pub(crate) fn get_key_policy(
    cx: &mut Cx<'_>,
    input: GetKeyPolicyRequest,
) -> Result<GetKeyPolicyResponse, ApiError> {
    let key = permitted(cx, &input.key_id, Use::default(), action::GET_KEY_POLICY)?;
    key.ensure(Class::Look)?;
    ensure_default(input.policy_name.as_deref())?;

    let text = policy::shown(cx, &key)?;
    Ok(GetKeyPolicyResponse { policy: Some(text), policy_name: Some(DEFAULT.to_owned()) })
}

/// There is one name, and so there is one page.
pub(crate) fn list_key_policies(
    cx: &mut Cx<'_>,
    input: ListKeyPoliciesRequest,
) -> Result<ListKeyPoliciesResponse, ApiError> {
    let key = permitted(cx, &input.key_id, Use::default(), action::LIST_KEY_POLICIES)?;
    key.ensure(Class::Look)?;

    Ok(ListKeyPoliciesResponse {
        policy_names: Some(vec![DEFAULT.to_owned()]),
        truncated: Some(false),
        next_marker: None,
    })
}

fn ensure_default(name: Option<&str>) -> Result<(), KmsError> {
    if name.is_none_or(|name| name == DEFAULT) { Ok(()) } else { Err(KmsError::NoSuchPolicy) }
}
