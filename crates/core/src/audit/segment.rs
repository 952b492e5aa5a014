//! Segment files: append-only, sealed, hash-chained.
//!
//! A segment is a header and frames. The header numbers the segment, says how the one before it ended, and carries the salt of its
//! key; each frame is sealed under a key of the whole header with its index as nonce, and its associated data is the chain so far. So
//! a frame cannot be changed, moved, dropped from the middle or carried to another segment, and no segment can be cut or put back as
//! it once was without the next one saying so. Only the newest has nobody behind it: where that ends, the store remembers ([`super::anchor`]).
//!
//! A process never appends to a segment of an earlier one: the key would be used with the same indexes again.

use std::{io, mem, sync::Arc};

use coffer_barrier::{Barrier, Purpose};
use coffer_crypto::{GcmKey, NONCE_LEN, Sha256, TAG_LEN, crc32, sha256};
use coffer_types::Entropy;

use crate::{AppendFile, Files};

const MAGIC: &[u8; 8] = b"COFAUD4\n";
const SALT_LEN: usize = 16;
const LINK_AT: usize = MAGIC.len() + 8;
pub(super) const HEADER_LEN: usize = LINK_AT + 32 + SALT_LEN;
/// How a segment ends: the chain after its last event, and whatever a crash left behind that. The next segment carries it.
pub(super) type Link = [u8; 32];
/// In the place of a link: nobody knew how the segment before ended, or there was none.
pub(super) const NO_LINK: Link = [0; 32];
/// Length and checksum before each frame.
const FRAME_HEAD_LEN: usize = 8;
/// An event is a few KiB; a longer frame is damage.
const FRAME_LEN_MAX: usize = 1 << 20;
/// A piece this long holds a whole frame, wherever it begins.
pub(super) const PIECE_LEN: usize = FRAME_HEAD_LEN + FRAME_LEN_MAX;
/// Enough for what usually ends together; a rare crowd gives its memory back.
const FRAMES_LEN_KEPT: usize = 64 << 10;

pub(super) fn segment_name(number: u64) -> String {
    format!("reads-{number:010}.seg")
}

pub(super) fn segment_number(name: &str) -> Option<u64> {
    let number = name.strip_prefix("reads-")?.strip_suffix(".seg")?.parse().ok()?;
    (segment_name(number) == name).then_some(number)
}

/// A segment of this process, open for appending.
pub(super) struct Segment {
    file: Arc<dyn AppendFile>,
    key: GcmKey,
    index: u64,
    chain: Link,
    written: u64,
    unsynced: bool,
    /// What the next write is made in, kept from write to write. It holds sealed bytes.
    frames: Vec<u8>,
}

impl Segment {
    pub(super) fn create(
        files: &dyn Files,
        barrier: &Barrier,
        entropy: &dyn Entropy,
        number: u64,
        before: &Link,
    ) -> io::Result<Self> {
        let mut header = MAGIC.to_vec();
        header.extend_from_slice(&number.to_be_bytes());
        header.extend_from_slice(before);
        let mut salt = [0; SALT_LEN];
        entropy.fill(&mut salt);
        header.extend_from_slice(&salt);
        let file = files.create(&segment_name(number))?;
        file.append(&header)?;
        Ok(Self {
            file,
            key: segment_key(barrier, &header),
            index: 0,
            chain: sha256(&header),
            written: header.len() as u64,
            unsynced: true,
            frames: Vec::new(),
        })
    }

    /// The bytes that answers rest on.
    pub(super) const fn bytes(&self) -> u64 {
        self.written
    }

    /// How many events are in it, and the link after the last of them.
    pub(super) const fn end(&self) -> (u64, &Link) {
        (self.index, &self.chain)
    }

    /// No event has arrived here whole, so nobody misses it.
    pub(super) const fn is_stillborn(&self) -> bool {
        self.written <= HEADER_LEN as u64
    }

    /// The file, if it has to be synced. Whoever asks must do it.
    pub(super) fn take_unsynced(&mut self) -> Option<Arc<dyn AppendFile>> {
        mem::take(&mut self.unsynced).then(|| Arc::clone(&self.file))
    }

