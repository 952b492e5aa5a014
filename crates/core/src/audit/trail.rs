//! Reads the log backwards, the newest event first, a piece at a time.
//!
//! A frame opens only for who has followed the chain up to it, so nothing can be read from the end. But a place where a walk has been is
//! enough to begin another one there: an index in memory keeps such a place for every quarter of a mebibyte, with the times of the
//! events behind it. What was indexed once is read block by block from the back, and blocks of other times are passed over
//! unread. The index is made when somebody first looks, holds a few megabytes at most, and is forgotten with the process.
//!
//! Each call does what its caller has time for: where it ends is a place to go on from, also in the middle of indexing.

use std::{
    collections::BTreeMap,
    io,
    ops::ControlFlow,
    sync::{Mutex, MutexGuard, PoisonError},
};

use coffer_types::Timestamp;

use super::{
    retire::time_of,
    segment::{HEADER_LEN, PIECE_LEN, Place, Walk, segment_name, segment_number},
};
use crate::AuditLog;

/// Between two places of the index. So much is opened for a page at least.
const BLOCK_BYTES: u64 = 256 << 10;
/// Segments in the index: the whole of a log of the usual size. Each takes some twenty kilobytes.
const INDEXED_SEGMENTS_MAX: usize = 256;

/// Where somebody stopped looking: after so many events of a segment. What comes after it has been seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TrailPlace {
    pub segment: u64,
    pub events: u64,
}

/// The first and the last time of the events in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub from: Timestamp,
    pub until: Timestamp,
}

/// Whoever looks back, and what they want to see.
pub trait LooksBack {
    /// Whether events of this time may be wanted, and whether anything older may be.
    fn wants(&self, span: Span) -> Wanted;
    /// One event, newest first. To end is to say that this one was not taken.
    fn see(&mut self, event: &str) -> ControlFlow<()>;
    /// Whether the time is up.
    fn is_late(&self) -> bool;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Yes,
    No,
    /// Neither these nor anything before them.
    NothingOlder,
}

#[derive(Debug, Clone, Copy)]
struct Block {
    begin: Place,
    end: Place,
    span: Span,
}

/// Blocks by segment, in order.
#[derive(Default)]
pub(super) struct Index(Mutex<BTreeMap<u64, Vec<Block>>>);

impl Index {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Vec<Block>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn blocks(&self, segment: u64) -> Vec<Block> {
        self.lock().get(&segment).cloned().unwrap_or_default()
    }

    fn keep(&self, segment: u64, blocks: &[Block]) {
        let mut index = self.lock();
        index.insert(segment, blocks.to_vec());
        // The oldest is the one that is looked at least.
        while index.len() > INDEXED_SEGMENTS_MAX {
            index.pop_first();
        }
    }
}

/// How far a look at one segment came.
enum Seen {
    All,
    /// Up to here; what comes before is for the next look.
    DownTo(u64),
    NothingOlder,
}

impl AuditLog {
    /// Shows events from the back, or from where an earlier look ended. Answers where to go on; nothing if all was seen.
    pub(crate) fn look_back(
        &self,
        from: Option<TrailPlace>,
        who: &mut dyn LooksBack,
    ) -> io::Result<Option<TrailPlace>> {
        let mut numbers: Vec<_> =
            self.files().list()?.iter().filter_map(|name| segment_number(name)).collect();
        numbers.sort_unstable();
        for &segment in numbers.iter().rev() {
            let below = match from {
                Some(from) if segment > from.segment => continue,
                Some(from) if segment == from.segment => from.events,
                _ => u64::MAX,
            };
            match self.look_into(segment, below, who)? {
                Seen::All => {}
                Seen::DownTo(events) => return Ok(Some(TrailPlace { segment, events })),
                Seen::NothingOlder => return Ok(None),
            }
        }
        Ok(None)
    }

