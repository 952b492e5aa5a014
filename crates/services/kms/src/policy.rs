//! Key policies: who may use a key, and who may say so.
//!
//! Nothing but its policy lets anybody at a key, not even the root of its account; one that names the account leaves it to the policies of
//! the account's identities, and that is what a key gets whose maker wrote none. The text lies in a record of its own, because it may be long
//! and keys are kept in memory. Users and roles are meant by their unique ids and shown by the ARN that they have today.

use std::sync::{Arc, LazyLock};

use coffer_core::{Cx, Resource, ResourcePolicy, table};
use coffer_model::kms::action;
use coffer_policy::{Document, Kind, Policy};
use coffer_shape::{ApiError, ConditionValue};
use coffer_types::{AccountId, Arn};

use crate::{alias::SERVICE_KEYS, error::KmsError, key::KeyRecord, named::Home};

/// The only name that policies of keys have.
pub(crate) const DEFAULT: &str = "default";
/// AWS's quota.
const BYTES_MAX: usize = 32_768;

table! {
    0x22 "kms-key-policy", version 1, key (key_id), part;

    pub struct PolicyRecord {
        pub key_id: String,
        pub policy: ResourcePolicy,
    }
}

/// The policy that decides on a key together with those of the caller.
pub(crate) fn in_force(cx: &Cx<'_>, home: &Home, key: &KeyRecord) -> Result<Option<Arc<Policy>>, ApiError> {
    if let Some(service) = &key.managed_by {
        // Who comes through the service needs the part that is the same for all such keys, and this is the way of every secret.
        if cx.via().is_some_and(|via| via.name == service) {
            return Ok(through_the_service(service));
        }
        let text = of_managed(service, cx.account(), cx.region().as_str());
        return Ok(Some(Arc::new(Policy::stored(DEFAULT, Kind::Resource, &text))));
    }
    Ok(Some(Arc::clone(stored(cx, home, key)?.policy.policy(Kind::Resource, DEFAULT))))
}

/// The text as it reads today.
pub(crate) fn shown(cx: &Cx<'_>, key: &KeyRecord) -> Result<String, ApiError> {
    if let Some(service) = &key.managed_by {
        return Ok(of_managed(service, cx.account(), cx.region().as_str()));
    }
    stored(cx, &Home::Here, key)?.policy.shown(cx, &|name| {
        name.parse::<AccountId>().ok().map(|account| Arn::global("iam", account, "root").to_string())
    })
}

fn stored(cx: &Cx<'_>, home: &Home, key: &KeyRecord) -> Result<Arc<PolicyRecord>, ApiError> {
    let policy = home.part::<PolicyRecord>(cx, &[&key.key_id])?;
    policy.ok_or_else(|| cx.internal("a key has lost its policy"))
}

/// The policy of a key whose maker wrote none, in AWS's layout.
pub(crate) fn of_the_account(account: AccountId) -> String {
    let root = Arn::global("iam", account, "root");
    format!(
        r#"{{
  "Version" : "2012-10-17",
  "Id" : "key-default-1",
  "Statement" : [ {{
    "Sid" : "Enable IAM User Permissions",
    "Effect" : "Allow",
    "Principal" : {{
      "AWS" : "{root}"
    }},
    "Action" : "kms:*",
    "Resource" : "*"
  }} ]
}}"#
    )
}

/// Reads a text as the policy of a key, in which nobody is named who does not exist.
pub(crate) fn written(cx: &Cx<'_>, text: String) -> Result<ResourcePolicy, ApiError> {
    if text.len() > BYTES_MAX {
        return Err(KmsError::PolicyTooLong.into());
    }
    let document = Document::parse(Kind::Resource, &text).map_err(KmsError::MalformedPolicy)?;
    ResourcePolicy::written(cx, text, &document, |_| KmsError::InvalidPrincipal.into())
}

/// A key as it will be once it has this policy.
pub(crate) struct Planned<'a> {
    pub key: &'a KeyRecord,
    pub policy: &'a ResourcePolicy,
}

