//! CancelRotateSecret.

use coffer_core::Cx;
use coffer_model::secretsmanager::{CancelRotateSecretRequest, CancelRotateSecretResponse, action};
use coffer_shape::ApiError;

use crate::{identifier::secret, rotation::run::drop_test, secret::PENDING};

/// Turns rotation off and stops one that is under way. Its version keeps AWSPENDING, and the answer names it, so that the caller can
/// take the label away.
pub(crate) fn cancel_rotate_secret(
    cx: &mut Cx<'_>,
    input: CancelRotateSecretRequest,
) -> Result<CancelRotateSecretResponse, ApiError> {
    let mut secret = secret(cx, &input.secret_id)?.permit(cx, action::CANCEL_ROTATE_SECRET)?.into_record()?;
    secret.ensure_changeable()?;

    secret.cancel_rotation(cx.now())?;
    drop_test(cx, &mut secret)?;
    cx.save(secret.clone())?;

    Ok(CancelRotateSecretResponse {
        version_id: secret.holder(PENDING).map(|version| version.id.clone()),
        arn: Some(secret.arn),
        name: Some(secret.name),
    })
}
