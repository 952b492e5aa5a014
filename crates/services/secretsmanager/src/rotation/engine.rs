//! Runs rotations: opens windows, has functions do their steps, and notes how each ended.
//!
//! One piece of work is one step of one secret: picked and put on record as begun, run by a function, settled. Between any two the
//! process may end, and the next one runs that step again, with the same version and the same tokens. So AWSCURRENT is where it was
//! until a function has moved it, and the version under AWSPENDING stays for whoever comes next.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use coffer_core::{
    Caller, Confined, Cx, Errand, Inside, LogPlace, Next, Outside, Picked, Place, Principal, Walk, World,
};
use coffer_model::{
    lambda,
    secretsmanager::{SERVICE, action},
};
use coffer_shape::{ApiError, ServiceSpec};
use coffer_types::{Arn, RequestId, Secret};
use serde_json::{Value, json};

use super::{
    confine::{self, Known, labelled},
    event, master,
    run::{ActionRecord, FailureRecord, RunRecord, Step},
};
use crate::{
    erasure::drop_versions,
    error::StepTrouble,
    identifier::secret,
    secret::{CURRENT, PENDING, SecretRecord},
    value::{nameless, open_version, store_version},
};

pub(crate) const NAME: &str = "rotation";
/// Secrets that are looked at for one that may have its turn: the others wait for a database that another secret's function is at. Mostly
/// one of the first has, so few are looked at first.
const LOOKED_AT: [usize; 3] = [16, 128, 1000];
/// Secrets whose database is remembered.
const HOSTS_MAX: usize = 10_000;
/// A secret that cannot be worked on for a fault of ours is left alone for so long.
const FAULT_WAIT: Duration = Duration::from_secs(60);
/// So long while its function cannot be run here at all, and others have their turn.
const OFF_WAIT: Duration = Duration::from_secs(600);
/// So long while too many functions run.
const THROTTLED_WAIT: Duration = Duration::from_secs(30);
/// Longer ones are cut.
const SAID_CHARS_MAX: usize = 1024;

#[derive(Debug, Default)]
pub(crate) struct Rotator {
    hosts: Hosts,
}

/// Where the databases of secrets are, as far as somebody has looked: who waits for one opens no value again to know that he does. What a
/// version holds does not change, so what is known of the same versions holds.
#[derive(Debug, Default)]
struct Hosts(Mutex<BTreeMap<String, Seen>>);

#[derive(Debug)]
struct Seen {
    versions: Vec<String>,
    /// The one that named the host.
    from: Option<String>,
    host: Option<String>,
}

impl Hosts {
    fn of(&self, secret: &SecretRecord, rotating: &str) -> Option<Option<String>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = known.get(&secret.arn)?;
        let is_same = seen.from.as_deref() == confine::names_places(secret, Some(rotating))
            && seen.versions.iter().map(String::as_str).eq(labelled(secret));
        is_same.then(|| seen.host.clone())
    }

    fn note(&self, secret: &SecretRecord, rotating: &str, host: Option<String>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= HOSTS_MAX {
            known.clear();
        }
        let versions = labelled(secret).map(str::to_owned).collect();
        let from = confine::names_places(secret, Some(rotating)).map(str::to_owned);
        known.insert(secret.arn.clone(), Seen { versions, from, host });
    }
}

/// What is under way: a secret, and the database behind it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Piece {
    arn: String,
    name: String,
    host: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Load {
    prepared: Result<Outside<lambda::InvocationResponse>, ApiError>,
    note: Note,
}

/// What has to be known of a step when it is over.
#[derive(Debug, Clone)]
struct Note {
    action: ActionRecord,
    step: Step,
    function: String,
    log: Arc<OnceLock<LogPlace>>,
}

#[derive(Debug)]
pub(crate) struct Ended {
    note: Note,
    result: Result<(), Said>,
}

/// Why a step failed, in the words of whoever failed.
#[derive(Debug, Default, Clone)]
struct Said {
    refusal: Option<Refusal>,
    error_type: Option<String>,
    error_message: Option<String>,
    /// What else it said is in its log.
    is_logged: bool,
}

/// What is kept of the words of a function whose role may not read the secret.
const HIDDEN: &str =
    "nothing is kept of what it says, because its role may not read the secret that it rotates";

