//! ReplicateSecretToRegions.

use coffer_core::Cx;
use coffer_model::secretsmanager::{
    ReplicateSecretToRegionsRequest, ReplicateSecretToRegionsResponse, action,
};
use coffer_shape::ApiError;

use crate::{
    identifier::{check_secret_id, secret},
    replication::{self, Wanted},
};

/// Asks for replicas of a secret in more regions. They are made after the answer, which shows how far all of them are.
pub(crate) fn replicate_secret_to_regions(
    cx: &mut Cx<'_>,
    input: ReplicateSecretToRegionsRequest,
) -> Result<ReplicateSecretToRegionsResponse, ApiError> {
    check_secret_id(&input.secret_id)?;
    let wanted =
        Wanted::from_request(cx.region(), input.add_replica_regions, input.force_overwrite_replica_secret)?;

    let target = secret(cx, &input.secret_id)?.permit(cx, action::REPLICATE_SECRET_TO_REGIONS)?;
    let mut secret = target.into_record()?;
    secret.ensure_changeable()?;

    if replication::add(cx, &mut secret, &wanted)? {
        secret.changed_at = cx.now();
        cx.save(secret.clone())?;
    }

    let statuses = replication::statuses(cx, &secret)?;
    Ok(ReplicateSecretToRegionsResponse { arn: Some(secret.arn), replication_status: Some(statuses) })
}
