//! Managed policies: those of the account, and those that come with Coffer.

use std::{ops::ControlFlow, sync::Arc};

use coffer_core::{Cx, Guarded, Registry, Resource, Walk};
use coffer_model::iam::{self, action};
use coffer_shape::{Action, ApiError, Empty};

use crate::{
    access_key::unique_id,
    attachments::{self, AttachmentsRecord, uses_of},
    bundled::{self, Bundled},
    entity::{self, Entity, Planned},
    error::IamError,
    managed::{PolicyRecord, key_in},
    name::{self, key_of},
    page, tags,
    unscoped::ask_for_policies,
    versions,
};

pub(super) const POLICIES_MAX: usize = 1_500;

pub(super) fn register(registry: &mut Registry) {
    registry.serve::<iam::CreatePolicy>(create_policy);
    registry.serve::<iam::GetPolicy>(get_policy);
    registry.serve::<iam::ListPolicies>(list_policies);
    registry.serve::<iam::DeletePolicy>(delete_policy);
    registry.serve::<iam::TagPolicy>(|cx, input| {
        entity::tag::<PolicyRecord>(cx, &input.policy_arn, input.tags, action::TAG_POLICY)?;
        Ok(Empty {})
    });
    registry.serve::<iam::UntagPolicy>(|cx, input| {
        entity::untag::<PolicyRecord>(cx, &input.policy_arn, &input.tag_keys, action::UNTAG_POLICY)?;
        Ok(Empty {})
    });
    registry.serve::<iam::ListPolicyTags>(list_policy_tags);
}

/// A policy that was asked for, be it of the account, bundled or missing.
struct Target {
    arn: String,
    found: Option<Found>,
}

#[derive(Clone)]
pub(super) enum Found {
    Own(Arc<PolicyRecord>),
    Bundled(&'static Bundled),
}

impl Resource for Target {
    fn arn(&self) -> String {
        self.arn.clone()
    }

    fn tags(&self) -> Vec<(&str, &str)> {
        self.found.as_ref().map(Resource::tags).unwrap_or_default()
    }
}

impl Resource for Found {
    fn arn(&self) -> String {
        self.arn().to_owned()
    }

