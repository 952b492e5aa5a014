//! What is copied of a secret, and how a replica becomes like it.
//!
//! Description, partner scheme, tags, policies, and versions with their labels and values. Values are opened under the primary's key
//! and sealed under the replica's; in between they are in memory, wiped when the delivery is over. A transaction is bounded, so values
//! come a few at a time: what a replica shows is what the primary shows, less the versions that are still to come. The current value
//! comes first, so a replica that has anything has that.

use coffer_core::{Cx, ResourcePolicy};
use coffer_model::secretsmanager::action;
use coffer_shape::ApiError;
use coffer_types::{Arn, Timestamp};

use super::{HeldVersion, NewsRecord, ReplicaRecord};
use crate::{
    data_key,
    erasure::{drop_versions, erase_due},
    error::SecretError,
    identifier::{SERVICE, secret},
    policy::PolicyRecord,
    rotation,
    secret::{CURRENT, PENDING, PREVIOUS, SecretRecord, VersionEntry, ensure_room},
    value::{SecretValue, open_version, store_version},
};

/// A transaction holds 1 MiB and 256 writes; removing what the primary has no more may take a hundred of them.
pub(super) const VALUES_MAX: usize = 16;
pub(super) const VALUE_BYTES_MAX: usize = 256 * 1024;

/// What travels to a replica.
pub(crate) struct Content {
    primary: SecretRecord,
    primary_region: String,
    kms_key_id: Option<String>,
    overwrites: bool,
    incarnation: i64,
    policies: Vec<(String, ResourcePolicy)>,
    /// By the id of their version.
    values: Vec<(String, SecretValue)>,
}

/// What came of it.
pub(crate) enum Arrived {
    Replica {
        held: Vec<HeldVersion>,
        accessed_on: Option<Timestamp>,
        /// No value is missing any more.
        complete: bool,
    },
    /// Somebody has made the replica a secret of its own, and the primary has not heard of it yet.
    Promoted,
}

impl Content {
    /// Collects what there is to copy, with those values that the replica is not known to have.
    pub(super) fn of(
        cx: &mut Cx<'_>,
        primary: &SecretRecord,
        replica: &ReplicaRecord,
    ) -> Result<Self, ApiError> {
        let mut policies = Vec::with_capacity(primary.policies.len());
        for name in &primary.policies {
            let policy = cx.part::<PolicyRecord>(&[&primary.arn, name])?;
            policies.extend(policy.map(|policy| (name.clone(), policy.policy.clone())));
        }
        let mut missing: Vec<&VersionEntry> =
            primary.versions.iter().filter(|version| version.has_value && !replica.holds(version)).collect();
        missing.sort_by_key(|version| urgency(version));
        let mut values = Vec::new();
        let mut bytes = 0;
        for version in missing.into_iter().take(VALUES_MAX) {
            let value = open_version(cx, primary, &version.id)?;
            bytes += value.len();
            values.push((version.id.clone(), value));
            if bytes >= VALUE_BYTES_MAX {
                break;
            }
        }
        Ok(Self {
            primary: primary.clone(),
            primary_region: cx.region().to_string(),
            kms_key_id: replica.kms_key_id.clone(),
            overwrites: replica.overwrites,
            incarnation: replica.incarnation,
            policies,
            values,
        })
    }

    fn value(&self, id: &str) -> Option<&SecretValue> {
        self.values.iter().find(|(of, _)| of == id).map(|(_, value)| value)
    }

    /// Makes the replica in this region like the primary. Doing it twice changes nothing more.
    pub(super) fn arrive(&self, cx: &mut Cx<'_>) -> Result<Arrived, ApiError> {
        let arn = arn_here(cx, &self.primary.arn)?;
        if cx.part::<NewsRecord>(&[&arn])?.is_some_and(|news| news.promoted && self.is_told_by(&news)) {
            return Ok(Arrived::Promoted);
        }
        let mut replica = self.replica(cx, arn)?;

        replica.description.clone_from(&self.primary.description);
        replica.kind.clone_from(&self.primary.kind);
        replica.tags.clone_from(&self.primary.tags);
        // A new key of the replica was a change of its own, and time does not go back.
        replica.changed_at = replica.changed_at.max(self.primary.changed_at);
        self.copy_policies(cx, &mut replica)?;
        let complete = self.copy_versions(cx, &mut replica)?;

        let held = replica.versions.iter().filter(|version| version.has_value);
        let held = held.map(|version| HeldVersion { id: version.id.clone(), created_at: version.created_at });
        let arrived = Arrived::Replica { held: held.collect(), accessed_on: replica.accessed_on, complete };
        cx.save(replica)?;
        Ok(arrived)
    }

    /// Whether these news have to be heard first: they are of this very replica, or another primary would never hear them. What was
    /// promoted before this replica was asked for is a secret like any other.
    fn is_told_by(&self, news: &NewsRecord) -> bool {
        news.incarnation == self.incarnation || news.primary_region != self.primary_region
    }

