//! Runs one request to its end: handler, commit with audit, or audit and answer.
//!
//! The handler is a function of its snapshot, so a conflict simply runs it again. An answer is made in one of two places, both
//! of which hold the proof that its audit record exists.

use std::sync::Arc;

use coffer_shape::{ApiError, OperationSpec, ReadError, Reader, ServiceSpec};
use coffer_store::EngineError;
use coffer_types::{Timestamp, Uuid};

use crate::{
    AuditLog, Caller, CommitError, Cx, Db, Inside, Outside, Recorded, Registry, Reply, World,
    audit::{MoveError, Outcome, Retirement, Told, move_rows},
    cx::{Effects, INTERNAL, INTERNAL_MESSAGE, nobody_asked},
    db::{Applied, turns::off_the_runtime},
    registry::Ran,
    runner::Tasks,
};

/// A handler that loses this many races in a row gives up; each loss means that somebody else made progress.
const ATTEMPTS_MAX: usize = 64;
/// A handler that has lost this many races waits in line, so that those who race most often do not win for ever.
const ATTEMPTS_BEFORE_LINE: usize = 8;

/// A request body that can be read once per attempt.
pub trait Body: Send + Sync {
    fn read(&self, walk: &mut dyn FnMut(&mut dyn Reader)) -> Result<(), ReadError>;
}

/// What leaves the core: the outcome, and the proof that it is on record.
pub struct Answer {
    pub outcome: Result<Box<dyn Reply>, ApiError>,
    pub recorded: Recorded,
}

/// What is on record, and may have to be waited for.
#[derive(Debug)]
pub struct Begun {
    pub outcome: Result<Outside<Box<dyn Reply>>, ApiError>,
    pub recorded: Recorded,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").field("error", &self.outcome.as_ref().err()).finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub struct Core {
    pub(crate) registry: Registry,
    pub(crate) db: Db,
    audit: Arc<AuditLog>,
    pub(crate) world: World,
    pub(crate) tasks: Arc<Tasks>,
    line: tokio::sync::Mutex<()>,
}

impl Core {
    pub fn new(mut registry: Registry, db: Db, audit: AuditLog, world: World) -> Self {
        let audit = Arc::new(audit);
        if let Some(retirement) = Retirement::of(&audit) {
            registry.task(retirement);
        }
        Self { registry, db, audit, world, tasks: Arc::default(), line: tokio::sync::Mutex::default() }
    }

    pub const fn db(&self) -> &Db {
        &self.db
    }

    pub fn audit(&self) -> &AuditLog {
        &self.audit
    }

    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    pub const fn world(&self) -> &World {
        &self.world
    }

    /// Runs an operation for an authenticated caller. `None` is the one case without an answer: nothing could be recorded,
    /// so nothing may be told but that the service is unavailable.
    pub async fn call(
        self: &Arc<Self>,
        caller: &Caller,
        spec: &'static OperationSpec,
        body: &dyn Body,
    ) -> Option<Answer> {
        let Begun { outcome, recorded } = self.begin(caller, spec, body, &mut || ()).await?;
        let outcome = match outcome {
            Ok(begun) => begun.finish(self.inside()).await,
            Err(error) => Err(error),
        };
        Some(Answer { outcome, recorded })
    }

    /// For what works outside of it.
    pub fn inside(self: &Arc<Self>) -> Inside {
        Inside::new(Arc::downgrade(self), self.world.clone())
    }

