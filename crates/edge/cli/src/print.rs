//! What a command says: results on the standard output, complaints on the error stream.
//!
//! A reader that has gone away (`| head`) is no failure, so what cannot be written is not written.

use std::io::{self, Write};

use coffer_server::Complaint;

use crate::{arguments::Place, next_step::with_flags};

pub(crate) fn say(text: &str) {
    let mut out = io::stdout().lock();
    // Whoever closed the pipe has read enough.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush());
}

/// For people only: a command that is piped has nothing to say here.
pub(crate) fn remark(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// `place` is what the command line said about the store, so that the next step is about the same one.
pub(crate) fn complain(complaint: Complaint, place: &Place) {
    let next = complaint.next_step().map(|next| with_flags(next, place));
    let complaint = match next {
        Some(next) => complaint.next(next),
        None => complaint,
    };
    remark(&format!("error: {complaint}"));
}

/// Columns as wide as their widest cell. The last one is not padded.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell: &String| cell.chars().count()).max()
    };
    let widths: Vec<_> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [
            vec![String::from("a"), String::from("long"), String::from("x")],
            vec![String::from("longer"), String::new(), String::from("y")],
        ];
        assert_eq!(table(&rows), "a       long  x\nlonger        y");
        assert_eq!(table(&[]), "");
    }
}