/// Why a function was not run at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// It is not there, or does not let Secrets Manager in.
    NotInvocable,
    /// Too many run.
    Throttled,
    Other,
}

impl Refusal {
    fn of(error: &ApiError) -> Option<Self> {
        let lambda = &lambda::SERVICE.codes;
        match error.code() {
            _ if error.is_fault() => None,
            code if code == lambda.access_denied.code || code == lambda::err::RESOURCE_NOT_FOUND.code => {
                Some(Self::NotInvocable)
            }
            code if code == lambda::err::TOO_MANY_REQUESTS.code => Some(Self::Throttled),
            _ => Some(Self::Other),
        }
    }
}

impl Errand for Rotator {
    const NAME: &'static str = NAME;
    const SERVICE: &'static ServiceSpec = &SERVICE;
    type Key = Piece;
    type Load = Load;
    type Outcome = Ended;

    fn at_once_max(&self, world: &World) -> usize {
        world.functions.rotations_at_once()
    }

    fn pick(&self, cx: &mut Cx<'_>, under_way: &BTreeSet<Piece>) -> Result<Picked<Self>, ApiError> {
        let mut seen = 0;
        for most in LOOKED_AT {
            let (due, next) = due(cx, under_way, most)?;
            for run in due.iter().skip(seen) {
                match cx.attempt(|cx| begin(cx, run, under_way, &self.hosts)) {
                    Ok(Begun::Run(piece, load)) => return Ok(Picked::Load { key: piece, load: *load }),
                    Ok(Begun::Changed) => return Ok(Picked::Nothing(Next::Now)),
                    Ok(Begun::Busy) => {}
                    Err(fault) => {
                        cx.goes_on_without(&fault);
                        let due_at = Some(cx.now().plus(FAULT_WAIT));
                        cx.save(RunRecord { due_at, ..(**run).clone() })?;
                        return Ok(Picked::Nothing(Next::Now));
                    }
                }
            }
            if due.len() < most {
                return Ok(Picked::Nothing(next));
            }
            seen = due.len();
        }
        Ok(Picked::Nothing(Next::Idle))
    }

    async fn run(self: Arc<Self>, load: Load, inside: Inside) -> Ended {
        let Load { prepared, note } = load;
        let answer = match prepared {
            Ok(outside) => outside.finish(inside).await,
            Err(refusal) => Err(refusal),
        };
        let result = match answer {
            Err(error) => Err(Said {
                refusal: Refusal::of(&error),
                error_type: Some(error.code().to_owned()),
                error_message: Some(error.message),
                is_logged: false,
            }),
            Ok(answer) if answer.function_error.is_some() => Err(said(answer.payload.as_ref())),
            Ok(_) => Ok(()),
        };
        Ended { note, result }
    }

    fn settle(&self, cx: &mut Cx<'_>, piece: &Piece, ended: &Ended) -> Result<(), ApiError> {
        let Some((secret, run)) = find(cx, &piece.name, &piece.arn)? else { return Ok(()) };
        let of_this = |action: &ActionRecord| action.version_id == ended.note.action.version_id;
        if !run.action.as_ref().is_some_and(of_this) {
            // Cancelled, abandoned or deleted meanwhile.
            return Ok(());
        }
        let settling = Settling { secret, run, note: &ended.note };
        match &ended.result {
            Ok(()) => settling.succeeded(cx),
            Err(said) if said.refusal == Some(Refusal::Throttled) => settling.throttled(cx, said),
            Err(said) => settling.failed(cx, said),
        }
    }
}

/// So many of those that are due and not under way, the longest due first; and when to look again, if these are all.
fn due(
    cx: &Cx<'_>,
    under_way: &BTreeSet<Piece>,
    most: usize,
) -> Result<(Vec<Arc<RunRecord>>, Next), ApiError> {
    let permit = cx.ask_all::<RunRecord>(action::ROTATE_SECRET)?;
    let now = cx.now();
    let mut due = Vec::new();
    let mut next = Next::Idle;
    // What is not due at all stands before everything else.
    let before_all = Place { number: Some(i64::MIN), text: "", tie: "" };
    let how = Walk { order: 0, after: Some(before_all), ..Walk::default() };
    cx.walk::<RunRecord>(permit, how, &mut |run| {
        let Some(at) = run.due_at.filter(|at| *at > now) else {
            if !under_way.iter().any(|piece| piece.arn == run.secret_arn) {
                due.push(Arc::clone(run));
            }
            return if due.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
        };
        next = Next::At(at);
        ControlFlow::Break(())
    })?;
    Ok((due, next))
}

