//! RemoveRegionsFromReplication.

use coffer_core::Cx;
use coffer_model::secretsmanager::{
    RemoveRegionsFromReplicationRequest, RemoveRegionsFromReplicationResponse, action,
};
use coffer_shape::ApiError;

use crate::{
    identifier::{check_secret_id, secret},
    replication,
};

/// Deletes replicas of a secret, without a time in which they could be restored. The answer shows those that are left.
pub(crate) fn remove_regions_from_replication(
    cx: &mut Cx<'_>,
    input: RemoveRegionsFromReplicationRequest,
) -> Result<RemoveRegionsFromReplicationResponse, ApiError> {
    check_secret_id(&input.secret_id)?;

    let target = secret(cx, &input.secret_id)?.permit(cx, action::REMOVE_REGIONS_FROM_REPLICATION)?;
    let mut secret = target.into_record()?;
    secret.ensure_changeable()?;

    if replication::remove(cx, &mut secret, &input.remove_replica_regions)? {
        secret.changed_at = cx.now();
        cx.save(secret.clone())?;
    }

    let statuses = replication::statuses(cx, &secret)?;
    Ok(RemoveRegionsFromReplicationResponse { arn: Some(secret.arn), replication_status: Some(statuses) })
}
