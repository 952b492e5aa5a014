//! The log that answers wait for: which segment is written, what happens when it cannot be, and when it is synced.
//!
//! An answer leaves only when its event is in a segment, so a log that cannot be written refuses every answer. It then pauses:
//! whoever comes is refused at once, and one try every now and then finds out whether the disk takes bytes again. A request or
//! the loop that syncs makes that try, so the log comes back by itself, also when nobody asks for anything.
//!
//! Numbers of segments have no gaps: a segment in which no event arrived is deleted again and its number is given to the next. So
//! a missing number is a missing file, and verification says so.
//!
//! The header of a segment says how the one before it ended, also where a crash or a failed write has left that unfinished. So one
//! that was emptied, cut or put back by somebody else shows.
//!
//! A failed write is survived, a failed sync is not: after it the kernel may report success for pages that are lost.

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use coffer_barrier::Barrier;
use coffer_types::{Clock, Entropy};

use super::{
    anchor::AuditEnd,
    batch::{Waiting, step_aside},
    segment::{Link, NO_LINK, Segment, segment_name, segment_number, verify_segment},
    trail::Index,
};
use crate::{AppendFile, Files, Retention, World};

const SEGMENT_BYTES_MAX: u64 = 64 << 20;
/// A disk that has just refused is left alone for this long.
const PAUSE: Duration = Duration::from_millis(100);

/// Where the events of reads go before their answers leave.
pub struct AuditLog {
    files: Arc<dyn Files>,
    barrier: Arc<Barrier>,
    entropy: Arc<dyn Entropy>,
    clock: Arc<dyn Clock>,
    segment_bytes_max: u64,
    retention: Option<Retention>,
    waiting: Waiting,
    syncing: Mutex<()>,
    /// Held while events of the engine are on their way here, and while a segment is deleted.
    moving: Mutex<()>,
    /// The last write or sync has failed. Read on the way of every answer, so it is no lock.
    refusing: AtomicBool,
    /// The end that the store was told last.
    remembered: Mutex<Option<AuditEnd>>,
    pub(super) index: Index,
    /// Rows of the engine are moved by one at a time, or they would arrive twice.
    mover: Mutex<()>,
    open: Mutex<Open>,
}

struct Open {
    number: u64,
    segment: Option<Segment>,
    /// How the segment of this number ended, once it is not written any more; nothing while that has to be read from its file.
    end: Option<Link>,
    /// How the one before that ended.
    before: Link,
    pause: Option<Pause>,
    /// A sync has failed. The kernel may have dropped what it could not write, so a later success would mean nothing.
    sync_failed: bool,
}

/// What is remembered from a write that failed to one that succeeds.
struct Pause {
    until: Duration,
    cause: String,
    /// Whether their write was tried or not.
    events_refused: u64,
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

    fn refuse_in_pause(&mut self, clock: &dyn Clock, events: usize) -> io::Result<()> {
        match &mut self.pause {
            Some(pause) if clock.monotonic() < pause.until => {
                pause.events_refused += events as u64;
                let cause = &pause.cause;
                Err(io::Error::other(format!("the audit log could not be written a moment ago: {cause}")))
            }
            _ => Ok(()),
        }
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
        Ok(self.segment.as_mut().and_then(Segment::take_unsynced))
    }
}

impl std::fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AuditLog")
    }
}