    /// The same up to where the call has to wait for the world outside. By then it is on record, and what it changed is committed.
    /// `waits` is told each time before the call goes on to wait for anything but a processor.
    pub async fn begin(
        &self,
        caller: &Caller,
        spec: &'static OperationSpec,
        body: &dyn Body,
        waits: &mut (dyn FnMut() + Send),
    ) -> Option<Begun> {
        let mut lost = None;
        let mut turn = None;
        let mut walk = None;
        for attempt in 1..=ATTEMPTS_MAX {
            if attempt > ATTEMPTS_BEFORE_LINE && turn.is_none() {
                waits();
                turn = Some(self.line.lock().await);
            }
            let now = self.world.clock.now();
            let cx = self.cx(now, caller, Some(spec));
            let (outcome, mut effects) = match &walk {
                None => self.attempt(cx, spec, body),
                Some(_) => off_the_runtime(|| self.attempt(cx.with_turn(), spec, body)),
            };
            if effects.wants_turn {
                waits();
                walk = self.db.turns().take().await;
                if walk.is_some() {
                    continue;
                }
                return self
                    .answer_unchanged(caller, spec, now, &effects, Err(too_many_at_length(spec)))
                    .await;
            }
            if let Some(bytes) = effects.wants_blob.take() {
                waits();
                match self.store_blob(&effects.home, &bytes).await {
                    Ok(()) => continue,
                    Err(error) => {
                        let error =
                            ApiError::new(spec.service.codes.unavailable, CANNOT_STORE).because(error);
                        return self.answer_unchanged(caller, spec, now, &effects, Err(error)).await;
                    }
                }
            }
            let outcome =
                outcome.and_then(|reply| if effects.asked { Ok(reply) } else { Err(nobody_asked(spec)) });
            let reply = match outcome {
                Ok(reply) if effects.has_changes() => reply,
                // Without a commit nobody has checked that what was read was true at one instant. A reader who always
                // loses is answered all the same, from records that were true one after the other.
                outcome if attempt == ATTEMPTS_MAX || self.is_unchanged(&effects) => {
                    return self.answer_unchanged(caller, spec, now, &effects, outcome).await;
                }
                _ => continue,
            };
            let sheet = std::mem::take(&mut effects.sheet);
            let elsewhere = std::mem::take(&mut effects.elsewhere);
            let events = self.events(caller, Some(spec), now, &effects, None);
            waits();
            match self.db.commit(&effects.home, sheet, elsewhere, &events, self.applied(&effects)).await {
                Ok(_) => return Some(Begun { outcome: Ok(reply), recorded: Recorded(()) }),
                Err(CommitError::Conflict) => lost = Some(effects),
                Err(error) if effects.only_optional => {
                    tracing::debug!(%error, "an optional change was dropped");
                    return self.answer_unchanged(caller, spec, now, &effects, Ok(reply)).await;
                }
                Err(error) => {
                    return self
                        .answer_unchanged(caller, spec, now, &effects, Err(cannot_store(spec, error)))
                        .await;
                }
            }
        }
        let now = self.world.clock.now();
        let error = ApiError::new(spec.service.codes.internal, INTERNAL_MESSAGE)
            .because(format!("{} lost {ATTEMPTS_MAX} races in a row", spec.name));
        let lost = lost.unwrap_or_else(|| self.cx(now, caller, Some(spec)).into_effects());
        self.answer_unchanged(caller, spec, now, &lost, Err(error)).await
    }

    /// An engine that does not say is no reason to run again: the answer is as good as what was read.
    fn is_unchanged(&self, effects: &Effects) -> bool {
        let sheets = || std::iter::once(&effects.sheet).chain(effects.elsewhere.values());
        // One record is always of one instant.
        if sheets().map(|sheet| sheet.reads.len()).sum::<usize>() < 2 {
            return true;
        }
        let is_so = |place, reads| self.db.is_unchanged(place, reads).unwrap_or(true);
        is_so(&effects.home, &effects.sheet.reads)
            && effects.elsewhere.iter().all(|(place, sheet)| is_so(place, &sheet.reads))
    }

