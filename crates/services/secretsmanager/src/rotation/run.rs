//! What the rotation engine does with a secret next, and when.
//!
//! A secret for which rotation was ever configured has one such record. It waits for a window, or it is in the middle of a rotation: then
//! it says which step comes next, for which version, and how often that was tried. Steps are noted before and after they are run, so
//! a process that ends in the middle of one runs that step again; functions are written for that.
//!
//! The rules are plain functions of the record and an instant; [`super::engine`] runs them.

use std::time::Duration;

use coffer_core::{Cx, Listed, Place, table};
use coffer_crypto::{constant_time_eq, sha256};
use coffer_shape::{ApiError, record};
use coffer_types::{Secret, Timestamp};

use super::{RotationRecord, WindowRecord, engine};
use crate::{
    error::SecretError,
    principal::PrincipalRecord,
    secret::{PENDING, SecretRecord},
};

/// AWS tries several times and does not say how often. Ours: so often, from the first step on each time, and then in the next window.
pub(crate) const ATTEMPTS_MAX: i64 = 5;
/// Ours: the wait after the first failure; each further one doubles it.
const BACK_OFF: Duration = Duration::from_secs(60);
/// Ours: a rotation without a schedule has no next window, and rests so long after the last attempt.
const REST: Duration = Duration::from_hours(24);
/// Ours: windows open on the hour for everybody, so each secret begins at its own instant in the first minutes.
const SPREAD_MAX: Duration = Duration::from_secs(300);

/// What a function is asked to do, in order; what Secrets Manager calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Create,
    Set,
    Test,
    Finish,
}

impl Step {
    const ALL: [Self; 4] = [Self::Create, Self::Set, Self::Test, Self::Finish];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Create => "createSecret",
            Self::Set => "setSecret",
            Self::Test => "testSecret",
            Self::Finish => "finishSecret",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.name() == name)
    }

    fn next(self) -> Option<Self> {
        Self::ALL.into_iter().skip_while(|step| *step != self).nth(1)
    }
}

record! {
    /// What went wrong, as far as it can be told: nothing that a function said about it is a secret's value.
    #[derive(Clone, PartialEq)]
    pub struct FailureRecord {
        pub at: Timestamp,
        pub version_id: String,
        pub step: String,
        pub attempt: i64,
        pub message: String,
        /// What the function called it.
        pub error_type: Option<String>,
        pub error_message: Option<String>,
        /// Where the function's log of it is.
        pub log_group: Option<String>,
        pub log_stream: Option<String>,
    }
}

record! {
    /// Something that is under way.
    pub struct ActionRecord {
        pub version_id: String,
        /// The configuration is tried out, and nothing is rotated.
        pub is_test: bool,
        /// By its name.
        pub step: String,
        /// From one on.
        pub attempt: i64,
        /// Handed to the function with every step; who has it acts for this rotation.
        pub token: Secret<String>,
        /// Attempts that would begin later wait for the next window.
        pub closes_at: Option<Timestamp>,
        /// When the step was begun that is being run, or was when the process ended.
        pub begun_at: Option<Timestamp>,
    }
}

table! {
    0x37 "rotation-run", version 1, key (secret_arn), part;

    #[derive(Clone)]
    pub struct RunRecord {
        pub secret_arn: String,
        /// The name, under which the secret is found.
        pub secret_name: String,
        /// When there is something to do; never, while rotation is off.
        pub due_at: Option<Timestamp>,
        pub action: Option<ActionRecord>,
        /// Of the last attempt, until one ends well.
        pub failure: Option<FailureRecord>,
        pub succeeded_at: Option<Timestamp>,
        /// Who named a function that also reads the secret of a master. It is read in his name.
        pub master_reader: Option<Box<PrincipalRecord>>,
    }
}

/// By the instant at which something is due.
impl Listed for RunRecord {
    const ORDERS: usize = 1;

    fn place(&self, _: usize) -> Place<'_> {
        Place { number: self.due_at.map(Timestamp::millis), text: "", tie: &self.secret_arn }
    }
}