impl AuditLog {
    /// A log in the audit files of this world. It keeps everything for ever, see [`AuditLog::with_retention`].
    pub fn open(world: &World, barrier: Arc<Barrier>) -> io::Result<Self> {
        let files = Arc::clone(&world.audit_files);
        let mut numbers: Vec<_> = files.list()?.iter().filter_map(|name| segment_number(name)).collect();
        numbers.sort_unstable();
        let last = numbers.last().copied().unwrap_or(0);
        let end = Some(end_of(files.as_ref(), &barrier, last));
        Ok(Self {
            files,
            barrier,
            entropy: Arc::clone(&world.entropy),
            clock: Arc::clone(&world.clock),
            segment_bytes_max: SEGMENT_BYTES_MAX,
            retention: None,
            waiting: Waiting::default(),
            syncing: Mutex::default(),
            moving: Mutex::default(),
            refusing: AtomicBool::default(),
            remembered: Mutex::default(),
            index: Index::default(),
            mover: Mutex::default(),
            open: Mutex::new(Open {
                number: last,
                segment: None,
                end,
                before: NO_LINK,
                pause: None,
                sync_failed: false,
            }),
        })
    }

    /// Begins a new segment after this many bytes instead of 64 MiB, for stores that are small and for tests.
    #[must_use]
    pub const fn with_segment_bytes(mut self, bytes: u64) -> Self {
        self.segment_bytes_max = bytes;
        self
    }

    /// Lets a task retire segments that are too old or too many.
    #[must_use]
    pub const fn with_retention(mut self, retention: Retention) -> Self {
        self.retention = Some(retention);
        self
    }

    /// Whether answers are refused because their events cannot be written.
    pub fn is_refusing(&self) -> bool {
        self.refusing.load(Ordering::Acquire)
    }

    /// Why it refuses, if it does, for whoever works on this machine.
    pub fn refusal(&self) -> Option<String> {
        let open = self.lock();
        let failed = open.refuse_after_failed_sync().err().map(|error| error.to_string());
        failed.or_else(|| open.pause.as_ref().map(|pause| pause.cause.clone()))
    }

    pub(super) const fn retention(&self) -> Option<Retention> {
        self.retention
    }

    pub(super) fn files(&self) -> &dyn Files {
        self.files.as_ref()
    }

    pub(super) fn barrier(&self) -> &Barrier {
        &self.barrier
    }

