//! The versions of managed policies.

use coffer_core::{Cx, Registry};
use coffer_model::iam::{self, action};
use coffer_shape::{ApiError, Empty};

use super::managed_policies::{Found, permitted};
use crate::{
    bundled::Bundled,
    entity::own,
    error::IamError,
    managed::{PolicyRecord, PolicyVersion},
    name, page, versions,
};

pub(super) fn register(registry: &mut Registry) {
    registry.serve::<iam::CreatePolicyVersion>(create_policy_version);
    registry.serve::<iam::GetPolicyVersion>(get_policy_version);
    registry.serve::<iam::ListPolicyVersions>(list_policy_versions);
    registry.serve::<iam::SetDefaultPolicyVersion>(|cx, input| {
        let mut policy = own::<PolicyRecord>(cx, &input.policy_arn, action::SET_DEFAULT_POLICY_VERSION)?;
        policy.put_in_force(&input.version_id)?;
        cx.save(policy)?;
        Ok(Empty {})
    });
    registry.serve::<iam::DeletePolicyVersion>(|cx, input| {
        let mut policy = own::<PolicyRecord>(cx, &input.policy_arn, action::DELETE_POLICY_VERSION)?;
        policy.remove_version(&input.version_id)?;
        cx.save(policy)?;
        Ok(Empty {})
    });
}

fn create_policy_version(
    cx: &mut Cx<'_>,
    input: iam::CreatePolicyVersionRequest,
) -> Result<iam::CreatePolicyVersionResponse, ApiError> {
    let mut policy = own::<PolicyRecord>(cx, &input.policy_arn, action::CREATE_POLICY_VERSION)?;
    let document = versions::written(input.policy_document)?;
    let version = policy.add_version(document, cx.now(), input.set_as_default == Some(true))?;
    let shown = shown(&version, &policy.default_version);
    cx.save(policy)?;
    Ok(iam::CreatePolicyVersionResponse { policy_version: Some(shown) })
}

fn get_policy_version(
    cx: &mut Cx<'_>,
    input: iam::GetPolicyVersionRequest,
) -> Result<iam::GetPolicyVersionResponse, ApiError> {
    let (document, shown) = match permitted(cx, &input.policy_arn, action::GET_POLICY_VERSION)? {
        Found::Own(policy) => {
            let version = policy.version(&input.version_id)?;
            (name::encoded(version.document.as_str()), shown(version, &policy.default_version))
        }
        Found::Bundled(policy) if policy.version == input.version_id => {
            (name::encoded(policy.text.as_str()), shown_bundled(policy))
        }
        Found::Bundled(policy) => {
            let (arn, version) = (policy.arn.to_owned(), input.version_id);
            return Err(IamError::NoSuchPolicyVersion { arn, version }.into());
        }
    };
    let version = iam::PolicyVersion { document: Some(document), ..shown };
    Ok(iam::GetPolicyVersionResponse { policy_version: Some(version) })
}

/// The newest first.
fn list_policy_versions(
    cx: &mut Cx<'_>,
    input: iam::ListPolicyVersionsRequest,
) -> Result<iam::ListPolicyVersionsResponse, ApiError> {
    let query = iam::ListPolicyVersionsRequest { marker: None, max_items: None, ..input.clone() };
    let versions = match permitted(cx, &input.policy_arn, action::LIST_POLICY_VERSIONS)? {
        Found::Own(policy) => {
            policy.versions.iter().rev().map(|version| shown(version, &policy.default_version)).collect()
        }
        Found::Bundled(policy) => vec![shown_bundled(policy)],
    };
    let (marker, max) = (input.marker.as_deref(), input.max_items);
    let page = page::of(&query, marker, max)
        .of_items(cx, &versions, |version| version.version_id.as_deref().unwrap_or_default())?;
    Ok(iam::ListPolicyVersionsResponse {
        is_truncated: page.is_truncated(),
        versions: Some(page.items),
        marker: page.marker,
    })
}

/// All versions, the newest first, with what they say.
pub(super) fn with_texts(policy: &Found) -> Vec<iam::PolicyVersion> {
    let with = |text: &str, version| iam::PolicyVersion { document: Some(name::encoded(text)), ..version };
    match policy {
        Found::Own(policy) => {
            let versions = policy.versions.iter().rev();
            let shown = versions
                .map(|version| with(version.document.as_str(), shown(version, &policy.default_version)));
            shown.collect()
        }
        Found::Bundled(policy) => vec![with(policy.text.as_str(), shown_bundled(policy))],
    }
}

/// Without the text.
fn shown(version: &PolicyVersion, default: &str) -> iam::PolicyVersion {
    iam::PolicyVersion {
        document: None,
        version_id: Some(version.id.clone()),
        is_default_version: Some(version.id == default),
        create_date: Some(version.created_at),
    }
}

fn shown_bundled(policy: &Bundled) -> iam::PolicyVersion {
    iam::PolicyVersion {
        version_id: Some(policy.version.to_owned()),
        is_default_version: Some(true),
        create_date: Some(policy.updated_at),
        ..iam::PolicyVersion::default()
    }
}
