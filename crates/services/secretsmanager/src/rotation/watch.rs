//! Rotations as whoever works on the machine sees them, and the two things he can do about one that does not end.
//!
//! He is shown versions and what a function said, never a value.

use std::{ops::ControlFlow, sync::Arc};

use coffer_core::{Cx, Walk};
use coffer_model::secretsmanager::action;
use coffer_shape::ApiError;
use coffer_types::Timestamp;

use super::{
    engine, event,
    run::{FailureRecord, RunRecord},
};
use crate::{
    error::SecretError,
    identifier::secret,
    secret::{CURRENT, PENDING, PREVIOUS, SecretRecord},
};

/// More are not shown in one list.
const SHOWN_MAX: usize = 10_000;

#[derive(Debug, Default, Clone, Copy)]
pub struct RotationCount {
    pub all: usize,
    pub failed: usize,
}

/// The rotation of one secret.
#[derive(Debug)]
pub struct RotationView {
    pub arn: String,
    pub name: String,
    pub function: Option<String>,
    pub is_enabled: bool,
    /// What is under way: the version, whether it is a test, the step that comes next or is being run, which attempt it is.
    pub action: Option<ActionView>,
    /// When something is to be done next.
    pub due_at: Option<Timestamp>,
    pub rotated_at: Option<Timestamp>,
    pub failure: Option<FailureRecord>,
    /// The ids of the versions under AWSCURRENT, AWSPENDING and AWSPREVIOUS.
    pub current: Option<String>,
    pub pending: Option<String>,
    pub previous: Option<String>,
}

#[derive(Debug)]
pub struct ActionView {
    pub version_id: String,
    pub is_test: bool,
    pub step: String,
    pub attempt: i64,
    pub begun_at: Option<Timestamp>,
}

/// What is done about a version that a rotation left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// It becomes current: it is the one that logs in.
    Promote,
    /// It loses AWSPENDING: the current one is the one that logs in.
    Drop,
}

impl RotationView {
    fn of(secret: &SecretRecord, run: Option<&RunRecord>) -> Self {
        let rotation = secret.rotation.as_deref();
        let holder = |label: &str| secret.holder(label).map(|version| version.id.clone());
        Self {
            arn: secret.arn.clone(),
            name: secret.name.clone(),
            function: secret.function_that_rotates().map(str::to_owned),
            is_enabled: rotation.is_some_and(|rotation| rotation.enabled),
            action: run.and_then(|run| run.action.as_ref()).map(|action| ActionView {
                version_id: action.version_id.clone(),
                is_test: action.is_test,
                step: action.step.clone(),
                attempt: action.attempt,
                begun_at: action.begun_at,
            }),
            due_at: run.and_then(|run| run.due_at),
            rotated_at: rotation.and_then(|rotation| rotation.rotated_at),
            failure: run.and_then(|run| run.failure.clone()),
            current: holder(CURRENT),
            pending: holder(PENDING),
            previous: holder(PREVIOUS),
        }
    }
}

/// All of this account and region, those first that are due first.
pub fn rotations(cx: &mut Cx<'_>) -> Result<Vec<RotationView>, ApiError> {
    let permit = cx.ask_all::<RunRecord>(action::LIST_SECRETS)?;
    let mut runs = Vec::new();
    cx.walk::<RunRecord>(permit, Walk::default(), &mut |run| {
        runs.push(run.clone());
        if runs.len() < SHOWN_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    // Those that are not due at all stand first in the table and last in the list.
    runs.sort_by_key(|run| (run.due_at.is_none(), run.due_at));
    let mut shown = Vec::with_capacity(runs.len());
    for run in runs {
        let found = secret(cx, &run.secret_name)?.permit(cx, action::DESCRIBE_SECRET)?.if_any();
        shown.extend(found.map(|secret| RotationView::of(&secret, Some(&run))));
    }
    Ok(shown)
}

/// How many there are in this account and region that are not off, and how many of them did not end well when they were last tried.
pub fn rotation_count(cx: &mut Cx<'_>) -> Result<RotationCount, ApiError> {
    let permit = cx.ask_all::<RunRecord>(action::LIST_SECRETS)?;
    let mut count = RotationCount::default();
    cx.walk::<RunRecord>(permit, Walk::default(), &mut |run| {
        if run.due_at.is_some() {
            count.all += 1;
            count.failed += usize::from(run.failure.is_some());
        }
        ControlFlow::Continue(())
    })?;
    Ok(count)
}

pub fn rotation(cx: &mut Cx<'_>, secret_id: &str) -> Result<RotationView, ApiError> {
    let secret = secret(cx, secret_id)?.permit(cx, action::DESCRIBE_SECRET)?.existing()?;
    if secret.rotation.is_none() {
        return Err(SecretError::NoRotationFunction.into());
    }
    let run = cx.part::<RunRecord>(&[&secret.arn])?;
    Ok(RotationView::of(&secret, run.as_deref()))
}

/// Tries again now, whatever attempts there were. A rotation that waits for its window begins.
pub fn retry_rotation(cx: &mut Cx<'_>, secret_id: &str) -> Result<RotationView, ApiError> {
    let secret = secret(cx, secret_id)?.permit(cx, action::ROTATE_SECRET)?.into_record()?;
    secret.ensure_changeable()?;
    let run = cx.part::<RunRecord>(&[&secret.arn])?;
    let is_on = secret.rotation.as_ref().is_some_and(|rotation| rotation.enabled);
    let Some(run) = run.filter(|_| is_on) else { return Err(SecretError::NoRotationFunction.into()) };
    let mut run = Arc::unwrap_or_clone(run);
    // One whose label was taken off is over, and another one begins.
    run.action = run.action.filter(|action| action.is_test || engine::is_wanted(&secret, &action.version_id));
    run.retry(cx.now());
    let view = RotationView::of(&secret, Some(&run));
    cx.save(run)?;
    cx.activate(engine::NAME);
    Ok(view)
}

/// Decides which of two versions counts, for somebody who has tried both.
pub fn repair_rotation(cx: &mut Cx<'_>, secret_id: &str, repair: Repair) -> Result<RotationView, ApiError> {
    let mut secret = secret(cx, secret_id)?.permit(cx, action::UPDATE_SECRET_VERSION_STAGE)?.into_record()?;
    secret.ensure_changeable()?;
    let now = cx.now();
    let pending = secret.pending_rotation().map(str::to_owned);
    let pending = pending.ok_or_else(|| SecretError::NoValueForLabel { label: PENDING.to_owned() })?;
    if repair == Repair::Promote {
        let current = secret.holder(CURRENT).map(|version| version.id.clone());
        secret.move_label(CURRENT, current.as_deref(), Some(&pending), now)?;
        secret.finish_rotation(now);
        cx.record_event(event("RotationSucceeded", &secret));
    } else if secret.abandon_rotation() {
        cx.record_event(event("RotationAbandoned", &secret));
    }
    secret.move_label(PENDING, Some(&pending), None, now)?;
    let arn = secret.arn.clone();
    cx.save(secret.clone())?;
    let mut run = cx.part::<RunRecord>(&[&arn])?.map(Arc::unwrap_or_clone);
    if let Some(run) = run.as_mut().filter(|_| repair == Repair::Promote) {
        run.failure = None;
        run.succeeded_at = Some(now);
        cx.save(run.clone())?;
    }
    Ok(RotationView::of(&secret, run.as_ref()))
}
