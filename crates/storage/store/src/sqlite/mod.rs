//! The embedded engine: SQLite in write-ahead mode, in a directory of its own.
//!
//! The parts are small so that each can be read alone: `directory` decides who may touch the files, `log` whether the last stop
//! lost anything, `schema` what they look like, `writer` is the one connection that changes them, `readers` the pool that answers questions,
//! `still` reads a store that stands still without touching it, `transfer` moves everything at once, `space` keeps room for deletions, and `failure` holds the latch.
//!
//! Invariant: any error of a write, a sync or a checkpoint closes the latch, and from then on every call is refused.
//! The engine does not end the process; its owner does, because only the owner knows what else has to be said first.

mod directory;
mod failure;
mod log;
mod readers;
mod schema;
mod space;
mod still;
mod transfer;
mod writer;

#[cfg(test)]
mod tests;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use coffer_types::{Clock, Entropy};

use self::{
    directory::DataDirectory,
    failure::Latch,
    readers::Readers,
    space::Floor,
    writer::{LongReads, Writer},
};
pub use self::{
    failure::OnFatal,
    log::{LogDamage, LogState, accept_loss, examine_log, logs_set_aside},
    space::FreeSpace,
    still::StillStore,
};
use crate::{
    AuditPlace, AuditRow, Changes, Commit, Depth, Dir, Engine, EngineError, FrameSink, FrameSource,
    HISTORY_REVISIONS, Health, ImportReport, Key, KeyRange, Page, Partition, Read, Rev, Txn, Versioned,
    Waker, limits, waker::Bell,
};

/// Below this much free space only what removes records is accepted.
const FREE_FLOOR_BYTES: u64 = 128 << 20;
/// A question takes microseconds, so a few connections serve many threads.
const READERS: usize = 4;

/// How to open a store, and what the world looks like from in there.
pub struct SqliteOptions {
    /// Written into a new store and demanded from an old one, so that `ephemeral` and `production` do not mix.
    pub mark: String,
    pub clock: Arc<dyn Clock>,
    pub free_space: FreeSpace,
    pub free_floor_bytes: u64,
    pub readers: usize,
    /// How many revisions a partition remembers.
    pub history: u64,
    pub on_fatal: Option<OnFatal>,
}

impl SqliteOptions {
    pub fn new(mark: &str, clock: Arc<dyn Clock>, free_space: FreeSpace) -> Self {
        Self {
            mark: mark.to_owned(),
            clock,
            free_space,
            free_floor_bytes: FREE_FLOOR_BYTES,
            readers: READERS,
            history: HISTORY_REVISIONS,
            on_fatal: None,
        }
    }
}

impl fmt::Debug for SqliteOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteOptions").field("mark", &self.mark).finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub struct SqliteEngine {
    // Fields are dropped in this order: the lock on the directory goes last.
    readers: Readers,
    writer: Mutex<Writer>,
    latch: Latch,
    long_reads: LongReads,
    floor: Floor,
    bell: Bell,
    store: PathBuf,
    is_new: bool,
    _directory: DataDirectory,
}

impl SqliteEngine {
    /// Opens the store in a directory, making both if they are missing. `entropy` signs the store for this process.
    pub fn open(path: &Path, options: SqliteOptions, entropy: &dyn Entropy) -> Result<Self, EngineError> {
        schema::check_library()?;
        let mut directory = DataDirectory::take(path)?;
        // Before SQLite: it would cut the log where it breaks, and nobody would know.
        if let LogState::Damaged(damage) = examine_log(directory.path())? {
            return Err(EngineError::LogDamaged(damage));
        }
        for log in logs_set_aside(directory.path()) {
            tracing::warn!(log = %log.display(), "writes of this store were given up by command, what is left of them lies here");
        }
        let store = directory.store();
        let connection = schema::open_writer(&store)?;
        let opened = schema::prepare(&connection, &mut directory, &options.mark, entropy)?;
        let writer = Writer::new(connection, opened.owner, options.history)?;
        let readers = Readers::open(&store, options.readers)?;
        let floor = Floor::new(
            directory.path().to_owned(),
            options.free_floor_bytes,
            options.free_space,
            options.clock,
        );
        tracing::info!(path = %path.display(), is_new = opened.is_new, "store opened");
        Ok(Self {
            readers,
            writer: Mutex::new(writer),
            latch: Latch::new(options.on_fatal),
            long_reads: LongReads::default(),
            floor,
            bell: Bell::default(),
            store,
            is_new: opened.is_new,
            _directory: directory,
        })
    }

    /// Whether this call of [`Self::open`] created the store.
    pub const fn is_new(&self) -> bool {
        self.is_new
    }

    /// What this store knows its keyring by, if it was told.
    pub fn keyring_mark(&self) -> Result<Option<Vec<u8>>, EngineError> {
        self.latch.check()?;
        self.writer()?.keyring_mark()
    }

    /// Tells a new store what to know its keyring by. It is told once, durably.
    pub fn add_keyring_mark(&self, mark: &[u8]) -> Result<(), EngineError> {
        self.latch.check()?;
        self.writer()?.add_keyring_mark(mark, &self.latch)
    }

    /// How far its keyring had come when the store was told last.
    pub fn keyring_age(&self) -> Result<Option<Vec<u8>>, EngineError> {
        self.latch.check()?;
        self.writer()?.keyring_age()
    }

