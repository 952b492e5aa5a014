//! In whose name a replica in another account is written.
//!
//! That is the role that was given with the link, or else whoever changed the primary, for as long as his session lasts.

use coffer_core::{Cx, Principal};
use coffer_model::secretsmanager::SERVICE;
use coffer_shape::ApiError;
use coffer_types::Arn;

use super::link::LinkRecord;
use crate::error::LinkTrouble;

/// Our choice; AWS's is not known.
const SESSION_NAME: &str = "cross-account-replication";

/// A session of the role, made for one run; nothing if it cannot be had.
pub(super) fn session_of(cx: &Cx<'_>, role: &Arn, primary_arn: &str) -> Result<Option<Principal>, ApiError> {
    cx.session_for(&SERVICE, role, SESSION_NAME, primary_arn)
}

/// Who replicates now, or why nobody does.
pub(super) fn who_replicates(
    cx: &Cx<'_>,
    link: &LinkRecord,
) -> Result<Result<Principal, LinkTrouble>, ApiError> {
    let Some(role) = &link.role_arn else {
        let writer = link.writer.as_deref().filter(|writer| !writer.session_is_over(cx.now()));
        let writer = writer.map(|writer| writer.today(cx)).transpose()?.flatten();
        return Ok(writer.ok_or(LinkTrouble::WriterExpired));
    };
    let role = role.parse().map_err(|error| cx.internal(error))?;
    Ok(session_of(cx, &role, &link.secret_arn)?.ok_or(LinkTrouble::RoleNotAssumable))
}
