//! The read side: a small pool of read-only connections, and the questions asked through them.
//!
//! In write-ahead mode readers neither wait for the writer nor hold it up. A connection is taken for one question
//! and goes back with its statements still prepared. A question of more than one statement runs in one read
//! transaction, so its answer is of one instant.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Condvar, Mutex, PoisonError, RwLock},
};

use bytes::Bytes;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, types::ValueRef};

use super::{failure::explain, schema};
use crate::{
    AuditPlace, AuditRow, Change, Changes, Dir, EngineError, Entry, Key, KeyRange, Page, Partition, Read,
    Rev, Versioned, frames,
    limits::{KEY_BYTES_MAX, PageBudget},
};

/// The end of a range without one: sorts after every possible key, so that a range always has two ends and the
/// index is left where the range ends.
const AFTER_ALL_KEYS: [u8; KEY_BYTES_MAX + 1] = [0xff; KEY_BYTES_MAX + 1];

/// The number of a partition inside the file.
pub(super) type PartId = i64;

#[derive(Debug)]
pub(super) struct Readers {
    idle: Mutex<Vec<Connection>>,
    returned: Condvar,
    // Grows with the partitions, which are rows as well; never shrinks, as partitions are never removed.
    parts: RwLock<HashMap<Partition, PartId>>,
}

impl Readers {
    pub(super) fn open(path: &Path, count: usize) -> Result<Self, EngineError> {
        let idle = (0..count.max(1)).map(|_| schema::open_reader(path)).collect::<Result<Vec<_>, _>>()?;
        let readers = Self { idle: Mutex::new(idle), returned: Condvar::new(), parts: RwLock::default() };
        let known = readers.ask(list_parts)?;
        readers.learn(known.into_iter().map(|(id, partition, _)| (partition, id)));
        Ok(readers)
    }

    /// Runs one question on one connection.
    pub(super) fn ask<T>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        let borrowed = self.borrow();
        match &borrowed.connection {
            Some(connection) => question(connection),
            None => Err(EngineError::unavailable("no connection to the store is left; restart the server")),
        }
    }

    fn borrow(&self) -> Borrowed<'_> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let mut idle =
            self.returned.wait_while(idle, |idle| idle.is_empty()).unwrap_or_else(PoisonError::into_inner);
        Borrowed { connection: idle.pop(), pool: self }
    }

    pub(super) fn part(&self, partition: &Partition) -> Option<PartId> {
        self.parts.read().unwrap_or_else(PoisonError::into_inner).get(partition).copied()
    }

    pub(super) fn learn(&self, new: impl IntoIterator<Item = (Partition, PartId)>) {
        self.parts.write().unwrap_or_else(PoisonError::into_inner).extend(new);
    }
}

/// Gives the connection back also when the question panics; a dropped transaction has rolled back by then.
struct Borrowed<'a> {
    connection: Option<Connection>,
    pool: &'a Readers,
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            self.pool.returned.notify_one();
        }
    }
}

pub(super) fn prepare<'a>(connection: &'a Connection, sql: &str) -> Result<CachedStatement<'a>, EngineError> {
    connection.prepare_cached(sql).map_err(|error| explain(&error))
}

/// A count or revision as a column. Ours are never negative, so one that is was damaged.
pub(super) fn number_at(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number = row.get::<_, i64>(column)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}

pub(super) fn rev_at(row: &Row<'_>, column: usize) -> rusqlite::Result<Rev> {
    number_at(row, column).map(Rev)
}

pub(super) fn bytes_at(row: &Row<'_>, column: usize) -> rusqlite::Result<Bytes> {
    Ok(Bytes::copy_from_slice(row.get_ref(column)?.as_blob().map_err(rusqlite::Error::from)?))
}

