//! StopReplicationToReplica.

use coffer_core::Cx;
use coffer_model::secretsmanager::{
    StopReplicationToReplicaRequest, StopReplicationToReplicaResponse, action,
};
use coffer_shape::ApiError;

use crate::{
    identifier::{check_secret_id, secret},
    replication::{promote, stop_following},
};

/// Makes a replica a secret of its own, with the ARN that it has. It is called where the replica is; a primary in another region hears
/// of it.
pub(crate) fn stop_replication_to_replica(
    cx: &mut Cx<'_>,
    input: StopReplicationToReplicaRequest,
) -> Result<StopReplicationToReplicaResponse, ApiError> {
    check_secret_id(&input.secret_id)?;

    let target = secret(cx, &input.secret_id)?.permit(cx, action::STOP_REPLICATION_TO_REPLICA)?;
    let mut secret = target.to_record()?;
    secret.ensure_live()?;

    if secret.is_replica_of_abroad() {
        stop_following(cx, &mut secret, &target)?;
    } else {
        promote(cx, &mut secret)?;
    }
    secret.changed_at = cx.now();
    let arn = secret.arn.clone();
    cx.save(secret)?;

    Ok(StopReplicationToReplicaResponse { arn: Some(arn) })
}
