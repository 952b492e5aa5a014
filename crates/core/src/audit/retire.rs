//! Segments go when they are too old, or when all of them together are too large.
//!
//! Whole segments only, the oldest first, and never the newest: it is the one that is written, and its number is the one that the
//! next process counts on from. Before a segment is deleted it is read to its end, and an event that names it and carries the last
//! link of its chain is appended and synced. So the log itself says what is no longer in it, and verification can tell a log whose
//! beginning was retired from one whose beginning was taken away.
//!
//! Reading is done in pieces, one a step. What was read is kept in memory only: after a crash the task reads again, and if the
//! event was written already and the file is still there, the event is written twice, which is harmless.
//!
//! Age is told by the sealed events and not by the times of files, which a copy changes. The first event of a later segment was
//! written after every event of an earlier one.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use coffer_shape::ApiError;
use coffer_types::{RequestId, Timestamp, encoding::HEXLOWER};

use super::{
    event::{EventKind, Outcome, ServiceEvent},
    segment::{HEADER_LEN, PIECE_LEN, Walk, segment_name, segment_number},
};
use crate::{AuditLog, Caller, Cx, Next, Scope, Task};

pub(super) const EVENT_SOURCE: &str = "coffer.internal";
pub(super) const EVENT_NAME: &str = "AuditSegmentRetired";
/// A busy server fills a segment in a minute.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Segments without a single event, as a crash leaves them, do not tell when they were begun. More in a row are not looked at.
const LATER_SEGMENTS_MAX: usize = 8;

/// How much of the audit log is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// A segment goes when all of its events are older.
    pub age_max: Duration,
    /// The oldest segments go when all of them together are larger.
    pub bytes_max: u64,
}

/// The task that deletes segments.
pub(crate) struct Retirement {
    log: Arc<AuditLog>,
    retention: Retention,
    at_work: Mutex<Option<Reading>>,
}

/// A segment on its way out.
struct Reading {
    number: u64,
    reason: &'static str,
    offset: u64,
    walk: Option<Walk>,
    /// The time of its last event, as that writes it.
    until: String,
}

impl Retirement {
    /// Nothing for a log that keeps everything.
    pub(crate) fn of(log: &Arc<AuditLog>) -> Option<Self> {
        let retention = log.retention()?;
        Some(Self { log: Arc::clone(log), retention, at_work: Mutex::default() })
    }

    fn work(&self, cx: &Cx<'_>) -> io::Result<Next> {
        // Taken, and put back only if all went well: after a failure it begins anew.
        let mut at_work = self.at_work.lock().unwrap_or_else(PoisonError::into_inner);
        let reading = match at_work.take() {
            Some(reading) => Some(reading),
            None => self.oldest_due(cx.now())?,
        };
        let Some(mut reading) = reading else { return Ok(Next::At(cx.now().plus(LOOK_EVERY))) };
        match reading.advance(&self.log) {
            Ok(true) => *at_work = Some(reading),
            Ok(false) => self.retire(cx, &reading, None)?,
            Err(Trouble::Damaged(problem)) => self.retire(cx, &reading, Some(problem))?,
            Err(Trouble::Unread(error)) => return Err(error),
        }
        Ok(Next::Now)
    }

    /// The oldest segment, if it has to go.
    fn oldest_due(&self, now: Timestamp) -> io::Result<Option<Reading>> {
        let files = self.log.files();
        let mut numbers: Vec<_> = files.list()?.iter().filter_map(|name| segment_number(name)).collect();
        numbers.sort_unstable();
        let Some((&oldest, later)) = numbers.split_first().filter(|(_, later)| !later.is_empty()) else {
            return Ok(None);
        };
        let mut bytes = 0_u64;
        for number in &numbers {
            bytes = bytes.saturating_add(files.length(&segment_name(*number))?);
        }
        let reason = if bytes > self.retention.bytes_max {
            "size"
        } else if self.begun_at(later)?.is_some_and(|at| at < now.minus(self.retention.age_max)) {
            "age"
        } else {
            return Ok(None);
        };
        Ok(Some(Reading { number: oldest, reason, offset: 0, walk: None, until: String::new() }))
    }

