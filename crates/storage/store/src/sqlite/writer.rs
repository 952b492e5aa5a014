//! The write side: one connection, one transaction per group, and the care of the log.
//!
//! A group is applied in order inside one SQLite transaction, so a later transaction of the group sees the earlier
//! ones, and one sync makes them all durable. Nothing is written for a transaction that conflicts: its checks come
//! before its writes, so no savepoints are needed.
//!
//! The log is checkpointed here, explicitly and before a group begins, because an automatic checkpoint swallows its own
//! errors, and a failed sync that nobody hears of is how acknowledged data gets lost.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use rusqlite::{Connection, OptionalExtension};

use super::{
    failure::{Latch, explain, is_busy, is_full},
    readers::{PartId, find_part, number_at, rev_at},
    schema::{self, OwnerId},
};
use crate::{AuditPlace, Commit, EngineError, Key, Partition, Rev, Txn, Write, chains, frames};

/// What recovery may have to replay; the log file is cut back to this when it starts over.
pub(super) const LOG_BYTES_KEPT: u64 = 64 << 20;
/// Large enough that pages written often are copied once, small enough that copying them takes milliseconds.
const CHECKPOINT_AT_BYTES: u64 = 16 << 20;
/// Readers that overlap without a gap keep the log from starting over. From here on the writer waits for one.
/// The largest group adds less than what is missing to [`LOG_BYTES_KEPT`].
const START_OVER_AT_BYTES: u64 = 40 << 20;
/// A long export holds the log; beyond this the export has to give way.
const EXPORT_STOP_AT_BYTES: u64 = 1 << 30;

/// Audit rows leave in pieces, so that a long absence of their reader does not become one long transaction.
const AUDIT_DROP_MAX: u32 = 4096;

/// Long reads, which hold the log and may be asked to stop.
#[derive(Debug, Default)]
pub(super) struct LongReads {
    running: AtomicUsize,
    stop: AtomicBool,
}

impl LongReads {
    pub(super) fn begin(&self) -> LongRead<'_> {
        if self.running.fetch_add(1, Ordering::AcqRel) == 0 {
            self.stop.store(false, Ordering::Release);
        }
        LongRead(self)
    }

    pub(super) fn ask_to_stop(&self) {
        self.stop.store(true, Ordering::Release);
    }
}

#[derive(Debug)]
pub(super) struct LongRead<'a>(&'a LongReads);

impl LongRead<'_> {
    pub(super) fn may_go_on(&self) -> Result<(), EngineError> {
        if self.0.stop.load(Ordering::Acquire) {
            return Err(EngineError::unavailable(
                "the export was overtaken by writes and held too much of the log; export again when it is quieter",
            ));
        }
        Ok(())
    }
}

impl Drop for LongRead<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Why a transaction was not committed.
pub(super) enum Failure {
    /// The store failed.
    Sqlite(rusqlite::Error),
    /// The store is well, the transaction is not wanted.
    Refused(EngineError),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Self::Refused(error)
    }
}

#[derive(Debug)]
pub(super) struct Writer {
    connection: Connection,
    owner: OwnerId,
    history: u64,
    page_bytes: u64,
}

/// The outcomes of a group, and the partitions it brought into being.
pub(super) type Applied = (Vec<Commit>, Vec<(Partition, PartId)>);

impl Writer {
    pub(super) fn new(connection: Connection, owner: OwnerId, history: u64) -> Result<Self, EngineError> {
        let page_bytes = connection
            .query_row("PRAGMA page_size", [], |row| number_at(row, 0))
            .map_err(|error| explain(&error))?;
        Ok(Self { connection, owner, history, page_bytes })
    }

    pub(super) fn commit(
        &mut self,
        group: &[Txn],
        latch: &Latch,
        long: &LongReads,
    ) -> Result<Applied, EngineError> {
        self.tend_log(latch, long)?;
        let history = self.history;
        self.transact(latch, |connection| {
            let mut applying = Applying { connection, history, parts: HashMap::new() };
            let mut commits = Vec::with_capacity(group.len());
            for chain in chains(group) {
                applying.apply(chain, &mut commits)?;
            }
            Ok((commits, applying.finish()?))
        })
    }

    pub(super) fn keyring_mark(&self) -> Result<Option<Vec<u8>>, EngineError> {
        schema::keyring_mark(&self.connection)
    }

