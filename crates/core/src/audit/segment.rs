//! Segment files: append-only, sealed, hash-chained.
//!
//! A segment is a header and frames. The header names the segment and carries the salt of its key; each frame is sealed under
//! that key with its index as nonce, and its associated data is the chain so far. So a frame cannot be changed, moved,
//! dropped from the middle or carried to another segment. What can be lost at the end is what was never synced.
//!
//! A process never appends to a segment of an earlier one: the key would be used with the same indexes again.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use coffer_barrier::{Barrier, Purpose};
use coffer_crypto::{GcmKey, NONCE_LEN, Sha256, TAG_LEN, crc32, sha256};
use coffer_types::Entropy;

use super::batch::{Waiting, step_aside};
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
    segment_bytes_max: u64,
    waiting: Waiting,
    syncing: Mutex<()>,
    open: Mutex<Open>,
}

struct Open {
    number: u64,
    segment: Option<Segment>,
    /// A sync has failed. The kernel may have dropped what it could not write, so a later success would mean nothing.
    sync_failed: bool,
}

impl Open {
    fn refuse_after_failed_sync(&self) -> io::Result<()> {
        if self.sync_failed {
            return Err(io::Error::other(
                "an earlier sync of the audit log has failed; start the server again",
            ));
        }
        Ok(())
    }

    /// For the end of a segment, when nobody may append anyway.
    fn sync(&mut self) -> io::Result<()> {
        let Some(file) = self.file_to_sync()? else { return Ok(()) };
        let outcome = file.sync();
        self.sync_failed = outcome.is_err();
        outcome
    }

    /// The file with what is not synced yet. Whoever asks must sync it.
    fn file_to_sync(&mut self) -> io::Result<Option<Arc<dyn AppendFile>>> {
        self.refuse_after_failed_sync()?;
        let segment = self.segment.as_mut().filter(|segment| segment.unsynced);
        Ok(segment.map(|segment| {
            segment.unsynced = false;
            Arc::clone(&segment.file)
        }))
    }
}

impl std::fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AuditLog")
    }
}

impl AuditLog {
    pub fn open(files: Arc<dyn Files>, barrier: Arc<Barrier>, entropy: Arc<dyn Entropy>) -> io::Result<Self> {
        let last = files.list()?.iter().filter_map(|name| segment_number(name)).max().unwrap_or(0);
        let segment_bytes_max = SEGMENT_BYTES_MAX;
        Ok(Self {
            files,
            barrier,
            entropy,
            segment_bytes_max,
            waiting: Waiting::default(),
            syncing: Mutex::default(),
            open: Mutex::new(Open { number: last, segment: None, sync_failed: false }),
        })
    }

    /// Begins a new segment after this many bytes instead of 64 MiB, for stores that are small and for tests.
    #[must_use]
    pub fn with_segment_bytes(mut self, bytes: u64) -> Self {
        self.segment_bytes_max = bytes;
        self
    }

    /// Appends events in a write shared with others that end at the same time. They survive the death of the process when
    /// this returns.
    pub(crate) async fn append_shared(&self, events: Vec<String>) -> io::Result<()> {
        let batch = self.waiting.put(events);
        step_aside().await;
        if let Some(outcome) = batch.outcome() {
            return outcome;
        }
        let mut open = self.lock();
        // Somebody else may have written it while this one waited for the lock.
        batch.outcome().unwrap_or_else(|| self.write_waiting(&mut open))
    }

    fn write_waiting(&self, open: &mut Open) -> io::Result<()> {
        let (events, batch) = self.waiting.take();
        if events.is_empty() {
            return Ok(());
        }
        let outcome = self.append_to(open, &events);
        batch.settle(outcome.is_ok());
        outcome
    }

    /// Appends events in one write. They survive the death of the process when this returns.
    pub(crate) fn append(&self, events: &[String]) -> io::Result<()> {
        self.append_to(&mut self.lock(), events)
    }

    /// The same, and they survive the loss of power too.
    pub(crate) fn append_synced(&self, events: &[String]) -> io::Result<()> {
        let _turn = self.sync_turn();
        let file = {
            let mut open = self.lock();
            self.append_to(&mut open, events)?;
            open.file_to_sync()?
        };
        self.sync_file(file)
    }

    fn append_to(&self, open: &mut Open, events: &[String]) -> io::Result<()> {
        open.refuse_after_failed_sync()?;
        if open.segment.as_ref().is_some_and(|segment| segment.written >= self.segment_bytes_max) {
            open.sync()?;
            open.segment = None;
        }
        let segment = match open.segment.as_mut() {
            Some(segment) => segment,
            None => {
                // Counted before it is made: a name that was half made is never tried again.
                open.number =
                    open.number.checked_add(1).ok_or_else(|| io::Error::other("no number is left"))?;
                let segment =
                    Segment::create(self.files.as_ref(), &self.barrier, self.entropy.as_ref(), open.number)?;
                open.segment.insert(segment)
            }
        };
        let outcome = segment.append(events);
        if outcome.is_err() {
            // How much of the write arrived is unknown, so nothing may follow it in this file. Answers rest on what came
            // before it, and this is the last moment to sync that.
            let synced = open.sync();
            open.segment = None;
            synced?;
        }
        outcome
    }

    /// Makes everything appended so far survive the loss of power. Once this has failed it fails for ever, as does every
    /// append: the owner ends the process.
    pub fn sync(&self) -> io::Result<()> {
        let _turn = self.sync_turn();
        let file = {
            let mut open = self.lock();
            // A request that was given up has left its event behind.
            self.write_waiting(&mut open)?;
            open.file_to_sync()?
        };
        self.sync_file(file)
    }

    /// Syncs while others append: a disk may take its time, and answers must not wait for it.
    fn sync_file(&self, file: Option<Arc<dyn AppendFile>>) -> io::Result<()> {
        let Some(file) = file else { return Ok(()) };
        let outcome = file.sync();
        if outcome.is_err() {
            self.lock().sync_failed = true;
        }
        outcome
    }

    /// One sync at a time: a file that somebody is still syncing must not look synced to anybody else.
    fn sync_turn(&self) -> MutexGuard<'_, ()> {
        self.syncing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) fn segment_name(number: u64) -> String {
    format!("reads-{number:010}.seg")
}

fn segment_number(name: &str) -> Option<u64> {
    name.strip_prefix("reads-")?.strip_suffix(".seg")?.parse().ok()
}

struct Segment {
    file: Arc<dyn AppendFile>,
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
        let file = files.create(&segment_name(number))?;
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
