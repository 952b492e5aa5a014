//! How often a managed policy is in use, for its page and for whoever wants to delete it.
//!
//! The policies that come with Coffer have no record of their own in an account, so the numbers stand beside the policies and not in
//! them. Who uses one is found by looking through users, groups and roles.

use coffer_core::{Cx, table};
use coffer_shape::ApiError;

use crate::error::IamError;

table! {
    0x15 "iam-attachments", version 1, key (policy_arn), part;

    #[derive(Clone)]
    pub struct AttachmentsRecord {
        pub policy_arn: String,
        /// Users, groups and roles it is attached to.
        pub attached: i64,
        /// Users and roles whose boundary it is.
        pub boundary_of: i64,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    Policy,
    Boundary,
}

/// Notes that a use has come or gone.
pub(crate) fn count(cx: &mut Cx<'_>, policy_arn: &str, what: Use, by: i64) -> Result<(), ApiError> {
    let mut uses = uses_of(cx, policy_arn)?;
    let number = match what {
        Use::Policy => &mut uses.attached,
        Use::Boundary => &mut uses.boundary_of,
    };
    *number = number.saturating_add(by).max(0);
    cx.save(uses)
}

/// A policy that somebody holds, or is bounded by, cannot go.
pub(crate) fn ensure_unused(cx: &Cx<'_>, policy_arn: &str) -> Result<(), ApiError> {
    let uses = uses_of(cx, policy_arn)?;
    if uses.attached > 0 || uses.boundary_of > 0 { Err(IamError::PolicyInUse.into()) } else { Ok(()) }
}

pub(crate) fn uses_of(cx: &Cx<'_>, policy_arn: &str) -> Result<AttachmentsRecord, ApiError> {
    let found = cx.part::<AttachmentsRecord>(&[policy_arn])?.map(|uses| (*uses).clone());
    Ok(found.unwrap_or_else(|| AttachmentsRecord {
        policy_arn: policy_arn.to_owned(),
        attached: 0,
        boundary_of: 0,
    }))
}
