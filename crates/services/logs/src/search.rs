//! Finds the events of streams in the order of their places, opening no more than it has to.
//!
//! Streams, batches and events wait in one heap, each under the first place that it may have an event at. Whatever comes first is opened:
//! a stream becomes its batches, a batch its events, and the event that comes first is the next one. Backwards it is the same from the
//! other end.

use std::{cmp::Ordering, collections::BinaryHeap, sync::Arc};

use coffer_core::Cx;
use coffer_shape::ApiError;
use coffer_types::Secret;

use crate::{
    batch::{BatchRecord, EntryRecord, IndexRecord, PieceRecord},
    place::Place,
    stream::StreamRecord,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Forward,
    Backward,
}

/// What is looked for: places from one on, and before another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Range {
    pub from: Place,
    pub before: Place,
}

pub(crate) struct Search {
    range: Range,
    direction: Direction,
    waiting: BinaryHeap<Waiting>,
}

/// An event that was found.
pub(crate) struct Found {
    pub place: Place,
    pub stream: Arc<StreamRecord>,
    pub ingested_at: i64,
    pub message: Secret<String>,
}

struct Waiting {
    /// No event in it is nearer to the beginning than this.
    bound: Place,
    direction: Direction,
    what: What,
}

enum What {
    Stream(Arc<StreamRecord>),
    Batch(Arc<StreamRecord>, EntryRecord),
    /// Of a batch that was opened, what is left, the next one last. It waits where that is.
    Events(Arc<StreamRecord>, Arc<BatchRecord>, Vec<(Place, usize)>),
}

impl Waiting {
    /// At the same place, what has to be opened comes before what is there.
    const fn is_closed(&self) -> bool {
        !matches!(self.what, What::Events(..))
    }
}

/// The greatest is the next.
impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_place = match self.direction {
            Direction::Forward => other.bound.cmp(&self.bound),
            Direction::Backward => self.bound.cmp(&other.bound),
        };
        by_place.then(self.is_closed().cmp(&other.is_closed()))
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Waiting {}

impl Search {
    pub(crate) fn new(
        streams: impl IntoIterator<Item = Arc<StreamRecord>>,
        range: Range,
        direction: Direction,
    ) -> Self {
        let mut search = Self { range, direction, waiting: BinaryHeap::new() };
        for stream in streams {
            if let (Some(first), Some(last)) = (stream.first_event, stream.last_event) {
                search.wait(first, last, What::Stream(stream));
            }
        }
        search
    }

    /// Where the next event may be, if there may be one.
    pub(crate) fn reached(&self) -> Option<Place> {
        self.waiting.peek().map(|waiting| waiting.bound)
    }

    /// The next event. None if there is no more, or if it took long to get here: then there is somewhere to go on from, see
    /// [`Self::reached`].
    pub(crate) fn next(&mut self, cx: &Cx<'_>) -> Result<Option<Found>, ApiError> {
        while let Some(next) = self.waiting.peek() {
            // Whoever goes on from here is somewhere else than where he began.
            let has_moved = match self.direction {
                Direction::Forward => next.bound > self.range.from,
                Direction::Backward => next.bound < self.range.before,
            };
            if next.is_closed() && has_moved && cx.has_run_long() {
                return Ok(None);
            }
            let Some(Waiting { bound, what, .. }) = self.waiting.pop() else { break };
            match what {
                What::Stream(stream) => self.open_stream(cx, &stream)?,
                What::Batch(stream, entry) => self.open_batch(cx, &stream, entry)?,
                What::Events(stream, batch, mut left) => {
                    let Some((_, index)) = left.pop() else { continue };
                    let event = found(cx, bound, Arc::clone(&stream), &batch, index)?;
                    if let Some((next, _)) = left.last() {
                        let (bound, what) = (*next, What::Events(stream, batch, left));
                        self.waiting.push(Waiting { bound, direction: self.direction, what });
                    }
                    return Ok(Some(event));
                }
            }
        }
        Ok(None)
    }

    fn open_stream(&mut self, cx: &Cx<'_>, stream: &Arc<StreamRecord>) -> Result<(), ApiError> {
        for number in stream.page_numbers() {
            // A page may be gone with what was too old.
            let Some(page) = cx.part::<IndexRecord>(&[&stream.id, &number])? else { continue };
            for entry in &page.batches {
                self.wait(entry.from, entry.until, What::Batch(Arc::clone(stream), *entry));
            }
        }
        Ok(())
    }

    fn open_batch(
        &mut self,
        cx: &Cx<'_>,
        stream: &Arc<StreamRecord>,
        entry: EntryRecord,
    ) -> Result<(), ApiError> {
        let number = entry.number.to_string();
        let Some(batch) = cx.part::<BatchRecord>(&[&stream.id, &number])? else { return Ok(()) };
        let stream_number = stream.number();
        let mut left = Vec::new();
        for (index, event) in batch.events.iter().enumerate() {
            let place = Place {
                at: event.at,
                stream: stream_number,
                batch: u64::try_from(entry.number).unwrap_or_default(),
                index: u64::try_from(index).unwrap_or(u64::MAX),
            };
            if (self.range.from..self.range.before).contains(&place) {
                left.push((place, index));
            }
        }
        left.sort_unstable();
        if self.direction == Direction::Forward {
            left.reverse();
        }
        if let Some((bound, _)) = left.last() {
            let (bound, what) = (*bound, What::Events(Arc::clone(stream), batch, left));
            self.waiting.push(Waiting { bound, direction: self.direction, what });
        }
        Ok(())
    }

    /// Puts something with events between these times into the heap, if any of them can be looked for.
    fn wait(&mut self, first: i64, last: i64, what: What) {
        let Range { from, before } = self.range;
        let (begin, end) = (Place::before(first).max(from), Place::behind(last).min(before));
        if begin >= end {
            return;
        }
        let bound = if self.direction == Direction::Forward { begin } else { end };
        self.waiting.push(Waiting { bound, direction: self.direction, what });
    }
}

fn found(
    cx: &Cx<'_>,
    place: Place,
    stream: Arc<StreamRecord>,
    batch: &BatchRecord,
    index: usize,
) -> Result<Found, ApiError> {
    let event = batch.events.get(index).ok_or_else(|| cx.internal("a batch has no such event"))?;
    let mut message = Secret::new(event.message.expose().clone());
    for number in event.first_piece..event.first_piece.saturating_add(event.pieces) {
        let key = [stream.id.as_str(), &batch.number, &number.to_string()];
        let piece = cx.part::<PieceRecord>(&key)?;
        let piece = piece.ok_or_else(|| cx.internal("a piece of a log event is missing"))?;
        message = Secret::new(format!("{}{}", message.expose(), piece.text.expose()));
    }
    Ok(Found { place, stream, ingested_at: event.ingested_at, message })
}
