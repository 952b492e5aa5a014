//! CreateKey.

use coffer_core::{Cx, Resource};
use coffer_model::kms::{CreateKeyRequest, CreateKeyResponse, action};
use coffer_shape::{ApiError, ConditionValue};

use crate::{
    error::KmsError,
    key::KeyRecord,
    policy::{self, Planned, PolicyRecord},
    spec::{KeySpec, KeyUsage, MadeOf, Origin},
    tags,
};

/// What is asked before there is a key: AWS knows no resource for it, and says so with a star.
struct NewKey {
    spec: KeySpec,
    usage: KeyUsage,
    origin: Origin,
}

impl Resource for NewKey {
    fn arn(&self) -> String {
        String::from("*")
    }

    fn condition(&self, cx: &Cx<'_>, key: &str) -> Option<ConditionValue> {
        let kind =
            KeyRecord { spec: self.spec, usage: self.usage, origin: self.origin, ..KeyRecord::default() };
        match key {
            "kms:calleraccount" => Some(ConditionValue::One(cx.caller().account.to_string())),
            _ => kind.condition(key),
        }
    }
}

/// Makes a key with a policy, by default one that leaves everything to the policies of the account.
pub(crate) fn create_key(cx: &mut Cx<'_>, input: CreateKeyRequest) -> Result<CreateKeyResponse, ApiError> {
    if input.custom_key_store_id.is_some() || input.xks_key_id.is_some() || input.multi_region == Some(true) {
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

    cx.ask(action::CREATE_KEY, &NewKey { spec, usage, origin })?;
    let new = || KeyRecord { tags, ..KeyRecord::new(cx, spec, usage, origin) };
    let mut key = match (spec.made_of(), origin) {
        (MadeOf::Pair(_), Origin::AwsKms) => cx.at_length(new)?,
        (MadeOf::Secret { .. } | MadeOf::Pair(_), Origin::AwsKms | Origin::External) => new(),
    };
    key.description = input.description.unwrap_or_default();
    let of_the_account = policy::written(cx, policy::of_the_account(cx.account()))?;
    if !key.tags.is_empty() {
        cx.ask(action::TAG_RESOURCE, &Planned { key: &key, policy: &of_the_account })?;
    }
    let policy = match input.policy {
        None => of_the_account,
        Some(text) => {
            let policy = policy::written(cx, text)?;
            let planned = Planned { key: &key, policy: &policy };
            planned.ensure_no_lockout(cx, input.bypass_policy_lockout_safety_check)?;
            policy
        }
    };

    let metadata = key.metadata(cx.account().as_str());
    cx.save(PolicyRecord { key_id: key.key_id.clone(), policy })?;
    cx.save(key)?;
    Ok(CreateKeyResponse { key_metadata: Some(metadata) })
}
