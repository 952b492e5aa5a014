//! A doorbell: something was committed, look again.
//!
//! It carries no content, because a listener that trusted the content would break on the first lost message. A
//! listener reads the change log from where it stands; the bell only saves it from asking too often.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::Duration,
};

#[derive(Debug, Default)]
struct Rings {
    count: Mutex<u64>,
    rung: Condvar,
}

/// The engine's end.
#[derive(Debug, Default, Clone)]
pub(crate) struct Bell(Arc<Rings>);

impl Bell {
    pub(crate) fn ring(&self) {
        let mut count = self.0.count.lock().unwrap_or_else(PoisonError::into_inner);
        *count = count.wrapping_add(1);
        drop(count);
        self.0.rung.notify_all();
    }

    pub(crate) fn waker(&self) -> Waker {
        let seen = *self.0.count.lock().unwrap_or_else(PoisonError::into_inner);
        Waker { rings: Arc::clone(&self.0), seen }
    }
}

/// The listener's end. It hears commits made after it was taken.
#[derive(Debug)]
pub struct Waker {
    rings: Arc<Rings>,
    seen: u64,
}

impl Waker {
    /// Waits for a commit since the last call, at most this long; answers whether there was one.
    pub fn wait(&mut self, at_most: Duration) -> bool {
        let count = self.rings.count.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = self.seen;
        let (count, _) = self
            .rings
            .rung
            .wait_timeout_while(count, at_most, |count| *count == seen)
            .unwrap_or_else(PoisonError::into_inner);
        let rung = *count != seen;
        self.seen = *count;
        rung
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_is_heard_once() {
        let bell = Bell::default();
        let mut waker = bell.waker();
        assert!(!waker.wait(Duration::ZERO));
        bell.ring();
        bell.ring();
        assert!(waker.wait(Duration::from_secs(60)));
        assert!(!waker.wait(Duration::ZERO));
    }
}
