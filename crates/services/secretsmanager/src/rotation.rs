//! Rotation of a secret: what is configured, when it is due next, and the version that waits for its value.
//!
//! A rotation begins with an empty version under AWSPENDING, whose id is the token of the call. Somebody fills it and moves AWSCURRENT
//! onto it; a version that becomes current by hand meanwhile ends the rotation. When the next window opens is worked out whenever the
//! schedule or the value changes and kept in the record, so that lists need not parse schedules and a missed window stays visible.
//!
//! Here are the rules, of the secret and of schedules. [`run`] has those of what is to be done next, and [`engine`] does it.

mod confine;
mod cron;
pub(crate) mod engine;
pub(crate) mod master;
pub(crate) mod run;
mod schedule;
pub(crate) mod watch;

use coffer_core::{EventKind, ServiceEvent};
use coffer_model::secretsmanager::{ExternalSecretRotationMetadataItem, RotationRulesType};
use coffer_shape::record;
use coffer_types::{Arn, Timestamp};

use crate::{
    error::SecretError,
    secret::{CURRENT, PENDING, SecretRecord, VersionEntry},
};
use schedule::Since;
pub(crate) use schedule::{Schedule, ScheduleError};

/// Ours: AWS sets no limit, but what is listed with a secret is held in memory. Partners define a handful.
const METADATA_MAX: usize = 50;

record! {
    #[derive(Clone)]
    pub struct MetadataRecord {
        pub key: String,
        pub value: String,
    }
}

record! {
    #[derive(Clone)]
    pub struct WindowRecord {
        pub opens_at: Timestamp,
        pub closes_at: Timestamp,
    }
}

record! {
    /// The rotation of a secret for which it was ever configured.
    #[derive(Clone)]
    pub struct RotationRecord {
        /// What was configured stays when rotation is cancelled.
        pub enabled: bool,
        pub function_arn: Option<String>,
        /// The rules as the caller wrote them; one of these two at most.
        pub after_days: Option<i64>,
        pub expression: Option<String>,
        pub duration: Option<String>,
        /// Of an external secret: what its partner needs to know, and in which role.
        pub role_arn: Option<String>,
        pub metadata: Option<Vec<MetadataRecord>>,
        pub schedule_set_at: Timestamp,
        /// The next window, while rotation is enabled and has rules.
        pub window: Option<WindowRecord>,
        /// The version that the latest rotation made.
        pub version_id: Option<String>,
        /// That rotation has not come to an end.
        pub running: bool,
        pub rotated_at: Option<Timestamp>,
    }
}

/// Rules that have been understood.
#[derive(Debug)]
pub(crate) struct Rules {
    written: RotationRulesType,
    schedule: Schedule,
}

impl Rules {
    /// Refuses what is refused before anybody looks at the secret: AWS does not let both kinds of rules through to that.
    pub(crate) fn check_form(written: &RotationRulesType) -> Result<(), SecretError> {
        if written.automatically_after_days.is_some() && written.schedule_expression.is_some() {
            return Err(SecretError::BothSchedules);
        }
        Ok(())
    }

    /// Understands the rules. Whether rates and windows are good AWS asks last, when secret and function are.
    pub(crate) fn from_request(written: RotationRulesType) -> Result<Self, SecretError> {
        Self::check_form(&written)?;
        let duration = written.duration.as_deref();
        let schedule = match (written.automatically_after_days, &written.schedule_expression) {
            (Some(days), _) => {
                let days = u32::try_from(days).map_err(|_| ScheduleError::RateOutOfRange);
                days.and_then(|days| Schedule::every_days(days, duration))
            }
            (None, Some(expression)) => Schedule::parse(expression, duration),
            (None, None) => return Err(SecretError::NeitherSchedule),
        };
        schedule.map(|schedule| Self { written, schedule }).map_err(SecretError::Schedule)
    }
}

/// What a call wants to change of the configuration. What is absent stays.
#[derive(Debug, Default)]
pub(crate) struct Configuration {
    pub rules: Option<Rules>,
    pub role_arn: Option<String>,
    pub metadata: Option<Vec<MetadataRecord>>,
}

/// Understands the metadata of an external secret. The model does not say that an item needs its two halves.
pub(crate) fn metadata_from_request(
    items: Vec<ExternalSecretRotationMetadataItem>,
) -> Result<Vec<MetadataRecord>, SecretError> {
    if items.len() > METADATA_MAX {
        return Err(SecretError::TooMuchMetadata);
    }
    let understood = |item: ExternalSecretRotationMetadataItem| match (item.key, item.value) {
        (Some(key), Some(value)) => Ok(MetadataRecord { key, value }),
        _ => Err(SecretError::MetadataIncomplete),
    };
    items.into_iter().map(understood).collect()
}

