//! Reads the whole log and says what is not as it was written.
//!
//! Every frame of every segment is opened in its place, the segments are held against each other, and their end against what the store
//! remembers. A file at a time is in memory. Nothing is repaired and nothing is shown of what was read.
//!
//! It may look on while the log is written: the newest file then ends somewhere in a frame, which is what a crash looks like too, and the
//! oldest may be retired under its eyes.

use std::io;

use coffer_barrier::Barrier;

use super::{
    anchor::AuditEnd,
    segment::{segment_number, verify_segment},
    succession::Succession,
};
use crate::Files;

/// What was read, and what is wrong with it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct AuditFindings {
    pub segments: u64,
    pub events: u64,
    /// Bytes at the ends of segments that a crash cut off: the events in them were never acknowledged.
    pub torn_bytes: u64,
    /// The file, or `audit` where none is to blame, and what is wrong.
    pub problems: Vec<(String, String)>,
}

impl AuditFindings {
    fn problem(&mut self, place: &str, says: impl ToString) {
        self.problems.push((place.to_owned(), says.to_string()));
    }
}

/// Looks at every segment. `ends` is what is known of how far the log had come.
pub fn inspect_audit(files: &dyn Files, barrier: &Barrier, ends: &[AuditEnd]) -> AuditFindings {
    let mut found = AuditFindings::default();
    let names = match files.list() {
        Ok(names) => names,
        Err(error) => {
            found.problem("audit", error);
            return found;
        }
    };
    let mut succession = Succession::default();
    for name in &names {
        let bytes = match files.read(name) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound && went_first(files, name) => {
                succession.note_retired(name);
                continue;
            }
            Err(error) => {
                found.segments += 1;
                succession.note_unread(name);
                found.problem(name, error);
                continue;
            }
        };
        found.segments += 1;
        let report = verify_segment(barrier, &bytes, &mut |event| succession.note_event(event));
        found.events += report.events;
        found.torn_bytes += report.torn_bytes;
        succession.note_segment(name, &report);
        if let Some(problem) = report.problem {
            found.problem(name, problem);
        }
    }
    for (name, says) in succession.strangers() {
        found.problem(name, says);
    }
    for (from, to) in succession.gaps() {
        found.problem(
            "audit",
            format!("segments {from} to {to} are missing, and no event says that they were retired"),
        );
    }
    for says in succession.shortened() {
        found.problem("audit", says);
    }
    for end in ends {
        let reaches = |name: &str| files.read(name).is_ok_and(|bytes| end.is_on(barrier, &bytes));
        if let Some(says) = succession.falls_short(end, reaches) {
            found.problem("audit", says);
        }
    }
    found
}

/// Whether a segment that has gone since the names were listed was the oldest, as one that is retired is.
fn went_first(files: &dyn Files, name: &str) -> bool {
    let Some(number) = segment_number(name) else { return true };
    let left = files.list().unwrap_or_default();
    left.iter().filter_map(|name| segment_number(name)).all(|other| other > number)
}