    fn tags(&self) -> Vec<(&str, &str)> {
        match self {
            Self::Own(policy) => tags::pairs(&policy.tags),
            Self::Bundled(_) => vec![],
        }
    }
}

/// Finds a policy by its ARN and asks whether the caller may do this to it. It is for looking only: what comes with Coffer is there to
/// be seen, and those who change something find nothing but the account's own.
pub(super) fn permitted(cx: &Cx<'_>, arn: &str, action: Action) -> Result<Found, ApiError> {
    let target = match (bundled::find(arn), key_in(arn, cx.account().as_str())) {
        (None, Some(key)) => cx.find_as::<PolicyRecord, Target>(&[&key], |record| Target {
            arn: arn.to_owned(),
            found: record.filter(|record| record.answers_to(arn)).map(Found::Own),
        })?,
        (bundled, _) => Guarded::new(Target { arn: arn.to_owned(), found: bundled.map(Found::Bundled) }),
    };
    let target = target.permit(cx, action)?;
    target.found.ok_or_else(|| PolicyRecord::missing(arn).into())
}

fn create_policy(
    cx: &mut Cx<'_>,
    input: iam::CreatePolicyRequest,
) -> Result<iam::CreatePolicyResponse, ApiError> {
    let path = input.path.as_deref().unwrap_or("/");
    let arn = name::arn(cx, "policy", path, &input.policy_name);
    let (planned, tags) = (Planned(arn.clone()), input.tags.as_ref());
    entity::ask_to_make(cx, &planned, action::CREATE_POLICY, action::TAG_POLICY, tags)?;
    let key = key_of(&input.policy_name);
    if cx.exists::<PolicyRecord>(&[&key], None)? {
        return Err(IamError::PolicyExists { name: input.policy_name }.into());
    }
    if cx.count::<PolicyRecord>()? >= POLICIES_MAX {
        return Err(IamError::Quota { name: "PoliciesPerAccount", limit: POLICIES_MAX }.into());
    }
    let mut policy = PolicyRecord {
        key,
        path: path.to_owned(),
        name: input.policy_name,
        policy_id: unique_id(cx.entropy(), "ANPA"),
        arn,
        description: input.description,
        created_at: cx.now(),
        ..PolicyRecord::default()
    };
    policy.add_version(versions::written(input.policy_document)?, cx.now(), true)?;
    tags::set(&mut policy.tags, input.tags.unwrap_or_default())?;
    let shown = iam::Policy {
        tags: tags::shown(&policy.tags),
        ..shown(&Found::Own(Arc::new(policy.clone())), &uses_of(cx, &policy.arn)?)
    };
    cx.save(policy)?;
    Ok(iam::CreatePolicyResponse { policy: Some(shown) })
}

fn get_policy(cx: &mut Cx<'_>, input: iam::GetPolicyRequest) -> Result<iam::GetPolicyResponse, ApiError> {
    let found = permitted(cx, &input.policy_arn, action::GET_POLICY)?;
    let tags = match &found {
        Found::Own(policy) => tags::shown(&policy.tags),
        Found::Bundled(_) => None,
    };
    let uses = uses_of(cx, &input.policy_arn)?;
    Ok(iam::GetPolicyResponse {
        policy: Some(iam::Policy { description: found.description(), tags, ..shown(&found, &uses) }),
    })
}

fn list_policies(
    cx: &mut Cx<'_>,
    input: iam::ListPoliciesRequest,
) -> Result<iam::ListPoliciesResponse, ApiError> {
    let permit = ask_for_policies::<PolicyRecord>(cx, action::LIST_POLICIES, input.path_prefix.as_deref())?;
    let query = iam::ListPoliciesRequest { marker: None, max_items: None, ..input.clone() };
    let scope = input.scope.as_deref().unwrap_or("All");
    let mut found = Vec::new();
    if scope != "AWS" {
        cx.walk(permit, Walk::default(), &mut |policy| {
            found.push(Found::Own(Arc::clone(policy)));
            ControlFlow::Continue(())
        })?;
    }
    if scope != "Local" {
        found.extend(bundled::all().iter().map(Found::Bundled));
    }
    let prefix = input.path_prefix.as_deref().unwrap_or("/");
    let mut listed = Vec::new();
    for policy in found.into_iter().filter(|policy| policy.path().starts_with(prefix)) {
        let uses = uses_of(cx, policy.arn())?;
        let is_wanted = match input.policy_usage_filter.as_deref() {
            Some("PermissionsPolicy") => uses.attached > 0,
            Some("PermissionsBoundary") => uses.boundary_of > 0,
            _ => input.only_attached != Some(true) || uses.attached > 0,
        };
        if is_wanted {
            listed.push((policy.place(), (policy, uses)));
        }
    }
    let page = page::of(&query, input.marker.as_deref(), input.max_items).of_gathered(cx, listed)?;
    Ok(iam::ListPoliciesResponse {
        is_truncated: page.is_truncated(),
        policies: Some(page.items.iter().map(|(policy, uses)| shown(policy, uses)).collect()),
        marker: page.marker,
    })
}

fn delete_policy(cx: &mut Cx<'_>, input: iam::DeletePolicyRequest) -> Result<Empty, ApiError> {
    let policy = entity::permitted::<PolicyRecord>(cx, &input.policy_arn, action::DELETE_POLICY)?;
    attachments::ensure_unused(cx, &policy.arn)?;
    policy.ensure_is_last_version()?;
    if cx.part::<AttachmentsRecord>(&[&policy.arn])?.is_some() {
        cx.erase::<AttachmentsRecord>(&[&policy.arn])?;
    }
    cx.erase::<PolicyRecord>(&[&policy.key])?;
    Ok(Empty {})
}

fn list_policy_tags(
    cx: &mut Cx<'_>,
    input: iam::ListPolicyTagsRequest,
) -> Result<iam::ListPolicyTagsResponse, ApiError> {
    let query = iam::ListPolicyTagsRequest { marker: None, max_items: None, ..input.clone() };
    let found = permitted(cx, &input.policy_arn, action::LIST_POLICY_TAGS)?;
    let tags = match &found {
        Found::Own(policy) => policy.tags.as_slice(),
        Found::Bundled(_) => &[],
    };
    let page =
        page::of(&query, input.marker.as_deref(), input.max_items).of_items(cx, tags, |tag| &tag.key)?;
    Ok(iam::ListPolicyTagsResponse {
        is_truncated: page.is_truncated(),
        tags: tags::shown(&page.items).unwrap_or_default(),
        marker: page.marker,
    })
}

impl Found {
    pub(super) fn arn(&self) -> &str {
        match self {
            Self::Own(policy) => &policy.arn,
            Self::Bundled(policy) => policy.arn,
        }
    }

    pub(super) fn description(&self) -> Option<String> {
        match self {
            Self::Own(policy) => policy.description.clone(),
            Self::Bundled(policy) => Some(policy.description.to_owned()),
        }
    }

    fn path(&self) -> &str {
        match self {
            Self::Own(policy) => &policy.path,
            Self::Bundled(policy) => policy.path,
        }
    }

    /// Among all policies: the account's own come first, each kind by name.
    pub(super) fn place(&self) -> String {
        match self {
            Self::Own(policy) => format!("own {}", policy.key),
            Self::Bundled(policy) => format!("with Coffer {}", policy.name),
        }
    }
}

/// As in lists, which say neither description nor tags.
pub(super) fn shown(policy: &Found, uses: &AttachmentsRecord) -> iam::Policy {
    let shown = match policy {
        Found::Own(policy) => iam::Policy {
            policy_name: Some(policy.name.clone()),
            policy_id: Some(policy.policy_id.clone()),
            arn: Some(policy.arn.clone()),
            path: Some(policy.path.clone()),
            default_version_id: Some(policy.default_version.clone()),
            create_date: Some(policy.created_at),
            update_date: Some(policy.updated_at),
            ..iam::Policy::default()
        },
        Found::Bundled(policy) => iam::Policy {
            policy_name: Some(policy.name.to_owned()),
            policy_id: Some(policy.policy_id.to_owned()),
            arn: Some(policy.arn.to_owned()),
            path: Some(policy.path.to_owned()),
            default_version_id: Some(policy.version.to_owned()),
            create_date: Some(policy.created_at),
            update_date: Some(policy.updated_at),
            ..iam::Policy::default()
        },
    };
    iam::Policy {
        attachment_count: Some(uses.attached),
        permissions_boundary_usage_count: Some(uses.boundary_of),
        is_attachable: Some(true),
        ..shown
    }
}
