//! Access keys of users. The secret is in the answer of CreateAccessKey and nowhere else.

use std::sync::Arc;

use coffer_core::{Cx, Guarded, Registry, Resource, Unscoped};
use coffer_model::iam::{self, action};
use coffer_shape::{ApiError, Empty};

use super::users::own_name;
use crate::{
    access_key::AccessKeyRecord,
    entity::{own, permitted},
    error::IamError,
    name, page,
    user::{UserRecord, new_key},
};

pub(super) const KEYS_MAX: usize = 2;

pub(super) fn register(registry: &mut Registry) {
    registry.serve::<iam::CreateAccessKey>(create_access_key);
    registry.serve::<iam::ListAccessKeys>(list_access_keys);
    registry.serve::<iam::UpdateAccessKey>(update_access_key);
    registry.serve::<iam::DeleteAccessKey>(delete_access_key);
    registry.serve::<iam::GetAccessKeyLastUsed>(get_access_key_last_used);
}

fn create_access_key(
    cx: &mut Cx<'_>,
    input: iam::CreateAccessKeyRequest,
) -> Result<iam::CreateAccessKeyResponse, ApiError> {
    let name = name_or_own(cx, input.user_name)?;
    let mut user = own::<UserRecord>(cx, &name, action::CREATE_ACCESS_KEY)?;
    if user.access_keys.len() >= KEYS_MAX {
        return Err(IamError::Quota { name: "AccessKeysPerUser", limit: KEYS_MAX }.into());
    }
    let key = new_key(cx, &mut user);
    let shown = iam::AccessKey {
        user_name: key.user_name.clone(),
        access_key_id: key.id.clone(),
        status: status(true),
        secret_access_key: coffer_types::Secret::new(key.secret.expose().clone()),
        create_date: Some(key.created_at),
    };
    cx.save(key)?;
    cx.save(user)?;
    Ok(iam::CreateAccessKeyResponse { access_key: shown })
}

fn list_access_keys(
    cx: &mut Cx<'_>,
    input: iam::ListAccessKeysRequest,
) -> Result<iam::ListAccessKeysResponse, ApiError> {
    let query =
        iam::ListAccessKeysRequest { user_name: input.user_name.clone(), marker: None, max_items: None };
    let name = name_or_own(cx, input.user_name)?;
    let user = permitted::<UserRecord>(cx, &name, action::LIST_ACCESS_KEYS)?;
    let page =
        page::of(&query, input.marker.as_deref(), input.max_items)
            .of_items(cx, &user.access_keys, |id| id)?;
    let mut shown = Vec::with_capacity(page.items.len());
    for id in &page.items {
        let Some(key) = cx.part::<AccessKeyRecord>(&[id])? else { continue };
        shown.push(iam::AccessKeyMetadata {
            user_name: Some(user.name.clone()),
            access_key_id: Some(id.clone()),
            status: Some(status(key.active)),
            create_date: Some(key.created_at),
        });
    }
    Ok(iam::ListAccessKeysResponse {
        access_key_metadata: shown,
        is_truncated: page.is_truncated(),
        marker: page.marker,
    })
}

fn update_access_key(cx: &mut Cx<'_>, input: iam::UpdateAccessKeyRequest) -> Result<Empty, ApiError> {
    let name = name_or_own(cx, input.user_name)?;
    let user = permitted::<UserRecord>(cx, &name, action::UPDATE_ACCESS_KEY)?;
    let key = key_of(cx, &user, &input.access_key_id)?;
    cx.save(AccessKeyRecord { active: input.status == status(true), ..key.of_user(&user.name) })?;
    Ok(Empty {})
}

fn delete_access_key(cx: &mut Cx<'_>, input: iam::DeleteAccessKeyRequest) -> Result<Empty, ApiError> {
    let name = name_or_own(cx, input.user_name)?;
    let mut user = own::<UserRecord>(cx, &name, action::DELETE_ACCESS_KEY)?;
    let key = key_of(cx, &user, &input.access_key_id)?;
    user.access_keys.retain(|id| *id != key.id);
    cx.erase::<AccessKeyRecord>(&[&key.id])?;
    cx.save(user)?;
    Ok(Empty {})
}

/// The user of a key, if there is such a key. Refusals name the key alone: whose it is, and whether it is there, is what was asked.
struct OfKey {
    id: String,
    user: Option<Arc<UserRecord>>,
}

impl Resource for OfKey {
    fn arn(&self) -> String {
        self.user.as_ref().map_or_else(|| Unscoped.arn(), Resource::arn)
    }

    fn shown(&self) -> Option<String> {
        Some(format!("access key {}", self.id))
    }

    fn tags(&self) -> Vec<(&str, &str)> {
        self.user.as_ref().map(Resource::tags).unwrap_or_default()
    }
}

/// Uses of keys are in the audit trail and not counted beside it, so every key is shown as one that was never used.
fn get_access_key_last_used(
    cx: &mut Cx<'_>,
    input: iam::GetAccessKeyLastUsedRequest,
) -> Result<iam::GetAccessKeyLastUsedResponse, ApiError> {
    let action = action::GET_ACCESS_KEY_LAST_USED;
    let id = &input.access_key_id;
    let asked = match cx.part::<AccessKeyRecord>(&[id])? {
        Some(key) => cx.find_as::<UserRecord, OfKey>(&[&name::key_of(&key.user_name)], |user| OfKey {
            id: id.clone(),
            user,
        })?,
        None => Guarded::new(OfKey { id: id.clone(), user: None }),
    };
    let OfKey { user: Some(user), .. } = asked.permit(cx, action)? else {
        return Err(IamError::NoSuchAccessKey { id: input.access_key_id }.into());
    };
    let never = || String::from("N/A");
    Ok(iam::GetAccessKeyLastUsedResponse {
        user_name: Some(user.name.clone()),
        access_key_last_used: Some(iam::AccessKeyLastUsed {
            last_used_date: None,
            service_name: never(),
            region: never(),
        }),
    })
}

/// A key of this user and of nobody else.
fn key_of(cx: &Cx<'_>, user: &UserRecord, id: &str) -> Result<Arc<AccessKeyRecord>, ApiError> {
    let key = cx.part::<AccessKeyRecord>(&[id])?.filter(|key| key.user_name == user.name);
    key.ok_or_else(|| IamError::NoSuchAccessKey { id: id.to_owned() }.into())
}

fn name_or_own(cx: &Cx<'_>, name: Option<String>) -> Result<String, ApiError> {
    name.map_or_else(|| own_name(cx), Ok)
}

fn status(active: bool) -> String {
    String::from(if active { "Active" } else { "Inactive" })
}
