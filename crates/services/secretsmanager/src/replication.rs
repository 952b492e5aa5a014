//! Replicas of a secret in other regions of its account.
//!
//! A secret has one primary and perhaps replicas: the same name, the same end of the ARN, the same versions and labels. Only the
//! primary is changed; what is changed there follows. The primary keeps a record for each of its replicas with what AWS shows of it
//! and when it is due. Whoever saves the primary makes its replicas due, because that is part of saving a secret and not of any
//! operation: see [`primary_saved`]. Two relays do the rest. The [`Replicator`] carries what is due to the replicas, and takes
//! replicas away; the [`Messenger`] carries back what the primary has to hear of a replica.
//!
//! What replicas have of their own: the key their values are sealed under, and the days on which they were read.
//!
//! A region that is removed and asked for again gets another replica, although there may not have been time to take the first one away,
//! nor to tell that somebody promoted it. So each has a number, drawn when it is asked for: the replica knows its own, and what is said
//! of another is not said of it.
//!
//! The rules on this page know no store beyond their own records, and nothing of what is copied: that is in `content`.

mod abroad;
mod content;
mod messenger;
mod replicator;

use std::{ops::ControlFlow, sync::Arc};

use coffer_core::{Cx, Kept, Listed, Next, Place, Relay, Walk, table};
use coffer_model::secretsmanager::{ReplicaRegionType, ReplicationStatusType};
use coffer_shape::{Action, ApiError, record};
use coffer_types::{Region, Timestamp};

use crate::{
    error::SecretError,
    secret::{SecretRecord, VersionEntry},
};

pub use abroad::LinkRecord;
pub(crate) use abroad::{
    Courier, PrimaryAbroad, ask_for_new_policy, associate, check_key, disassociate, follow, primary_wanted,
    shown_links, stop_following, understand_link,
};
pub use messenger::NewsRecord;
pub(crate) use messenger::{Messenger, note_access, promote};
pub(crate) use replicator::Replicator;

/// Ours: a change of a secret is also a change of the record of each of its replicas, and a transaction holds 256. AWS has fewer
/// regions than this.
const REPLICAS_MAX: usize = 50;
/// How AWS shows the default key of a replica.
const DEFAULT_KEY_SHOWN: &str = "alias/aws/secretsmanager";

pub(crate) const IN_PROGRESS: &str = "InProgress";
const IN_SYNC: &str = "InSync";
const FAILED: &str = "Failed";
/// What is shown of a replica of which nothing can be read any more.
const DAMAGED: &str = "Replication failed: what is known of this replica is damaged. Remove its region, or replicate to it again.";

record! {
    /// A version whose value a replica has. The time belongs to it: an id whose version was removed may be used once more.
    #[derive(Clone, PartialEq)]
    pub struct HeldVersion {
        pub id: String,
        pub created_at: Timestamp,
    }
}

table! {
    0x34 "secret-replica", version 1, key (secret_arn, region), part;

    /// One replica, in the partition of its primary.
    #[derive(Clone)]
    pub struct ReplicaRecord {
        /// The primary's.
        pub secret_arn: String,
        pub secret_name: String,
        pub region: String,
        /// As the caller wrote it; none for the default key.
        pub kms_key_id: Option<String>,
        /// May take the place of a secret of the same name, until the attempt has an outcome for which a caller allowed it.
        pub overwrites: bool,
        pub status: String,
        pub message: Option<String>,
        /// The day on which the replica was last read.
        pub accessed_on: Option<Timestamp>,
        /// When there is something to do about it; none if there is nothing.
        pub due_at: Option<Timestamp>,
        /// To be deleted. The secret does not know of it any more, and may be gone itself.
        pub leaving: bool,
        /// Counts the changes it has to hear of, so that news during a delivery are not taken for delivered.
        pub change: i64,
        /// The last change whose replication has begun.
        pub begun: i64,
        /// Faults in a row.
        pub faults: i64,
        /// What the replica was last known to have. A hint that saves opening values; the delivery looks for itself.
        pub held: Vec<HeldVersion>,
        /// Tells it from every other replica that the secret had or will have in this region.
        pub incarnation: i64,
    }
}

/// In the order in which they are due; those that are not come first.
impl Listed for ReplicaRecord {
    const ORDERS: usize = 1;

    fn place(&self, _: usize) -> Place<'_> {
        Place { number: self.due_at.map(Timestamp::millis), text: &self.secret_arn, tie: &self.region }
    }
}

