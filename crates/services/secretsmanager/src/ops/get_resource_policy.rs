//! GetResourcePolicy.

use coffer_core::Cx;
use coffer_model::secretsmanager::{GetResourcePolicyRequest, GetResourcePolicyResponse, action};
use coffer_shape::ApiError;

use crate::{
    error::SecretError,
    identifier::secret,
    policy::{DEFAULT, PolicyRecord, note_name},
};

/// Gives a policy of a secret back as it was sent.
pub(crate) fn get_resource_policy(
    cx: &mut Cx<'_>,
    input: GetResourcePolicyRequest,
) -> Result<GetResourcePolicyResponse, ApiError> {
    let name = input.policy_name.unwrap_or_else(|| DEFAULT.to_owned());
    note_name(cx, &name);

    let secret = secret(cx, &input.secret_id)?.permit(cx, action::GET_RESOURCE_POLICY)?.existing()?;
    secret.ensure_live()?;

    let text = if secret.has_policy(&name) {
        let policy = cx.part::<PolicyRecord>(&[&secret.arn, &name])?;
        let policy = policy.ok_or_else(|| cx.internal("a secret has lost its resource policy"))?;
        Some(policy.policy.shown(cx, &|_| None)?)
    } else if name == DEFAULT {
        // Most secrets have none, and that is no error.
        None
    } else {
        return Err(SecretError::NoSuchPolicy.into());
    };

    Ok(GetResourcePolicyResponse {
        arn: Some(secret.arn.clone()),
        name: Some(secret.name.clone()),
        resource_policy: text,
        policy_name: Some(name),
    })
}