    /// Tells the store how far its keyring has come, durably.
    pub fn set_keyring_age(&self, age: &[u8]) -> Result<(), EngineError> {
        self.latch.check()?;
        self.writer()?.set_keyring_age(age, &self.latch)
    }

    fn writer(&self) -> Result<MutexGuard<'_, Writer>, EngineError> {
        self.writer.lock().map_err(|_| {
            // Whoever panicked in there left a state that nobody knows.
            self.latch.trip("the writer panicked");
            EngineError::unavailable("the writer panicked; restart the server")
        })
    }
}

impl Engine for SqliteEngine {
    fn get(
        &self,
        partition: &Partition,
        keys: &[Key],
        read: Read,
    ) -> Result<(Rev, Vec<Option<Versioned>>), EngineError> {
        self.latch.check()?;
        limits::check_keys(keys)?;
        let Some(part) = self.readers.part(partition) else {
            read.accept(Rev::ZERO)?;
            return Ok((Rev::ZERO, vec![None; keys.len()]));
        };
        self.readers.ask(|connection| readers::get(connection, part, keys, read))
    }

    fn scan(
        &self,
        partition: &Partition,
        range: &KeyRange,
        dir: Dir,
        limit: u32,
        read: Read,
    ) -> Result<Page, EngineError> {
        self.latch.check()?;
        let Some(part) = self.readers.part(partition) else {
            read.accept(Rev::ZERO)?;
            return Ok(Page { rev: Rev::ZERO, entries: Vec::new(), rest: None });
        };
        self.readers.ask(|connection| readers::scan(connection, part, range, dir, limit, read))
    }

    fn commit(&self, group: &[Txn]) -> Result<Vec<Commit>, EngineError> {
        limits::check_group(group)?;
        let mut writer = self.writer()?;
        self.latch.check()?;
        self.floor.admit(group)?;
        let (commits, new) = writer.commit(group, &self.latch, &self.long_reads)?;
        // Before the writer is released, so that nobody learns of a commit in a partition that is not known yet.
        self.readers.learn(new);
        drop(writer);
        self.bell.ring();
        Ok(commits)
    }

    fn head(&self, partitions: &[Partition]) -> Result<Vec<Rev>, EngineError> {
        self.latch.check()?;
        // Resolved first: a number learned later may be younger than the instant that is read.
        let parts = partitions.iter().map(|partition| self.readers.part(partition)).collect::<Vec<_>>();
        self.readers.ask(|connection| {
            readers::at_one_instant(connection, |connection| {
                let head =
                    |part: &Option<_>| part.map_or(Ok(Rev::ZERO), |part| readers::head(connection, part));
                parts.iter().map(head).collect()
            })
        })
    }

    fn changes(&self, partition: &Partition, after: Rev, limit: u32) -> Result<Changes, EngineError> {
        self.latch.check()?;
        match self.readers.part(partition) {
            Some(part) => self.readers.ask(|connection| readers::changes(connection, part, after, limit)),
            None if after == Rev::ZERO => Ok(Changes::Since { head: Rev::ZERO, changes: Vec::new() }),
            None => Ok(Changes::Lost { head: Rev::ZERO }),
        }
    }

    fn wake(&self) -> Waker {
        self.bell.waker()
    }

    fn partitions(&self) -> Result<Vec<(Partition, Rev)>, EngineError> {
        self.latch.check()?;
        let parts = self.readers.ask(readers::list_parts)?;
        Ok(parts.into_iter().map(|(_, partition, head)| (partition, head)).collect())
    }

    fn audit_rows(
        &self,
        partition: &Partition,
        after: AuditPlace,
        limit: u32,
    ) -> Result<Vec<AuditRow>, EngineError> {
        self.latch.check()?;
        let Some(part) = self.readers.part(partition) else { return Ok(Vec::new()) };
        self.readers.ask(|connection| readers::audit_rows(connection, part, after, limit))
    }

    fn drop_audit_rows(&self, partition: &Partition, through: AuditPlace) -> Result<(), EngineError> {
        self.latch.check()?;
        let Some(part) = self.readers.part(partition) else { return Ok(()) };
        self.writer()?.drop_audit_rows(part, through, &self.latch, &self.long_reads)
    }

    fn export(&self, to: &mut dyn FrameSink) -> Result<(), EngineError> {
        self.latch.check()?;
        transfer::export(&self.store, &self.long_reads.begin(), to)
    }

    fn import(&self, from: &mut dyn FrameSource) -> Result<ImportReport, EngineError> {
        self.latch.check()?;
        let mut writer = self.writer()?;
        let (report, new) = transfer::import(&mut writer, &self.latch, from)?;
        self.readers.learn(new);
        drop(writer);
        self.bell.ring();
        Ok(report)
    }

    fn check(&self, depth: Depth) -> Result<Health, EngineError> {
        self.latch.check()?;
        let _long = self.long_reads.begin();
        transfer::check(&schema::open_reader(&self.store)?, depth)
    }

    fn fatal(&self) -> Option<String> {
        self.latch.cause()
    }

    fn stop(&self, cause: &str) {
        self.latch.trip(cause);
    }
}

impl Drop for SqliteEngine {
    fn drop(&mut self) {
        // After a failure the log is all we trust; the next process reads it from the disk.
        if self.latch.check().is_ok()
            && let Ok(writer) = self.writer.get_mut()
        {
            writer.close();
        }
    }
}
