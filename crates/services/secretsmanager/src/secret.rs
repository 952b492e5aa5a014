//! A secret and the rules of its versions and staging labels.
//!
//! Labels are what clients follow, so their rules are the heart of the service. They are plain functions of the record: no store, no
//! caller, no clock but the instant that is passed in.

use coffer_core::{Listed, Place, table};
use coffer_shape::record;
use coffer_types::Timestamp;

use crate::{
    error::SecretError,
    replication::{self, PrimaryAbroad},
    rotation::{self, RotationRecord},
};

pub(crate) const CURRENT: &str = "AWSCURRENT";
pub(crate) const PREVIOUS: &str = "AWSPREVIOUS";
pub(crate) const PENDING: &str = "AWSPENDING";

/// AWS's quota of secrets in one account and region. Replicas count, and so do those that are scheduled for deletion.
const SECRETS_MAX: usize = 500_000;
/// AWS's quota of versions. Deprecated ones beyond it are removed, oldest first.
const VERSIONS_MAX: usize = 100;
/// AWS keeps a deprecated version at least this long.
const DEPRECATED_KEPT_HOURS: u64 = 24;
/// AWS's quota of labels over all versions of a secret. AWSPREVIOUS is not counted: it comes by itself, and a secret whose callers
/// keep the quota must stay able to take a new value.
const LABELS_MAX: usize = 20;

record! {
    #[derive(Clone, PartialEq)]
    pub struct TagRecord {
        pub key: String,
        pub value: String,
    }
}

record! {
    /// What is known of a version without opening it.
    #[derive(Clone)]
    pub struct VersionEntry {
        pub id: String,
        pub created_at: Timestamp,
        /// The day of the last retrieval.
        pub accessed_on: Option<Timestamp>,
        /// Sorted. Empty means deprecated: readable by id, no longer listed.
        pub labels: Vec<String>,
        /// False for the placeholder a rotation makes.
        pub has_value: bool,
        /// The customer's key it is encrypted under, as an ARN; none for the default key.
        pub kms_key_arn: Option<String>,
        /// Other keys that open it as well, as they are shown: the secret was under them before.
        pub other_keys: Vec<String>,
        /// The secret has another key now, and this version was not encrypted again.
        pub under_former_key: bool,
    }
}

/// How AWS shows the default key among those of a version.
const DEFAULT_KEY_SHOWN: &str = "DefaultEncryptionKey";

impl VersionEntry {
    /// The keys that open it, as they are shown; the one that it was last encrypted under comes first.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        let newest = self.kms_key_arn.as_deref().unwrap_or(DEFAULT_KEY_SHOWN);
        std::iter::once(newest).chain(self.other_keys.iter().map(String::as_str))
    }

    pub(crate) fn is_under(&self, kms_key_arn: Option<&str>) -> bool {
        let shown = kms_key_arn.unwrap_or(DEFAULT_KEY_SHOWN);
        self.keys().any(|key| key == shown)
    }

    /// It was encrypted under this key as well, or this is the key that counts again.
    pub(crate) fn note_key(&mut self, kms_key_arn: Option<&str>) {
        let before = std::mem::replace(&mut self.kms_key_arn, kms_key_arn.map(str::to_owned));
        self.other_keys.insert(0, before.unwrap_or_else(|| DEFAULT_KEY_SHOWN.to_owned()));
        let newest = kms_key_arn.unwrap_or(DEFAULT_KEY_SHOWN);
        self.other_keys.retain(|key| key != newest);
    }
}

table! {
    0x30 "secret", version 1, key (name) => saved;

    #[derive(Clone)]
    pub struct SecretRecord {
        pub name: String,
        pub arn: String,
        pub created_at: Timestamp,
        pub changed_at: Timestamp,
        pub accessed_on: Option<Timestamp>,
        pub description: Option<String>,
        /// As the caller wrote it; none for the default key.
        pub kms_key_id: Option<String>,
        /// The partner scheme of an external secret.
        pub kind: Option<String>,
        /// None until the secret is tagged for the first time: AWS shows the difference.
        pub tags: Option<Vec<TagRecord>>,
        pub deletion_asked_at: Option<Timestamp>,
        pub deletion_due_at: Option<Timestamp>,
        /// Oldest first.
        pub versions: Vec<VersionEntry>,
        /// None until rotation is configured for the first time; in a box, because most secrets have none.
        pub rotation: Option<Box<RotationRecord>>,
        /// Names of the resource policies, in the order in which they are listed; most secrets have none.
        pub policies: Vec<String>,
        /// Of a primary: where its replicas are, in the order in which they were asked for.
        pub replica_regions: Vec<String>,
        /// Of a replica: where its primary is.
        pub primary_region: Option<String>,
        /// Of a replica: which of those that its primary ever asked for in this region.
        pub incarnation: i64,
        /// Of a replica of a secret in another account; in a box, because few are.
        pub primary_abroad: Option<Box<PrimaryAbroad>>,
        /// Of a primary: the ARN of its replica in another account.
        pub replica_abroad: Option<String>,
    }
}

