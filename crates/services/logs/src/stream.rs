//! A stream, and how events are added to it.
//!
//! New events go behind those that are there, whatever their time: first into the last batch while there is room, then into new ones. So
//! most writes touch the stream, one page of its index and one batch.

use std::sync::Arc;

use coffer_core::{Cx, Listed, Place as Order, table};
use coffer_shape::ApiError;
use coffer_types::{Secret, Timestamp};

use crate::{
    batch::{BatchRecord, EntryRecord, EventRecord, IndexRecord, PieceRecord},
    error::LogsError,
    group::GroupRecord,
    place::Place,
};

/// What AWS counts for an event beside its message.
pub(crate) const EVENT_BYTES: usize = 26;
/// A batch takes no more once it has so much. A record of the store has room for twice of it.
const BATCH_BYTES: usize = 48 * 1024;
const BATCH_EVENTS: usize = 1000;
/// A longer message lies in several records.
const PIECE_BYTES: usize = 32 * 1024;
const PAGE_BATCHES: usize = 128;
/// A batch goes as a whole when it is too old, so its events are near to each other.
const BATCH_SPAN_MS: i64 = 60 * 60 * 1000;
/// Ours: a stream of so many pages is some gigabytes. Whoever clears up reads all of them in one transaction.
const PAGES_MAX: i64 = 900;

table! {
    0x51 "log-stream", version 1, key (group, name), part;

    #[derive(Clone)]
    pub struct StreamRecord {
        /// The id of the group.
        pub group: String,
        pub name: String,
        /// Twenty digits, which are part of the ids of its events. Its batches belong to this, and not to the name.
        pub id: String,
        pub created_at: Timestamp,
        pub first_event: Option<i64>,
        pub last_event: Option<i64>,
        pub ingested_at: Option<i64>,
        pub bytes: i64,
        /// Of the index: those before `first_page` are gone, and `pages` is the number of the next.
        pub first_page: i64,
        pub pages: i64,
        /// The number of the next batch.
        pub batches: i64,
        /// No batch ends before this time, unless it was grown into since.
        pub oldest_end: Option<i64>,
    }
}

impl Listed for StreamRecord {
    const ORDERS: usize = 1;

    fn place(&self, _: usize) -> Order<'_> {
        Order { number: None, text: &self.group, tie: &self.name }
    }
}

impl StreamRecord {
    pub(crate) fn number(&self) -> u64 {
        self.id.parse().unwrap_or_default()
    }

    pub(crate) fn page_numbers(&self) -> impl DoubleEndedIterator<Item = String> + use<> {
        (self.first_page..self.pages).map(|page| page.to_string())
    }

    /// When it was last written to, for orders.
    pub(crate) fn last_time(&self) -> i64 {
        self.last_event.unwrap_or(self.created_at.millis())
    }
}

pub(crate) fn find(
    cx: &Cx<'_>,
    group: &GroupRecord,
    name: &str,
) -> Result<Option<Arc<StreamRecord>>, ApiError> {
    cx.part::<StreamRecord>(&[&group.id, name])
}

pub(crate) fn existing(cx: &Cx<'_>, group: &GroupRecord, name: &str) -> Result<Arc<StreamRecord>, ApiError> {
    Ok(find(cx, group, name)?.ok_or(LogsError::NoStream)?)
}

/// A new stream of this name, which is not saved yet.
pub(crate) fn new(cx: &Cx<'_>, group: &GroupRecord, name: String) -> StreamRecord {
    let mut drawn = [0; 8];
    cx.entropy().fill(&mut drawn);
    StreamRecord {
        group: group.id.clone(),
        name,
        id: format!("{:020}", u64::from_be_bytes(drawn)),
        created_at: cx.now(),
        ..StreamRecord::default()
    }
}

/// An event that somebody sends.
#[derive(Debug)]
pub(crate) struct New {
    pub at: i64,
    pub message: Secret<String>,
}

impl New {
    pub(crate) fn bytes(&self) -> usize {
        self.message.expose().len().saturating_add(EVENT_BYTES)
    }
}

/// Adds events, which are in order of time. Answers where the last one stands.
pub(crate) fn append(
    cx: &mut Cx<'_>,
    stream: &StreamRecord,
    events: Vec<New>,
) -> Result<Option<Place>, ApiError> {
    let mut writer = Writer::open(cx, stream.clone())?;
    let mut last = None;
    for event in events {
        last = Some(writer.add(cx, event)?);
    }
    writer.close(cx)?;
    Ok(last)
}

/// The end of a stream while events are added to it.
struct Writer {
    stream: StreamRecord,
    page: IndexRecord,
    batch: BatchRecord,
    entry: EntryRecord,
    /// Bytes that lie in the batch itself.
    kept: usize,
    now: i64,
}

impl Writer {
    fn open(cx: &Cx<'_>, stream: StreamRecord) -> Result<Self, ApiError> {
        let now = cx.now().millis();
        let last = stream.pages.saturating_sub(1).to_string();
        let page = cx.part::<IndexRecord>(&[&stream.id, &last])?;
        let page = page.map(|page| (*page).clone()).filter(|page| !page.batches.is_empty());
        let Some(mut page) = page else {
            // Whatever was in the last page is gone, so the next one begins anew.
            let mut stream = stream;
            let page = Self::fresh_page(&mut stream)?;
            let (batch, entry) = (BatchRecord::default(), EntryRecord::default());
            let mut writer = Self { stream, page, batch, entry, kept: 0, now };
            writer.begin();
            return Ok(writer);
        };
        let entry = page.batches.pop().unwrap_or_default();
        let number = entry.number.to_string();
        let found = cx.part::<BatchRecord>(&[&stream.id, &number])?;
        let found = found.ok_or_else(|| cx.internal("a batch of a log stream is missing"))?;
        let events: Vec<EventRecord> = found.events.iter().map(copy).collect();
        let kept = events.iter().map(|event| weight(event.message.expose())).sum();
        let batch = BatchRecord { stream: stream.id.clone(), number, page: page.page.clone(), events };
        Ok(Self { stream, page, batch, entry, kept, now })
    }

