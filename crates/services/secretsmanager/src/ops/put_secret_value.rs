//! PutSecretValue.

use coffer_core::Cx;
use coffer_model::secretsmanager::{PutSecretValueRequest, PutSecretValueResponse, action};
use coffer_shape::ApiError;

use crate::{
    erasure::drop_versions,
    error::SecretError,
    identifier::{check_secret_id, secret},
    rotation,
    secret::{SecretRecord, Token},
    value::{SecretValue, open_version, store_version},
};

/// Adds a version to a secret and moves the requested staging labels onto it.
pub(crate) fn put_secret_value(
    cx: &mut Cx<'_>,
    input: PutSecretValueRequest,
) -> Result<PutSecretValueResponse, ApiError> {
    check_secret_id(&input.secret_id)?;
    let version_id = input.client_request_token.ok_or(SecretError::TokenMissing)?;
    let value = SecretValue::from_parts(input.secret_string, input.secret_binary)?
        .ok_or(SecretError::NeitherValue)?;

    let mut secret = secret(cx, &input.secret_id)?.permit(cx, action::PUT_SECRET_VALUE)?.into_record()?;
    secret.ensure_changeable()?;
    if let Some(token) = &input.rotation_token {
        rotation::run::ensure_under_way(cx, &secret, token)?;
    }

    if !is_repeated(cx, &secret, &version_id, &value)? {
        add_version(cx, &mut secret, &version_id, &value, input.version_stages)?;
        cx.save(secret.clone())?;
    }

    Ok(PutSecretValueResponse {
        version_stages: Some(secret.labels_of(&version_id)),
        arn: Some(secret.arn),
        name: Some(secret.name),
        version_id: Some(version_id),
    })
}

/// Seals a value and makes it a version of the secret, which the caller saves.
pub(super) fn add_version(
    cx: &mut Cx<'_>,
    secret: &mut SecretRecord,
    token: &str,
    value: &SecretValue,
    labels: Option<Vec<String>>,
) -> Result<(), ApiError> {
    let version = store_version(cx, secret, token, value)?;
    let added = secret.add_version(version, labels, cx.now())?;
    drop_versions(cx, secret, added.dropped)?;
    if added.abandons_rotation {
        cx.record_event(rotation::event("RotationAbandoned", secret));
    }
    Ok(())
}

/// Whether the token already names a version with this very value: then nothing changes, labels included.
pub(super) fn is_repeated(
    cx: &mut Cx<'_>,
    secret: &SecretRecord,
    token: &str,
    value: &SecretValue,
) -> Result<bool, ApiError> {
    match secret.token(token) {
        Token::Unused | Token::Placeholder => Ok(false),
        Token::Version if open_version(cx, secret, token)?.equals(value) => Ok(true),
        Token::Version => {
            Err(SecretError::TokenReused { token: token.to_owned(), arn: secret.arn.clone() }.into())
        }
    }
}
