//! Lets requests that end at the same time share one write of the audit log.
//!
//! An event is put down and its request steps aside once. Whoever comes back first writes what all of them have put down; the others find
//! their outcome. So there is no timer and no thread, a lone request waits for nobody, and a busy server makes one system call for
//! many answers.

use std::{
    future::poll_fn,
    io, mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    task::Poll,
};

const OPEN: u8 = 0;
const WRITTEN: u8 = 1;
const FAILED: u8 = 2;

/// Events that are written together, or not at all.
#[derive(Debug, Default)]
pub(super) struct Batch(AtomicU8);

impl Batch {
    /// What became of it; nothing while nobody has written it.
    pub(super) fn outcome(&self) -> Option<io::Result<()>> {
        match self.0.load(Ordering::Acquire) {
            OPEN => None,
            WRITTEN => Some(Ok(())),
            _ => Some(Err(io::Error::other("the write that this event was part of failed"))),
        }
    }

    pub(super) fn settle(&self, written: bool) {
        self.0.store(if written { WRITTEN } else { FAILED }, Ordering::Release);
    }
}

/// Events that wait to be written.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<(Vec<String>, Arc<Batch>)>);

impl Waiting {
    pub(super) fn put(&self, events: Vec<String>) -> Arc<Batch> {
        let mut waiting = self.lock();
        waiting.0.extend(events);
        Arc::clone(&waiting.1)
    }

    /// Everything that waits, and the batch to tell how it went.
    pub(super) fn take(&self) -> (Vec<String>, Arc<Batch>) {
        mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, (Vec<String>, Arc<Batch>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets whatever else is ready run first.
pub(crate) async fn step_aside() {
    let mut stepped = false;
    poll_fn(|cx| {
        if mem::replace(&mut stepped, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
