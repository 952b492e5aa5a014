//! PutResourcePolicy.

use coffer_core::Cx;
use coffer_model::secretsmanager::{PutResourcePolicyRequest, PutResourcePolicyResponse, action};
use coffer_shape::ApiError;

use crate::{
    error::SecretError,
    identifier::{check_secret_id, secret},
    policy::{PolicyRecord, note_name, understand, writable, written},
    replication,
};

/// Attaches a resource policy to a secret, in place of the one it had.
pub(crate) fn put_resource_policy(
    cx: &mut Cx<'_>,
    input: PutResourcePolicyRequest,
) -> Result<PutResourcePolicyResponse, ApiError> {
    check_secret_id(&input.secret_id)?;
    let name = writable(input.policy_name)?;
    note_name(cx, &name);

    let mut secret = secret(cx, &input.secret_id)?.permit(cx, action::PUT_RESOURCE_POLICY)?.into_record()?;
    secret.ensure_annotatable()?;
    let document = understand(cx, &input.resource_policy)?;
    if input.block_public_policy.unwrap_or(false) && document.is_public() {
        return Err(SecretError::PublicPolicy.into());
    }

    let policy = written(cx, input.resource_policy, &document)?;
    let before = cx.part::<PolicyRecord>(&[&secret.arn, &name])?;
    if before.is_none_or(|before| before.policy != policy) {
        replication::fall_behind(cx, &secret)?;
    }
    secret.note_policy(&name);
    secret.changed_at = cx.now();
    cx.save(PolicyRecord { secret_arn: secret.arn.clone(), name: name.clone(), policy })?;
    let answer = PutResourcePolicyResponse {
        arn: Some(secret.arn.clone()),
        name: Some(secret.name.clone()),
        policy_name: Some(name),
    };
    cx.save(secret)?;
    Ok(answer)
}
