//! UpdateSecret.

use coffer_core::Cx;
use coffer_model::secretsmanager::{UpdateSecretRequest, UpdateSecretResponse, action};
use coffer_shape::ApiError;

use super::put_secret_value::{add_version, is_repeated};
use crate::{
    data_key,
    error::SecretError,
    identifier::{check_secret_id, secret},
    replication,
    value::{SecretValue, prove},
};

/// Changes what is said about a secret, and adds a version if a value is given. Only members that are present change anything.
pub(crate) fn update_secret(
    cx: &mut Cx<'_>,
    input: UpdateSecretRequest,
) -> Result<UpdateSecretResponse, ApiError> {
    check_secret_id(&input.secret_id)?;
    let has_value = input.secret_string.is_some() || input.secret_binary.is_some();
    if has_value && input.client_request_token.is_none() {
        return Err(SecretError::TokenMissing.into());
    }
    let value = SecretValue::from_parts(input.secret_string, input.secret_binary)?;

    let mut secret = secret(cx, &input.secret_id)?.permit(cx, action::UPDATE_SECRET)?.into_record()?;
    secret.ensure_live()?;
    // The key is the one thing that a replica has of its own.
    let is_key_alone = input.kms_key_id.is_some()
        && input.description.is_none()
        && input.r#type.is_none()
        && value.is_none();
    let is_abroad = secret.is_replica_of_abroad();
    if is_abroad {
        let has_text = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        if value.is_some() || has_text(&input.description) || has_text(&input.r#type) {
            secret.ensure_primary()?;
        }
    } else if !is_key_alone {
        secret.ensure_primary()?;
    }

    let describes = input.description.is_some() || input.kms_key_id.is_some() || input.r#type.is_some();
    if let Some(description) = input.description {
        secret.description = Some(description).filter(|text| !text.is_empty());
    }
    if let Some(kind) = input.r#type {
        secret.kind = Some(kind).filter(|kind| !kind.is_empty());
    }
    if let Some(key) = input.kms_key_id {
        secret.kms_key_id = data_key::chosen_key(cx, Some(key));
        let key_arn = match secret.kms_key_id {
            None if is_abroad => return Err(SecretError::ReplicaNeedsKey.into()),
            Some(_) if is_abroad => Some(replication::check_key(cx, &secret)?),
            Some(_) => Some(data_key::check(cx, &secret)?),
            None => None,
        };
        data_key::wrap_again(cx, &mut secret, key_arn.as_deref())?;
    }
    let version_id = input.client_request_token.filter(|_| value.is_some());
    let mut repeated = false;
    if let (Some(value), Some(token)) = (&value, &version_id) {
        repeated = is_repeated(cx, &secret, token, value)?;
        if !repeated {
            add_version(cx, &mut secret, token, value, None)?;
            prove(cx, &secret, token)?;
        }
    }
    let (arn, name) = (secret.arn.clone(), secret.name.clone());
    // The same request once more changes nothing; a request without anything to change still counts as a modification.
    if describes || !repeated {
        secret.changed_at = cx.now();
        cx.save(secret)?;
    }

    Ok(UpdateSecretResponse { arn: Some(arn), name: Some(name), version_id })
}
