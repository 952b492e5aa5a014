//! What can be counted about requests without telling anything about them.
//!
//! Labels are words from our own code: services, operations, classes of results, codes of errors. Never a name, a key id, an
//! account or an address, so that whoever may read the metrics learns nothing of what is kept, and so that no caller can make
//! the number of series grow. Operations that we do not know all count as one.
//!
//! Beside the counters stands what the node is at the moment: open or sealed, since when, on how full a disk. What is not known has
//! no series, because a zero would be read as a number: a node in memory has no disk. Looking at the disk costs something and
//! everybody may ask, so it is looked at once a second at most.
//!
//! `docs/metrics.md` lists all of it for those who build on it.

use std::{
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use coffer_core::Core;
use coffer_shape::OperationSpec;
use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::Registry,
};

use crate::limits::gate::Load;

/// From a cached read to the longest request that is allowed.
const LATENCY_BUCKETS: [f64; 12] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];
/// How long a look at the disk is good for.
const VOLUME_FRESH: Duration = Duration::from_secs(1);
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

/// A gauge that has a series only while its value is known.
type Known = Family<[(&'static str, &'static str); 0], Gauge<i64, AtomicI64>>;

fn tell(gauge: &Known, value: Option<u64>) {
    match value {
        Some(value) => {
            gauge.get_or_create(&[]).set(whole(value));
        }
        None => gauge.clear(),
    }
}

fn count(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn whole(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// What the node is at the moment.
#[derive(Debug, Default)]
pub(crate) struct Now<'n> {
    pub(crate) core: Option<&'n Core>,
    pub(crate) is_ready: bool,
    pub(crate) is_sealed: bool,
    /// Since the process began.
    pub(crate) uptime: Duration,
    pub(crate) volume: Volume,
    pub(crate) load: Option<Load>,
}

/// How full the disk is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Volume {
    pub(crate) free_bytes: Option<u64>,
    pub(crate) audit_bytes: Option<u64>,
}

pub struct Metrics {
    registry: Registry,
    requests: Family<OfRequest, Counter>,
    latency: Family<OfOperation, Histogram, fn() -> Histogram>,
    in_flight: Gauge<i64, AtomicI64>,
    connections: Gauge<i64, AtomicI64>,
    connections_refused: Family<OfReason, Counter>,
    signature_failures: Family<OfCode, Counter>,
    throttled: Family<OfReason, Counter>,
    shed: Family<OfReason, Counter>,
    places: Gauge<i64, AtomicI64>,
    places_taken: Gauge<i64, AtomicI64>,
    waiting: Gauge<i64, AtomicI64>,
    brownout_step: Gauge<i64, AtomicI64>,
    audit_failures: Counter,
    panics: Counter,
    commit_groups: Counter,
    commits: Counter,
    commit_queue: Gauge<i64, AtomicI64>,
    cached_records: Gauge<i64, AtomicI64>,
    ready: Gauge<i64, AtomicI64>,
    sealed: Gauge<i64, AtomicI64>,
    uptime_seconds: Gauge<i64, AtomicI64>,
    disk_free_bytes: Known,
    audit_log_bytes: Known,
    /// The last look at the disk, and when that was.
    looked: Mutex<Option<(Duration, Volume)>>,
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
            throttled: Family::default(),
            shed: Family::default(),
            places: Gauge::default(),
            places_taken: Gauge::default(),
            waiting: Gauge::default(),
            brownout_step: Gauge::default(),
            audit_failures: Counter::default(),
            panics: Counter::default(),
            commit_groups: Counter::default(),
            commits: Counter::default(),
            commit_queue: Gauge::default(),
            cached_records: Gauge::default(),
            ready: Gauge::default(),
            sealed: Gauge::default(),
            uptime_seconds: Gauge::default(),
            disk_free_bytes: Family::default(),
            audit_log_bytes: Family::default(),
            looked: Mutex::default(),
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
        to.register("throttled", "Requests refused as too many", self.throttled.clone());
        to.register("shed", "Requests turned away for lack of room", self.shed.clone());
        to.register("places", "Requests that may be worked on at once", self.places.clone());
        to.register("places_taken", "Requests that are worked on", self.places_taken.clone());
        to.register("requests_waiting", "Requests that wait for a place", self.waiting.clone());
        to.register("brownout_step", "What is left undone: 0 nothing, to 4", self.brownout_step.clone());
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
        to.register("ready", "Whether the node takes requests: 1 or 0", self.ready.clone());
        to.register("sealed", "Whether the store is sealed: 1 or 0", self.sealed.clone());
        to.register("uptime_seconds", "Since the process began", self.uptime_seconds.clone());
        to.register(
            "disk_free_bytes",
            "Room on the file system of the data directory",
            self.disk_free_bytes.clone(),
        );
        to.register("audit_log_bytes", "Size of all files of the audit log", self.audit_log_bytes.clone());
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        to.register("build", "What is running", Info::new(version));
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

    pub(crate) fn throttled(&self, reason: &'static str) {
        self.throttled.get_or_create(&OfReason { reason }).inc();
    }