/// A secret and what is to be done with it; nothing if one of them is not there any more.
fn find(cx: &mut Cx<'_>, name: &str, arn: &str) -> Result<Option<(SecretRecord, RunRecord)>, ApiError> {
    let found = secret(cx, name)?.permit(cx, action::ROTATE_SECRET)?.if_any();
    let run = cx.part::<RunRecord>(&[arn])?;
    let found = found.filter(|secret| secret.arn == arn);
    Ok(found.zip(run).map(|(secret, run)| (Arc::unwrap_or_clone(secret), Arc::unwrap_or_clone(run))))
}

enum Begun {
    Run(Piece, Box<Load>),
    /// Something was put on record, and there is more to do.
    Changed,
    /// Somebody else is at the database.
    Busy,
}

fn begin(
    cx: &mut Cx<'_>,
    listed: &RunRecord,
    under_way: &BTreeSet<Piece>,
    hosts: &Hosts,
) -> Result<Begun, ApiError> {
    let Some((secret, mut run)) = find(cx, &listed.secret_name, &listed.secret_arn)? else {
        cx.erase::<RunRecord>(&[&listed.secret_arn])?;
        return Ok(Begun::Changed);
    };
    if run.due_at.is_none_or(|at| at > cx.now()) {
        // The list is no check of what follows.
        return Ok(Begun::Changed);
    }
    let is_on = secret.rotation.as_ref().is_some_and(|rotation| rotation.enabled);
    if !is_on || secret.deletion_due_at.is_some() {
        run.action = None;
        run.due_at = None;
        cx.save(run)?;
        return Ok(Begun::Changed);
    }
    let window = secret.rotation.as_ref().and_then(|rotation| rotation.window.as_ref());
    let waited = run.action.as_ref().is_none_or(|action| action.begins_in(window, cx.now()));
    let Some(action) = run.action.clone().filter(|_| !waited) else { return open_window(cx, secret, run) };
    if !action.is_test && !is_wanted(&secret, &action.version_id) {
        return abandon(cx, secret, run);
    }
    if action.is_test && secret.version(&action.version_id).is_none() {
        return prepare_test(cx, secret, run, &action.version_id);
    }
    let step = action.step().ok_or_else(|| cx.internal("a rotation is at no known step"))?;
    let function = secret.function_that_rotates().unwrap_or_default().to_owned();
    let is_busy = |host: &Option<String>| host.is_some() && under_way.iter().any(|piece| piece.host == *host);
    if hosts.of(&secret, &action.version_id).as_ref().is_some_and(is_busy) {
        return Ok(Begun::Busy);
    }
    let known = match comes_along(cx, &function) {
        true => Known::of_current(cx, &secret),
        false => Known::of(cx, &secret, Some(&action.version_id)),
    };
    let host = known.host();
    hosts.note(&secret, &action.version_id, host.clone());
    if is_busy(&host) {
        return Ok(Begun::Busy);
    }
    let log = Arc::<OnceLock<LogPlace>>::default();
    let on_behalf_of = master::reader(cx, &run)?;
    let prepared = prepare(cx, &secret, &action, step, known, on_behalf_of, &log);
    if let Some(fault) = prepared.as_ref().err().filter(|error| error.is_fault()) {
        // What goes wrong here has a cause. That nothing is run has none, and is no attempt that failed.
        if cx.functions().runs_no_code().is_some() && fault.cause.is_none() {
            run.due_at = Some(cx.now().plus(OFF_WAIT));
            cx.save(run)?;
            return Ok(Begun::Changed);
        }
        cx.goes_on_without(fault);
    }
    run.action = Some(ActionRecord { begun_at: Some(cx.now()), ..action.clone() });
    cx.save(run)?;
    let piece = Piece { arn: secret.arn, name: secret.name, host };
    let note = Note { action, step, function, log };
    Ok(Begun::Run(piece, Box::new(Load { prepared, note })))
}

/// Whether the version of a rotation still carries a label that says so.
pub(crate) fn is_wanted(secret: &SecretRecord, version_id: &str) -> bool {
    secret.labels_of(version_id).iter().any(|label| label == PENDING || label == CURRENT)
}