impl ReplicaRecord {
    /// A replica that does not exist yet. Of the one before nothing stays but the counting of changes: a delivery that is under way is
    /// not one of this replica.
    fn new(secret: &SecretRecord, wanted: &Wanted, incarnation: i64, before: Option<&Self>) -> Self {
        Self {
            secret_arn: secret.arn.clone(),
            secret_name: secret.name.clone(),
            region: wanted.region.to_string(),
            kms_key_id: wanted.kms_key_id.clone(),
            overwrites: wanted.overwrites,
            incarnation,
            change: before.map_or(0, |before| before.change),
            begun: before.map_or(0, |before| before.begun),
            ..Self::default()
        }
    }

    /// One of which nothing is known but the place where it is.
    fn unknown(secret: &SecretRecord, region: &str) -> Self {
        Self {
            secret_arn: secret.arn.clone(),
            secret_name: secret.name.clone(),
            region: region.to_owned(),
            ..Self::default()
        }
    }

    /// Something has happened that it must hear of.
    fn make_due(&mut self, now: Timestamp) {
        self.change = self.change.saturating_add(1);
        self.faults = 0;
        self.due_at = Some(now);
    }

    fn begin(&mut self) {
        IN_PROGRESS.clone_into(&mut self.status);
        self.message = None;
    }

    fn succeed(&mut self) {
        IN_SYNC.clone_into(&mut self.status);
        self.message = Some(String::from("Replication succeeded"));
        self.overwrites = false;
        self.faults = 0;
        self.due_at = None;
    }

    /// It stays so until the secret changes or somebody asks for the replica again.
    fn fail(&mut self, reason: &str) {
        FAILED.clone_into(&mut self.status);
        self.message = Some(format!("Replication failed: {reason}"));
        self.overwrites = false;
        self.faults = 0;
        self.due_at = None;
    }

    /// A fault of ours says nothing about the replica: it is tried again, later each time.
    fn put_off(&mut self, now: Timestamp) {
        self.due_at = Some(now.plus(wait_after(self.faults)));
        self.faults = self.faults.saturating_add(1);
    }

    fn holds(&self, version: &VersionEntry) -> bool {
        self.held.iter().any(|held| held.id == version.id && held.created_at == version.created_at)
    }

    fn to_answer(&self) -> ReplicationStatusType {
        ReplicationStatusType {
            region: Some(self.region.clone()),
            kms_key_id: Some(self.kms_key_id.clone().unwrap_or_else(|| DEFAULT_KEY_SHOWN.to_owned())),
            status: Some(self.status.clone()),
            status_message: self.message.clone(),
            last_accessed_date: self.accessed_on,
        }
    }
}

/// Half a minute, and twice as long after each further fault, up to half an hour.
fn wait_after(faults: i64) -> std::time::Duration {
    const DOUBLINGS_MAX: u32 = 6;
    let doublings = u32::try_from(faults).unwrap_or(DOUBLINGS_MAX).min(DOUBLINGS_MAX);
    std::time::Duration::from_secs((30 << doublings).min(1800))
}

impl SecretRecord {
    pub(crate) const fn is_replica(&self) -> bool {
        self.primary_region.is_some()
    }

    /// A replica is changed by its primary and by nobody else.
    pub(crate) fn ensure_primary(&self) -> Result<(), SecretError> {
        if self.is_replica_of_abroad() {
            return Err(SecretError::OnReplicaAbroad);
        }
        if self.is_replica() { Err(SecretError::OnReplica) } else { Ok(()) }
    }

    /// Neither a replica nor with replicas of its own.
    fn is_standalone(&self) -> bool {
        let has_replicas = !self.replica_regions.is_empty() || self.replica_abroad.is_some();
        !has_replicas && !self.is_replica() && !self.is_replica_of_abroad()
    }

    /// What every operation asks for that changes the versions of a secret.
    pub(crate) fn ensure_changeable(&self) -> Result<(), SecretError> {
        self.ensure_live()?;
        self.ensure_primary()
    }

    /// Where the primary is; nothing for a secret that has no replicas and is none.
    pub(crate) fn shown_primary_region(&self) -> Option<&str> {
        match &self.primary_region {
            Some(region) => Some(region),
            None if self.replica_regions.is_empty() => None,
            None => region_of(&self.arn),
        }
    }

    /// Whether it is a replica, and of the secret with this ARN: a promoted replica has the end of the ARN in common with its former
    /// primary, and so have the replicas of both.
    fn is_replica_of(&self, primary_arn: &str) -> bool {
        self.primary_region.is_some() && self.primary_region.as_deref() == region_of(primary_arn)
    }

