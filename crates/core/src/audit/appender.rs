//! Moves the events of changes out of the engine into the segment files.
//!
//! A change and its event are one commit, so the event starts as a row of the engine. It is copied into a segment, the segment is
//! synced, and only then the row is dropped. A crash in between copies it again; readers tell by the event id.

use coffer_barrier::Barrier;
use coffer_store::{AuditPlace, AuditRow, EngineError, Partition};
use coffer_types::{RequestId, Uuid};

use crate::{
    AuditLog, Caller, Db, EventKind, ServiceEvent, World,
    audit::Outcome,
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
pub(crate) fn move_rows(db: &Db, log: &AuditLog, world: &World) -> Result<u64, MoveError> {
    let _turn = log.mover_turn();
    let mut moved = 0;
    for (partition, _) in db.engine().partitions()? {
        loop {
            let rows = db.engine().audit_rows(&partition, AuditPlace::default(), ROWS_PER_MOVE)?;
            let Some(last) = rows.last().map(|row| row.place) else { break };
            let event = |row| {
                open_row(db.barrier(), &partition, row).unwrap_or_else(|| damaged_row(world, &partition, row))
            };
            let events: Vec<String> = rows.iter().map(event).collect();
            // Until the rows are dropped, the segment must not go: it may be the one that crash and power leave.
            let _held = log.hold_segments();
            log.append_synced(&events)?;
            db.engine().drop_audit_rows(&partition, last)?;
            // A page that is short was perhaps cut by its size, so the end is where there is nothing more.
            moved += rows.len() as u64;
        }
    }
    Ok(moved)
}

/// What stands in the log where an event cannot be read: the row is dropped, the fact that there was one is not.
fn damaged_row(world: &World, partition: &Partition, row: &AuditRow) -> String {
    let caller = Caller::service(
        partition.account,
        partition.region.clone(),
        "coffer.internal",
        RequestId::random(world.entropy.as_ref()),
    );
    let event = ServiceEvent {
        kind: EventKind::Service,
        source: "coffer.internal",
        name: "AuditRowDamaged",
        details: vec![
            ("revision", row.place.rev.0.to_string()),
            ("ordinal", row.place.ordinal.to_string()),
            ("bytes", row.row.len().to_string()),
        ],
    };
    let outcome = Outcome::new(&caller, world.clock.now());
    outcome.service(&event, &partition.region, Uuid::random(world.entropy.as_ref()))
}

/// The event in a row; nothing if the row does not open, which verification reports as damage.
pub fn open_row(barrier: &Barrier, partition: &Partition, row: &AuditRow) -> Option<String> {
    let (id, sealed) = row.row.split_at_checked(ROW_ID_LEN)?;
    match open_record(barrier, partition, AUDIT_TABLE, id, sealed) {
        Ok((_, _, event)) => String::from_utf8(event.take()).ok(),
        Err(error) => {
            tracing::error!(%error, "an audit row does not open; run coffer verify");
            None
        }
    }
}
