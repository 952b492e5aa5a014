//! Long walks, a few at a time.
//!
//! A walk over a large list may take tens of milliseconds. On a thread that also serves everybody else's requests they would
//! all wait, so the runtime is told to serve them elsewhere; and since that alone would let many walks crowd out the processors,
//! only as many run at once as there are processors, and the others wait for their turn.

use std::{
    sync::{Condvar, Mutex, PoisonError},
    thread::available_parallelism,
};

use tokio::runtime::{Handle, RuntimeFlavor};

#[derive(Debug)]
pub(super) struct Turns {
    free: Mutex<usize>,
    one_is_free: Condvar,
}

impl Turns {
    pub(super) fn new() -> Self {
        Self { free: Mutex::new(available_parallelism().map_or(1, usize::from)), one_is_free: Condvar::new() }
    }

    pub(super) fn take<T>(&self, run: impl FnOnce() -> T) -> T {
        match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
            Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(|| self.in_turn(run)),
            // There is nobody else on this thread whose requests could wait.
            _ => self.in_turn(run),
        }
    }

    fn in_turn<T>(&self, run: impl FnOnce() -> T) -> T {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free =
            self.one_is_free.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        drop(free);
        let _turn = Turn(self);
        run()
    }
}

/// Given back also by a walk that panics.
struct Turn<'a>(&'a Turns);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.one_is_free.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn no_more_run_at_once_than_there_are_processors() {
        let turns = Arc::new(Turns { free: Mutex::new(2), one_is_free: Condvar::new() });
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let walks = (0..16).map(|_| {
            let (turns, running, most) = (Arc::clone(&turns), Arc::clone(&running), Arc::clone(&most));
            tokio::spawn(async move {
                turns.take(|| {
                    most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::yield_now();
                    running.fetch_sub(1, Ordering::SeqCst);
                });
            })
        });
        for walk in walks.collect::<Vec<_>>() {
            walk.await.unwrap();
        }
        assert!((1..=2).contains(&most.load(Ordering::SeqCst)));
        assert_eq!(*turns.free.lock().unwrap(), 2);
    }

    #[test]
    fn a_turn_ends_with_a_panic_too() {
        let turns = Turns { free: Mutex::new(1), one_is_free: Condvar::new() };
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| turns.take(|| panic!("a walk failed"))))
            .unwrap_err();
        assert_eq!(turns.take(|| 7), 7);
    }
}