    fn cx<'a>(&'a self, now: Timestamp, caller: &'a Caller, spec: Option<&'static OperationSpec>) -> Cx<'a> {
        let cx = Cx::new(&self.db, &self.registry, &self.world, now, caller, spec);
        cx.with_trail(&self.audit, &self.world)
    }

    fn attempt(&self, mut cx: Cx<'_>, spec: &'static OperationSpec, body: &dyn Body) -> (Ran, Effects) {
        let mut outcome = None;
        let read = body.read(&mut |from| outcome = Some(self.registry.run(spec, &mut cx, from)));
        let outcome = match (read, outcome) {
            (Ok(()), Some(outcome)) => outcome,
            (Ok(()), None) => Err(ApiError::new(spec.service.codes.serialization, "")),
            (Err(error), _) => Err(ApiError::new(spec.service.codes.serialization, error.message)),
        };
        (outcome, cx.into_effects())
    }

    /// An answer that changed nothing: its events go to the segment file before it leaves.
    async fn answer_unchanged(
        &self,
        caller: &Caller,
        spec: &'static OperationSpec,
        now: Timestamp,
        effects: &Effects,
        outcome: Ran,
    ) -> Option<Begun> {
        let events = self.events(caller, Some(spec), now, effects, outcome.as_ref().err());
        match self.audit.append_shared(events).await {
            Ok(()) => {
                if outcome.is_ok() {
                    self.tasks.activate(&effects.activated);
                }
                Some(Begun { outcome, recorded: Recorded(()) })
            }
            // Not a line for each of thousands of requests: the log says once that it refuses, and once that it does not.
            Err(_) => None,
        }
    }

    fn events(
        &self,
        caller: &Caller,
        spec: Option<&'static OperationSpec>,
        at: Timestamp,
        effects: &Effects,
        error: Option<&ApiError>,
    ) -> Vec<String> {
        let id = || Uuid::random(self.world.entropy.as_ref());
        let own = spec.map(|spec| Told {
            spec,
            via: None,
            request: effects.request.as_deref(),
            response: effects.response.as_deref().filter(|_| error.is_none() && !spec.read_only),
            error: error.map(|error| (error.code(), error.message.as_str())),
            more: &effects.more,
            resources: &effects.resources,
        });
        // What a service did by itself was not done if the change it belongs to was not made.
        let done = if error.is_none() { effects.events.as_slice() } else { &[] };
        let owner_of = |account| match effects.lender {
            Some(lender) if account == effects.home.account => lender,
            _ => account,
        };
        let outcome = Outcome::new(caller, at);
        let owner = owner_of(effects.home.account);
        let of_owner = (owner != caller.principal.account).then(|| outcome.told_to(owner));
        let mut events = Vec::with_capacity(1);
        let mut tell = |mine: &Outcome<'_>, of_owner: Option<&Outcome<'_>>, call: &Told<'_>| {
            // Strangers who are refused stand in their own trail only, also with what a service asked for them: they could fill that of
            // anybody, and the sentence names them.
            let Some(of_owner) = of_owner.filter(|_| error.is_none() && call.error.is_none()) else {
                events.push(mine.call(call, id(), None));
                return;
            };
            let shared = Some(id());
            events.push(mine.call(call, id(), shared));
            events.push(of_owner.call(call, id(), shared));
        };
        if let Some(own) = own {
            tell(&outcome, of_owner.as_ref(), &own);
        }
        for call in &effects.nested {
            let (place, told) = (owner_of(call.account), Told::from(call));
            if call.by.is_none() && place == owner {
                tell(&outcome, of_owner.as_ref(), &told);
                continue;
            }
            let by = call.by.as_deref().unwrap_or(caller);
            let mine = Outcome::new(by, at);
            let of_place = (place != by.principal.account).then(|| mine.told_to(place));
            tell(&mine, of_place.as_ref(), &told);
        }
        for (place, event) in done {
            events.push(outcome.told_to(owner_of(place.account)).service(event, &place.region, id()));
        }
        events
    }

    /// Runs something Coffer does for itself: a bootstrap, a command given on the machine, a step of a task.
    pub async fn run_local<T>(
        &self,
        caller: &Caller,
        run: impl Fn(&mut Cx<'_>) -> Result<T, ApiError> + Sync,
    ) -> Result<T, ApiError> {
        self.run_for(caller, None, run).await
    }

    /// The same for a service, which keeps its own doors open: see [`Cx::via`].
    pub(crate) async fn run_for<T>(
        &self,
        caller: &Caller,
        service: Option<&'static ServiceSpec>,
        run: impl Fn(&mut Cx<'_>) -> Result<T, ApiError> + Sync,
    ) -> Result<T, ApiError> {
        for attempt in 1..=ATTEMPTS_MAX {
            let now = self.world.clock.now();
            let (outcome, mut effects) = {
                // Few run at once, so they need no turn.
                let mut cx = self.cx(now, caller, None).for_service(service).with_turn();
                (off_the_runtime(|| run(&mut cx)), cx.into_effects())
            };
            let unchecked = !effects.has_changes() || outcome.is_err();
            if unchecked && attempt < ATTEMPTS_MAX && !self.is_unchanged(&effects) {
                // What was read was not all true at one instant, and no commit is going to notice.
                continue;
            }
            let outcome = outcome?;
            if !effects.has_changes() {
                let events = self.events(caller, None, now, &effects, None);
                if !events.is_empty() {
                    self.audit
                        .append(&events)
                        .map_err(|error| ApiError::new(INTERNAL, INTERNAL_MESSAGE).because(error))?;
                }
                self.tasks.activate(&effects.activated);
                return Ok(outcome);
            }
            let sheet = std::mem::take(&mut effects.sheet);
            let elsewhere = std::mem::take(&mut effects.elsewhere);
            let events = self.events(caller, None, now, &effects, None);
            match self.db.commit(&effects.home, sheet, elsewhere, &events, self.applied(&effects)).await {
                Ok(_) => return Ok(outcome),
                Err(CommitError::Conflict) => {}
                Err(error) => return Err(ApiError::new(INTERNAL, INTERNAL_MESSAGE).because(error)),
            }
        }
        Err(ApiError::new(INTERNAL, INTERNAL_MESSAGE).because("too many conflicts"))
    }

    /// What happens when the changes are durable, whether or not somebody still waits for the answer.
    fn applied(&self, effects: &Effects) -> Applied {
        let (tasks, hints) = (Arc::clone(&self.tasks), effects.activated.clone());
        Arc::new(move || tasks.activate(&hints))
    }

    /// Moves the events of committed changes into the segment files. Blocks on disk; call it from a thread that may.
    pub fn move_audit_rows(&self) -> Result<u64, MoveError> {
        move_rows(&self.db, &self.audit, &self.world)
    }

    /// Finishes queued commits and syncs the audit log.
    pub fn shut_down(&self) -> std::io::Result<()> {
        self.db.shut_down();
        self.audit.sync()
    }
}

fn too_many_at_length(spec: &'static OperationSpec) -> ApiError {
    ApiError::new(spec.service.codes.unavailable, "Too many long calls are being made at once. Try again.")
}

const CANNOT_STORE: &str = "Changes cannot be stored at the moment.";

fn cannot_store(spec: &'static OperationSpec, error: CommitError) -> ApiError {
    let codes = &spec.service.codes;
    match error {
        CommitError::Engine(EngineError::TooLarge { .. }) => {
            ApiError::new(codes.internal, INTERNAL_MESSAGE).because(error)
        }
        _ => ApiError::new(codes.unavailable, CANNOT_STORE).because(error),
    }
}
