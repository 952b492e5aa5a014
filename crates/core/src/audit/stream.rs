//! Reads the log forwards, event by event, with one piece of one file in memory.
//!
//! This is for whoever works on the machine and has the key: a log of any length can be searched. What does not open is told and passed
//! over, because the rest is still worth reading.

use std::{io, ops::ControlFlow};

use coffer_barrier::Barrier;
use coffer_types::Timestamp;

use super::{
    retire::time_of,
    segment::{HEADER_LEN, PIECE_LEN, Walk, segment_name, segment_number},
};
use crate::Files;

/// Shows every event from the oldest to the newest, or from a time on: segments that are older as a whole are not opened. Answers the
/// files that could not be read to their end, and why.
pub fn stream_audit(
    files: &dyn Files,
    barrier: &Barrier,
    from: Option<Timestamp>,
    see: &mut dyn FnMut(&str) -> ControlFlow<()>,
) -> io::Result<Vec<(String, String)>> {
    let mut numbers: Vec<_> = files.list()?.iter().filter_map(|name| segment_number(name)).collect();
    numbers.sort_unstable();
    let mut troubles = Vec::new();
    for (at, number) in numbers.iter().enumerate() {
        let name = segment_name(*number);
        // The first event of a later segment was written after every event of an earlier one.
        let later = numbers.get(at + 1).map(|next| segment_name(*next));
        let later = later.and_then(|next| first_time(files, barrier, &next));
        if from.zip(later).is_some_and(|(from, later)| later < from) {
            continue;
        }
        match stream_segment(files, barrier, &name, see) {
            Ok(ControlFlow::Continue(())) => {}
            Ok(ControlFlow::Break(())) => break,
            Err(trouble) => troubles.push((name, trouble)),
        }
    }
    Ok(troubles)
}

fn first_time(files: &dyn Files, barrier: &Barrier, name: &str) -> Option<Timestamp> {
    let bytes = files.read_part(name, 0, HEADER_LEN + PIECE_LEN).ok()?;
    let mut walk = Walk::begin(barrier, &bytes)?;
    let mut first = None;
    let frames = bytes.get(HEADER_LEN..)?;
    walk.advance_one(frames, &mut |event| first = time_of(event).map(Timestamp::parse_iso)).ok()??;
    first?.ok()
}

fn stream_segment(
    files: &dyn Files,
    barrier: &Barrier,
    name: &str,
    see: &mut dyn FnMut(&str) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, String> {
    let read = |from, length| files.read_part(name, from, length).map_err(|error| error.to_string());
    let head = match files.read_part(name, 0, HEADER_LEN) {
        // Retired while somebody read.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(ControlFlow::Continue(())),
        head => head.map_err(|error| error.to_string())?,
    };
    let Some(mut walk) = Walk::begin(barrier, &head) else {
        let is_short = head.len() < HEADER_LEN;
        return if is_short { Ok(ControlFlow::Continue(())) } else { Err("not an audit segment".to_owned()) };
    };
    loop {
        let piece = read(walk.place().bytes, PIECE_LEN)?;
        let mut rest = piece.as_slice();
        let mut flow = ControlFlow::Continue(());
        while let Some(after) = walk.advance_one(rest, &mut |event| flow = see(event))? {
            if flow.is_break() {
                return Ok(flow);
            }
            rest = after;
        }
        // Bytes that are no whole frame, though a whole one would fit, were cut off by a crash, or are being written.
        if rest.len() == piece.len() {
            return Ok(ControlFlow::Continue(()));
        }
    }
}