/// Somebody took AWSPENDING off a version that was not promoted, which is AWS's way to give a rotation up. The next window begins another.
fn abandon(cx: &mut Cx<'_>, mut secret: SecretRecord, mut run: RunRecord) -> Result<Begun, ApiError> {
    if secret.abandon_rotation() {
        cx.record_event(event("RotationAbandoned", &secret));
    }
    if let Some(rotation) = secret.rotation.as_deref() {
        run.wait_for_window(rotation);
    }
    cx.save(secret)?;
    cx.save(run)?;
    Ok(Begun::Changed)
}

/// Asks whoever has the function to prepare its run. A refusal is an outcome of the step like any other.
fn prepare(
    cx: &mut Cx<'_>,
    secret: &SecretRecord,
    action: &ActionRecord,
    step: Step,
    known: Known,
    on_behalf_of: Option<Principal>,
    log: &Arc<OnceLock<LogPlace>>,
) -> Result<Outside<lambda::InvocationResponse>, ApiError> {
    let request = RequestId::random(cx.entropy());
    let service = Caller::service(cx.account(), cx.region().clone(), SERVICE.event_source, request);
    let confined = Confined {
        session_policy: known.session_policy(&secret.arn, &action.version_id),
        endpoints: known.endpoints,
        scrub: confine::scrub(service, secret.name.clone()),
        log: Arc::clone(log),
        is_last: step == Step::Finish || action.is_test,
        on_behalf_of,
    };
    let event = json!({
        "Step": step.name(),
        "SecretId": secret.arn,
        "ClientRequestToken": action.version_id,
        "RotationToken": action.token.expose(),
    });
    let input = lambda::InvocationRequest {
        payload: Some(Secret::new(event.to_string().into_bytes())),
        ..invocation(secret.function_that_rotates().unwrap_or_default())
    };
    cx.as_itself(&SERVICE, &secret.arn, |cx| {
        cx.attempt(|cx| {
            cx.confine(confined);
            cx.prepare::<lambda::Invoke>(input)
        })
    })
}

/// Whether the function is one of ours. Written in any other way than by its ARN it is taken for somebody's.
fn comes_along(cx: &Cx<'_>, function: &str) -> bool {
    let arn = function.parse::<Arn>().ok().filter(|arn| arn.service() == "lambda");
    let name = arn.as_ref().and_then(|arn| arn.resource().strip_prefix("function:"));
    name.is_some_and(|name| cx.functions().comes_along(name))
}

fn invocation(function: &str) -> lambda::InvocationRequest {
    lambda::InvocationRequest { function_name: function.to_owned(), ..lambda::InvocationRequest::default() }
}

/// Whether there is this function and its own policy lets Secrets Manager invoke it for this secret.
pub(crate) fn can_be_invoked(cx: &mut Cx<'_>, function: &str, secret_arn: &str) -> bool {
    let dry =
        lambda::InvocationRequest { invocation_type: Some(String::from("DryRun")), ..invocation(function) };
    cx.as_itself(&SERVICE, secret_arn, |cx| cx.attempt(|cx| cx.prepare::<lambda::Invoke>(dry))).is_ok()
}

/// A window is open: a rotation begins, or one that was given up in an earlier window is tried again with the version it had.
fn open_window(cx: &mut Cx<'_>, mut secret: SecretRecord, mut run: RunRecord) -> Result<Begun, ApiError> {
    let now = cx.now();
    let window = secret.rotation.as_ref().and_then(|rotation| rotation.window.clone());
    let closes_at = window.map(|window| window.closes_at).filter(|closes_at| *closes_at > now);
    let pending = secret.pending_rotation().map(str::to_owned);
    let version_id = match &pending {
        Some(version_id) => {
            secret.resume_rotation(version_id, now);
            version_id.clone()
        }
        None => {
            let token = cx.uuid().to_string();
            match secret.begin_rotation(&token, now) {
                Ok(dropped) => drop_versions(cx, &secret, dropped)?,
                Err(error) => {
                    // Too many versions or labels: somebody has to make room, and the next window sees whether he has.
                    let message = ApiError::from(error).message;
                    let note = Note {
                        action: ActionRecord::new(&token, String::new(), None),
                        step: Step::Create,
                        function: String::new(),
                        log: Arc::default(),
                    };
                    secret.skip_window(now);
                    cx.record_event(failed_event(&secret, &message));
                    run.failure = Some(failure(cx, &note, message, &Said::default()));
                    cx.save(run)?;
                    cx.save(secret)?;
                    return Ok(Begun::Changed);
                }
            }
            token
        }
    };
    cx.record_event(event("RotationStarted", &secret));
    let arn = secret.arn.clone();
    cx.save(secret)?;
    // Saving the secret has begun the run.
    let begun = cx.part::<RunRecord>(&[&arn])?.map_or(run, Arc::unwrap_or_clone);
    let action = begun.action.clone().unwrap_or_else(|| {
        let token = cx.uuid().to_string();
        ActionRecord::new(&version_id, token, None)
    });
    cx.save(RunRecord { action: Some(ActionRecord { closes_at, ..action }), due_at: Some(now), ..begun })?;
    Ok(Begun::Changed)
}