/// When this secret's turn is in a window. A window that was missed is made up for at once.
fn turn(secret_arn: &str, window: &WindowRecord) -> Timestamp {
    let open = window.closes_at.since(window.opens_at);
    let spread = SPREAD_MAX.min(open / 2);
    let [first, second, ..] = sha256(secret_arn.as_bytes());
    let part = f64::from(u16::from_be_bytes([first, second])) / f64::from(u16::MAX);
    window.opens_at.plus(spread.mul_f64(part))
}

/// How long the next attempt waits after so many.
fn back_off(attempts: i64) -> Duration {
    let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or_default().min(10);
    BACK_OFF * 2_u32.pow(doublings)
}

/// By hand, because the token is copied.
impl Clone for ActionRecord {
    fn clone(&self) -> Self {
        Self {
            version_id: self.version_id.clone(),
            is_test: self.is_test,
            step: self.step.clone(),
            attempt: self.attempt,
            token: Secret::new(self.token.expose().clone()),
            closes_at: self.closes_at,
            begun_at: self.begun_at,
        }
    }
}

impl ActionRecord {
    pub(crate) fn new(version_id: &str, token: String, closes_at: Option<Timestamp>) -> Self {
        Self {
            version_id: version_id.to_owned(),
            is_test: false,
            step: Step::Create.name().to_owned(),
            attempt: 1,
            token: Secret::new(token),
            closes_at,
            begun_at: None,
        }
    }

    /// The function is asked once whether it can use what is current.
    pub(crate) fn test(version_id: &str, token: String) -> Self {
        let step = Step::Test.name().to_owned();
        Self { is_test: true, step, ..Self::new(version_id, token, None) }
    }

    /// Whether it waited for a window that has opened, so that it begins anew in that one.
    pub(crate) fn begins_in(&self, window: Option<&WindowRecord>, now: Timestamp) -> bool {
        let is_at_its_beginning =
            self.attempt == 1 && self.begun_at.is_none() && self.step() == Some(Step::Create);
        let is_open = window.is_some_and(|window| window.opens_at <= now);
        !self.is_test && self.closes_at.is_none() && is_at_its_beginning && is_open
    }

    /// None only if somebody wrote another name.
    pub(crate) fn step(&self) -> Option<Step> {
        Step::named(&self.step)
    }
}

impl RunRecord {
    /// Waits for the window of the schedule, if there is one.
    pub(crate) fn wait_for_window(&mut self, rotation: &RotationRecord) {
        self.action = None;
        self.due_at = rotation.window.as_ref().map(|window| turn(&self.secret_arn, window));
    }

    pub(crate) fn begin(&mut self, action: ActionRecord, now: Timestamp) {
        self.action = Some(action);
        self.due_at = Some(now);
    }

    /// The step that was run has ended well. Whether it was the last.
    pub(crate) fn advance(&mut self, now: Timestamp) -> bool {
        let Some(action) = &mut self.action else { return true };
        action.begun_at = None;
        let next = action.step().and_then(Step::next).filter(|_| !action.is_test);
        let Some(next) = next else { return true };
        action.step = next.name().to_owned();
        self.due_at = Some(now);
        false
    }

    /// The step that was run failed: everything is tried again from the first step on, with the same version, later.
    pub(crate) fn fail(&mut self, failure: FailureRecord, rotation: &RotationRecord, now: Timestamp) {
        let next_window = rotation.window.as_ref().map(|window| turn(&self.secret_arn, window));
        if let Some(action) = &mut self.action {
            let soon = now.plus(back_off(action.attempt));
            let is_open = action.closes_at.is_none_or(|closes_at| soon < closes_at);
            action.begun_at = None;
            action.step = Step::Create.name().to_owned();
            if action.attempt < ATTEMPTS_MAX && is_open {
                action.attempt += 1;
                self.due_at = Some(soon);
            } else {
                action.attempt = 1;
                action.closes_at = None;
                // A window that has opened meanwhile is the next one.
                self.due_at = Some(next_window.map_or_else(|| now.plus(REST), |at| at.max(soon)));
            }
        }
        self.failure = Some(failure);
    }

