//! How many requests may be worked on at the same time, found by trying.
//!
//! More at a time give more answers until something is used up; from there on each only takes longer. So the limit grows by a little
//! while half of all requests take as long as they usually do, and shrinks by as much as they take longer (a gradient, as TCP Vegas
//! has it). What takes long by itself does not count: it is the middle that is looked at.
//!
//! What this does not know: the clock, and what a request is.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

/// Latencies are counted in classes, four to each doubling, from a microsecond to more than a minute.
const CLASSES_PER_DOUBLING: u32 = 4;
const CLASSES: usize = 27 * 4;
/// A middle of fewer requests says little.
const SAMPLES_MIN: u32 = 50;
/// As long as the middle is below so many times the usual, nothing is wrong.
const TOLERANCE: f64 = 2.0;
/// How fast the usual becomes what is seen, for each look: half of it in half a minute, so that a crowd is not soon taken for usual.
const DRIFT: f64 = 0.002;
/// How much of the way to where the gradient points is gone at once.
const STEP: f64 = 0.2;

#[derive(Debug)]
pub(crate) struct Concurrency {
    least: usize,
    most: usize,
    limit: AtomicUsize,
    /// The most that were worked on at once since the last look.
    peak: AtomicUsize,
    classes: [AtomicU32; CLASSES],
    usual_us: Mutex<Option<f64>>,
}

impl Concurrency {
    /// It begins with the least, because more are of use only where requests wait for something that is no processor.
    pub(crate) fn new(least: usize, most: usize) -> Self {
        Self {
            least: least.min(most),
            most,
            limit: AtomicUsize::new(least.min(most)),
            peak: AtomicUsize::new(0),
            classes: std::array::from_fn(|_| AtomicU32::new(0)),
            usual_us: Mutex::default(),
        }
    }

    /// Nothing is to be found by trying.
    pub(crate) fn fixed(limit: usize) -> Self {
        Self::new(limit, limit)
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit.load(Ordering::SeqCst)
    }

    /// One more is worked on, with so many now.
    pub(crate) fn began(&self, in_use: usize) {
        if in_use > self.peak.load(Ordering::Relaxed) {
            self.peak.fetch_max(in_use, Ordering::Relaxed);
        }
    }

    pub(crate) fn took(&self, took: Duration) {
        if let Some(class) = self.classes.get(class_of(took)) {
            class.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Sets the limit by what was seen since the last look.
    pub(crate) fn look(&self) {
        let counts: Vec<u32> = self.classes.iter().map(|class| class.swap(0, Ordering::Relaxed)).collect();
        let peak = self.peak.swap(0, Ordering::Relaxed);
        let total: u32 = counts.iter().fold(0, |sum, count| sum.saturating_add(*count));
        if total < SAMPLES_MIN {
            return;
        }
        let middle = middle_us(&counts, total);
        let mut usual = self.usual_us.lock().unwrap_or_else(PoisonError::into_inner);
        let before = usual.unwrap_or(middle);
        // What becomes faster is the new usual at once; what becomes slower may be our own doing.
        let now = if middle < before { middle } else { before + (middle - before) * DRIFT };
        *usual = Some(now);
        let next = next_limit(self.limit(), peak, middle / now.max(1.0));
        self.limit.store(next.clamp(self.least, self.most), Ordering::SeqCst);
    }
}

/// Where the limit goes when the middle takes so many times as long as usual.
fn next_limit(limit: usize, peak: usize, slower: f64) -> usize {
    let now = f64::from(u32::try_from(limit).unwrap_or(u32::MAX));
    let gradient = (TOLERANCE / slower.max(0.01)).clamp(0.5, 1.0);
    let target = now * gradient + now.sqrt();
    // A limit that nobody comes near has not been tried, so it says nothing for more.
    if target > now && peak < limit.div_ceil(2) {
        return limit;
    }
    let next = now + (target - now) * STEP;
    let next = if target > now { next.ceil() } else { next.floor() };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between zero and twice a u32"
    )]
    let next = next as usize;
    next
}

