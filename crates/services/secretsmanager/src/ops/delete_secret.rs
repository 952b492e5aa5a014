//! DeleteSecret.

use std::sync::Arc;

use coffer_core::{Cx, Task};
use coffer_model::secretsmanager::{DeleteSecretRequest, DeleteSecretResponse, action};
use coffer_shape::ApiError;

use crate::{
    erasure::erase,
    error::SecretError,
    identifier::{check_secret_id, new_arn, secret},
    rotation::{self, run::drop_test},
    secret::SecretRecord,
    tasks::DeletionReaper,
};

/// How a secret goes: at once, or after a time in which it can be restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deletion {
    Now,
    After(RecoveryWindow),
}

/// 7 to 30 days, or no value at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct RecoveryWindow(u8);

impl RecoveryWindow {
    const DEFAULT: Self = Self(30);

    fn from_days(days: i64) -> Result<Self, SecretError> {
        match u8::try_from(days) {
            Ok(days @ 7..=30) => Ok(Self(days)),
            _ => Err(SecretError::RecoveryWindowOutOfRange),
        }
    }
}

impl Deletion {
    fn from_request(days: Option<i64>, force: Option<bool>) -> Result<Self, SecretError> {
        let window = days.map(RecoveryWindow::from_days).transpose()?;
        match (window, force.unwrap_or(false)) {
            (Some(_), true) => Err(SecretError::RecoveryWindowWithForce),
            (None, true) => Ok(Self::Now),
            (window, false) => Ok(Self::After(window.unwrap_or(RecoveryWindow::DEFAULT))),
        }
    }
}

/// Schedules a secret for deletion, or deletes it at once.
pub(crate) fn delete_secret(
    cx: &mut Cx<'_>,
    input: DeleteSecretRequest,
) -> Result<DeleteSecretResponse, ApiError> {
    check_secret_id(&input.secret_id)?;
    let deletion =
        Deletion::from_request(input.recovery_window_in_days, input.force_delete_without_recovery)?;

    let target = secret(cx, &input.secret_id)?.permit(cx, action::DELETE_SECRET)?;
    if let Some(secret) = target.found() {
        if secret.is_replica_of_abroad() {
            return Err(SecretError::DeleteReplicaAbroad.into());
        }
        secret.ensure_primary()?;
        if !secret.replica_regions.is_empty() {
            let regions = secret.replica_regions.clone();
            return Err(SecretError::HasReplicas { secret_id: input.secret_id, regions }.into());
        }
        if let Some(arn) = secret.replica_abroad.clone() {
            return Err(SecretError::DeleteWithReplicaAbroad { secret_id: input.secret_id, arn }.into());
        }
    }
    let now = cx.now();
    let Deletion::After(RecoveryWindow(days)) = deletion else {
        let answer = match target.if_any() {
            Some(secret) => {
                let mut secret = Arc::unwrap_or_clone(secret);
                abandon_rotation(cx, &mut secret);
                erase(cx, &secret)?;
                (secret.arn, secret.name)
            }
            // Deleting by force what does not exist succeeds on AWS, so that scripts can repeat it.
            None if input.secret_id.starts_with("arn:") => (input.secret_id.clone(), input.secret_id),
            None => (new_arn(cx, &input.secret_id), input.secret_id),
        };
        let (arn, name) = answer;
        return Ok(DeleteSecretResponse { arn: Some(arn), name: Some(name), deletion_date: Some(now) });
    };

    let mut secret = target.into_record()?;
    secret.ensure_live()?;
    let due = now.plus_days(i64::from(days));
    secret.deletion_asked_at = Some(now);
    secret.deletion_due_at = Some(due);
    secret.changed_at = now;
    drop_test(cx, &mut secret)?;
    abandon_rotation(cx, &mut secret);
    let (arn, name) = (secret.arn.clone(), secret.name.clone());
    cx.save(secret)?;
    cx.activate(DeletionReaper::NAME);

    Ok(DeleteSecretResponse { arn: Some(arn), name: Some(name), deletion_date: Some(due) })
}

/// Deletion wins over a rotation that is under way.
fn abandon_rotation(cx: &mut Cx<'_>, secret: &mut SecretRecord) {
    if secret.abandon_rotation() {
        cx.record_event(rotation::event("RotationAbandoned", secret));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_and_force() {
        let after = |days| Ok(Deletion::After(RecoveryWindow(days)));
        for (days, force, expected) in [
            (None, None, after(30)),
            (Some(7), None, after(7)),
            (Some(30), Some(false), after(30)),
            (None, Some(true), Ok(Deletion::Now)),
            (Some(7), Some(true), Err(SecretError::RecoveryWindowWithForce)),
            (Some(6), None, Err(SecretError::RecoveryWindowOutOfRange)),
            (Some(31), None, Err(SecretError::RecoveryWindowOutOfRange)),
            (Some(31), Some(true), Err(SecretError::RecoveryWindowOutOfRange)),
            (Some(i64::MIN), None, Err(SecretError::RecoveryWindowOutOfRange)),
        ] {
            assert_eq!(Deletion::from_request(days, force), expected, "{days:?} {force:?}");
        }
    }
}