    pub(crate) fn shed(&self, reason: &'static str) {
        self.shed.get_or_create(&OfReason { reason }).inc();
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

    /// What was seen of the disk a moment ago, or what is seen now.
    pub(crate) fn volume(&self, now: Duration, look: impl FnOnce() -> Volume) -> Volume {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, volume)) = *looked
            && now.saturating_sub(at) < VOLUME_FRESH
        {
            return volume;
        }
        let volume = look();
        *looked = Some((now, volume));
        volume
    }

    /// The text that `/metrics` serves. What the core counts by itself is fetched now.
    pub(crate) fn render(&self, now: &Now<'_>) -> String {
        if let Some(core) = now.core {
            let db = core.db().metrics();
            self.commit_groups.inner().store(db.groups, Ordering::Relaxed);
            self.commits.inner().store(db.transactions, Ordering::Relaxed);
            self.commit_queue.set(i64::try_from(db.queue_depth).unwrap_or(i64::MAX));
            self.cached_records.set(i64::try_from(db.cached_records).unwrap_or(i64::MAX));
        }
        if let Some(load) = now.load {
            self.places.set(count(load.limit));
            self.places_taken.set(count(load.in_use));
            self.waiting.set(count(load.waiting));
            self.brownout_step.set(load.step.number().into());
        }
        self.ready.set(i64::from(now.is_ready));
        self.sealed.set(i64::from(now.is_sealed));
        self.uptime_seconds.set(whole(now.uptime.as_secs()));
        tell(&self.disk_free_bytes, now.volume.free_bytes);
        tell(&self.audit_log_bytes, now.volume.audit_bytes);
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
        metrics.throttled("failures");
        metrics.shed("full");
        let request = metrics.begin_request();
        assert_eq!(request.now(), 1);
        let volume = Volume { free_bytes: Some(5), audit_bytes: Some(7) };
        let uptime = Duration::from_millis(9900);
        let page = metrics.render(&Now { is_ready: true, uptime, volume, ..Now::default() });
        for line in [
            "coffer_requests_total{service=\"unknown\",operation=\"unknown\",result=\"refused\"} 1",
            "coffer_request_duration_seconds_count{service=\"unknown\",operation=\"unknown\"} 1",
            "coffer_requests_in_flight 1",
            "coffer_connections 0",
            "coffer_connections_refused_total{reason=\"address\"} 1",
            "coffer_signature_failures_total{code=\"InvalidSignatureException\"} 1",
            "coffer_throttled_total{reason=\"failures\"} 1",
            "coffer_shed_total{reason=\"full\"} 1",
            "coffer_places 0",
            "coffer_places_taken 0",
            "coffer_requests_waiting 0",
            "coffer_brownout_step 0",
            "coffer_audit_append_failures_total 0",
            "coffer_panics_total 0",
            "coffer_commit_groups_total 0",
            "coffer_commits_total 0",
            "coffer_commit_queue 0",
            "coffer_cached_records 0",
            "coffer_ready 1",
            "coffer_sealed 0",
            "coffer_uptime_seconds 9",
            "coffer_disk_free_bytes 5",
            "coffer_audit_log_bytes 7",
            concat!("coffer_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        ] {
            assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
        }
        drop(request);
        let page = metrics.render(&Now { is_sealed: true, ..Now::default() });
        assert!(page.contains("coffer_requests_in_flight 0"));
        assert!(page.contains("coffer_ready 0") && page.contains("coffer_sealed 1"), "{page}");
        for unknown in ["coffer_disk_free_bytes ", "coffer_audit_log_bytes "] {
            assert!(!page.lines().any(|line| line.starts_with(unknown)), "{page}");
        }
    }

    #[test]
    fn the_manual_lists_every_metric() {
        let manual = include_str!("../../../../docs/metrics.md");
        // What has no series yet is not on the page.
        let metrics = Metrics::default();
        metrics.answered(None, 404, Duration::ZERO);
        metrics.signature_failed("code");
        metrics.connection_refused("reason");
        metrics.throttled("reason");
        metrics.shed("reason");
        let volume = Volume { free_bytes: Some(0), audit_bytes: Some(0) };
        let page = metrics.render(&Now { volume, ..Now::default() });
        let kinds = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        let mut listed = 0;
        for (name, kind) in kinds {
            let suffix = match kind {
                "counter" => "_total",
                "info" => "_info",
                _ => "",
            };
            assert!(
                manual.contains(&format!("`{name}{suffix}`")),
                "{name}{suffix} is not in docs/metrics.md"
            );
            listed += 1;
        }
        assert_eq!(manual.matches("| `coffer_").count(), listed, "and no other");
    }

    #[test]
    fn the_disk_is_looked_at_once_a_second() {
        let metrics = Metrics::default();
        let mut looks = 0;
        for (millis, expected) in [(0, 1), (500, 1), (999, 1), (1000, 2), (1500, 2), (9000, 3)] {
            metrics.volume(Duration::from_millis(millis), || {
                looks += 1;
                Volume::default()
            });
            assert_eq!(looks, expected, "{millis}");
        }
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