/// The role that Secrets Manager takes on to rotate an external secret.
pub(crate) fn check_role(arn: &str) -> Result<(), SecretError> {
    let is_role =
        |arn: Arn| arn.service() == "iam" && !arn.account().is_empty() && arn.resource().starts_with("role/");
    if arn.parse().is_ok_and(is_role) { Ok(()) } else { Err(SecretError::NoRole) }
}

impl RotationRecord {
    fn schedule(&self) -> Option<Schedule> {
        let duration = self.duration.as_deref();
        match (self.after_days, &self.expression) {
            (Some(days), _) => Schedule::every_days(u32::try_from(days).ok()?, duration).ok(),
            (None, Some(expression)) => Schedule::parse(expression, duration).ok(),
            (None, None) => None,
        }
    }

    fn plan(&mut self, schedule: Option<&Schedule>, value_changed_at: Timestamp, now: Timestamp) {
        let since = Since { value_changed_at, schedule_set_at: self.schedule_set_at };
        let window = schedule.filter(|_| self.enabled).and_then(|schedule| schedule.next_window(since, now));
        self.window =
            window.map(|window| WindowRecord { opens_at: window.opens_at, closes_at: window.closes_at });
    }
}

impl SecretRecord {
    /// Whether this function would be another than the one that is known, if any is.
    pub(crate) fn is_new_function(&self, arn: &str) -> bool {
        self.function_that_rotates() != Some(arn)
    }

    pub(crate) fn function_that_rotates(&self) -> Option<&str> {
        self.rotation.as_ref().and_then(|rotation| rotation.function_arn.as_deref())
    }

    /// The function that rotates: the one that is asked for, or the one that is known.
    pub(crate) fn rotation_function(&self, asked: Option<String>) -> Result<String, SecretError> {
        let known = || self.rotation.as_ref()?.function_arn.clone();
        asked.filter(|arn| !arn.is_empty()).or_else(known).ok_or(SecretError::NoRotationFunction)
    }

    /// Whether a token is the one of the latest rotation, so that a call with it is that call once more.
    pub(crate) fn is_latest_rotation(&self, token: &str) -> bool {
        let rotation = self.rotation.as_ref().filter(|rotation| rotation.enabled);
        rotation.is_some_and(|rotation| rotation.version_id.as_deref() == Some(token))
    }

    /// Refuses while a version is pending that was not promoted: that rotation comes first.
    pub(crate) fn ensure_nothing_pending(&self) -> Result<(), SecretError> {
        if self.pending_rotation().is_some() { Err(SecretError::RotationIncomplete) } else { Ok(()) }
    }

    /// Enables rotation, by this function and whatever else is new.
    pub(crate) fn configure_rotation(&mut self, function: String, new: Configuration, now: Timestamp) {
        let value_changed_at = self.holder(CURRENT).map_or(self.created_at, |version| version.created_at);
        let rotation = self.rotation.get_or_insert_default();
        rotation.enabled = true;
        rotation.function_arn = Some(function);
        if new.role_arn.is_some() {
            rotation.role_arn = new.role_arn;
        }
        if new.metadata.is_some() {
            rotation.metadata = new.metadata;
        }
        let schedule = match new.rules {
            // New rules replace the old ones as a whole.
            Some(Rules { written, schedule }) => {
                rotation.after_days = written.automatically_after_days;
                rotation.expression = written.schedule_expression;
                rotation.duration = written.duration;
                rotation.schedule_set_at = now;
                Some(schedule)
            }
            None => rotation.schedule(),
        };
        rotation.plan(schedule.as_ref(), value_changed_at, now);
        self.changed_at = now;
    }

    /// Makes the empty version of a rotation. Answers with the ids of versions that fell out.
    pub(crate) fn begin_rotation(&mut self, token: &str, now: Timestamp) -> Result<Vec<String>, SecretError> {
        if self.version(token).is_some() {
            return Err(SecretError::RotationTokenUsed { token: token.to_owned(), arn: self.arn.clone() });
        }
        let placeholder = VersionEntry { id: token.to_owned(), created_at: now, ..VersionEntry::default() };
        let dropped = self.add_placeholder(placeholder, now).map_err(no_room)?;
        let rotation = self.rotation.get_or_insert_default();
        rotation.version_id = Some(token.to_owned());
        rotation.running = true;
        // The value changes today, if all goes well, and the next turn counts from there.
        let schedule = rotation.schedule();
        rotation.plan(schedule.as_ref(), now, now);
        Ok(dropped)
    }

    /// The version of a rotation that was begun and did not come to its end, or that somebody staged by hand.
    pub(crate) fn pending_rotation(&self) -> Option<&str> {
        let pending = self.holder(PENDING)?;
        (!pending.labels.iter().any(|label| label == CURRENT)).then_some(pending.id.as_str())
    }