    /// Appends events in one write. After an error the segment is of no use.
    pub(super) fn append(&mut self, events: &[String]) -> io::Result<()> {
        let frames = &mut self.frames;
        frames.clear();
        frames.shrink_to(FRAMES_LEN_KEPT);
        for event in events {
            let next = next_link(&self.chain, event.as_bytes());
            let head = frames.len();
            frames.extend_from_slice(&[0; FRAME_HEAD_LEN]);
            let body = frames.len();
            frames.extend_from_slice(event.as_bytes());
            let tag = self.key.seal_detached(
                &nonce(self.index),
                &self.chain,
                frames.get_mut(body..).unwrap_or_default(),
            );
            frames.extend_from_slice(&tag);
            let sealed = frames.get(body..).unwrap_or_default();
            let length = u32::try_from(sealed.len()).map_err(io::Error::other)?;
            let checksum = crc32(sealed);
            if let Some(place) = frames.get_mut(head..body) {
                let (left, right) = place.split_at_mut(4);
                left.copy_from_slice(&length.to_be_bytes());
                right.copy_from_slice(&checksum.to_be_bytes());
            }
            self.chain = next;
            self.index += 1;
        }
        self.file.append(frames)?;
        self.written += frames.len() as u64;
        self.unsynced = true;
        Ok(())
    }
}

fn segment_key(barrier: &Barrier, header: &[u8]) -> GcmKey {
    GcmKey::new(barrier.derive(Purpose::Audit, header).expose())
}

fn nonce(index: u64) -> [u8; NONCE_LEN] {
    let mut nonce = [0; NONCE_LEN];
    if let Some(tail) = nonce.last_chunk_mut::<8>() {
        *tail = index.to_be_bytes();
    }
    nonce
}

fn next_link(chain: &Link, event: &[u8]) -> Link {
    let mut link = Sha256::new();
    link.update(&[1]);
    link.update(chain);
    link.update(event);
    link.finish()
}

/// Whether the last bytes are the zeros that a file system shows where a power cut kept it from writing what it had made room
/// for. So many zeros in a row do not end a frame by chance.
fn is_never_written(bytes: &[u8], zeros: usize) -> bool {
    bytes.iter().rev().take(zeros).all(|byte| *byte == 0)
}

/// What a segment says of itself. It is genuine if an event opened under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentHeader {
    bytes: [u8; HEADER_LEN],
}

impl SegmentHeader {
    fn read(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.first_chunk().filter(|header| header.starts_with(MAGIC))?;
        Some(Self { bytes: *bytes })
    }

    pub(super) const fn bytes(&self) -> &[u8; HEADER_LEN] {
        &self.bytes
    }

    pub(super) fn number(&self) -> u64 {
        let number = self.bytes.get(MAGIC.len()..).and_then(|rest| rest.first_chunk());
        number.map_or(0, |bytes| u64::from_be_bytes(*bytes))
    }

    /// How the segment before ended, as whoever made this one knew.
    pub(super) fn before(&self) -> Link {
        self.bytes.get(LINK_AT..).and_then(|rest| rest.first_chunk()).copied().unwrap_or(NO_LINK)
    }
}

/// What a segment file holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SegmentReport {
    /// Nothing if the file is too short for one, or of something else.
    pub header: Option<SegmentHeader>,
    pub events: u64,
    /// Bytes after the last whole frame: what a crash cut off.
    pub torn_bytes: u64,
    pub problem: Option<String>,
    /// How it ends, whatever it ends with.
    end: Link,
}

impl SegmentReport {
    /// How it ends, with whatever stands there if it is too short for a header. Then it says nothing of the one before, so its
    /// own end says that too: `before` is how that ended.
    pub(super) fn end(&self, before: impl FnOnce() -> Option<Link>) -> Option<Link> {
        match self.header {
            Some(_) => Some(self.end),
            None => before().map(|before| joined(&before, &self.end)),
        }
    }
}

/// Follows the chain of a segment, piece by piece.
pub(super) struct Walk {
    key: GcmKey,
    chain: Link,
    events: u64,
    /// Of the header and the whole frames so far.
    bytes: u64,
}

/// A place between two frames from which a segment can be walked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub bytes: u64,
    pub events: u64,
    pub chain: Link,
}

impl Walk {
    /// Begins after the header; nothing if these bytes do not begin with one.
    pub(super) fn begin(barrier: &Barrier, bytes: &[u8]) -> Option<Self> {
        let header = SegmentHeader::read(bytes)?;
        let key = segment_key(barrier, header.bytes());
        Some(Self { key, chain: sha256(header.bytes()), events: 0, bytes: HEADER_LEN as u64 })
    }

    /// Goes on, or goes back, to a place where an earlier walk of the same segment has been.
    pub(super) const fn jump(&mut self, to: &Place) {
        self.chain = to.chain;
        self.events = to.events;
        self.bytes = to.bytes;
    }

    pub(super) const fn place(&self) -> Place {
        Place { bytes: self.bytes, events: self.events, chain: self.chain }
    }

