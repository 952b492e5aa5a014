//! DisassociateCrossAccountReplica.

use coffer_core::Cx;
use coffer_model::secretsmanager::{
    DisassociateCrossAccountReplicaRequest, DisassociateCrossAccountReplicaResponse, action,
};
use coffer_shape::ApiError;

use crate::{
    identifier::{check_secret_id, secret},
    replication,
};

/// Lets go of the replica of a secret in another account. Nothing arrives there any more.
pub(crate) fn disassociate_cross_account_replica(
    cx: &mut Cx<'_>,
    input: DisassociateCrossAccountReplicaRequest,
) -> Result<DisassociateCrossAccountReplicaResponse, ApiError> {
    check_secret_id(&input.secret_id)?;

    let target = secret(cx, &input.secret_id)?.permit(cx, action::DISASSOCIATE_CROSS_ACCOUNT_REPLICA)?;
    let mut secret = target.into_record()?;
    secret.ensure_changeable()?;

    replication::disassociate(cx, &mut secret, &input.cross_account_replica_arn)?;
    let arn = secret.arn.clone();
    cx.save(secret)?;

    Ok(DisassociateCrossAccountReplicaResponse {
        arn: Some(arn),
        cross_account_replica_arn: Some(input.cross_account_replica_arn),
    })
}