    /// Whether the other is the same to whoever reads it, but for the time of the change.
    fn reads_like(&self, other: &Self) -> bool {
        self.description == other.description
            && self.kind == other.kind
            && self.tags == other.tags
            && self.policies == other.policies
            && self.versions.len() == other.versions.len()
            && self.versions.iter().zip(&other.versions).all(|(one, other)| {
                (&one.id, one.created_at, &one.labels, one.has_value)
                    == (&other.id, other.created_at, &other.labels, other.has_value)
            })
    }
}

fn region_of(arn: &str) -> Option<&str> {
    arn.split(':').nth(3)
}

/// What saving a secret entails, whoever saves it: its replicas are to hear of it. One whose record is damaged does not, and takes
/// nothing away from the others.
///
/// The status says so when there is more to tell than a time: asking for another region must not make a replica look as if it were
/// behind.
pub(crate) fn primary_saved(
    cx: &mut Cx<'_>,
    before: Option<&SecretRecord>,
    after: &SecretRecord,
) -> Result<(), ApiError> {
    abroad::primary_saved(cx, before, after)?;
    if after.replica_regions.is_empty() {
        return Ok(());
    }
    let is_news = before.is_none_or(|before| !before.reads_like(after));
    for region in &after.replica_regions {
        let Kept::Whole(replica) = cx.part_if_whole::<ReplicaRecord>(&[&after.arn, region])? else {
            continue;
        };
        let mut replica = Arc::unwrap_or_clone(replica);
        replica.make_due(cx.now());
        if is_news {
            replica.begin();
        }
        cx.save(replica)?;
    }
    cx.activate(Replicator::NAME);
    Ok(())
}

/// Shows that the replicas of a secret are behind, for a change that its record does not show: the text of a policy is in another. The
/// caller saves the secret, which makes them due.
pub(crate) fn fall_behind(cx: &mut Cx<'_>, secret: &SecretRecord) -> Result<(), ApiError> {
    for region in &secret.replica_regions {
        let Kept::Whole(replica) = cx.part_if_whole::<ReplicaRecord>(&[&secret.arn, region])? else {
            continue;
        };
        let mut replica = Arc::unwrap_or_clone(replica);
        replica.begin();
        cx.save(replica)?;
    }
    Ok(())
}

/// A replica that a caller asks for.
#[derive(Debug, PartialEq)]
pub(crate) struct Wanted {
    region: Region,
    kms_key_id: Option<String>,
    overwrites: bool,
}

impl Wanted {
    /// Understands a list of regions as it is written in a request made in the region `here`.
    pub(crate) fn from_request(
        here: &Region,
        regions: Vec<ReplicaRegionType>,
        overwrites: Option<bool>,
    ) -> Result<Vec<Self>, SecretError> {
        let mut wanted: Vec<Self> = Vec::with_capacity(regions.len().min(REPLICAS_MAX));
        for ReplicaRegionType { region, kms_key_id } in regions {
            let region = region.unwrap_or_default();
            let region: Region = region.parse().map_err(|_| SecretError::ReplicaRegionInvalid)?;
            if region == *here {
                return Err(SecretError::ReplicaRegionInvalid);
            }
            if wanted.iter().any(|known| known.region == region) {
                return Err(SecretError::ReplicaRegionTwice { region: region.to_string() });
            }
            if wanted.len() == REPLICAS_MAX {
                return Err(SecretError::TooManyReplicas);
            }
            let kms_key_id = kms_key_id.filter(|key| !key.is_empty());
            wanted.push(Self { region, kms_key_id, overwrites: overwrites.unwrap_or(false) });
        }
        Ok(wanted)
    }
}

/// Notes replicas that are wanted; the caller saves the secret. Whether there is anything to do.
///
/// A replica that is there, or on its way, is left alone, but does not wait any longer after a fault of ours. In the place of one that
/// failed, or is to go, or of which nothing can be read any more, comes another one, made in the way that is asked for now.
pub(crate) fn add(cx: &mut Cx<'_>, secret: &mut SecretRecord, wanted: &[Wanted]) -> Result<bool, ApiError> {
    let mut is_news = false;
    for wanted in wanted {
        let region = wanted.region.as_str();
        let before = cx.part_if_whole::<ReplicaRecord>(&[&secret.arn, region])?;
        if matches!(before, Kept::Damaged) {
            cx.erase::<ReplicaRecord>(&[&secret.arn, region])?;
        }
        let before = before.whole();
        let is_known = secret.replica_regions.iter().any(|known| known == region);
        if let Some(replica) = before.as_deref().filter(|replica| is_known && replica.status != FAILED) {
            hasten(cx, replica)?;
            continue;
        }
        if !is_known {
            if secret.replica_regions.len() == REPLICAS_MAX {
                return Err(SecretError::TooManyReplicas.into());
            }
            secret.replica_regions.push(region.to_owned());
        }
        let mut replica = ReplicaRecord::new(secret, wanted, new_incarnation(cx), before.as_deref());
        replica.begin();
        replica.make_due(cx.now());
        cx.save(replica)?;
        is_news = true;
    }
    if is_news {
        cx.activate(Replicator::NAME);
    }
    Ok(is_news)
}

