//! The whole store at once: export, import, and looking for damage.
//!
//! These read for minutes on a large store, so they bring their own connection instead of taking one from the
//! pool, and they can be told to give way when the log grows behind them.

use std::path::Path;

use rusqlite::Connection;

use super::{
    failure::{Latch, explain},
    readers::{
        PartId, at_one_instant, audit_row_at, bytes_at, entry_at, list_parts, number_at, prepare, rev_at,
    },
    schema,
    writer::{self, Failure, LongRead, Writer},
};
use crate::{
    AuditRow, Depth, EngineError, EntityId, Entry, Frame, FrameSink, FrameSource, Health, ImportReport,
    Partition, Rev, TxnToken,
    frames::{self, Loading, STREAM_VERSION},
};

/// SQLite would list up to a hundred problems; a person reads the first few.
const PROBLEMS_MAX: u32 = 20;

pub(super) fn export(path: &Path, long: &LongRead<'_>, to: &mut dyn FrameSink) -> Result<(), EngineError> {
    let connection = schema::open_reader(path)?;
    at_one_instant(&connection, |connection| {
        // The first read fixes the instant, so it comes before the first frame.
        let parts = list_parts(connection)?;
        let mut count = ImportReport::default();
        to.put(&Frame::Begin { version: STREAM_VERSION })?;
        for (part, partition, head) in parts {
            count.partitions += 1;
            to.put(&Frame::Partition { partition, head })?;
            let mut put = |frame: &Frame| long.may_go_on().and_then(|()| to.put(frame));
            count.changes += each(
                connection,
                "SELECT rev, token, touched FROM history WHERE part = ?1 ORDER BY rev",
                part,
                &mut |row| {
                    let touched = bytes_at(row, 2).map_err(|error| explain(&error))?;
                    let read = || Ok((rev_at(row, 0)?, TxnToken(row.get(1)?)));
                    let (rev, token) = read().map_err(|error: rusqlite::Error| explain(&error))?;
                    put(&Frame::Change { rev, token, touched: frames::decode_entity_ids(&touched)? })
                },
            )?;
            count.entries +=
                each(connection, "SELECT k, v, rev FROM kv WHERE part = ?1 ORDER BY k", part, &mut |row| {
                    put(&Frame::Entry(entry_at(row).map_err(|error| explain(&error))?))
                })?;
            count.audit_rows += each(
                connection,
                "SELECT rev, ordinal, row FROM audit WHERE part = ?1 ORDER BY rev, ordinal",
                part,
                &mut |row| put(&Frame::Audit(audit_row_at(row).map_err(|error| explain(&error))?)),
            )?;
        }
        to.put(&Frame::End(count))
    })
}

/// Walks the rows of one partition and answers how many there were.
fn each(
    connection: &Connection,
    sql: &str,
    part: PartId,
    visit: &mut dyn FnMut(&rusqlite::Row<'_>) -> Result<(), EngineError>,
) -> Result<u64, EngineError> {
    let mut statement = prepare(connection, sql)?;
    let mut rows = statement.query([part]).map_err(|error| explain(&error))?;
    let mut count = 0;
    while let Some(row) = rows.next().map_err(|error| explain(&error))? {
        visit(row)?;
        count += 1;
    }
    Ok(count)
}

/// One transaction, whatever the size: an import that was cut off leaves an empty store and not half of one.
pub(super) fn import(
    writer: &mut Writer,
    latch: &Latch,
    from: &mut dyn FrameSource,
) -> Result<(ImportReport, Vec<(Partition, PartId)>), EngineError> {
    writer.transact(latch, |connection| {
        let is_empty: bool = connection.query_row("SELECT count(*) = 0 FROM part", [], |row| row.get(0))?;
        if !is_empty {
            return Err(Failure::Refused(EngineError::NotEmpty));
        }
        let mut filling = Filling { connection, new: Vec::new(), failed: None };
        let report = frames::load(from, &mut filling);
        match (report, filling.failed) {
            (_, Some(error)) => Err(Failure::Sqlite(error)),
            (Err(error), None) => Err(Failure::Refused(error)),
            (Ok(report), None) => Ok((report, filling.new)),
        }
    })
}

struct Filling<'a> {
    connection: &'a Connection,
    new: Vec<(Partition, PartId)>,
    /// A failure of the store must stop the engine, one of the stream must not; so it is kept as what it is.
    failed: Option<rusqlite::Error>,
}