    /// Nobody could run the step: that is no attempt.
    pub(crate) fn wait(&mut self, failure: FailureRecord, until: Timestamp) {
        if let Some(action) = &mut self.action {
            action.begun_at = None;
        }
        self.due_at = Some(until);
        self.failure = Some(failure);
    }

    /// Somebody says that it is to be tried again now.
    pub(crate) fn retry(&mut self, now: Timestamp) {
        if let Some(action) = &mut self.action {
            action.attempt = 1;
            action.closes_at = None;
        }
        self.due_at = Some(now);
    }
}

/// Keeps the record of what is to be done in step with what a secret says, whoever changes it.
pub(crate) fn secret_saved(
    cx: &mut Cx<'_>,
    before: Option<&SecretRecord>,
    after: &SecretRecord,
) -> Result<(), ApiError> {
    let rotation_of = |secret: &SecretRecord| secret.rotation.clone();
    let (was, Some(rotation)) = (before.and_then(rotation_of), rotation_of(after)) else { return Ok(()) };
    let is_off = !rotation.enabled || after.deletion_due_at.is_some();
    let is_same = |was: &RotationRecord| {
        (was.enabled, was.running, &was.version_id)
            == (rotation.enabled, rotation.running, &rotation.version_id)
            && was.window.as_ref().map(|window| window.opens_at)
                == rotation.window.as_ref().map(|window| window.opens_at)
    };
    let was_off = before.is_none_or(|before| before.deletion_due_at.is_some());
    if was.as_deref().is_some_and(is_same) && was_off == after.deletion_due_at.is_some() {
        return Ok(());
    }
    let known = cx.part::<RunRecord>(&[&after.arn])?;
    let mut run = known.map_or_else(
        || RunRecord {
            secret_arn: after.arn.clone(),
            secret_name: after.name.clone(),
            ..RunRecord::default()
        },
        std::sync::Arc::unwrap_or_clone,
    );
    let runs = |version: &str| run.action.as_ref().is_some_and(|action| action.version_id == version);
    match rotation.version_id.as_deref().filter(|_| rotation.running) {
        _ if is_off => {
            run.action = None;
            run.due_at = None;
        }
        Some(version) if runs(version) => return Ok(()),
        Some(version) => {
            let token = cx.uuid().to_string();
            run.begin(ActionRecord::new(version, token, None), cx.now());
        }
        // A configuration that is being tried out has nothing to do with windows.
        None if run.action.as_ref().is_some_and(|action| action.is_test) => return Ok(()),
        None => run.wait_for_window(&rotation),
    }
    cx.save(run)?;
    cx.activate(engine::NAME);
    Ok(())
}

/// Nobody wants to know any more how a test ends: its copy loses the label. For whoever is about to save the secret.
pub(crate) fn drop_test(cx: &Cx<'_>, secret: &mut SecretRecord) -> Result<(), ApiError> {
    let run = cx.part::<RunRecord>(&[&secret.arn])?;
    let test = run.as_ref().and_then(|run| run.action.as_ref()).filter(|action| action.is_test);
    if let Some(test) = test
        && secret.holder(PENDING).is_some_and(|pending| pending.id == test.version_id)
    {
        secret.move_label(PENDING, Some(&test.version_id), None, cx.now())?;
    }
    Ok(())
}

/// Whoever hands back a token that a function was given acts for that rotation, and for no other.
pub(crate) fn ensure_under_way(
    cx: &Cx<'_>,
    secret: &SecretRecord,
    token: &Secret<String>,
) -> Result<(), ApiError> {
    let run = cx.part::<RunRecord>(&[&secret.arn])?;
    let given = token.expose().as_bytes();
    let is_it = |action: &ActionRecord| constant_time_eq(action.token.expose().as_bytes(), given);
    if run.is_some_and(|run| run.action.as_ref().is_some_and(is_it)) {
        Ok(())
    } else {
        Err(SecretError::NotThisRotation { arn: secret.arn.clone() }.into())
    }
}

#[cfg(test)]
mod tests;
