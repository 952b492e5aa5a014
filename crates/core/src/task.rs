//! Work in the background.
//!
//! A task takes no instructions. It looks at the store, does one bounded piece, and says when to be called again. Waking it is
//! a hint; losing the hint costs time, never correctness. After a crash the task simply runs.

use std::{pin::Pin, sync::Arc, time::Duration};

use coffer_shape::{ApiError, ServiceSpec};
use coffer_store::Partition;
use coffer_types::Timestamp;

use crate::{Caller, Core, Cx};

/// How long a task that failed waits before it looks again.
const RETRY: Duration = Duration::from_secs(30);
/// How long a piece that was put off is taken to be in trouble, if nothing more is heard of it. Relays put off for half an hour at
/// most, so one that fails every time is always seen to.
const PUT_OFF_SHOWN: Duration = Duration::from_secs(3600);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// There is more to do.
    Now,
    At(Timestamp),
    /// Nothing to do until somebody activates the task.
    Idle,
}

impl Next {
    /// The earlier of two.
    #[must_use]
    pub fn sooner(self, other: Self) -> Self {
        match (self, other) {
            (Self::Now, _) | (_, Self::Now) => Self::Now,
            (Self::At(left), Self::At(right)) => Self::At(left.min(right)),
            (Self::At(at), Self::Idle) | (Self::Idle, Self::At(at)) => Self::At(at),
            (Self::Idle, Self::Idle) => Self::Idle,
        }
    }
}

/// Where a task looks for work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// In every account and region by itself.
    EachPartition,
    /// At what the whole store shares. It runs in the name of one account and region, see [`Core::work_from`].
    Store,
}

pub trait Task: Send + Sync + 'static {
    const NAME: &'static str;
    const SCOPE: Scope = Scope::EachPartition;
    /// In whose name it works, if it asks other services for something. Keys that this service manages admit it.
    const SERVICE: Option<&'static ServiceSpec> = None;

    /// One bounded piece of work.
    fn step(&self, cx: &mut Cx<'_>) -> Result<Next, ApiError>;

    /// After a step that came to nothing, because it failed or could not be committed: puts off the piece that it was about, so that others
    /// have their turn. Whether there was one; else everything waits.
    fn put_off(&self, _cx: &mut Cx<'_>) -> Result<bool, ApiError> {
        Ok(false)
    }
}

/// What `coffer doctor` shows of a task.
#[derive(Debug, Clone)]
pub struct TaskState {
    pub name: &'static str,
    pub steps: u64,
    /// When it last looked for work.
    pub last_run_at: Timestamp,
    /// What went wrong, until it is known to go well again.
    pub last_error: Option<String>,
    /// When and where that was.
    pub failed: Option<(Timestamp, Partition)>,
    pub next: Next,
}

impl TaskState {
    /// Adds what the same task did elsewhere.
    pub(crate) fn add(&mut self, other: &Self) {
        self.steps += other.steps;
        self.last_run_at = self.last_run_at.max(other.last_run_at);
        let failed_at = |state: &Self| state.failed.as_ref().map(|(at, _)| *at);
        if failed_at(other) > failed_at(self) {
            self.last_error.clone_from(&other.last_error);
            self.failed.clone_from(&other.failed);
        }
        self.next = self.next.sooner(other.next);
    }
}

/// What came of one step.
pub(crate) struct Step {
    pub next: Next,
    /// What went wrong and will be tried again.
    pub trouble: Option<Trouble>,
}

pub(crate) struct Trouble {
    pub error: ApiError,
    /// A run that goes well before this instant does not show that the trouble is over.
    pub lasts_until: Timestamp,
}

impl Step {
    pub(crate) const fn good(next: Next) -> Self {
        Self { next, trouble: None }
    }

    /// Nothing is known of what is left to do, so it is looked at again after a while.
    pub(crate) fn failed(core: &Core, error: ApiError) -> Self {
        let now = core.world().clock.now();
        Self { next: Next::At(now.plus(RETRY)), trouble: Some(Trouble { error, lasts_until: now }) }
    }

    /// One piece failed and will come again at its own time; others may have their turn before it.
    pub(crate) fn put_off(core: &Core, error: ApiError) -> Self {
        let lasts_until = core.world().clock.now().plus(PUT_OFF_SHOWN);
        Self { next: Next::Now, trouble: Some(Trouble { error, lasts_until }) }
    }
}

pub(crate) type Stepping<'a> = Pin<Box<dyn Future<Output = Step> + Send + 'a>>;

/// A task whose type is forgotten, for the runner.
pub(crate) trait AnyTask: Send + Sync {
    fn name(&self) -> &'static str;
    fn scope(&self) -> Scope;
    /// One piece of work in the partition of the caller, who is Coffer itself.
    fn step<'a>(&'a self, core: &'a Arc<Core>, caller: &'a Caller) -> Stepping<'a>;
}

impl<T: Task> AnyTask for T {
    fn name(&self) -> &'static str {
        T::NAME
    }

    fn scope(&self) -> Scope {
        T::SCOPE
    }

    fn step<'a>(&'a self, core: &'a Arc<Core>, caller: &'a Caller) -> Stepping<'a> {
        Box::pin(async move {
            let of_service = T::SERVICE.map(|service| caller.of(service));
            let caller = of_service.as_ref().unwrap_or(caller);
            match core.run_for(caller, T::SERVICE, |cx| Task::step(self, cx)).await {
                Ok(next) => Step::good(next),
                Err(error) => match core.run_for(caller, T::SERVICE, |cx| Task::put_off(self, cx)).await {
                    Ok(true) => Step::put_off(core, error),
                    Ok(false) | Err(_) => Step::failed(core, error),
                },
            }
        })
    }
}
