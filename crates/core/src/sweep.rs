//! After a rotation of epochs: seals every record again, and then has the keys of the older epochs destroyed.
//!
//! It goes through the store again and again until a whole pass finds nothing to do, which is proof only if it began when nothing that
//! was sealed earlier could still arrive. What it has done is in the records themselves, so after a crash it begins anew and finds
//! less to do. A record that does not open cannot be sealed again; it keeps the key of its epoch, because whoever repairs it needs that.
//!
//! Requests go first: it takes a tenth of the time, a few records at once.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use coffer_shape::ApiError;
use coffer_store::{Dir, KeyRange, Partition, Read};

use crate::{
    Caller, Core, Next, Scope,
    audit::{EventKind, ServiceEvent},
    cx::{INTERNAL, INTERNAL_MESSAGE},
    db::turns::off_the_runtime,
    task::{AnyTask, Step, Stepping},
};

pub(crate) const NAME: &str = "epoch-sweep";
const SOURCE: &str = "coffer.internal";
const RECORDS_AT_ONCE: u32 = 64;
/// It waits so many times as long as it works.
const REST: u32 = 9;
/// Between two passes, and before a store with damaged records is gone through again.
const BETWEEN_PASSES: Duration = Duration::from_secs(1);
const AFTER_DAMAGE: Duration = Duration::from_secs(3600);

/// Whoever has the file in which the keys of the epochs lie.
pub trait KeepsEpochs: Send + Sync {
    /// Destroys the keys of these epochs, on the disk and then in memory.
    fn destroy(&self, epochs: &[u32]) -> Result<(), String>;
}

/// How far it has come.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct SweepProgress {
    pub active_epoch: u32,
    /// Those whose keys are still there.
    pub older_epochs: Vec<u32>,
    /// Since the process was started.
    pub records_sealed_again: u64,
    /// In the pass that is under way.
    pub records_seen: u64,
    /// In the last pass that came to its end.
    pub damaged: u64,
}

/// What it has found in this pass.
#[derive(Debug)]
struct Pass {
    /// The active epoch when it began. If there is a newer one at its end, it has proven nothing.
    epoch: u32,
    partitions: VecDeque<Partition>,
    range: Option<KeyRange>,
    /// Nothing can arrive behind it.
    is_proof: bool,
    seen: u64,
    moved: u64,
    damaged: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Progress(Mutex<SweepProgress>);

impl Progress {
    fn lock(&self) -> MutexGuard<'_, SweepProgress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) struct Sweep {
    keeper: Box<dyn KeepsEpochs>,
    progress: Arc<Progress>,
    pass: Mutex<Option<Pass>>,
}

impl fmt::Debug for Sweep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sweep").field("progress", &self.progress).finish_non_exhaustive()
    }
}

impl Core {
    /// After a rotation. Without the hint it would begin at the next start.
    pub fn sweep_epochs(&self) {
        self.tasks.activate_for_store(NAME);
    }

    pub fn sweep_progress(&self) -> SweepProgress {
        let barrier = self.db().barrier();
        SweepProgress {
            active_epoch: barrier.active_epoch(),
            older_epochs: barrier.older_epochs(),
            ..self.registry.sweep().lock().clone()
        }
    }
}

impl Sweep {
    pub(crate) fn new(keeper: impl KeepsEpochs + 'static, progress: Arc<Progress>) -> Self {
        Self { keeper: Box::new(keeper), progress, pass: Mutex::default() }
    }

    fn pass(&self) -> MutexGuard<'_, Option<Pass>> {
        self.pass.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn work(&self, core: &Core, caller: &Caller) -> Result<Next, ApiError> {
        if core.db.barrier().older_epochs().is_empty() {
            *self.pass() = None;
            return Ok(Next::Idle);
        }
        // Taken, and put back only if all went well: after a failure it begins anew.
        let taken = self.pass().take();
        let mut pass = match taken {
            Some(pass) => pass,
            None => Self::begin(core)?,
        };
        let Some(partition) = pass.partitions.front().cloned() else {
            return self.end(core, caller, &pass).await;
        };
        let range = pass.range.take().unwrap_or_else(KeyRange::all);
        let page = off_the_runtime(|| {
            core.db.engine().scan(&partition, &range, Dir::Forward, RECORDS_AT_ONCE, Read::Latest)
        });
        let page = page.map_err(fault)?;
        let found = core.db.seal_again(&partition, &page.entries).await.map_err(fault)?;
        pass.seen += page.entries.len() as u64;
        pass.moved += found.moved;
        pass.damaged += found.damaged;
        pass.range = page.rest;
        if pass.range.is_none() {
            pass.partitions.pop_front();
        }
        {
            let mut progress = self.progress.lock();
            progress.records_sealed_again += found.moved;
            progress.records_seen = pass.seen;
        }
        *self.pass() = Some(pass);
        Ok(Next::Now)
    }

