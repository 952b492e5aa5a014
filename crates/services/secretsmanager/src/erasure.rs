//! What leaves the store for good: versions that nobody needs any more, and whole secrets.
//!
//! Which versions those are is a rule of the [secret](crate::secret). Here their rows go, in the transaction that decided it, and the
//! audit trail gets AWS's pair of events. A deletion begins and ends in one commit, so there is never one to cancel.

use coffer_core::{Cx, EventKind, ServiceEvent};
use coffer_shape::ApiError;

use crate::{policy::PolicyRecord, rotation::run::RunRecord, secret::SecretRecord, value::VersionRecord};

/// Removes the rows of versions that fell out of a secret when it took a new one.
pub(crate) fn drop_versions(
    cx: &mut Cx<'_>,
    secret: &SecretRecord,
    dropped: Vec<String>,
) -> Result<(), ApiError> {
    for version_id in dropped {
        cx.erase::<VersionRecord>(&[&secret.arn, &version_id])?;
        record(cx, vec![("SecretId", secret.arn.clone()), ("SecretVersionId", version_id)]);
    }
    Ok(())
}

/// Removes a secret, every value and every policy it has.
pub(crate) fn erase(cx: &mut Cx<'_>, secret: &SecretRecord) -> Result<(), ApiError> {
    for version in secret.versions.iter().filter(|version| version.has_value) {
        cx.erase::<VersionRecord>(&[&secret.arn, &version.id])?;
    }
    for policy in &secret.policies {
        cx.erase::<PolicyRecord>(&[&secret.arn, policy])?;
    }
    if secret.rotation.is_some() {
        cx.erase::<RunRecord>(&[&secret.arn])?;
    }
    cx.erase::<SecretRecord>(&[&secret.name])
}

/// The same for what nobody asks for in that moment: a secret whose recovery window has closed, a replica that is to go.
pub(crate) fn erase_due(cx: &mut Cx<'_>, secret: &SecretRecord) -> Result<(), ApiError> {
    erase(cx, secret)?;
    record(cx, vec![("SecretId", secret.arn.clone())]);
    Ok(())
}

fn record(cx: &mut Cx<'_>, details: Vec<(&'static str, String)>) {
    for name in ["StartSecretVersionDelete", "EndSecretVersionDelete"] {
        cx.record_event(ServiceEvent {
            kind: EventKind::Service,
            source: "secretsmanager.amazonaws.com",
            name,
            details: details.clone(),
        });
    }
}