/// Statements between these see one instant.
pub(super) fn at_one_instant<T>(
    connection: &Connection,
    question: impl FnOnce(&Connection) -> Result<T, EngineError>,
) -> Result<T, EngineError> {
    let transaction = connection.unchecked_transaction().map_err(|error| explain(&error))?;
    let answer = question(&transaction)?;
    transaction.commit().map_err(|error| explain(&error))?;
    Ok(answer)
}

pub(super) fn head(connection: &Connection, part: PartId) -> Result<Rev, EngineError> {
    prepare(connection, "SELECT head FROM part WHERE id = ?1")?
        .query_row([part], |row| rev_at(row, 0))
        .map_err(|error| explain(&error))
}

pub(super) fn get(
    connection: &Connection,
    part: PartId,
    keys: &[Key],
    read: Read,
) -> Result<(Rev, Vec<Option<Versioned>>), EngineError> {
    match keys {
        // One statement is one instant by itself, and one key is what most readers ask for.
        [key] => {
            let (head, value) = get_one(connection, part, key)?;
            read.accept(head)?;
            Ok((head, vec![value]))
        }
        _ => at_one_instant(connection, |connection| {
            let head = head(connection, part)?;
            read.accept(head)?;
            let values = keys.iter().map(|key| get_one(connection, part, key).map(|(_, value)| value));
            Ok((head, values.collect::<Result<_, _>>()?))
        }),
    }
}

fn get_one(
    connection: &Connection,
    part: PartId,
    key: &Key,
) -> Result<(Rev, Option<Versioned>), EngineError> {
    prepare(
        connection,
        "SELECT part.head, kv.rev, kv.v FROM part LEFT JOIN kv ON kv.part = part.id AND kv.k = ?2 WHERE part.id = ?1",
    )?
    .query_row((part, key.as_bytes()), |row| {
        let value = match row.get_ref(1)? {
            ValueRef::Null => None,
            _ => Some(Versioned { rev: rev_at(row, 1)?, value: bytes_at(row, 2)? }),
        };
        Ok((rev_at(row, 0)?, value))
    })
    .map_err(|error| explain(&error))
}

pub(super) fn scan(
    connection: &Connection,
    part: PartId,
    range: &KeyRange,
    dir: Dir,
    limit: u32,
    read: Read,
) -> Result<Page, EngineError> {
    at_one_instant(connection, |connection| {
        let rev = head(connection, part)?;
        read.accept(rev)?;
        let mut page = Page { rev, entries: Vec::new(), rest: None };
        if range.is_empty() {
            return Ok(page);
        }
        let mut statement = prepare(
            connection,
            match dir {
                Dir::Forward => {
                    "SELECT k, v, rev FROM kv WHERE part = ?1 AND k >= ?2 AND k < ?3 ORDER BY k ASC LIMIT ?4"
                }
                Dir::Backward => {
                    "SELECT k, v, rev FROM kv WHERE part = ?1 AND k >= ?2 AND k < ?3 ORDER BY k DESC LIMIT ?4"
                }
            },
        )?;
        let mut budget = PageBudget::new(limit);
        let end = range.end.as_deref().unwrap_or(&AFTER_ALL_KEYS);
        let mut walk = || -> rusqlite::Result<()> {
            let mut rows = statement.query((part, &range.start[..], end, budget.ask()))?;
            while let Some(row) = rows.next()? {
                if budget.is_spent() {
                    page.rest = page.entries.last().map(|last| range.rest(&last.key, dir));
                    break;
                }
                let entry = entry_at(row)?;
                budget.spend(entry.key.len() + entry.value.len());
                page.entries.push(entry);
            }
            Ok(())
        };
        walk().map_err(|error| explain(&error))?;
        Ok(page)
    })
}

pub(super) fn entry_at(row: &Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry { key: Key::new(bytes_at(row, 0)?), value: bytes_at(row, 1)?, rev: rev_at(row, 2)? })
}

