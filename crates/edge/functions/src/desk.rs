//! The runtime API of one environment, without its HTTP: who is waiting for an event, and what came back.

use std::sync::{Mutex, MutexGuard, PoisonError};

use coffer_types::Secret;
use tokio::sync::Notify;

use crate::answer::Answer;

/// What a function is given to do.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) request_id: String,
    pub(crate) event: Secret<Vec<u8>>,
    pub(crate) deadline_ms: i64,
    pub(crate) invoked_arn: String,
    pub(crate) trace_id: String,
    pub(crate) client_context: Option<String>,
}

#[derive(Debug, Default)]
pub(crate) struct Desk {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// The runtime has asked for work at least once.
    is_up: bool,
    offered: Option<Work>,
    /// The request that is being worked on.
    current: Option<String>,
    init_error: Option<Answer>,
    answer: Option<Answer>,
}

impl Desk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn until<T>(&self, mut found: impl FnMut(&mut State) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Whoever changes something between the look and the wait is not missed.
            changed.as_mut().enable();
            if let Some(found) = found(&mut self.state()) {
                return found;
            }
            changed.await;
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_waiters();
    }

    /// For the runtime: the next piece of work, when there is one.
    pub(crate) async fn next(&self) -> Work {
        self.change(|state| state.is_up = true);
        self.until(|state| {
            let work = state.offered.take()?;
            state.current = Some(work.request_id.clone());
            Some(work)
        })
        .await
    }

    /// For the runtime. False if this is not what it is working on.
    pub(crate) fn answer(&self, request_id: &str, answer: Answer) -> bool {
        let mut known = false;
        self.change(|state| {
            if state.current.as_deref() == Some(request_id) {
                state.current = None;
                state.answer = Some(answer);
                known = true;
            }
        });
        known
    }

    pub(crate) fn fail_to_start(&self, answer: Answer) {
        self.change(|state| state.init_error = Some(answer));
    }

    /// Until the runtime is there, or says that it will not be.
    pub(crate) async fn started(&self) -> Result<(), Answer> {
        self.until(|state| match state.init_error.take() {
            Some(error) => Some(Err(error)),
            None => state.is_up.then_some(Ok(())),
        })
        .await
    }

    pub(crate) fn offer(&self, work: Work) {
        self.change(|state| {
            state.answer = None;
            state.offered = Some(work);
        });
    }

    /// Whether nobody has taken what was offered.
    pub(crate) fn is_untouched(&self) -> bool {
        self.state().offered.is_some()
    }

    pub(crate) async fn answered(&self) -> Answer {
        self.until(|state| state.answer.take()).await
    }
}