/// Whoever saves a secret has its replicas and its rotation know.
fn saved(
    cx: &mut coffer_core::Cx<'_>,
    before: Option<&SecretRecord>,
    after: &SecretRecord,
) -> Result<(), coffer_shape::ApiError> {
    replication::primary_saved(cx, before, after)?;
    rotation::run::secret_saved(cx, before, after)
}

/// The orders in which secrets are listed.
pub(crate) mod order {
    pub(crate) const CREATED: usize = 0;
    pub(crate) const CHANGED: usize = 1;
    /// Secrets that were never read come first.
    pub(crate) const ACCESSED: usize = 2;
    pub(crate) const NAME: usize = 3;
    /// By the end of the recovery window; secrets that nobody deleted come first.
    pub(crate) const DELETION: usize = 4;
}

impl Listed for SecretRecord {
    const ORDERS: usize = 5;

    fn place(&self, order: usize) -> Place<'_> {
        let time = match order {
            order::CREATED => Some(self.created_at),
            order::CHANGED => Some(self.changed_at),
            order::ACCESSED => self.accessed_on,
            order::DELETION => self.deletion_due_at,
            _ => None,
        };
        let text = if order == order::NAME { self.name.as_str() } else { "" };
        Place { number: time.map(Timestamp::millis), text, tie: &self.arn }
    }

    fn touch(&self) -> u8 {
        let tags = self.tags.iter().flatten().flat_map(|tag| [&tag.key, &tag.value]);
        let texts = self.description.iter().chain([&self.name]).chain(tags);
        let ends = |text: &String| [text.as_bytes().first().copied(), text.as_bytes().last().copied()];
        texts.flat_map(ends).flatten().fold(0, |touched, byte| touched ^ byte)
    }
}

/// What a client request token stands for in a secret.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Unused,
    /// The placeholder of a rotation, waiting for its value.
    Placeholder,
    /// A version with a value; the caller compares.
    Version,
}

/// What a new version brought about.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Added {
    /// Ids of versions that fell out.
    pub dropped: Vec<String>,
    /// A rotation was under way, and this is not its version.
    pub abandons_rotation: bool,
}

/// Whether an account and region that has so many secrets may have another one.
pub(crate) const fn ensure_room(secrets: usize) -> Result<(), SecretError> {
    if secrets < SECRETS_MAX { Ok(()) } else { Err(SecretError::TooManySecrets) }
}

impl SecretRecord {
    pub(crate) fn ensure_live(&self) -> Result<(), SecretError> {
        if self.deletion_due_at.is_some() { Err(SecretError::MarkedForDeletion) } else { Ok(()) }
    }

    /// How many values only this key opens.
    pub(crate) fn versions_under_alone(&self, kms_key_arn: &str) -> u64 {
        let is_alone =
            |version: &&VersionEntry| version.has_value && version.keys().all(|key| key == kms_key_arn);
        self.versions.iter().filter(is_alone).count() as u64
    }

    pub(crate) fn version(&self, id: &str) -> Option<&VersionEntry> {
        self.versions.iter().find(|version| version.id == id)
    }

    pub(crate) fn holder(&self, label: &str) -> Option<&VersionEntry> {
        self.versions.iter().find(|version| version.labels.iter().any(|held| held == label))
    }

    pub(crate) fn labels_of(&self, id: &str) -> Vec<String> {
        self.version(id).map(|version| version.labels.clone()).unwrap_or_default()
    }

    pub(crate) fn token(&self, token: &str) -> Token {
        match self.version(token) {
            None => Token::Unused,
            Some(version) if version.has_value => Token::Version,
            Some(_) => Token::Placeholder,
        }
    }

