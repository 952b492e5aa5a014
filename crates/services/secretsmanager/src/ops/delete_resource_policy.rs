//! DeleteResourcePolicy.

use coffer_core::Cx;
use coffer_model::secretsmanager::{DeleteResourcePolicyRequest, DeleteResourcePolicyResponse, action};
use coffer_shape::ApiError;

use crate::{
    identifier::{check_secret_id, secret},
    policy::{PolicyRecord, note_name, writable},
};

/// Takes the resource policy off a secret. Where there is none, there is nothing to do.
pub(crate) fn delete_resource_policy(
    cx: &mut Cx<'_>,
    input: DeleteResourcePolicyRequest,
) -> Result<DeleteResourcePolicyResponse, ApiError> {
    check_secret_id(&input.secret_id)?;
    let name = writable(input.policy_name)?;
    note_name(cx, &name);

    let mut secret =
        secret(cx, &input.secret_id)?.permit(cx, action::DELETE_RESOURCE_POLICY)?.into_record()?;
    secret.ensure_annotatable()?;

    let answer = DeleteResourcePolicyResponse {
        arn: Some(secret.arn.clone()),
        name: Some(secret.name.clone()),
        policy_name: Some(name.clone()),
    };
    if secret.forget_policy(&name) {
        cx.erase::<PolicyRecord>(&[&secret.arn, &name])?;
        secret.changed_at = cx.now();
        cx.save(secret)?;
    }
    Ok(answer)
}
