//! Segment files: append-only, sealed, hash-chained.
//!
//! A segment is a header and frames. The header names the segment and carries the salt of its key; each frame is sealed under
//! that key with its index as nonce, and its associated data is the chain so far. So a frame cannot be changed, moved,
//! dropped from the middle or carried to another segment. What can be lost at the end is what was never synced.
//!
//! A process never appends to a segment of an earlier one: the key would be used with the same indexes again.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use coffer_barrier::{Barrier, Purpose};
use coffer_crypto::{GcmKey, NONCE_LEN, Sha256, TAG_LEN, crc32, sha256};
use coffer_types::Entropy;

use crate::{AppendFile, Files};

const MAGIC: &[u8; 8] = b"COFAUD1\n";
const SALT_LEN: usize = 16;
const HEADER_LEN: usize = MAGIC.len() + 8 + SALT_LEN;
const SEGMENT_BYTES_MAX: u64 = 64 << 20;
/// Length and checksum before each frame.
const FRAME_HEAD_LEN: usize = 8;
/// An event is a few KiB; a longer frame is damage.
const FRAME_LEN_MAX: usize = 1 << 20;

/// Where the events of reads go before their answers leave.
pub struct AuditLog {
    files: Arc<dyn Files>,
    barrier: Arc<Barrier>,
    entropy: Arc<dyn Entropy>,
    open: Mutex<Open>,
}

struct Open {
    number: u64,
    segment: Option<Segment>,
}

impl std::fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AuditLog")
    }
}

impl AuditLog {
    pub fn open(files: Arc<dyn Files>, barrier: Arc<Barrier>, entropy: Arc<dyn Entropy>) -> io::Result<Self> {
        let last = files.list()?.iter().filter_map(|name| segment_number(name)).max().unwrap_or(0);
        Ok(Self { files, barrier, entropy, open: Mutex::new(Open { number: last, segment: None }) })
    }

    /// Appends events in one write. They survive the death of the process when this returns.
    pub(crate) fn append(&self, events: &[String]) -> io::Result<()> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.segment.as_ref().is_none_or(|segment| segment.written >= SEGMENT_BYTES_MAX) {
            if let Some(mut full) = open.segment.take() {
                full.file.sync()?;
            }
            let number = open.number + 1;
            open.segment =
                Some(Segment::create(self.files.as_ref(), &self.barrier, self.entropy.as_ref(), number)?);
            open.number = number;
        }
        let Some(segment) = open.segment.as_mut() else { return Err(io::Error::other("no segment is open")) };
        let outcome = segment.append(events);
        if outcome.is_err() {
            // How much of the write arrived is unknown: nothing may follow it in this file.
            open.segment = None;
        }
        outcome
    }

    /// Makes everything appended so far survive the loss of power.
    pub fn sync(&self) -> io::Result<()> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        match open.segment.as_mut() {
            Some(segment) if segment.unsynced => {
                segment.unsynced = false;
                segment.file.sync()
            }
            _ => Ok(()),
        }
    }
}

pub(crate) fn segment_name(number: u64) -> String {
    format!("reads-{number:010}.seg")
}

fn segment_number(name: &str) -> Option<u64> {
    name.strip_prefix("reads-")?.strip_suffix(".seg")?.parse().ok()
}

struct Segment {
    file: Box<dyn AppendFile>,
    key: GcmKey,
    index: u64,
    chain: [u8; 32],
    written: u64,
    unsynced: bool,
}

impl Segment {
    fn create(files: &dyn Files, barrier: &Barrier, entropy: &dyn Entropy, number: u64) -> io::Result<Self> {
        let mut header = MAGIC.to_vec();
        header.extend_from_slice(&number.to_be_bytes());
        let mut salt = [0; SALT_LEN];
        entropy.fill(&mut salt);
        header.extend_from_slice(&salt);
        let mut file = files.create(&segment_name(number))?;
        file.append(&header)?;
        Ok(Self {
            file,
            key: segment_key(barrier, &header),
            index: 0,
            chain: sha256(&header),
            written: header.len() as u64,
            unsynced: true,
        })
    }

    fn append(&mut self, events: &[String]) -> io::Result<()> {
        let mut frames = Vec::with_capacity(events.iter().map(|event| event.len() + 64).sum());
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
        self.file.append(&frames)?;
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

fn next_link(chain: &[u8; 32], event: &[u8]) -> [u8; 32] {
    let mut link = Sha256::new();
    link.update(&[1]);
    link.update(chain);
    link.update(&sha256(event));
    link.finish()
}

/// What a segment file holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SegmentReport {
    pub events: u64,
    /// Bytes after the last whole frame: what a crash cut off.
    pub torn_bytes: u64,
    pub problem: Option<String>,
}

/// Opens every frame of a segment and follows its chain, handing each event to `visit`.
pub fn verify_segment(barrier: &Barrier, bytes: &[u8], visit: &mut dyn FnMut(&str)) -> SegmentReport {
    let mut report = SegmentReport::default();
    let Some((header, mut rest)) =
        bytes.split_at_checked(HEADER_LEN).filter(|(header, _)| header.starts_with(MAGIC))
    else {
        // A crash right after the file was made leaves less than a header; nothing was answered by then.
        report.torn_bytes = bytes.len() as u64;
        if bytes.len() >= HEADER_LEN {
            report.problem = Some(String::from("not an audit segment"));
        }
        return report;
    };
    let key = segment_key(barrier, header);
    let mut chain = sha256(header);
    while let Some((head, tail)) = rest.split_at_checked(FRAME_HEAD_LEN) {
        let (length, checksum) = head.split_at(4);
        let length = length.try_into().map_or(0, u32::from_be_bytes) as usize;
        let checksum = checksum.try_into().map_or(0, u32::from_be_bytes);
        if !(TAG_LEN..=FRAME_LEN_MAX).contains(&length) {
            report.problem = Some(format!("frame {} has an impossible length", report.events));
            return report;
        }
        let Some((sealed, after)) = tail.split_at_checked(length) else { break };
        if crc32(sealed) != checksum {
            report.problem = Some(format!("frame {} is damaged", report.events));
            return report;
        }
        let mut event = sealed.to_vec();
        let tag = event.split_off(length - TAG_LEN);
        let opened = tag.as_slice().try_into().is_ok_and(|tag: &[u8; TAG_LEN]| {
            key.open_detached(&nonce(report.events), &chain, &mut event, tag).is_ok()
        });
        let Some(text) = std::str::from_utf8(&event).ok().filter(|_| opened) else {
            report.problem = Some(format!("frame {} does not open in its place", report.events));
            return report;
        };
        chain = next_link(&chain, text.as_bytes());
        visit(text);
        report.events += 1;
        rest = after;
    }
    report.torn_bytes = rest.len() as u64;
    report
}