    fn begin(core: &Core) -> Result<Pass, ApiError> {
        let epoch = core.db.barrier().active_epoch();
        let is_proof = core.db.is_settled(epoch);
        let partitions = off_the_runtime(|| core.db.engine().partitions()).map_err(fault)?;
        Ok(Pass {
            epoch,
            partitions: partitions.into_iter().map(|(partition, _)| partition).collect(),
            range: None,
            is_proof,
            seen: 0,
            moved: 0,
            damaged: 0,
        })
    }

    async fn end(&self, core: &Core, caller: &Caller, pass: &Pass) -> Result<Next, ApiError> {
        self.progress.lock().damaged = pass.damaged;
        if pass.moved > 0 || !pass.is_proof || core.db.barrier().active_epoch() != pass.epoch {
            return Ok(Next::At(core.world.clock.now().plus(BETWEEN_PASSES)));
        }
        if pass.damaged > 0 {
            tracing::warn!(
                records = pass.damaged,
                "records of an older epoch do not open, so its key is kept; run coffer verify"
            );
            return Ok(Next::At(core.world.clock.now().plus(AFTER_DAMAGE)));
        }
        // Events of changes are sealed as records are, until they are moved into the segments.
        off_the_runtime(|| core.move_audit_rows()).map_err(fault)?;
        // Not a newer one, which somebody may make active this moment.
        let mut epochs = core.db.barrier().older_epochs();
        epochs.retain(|epoch| *epoch < pass.epoch);
        let named = epochs.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        let event = ServiceEvent {
            kind: EventKind::Service,
            source: SOURCE,
            name: "EpochKeysDestroyed",
            details: vec![("epochs", named.clone())],
        };
        // On record before it happens, as everything is that cannot be undone.
        let recorded = core.run_local(caller, |cx| {
            cx.record_event(event.clone());
            Ok(())
        });
        recorded.await?;
        off_the_runtime(|| core.audit().sync()).map_err(fault)?;
        if let Err(cause) = off_the_runtime(|| self.keeper.destroy(&epochs)) {
            let failed = [("outcome", String::from("failed"))];
            let details = event.details.iter().cloned().chain(failed).collect();
            let event = ServiceEvent { details, ..event };
            let recorded = core.run_local(caller, |cx| {
                cx.record_event(event.clone());
                Ok(())
            });
            recorded.await?;
            return Err(fault(cause));
        }
        tracing::info!(
            epochs = named,
            "all records are sealed under the active epoch; the older keys are destroyed"
        );
        Ok(Next::Idle)
    }
}

fn fault(cause: impl fmt::Display) -> ApiError {
    ApiError::new(INTERNAL, INTERNAL_MESSAGE).because(cause.to_string())
}

impl AnyTask for Sweep {
    fn name(&self) -> &'static str {
        NAME
    }

    fn scope(&self) -> Scope {
        Scope::Store
    }

    fn step<'a>(&'a self, core: &'a Arc<Core>, caller: &'a Caller) -> Stepping<'a> {
        Box::pin(async move {
            let clock = core.world.clock.as_ref();
            let begun = clock.monotonic();
            match self.work(core, caller).await {
                Ok(Next::Now) => {
                    let rest = clock.monotonic().saturating_sub(begun).saturating_mul(REST);
                    let next = if rest.is_zero() { Next::Now } else { Next::At(clock.now().plus(rest)) };
                    Step::good(next)
                }
                Ok(next) => Step::good(next),
                Err(error) => Step::failed(core, error),
            }
        })
    }
}
