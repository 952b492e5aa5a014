//! The policy of a secret, for whoever works on the machine.
//!
//! A policy that denies everybody denies whoever could take it away, and on AWS only the provider can help. Here the owner of the machine is
//! the provider. He may look at the policy and take it off, and is given nothing else: the value stays where it is, for those whom the
//! remaining policies let read it.

use coffer_core::Cx;
use coffer_model::secretsmanager::action;
use coffer_shape::ApiError;

use crate::{
    error::SecretError,
    identifier::secret,
    policy::{DEFAULT, PolicyRecord},
};

/// The ARN of a secret and its policy, if it has one. A secret that is to be deleted is shown like any other.
pub fn secret_policy(cx: &Cx<'_>, secret_id: &str) -> Result<(String, Option<String>), ApiError> {
    let secret = secret(cx, secret_id)?.permit(cx, action::GET_RESOURCE_POLICY)?.existing()?;
    let policy = if secret.has_policy(DEFAULT) {
        let policy = cx.part::<PolicyRecord>(&[&secret.arn, DEFAULT])?;
        let policy = policy.ok_or_else(|| cx.internal("a secret has lost its resource policy"))?;
        Some(policy.policy.shown(cx, &|_| None)?)
    } else {
        None
    };
    Ok((secret.arn.clone(), policy))
}

/// Takes the policy off a secret and answers the ARN, and whether there was one. The policy itself need not open for that. A secret that
/// is to be deleted can be restored afterwards; the policy of a replica is that of its primary.
pub fn remove_secret_policy(cx: &mut Cx<'_>, secret_id: &str) -> Result<(String, bool), ApiError> {
    let mut secret = secret(cx, secret_id)?.permit(cx, action::DELETE_RESOURCE_POLICY)?.into_record()?;
    if secret.is_replica() {
        return Err(SecretError::OnReplica.into());
    }
    let arn = secret.arn.clone();
    let is_removed = secret.forget_policy(DEFAULT);
    if is_removed {
        cx.erase::<PolicyRecord>(&[&arn, DEFAULT])?;
        secret.changed_at = cx.now();
        cx.save(secret)?;
    }
    Ok((arn, is_removed))
}
