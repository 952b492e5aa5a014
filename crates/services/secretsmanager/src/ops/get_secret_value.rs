//! GetSecretValue.

use std::sync::Arc;

use coffer_core::Cx;
use coffer_model::secretsmanager::{GetSecretValueRequest, GetSecretValueResponse, action};
use coffer_shape::ApiError;

use crate::{
    identifier::secret,
    replication,
    value::{SecretValue, open_version},
};

/// Opens one version of a secret and notes the day of the retrieval.
pub(crate) fn get_secret_value(
    cx: &mut Cx<'_>,
    input: GetSecretValueRequest,
) -> Result<GetSecretValueResponse, ApiError> {
    let secret = secret(cx, &input.secret_id)?.permit(cx, action::GET_SECRET_VALUE)?.existing()?;
    secret.ensure_live()?;
    let version = secret.select(input.version_id.as_deref(), input.version_stage.as_deref())?;

    let (secret_string, secret_binary) = match open_version(cx, &secret, &version.id)? {
        SecretValue::String(text) => (Some(text), None),
        SecretValue::Binary(bytes) => (None, Some(bytes)),
    };

    let answer = GetSecretValueResponse {
        arn: Some(secret.arn.clone()),
        name: Some(secret.name.clone()),
        version_id: Some(version.id.clone()),
        secret_binary,
        secret_string,
        // A deprecated version has no labels, and AWS then leaves the member out.
        version_stages: (!version.labels.is_empty()).then(|| version.labels.clone()),
        created_date: Some(version.created_at),
    };
    let version_id = version.id.clone();
    if !secret.was_accessed_today(&version_id, cx.now()) {
        let mut secret = Arc::unwrap_or_clone(secret);
        let before = secret.accessed_on;
        secret.note_access(&version_id, cx.now());
        if secret.accessed_on != before {
            replication::note_access(cx, &secret)?;
        }
        // The day of the last access may be lost; the value is given out all the same.
        cx.save_if_possible(secret)?;
    }
    Ok(answer)
}