    pub(super) fn add_keyring_mark(&mut self, mark: &[u8], latch: &Latch) -> Result<(), EngineError> {
        self.transact(latch, |connection| Ok(schema::add_keyring_mark(connection, mark)?))
    }

    pub(super) fn keyring_age(&self) -> Result<Option<Vec<u8>>, EngineError> {
        schema::keyring_age(&self.connection)
    }

    pub(super) fn set_keyring_age(&mut self, age: &[u8], latch: &Latch) -> Result<(), EngineError> {
        self.transact(latch, |connection| Ok(schema::set_keyring_age(connection, age)?))
    }

    pub(super) fn drop_audit_rows(
        &mut self,
        part: PartId,
        through: AuditPlace,
        latch: &Latch,
        long: &LongReads,
    ) -> Result<(), EngineError> {
        let through_rev = i64::try_from(through.rev.0).unwrap_or(i64::MAX);
        loop {
            self.tend_log(latch, long)?;
            let dropped = self.transact(latch, |connection| {
                let mut statement = connection.prepare_cached(
                    "DELETE FROM audit WHERE rowid IN (SELECT rowid FROM audit
                     WHERE part = ?1 AND (rev, ordinal) <= (?2, ?3) ORDER BY rev, ordinal LIMIT ?4)",
                )?;
                Ok(statement.execute((part, through_rev, through.ordinal, AUDIT_DROP_MAX))?)
            })?;
            if dropped < AUDIT_DROP_MAX as usize {
                return Ok(());
            }
        }
    }

    /// Runs `body` in one durable transaction. Whatever fails in SQLite stops the engine, except what provably left
    /// nothing behind: a store that is busy before it began, and a disk that was full.
    pub(super) fn transact<T>(
        &mut self,
        latch: &Latch,
        body: impl FnOnce(&Connection) -> Result<T, Failure>,
    ) -> Result<T, EngineError> {
        latch.check()?;
        if let Err(error) = self.connection.execute_batch("BEGIN IMMEDIATE") {
            if is_busy(&error) {
                return Err(EngineError::unavailable(
                    "another program holds the write lock of the store; close it and try again",
                ));
            }
            return Err(stopped(latch, &error));
        }
        let answer = match self.check_owner(latch).and_then(|()| body(&self.connection)) {
            Ok(answer) => answer,
            Err(Failure::Refused(error)) => {
                self.roll_back(latch)?;
                return Err(error);
            }
            Err(Failure::Sqlite(error)) if is_full(&error) => {
                self.roll_back(latch)?;
                return Err(explain(&error));
            }
            Err(Failure::Sqlite(error)) => {
                // The cause first: what a rollback says after it is of no more interest.
                let answer = stopped(latch, &error);
                let _ = self.roll_back(latch);
                return Err(answer);
            }
        };
        match self.connection.execute_batch("COMMIT") {
            Ok(()) => Ok(answer),
            Err(error) if is_full(&error) => {
                // The frame that commits is the last one written, so a write that found no room came before it.
                self.roll_back(latch)?;
                Err(explain(&error))
            }
            Err(error) => {
                latch.trip(format!("a commit failed: {error}"));
                Err(EngineError::OutcomeUnknown { reason: error.to_string() })
            }
        }
    }

    /// Another server that opened this store has signed it since. It is the newer one; we are done.
    fn check_owner(&self, latch: &Latch) -> Result<(), Failure> {
        let owner = self
            .connection
            .prepare_cached("SELECT value FROM meta WHERE name = 'owner'")?
            .query_row([], |row| row.get::<_, Vec<u8>>(0))?;
        if owner == self.owner {
            return Ok(());
        }
        latch.trip(OWNER_CHANGED);
        Err(Failure::Refused(EngineError::unavailable(OWNER_CHANGED)))
    }

    fn roll_back(&self, latch: &Latch) -> Result<(), EngineError> {
        // SQLite rolls back by itself on some errors, and then there is nothing left to do.
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            return Err(stopped(latch, &error));
        }
        Ok(())
    }

    /// Copies the log into the file when it has grown, and makes it start over when it has grown too much.
    fn tend_log(&self, latch: &Latch, long: &LongReads) -> Result<(), EngineError> {
        latch.check()?;
        let state = |mode: &str| self.checkpoint(mode).map_err(|error| stopped(latch, &error));
        let mut log = state("NOOP")?;
        if log.waiting_bytes() >= CHECKPOINT_AT_BYTES {
            log = state("PASSIVE")?;
        }
        if log.bytes >= START_OVER_AT_BYTES {
            if long.running.load(Ordering::Acquire) == 0 {
                // If readers do not leave within the busy wait, the next group tries again.
                state("RESTART")?;
            } else if log.bytes >= EXPORT_STOP_AT_BYTES {
                long.ask_to_stop();
            }
        }
        Ok(())
    }

    fn checkpoint(&self, mode: &str) -> rusqlite::Result<Log> {
        self.connection.prepare_cached(&format!("PRAGMA wal_checkpoint({mode})"))?.query_row([], |row| {
            // Minus one where there is no log yet.
            let frames = |column| row.get::<_, i64>(column).map(|count| u64::try_from(count).unwrap_or(0));
            Ok(Log { bytes: frames(1)? * self.page_bytes, copied_bytes: frames(2)? * self.page_bytes })
        })
    }

    /// Leaves an empty log behind, so that the next start has nothing to replay.
    pub(super) fn close(&self) {
        if let Err(error) = self.checkpoint("TRUNCATE") {
            // Nothing is lost: the log still has everything, and the next start reads it.
            tracing::warn!(%error, "the log could not be emptied at the end");
        }
    }

    #[cfg(test)]
    pub(super) const fn connection(&self) -> &Connection {
        &self.connection
    }

    #[cfg(test)]
    pub(super) fn log_bytes(&self) -> u64 {
        self.checkpoint("NOOP").unwrap().bytes
    }
}