    /// The replica that is there, or a new one if there is room for it.
    fn replica(&self, cx: &mut Cx<'_>, arn: String) -> Result<SecretRecord, ApiError> {
        let name = &self.primary.name;
        let there = secret(cx, name)?.permit(cx, action::REPLICATE_SECRET_TO_REGIONS)?.if_any();
        match there {
            None => ensure_room(cx.count::<SecretRecord>()?)?,
            Some(there) if there.is_replica() => {
                if there.arn != arn || !there.is_replica_of(&self.primary.arn) {
                    let (name, region) = (name.clone(), cx.region().to_string());
                    return Err(SecretError::ReplicatedElsewhere { name, region }.into());
                }
                if there.incarnation == self.incarnation {
                    return Ok(SecretRecord::clone(&there));
                }
                // An earlier one, which was to go first.
                erase_due(cx, &there)?;
            }
            Some(there) if self.overwrites && there.is_standalone() => {
                let mut there = SecretRecord::clone(&there);
                if there.abandon_rotation() {
                    cx.record_event(rotation::event("RotationAbandoned", &there));
                }
                erase_due(cx, &there)?;
            }
            Some(_) => {
                return Err(SecretError::ReplicaNameTaken {
                    name: name.clone(),
                    region: cx.region().to_string(),
                }
                .into());
            }
        }
        let replica = SecretRecord {
            arn,
            name: name.clone(),
            created_at: self.primary.created_at,
            changed_at: self.primary.changed_at,
            kms_key_id: data_key::chosen_key(cx, self.kms_key_id.clone()),
            primary_region: Some(self.primary_region.clone()),
            incarnation: self.incarnation,
            ..SecretRecord::default()
        };
        if replica.kms_key_id.is_some() {
            data_key::check(cx, &replica)?;
        }
        Ok(replica)
    }

    fn copy_policies(&self, cx: &mut Cx<'_>, replica: &mut SecretRecord) -> Result<(), ApiError> {
        for name in std::mem::take(&mut replica.policies) {
            if !self.primary.has_policy(&name) {
                cx.erase::<PolicyRecord>(&[&replica.arn, &name])?;
            }
        }
        for (name, policy) in &self.policies {
            replica.note_policy(name);
            let there = cx.part::<PolicyRecord>(&[&replica.arn, name])?;
            if there.is_none_or(|there| there.policy != *policy) {
                let (secret_arn, name, policy) = (replica.arn.clone(), name.clone(), policy.clone());
                cx.save(PolicyRecord { secret_arn, name, policy })?;
            }
        }
        Ok(())
    }

    /// Whether all values are there.
    fn copy_versions(&self, cx: &mut Cx<'_>, replica: &mut SecretRecord) -> Result<bool, ApiError> {
        let mut versions = Vec::with_capacity(self.primary.versions.len());
        let mut complete = true;
        for version in &self.primary.versions {
            let there = replica.version(&version.id).filter(|there| there.created_at == version.created_at);
            let own = match there {
                Some(there) if there.has_value || !version.has_value => there.clone(),
                _ if !version.has_value => VersionEntry::default(),
                _ => {
                    let Some(value) = self.value(&version.id) else {
                        complete = false;
                        continue;
                    };
                    store_version(cx, replica, &version.id, value)?
                }
            };
            let VersionEntry { accessed_on, kms_key_arn, other_keys, under_former_key, .. } = own;
            let theirs = version.clone();
            versions.push(VersionEntry { accessed_on, kms_key_arn, other_keys, under_former_key, ..theirs });
        }
        let before = std::mem::replace(&mut replica.versions, versions);
        let gone = before.into_iter().map(|version| version.id).filter(|id| replica.version(id).is_none());
        let gone = gone.collect();
        drop_versions(cx, replica, gone)?;
        Ok(complete)
    }
}

/// The ARN of the same secret in the region of this call.
pub(super) fn arn_here(cx: &Cx<'_>, arn: &str) -> Result<String, ApiError> {
    let arn: Arn = arn.parse().map_err(|error| cx.internal(error))?;
    Ok(cx.arn(SERVICE, arn.resource()).to_string())
}

/// Which value a replica needs first: the one that is read most, then what rotations need, then labelled ones, then the newest.
pub(super) fn urgency(version: &VersionEntry) -> (usize, std::cmp::Reverse<Timestamp>) {
    let has = |label: &str| version.labels.iter().any(|held| held == label);
    let labels = [has(CURRENT), has(PENDING), has(PREVIOUS), !version.labels.is_empty()];
    let rank = labels.iter().position(|has| *has).unwrap_or(labels.len());
    (rank, std::cmp::Reverse(version.created_at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_current_value_travels_first_and_old_ones_last() {
        let version = |id: &str, labels: &[&str], millis| VersionEntry {
            id: id.to_owned(),
            created_at: Timestamp::from_millis(millis),
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            ..VersionEntry::default()
        };
        let mut versions = [
            version("old", &[], 1),
            version("older", &[], 0),
            version("blue", &["blue"], 2),
            version("previous", &["AWSPREVIOUS"], 3),
            version("current", &["AWSCURRENT", "green"], 4),
            version("pending", &["AWSPENDING"], 5),
        ];
        versions.sort_by_key(urgency);
        let ids: Vec<&str> = versions.iter().map(|version| version.id.as_str()).collect();
        assert_eq!(ids, ["current", "pending", "previous", "blue", "old", "older"]);
    }
}
