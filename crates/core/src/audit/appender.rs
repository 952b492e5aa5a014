//! Moves the events of changes out of the engine into the segment files.
//!
//! A change and its event are one commit, so the event starts as a row of the engine. It is copied into a segment, the segment is
//! synced, and only then the row is dropped. A crash in between copies it again; readers tell by the event id.

use coffer_barrier::Barrier;
use coffer_store::{AuditPlace, AuditRow, EngineError, Partition};

use crate::{
    AuditLog, Db,
    record::{AUDIT_TABLE, open_record},
};

/// Rows moved at a time: a megabyte or so.
const ROWS_PER_MOVE: u32 = 1000;
const ROW_ID_LEN: usize = 16;

#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("the audit log cannot be written: {0}")]
    Log(#[from] std::io::Error),
}

/// Moves what there is, and says how many events that was.
pub(crate) fn move_rows(db: &Db, log: &AuditLog) -> Result<u64, MoveError> {
    let mut moved = 0;
    for (partition, _) in db.engine().partitions()? {
        loop {
            let rows = db.engine().audit_rows(&partition, AuditPlace::default(), ROWS_PER_MOVE)?;
            let Some(last) = rows.last().map(|row| row.place) else { break };
            let events: Vec<String> =
                rows.iter().filter_map(|row| open_row(db.barrier(), &partition, row)).collect();
            log.append(&events)?;
            log.sync()?;
            db.engine().drop_audit_rows(&partition, last)?;
            moved += rows.len() as u64;
        }
    }
    Ok(moved)
}

/// The event in a row; nothing if the row does not open, which verification reports as damage.
pub fn open_row(barrier: &Barrier, partition: &Partition, row: &AuditRow) -> Option<String> {
    let (id, sealed) = row.row.split_at_checked(ROW_ID_LEN)?;
    match open_record(barrier, partition, AUDIT_TABLE, id, sealed) {
        Ok((_, _, event)) => String::from_utf8(event.take()).ok(),
        Err(error) => {
            tracing::error!(%error, "an audit row does not open and is left out of the log; run coffer verify");
            None
        }
    }
}
