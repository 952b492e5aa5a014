//! CreateKey.

use coffer_core::{Cx, Resource, ResourcePolicy};
use coffer_model::kms::{CreateKeyRequest, CreateKeyResponse, action};
use coffer_shape::{ApiError, ConditionValue};

use crate::{
    error::KmsError,
    key::{KeyRecord, Kind},
    policy::{self, Planned, PolicyRecord},
    spec::{KeySpec, Origin},
    tags,
};

/// What is asked before there is a key: AWS knows no resource for it, and says so with a star.
struct NewKey(KeyRecord);

impl Resource for NewKey {
    fn arn(&self) -> String {
        String::from("*")
    }

    fn condition(&self, cx: &Cx<'_>, key: &str) -> Option<ConditionValue> {
        match key {
            "kms:calleraccount" => Some(ConditionValue::One(cx.caller().account.to_string())),
            _ => self.0.condition(key),
        }
    }
}

/// Makes a key with a policy, by default one that leaves everything to the policies of the account.
pub(crate) fn create_key(cx: &mut Cx<'_>, input: CreateKeyRequest) -> Result<CreateKeyResponse, ApiError> {
    if input.custom_key_store_id.is_some() || input.xks_key_id.is_some() {
        return Err(KmsError::Unsupported.into());
    }
    let origin = match input.origin.as_deref() {
        None => Origin::AwsKms,
        Some(origin) => Origin::parse(origin).ok_or(KmsError::Unsupported)?,
    };
    let spec = match (input.key_spec, input.customer_master_key_spec) {
        (Some(_), Some(_)) => return Err(KmsError::SpecTwice.into()),
        (Some(spec), None) | (None, Some(spec)) => KeySpec::parse(&spec).ok_or(KmsError::Unsupported)?,
        (None, None) => KeySpec::SymmetricDefault,
    };
    let usage = spec.usage(input.key_usage.as_deref())?;
    let tags = tags::from_request(input.tags.unwrap_or_default())?;
    let kind = Kind { spec, usage, origin, is_multi_region: input.multi_region.unwrap_or(false) };

    ensure_may_make(cx, kind)?;
    let description = input.description.unwrap_or_default();
    let mut key = KeyRecord { tags, description, ..KeyRecord::new(cx, kind) };
    let policy = ensure_may_have(cx, &key, input.policy, input.bypass_policy_lockout_safety_check)?;
    key.begin(cx)?;

    let metadata = key.metadata(cx.account().as_str());
    cx.save(PolicyRecord { key_id: key.key_id.clone(), policy })?;
    cx.save(key)?;
    Ok(CreateKeyResponse { key_metadata: Some(metadata) })
}

/// Asks to make a key here.
pub(super) fn ensure_may_make(cx: &Cx<'_>, kind: Kind) -> Result<(), ApiError> {
    cx.ask(action::CREATE_KEY, &NewKey(KeyRecord::of_kind(kind))).map(drop)
}

/// The policy of a new key, once it is permitted to have that and its tags.
pub(super) fn ensure_may_have(
    cx: &Cx<'_>,
    key: &KeyRecord,
    policy: Option<String>,
    bypass: Option<bool>,
) -> Result<ResourcePolicy, ApiError> {
    let of_the_account = policy::written(cx, policy::of_the_account(cx.account()))?;
    if !key.tags.is_empty() {
        cx.ask(action::TAG_RESOURCE, &Planned { key, policy: &of_the_account })?;
    }
    let Some(text) = policy else { return Ok(of_the_account) };
    let policy = policy::written(cx, text)?;
    Planned { key, policy: &policy }.ensure_no_lockout(cx, bypass)?;
    Ok(policy)
}
