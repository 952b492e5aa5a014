//! RotateSecret.
//!
//! With `RotateImmediately` false the configuration is stored and tried out: the function is invoked once, with a copy of the current value
//! under AWSPENDING.

use coffer_core::{Cx, Resource};
use coffer_model::secretsmanager::{RotateSecretRequest, RotateSecretResponse, action};
use coffer_shape::{Action, ApiError};
use coffer_types::Arn;

use crate::{
    erasure::drop_versions,
    error::SecretError,
    identifier::{check_secret_id, secret},
    rotation::{self, Configuration, Rules, engine, master},
    secret::SecretRecord,
};

const INVOKE_FUNCTION: Action = Action("lambda:InvokeFunction");

/// Configures the rotation of a secret and, unless told otherwise, begins one.
pub(crate) fn rotate_secret(
    cx: &mut Cx<'_>,
    input: RotateSecretRequest,
) -> Result<RotateSecretResponse, ApiError> {
    check_secret_id(&input.secret_id)?;
    let token = input.client_request_token.ok_or(SecretError::RotationTokenMissing)?;
    input.external_secret_rotation_role_arn.as_deref().map(rotation::check_role).transpose()?;
    let metadata = input.external_secret_rotation_metadata.map(rotation::metadata_from_request);
    let metadata = metadata.transpose()?;
    input.rotation_rules.as_ref().map(Rules::check_form).transpose()?;
    let immediately = input.rotate_immediately.unwrap_or(true);

    let mut secret = secret(cx, &input.secret_id)?.permit(cx, action::ROTATE_SECRET)?.into_record()?;
    secret.ensure_changeable()?;
    let is_named = input.rotation_lambda_arn.as_ref().is_some_and(|arn| !arn.is_empty());
    let function = Function(secret.rotation_function(input.rotation_lambda_arn)?);
    if !function.is_arn_here(cx) {
        return Err(SecretError::FunctionNotInvocable.into());
    }
    if secret.is_new_function(&function.0) {
        cx.ask(INVOKE_FUNCTION, &function)?;
    }
    if !engine::can_be_invoked(cx, &function.0, &secret.arn) {
        return Err(SecretError::FunctionNotInvocable.into());
    }
    let rules = input.rotation_rules.map(Rules::from_request).transpose()?;
    let role_arn = input.external_secret_rotation_role_arn;
    let configuration = Configuration { rules, role_arn, metadata };

    // A client that got no answer asks once more, and finds its rotation begun or over.
    if !(immediately && secret.is_latest_rotation(&token)) {
        secret.ensure_nothing_pending()?;
        let reads_master = master::is_read_by(cx, &function.0);
        if is_named && reads_master {
            master::ensure_readable(cx, &secret)?;
        }
        secret.configure_rotation(function.0, configuration, cx.now());
        if immediately {
            begin(cx, &mut secret, &token)?;
        }
        cx.save(secret.clone())?;
        if is_named {
            master::keep_reader(cx, &secret.arn, reads_master)?;
        }
        if !immediately {
            engine::try_out(cx, &secret)?;
        }
    }

    Ok(RotateSecretResponse {
        arn: Some(secret.arn),
        name: Some(secret.name),
        version_id: immediately.then_some(token),
    })
}

fn begin(cx: &mut Cx<'_>, secret: &mut SecretRecord, token: &str) -> Result<(), ApiError> {
    let dropped = secret.begin_rotation(token, cx.now())?;
    drop_versions(cx, secret, dropped)?;
    cx.record_event(rotation::event("RotationStarted", secret));
    Ok(())
}

/// The function that rotates, by its ARN.
struct Function(String);

impl Function {
    /// Whether it is written as AWS writes it. Permissions are asked for by that name, and Lambda would understand others too.
    fn is_arn_here(&self, cx: &Cx<'_>) -> bool {
        let Ok(arn) = self.0.parse::<Arn>() else { return false };
        let mut words = arn.resource().split(':');
        let is_function =
            words.next() == Some("function") && words.next().is_some_and(|name| !name.is_empty());
        is_function
            && self.0 == Arn::regional("lambda", cx.region(), cx.account(), arn.resource()).to_string()
    }
}

impl Resource for Function {
    fn arn(&self) -> String {
        self.0.clone()
    }
}
