//! Long walks and long calculations, a few at a time.
//!
//! A walk over a large list may take a while, and so does making an RSA key. On a thread that also serves everybody else's requests
//! they would all wait, so the runtime is told to serve them elsewhere. Each such thread is one of a few hundred, and none of them may
//! be spent on waiting: a call waits for its turn as a future, before its handler runs, and gives up with whoever asked. As many have
//! one at once as there are processors; as many wait as can be served soon, and the others are told to try again.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread::available_parallelism,
};

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::{Semaphore, SemaphorePermit},
};

/// A walk takes a second at most, see [`crate::Cx::has_run_long`].
const WAITING_MAX: usize = 64;

#[derive(Debug)]
pub(crate) struct Turns {
    free: Semaphore,
    waiting: AtomicUsize,
}

#[derive(Debug)]
pub(crate) struct Turn<'a>(
    #[expect(dead_code, reason = "given back when it is dropped")] SemaphorePermit<'a>,
);

impl Turns {
    pub(super) fn new() -> Self {
        let processors = available_parallelism().map_or(1, usize::from);
        Self { free: Semaphore::new(processors), waiting: AtomicUsize::new(0) }
    }

    /// Waits for a turn; nothing if too many wait already.
    pub(crate) async fn take(&self) -> Option<Turn<'_>> {
        let _waiting = Waiting::begin(&self.waiting)?;
        self.free.acquire().await.ok().map(Turn)
    }
}

/// Counted down also when the waiting is given up.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicUsize) -> Option<Self> {
        let waiting = Self(count);
        (count.fetch_add(1, Ordering::Relaxed) < WAITING_MAX).then_some(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Runs what takes long where nobody else's requests wait for it.
pub(crate) fn off_the_runtime<T>(run: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(run),
        // There is nobody else on this thread.
        _ => run(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_finds_too_many_waiting_is_told_at_once() {
        let turns = Turns { free: Semaphore::new(1), waiting: AtomicUsize::new(0) };
        let first = turns.take().await.unwrap();
        let waiting: Vec<_> = (0..WAITING_MAX).map(|_| Box::pin(turns.take())).collect();
        let mut waiting: Vec<_> = waiting.into_iter().map(tokio_test_poll).collect();
        assert!(turns.take().await.is_none());
        // One who gives up makes room for another.
        drop(waiting.pop());
        let mut late = tokio_test_poll(Box::pin(turns.take()));
        assert!(turns.take().await.is_none());
        drop(first);
        drop(waiting);
        assert!(late.as_mut().await.is_some());
        assert_eq!(turns.waiting.load(Ordering::Relaxed), 0);
    }

    /// Polls once, so that the waiting begins.
    fn tokio_test_poll<F: Future + Unpin>(mut future: F) -> F {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(std::pin::Pin::new(&mut future).poll(&mut cx).is_pending());
        future
    }
}