    /// While somebody holds this, no segment is deleted and no row of the engine is copied into one.
    pub(super) fn hold_segments(&self) -> MutexGuard<'_, ()> {
        self.moving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Held by whoever moves rows of the engine into segments.
    pub(super) fn mover_turn(&self) -> MutexGuard<'_, ()> {
        self.mover.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends events in a write shared with others that end at the same time. They survive the death of the process when
    /// this returns.
    pub(crate) async fn append_shared(&self, events: Vec<String>) -> io::Result<()> {
        if self.is_refusing() {
            return self.append(&events);
        }
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

    /// Every write of events goes through here. Without events it is a try whether a segment can be had.
    fn append_to(&self, open: &mut Open, events: &[String]) -> io::Result<()> {
        open.refuse_after_failed_sync()?;
        open.refuse_in_pause(self.clock.as_ref(), events.len())?;
        let outcome = self.write(open, events);
        match &outcome {
            Ok(()) => self.end_pause(open),
            Err(error) => self.begin_pause(open, error, events.len()),
        }
        outcome
    }

    fn write(&self, open: &mut Open, events: &[String]) -> io::Result<()> {
        if open.segment.as_ref().is_some_and(|segment| segment.bytes() >= self.segment_bytes_max) {
            open.sync()?;
            open.end = open.segment.take().map(|segment| *segment.end().1);
        }
        let outcome = match &mut open.segment {
            Some(segment) => segment.append(events),
            None => {
                let segment = self.next_segment(open)?;
                open.segment.insert(segment).append(events)
            }
        };
        if outcome.is_err() {
            self.give_up_segment(open)?;
        }
        outcome
    }

    /// A new segment, and its number if that is taken now.
    fn next_segment(&self, open: &mut Open) -> io::Result<Segment> {
        let next = open.number.checked_add(1).ok_or_else(|| io::Error::other("no number is left"))?;
        let number = open.number;
        let before = *open.end.get_or_insert_with(|| end_of(self.files.as_ref(), &self.barrier, number));
        let made = Segment::create(self.files.as_ref(), &self.barrier, self.entropy.as_ref(), next, &before);
        let is_taken = match &made {
            Ok(_) => true,
            // Not our file, so not ours to delete.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => true,
            Err(_) => !self.clears(next),
        };
        if is_taken {
            open.number = next;
            (open.end, open.before) = (None, before);
        }
        made
    }

    /// Deletes a file that holds nothing, and answers whether its number is free again.
    fn clears(&self, number: u64) -> bool {
        let name = segment_name(number);
        self.files.remove(&name).is_ok() || self.files.length(&name).is_err()
    }

    /// How much of a failed write arrived is unknown, so nothing may follow it in its file.
    fn give_up_segment(&self, open: &mut Open) -> io::Result<()> {
        if open.segment.as_ref().is_some_and(Segment::is_stillborn) {
            open.segment = None;
            if self.clears(open.number) {
                open.number = open.number.saturating_sub(1);
                open.end = Some(open.before);
            }
            return Ok(());
        }
        // Answers rest on what came before the write, and this is the last moment to sync that.
        let synced = open.sync();
        open.segment = None;
        synced
    }

    fn begin_pause(&self, open: &mut Open, error: &io::Error, events: usize) {
        self.refusing.store(true, Ordering::Release);
        // A failed sync is for ever, and whoever ends the process says so.
        if open.sync_failed {
            return;
        }
        let until = self.clock.monotonic().saturating_add(PAUSE);
        if open.pause.is_none() {
            tracing::error!(%error, "the audit log cannot be written, so requests are refused; check the disk");
        }
        let pause =
            open.pause.get_or_insert_with(|| Pause { until, cause: String::new(), events_refused: 0 });
        pause.until = until;
        pause.cause = error.to_string();
        pause.events_refused += events as u64;
    }

    fn end_pause(&self, open: &mut Open) {
        if let Some(pause) = open.pause.take() {
            self.refusing.store(false, Ordering::Release);
            tracing::info!(events_refused = pause.events_refused, "the audit log is written again");
        }
    }

    /// Where the segment ends that is written; nothing before the first event of this process. It may not be synced that far.
    pub fn end(&self) -> Option<AuditEnd> {
        let open = self.lock();
        let segment = open.segment.as_ref().filter(|segment| !segment.is_stillborn())?;
        let (events, chain) = segment.end();
        Some(AuditEnd::new(open.number, events, *chain))
    }

    /// The end that the store was told last by this process.
    pub(super) fn remembered(&self) -> MutexGuard<'_, Option<AuditEnd>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes everything appended so far survive the loss of power. Once this has failed it fails for ever, as does every
    /// append: the owner ends the process. A log that cannot be *written* is no such failure; this tries to write it again.
    pub fn sync(&self) -> io::Result<()> {
        let _turn = self.sync_turn();
        let file = {
            let mut open = self.lock();
            // A request that was given up has left its event behind. Nobody waits for the outcome, and the log remembers it.
            drop(self.write_waiting(&mut open));
            if open.pause.is_some() {
                drop(self.append_to(&mut open, &[]));
            }
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
            self.refusing.store(true, Ordering::Release);
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

/// How a segment ended that nobody writes any more, and with it those before it that are too short to say so themselves.
///
/// One that cannot be read says nothing, and nobody waits for it: verification complains of the gap in what is known.
fn end_of(files: &dyn Files, barrier: &Barrier, number: u64) -> Link {
    let name = segment_name(number);
    // What is judged here must not be lost later: the process that wrote it may have died before it was synced.
    if number == 0 || files.settle(&name).is_err() {
        return NO_LINK;
    }
    let Ok(bytes) = files.read(&name) else { return NO_LINK };
    let report = verify_segment(barrier, &bytes, &mut |_| ());
    report.end(|| Some(end_of(files, barrier, number - 1))).unwrap_or(NO_LINK)
}
