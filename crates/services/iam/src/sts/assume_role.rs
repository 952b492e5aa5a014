//! AssumeRole: somebody who has an identity takes on a role.

use coffer_core::{Cx, Guarded, Principal};
use coffer_model::sts::{AssumeRoleRequest, AssumeRoleResponse, AssumedRoleUser, action};
use coffer_shape::ApiError;

use super::{
    error::StsError,
    limits::{Limits, Wishes, pairs},
    role_asked_for::{RoleAskedFor, RoleName},
    session_token::{self, Holder},
};

/// Gives out credentials for a session of a role, if its trust policy and the caller's own policies let him have them.
pub(super) fn assume_role(cx: &mut Cx<'_>, input: AssumeRoleRequest) -> Result<AssumeRoleResponse, ApiError> {
    let name = RoleName::parse(&input.role_arn)?;
    if input.provided_contexts.is_some() {
        return Err(StsError::NoContexts.into());
    }
    let limits = Limits::of(
        cx,
        Wishes {
            seconds: input.duration_seconds,
            policy: input.policy,
            policy_arns: input.policy_arns,
            tags: pairs(input.tags),
            transitive_tag_keys: input.transitive_tag_keys.unwrap_or_default(),
            source_identity: input.source_identity,
        },
    )?;

    let role = permit(cx, name.find(cx, None)?, &limits)?;
    cx.is_known_to(name.account());
    // Only those who may have the role learn that their second factor is none.
    if input.serial_number.is_some() || input.token_code.is_some() {
        return Err(StsError::NoSuchDevice.into());
    }
    let role = role.record(cx)?;
    limits.check(cx, name.account(), role.max_session_seconds)?;

    let (packed_policy_size, source_identity) = (limits.packed_percent(), limits.source_identity());
    let holder = Holder::role(role, input.role_session_name);
    let assumed_role_user = Some(shown(&holder.principal(name.account(), None)));
    let session = limits.into_session(cx, None);
    let credentials = session_token::give_out(cx, name.account(), holder, session)?;
    Ok(AssumeRoleResponse {
        credentials: Some(credentials),
        assumed_role_user,
        packed_policy_size,
        source_identity,
        ..AssumeRoleResponse::default()
    })
}

/// Asks for the role, and for what comes with the session.
fn permit(cx: &Cx<'_>, role: Guarded<RoleAskedFor>, limits: &Limits) -> Result<RoleAskedFor, ApiError> {
    let role = role.permit(cx, action::ASSUME_ROLE)?;
    if limits.has_tags() {
        cx.ask(action::TAG_SESSION, &role)?;
    }
    if limits.has_source_identity() {
        cx.ask(action::SET_SOURCE_IDENTITY, &role)?;
    }
    Ok(role)
}

pub(super) fn shown(principal: &Principal) -> AssumedRoleUser {
    AssumedRoleUser { assumed_role_id: principal.user_id.clone(), arn: principal.arn.clone() }
}