/// The configuration is tried out with a copy of what is current, under AWSPENDING.
fn prepare_test(
    cx: &mut Cx<'_>,
    mut secret: SecretRecord,
    mut run: RunRecord,
    version_id: &str,
) -> Result<Begun, ApiError> {
    let current = secret.holder(CURRENT).map(|version| version.id.clone());
    let Some(current) = current.filter(|_| secret.pending_rotation().is_none()) else {
        // There is nothing to try it out with.
        if let Some(rotation) = secret.rotation.as_deref() {
            run.wait_for_window(rotation);
        }
        cx.save(run)?;
        return Ok(Begun::Changed);
    };
    let value = open_version(cx, &secret, &current)?;
    let version = store_version(cx, &secret, version_id, &value)?;
    let added = secret.add_version(version, Some(vec![PENDING.to_owned()]), cx.now());
    let added = added.map_err(ApiError::from)?;
    drop_versions(cx, &secret, added.dropped)?;
    cx.record_event(event("TestRotationStarted", &secret));
    cx.save(secret)?;
    Ok(Begun::Changed)
}

/// Makes a secret whose rotation was configured and not begun due for a test of that.
pub(crate) fn try_out(cx: &mut Cx<'_>, secret: &SecretRecord) -> Result<(), ApiError> {
    let Some(run) = cx.part::<RunRecord>(&[&secret.arn])? else { return Ok(()) };
    let mut run = Arc::unwrap_or_clone(run);
    let (version_id, token) = (cx.uuid().to_string(), cx.uuid().to_string());
    run.begin(ActionRecord::test(&version_id, token), cx.now());
    cx.save(run)?;
    cx.activate(NAME);
    Ok(())
}

/// What a function said of its failure.
fn said(payload: Option<&Secret<Vec<u8>>>) -> Said {
    let parsed = payload.and_then(|payload| serde_json::from_slice::<Value>(payload.expose()).ok());
    let text = |name: &str| {
        let text = parsed.as_ref()?.get(name)?.as_str()?;
        Some(text.chars().take(SAID_CHARS_MAX).collect())
    };
    Said {
        refusal: None,
        error_type: text("errorType"),
        error_message: text("errorMessage"),
        is_logged: true,
    }
}

/// Whatever a function says may have a value in it.
fn without_values(cx: &mut Cx<'_>, secret: &SecretRecord, said: &Said) -> Said {
    let known = Known::of(cx, secret, None);
    if known.is_hidden {
        return Said {
            error_type: None,
            error_message: Some(HIDDEN.to_owned()),
            is_logged: false,
            ..said.clone()
        };
    }
    let clean = |text: &Option<String>| text.clone().map(|text| known.scrubbed(text));
    Said { error_type: clean(&said.error_type), error_message: clean(&said.error_message), ..said.clone() }
}

fn failure(cx: &Cx<'_>, note: &Note, message: String, said: &Said) -> FailureRecord {
    let (log_group, log_stream) =
        note.log.get().filter(|_| said.is_logged).cloned().map(|place| (place.group, place.stream)).unzip();
    FailureRecord {
        at: cx.now(),
        version_id: note.action.version_id.clone(),
        step: note.step.name().to_owned(),
        attempt: note.action.attempt,
        message,
        error_type: said.error_type.clone(),
        error_message: said.error_message.clone(),
        log_group,
        log_stream,
    }
}