const OWNER_CHANGED: &str =
    "another server has taken over this data directory; make sure that only one is running";

struct Log {
    bytes: u64,
    copied_bytes: u64,
}

impl Log {
    const fn waiting_bytes(&self) -> u64 {
        self.bytes.saturating_sub(self.copied_bytes)
    }
}

fn stopped(latch: &Latch, error: &rusqlite::Error) -> EngineError {
    latch.trip(format!("a write failed: {error}"));
    explain(error)
}

/// A group on its way into the file.
struct Applying<'a> {
    connection: &'a Connection,
    history: u64,
    parts: HashMap<Partition, Part>,
}

#[derive(Clone, Copy)]
struct Part {
    id: Option<PartId>,
    /// The head in the file, and the head after this group.
    stored: Rev,
    head: Rev,
    is_new: bool,
}

impl Applying<'_> {
    /// All that belongs together, or nothing of it.
    fn apply(&mut self, chain: &[Txn], commits: &mut Vec<Commit>) -> rusqlite::Result<()> {
        let before = commits.len();
        let mut is_refused = false;
        for txn in chain {
            let part = self.part(&txn.partition)?;
            if let Some(id) = part.id
                && let Some(rev) = self.find_token(id, txn)?
            {
                // It was applied with all that it belongs with.
                commits.push(Commit::Duplicate(rev));
                is_refused = true;
                continue;
            }
            let failed = self.failed_checks(part.id, txn)?;
            is_refused |= !failed.is_empty();
            commits.push(Commit::Conflict(failed));
        }
        if is_refused {
            return Ok(());
        }
        commits.truncate(before);
        for txn in chain {
            commits.push(Commit::Done(self.apply_one(txn)?));
        }
        Ok(())
    }

    fn apply_one(&mut self, txn: &Txn) -> rusqlite::Result<Rev> {
        let part = self.part(&txn.partition)?;
        // A partition exists from its first successful transaction on, not from the first attempt.
        let id = match part.id {
            Some(id) => id,
            None => self.create_part(&txn.partition)?,
        };
        let rev = part.head.next();
        self.write(id, rev, txn)?;
        self.remember(id, rev, txn)?;
        if let Some(part) = self.parts.get_mut(&txn.partition) {
            part.head = rev;
        }
        Ok(rev)
    }

    fn part(&mut self, partition: &Partition) -> rusqlite::Result<Part> {
        if let Some(part) = self.parts.get(partition) {
            return Ok(*part);
        }
        let part = match find_part(self.connection, partition)? {
            Some((id, head)) => Part { id: Some(id), stored: head, head, is_new: false },
            None => Part { id: None, stored: Rev::ZERO, head: Rev::ZERO, is_new: true },
        };
        self.parts.insert(partition.clone(), part);
        Ok(part)
    }

    fn create_part(&mut self, partition: &Partition) -> rusqlite::Result<PartId> {
        let id = insert_part(self.connection, partition, Rev::ZERO)?;
        if let Some(part) = self.parts.get_mut(partition) {
            part.id = Some(id);
        }
        Ok(id)
    }

    fn find_token(&self, part: PartId, txn: &Txn) -> rusqlite::Result<Option<Rev>> {
        self.connection
            .prepare_cached("SELECT rev FROM history WHERE part = ?1 AND token = ?2")?
            .query_row((part, &txn.token.0[..]), |row| rev_at(row, 0))
            .optional()
    }

    fn failed_checks(&self, part: Option<PartId>, txn: &Txn) -> rusqlite::Result<Vec<usize>> {
        let mut failed = Vec::new();
        for (index, check) in txn.checks.iter().enumerate() {
            let found = match part {
                Some(part) => self.find_rev(part, &check.key)?,
                None => None,
            };
            if !check.expect.holds(found) {
                failed.push(index);
            }
        }
        Ok(failed)
    }

    fn find_rev(&self, part: PartId, key: &Key) -> rusqlite::Result<Option<Rev>> {
        self.connection
            .prepare_cached("SELECT rev FROM kv WHERE part = ?1 AND k = ?2")?
            .query_row((part, key.as_bytes()), |row| rev_at(row, 0))
            .optional()
    }

    fn write(&self, part: PartId, rev: Rev, txn: &Txn) -> rusqlite::Result<()> {
        for write in &txn.writes {
            match write {
                Write::Put { key, value } => {
                    put_entry(self.connection, part, key, value, rev)?;
                }
                Write::Delete { key } => {
                    self.connection
                        .prepare_cached("DELETE FROM kv WHERE part = ?1 AND k = ?2")?
                        .execute((part, key.as_bytes()))?;
                }
            }
        }
        for (ordinal, row) in (0_u32..).zip(&txn.audit) {
            insert_audit(self.connection, part, AuditPlace { rev, ordinal }, row)?;
        }
        Ok(())
    }

    fn remember(&self, part: PartId, rev: Rev, txn: &Txn) -> rusqlite::Result<()> {
        insert_history(self.connection, part, rev, &txn.token.0, &frames::encode_entity_ids(&txn.touched))?;
        if rev.0 > self.history {
            self.connection
                .prepare_cached("DELETE FROM history WHERE part = ?1 AND rev <= ?2")?
                .execute((part, rev_column(Rev(rev.0 - self.history))?))?;
        }
        Ok(())
    }

    /// Moves the heads, once per partition however long the group was.
    fn finish(self) -> rusqlite::Result<Vec<(Partition, PartId)>> {
        let mut new = Vec::new();
        for (partition, part) in self.parts {
            let Some(id) = part.id.filter(|_| part.head != part.stored) else { continue };
            self.connection
                .prepare_cached("UPDATE part SET head = ?2 WHERE id = ?1")?
                .execute((id, rev_column(part.head)?))?;
            if part.is_new {
                new.push((partition, id));
            }
        }
        Ok(new)
    }
}

