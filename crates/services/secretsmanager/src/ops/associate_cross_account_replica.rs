//! AssociateCrossAccountReplica.

use coffer_core::Cx;
use coffer_model::secretsmanager::{
    AssociateCrossAccountReplicaRequest, AssociateCrossAccountReplicaResponse, action,
};
use coffer_shape::ApiError;

use crate::{
    identifier::{check_secret_id, secret},
    replication::{self, IN_PROGRESS},
};

/// Links a secret of one's own with its replica in another account, which its owner has made to follow it. Asked once more, it repairs
/// the link.
pub(crate) fn associate_cross_account_replica(
    cx: &mut Cx<'_>,
    input: AssociateCrossAccountReplicaRequest,
) -> Result<AssociateCrossAccountReplicaResponse, ApiError> {
    check_secret_id(&input.secret_id)?;
    let wanted = replication::understand_link(cx, &input)?;

    let target = secret(cx, &input.secret_id)?.permit(cx, action::ASSOCIATE_CROSS_ACCOUNT_REPLICA)?;
    wanted.ask(cx, &target)?;
    let mut secret = target.into_record()?;
    secret.ensure_changeable()?;

    replication::associate(cx, &mut secret, &wanted)?;
    let arn = secret.arn.clone();
    cx.save(secret)?;

    Ok(AssociateCrossAccountReplicaResponse {
        arn: Some(arn),
        cross_account_replica_arn: Some(input.cross_account_replica_arn),
        replication_status: Some(IN_PROGRESS.to_owned()),
    })
}