    /// Goes on with a version that is pending already.
    pub(crate) fn resume_rotation(&mut self, version_id: &str, now: Timestamp) {
        let rotation = self.rotation.get_or_insert_default();
        rotation.version_id = Some(version_id.to_owned());
        rotation.running = true;
        let schedule = rotation.schedule();
        rotation.plan(schedule.as_ref(), now, now);
    }

    /// The function has moved AWSCURRENT.
    pub(crate) fn finish_rotation(&mut self, now: Timestamp) {
        let rotation = self.rotation.get_or_insert_default();
        rotation.running = false;
        rotation.rotated_at = Some(now);
        let schedule = rotation.schedule();
        rotation.plan(schedule.as_ref(), now, now);
    }

    /// Waits for the next window without having rotated.
    pub(crate) fn skip_window(&mut self, now: Timestamp) {
        let rotation = self.rotation.get_or_insert_default();
        let schedule = rotation.schedule();
        rotation.plan(schedule.as_ref(), now, now);
    }

    /// Turns rotation off. A rotation that is under way stops where it is: labels stay, and so does what was configured.
    pub(crate) fn cancel_rotation(&mut self, now: Timestamp) -> Result<(), SecretError> {
        let rotation = self.rotation.as_mut().ok_or(SecretError::NoRotationFunction)?;
        rotation.enabled = false;
        rotation.running = false;
        rotation.window = None;
        self.changed_at = now;
        Ok(())
    }

    /// Takes note of a version that is about to become current by hand, which counts as a rotation. Whether one that was under way
    /// is abandoned by it.
    pub(crate) fn note_new_value(&mut self, id: &str, now: Timestamp) -> bool {
        let current = self.holder(CURRENT).map(|version| version.id.clone());
        let Some(rotation) = &mut self.rotation else { return false };
        let schedule = rotation.schedule();
        rotation.plan(schedule.as_ref(), now, now);
        if !rotation.running || rotation.version_id.as_deref() == Some(id) {
            return false;
        }
        rotation.running = false;
        // What was promoted already has come to its end, not to grief.
        rotation.version_id != current
    }

    /// Ends a rotation that is under way. Whether it is abandoned by that.
    pub(crate) fn abandon_rotation(&mut self) -> bool {
        let current = self.holder(CURRENT).map(|version| version.id.clone());
        let Some(rotation) = &mut self.rotation else { return false };
        // What was promoted already has come to its end, not to grief.
        std::mem::take(&mut rotation.running) && rotation.version_id != current
    }
}

/// The model lets RotateSecret answer with no LimitExceededException, so the quotas are told in another way.
fn no_room(error: SecretError) -> SecretError {
    match error {
        SecretError::TooManyVersions => SecretError::NoVersionForRotation,
        SecretError::TooManyLabels => SecretError::NoLabelForRotation,
        other => other,
    }
}

/// What the rotation of a secret did, for the audit trail.
pub(crate) fn event(name: &'static str, secret: &SecretRecord) -> ServiceEvent {
    ServiceEvent {
        kind: EventKind::Service,
        source: "secretsmanager.amazonaws.com",
        name,
        details: vec![("SecretId", secret.arn.clone())],
    }
}

/// What DescribeSecret and ListSecrets show. All of it is absent until rotation is configured for the first time.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    pub enabled: Option<bool>,
    pub function_arn: Option<String>,
    pub rules: Option<RotationRulesType>,
    pub metadata: Option<Vec<ExternalSecretRotationMetadataItem>>,
    pub role_arn: Option<String>,
    pub next_date: Option<Timestamp>,
    pub last_date: Option<Timestamp>,
}

impl Shown {
    pub(crate) fn of(secret: &SecretRecord) -> Self {
        let Some(rotation) = secret.rotation.as_deref() else { return Self::default() };
        let has_rules = rotation.after_days.is_some() || rotation.expression.is_some();
        let item = |item: &MetadataRecord| ExternalSecretRotationMetadataItem {
            key: Some(item.key.clone()),
            value: Some(item.value.clone()),
        };
        Self {
            enabled: Some(rotation.enabled),
            function_arn: rotation.function_arn.clone(),
            rules: has_rules.then(|| RotationRulesType {
                automatically_after_days: rotation.after_days,
                duration: rotation.duration.clone(),
                schedule_expression: rotation.expression.clone(),
            }),
            metadata: rotation.metadata.as_ref().map(|items| items.iter().map(item).collect()),
            role_arn: rotation.role_arn.clone(),
            // AWS shows neither while rotation is off.
            last_date: rotation.rotated_at.filter(|_| rotation.enabled),
            next_date: rotation.window.as_ref().map(|window| schedule::last_second(window.closes_at)),
        }
    }
}

#[cfg(test)]
mod tests;