impl Filling<'_> {
    fn part(&self) -> Result<PartId, EngineError> {
        self.new
            .last()
            .map(|(_, id)| *id)
            .ok_or_else(|| EngineError::corrupt("the export has rows before its first partition"))
    }

    fn keep<T>(&mut self, result: rusqlite::Result<T>) -> Result<T, EngineError> {
        result.map_err(|error| {
            let answer = explain(&error);
            // Two changes with one token are a fault of the stream.
            let of_stream = error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation);
            if of_stream {
                return EngineError::corrupt("the export has the same row twice");
            }
            self.failed = Some(error);
            answer
        })
    }
}

impl Loading for Filling<'_> {
    fn partition(&mut self, partition: &Partition, head: Rev) -> Result<(), EngineError> {
        let inserted = writer::insert_part(self.connection, partition, head);
        let id = self.keep(inserted)?;
        self.new.push((partition.clone(), id));
        Ok(())
    }

    fn change(&mut self, rev: Rev, token: TxnToken, touched: Vec<EntityId>) -> Result<(), EngineError> {
        let touched = frames::encode_entity_ids(&touched);
        let inserted = writer::insert_history(self.connection, self.part()?, rev, &token.0, &touched);
        self.keep(inserted)
    }

    fn entry(&mut self, entry: Entry) -> Result<(), EngineError> {
        let put = writer::put_entry(self.connection, self.part()?, &entry.key, &entry.value, entry.rev);
        self.keep(put)
    }

    fn audit(&mut self, row: AuditRow) -> Result<(), EngineError> {
        let inserted = writer::insert_audit(self.connection, self.part()?, row.place, &row.row);
        self.keep(inserted)
    }
}

/// Rows that cannot be, given the others. Each query counts them.
const CONTRADICTIONS: [(&str, &str); 5] = [
    ("entries without a partition", "SELECT count(*) FROM kv WHERE part NOT IN (SELECT id FROM part)"),
    (
        "entries newer than their partition",
        "SELECT count(*) FROM kv JOIN part ON part.id = kv.part WHERE rev > head OR rev < 1",
    ),
    (
        "audit rows newer than their partition",
        "SELECT count(*) FROM audit JOIN part ON part.id = audit.part WHERE rev > head OR rev < 1",
    ),
    (
        "changes newer than their partition",
        "SELECT count(*) FROM history JOIN part ON part.id = history.part WHERE rev > head OR rev < 1",
    ),
    (
        "partitions with holes in their history",
        "SELECT count(*) FROM (SELECT 1 FROM history GROUP BY part HAVING max(rev) - min(rev) + 1 <> count(*))",
    ),
];

pub(super) fn check(connection: &Connection, depth: Depth) -> Result<Health, EngineError> {
    let mut health = Health::default();
    let pragma = match depth {
        Depth::Quick => "quick_check",
        Depth::Deep => "integrity_check",
    };
    if let Err(error) = look(connection, pragma, depth, &mut health) {
        match explain(&error) {
            // Damage that stops the examination is a finding of it.
            EngineError::Corrupt { reason } => health.problems.push(reason),
            other => return Err(other),
        }
    }
    Ok(health)
}

fn look(connection: &Connection, pragma: &str, depth: Depth, health: &mut Health) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(&format!("PRAGMA {pragma}({PROBLEMS_MAX})"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let line: String = row.get(0)?;
        if line != "ok" {
            health.problems.push(line);
        }
    }
    let count = |sql: &str| connection.query_row(sql, [], |row| number_at(row, 0));
    health.partitions = count("SELECT count(*) FROM part")?;
    health.entries = count("SELECT count(*) FROM kv")?;
    health.audit_rows = count("SELECT count(*) FROM audit")?;
    if depth == Depth::Deep {
        for (what, sql) in CONTRADICTIONS {
            let found = count(sql)?;
            if found > 0 {
                health.problems.push(format!("{found} {what}"));
            }
        }
    }
    Ok(())
}
