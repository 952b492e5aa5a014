//! Environments that wait for their next call, and how many there may be.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::environment::Environment;

/// What has to be the same for an environment to be used again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// Without a version.
    pub(crate) function: String,
    pub(crate) version: String,
    pub(crate) revision: String,
    /// What it may do at most and reach, when it is confined.
    pub(crate) confined: Option<String>,
}

#[derive(Debug, Default)]
pub(crate) struct Pool(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The most recently used last.
    idle: Vec<Idle>,
    busy: HashMap<String, usize>,
    /// How often each busy function was forgotten.
    forgotten: HashMap<String, u64>,
    is_closed: bool,
}

#[derive(Debug)]
struct Idle {
    key: Key,
    environment: Environment,
    since: Duration,
}

/// The place of one call among all. Given back when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    pool: Arc<Pool>,
    function: String,
    forgotten: u64,
}

/// What a call gets.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) seat: Seat,
    pub(crate) warm: Option<Environment>,
    /// Has to end, to make room.
    pub(crate) evicted: Option<Environment>,
}

impl Pool {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing if as many as may run at once do.
    pub(crate) fn admit(
        self: &Arc<Self>,
        key: &Key,
        reserved: Option<u32>,
        all_max: usize,
    ) -> Option<Admitted> {
        let mut state = self.state();
        let running = state.busy.get(&key.function).copied().unwrap_or_default();
        let all: usize = state.busy.values().sum();
        if state.is_closed || reserved.is_some_and(|most| running >= most as usize) || all >= all_max {
            return None;
        }
        let warm = state.idle.iter().rposition(|idle| idle.key == *key);
        let warm = warm.map(|index| state.idle.remove(index).environment);
        let is_full = warm.is_none() && all + state.idle.len() >= all_max;
        let evicted = (is_full && !state.idle.is_empty()).then(|| state.idle.remove(0).environment);
        *state.busy.entry(key.function.clone()).or_default() += 1;
        let forgotten = state.forgotten.get(&key.function).copied().unwrap_or_default();
        let seat = Seat { pool: Arc::clone(self), function: key.function.clone(), forgotten };
        Some(Admitted { seat, warm, evicted })
    }

    /// Keeps an environment for the next call; it comes back if it is of no use any more.
    pub(crate) fn keep(
        &self,
        seat: &Seat,
        key: Key,
        environment: Environment,
        now: Duration,
    ) -> Option<Environment> {
        let mut state = self.state();
        let forgotten = state.forgotten.get(&key.function).copied().unwrap_or_default();
        if state.is_closed || forgotten != seat.forgotten {
            return Some(environment);
        }
        state.idle.push(Idle { key, environment, since: now });
        None
    }

    pub(crate) fn forget(&self, function: &str) -> Vec<Environment> {
        let mut state = self.state();
        if state.busy.contains_key(function) {
            *state.forgotten.entry(function.to_owned()).or_default() += 1;
        }
        take(&mut state.idle, |idle| idle.key.function == function)
    }

    pub(crate) fn idle_since_before(&self, then: Duration) -> Vec<Environment> {
        take(&mut self.state().idle, |idle| idle.since < then)
    }

    /// Until it is opened again nobody is admitted and nothing is kept.
    pub(crate) fn close(&self) -> Vec<Environment> {
        let mut state = self.state();
        state.is_closed = true;
        take(&mut state.idle, |_| true)
    }

    pub(crate) fn open(&self) {
        self.state().is_closed = false;
    }

    pub(crate) fn has_idle(&self) -> bool {
        !self.state().idle.is_empty()
    }
}

fn take(idle: &mut Vec<Idle>, which: impl Fn(&Idle) -> bool) -> Vec<Environment> {
    idle.extract_if(.., |idle| which(idle)).map(|idle| idle.environment).collect()
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.pool.state();
        let left = state.busy.get_mut(&self.function).map_or(0, |busy| {
            *busy = busy.saturating_sub(1);
            *busy
        });
        if left == 0 {
            state.busy.remove(&self.function);
            state.forgotten.remove(&self.function);
        }
    }
}
