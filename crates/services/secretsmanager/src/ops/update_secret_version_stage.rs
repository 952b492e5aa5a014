//! UpdateSecretVersionStage.

use coffer_core::Cx;
use coffer_model::secretsmanager::{
    UpdateSecretVersionStageRequest, UpdateSecretVersionStageResponse, action,
};
use coffer_shape::ApiError;

use crate::identifier::secret;

/// Moves, attaches or removes one staging label.
pub(crate) fn update_secret_version_stage(
    cx: &mut Cx<'_>,
    input: UpdateSecretVersionStageRequest,
) -> Result<UpdateSecretVersionStageResponse, ApiError> {
    let mut secret =
        secret(cx, &input.secret_id)?.permit(cx, action::UPDATE_SECRET_VERSION_STAGE)?.into_record()?;
    secret.ensure_changeable()?;

    secret.move_label(
        &input.version_stage,
        input.remove_from_version_id.as_deref(),
        input.move_to_version_id.as_deref(),
        cx.now(),
    )?;
    let (arn, name) = (secret.arn.clone(), secret.name.clone());
    cx.save(secret)?;

    Ok(UpdateSecretVersionStageResponse { arn: Some(arn), name: Some(name) })
}