impl Resource for Planned<'_> {
    fn arn(&self) -> String {
        self.key.arn.clone()
    }

    fn tags(&self) -> Vec<(&str, &str)> {
        self.key.tags.iter().map(|tag| (tag.key.as_str(), tag.value.as_str())).collect()
    }

    fn condition(&self, cx: &Cx<'_>, key: &str) -> Option<ConditionValue> {
        match key {
            "kms:calleraccount" => Some(ConditionValue::One(cx.caller().account.to_string())),
            _ => self.key.condition(key),
        }
    }

    fn policy(&self, _: &Cx<'_>) -> Result<Option<Arc<Policy>>, ApiError> {
        Ok(Some(Arc::clone(self.policy.policy(Kind::Resource, DEFAULT))))
    }
}

impl Planned<'_> {
    /// Whoever gives a key a policy must be able to give it another one, unless he says that he need not.
    pub(crate) fn ensure_no_lockout(&self, cx: &Cx<'_>, bypass: Option<bool>) -> Result<(), KmsError> {
        if bypass.unwrap_or(false) || cx.would_permit(action::PUT_KEY_POLICY, self) {
            return Ok(());
        }
        Err(KmsError::PolicyLocksOut)
    }
}

/// What the policy of a managed key says of those who come through its service, with the account and the region still open.
fn through_the_service(service: &str) -> Option<Arc<Policy>> {
    static POLICIES: LazyLock<Vec<(&str, Arc<Policy>)>> = LazyLock::new(|| {
        let policy = |service: &str| {
            let statements =
                statements_of_service(service, "${aws:ResourceAccount}", "${aws:RequestedRegion}");
            let text = format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#);
            Arc::new(Policy::stored("the policy of a managed key", Kind::Resource, &text))
        };
        SERVICE_KEYS.iter().map(|(_, service)| (*service, policy(service))).collect()
    });
    POLICIES.iter().find(|(known, _)| *known == service).map(|(_, policy)| Arc::clone(policy))
}

/// The policy of a key that a service manages. It admits everybody of the account who comes through the service, and lets the account's
/// own policies say who may look at it.
fn of_managed(service: &str, account: AccountId, region: &str) -> String {
    let root = Arn::global("iam", account, "root");
    let statements = statements_of_service(service, account.as_str(), region);
    format!(
        r#"{{
  "Version" : "2012-10-17",
  "Id" : "auto-{service}-2",
  "Statement" : [ {statements}, {{
    "Sid" : "Allow direct access to key metadata to the account",
    "Effect" : "Allow",
    "Principal" : {{
      "AWS" : "{root}"
    }},
    "Action" : [ "kms:Describe*", "kms:Get*", "kms:List*", "kms:RevokeGrant" ],
    "Resource" : "*"
  }} ]
}}"#
    )
}

/// Data keys are also made on behalf of the service in another region, when a secret is replicated.
fn statements_of_service(service: &str, account: &str, region: &str) -> String {
    let name = match service {
        "secretsmanager" => "AWS Secrets Manager",
        other => other,
    };
    format!(
        r#"{{
    "Sid" : "Allow access through {name} for all principals in the account that are authorized to use {name}",
    "Effect" : "Allow",
    "Principal" : {{
      "AWS" : "*"
    }},
    "Action" : [ "kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:CreateGrant", "kms:DescribeKey" ],
    "Resource" : "*",
    "Condition" : {{
      "StringEquals" : {{
        "kms:CallerAccount" : "{account}",
        "kms:ViaService" : "{service}.{region}.amazonaws.com"
      }}
    }}
  }}, {{
    "Sid" : "Allow access through {name} for all principals in the account that are authorized to use {name} to make data keys",
    "Effect" : "Allow",
    "Principal" : {{
      "AWS" : "*"
    }},
    "Action" : "kms:GenerateDataKey*",
    "Resource" : "*",
    "Condition" : {{
      "StringEquals" : {{
        "kms:CallerAccount" : "{account}"
      }},
      "StringLike" : {{
        "kms:ViaService" : "{service}.*.amazonaws.com"
      }}
    }}
  }}"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_policies_can_be_read() {
        let account = AccountId::DEV;
        for text in [of_the_account(account), of_managed("secretsmanager", account, "eu-west-1")] {
            assert!(Document::parse(Kind::Resource, &text).is_ok(), "{text}");
        }
        let shared = through_the_service("secretsmanager").unwrap();
        assert_ne!(*shared, Policy::denying("the policy of a managed key"));
        assert!(through_the_service("other").is_none());
    }
}
