//! Where the log ended at least, remembered in the store.
//!
//! Each segment says how the one before it ended, and nobody says it of the newest: its end could be cut off, or the whole of it taken
//! away, and look like a crash. So the store keeps a record of how far the log had come, written after that much of the log was
//! synced, and verification holds the log against it. While a server runs it is at most a second behind; a server that is stopped
//! leaves it exact. The next process compares before it forgets, and puts on record what it finds. Whoever wants to shorten the log has to put back an old store as well, with every secret as it was then.

use std::io;

use coffer_barrier::Barrier;
use coffer_shape::ApiError;
use coffer_store::{Key, KeyRange, Partition};
use coffer_types::encoding::HEXLOWER;

use super::{
    retire::EVENT_SOURCE,
    segment::{Link, chain_after, segment_name, segment_number},
};
use crate::{
    AuditLog, Caller, Core, Cx, EventKind, Examined, Past, Record, ServiceEvent,
    cx::{INTERNAL, INTERNAL_MESSAGE},
    db::turns::off_the_runtime,
    record::open_record,
};

const NAME: &str = "end";
/// The name of the event that says so when a process finds the log shorter than it was.
pub(super) const SHORTENED: &str = "AuditLogShortened";

crate::table! {
    0x0002 "audit_end", version 1, key (name), part;
    /// How far the audit log had come.
    pub struct AuditEndRecord {
        pub name: String,
        pub segment: i64,
        pub events: i64,
        /// The link after so many events, as hexadecimal digits.
        pub chain: String,
    }
}

impl AuditEndRecord {
    /// Where such records lie in a partition.
    pub fn range() -> KeyRange {
        KeyRange::prefix(&Self::TABLE.id.to_be_bytes())
    }
}

impl Examined for AuditEndRecord {
    fn shown(&self) -> &str {
        "the end of the audit log"
    }

    fn contradictions(&self) -> Vec<&'static str> {
        match AuditEnd::of(self) {
            Some(_) => Vec::new(),
            None => vec!["an end of the audit log that is none"],
        }
    }
}

/// A place in the log: so many events of a segment, and the link after the last of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEnd {
    segment: u64,
    events: u64,
    chain: Link,
}

impl AuditEnd {
    pub(super) const fn new(segment: u64, events: u64, chain: Link) -> Self {
        Self { segment, events, chain }
    }

    fn of(record: &AuditEndRecord) -> Option<Self> {
        let number = |number: i64| u64::try_from(number).ok();
        Self::from_parts(number(record.segment)?, number(record.events)?, &record.chain)
    }

    /// As it travels between processes of this machine.
    pub fn from_parts(segment: u64, events: u64, chain: &str) -> Option<Self> {
        let chain = HEXLOWER.decode(chain.as_bytes()).ok()?;
        Some(Self { segment, events, chain: chain.as_slice().try_into().ok()? })
    }

    /// What an entry of a store in [`AuditEndRecord::range`] remembers; nothing if it does not open.
    pub fn open(barrier: &Barrier, partition: &Partition, key: &Key, value: &[u8]) -> Option<Self> {
        let table = AuditEndRecord::TABLE.id;
        let (version, _, bytes) = open_record(barrier, partition, table, key.as_bytes(), value).ok()?;
        Self::of(&AuditEndRecord::from_stored(version, bytes.expose()).ok()?)
    }

    pub const fn segment(&self) -> u64 {
        self.segment
    }

    pub const fn events(&self) -> u64 {
        self.events
    }

    pub fn chain(&self) -> String {
        HEXLOWER.encode(&self.chain)
    }

    /// Whether these bytes of the segment come to this place.
    pub fn is_on(&self, barrier: &Barrier, bytes: &[u8]) -> bool {
        chain_after(barrier, bytes, self.events) == Some(self.chain)
    }

    /// Keeps it. Nothing that is saved for it goes backwards: segments only grow, and so do their numbers.
    pub(crate) fn save(&self, cx: &mut Cx<'_>) -> Result<(), ApiError> {
        let [segment, events] = [self.segment, self.events].map(i64::try_from);
        let record = AuditEndRecord {
            name: NAME.to_owned(),
            segment: segment.map_err(|error| cx.internal(error))?,
            events: events.map_err(|error| cx.internal(error))?,
            chain: self.chain(),
        };
        cx.save(record)
    }
}

impl AuditLog {
    /// Whether the files of earlier processes do not come as far as this. A segment before the oldest was retired.
    fn falls_short(&self, end: &AuditEnd) -> bool {
        let name = segment_name(end.segment);
        match self.files().read(&name) {
            Ok(bytes) => !end.is_on(self.barrier(), &bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let names = self.files().list().unwrap_or_default();
                names
                    .iter()
                    .filter_map(|name| segment_number(name))
                    .min()
                    .is_none_or(|oldest| oldest < end.segment)
            }
            Err(_) => true,
        }
    }
}

impl Core {
    /// Puts on record, for ever, that the log does not reach any more what the store remembers of an earlier process.
    async fn compare_with_remembered(&self, caller: &Caller) -> Result<(), ApiError> {
        let short = |end: &AuditEnd| off_the_runtime(|| self.audit().falls_short(end));
        self.run_local(caller, |cx| {
            let Some(record) = cx.part::<AuditEndRecord>(&[NAME])? else { return Ok(()) };
            let Some(end) = AuditEnd::of(&record).filter(|end| short(end)) else { return Ok(()) };
            tracing::error!(
                segment = segment_name(end.segment),
                events = end.events,
                "the audit log was shortened while no server ran; run coffer audit verify"
            );
            cx.record_event(ServiceEvent {
                kind: EventKind::Service,
                source: EVENT_SOURCE,
                name: SHORTENED,
                details: vec![
                    ("segment", segment_name(end.segment)),
                    ("events", end.events.to_string()),
                    ("chain", end.chain()),
                ],
            });
            Ok(())
        })
        .await
    }

    /// Lets the store remember how far the audit log has come, if it has come further since. Not for a log that is not kept.
    pub async fn remember_audit_end(&self, caller: &Caller) -> Result<(), ApiError> {
        let failed = |error: io::Error| ApiError::new(INTERNAL, INTERNAL_MESSAGE).because(error);
        let Some(end) = self.audit().end() else { return Ok(()) };
        let known = self.audit().remembered().clone();
        match known {
            Some(known) if known == end => return Ok(()),
            Some(_) => {}
            // The first time of this process: what was remembered before is about to be forgotten, so it is looked at now.
            None => self.compare_with_remembered(caller).await?,
        }
        // Synced first: a store that remembers more than a loss of power left would accuse somebody.
        off_the_runtime(|| self.audit().sync()).map_err(failed)?;
        self.run_local(caller, |cx| end.save(cx)).await?;
        *self.audit().remembered() = Some(end);
        Ok(())
    }
}
