//! Managed policies: those of the account, and those that come with Coffer.

use std::sync::Arc;

use coffer_core::{Cx, Registry, Resource};
use coffer_model::iam::{self, action};
use coffer_shape::{Action, ApiError};

use crate::{
    attachments::uses_of,
    bundled::{self, Bundled},
    error::IamError,
    managed::{PolicyRecord, key_in},
    tags,
};

pub(super) fn register(registry: &mut Registry) {
    registry.serve::<iam::GetPolicy>(get_policy);
}

/// A policy that was asked for, be it of the account, bundled or missing.
struct Target {
    arn: String,
    found: Option<Found>,
}

enum Found {
    Own(Arc<PolicyRecord>),
    Bundled(&'static Bundled),
}

impl Resource for Target {
    fn arn(&self) -> String {
        self.arn.clone()
    }
}

/// Finds a policy by its ARN and asks whether the caller may do this to it.
fn permitted(cx: &Cx<'_>, arn: &str, action: Action) -> Result<Found, ApiError> {
    let target = match (bundled::find(arn), key_in(arn, cx.account().as_str())) {
        (None, Some(key)) => cx.find_as::<PolicyRecord, Target>(&[&key], |record| Target {
            arn: arn.to_owned(),
            found: record.filter(|record| record.arn == arn).map(Found::Own),
        })?,
        (bundled, _) => {
            coffer_core::Guarded::new(Target { arn: arn.to_owned(), found: bundled.map(Found::Bundled) })
        }
    };
    let target = target.permit(cx, action)?;
    target.found.ok_or_else(|| IamError::NoSuchPolicy { arn: target.arn }.into())
}

fn get_policy(cx: &mut Cx<'_>, input: iam::GetPolicyRequest) -> Result<iam::GetPolicyResponse, ApiError> {
    let found = permitted(cx, &input.policy_arn, action::GET_POLICY)?;
    let uses = uses_of(cx, &input.policy_arn)?;
    let policy = match found {
        Found::Own(policy) => iam::Policy {
            policy_name: Some(policy.name.clone()),
            policy_id: Some(policy.policy_id.clone()),
            arn: Some(policy.arn.clone()),
            path: Some(policy.path.clone()),
            default_version_id: Some(policy.default_version.clone()),
            description: policy.description.clone(),
            create_date: Some(policy.created_at),
            update_date: Some(policy.updated_at),
            tags: tags::shown(&policy.tags),
            ..iam::Policy::default()
        },
        Found::Bundled(policy) => iam::Policy {
            policy_name: Some(policy.name.to_owned()),
            policy_id: Some(policy.policy_id.to_owned()),
            arn: Some(policy.arn.to_owned()),
            path: Some(policy.path.to_owned()),
            default_version_id: Some(policy.version.to_owned()),
            description: Some(policy.description.to_owned()),
            ..iam::Policy::default()
        },
    };
    Ok(iam::GetPolicyResponse {
        policy: Some(iam::Policy {
            attachment_count: Some(uses.attached),
            permissions_boundary_usage_count: Some(uses.boundary_of),
            is_attachable: Some(true),
            ..policy
        }),
    })
}