    pub(super) const fn events(&self) -> u64 {
        self.events
    }

    /// The link after the last event.
    pub(super) const fn chain(&self) -> &Link {
        &self.chain
    }

    /// Opens the whole frames in front and says how many bytes they were.
    pub(super) fn advance(&mut self, bytes: &[u8], visit: &mut dyn FnMut(&str)) -> Result<usize, String> {
        let mut rest = bytes;
        while let Some(after) = self.advance_one(rest, visit)? {
            rest = after;
        }
        Ok(bytes.len() - rest.len())
    }

    /// Opens the frame in front and returns what follows it; nothing if it is not there as a whole.
    pub(super) fn advance_one<'b>(
        &mut self,
        bytes: &'b [u8],
        visit: &mut dyn FnMut(&str),
    ) -> Result<Option<&'b [u8]>, String> {
        let Some((head, tail)) = bytes.split_at_checked(FRAME_HEAD_LEN) else { return Ok(None) };
        let (length, checksum) = head.split_at(4);
        let length = length.try_into().map_or(0, u32::from_be_bytes) as usize;
        let checksum = checksum.try_into().map_or(0, u32::from_be_bytes);
        if !(TAG_LEN..=FRAME_LEN_MAX).contains(&length) {
            if is_never_written(bytes, bytes.len().saturating_sub(FRAME_HEAD_LEN / 2)) {
                return Ok(None);
            }
            return Err(format!("frame {} has an impossible length", self.events));
        }
        let Some((sealed, after)) = tail.split_at_checked(length) else { return Ok(None) };
        if crc32(sealed) != checksum {
            if is_never_written(tail, after.len().max(TAG_LEN)) {
                return Ok(None);
            }
            return Err(format!("frame {} is damaged", self.events));
        }
        self.open(sealed, visit)?;
        Ok(Some(after))
    }

    fn open(&mut self, sealed: &[u8], visit: &mut dyn FnMut(&str)) -> Result<(), String> {
        let mut event = sealed.to_vec();
        let tag = event.split_off(sealed.len().saturating_sub(TAG_LEN));
        let opened = tag.as_slice().try_into().is_ok_and(|tag: &[u8; TAG_LEN]| {
            self.key.open_detached(&nonce(self.events), &self.chain, &mut event, tag).is_ok()
        });
        let Some(text) = std::str::from_utf8(&event).ok().filter(|_| opened) else {
            return Err(format!("frame {} does not open in its place", self.events));
        };
        self.chain = next_link(&self.chain, text.as_bytes());
        self.events += 1;
        self.bytes += (FRAME_HEAD_LEN + sealed.len()) as u64;
        visit(text);
        Ok(())
    }
}

/// Opens every frame of a segment and follows its chain, handing each event to `visit`.
pub fn verify_segment(barrier: &Barrier, bytes: &[u8], visit: &mut dyn FnMut(&str)) -> SegmentReport {
    let mut report = SegmentReport { header: SegmentHeader::read(bytes), ..SegmentReport::default() };
    let Some(mut walk) = Walk::begin(barrier, bytes) else {
        // A crash right after the file was made leaves less than a header; nothing was answered by then.
        report.torn_bytes = bytes.len() as u64;
        report.end = sha256(bytes);
        if bytes.len() >= HEADER_LEN {
            report.problem = Some(String::from("not an audit segment"));
        }
        return report;
    };
    let outcome = walk.advance(bytes.get(HEADER_LEN..).unwrap_or_default(), visit);
    let whole = usize::try_from(walk.bytes).unwrap_or(usize::MAX);
    let rest = bytes.get(whole..).unwrap_or_default();
    match outcome {
        Ok(_) => report.torn_bytes = rest.len() as u64,
        Err(problem) => report.problem = Some(problem),
    }
    report.events = walk.events();
    report.end = if rest.is_empty() { *walk.chain() } else { joined(walk.chain(), rest) };
    report
}

/// The link after so many events of a segment; nothing if it does not have them.
pub(super) fn chain_after(barrier: &Barrier, bytes: &[u8], events: u64) -> Option<Link> {
    let mut walk = Walk::begin(barrier, bytes)?;
    let mut rest = bytes.get(HEADER_LEN..)?;
    while walk.events() < events {
        rest = walk.advance_one(rest, &mut |_| ()).ok().flatten()?;
    }
    Some(*walk.chain())
}

fn joined(link: &Link, rest: &[u8]) -> Link {
    let mut joined = Sha256::new();
    joined.update(&[2]);
    joined.update(link);
    joined.update(rest);
    joined.finish()
}