    fn fresh_page(stream: &mut StreamRecord) -> Result<IndexRecord, LogsError> {
        if stream.pages.saturating_sub(stream.first_page) >= PAGES_MAX {
            return Err(LogsError::StreamFull);
        }
        let page = stream.pages.to_string();
        stream.pages = stream.pages.saturating_add(1);
        Ok(IndexRecord { stream: stream.id.clone(), page, batches: Vec::new() })
    }

    /// The next batch, on the page that is open.
    fn begin(&mut self) {
        let number = self.stream.batches;
        self.stream.batches = number.saturating_add(1);
        self.entry = EntryRecord { number, from: i64::MAX, until: i64::MIN, ..EntryRecord::default() };
        self.kept = 0;
        self.batch = BatchRecord {
            stream: self.stream.id.clone(),
            number: number.to_string(),
            page: self.page.page.clone(),
            events: Vec::new(),
        };
    }

    fn add(&mut self, cx: &mut Cx<'_>, event: New) -> Result<Place, ApiError> {
        let bytes = i64::try_from(event.bytes()).unwrap_or(i64::MAX);
        let (message, rest) = split(event.message.expose());
        let has_room = self.kept.saturating_add(weight(message)) <= BATCH_BYTES;
        let span = self.entry.until.max(event.at).saturating_sub(self.entry.from.min(event.at));
        let is_full = !has_room || self.batch.events.len() >= BATCH_EVENTS || span > BATCH_SPAN_MS;
        if is_full && !self.batch.events.is_empty() {
            self.turn(cx)?;
        }
        let first_piece = self.entry.pieces;
        for text in rest {
            cx.save(PieceRecord {
                stream: self.stream.id.clone(),
                batch: self.batch.number.clone(),
                number: self.entry.pieces.to_string(),
                text: Secret::new(text.to_owned()),
            })?;
            self.entry.pieces = self.entry.pieces.saturating_add(1);
        }
        let index = self.batch.events.len();
        self.kept = self.kept.saturating_add(weight(message));
        self.batch.events.push(EventRecord {
            at: event.at,
            ingested_at: self.now,
            message: Secret::new(message.to_owned()),
            pieces: self.entry.pieces.saturating_sub(first_piece),
            first_piece,
        });
        self.entry.from = self.entry.from.min(event.at);
        self.entry.until = self.entry.until.max(event.at);
        self.entry.events = self.entry.events.saturating_add(1);
        self.entry.bytes = self.entry.bytes.saturating_add(bytes);
        let stream = &mut self.stream;
        stream.bytes = stream.bytes.saturating_add(bytes);
        stream.first_event = Some(stream.first_event.map_or(event.at, |first| first.min(event.at)));
        stream.last_event = Some(stream.last_event.map_or(event.at, |last| last.max(event.at)));
        stream.ingested_at = Some(self.now);
        Ok(Place {
            at: event.at,
            stream: stream.number(),
            batch: u64::try_from(self.entry.number).unwrap_or_default(),
            index: u64::try_from(index).unwrap_or(u64::MAX),
        })
    }

    /// Saves the batch and begins another.
    fn turn(&mut self, cx: &mut Cx<'_>) -> Result<(), ApiError> {
        self.save_batch(cx)?;
        if self.page.batches.len() >= PAGE_BATCHES {
            let fresh = Self::fresh_page(&mut self.stream)?;
            cx.save(std::mem::replace(&mut self.page, fresh))?;
        }
        self.begin();
        Ok(())
    }

    fn save_batch(&mut self, cx: &mut Cx<'_>) -> Result<(), ApiError> {
        let end = self.entry.until;
        self.stream.oldest_end = Some(self.stream.oldest_end.map_or(end, |oldest| oldest.min(end)));
        self.page.batches.push(self.entry);
        cx.save(std::mem::take(&mut self.batch))
    }

    fn close(mut self, cx: &mut Cx<'_>) -> Result<(), ApiError> {
        if self.batch.events.is_empty() {
            return Ok(());
        }
        self.save_batch(cx)?;
        cx.save(self.page)?;
        cx.save(self.stream)
    }
}

const fn weight(message: &str) -> usize {
    message.len().saturating_add(EVENT_BYTES)
}

fn copy(event: &EventRecord) -> EventRecord {
    EventRecord {
        at: event.at,
        ingested_at: event.ingested_at,
        message: Secret::new(event.message.expose().clone()),
        pieces: event.pieces,
        first_piece: event.first_piece,
    }
}

/// The beginning of a message and the rest of it, in pieces that a record has room for.
fn split(message: &str) -> (&str, Vec<&str>) {
    let cut = |text: &str| {
        let mut at = text.len().min(PIECE_BYTES);
        while !text.is_char_boundary(at) {
            at = at.saturating_sub(1);
        }
        at
    };
    let (first, mut rest) = message.split_at(cut(message));
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(cut(rest));
        pieces.push(piece);
        rest = behind;
    }
    (first, pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_cut_between_characters() {
        assert_eq!(split("short"), ("short", vec![]));
        let long = format!("{}\u{e9}{}", "a".repeat(PIECE_BYTES - 1), "b".repeat(PIECE_BYTES));
        let (first, rest) = split(&long);
        assert_eq!(first.len(), PIECE_BYTES - 1);
        assert_eq!(rest.len(), 2);
        assert_eq!(format!("{first}{}", rest.concat()), long);
    }
}