    fn look_into(&self, segment: u64, below: u64, who: &mut dyn LooksBack) -> io::Result<Seen> {
        let Some(mut reader) = Reader::open(self, segment)? else { return Ok(Seen::All) };
        let mut blocks = self.index.blocks(segment);
        let known = blocks.len();
        let mut complete = true;
        // Forward first, to where the file ends or the look does.
        while blocks.last().is_none_or(|block| block.end.events < below) {
            let begin = blocks.last().map_or_else(|| reader.first(), |block| block.end);
            let Some((block, is_whole)) = reader.block(begin, &mut |_| ())? else { break };
            blocks.push(block);
            if !is_whole {
                break;
            }
            if who.is_late() {
                complete = false;
                break;
            }
        }
        let whole = blocks.iter().take_while(|block| block.end.bytes - block.begin.bytes >= BLOCK_BYTES);
        let whole = whole.count();
        if whole > known {
            self.index.keep(segment, blocks.get(..whole).unwrap_or_default());
        }
        if !complete {
            return Ok(Seen::DownTo(below));
        }
        for block in blocks.iter().rev().filter(|block| block.begin.events < below) {
            match who.wants(block.span) {
                Wanted::NothingOlder => return Ok(Seen::NothingOlder),
                Wanted::No => continue,
                Wanted::Yes => {}
            }
            if who.is_late() {
                return Ok(Seen::DownTo(block.end.events.min(below)));
            }
            let mut events = Vec::new();
            reader.block(block.begin, &mut |event| events.push(event.to_owned()))?;
            let last = block.end.events.min(below);
            events.truncate(usize::try_from(last - block.begin.events).unwrap_or(usize::MAX));
            let mut number = block.begin.events + events.len() as u64;
            for event in events.iter().rev() {
                if who.see(event).is_break() {
                    return Ok(Seen::DownTo(number));
                }
                number -= 1;
            }
        }
        Ok(Seen::All)
    }
}

/// A segment, read in pieces from anywhere.
struct Reader<'a> {
    log: &'a AuditLog,
    name: String,
    walk: Walk,
    first: Place,
}

impl<'a> Reader<'a> {
    /// Nothing if the file has no header, or has gone.
    fn open(log: &'a AuditLog, segment: u64) -> io::Result<Option<Self>> {
        let name = segment_name(segment);
        let head = match log.files().read_part(&name, 0, HEADER_LEN) {
            Ok(head) => head,
            // Retired since the names were listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(Walk::begin(log.barrier(), &head).map(|walk| {
            let first = walk.place();
            Self { log, name, walk, first }
        }))
    }

    const fn first(&self) -> Place {
        self.first
    }

    /// The events from there on until the block is full or the file ends, and which of these it was. Nothing if there is no event.
    fn block(&mut self, begin: Place, see: &mut dyn FnMut(&str)) -> io::Result<Option<(Block, bool)>> {
        self.walk.jump(&begin);
        let mut span: Option<Span> = None;
        let mut see = |event: &str| {
            if let Some(Ok(at)) = time_of(event).map(Timestamp::parse_iso) {
                let seen = span.get_or_insert(Span { from: at, until: at });
                *seen = Span { from: seen.from.min(at), until: seen.until.max(at) };
            }
            see(event);
        };
        let mut is_whole = true;
        while self.walk.place().bytes - begin.bytes < BLOCK_BYTES {
            let at = self.walk.place().bytes;
            // Usually a block; a frame that is longer than that has to be had as a whole.
            let before = self.walk.events();
            for length in [2 * usize::try_from(BLOCK_BYTES).unwrap_or(PIECE_LEN), PIECE_LEN] {
                let piece = match self.log.files().read_part(&self.name, at, length) {
                    Ok(piece) => piece,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
                    Err(error) => return Err(error),
                };
                let mut rest = piece.as_slice();
                while self.walk.place().bytes - begin.bytes < BLOCK_BYTES {
                    match self.walk.advance_one(rest, &mut see) {
                        Ok(Some(after)) => rest = after,
                        Ok(None) => break,
                        Err(problem) => {
                            tracing::warn!(
                                segment = self.name,
                                problem,
                                "the audit log is damaged; run coffer audit verify"
                            );
                            break;
                        }
                    }
                }
                if self.walk.events() > before {
                    break;
                }
            }
            if self.walk.events() == before {
                is_whole = false;
                break;
            }
        }
        let end = self.walk.place();
        let span = span.unwrap_or(Span { from: Timestamp::EPOCH, until: Timestamp::EPOCH });
        Ok((end.events > begin.events).then_some((Block { begin, end, span }, is_whole)))
    }
}
