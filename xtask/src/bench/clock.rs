//! The clock of a measurement.
//!
//! Everywhere else time is an argument so that tests can own it. Here real time is what is asked about, so this is the one place
//! of the chores that reads it. It counts from its own start, because durations are all that a measurement needs; the date
//! is for signatures and for the page.

use std::time::{Duration, Instant, SystemTime};

use coffer_types::Timestamp;

#[derive(Debug, Clone, Copy)]
pub struct Stopwatch {
    started: Instant,
}

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "a measurement is about the time of the machine")]
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }

    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

/// The date, for signatures and for the page.
pub fn now() -> Timestamp {
    #[expect(
        clippy::disallowed_methods,
        reason = "servers compare the date of a signature with their own clock"
    )]
    let now = SystemTime::now();
    Timestamp::EPOCH.plus(now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}