fn failed_event(secret: &SecretRecord, message: &str) -> coffer_core::ServiceEvent {
    let mut event = event("RotationFailed", secret);
    event.details.push(("ErrorMessage", message.to_owned()));
    event
}

/// A step that is over.
struct Settling<'n> {
    secret: SecretRecord,
    run: RunRecord,
    note: &'n Note,
}

impl Settling<'_> {
    fn succeeded(mut self, cx: &mut Cx<'_>) -> Result<(), ApiError> {
        let now = cx.now();
        let version_id = &self.note.action.version_id;
        if self.note.action.is_test {
            return self.tested(cx, None);
        }
        let has_value = self.secret.version(version_id).is_some_and(|version| version.has_value);
        if self.note.step == Step::Create && !has_value {
            let (arn, function) = (&self.secret.arn, &self.note.function);
            let message = StepTrouble::NotCreated { version_id, arn, function }.reason();
            return self.give_up(cx, message, &Said { is_logged: true, ..Said::default() });
        }
        if !self.run.advance(now) {
            self.run.failure = None;
            return cx.save(self.run);
        }
        if self.secret.holder(CURRENT).is_none_or(|current| current.id != *version_id) {
            return self.failed(cx, &Said { is_logged: true, ..Said::default() });
        }
        self.secret.finish_rotation(now);
        cx.record_event(event("RotationSucceeded", &self.secret));
        let arn = self.secret.arn.clone();
        cx.save(self.secret)?;
        // Saving the secret has made it wait for its next window.
        let run = cx.part::<RunRecord>(&[&arn])?.map_or(self.run, Arc::unwrap_or_clone);
        cx.save(RunRecord { failure: None, succeeded_at: Some(now), ..run })
    }

    fn failed(self, cx: &mut Cx<'_>, said: &Said) -> Result<(), ApiError> {
        let Note { function, step, .. } = self.note;
        let trouble = match said.refusal {
            Some(Refusal::NotInvocable) => StepTrouble::NotInvocable,
            _ => StepTrouble::Function { function, step: step.name() },
        };
        let message = trouble.reason();
        let said = match said.refusal {
            None if !comes_along(cx, function) => without_values(cx, &self.secret, said),
            _ => said.clone(),
        };
        if self.note.action.is_test {
            return self.tested(cx, Some((message, said)));
        }
        self.give_up(cx, message, &said)
    }

    /// It was not run, and is no attempt.
    fn throttled(mut self, cx: &mut Cx<'_>, said: &Said) -> Result<(), ApiError> {
        let Note { function, step, .. } = self.note;
        let message = StepTrouble::Function { function, step: step.name() }.reason();
        let failure = failure(cx, self.note, message, said);
        self.run.wait(failure, cx.now().plus(THROTTLED_WAIT));
        cx.save(self.run)
    }

    /// For now: it is tried again.
    fn give_up(mut self, cx: &mut Cx<'_>, message: String, said: &Said) -> Result<(), ApiError> {
        let (secret, step, attempt) =
            (nameless(&self.secret), self.note.step.name(), self.note.action.attempt);
        tracing::warn!(secret, step, attempt, "a rotation failed; coffer rotation list shows which one");
        cx.record_event(failed_event(&self.secret, &message));
        let failure = failure(cx, self.note, message, said);
        let Some(rotation) = self.secret.rotation.as_deref() else { return Ok(()) };
        self.run.fail(failure, rotation, cx.now());
        cx.save(self.run)
    }

    /// The copy has served; the label goes, and with it the version in time.
    fn tested(mut self, cx: &mut Cx<'_>, failed: Option<(String, Said)>) -> Result<(), ApiError> {
        let version_id = &self.note.action.version_id;
        if self.secret.holder(PENDING).is_some_and(|pending| pending.id == *version_id) {
            self.secret.move_label(PENDING, Some(version_id), None, cx.now()).map_err(ApiError::from)?;
        }
        let name = if failed.is_none() { "TestRotationSucceeded" } else { "TestRotationFailed" };
        let mut told = event(name, &self.secret);
        self.run.failure = failed.map(|(message, said)| {
            told.details.push(("ErrorMessage", message.clone()));
            failure(cx, self.note, message, &said)
        });
        cx.record_event(told);
        if let Some(rotation) = self.secret.rotation.as_deref() {
            self.run.wait_for_window(rotation);
        }
        cx.save(self.secret)?;
        cx.save(self.run)
    }
}
