//! Runs the tasks: each where it has work and when it is due, and keeps what `coffer doctor` shows of them.
//!
//! What is remembered here is only when to look again. A task that has never run looks at once, so a process that remembers
//! nothing loses nothing.

use std::{
    collections::{BTreeMap, HashMap, btree_map::Entry},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use coffer_store::{EngineError, Partition};
use coffer_types::{RequestId, Timestamp};
use tokio::sync::Notify;

use crate::{
    Caller, Core, Next, TaskState,
    audit::step_aside,
    task::{AnyTask, Scope},
};

/// A task that always says "now" yields to the others after this many steps.
const TASK_STEPS_MAX: usize = 256;

#[derive(Debug, Default)]
pub(crate) struct Tasks {
    next: Mutex<HashMap<(&'static str, Partition), Next>>,
    states: Mutex<HashMap<(&'static str, Partition), Kept>>,
    /// In whose name the tasks of the whole store run.
    store_home: OnceLock<Partition>,
    wake: Notify,
    /// Pieces of work that are done outside at this moment.
    pub(crate) errands: AtomicUsize,
}

/// What is shown of a task in one place.
#[derive(Debug)]
struct Kept {
    state: TaskState,
    /// Of its error.
    lasts_until: Timestamp,
}

impl Tasks {
    pub(crate) fn activate(&self, hints: &[(&'static str, Partition)]) {
        if hints.is_empty() {
            return;
        }
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        for hint in hints {
            next.insert(hint.clone(), Next::Now);
        }
        drop(next);
        self.wake.notify_one();
    }
}

impl Tasks {
    /// A task wherever it has ever looked for work.
    pub(crate) fn activate_everywhere(&self, name: &'static str) {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, next) in next.iter_mut().filter(|((task, _), _)| *task == name) {
            *next = Next::Now;
        }
        drop(next);
        self.wake.notify_one();
    }

    /// A task of the whole store. Before any has run, all are due anyway.
    pub(crate) fn activate_for_store(&self, name: &'static str) {
        if let Some(home) = self.store_home.get() {
            self.activate(&[(name, home.clone())]);
        }
    }
}

impl Core {
    /// Says in whose name what the whole store shares is done. Without it, that is whichever account and region comes first.
    pub fn work_from(&self, home: Partition) {
        // Whoever said it first has been believed.
        drop(self.tasks.store_home.set(home));
    }

    /// Waits for a hint that a task has work.
    pub async fn task_hint(&self) {
        self.tasks.wake.notified().await;
    }

    /// How many pieces of work are done outside at this moment.
    pub fn errands_under_way(&self) -> usize {
        self.tasks.errands.load(Ordering::SeqCst)
    }

    /// Steps every task that is due, in every partition, and says when to come back.
    pub async fn run_due_tasks(self: &Arc<Self>) -> Result<Next, EngineError> {
        let mut soonest = Next::Idle;
        for (partition, _) in self.db.engine().partitions()? {
            let is_first = self.tasks.store_home.get_or_init(|| partition.clone()) == &partition;
            for task in self.registry.tasks().iter().filter(|task| is_first || task.scope() != Scope::Store) {
                let next = self.run_task(task, &partition).await;
                soonest = soonest.sooner(next);
            }
        }
        Ok(soonest)
    }

    async fn run_task(self: &Arc<Self>, task: &Arc<dyn AnyTask>, partition: &Partition) -> Next {
        let place = (task.name(), partition.clone());
        let due = self
            .tasks
            .next
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&place)
            .copied()
            .unwrap_or(Next::Now);
        let is_due = match due {
            Next::Now => true,
            Next::At(at) => at <= self.world.clock.now(),
            Next::Idle => false,
        };
        if !is_due {
            return due;
        }
        // Taken as done before it runs: a hint that arrives meanwhile must not be lost under our own result.
        self.set_next(&place, Next::Idle);
        let caller = Caller::service(
            partition.account,
            partition.region.clone(),
            "coffer.internal",
            RequestId::random(self.world.entropy.as_ref()),
        );
        let begun_at = self.world.clock.now();
        let mut next = Next::Now;
        let mut trouble = None;
        let mut steps = 0;
        while next == Next::Now && steps < TASK_STEPS_MAX {
            if steps > 0 {
                // Requests go first.
                step_aside().await;
            }
            steps += 1;
            let step = task.step(self, &caller).await;
            next = step.next;
            if let Some(new) = step.trouble {
                tracing::warn!(task = task.name(), error = %new.error, cause = ?new.error.cause, "a task failed and will be tried again");
                trouble = Some(new);
            }
        }
        let mut times = self.tasks.next.lock().unwrap_or_else(PoisonError::into_inner);
        let next = times.get(&place).copied().unwrap_or(Next::Idle).sooner(next);
        times.insert(place.clone(), next);
        drop(times);
        let mut states = self.tasks.states.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = states.entry(place).or_insert_with(|| Kept {
            state: TaskState {
                name: task.name(),
                steps: 0,
                last_run_at: begun_at,
                last_error: None,
                failed: None,
                next,
            },
            lasts_until: begun_at,
        });
        kept.state.steps += steps as u64;
        kept.state.last_run_at = begun_at;
        kept.state.next = next;
        if let Some(trouble) = trouble {
            kept.state.last_error = Some(trouble.error.to_string());
            kept.state.failed = Some((begun_at, partition.clone()));
            kept.lasts_until = trouble.lasts_until;
        } else if begun_at >= kept.lasts_until {
            kept.state.last_error = None;
            kept.state.failed = None;
        }
        next
    }

    fn set_next(&self, place: &(&'static str, Partition), next: Next) {
        self.tasks.next.lock().unwrap_or_else(PoisonError::into_inner).insert(place.clone(), next);
    }

    /// One line for each task: what it did everywhere together, and what went wrong anywhere.
    pub fn task_states(&self) -> Vec<TaskState> {
        let mut states: BTreeMap<&'static str, TaskState> = BTreeMap::new();
        for Kept { state, .. } in self.tasks.states.lock().unwrap_or_else(PoisonError::into_inner).values() {
            match states.entry(state.name) {
                Entry::Vacant(place) => drop(place.insert(state.clone())),
                Entry::Occupied(mut sum) => sum.get_mut().add(state),
            }
        }
        states.into_values().collect()
    }
}