fn class_of(took: Duration) -> usize {
    let us = u32::try_from(took.as_micros()).unwrap_or(u32::MAX).max(1);
    let doubling = us.ilog2();
    // The two bits behind the first say which quarter of the doubling it is.
    let aligned = if doubling < 2 { us << (2 - doubling) } else { us >> (doubling - 2) };
    let quarter = aligned & (CLASSES_PER_DOUBLING - 1);
    usize::try_from(doubling * CLASSES_PER_DOUBLING + quarter).unwrap_or(CLASSES).min(CLASSES - 1)
}

/// Where a class begins.
fn us_of(class: usize) -> f64 {
    let class = u32::try_from(class).unwrap_or(0);
    let (doubling, quarter) = (class / CLASSES_PER_DOUBLING, class % CLASSES_PER_DOUBLING);
    f64::from(1_u32 << doubling) * (1.0 + f64::from(quarter) / f64::from(CLASSES_PER_DOUBLING))
}

fn middle_us(counts: &[u32], total: u32) -> f64 {
    let mut seen = 0_u32;
    for (class, count) in counts.iter().enumerate() {
        seen = seen.saturating_add(*count);
        if seen > total / 2 {
            return us_of(class);
        }
    }
    us_of(CLASSES - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn us(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    /// Serves a hundred requests at the limit, each of which takes so long for each that is worked on beside it beyond what there is
    /// room for.
    fn look(limits: &Concurrency, room: usize, alone_us: u64) {
        let in_use = limits.limit();
        limits.began(in_use);
        let crowd = in_use.div_ceil(room).max(1) as u64;
        for _ in 0..100 {
            limits.took(us(alone_us * crowd));
        }
        limits.look();
    }

    #[test]
    fn classes_are_a_fifth_wide_and_in_order() {
        for micros in [1, 2, 3, 4, 5, 7, 8, 40, 100, 999, 5_000, 1_000_000, 60_000_000] {
            let (class, next) = (us_of(class_of(us(micros))), us_of(class_of(us(micros)) + 1));
            #[expect(clippy::cast_precision_loss, reason = "they are small")]
            let micros = micros as f64;
            assert!(class <= micros && micros <= next, "{micros} in {class}..{next}");
        }
        assert_eq!(class_of(Duration::from_secs(3_600)), CLASSES - 1);
    }

    #[test]
    fn the_limit_falls_to_where_more_would_only_take_longer() {
        let limits = Concurrency::new(64, 4_096);
        // The usual is learnt while few ask.
        for _ in 0..60 {
            limits.took(us(100));
        }
        limits.look();
        assert_eq!(limits.limit(), 64, "nobody came near it");
        for _ in 0..100 {
            look(&limits, 300, 100);
        }
        let found = limits.limit();
        assert!((300..=1_200).contains(&found), "{found}");
    }

    #[test]
    fn it_keeps_its_bounds_and_comes_back() {
        let limits = Concurrency::new(64, 512);
        look(&limits, 10_000, 100);
        for _ in 0..200 {
            look(&limits, 1, 1_000);
        }
        assert_eq!(limits.limit(), 64);
        for _ in 0..200 {
            look(&limits, 10_000, 100);
        }
        assert_eq!(limits.limit(), 512);
    }

    #[test]
    fn what_is_not_tried_is_not_raised_and_a_few_requests_say_nothing() {
        assert_eq!(next_limit(100, 10, 1.0), 100);
        assert_eq!(next_limit(100, 60, 1.0), 102);
        assert!(next_limit(100, 10, 8.0) < 100);
        let limits = Concurrency::new(64, 512);
        for _ in 0..SAMPLES_MIN - 1 {
            limits.took(us(100));
        }
        limits.look();
        assert!(limits.usual_us.lock().unwrap().is_none());
    }
}