    /// When the first event of these segments was written.
    fn begun_at(&self, numbers: &[u64]) -> io::Result<Option<Timestamp>> {
        for number in numbers.iter().take(LATER_SEGMENTS_MAX) {
            let bytes = self.log.files().read_part(&segment_name(*number), 0, HEADER_LEN + PIECE_LEN)?;
            let Some(mut walk) = Walk::begin(self.log.barrier(), &bytes) else { continue };
            let frames = bytes.get(HEADER_LEN..).unwrap_or_default();
            let mut first = None;
            let opened =
                walk.advance_one(frames, &mut |event| first = time_of(event).map(Timestamp::parse_iso));
            if let (Ok(_), Some(Ok(first))) = (opened, first) {
                return Ok(Some(first));
            }
        }
        Ok(None)
    }

    /// Says that the segment goes, and lets it go.
    fn retire(&self, cx: &Cx<'_>, reading: &Reading, problem: Option<String>) -> io::Result<()> {
        let name = segment_name(reading.number);
        let mut details = vec![
            ("segment", name.clone()),
            ("reason", reading.reason.to_owned()),
            ("events", reading.walk.as_ref().map_or(0, Walk::events).to_string()),
        ];
        details.extend(reading.walk.as_ref().map(|walk| ("chain", HEXLOWER.encode(walk.chain()))));
        details.push(("until", reading.until.clone()));
        details.extend(problem.map(|problem| ("problem", problem)));
        let event =
            ServiceEvent { kind: EventKind::Service, source: EVENT_SOURCE, name: EVENT_NAME, details };
        let id = RequestId::random(cx.entropy());
        let caller = Caller::service(cx.account(), cx.region().clone(), EVENT_SOURCE, id);
        let event = Outcome::new(&caller, cx.now()).service(&event, cx.region(), cx.uuid());

        self.log.append_synced(&[event])?;
        let _held = self.log.hold_segments();
        self.log.files().remove(&name)?;
        tracing::info!(segment = name, reason = reading.reason, "an audit segment was retired");
        Ok(())
    }
}

enum Trouble {
    Unread(io::Error),
    Damaged(String),
}

impl Reading {
    /// Reads one piece, and answers whether there are more.
    fn advance(&mut self, log: &AuditLog) -> Result<bool, Trouble> {
        let name = segment_name(self.number);
        let piece = log.files().read_part(&name, self.offset, PIECE_LEN).map_err(Trouble::Unread)?;
        let Some(walk) = &mut self.walk else {
            self.walk = Walk::begin(log.barrier(), &piece);
            self.offset = HEADER_LEN as u64;
            return match &self.walk {
                Some(_) => Ok(true),
                None if piece.len() < HEADER_LEN => Ok(false),
                None => Err(Trouble::Damaged(String::from("not an audit segment"))),
            };
        };
        let until = &mut self.until;
        let note = &mut |event: &str| {
            until.clear();
            until.push_str(time_of(event).unwrap_or_default());
        };
        let whole = walk.advance(&piece, note).map_err(Trouble::Damaged)?;
        self.offset += whole as u64;
        // Bytes that are no whole frame, though a whole one would fit, were cut off by a crash.
        Ok(whole > 0)
    }
}

impl Task for Retirement {
    const NAME: &'static str = "audit-retirement";
    const SCOPE: Scope = Scope::Store;

    fn step(&self, cx: &mut Cx<'_>) -> Result<Next, ApiError> {
        self.work(cx).map_err(|error| cx.internal(error))
    }
}

pub(super) fn time_of(event: &str) -> Option<&str> {
    text_of(event, "\"eventTime\":\"")
}

/// The plain text after a name that stands in the event once.
pub(super) fn text_of<'e>(event: &'e str, name: &str) -> Option<&'e str> {
    let (_, rest) = event.split_once(name)?;
    rest.split_once('"').map(|(text, _)| text)
}