/// Somebody asks again, so what was put off is tried now. That is no change of the secret.
fn hasten(cx: &mut Cx<'_>, replica: &ReplicaRecord) -> Result<(), ApiError> {
    let now = cx.now();
    if replica.due_at.is_some_and(|at| at > now) {
        cx.save(ReplicaRecord { due_at: Some(now), ..replica.clone() })?;
        cx.activate(Replicator::NAME);
    }
    Ok(())
}

/// Drawn and not counted, because nothing is left to count on from when a replica has gone. Zero are those of earlier versions.
fn new_incarnation(cx: &Cx<'_>) -> i64 {
    let mut drawn = [0; 8];
    cx.entropy().fill(&mut drawn);
    i64::from_be_bytes(drawn)
}

/// Has replicas deleted; the caller saves the secret. Regions without one are passed over. Whether there is anything to do.
///
/// The record of the replica stays until it is gone there, whatever becomes of the secret meanwhile.
pub(crate) fn remove(
    cx: &mut Cx<'_>,
    secret: &mut SecretRecord,
    regions: &[String],
) -> Result<bool, ApiError> {
    let (leaving, staying) =
        std::mem::take(&mut secret.replica_regions).into_iter().partition(|known| regions.contains(known));
    secret.replica_regions = staying;
    let leaving: Vec<String> = leaving;
    for region in &leaving {
        let mut replica = match cx.part_if_whole::<ReplicaRecord>(&[&secret.arn, region])? {
            Kept::Nothing => continue,
            Kept::Whole(replica) => Arc::unwrap_or_clone(replica),
            Kept::Damaged => {
                cx.erase::<ReplicaRecord>(&[&secret.arn, region])?;
                ReplicaRecord::unknown(secret, region)
            }
        };
        replica.leaving = true;
        replica.make_due(cx.now());
        cx.save(replica)?;
    }
    cx.activate(Replicator::NAME);
    Ok(!leaving.is_empty())
}

/// What AWS shows of the replicas of a secret, in the order in which they were asked for.
pub(crate) fn statuses(cx: &Cx<'_>, secret: &SecretRecord) -> Result<Vec<ReplicationStatusType>, ApiError> {
    let mut statuses = Vec::with_capacity(secret.replica_regions.len());
    for region in &secret.replica_regions {
        match cx.part_if_whole::<ReplicaRecord>(&[&secret.arn, region])? {
            Kept::Nothing => {}
            Kept::Whole(replica) => statuses.push(replica.to_answer()),
            Kept::Damaged => statuses.push(damaged(region)),
        }
    }
    Ok(statuses)
}

fn damaged(region: &str) -> ReplicationStatusType {
    ReplicationStatusType {
        region: Some(region.to_owned()),
        status: Some(FAILED.to_owned()),
        status_message: Some(DAMAGED.to_owned()),
        ..ReplicationStatusType::default()
    }
}

/// What stands first in a list of things to do.
enum First<R> {
    Due(Arc<R>),
    Nothing(Next),
}

/// Looks into a table whose records stand in the order in which they are due.
fn first_due<R: Listed>(
    cx: &Cx<'_>,
    action: Action,
    due_at: impl Fn(&R) -> Option<Timestamp>,
) -> Result<First<R>, ApiError> {
    let permit = cx.ask_all::<R>(action)?;
    // What is not due at all stands before everything else.
    let before_all = Place { number: Some(i64::MIN), text: "", tie: "" };
    let mut first = First::Nothing(Next::Idle);
    let how = Walk { order: 0, after: Some(before_all), ..Walk::default() };
    cx.walk(permit, how, &mut |record| {
        if let Some(at) = due_at(record) {
            first =
                if at <= cx.now() { First::Due(Arc::clone(record)) } else { First::Nothing(Next::At(at)) };
        }
        ControlFlow::Break(())
    })?;
    Ok(first)
}

#[cfg(test)]
mod tests;
