//! CreateSecret.

use std::sync::Arc;

use coffer_core::{Cx, Guarded, Resource};
use coffer_model::secretsmanager::{CreateSecretRequest, CreateSecretResponse, action};
use coffer_shape::ApiError;

use crate::{
    data_key,
    error::SecretError,
    identifier::{check_name, new_arn},
    replication::{self, Wanted},
    secret::{SecretRecord, TagRecord, Token, ensure_room},
    tags,
    value::{SecretValue, open_version, prove, store_version},
};

/// Makes a secret, with its first version if a value is given.
pub(crate) fn create_secret(
    cx: &mut Cx<'_>,
    input: CreateSecretRequest,
) -> Result<CreateSecretResponse, ApiError> {
    check_name(&input.name)?;
    let has_value = input.secret_string.is_some() || input.secret_binary.is_some();
    if has_value && input.client_request_token.is_none() {
        return Err(SecretError::TokenMissing.into());
    }
    let primary = replication::primary_wanted(cx, &input)?;
    let value = SecretValue::from_parts(input.secret_string, input.secret_binary)?;
    let tags = input.tags.map(tags::from_request).transpose()?;
    let replicas = input
        .add_replica_regions
        .map(|regions| Wanted::from_request(cx.region(), regions, input.force_overwrite_replica_secret))
        .transpose()?;

    // Asked before anything is drawn: the call may have to begin anew for it. What comes of it is told to whoever may create.
    let room = ensure_room(cx.count::<SecretRecord>()?);
    let name = NewName::find(cx, &input.name, tags.clone())?.permit(cx, action::CREATE_SECRET)?;
    if tags.is_some() {
        cx.ask(action::TAG_RESOURCE, &name)?;
    }
    if replicas.is_some() {
        cx.ask(action::REPLICATE_SECRET_TO_REGIONS, &name)?;
    }
    if primary.is_some() {
        replication::ask_for_new_policy(cx, &name)?;
    }
    if let Some(existing) = name.taken_by {
        let mut answer = repeated(cx, &existing, input.client_request_token, value.as_ref())?;
        if replicas.is_some() {
            answer.replication_status = Some(replication::statuses(cx, &existing)?);
        }
        return Ok(answer);
    }
    room?;

    let now = cx.now();
    let mut secret = SecretRecord {
        arn: name.arn,
        name: name.name,
        created_at: now,
        changed_at: now,
        description: input.description.filter(|text| !text.is_empty()),
        kms_key_id: data_key::chosen_key(cx, input.kms_key_id),
        kind: input.r#type.filter(|kind| !kind.is_empty()),
        tags,
        ..SecretRecord::default()
    };
    let version_id = match (value, input.client_request_token) {
        (Some(value), Some(token)) => {
            let version = store_version(cx, &secret, &token, &value)?;
            secret.add_version(version, None, now)?;
            prove(cx, &secret, &token)?;
            Some(token)
        }
        _ if primary.is_some() => {
            replication::check_key(cx, &secret)?;
            None
        }
        _ => {
            if secret.kms_key_id.is_some() {
                data_key::check(cx, &secret)?;
            }
            None
        }
    };
    if let Some(primary) = &primary {
        replication::follow(cx, &mut secret, primary)?;
    }
    if let Some(replicas) = &replicas {
        replication::add(cx, &mut secret, replicas)?;
    }
    cx.save(secret.clone())?;
    let replication_status = match replicas {
        Some(_) => Some(replication::statuses(cx, &secret)?),
        None => None,
    };

    Ok(CreateSecretResponse {
        arn: Some(secret.arn),
        name: Some(secret.name),
        version_id,
        replication_status,
    })
}

/// The name is taken. The same request once more is a success; anything else says why not.
fn repeated(
    cx: &mut Cx<'_>,
    existing: &SecretRecord,
    token: Option<String>,
    value: Option<&SecretValue>,
) -> Result<CreateSecretResponse, ApiError> {
    if existing.deletion_due_at.is_some() {
        return Err(SecretError::NameScheduledForDeletion.into());
    }
    // The versions of a replica are none that anybody created here.
    let is_replica = existing.is_replica() || existing.is_replica_of_abroad();
    let (Some(token), Some(value), false) = (token, value, is_replica) else {
        return Err(SecretError::NameTaken { name: existing.name.clone() }.into());
    };
    if existing.token(&token) != Token::Version {
        return Err(SecretError::NameTaken { name: existing.name.clone() }.into());
    }
    if !open_version(cx, existing, &token)?.equals(value) {
        return Err(SecretError::TokenReused { token, arn: existing.arn.clone() }.into());
    }
    Ok(CreateSecretResponse {
        arn: Some(existing.arn.clone()),
        name: Some(existing.name.clone()),
        version_id: Some(token),
        replication_status: None,
    })
}

/// The resource that does not exist yet, with the ARN that it is going to have: AWS draws the suffix first and asks policies about the
/// complete ARN, so that a pattern such as `db/*-??????` covers the secret before and after it is made. If the name is taken, the
/// question is about the secret that has it; whether it is free is told to whoever may take it.
struct NewName {
    name: String,
    arn: String,
    tags: Option<Vec<TagRecord>>,
    taken_by: Option<Arc<SecretRecord>>,
}

impl NewName {
    fn find(cx: &Cx<'_>, name: &str, tags: Option<Vec<TagRecord>>) -> Result<Guarded<Self>, ApiError> {
        let drawn = new_arn(cx, name);
        cx.find_as(&[name], |taken_by: Option<Arc<SecretRecord>>| {
            let arn = taken_by.as_ref().map_or(drawn, |secret| secret.arn.clone());
            Self { name: name.to_owned(), arn, tags, taken_by }
        })
    }
}

impl Resource for NewName {
    fn arn(&self) -> String {
        self.arn.clone()
    }

    fn shown(&self) -> Option<String> {
        Some(self.name.clone())
    }

    /// Those that it is going to have.
    fn tags(&self) -> Vec<(&str, &str)> {
        tags::pairs(self.tags.as_ref())
    }
}
