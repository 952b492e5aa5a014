//! What can be counted about requests without telling anything about them.
//!
//! Labels are words from our own code: services, operations, classes of results, codes of errors. Never a name, a key id, an
//! account or an address, so that whoever may read the metrics learns nothing of what is kept, and so that no caller can make
//! the number of series grow. Operations that we do not know all count as one.

use std::{
    fmt,
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
    time::Duration,
};

use coffer_core::Core;
use coffer_shape::OperationSpec;
use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

/// From a cached read to the longest request that is allowed.
const LATENCY_BUCKETS: [f64; 12] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];
/// Stands for everything that is not an operation of ours.
const UNKNOWN: &str = "unknown";

/// What became of a request, seen from far away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ResultClass {
    Ok,
    /// The caller's doing.
    Refused,
    /// Our doing.
    Fault,
}

impl ResultClass {
    pub(crate) const fn of_status(status: u16) -> Self {
        match status {
            ..400 => Self::Ok,
            400..500 => Self::Refused,
            _ => Self::Fault,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Fault => "fault",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRequest {
    service: &'static str,
    operation: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfOperation {
    service: &'static str,
    operation: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfCode {
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfReason {
    reason: &'static str,
}

pub struct Metrics {
    registry: Registry,
    requests: Family<OfRequest, Counter>,
    latency: Family<OfOperation, Histogram, fn() -> Histogram>,
    in_flight: Gauge<i64, AtomicI64>,
    connections: Gauge<i64, AtomicI64>,
    connections_refused: Family<OfReason, Counter>,
    signature_failures: Family<OfCode, Counter>,
    audit_failures: Counter,
    panics: Counter,
    commit_groups: Counter,
    commits: Counter,
    commit_queue: Gauge<i64, AtomicI64>,
    cached_records: Gauge<i64, AtomicI64>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

fn latency_histogram() -> Histogram {
    Histogram::new(LATENCY_BUCKETS)
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("coffer"),
            requests: Family::default(),
            latency: Family::new_with_constructor(latency_histogram),
            in_flight: Gauge::default(),
            connections: Gauge::default(),
            connections_refused: Family::default(),
            signature_failures: Family::default(),
            audit_failures: Counter::default(),
            panics: Counter::default(),
            commit_groups: Counter::default(),
            commits: Counter::default(),
            commit_queue: Gauge::default(),
            cached_records: Gauge::default(),
        };
        metrics.describe();
        metrics
    }
}

impl Metrics {
    /// The names are part of what operators build on; a test keeps them.
    fn describe(&mut self) {
        let to = &mut self.registry;
        to.register("requests", "Requests answered", self.requests.clone());
        to.register(
            "request_duration_seconds",
            "From the head of a request to its answer",
            self.latency.clone(),
        );
        to.register("requests_in_flight", "Requests being answered", self.in_flight.clone());
        to.register("connections", "Open connections", self.connections.clone());
        to.register("connections_refused", "Connections closed at once", self.connections_refused.clone());
        to.register(
            "signature_failures",
            "Requests that were not authenticated",
            self.signature_failures.clone(),
        );
        to.register(
            "audit_append_failures",
            "Answers withheld for lack of an audit record",
            self.audit_failures.clone(),
        );
        to.register("panics", "Requests that ended in a panic", self.panics.clone());
        to.register("commit_groups", "Transactions of the engine", self.commit_groups.clone());
        to.register("commits", "Transactions of requests and tasks", self.commits.clone());
        to.register("commit_queue", "Transactions waiting for the engine", self.commit_queue.clone());
        to.register("cached_records", "Records held open in memory", self.cached_records.clone());
    }

    /// One request answered. Without an operation it was refused before anybody knew what it asked.
    pub(crate) fn answered(&self, operation: Option<&OperationSpec>, status: u16, took: Duration) {
        let (service, operation) =
            operation.map_or((UNKNOWN, UNKNOWN), |spec| (spec.service.name, spec.name));
        let result = ResultClass::of_status(status).word();
        self.requests.get_or_create(&OfRequest { service, operation, result }).inc();
        self.latency.get_or_create(&OfOperation { service, operation }).observe(took.as_secs_f64());
    }

    pub(crate) fn signature_failed(&self, code: &'static str) {
        self.signature_failures.get_or_create(&OfCode { code }).inc();
    }

    pub(crate) fn connection_refused(&self, reason: &'static str) {
        self.connections_refused.get_or_create(&OfReason { reason }).inc();
    }

    pub(crate) fn audit_failed(&self) {
        self.audit_failures.inc();
    }

    pub(crate) fn panicked(&self) {
        self.panics.inc();
    }

    /// Counts one request for as long as the guard lives; the guard knows how many there are now.
    pub(crate) fn begin_request(&self) -> Counted<'_> {
        Counted { gauge: &self.in_flight, now: self.in_flight.inc() + 1 }
    }

    pub(crate) fn begin_connection(&self) -> Counted<'_> {
        Counted { gauge: &self.connections, now: self.connections.inc() + 1 }
    }

    pub(crate) fn open_connections(&self) -> usize {
        usize::try_from(self.connections.get()).unwrap_or(0)
    }

    /// The text that `/metrics` serves. What the core counts by itself is fetched now.
    pub(crate) fn render(&self, core: Option<&Core>) -> String {
        if let Some(core) = core {
            let db = core.db().metrics();
            self.commit_groups.inner().store(db.groups, Ordering::Relaxed);
            self.commits.inner().store(db.transactions, Ordering::Relaxed);
            self.commit_queue.set(i64::try_from(db.queue_depth).unwrap_or(i64::MAX));
            self.cached_records.set(i64::try_from(db.cached_records).unwrap_or(i64::MAX));
        }
        let mut page = String::new();
        // Writing into a string cannot fail.
        let _ = text::encode(&mut page, &self.registry);
        page
    }
}

/// One more of something, until dropped.
#[derive(Debug)]
pub(crate) struct Counted<'m> {
    gauge: &'m Gauge<i64, AtomicI64>,
    now: i64,
}

impl Counted<'_> {
    /// How many there were, this one included, when it began.
    pub(crate) fn now(&self) -> usize {
        usize::try_from(self.now).unwrap_or(0)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}

/// Counters are stored from outside, which only the 64-bit atomic can.
const _: fn(&Counter) -> &AtomicU64 = Counter::inner;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_these_series_and_no_others() {
        let metrics = Metrics::default();
        metrics.answered(None, 404, Duration::from_millis(3));
        metrics.signature_failed("InvalidSignatureException");
        metrics.connection_refused("address");
        let request = metrics.begin_request();
        assert_eq!(request.now(), 1);
        let page = metrics.render(None);
        for line in [
            "coffer_requests_total{service=\"unknown\",operation=\"unknown\",result=\"refused\"} 1",
            "coffer_request_duration_seconds_count{service=\"unknown\",operation=\"unknown\"} 1",
            "coffer_requests_in_flight 1",
            "coffer_connections 0",
            "coffer_connections_refused_total{reason=\"address\"} 1",
            "coffer_signature_failures_total{code=\"InvalidSignatureException\"} 1",
            "coffer_audit_append_failures_total 0",
            "coffer_panics_total 0",
            "coffer_commit_groups_total 0",
            "coffer_commits_total 0",
            "coffer_commit_queue 0",
            "coffer_cached_records 0",
        ] {
            assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
        }
        drop(request);
        assert!(metrics.render(None).contains("coffer_requests_in_flight 0"));
    }

    #[test]
    fn results_fall_into_three_classes() {
        for (status, class) in
            [(200, ResultClass::Ok), (400, ResultClass::Refused), (503, ResultClass::Fault)]
        {
            assert_eq!(ResultClass::of_status(status), class);
        }
    }
}
