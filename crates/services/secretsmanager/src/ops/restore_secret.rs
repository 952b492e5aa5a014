//! RestoreSecret.

use coffer_core::Cx;
use coffer_model::secretsmanager::{RestoreSecretRequest, RestoreSecretResponse, action};
use coffer_shape::ApiError;

use crate::identifier::secret;

/// Takes a scheduled deletion back. Restoring a secret that is not scheduled succeeds and changes nothing.
pub(crate) fn restore_secret(
    cx: &mut Cx<'_>,
    input: RestoreSecretRequest,
) -> Result<RestoreSecretResponse, ApiError> {
    let mut secret = secret(cx, &input.secret_id)?.permit(cx, action::RESTORE_SECRET)?.into_record()?;
    secret.ensure_primary()?;

    let (arn, name) = (secret.arn.clone(), secret.name.clone());
    if secret.deletion_due_at.take().is_some() {
        secret.deletion_asked_at = None;
        secret.changed_at = cx.now();
        cx.save(secret)?;
    }
    Ok(RestoreSecretResponse { arn: Some(arn), name: Some(name) })
}