    /// Finds the version a reader asks for: by id, by label, by both, or the current one.
    pub(crate) fn select(&self, id: Option<&str>, label: Option<&str>) -> Result<&VersionEntry, SecretError> {
        let no_label = |label: &str| SecretError::NoValueForLabel { label: label.to_owned() };
        let no_version = |id: &str| SecretError::NoValueForVersion { version_id: id.to_owned() };
        let version = match (id, label) {
            (None, label) => {
                let label = label.unwrap_or(CURRENT);
                self.holder(label).ok_or_else(|| no_label(label))?
            }
            (Some(id), None) => self.version(id).ok_or_else(|| no_version(id))?,
            (Some(id), Some(label)) => {
                let version = self.version(id).ok_or_else(|| no_version(id))?;
                if !version.labels.iter().any(|held| held == label) {
                    return Err(SecretError::LabelNotOnVersion);
                }
                version
            }
        };
        if version.has_value {
            return Ok(version);
        }
        // Rotation functions rely on an empty placeholder being "not found".
        Err(match (id, label) {
            (Some(id), None) => no_version(id),
            (_, label) => no_label(label.unwrap_or(CURRENT)),
        })
    }

    /// Adds a version with its labels, or gives a placeholder its value.
    ///
    /// INVARIANT: exactly one version carries AWSCURRENT once a version did. The first one does, unless it is the placeholder of a
    /// rotation: that becomes current when the rotation promotes it.
    pub(crate) fn add_version(
        &mut self,
        mut version: VersionEntry,
        labels: Option<Vec<String>>,
        now: Timestamp,
    ) -> Result<Added, SecretError> {
        let mut wanted = labels.unwrap_or_else(|| vec![CURRENT.to_owned()]);
        if self.versions.is_empty() && !wanted.iter().any(|label| label == CURRENT) {
            // The first version is current, whatever the caller asked for.
            wanted.push(CURRENT.to_owned());
        }
        let id = version.id.clone();
        let dropped = match self.versions.iter_mut().find(|known| known.id == id) {
            Some(placeholder) => {
                placeholder.has_value = true;
                placeholder.kms_key_arn = version.kms_key_arn;
                Vec::new()
            }
            None => {
                version.labels.clear();
                let dropped = self.make_room(now)?;
                self.versions.push(version);
                dropped
            }
        };
        for label in wanted.iter().filter(|label| *label != CURRENT) {
            self.attach(label, &id);
        }
        // Last, whatever the order of the request: AWSPREVIOUS goes with what AWSCURRENT leaves, even if it was asked for too.
        let mut abandons_rotation = false;
        if wanted.iter().any(|label| label == CURRENT) {
            abandons_rotation = self.note_new_value(&id, now);
            self.make_current(&id);
            // A rotation under way is abandoned when another version becomes current.
            self.detach_from_others(PENDING, &id);
        }
        self.check_labels()?;
        self.changed_at = now;
        Ok(Added { dropped, abandons_rotation })
    }

    /// Adds the empty version of a rotation. Answers with the ids of versions that fell out.
    pub(crate) fn add_placeholder(
        &mut self,
        placeholder: VersionEntry,
        now: Timestamp,
    ) -> Result<Vec<String>, SecretError> {
        let id = placeholder.id.clone();
        let dropped = self.make_room(now)?;
        self.versions.push(placeholder);
        self.attach(PENDING, &id);
        self.check_labels()?;
        self.changed_at = now;
        Ok(dropped)
    }

    /// Moves, attaches or removes one label, by AWS's table of cases.
    pub(crate) fn move_label(
        &mut self,
        label: &str,
        remove_from: Option<&str>,
        move_to: Option<&str>,
        now: Timestamp,
    ) -> Result<(), SecretError> {
        // A version to take the label from that is not there does not hold it either, which the table below covers.
        if let Some(to) = move_to
            && self.version(to).is_none()
        {
            return Err(SecretError::NoValueForVersion { version_id: to.to_owned() });
        }
        let holder = self.holder(label).map(|version| version.id.clone());
        match (remove_from, move_to, holder.as_deref()) {
            (None, None, _) => return Err(SecretError::NeitherVersion),
            (Some(from), _, holder) if holder != Some(from) => {
                return Err(SecretError::LabelElsewhere { label: label.to_owned() });
            }
            (None, Some(to), Some(holder)) if holder != to => {
                return Err(SecretError::LabelNeedsRemoveFrom {
                    label: label.to_owned(),
                    holder: holder.to_owned(),
                });
            }
            (_, Some(to), _) => self.relabel(label, to)?,
            (Some(_), None, _) if label == CURRENT => return Err(SecretError::CurrentCannotBeRemoved),
            (Some(from), None, _) => self.detach(label, from),
        }
        self.check_labels()?;
        self.changed_at = now;
        Ok(())
    }