pub(super) fn changes(
    connection: &Connection,
    part: PartId,
    after: Rev,
    limit: u32,
) -> Result<Changes, EngineError> {
    at_one_instant(connection, |connection| {
        let head = head(connection, part)?;
        if after == head {
            return Ok(Changes::Since { head, changes: Vec::new() });
        }
        // A revision that is not even a number of ours was never reached.
        let Ok(after_column) = i64::try_from(after.0) else { return Ok(Changes::Lost { head }) };
        let mut statement = prepare(
            connection,
            "SELECT rev, touched FROM history WHERE part = ?1 AND rev > ?2 ORDER BY rev LIMIT ?3",
        )?;
        let rows = statement
            .query_map((part, after_column, PageBudget::new(limit).ask() - 1), |row| {
                Ok((rev_at(row, 0)?, bytes_at(row, 1)?))
            })
            .and_then(|rows| rows.collect::<rusqlite::Result<Vec<_>>>())
            .map_err(|error| explain(&error))?;
        // History has no holes, so the first row tells whether it still reaches back far enough.
        if rows.first().map(|(rev, _)| *rev) != Some(after.next()) {
            return Ok(Changes::Lost { head });
        }
        let changes = rows
            .into_iter()
            .map(|(rev, touched)| Ok(Change { rev, touched: frames::decode_entity_ids(&touched)? }))
            .collect::<Result<_, EngineError>>()?;
        Ok(Changes::Since { head, changes })
    })
}

pub(super) fn audit_rows(
    connection: &Connection,
    part: PartId,
    after: AuditPlace,
    limit: u32,
) -> Result<Vec<AuditRow>, EngineError> {
    let Ok(after_rev) = i64::try_from(after.rev.0) else { return Ok(Vec::new()) };
    let mut statement = prepare(
        connection,
        "SELECT rev, ordinal, row FROM audit WHERE part = ?1 AND (rev, ordinal) > (?2, ?3) ORDER BY rev, ordinal LIMIT ?4",
    )?;
    let mut budget = PageBudget::new(limit);
    let mut walk = || -> rusqlite::Result<Vec<AuditRow>> {
        let mut found = Vec::new();
        let mut rows = statement.query((part, after_rev, after.ordinal, budget.ask()))?;
        while let Some(row) = rows.next()? {
            if budget.is_spent() {
                break;
            }
            let row = audit_row_at(row)?;
            budget.spend(row.row.len());
            found.push(row);
        }
        Ok(found)
    };
    walk().map_err(|error| explain(&error))
}

pub(super) fn audit_row_at(row: &Row<'_>) -> rusqlite::Result<AuditRow> {
    Ok(AuditRow { place: AuditPlace { rev: rev_at(row, 0)?, ordinal: row.get(1)? }, row: bytes_at(row, 2)? })
}

/// All partitions in their order, with their numbers and heads.
pub(super) fn list_parts(connection: &Connection) -> Result<Vec<(PartId, Partition, Rev)>, EngineError> {
    let mut statement =
        prepare(connection, "SELECT id, account, region, head FROM part ORDER BY account, region")?;
    let rows = statement
        .query_map([], |row| {
            Ok((row.get(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?, rev_at(row, 3)?))
        })
        .and_then(|rows| rows.collect::<rusqlite::Result<Vec<_>>>())
        .map_err(|error| explain(&error))?;
    rows.into_iter()
        .map(|(id, account, region, head)| Ok((id, frames::partition_from_text(&account, &region)?, head)))
        .collect()
}

/// The number and head of a partition, straight from the file.
pub(super) fn find_part(
    connection: &Connection,
    partition: &Partition,
) -> rusqlite::Result<Option<(PartId, Rev)>> {
    connection
        .prepare_cached("SELECT id, head FROM part WHERE account = ?1 AND region = ?2")?
        .query_row((partition.account.as_str(), partition.region.as_str()), |row| {
            Ok((row.get(0)?, rev_at(row, 1)?))
        })
        .optional()
}
