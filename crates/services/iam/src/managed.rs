//! Managed policies: documents with a name and up to five versions, one of which is in force.
//!
//! Those that come with Coffer are in [`crate::bundled`]; they have ARNs of the account `aws` and no record.

use std::sync::Arc;

use coffer_core::{Cx, Db, Listed, LoadError, Partition, Place, PolicyText, Resource, table};
use coffer_policy::{Kind, Policy};
use coffer_shape::{ApiError, record};
use coffer_types::{Arn, Timestamp};

use crate::{
    bundled,
    entity::{Entity, Tagged},
    error::IamError,
    name::{key_of, name_in},
    tags::{self, TagRecord},
};

record! {
    #[derive(Clone, PartialEq)]
    pub struct PolicyVersion {
        /// `v1`; a number is never given twice.
        pub id: String,
        pub created_at: Timestamp,
        pub document: PolicyText,
    }
}

table! {
    0x14 "iam-policy", version 1, key (key);

    #[derive(Clone)]
    pub struct PolicyRecord {
        /// The name in small letters.
        pub key: String,
        pub name: String,
        pub path: String,
        pub policy_id: String,
        pub arn: String,
        pub description: Option<String>,
        pub created_at: Timestamp,
        pub updated_at: Timestamp,
        /// Oldest first.
        pub versions: Vec<PolicyVersion>,
        /// The id of the version that is in force.
        pub default_version: String,
        /// The number of the next version.
        pub next_version: i64,
        pub tags: Vec<TagRecord>,
    }
}

impl Resource for PolicyRecord {
    fn arn(&self) -> String {
        self.arn.clone()
    }

    fn tags(&self) -> Vec<(&str, &str)> {
        tags::pairs(&self.tags)
    }
}

impl Listed for PolicyRecord {
    const ORDERS: usize = 1;

    fn place(&self, _: usize) -> Place<'_> {
        Place { number: None, text: &self.key, tie: "" }
    }
}

/// A policy is found by its ARN.
impl Entity for PolicyRecord {
    const KIND: &'static str = "policy";

    fn key_named(cx: &Cx<'_>, arn: &str) -> Result<String, ApiError> {
        Ok(key_in(arn, cx.account().as_str()).unwrap_or_default())
    }

    fn arn_of_missing(_: &Cx<'_>, arn: &str) -> String {
        arn.to_owned()
    }

    fn missing(arn: &str) -> IamError {
        match arn.parse::<Arn>() {
            Err(_) => IamError::InvalidArn,
            Ok(_) if bundled::find(arn).is_some() => IamError::NotYourPolicy,
            Ok(_) => IamError::NoSuchPolicy { arn: arn.to_owned() },
        }
    }

    fn answers_to(&self, arn: &str) -> bool {
        self.arn == arn
    }
}

impl Tagged for PolicyRecord {
    fn tags(&self) -> &[TagRecord] {
        &self.tags
    }

    fn tags_mut(&mut self) -> &mut Vec<TagRecord> {
        &mut self.tags
    }
}

impl PolicyRecord {
    pub(crate) fn in_force(&self) -> Option<&PolicyVersion> {
        self.versions.iter().find(|version| version.id == self.default_version)
    }
}

/// Whether there is such a policy to attach: one of this account, or one that comes with Coffer.
pub(crate) fn exists(cx: &Cx<'_>, arn: &str) -> Result<bool, ApiError> {
    if bundled::find(arn).is_some() {
        return Ok(true);
    }
    let Some(name) = key_in(arn, cx.account().as_str()) else { return Ok(false) };
    cx.exists::<PolicyRecord>(&[&name], Some(arn))
}

/// What a policy says today, for whoever decides on a request.
pub(crate) fn policy(db: &Db, partition: &Partition, arn: &str) -> Result<Option<Arc<Policy>>, LoadError> {
    if let Some(bundled) = bundled::find(arn) {
        return Ok(Some(Arc::clone(bundled.policy())));
    }
    let Some(name) = key_in(arn, partition.account.as_str()) else { return Ok(None) };
    let policy = db.read::<PolicyRecord>(partition, &[&name])?.filter(|policy| policy.arn == arn);
    let version = policy.as_ref().and_then(|policy| policy.in_force());
    Ok(version.map(|version| Arc::clone(version.document.policy(Kind::Managed, arn))))
}

/// What the policy of an ARN is found by, if the ARN is that of a policy of this account.
pub(crate) fn key_in(arn: &str, account: &str) -> Option<String> {
    let arn: Arn = arn.parse().ok()?;
    let is_ours = arn.service() == "iam" && arn.region().is_empty() && arn.account() == account;
    let name = arn.resource().strip_prefix("policy/").filter(|_| is_ours)?;
    Some(key_of(name_in(name)))
}