    fn relabel(&mut self, label: &str, to: &str) -> Result<(), SecretError> {
        if label != CURRENT {
            self.attach(label, to);
            return Ok(());
        }
        if !self.version(to).is_some_and(|version| version.has_value) {
            return Err(SecretError::CurrentOnEmptyVersion);
        }
        if self.holder(CURRENT).is_none_or(|current| current.id != to) {
            // It is taken off what becomes current, also where nothing was current that it could go to.
            self.detach(PREVIOUS, to);
        }
        // AWSPENDING stays where it is: after a promotion the version shows both labels.
        self.make_current(to);
        Ok(())
    }

    /// Moves AWSCURRENT, and AWSPREVIOUS to where AWSCURRENT was: AWS moves the pair even when only the one is named.
    fn make_current(&mut self, id: &str) {
        let before = self.holder(CURRENT).map(|version| version.id.clone());
        if before.as_deref() == Some(id) {
            return;
        }
        self.attach(CURRENT, id);
        if let Some(before) = before {
            self.attach(PREVIOUS, &before);
        }
    }

    fn attach(&mut self, label: &str, id: &str) {
        self.detach_from_others(label, id);
        if let Some(version) = self.versions.iter_mut().find(|version| version.id == id)
            && let Err(place) = version.labels.binary_search_by(|held| held.as_str().cmp(label))
        {
            version.labels.insert(place, label.to_owned());
        }
    }

    fn detach(&mut self, label: &str, id: &str) {
        if let Some(version) = self.versions.iter_mut().find(|version| version.id == id) {
            version.labels.retain(|held| held != label);
        }
    }

    fn detach_from_others(&mut self, label: &str, id: &str) {
        for version in self.versions.iter_mut().filter(|version| version.id != id) {
            version.labels.retain(|held| held != label);
        }
    }

    fn check_labels(&self) -> Result<(), SecretError> {
        let labels = self.versions.iter().flat_map(|version| &version.labels);
        if labels.filter(|label| *label != PREVIOUS).count() > LABELS_MAX {
            Err(SecretError::TooManyLabels)
        } else {
            Ok(())
        }
    }

    /// Drops deprecated versions, oldest first, until one more fits. Labelled and young ones stay.
    ///
    /// No secret ever holds more than the quota, so there is nothing that would have to be dropped at another time.
    fn make_room(&mut self, now: Timestamp) -> Result<Vec<String>, SecretError> {
        self.make_room_beside(&[], now)
    }

    /// The same, leaving some that are about to be labelled.
    pub(crate) fn make_room_beside(
        &mut self,
        kept: &[&str],
        now: Timestamp,
    ) -> Result<Vec<String>, SecretError> {
        let excess = (self.versions.len() + 1).saturating_sub(VERSIONS_MAX);
        let kept_since = now.minus(std::time::Duration::from_secs(DEPRECATED_KEPT_HOURS * 3600));
        let mut old: Vec<(Timestamp, String)> = self
            .versions
            .iter()
            .filter(|version| version.labels.is_empty() && version.created_at <= kept_since)
            .filter(|version| !kept.contains(&version.id.as_str()))
            .map(|version| (version.created_at, version.id.clone()))
            .collect();
        old.sort();
        let dropped: Vec<String> = old.into_iter().take(excess).map(|(_, id)| id).collect();
        if dropped.len() < excess {
            return Err(SecretError::TooManyVersions);
        }
        self.versions.retain(|version| !dropped.contains(&version.id));
        Ok(dropped)
    }

    /// Notes a retrieval, to the day. Whether anything changed.
    pub(crate) fn note_access(&mut self, version_id: &str, now: Timestamp) -> bool {
        let today = Some(now.start_of_day());
        let mut changed = self.accessed_on != today;
        self.accessed_on = today;
        if let Some(version) = self.versions.iter_mut().find(|version| version.id == version_id) {
            changed |= version.accessed_on != today;
            version.accessed_on = today;
        }
        changed
    }

    pub(crate) fn was_accessed_today(&self, version_id: &str, now: Timestamp) -> bool {
        let today = Some(now.start_of_day());
        self.accessed_on == today
            && self.version(version_id).is_some_and(|version| version.accessed_on == today)
    }
}

#[cfg(test)]
mod tests;