fn rev_column(rev: Rev) -> rusqlite::Result<i64> {
    i64::try_from(rev.0).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

pub(super) fn insert_part(
    connection: &Connection,
    partition: &Partition,
    head: Rev,
) -> rusqlite::Result<PartId> {
    connection.prepare_cached("INSERT INTO part (account, region, head) VALUES (?1, ?2, ?3)")?.insert((
        partition.account.as_str(),
        partition.region.as_str(),
        rev_column(head)?,
    ))
}

pub(super) fn put_entry(
    connection: &Connection,
    part: PartId,
    key: &Key,
    value: &[u8],
    rev: Rev,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO kv (part, k, v, rev) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (part, k) DO UPDATE SET v = excluded.v, rev = excluded.rev",
        )?
        .execute((part, key.as_bytes(), value, rev_column(rev)?))
        .map(|_| ())
}

pub(super) fn insert_history(
    connection: &Connection,
    part: PartId,
    rev: Rev,
    token: &[u8],
    touched: &[u8],
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT INTO history (part, rev, token, touched) VALUES (?1, ?2, ?3, ?4)")?
        .execute((part, rev_column(rev)?, token, touched))
        .map(|_| ())
}

pub(super) fn insert_audit(
    connection: &Connection,
    part: PartId,
    place: AuditPlace,
    row: &[u8],
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT INTO audit (part, rev, ordinal, row) VALUES (?1, ?2, ?3, ?4)")?
        .execute((part, rev_column(place.rev)?, place.ordinal, row))
        .map(|_| ())
}
