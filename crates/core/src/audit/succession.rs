//! What the segments say of one another, so that one that is missing, or is not what it was, shows.
//!
//! Numbers have no gaps, so one that is missing is missing, unless an event says that it was retired. The header of a segment
//! carries its number, so one in the place of another shows. A segment that is empty or torn is one that a crash or a full
//! disk left, and then a later header says so; or somebody emptied or cut it. Of the newest nobody can tell, and of one that a
//! later header excuses neither.

use std::{collections::BTreeMap, ops::Range};

use super::{
    retire::{EVENT_NAME, EVENT_SOURCE, text_of},
    segment::{SegmentReport, segment_name, segment_number},
};

/// Which segments there are and which the log says were retired, so that one that is missing shows.
#[derive(Debug, Clone, Default)]
pub struct Succession {
    seen: Vec<Seen>,
    retired_to: u64,
}

#[derive(Debug, Clone)]
struct Seen {
    name: String,
    number: Option<u64>,
    report: SegmentReport,
}

impl Succession {
    /// Notes a file of the log, and what was found in it.
    pub fn note_segment(&mut self, name: &str, report: &SegmentReport) {
        let number = segment_number(name);
        self.seen.push(Seen { name: name.to_owned(), number, report: report.clone() });
    }

    /// Notes an event of the log, if it tells of a segment that was retired.
    pub fn note_event(&mut self, event: &str) {
        // Inside a quoted text these quotes would be escaped, so a caller cannot write them.
        let is_ours =
            event.contains(&format!("\"eventSource\":\"{EVENT_SOURCE}\",\"eventName\":\"{EVENT_NAME}\""));
        if let Some(number) = text_of(event, "\"segment\":\"").filter(|_| is_ours).and_then(segment_number) {
            self.retired_to = self.retired_to.max(number);
        }
    }

    /// The runs of segments that should be there and are not.
    pub fn gaps(&self) -> Vec<(u64, u64)> {
        let mut present: Vec<_> = self.seen.iter().filter_map(|seen| seen.number).collect();
        present.sort_unstable();
        let mut gaps = Vec::new();
        // They go in order, so what stands before the youngest that was retired may be there or not.
        let mut last = self.retired_to;
        for number in present {
            if number > last.saturating_add(1) {
                gaps.push((last + 1, number - 1));
            }
            last = last.max(number);
        }
        gaps
    }

    /// The segments that are not what stands or once stood in their place, each with what is wrong.
    pub fn strangers(&self) -> Vec<(&str, String)> {
        let newest = self.seen.iter().filter_map(|seen| seen.number).max();
        let excused: Vec<_> = self.seen.iter().filter_map(Seen::excuses).collect();
        let mut owners: BTreeMap<&[u8], &str> = BTreeMap::new();
        let mut found = Vec::new();
        for seen in &self.seen {
            let name = seen.name.as_str();
            if let Some(header) = &seen.report.header {
                if seen.number != Some(header.number()) {
                    let own = segment_name(header.number());
                    found.push((name, format!("its header is the one of {own}")));
                }
                if let Some(owner) = owners.insert(header.bytes(), name) {
                    found.push((name, format!("it has the same header as {owner}")));
                }
            }
            let is_excused = seen.number == newest
                || seen.number.is_some_and(|number| excused.iter().any(|run| run.contains(&number)));
            if seen.report.is_unfinished() && !is_excused {
                let how = if seen.report.events == 0 { "it holds no event" } else { "its end is cut off" };
                found.push((name, format!("{how}, and no later segment says that it was left so")));
            }
        }
        found
    }
}

impl Seen {
    /// The segments that a genuine header says were left unfinished.
    fn excuses(&self) -> Option<Range<u64>> {
        let header = self.report.header.as_ref().filter(|_| self.report.events > 0)?;
        (self.number == Some(header.number())).then(|| header.unfinished_from()..header.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gaps(present: &[u64], retired: &[u64]) -> Vec<(u64, u64)> {
        let mut succession = Succession::default();
        for number in present {
            succession.note_segment(&segment_name(*number), &SegmentReport::default());
        }
        for number in retired {
            succession.note_event(&format!(
                "{{\"eventSource\":\"coffer.internal\",\"eventName\":\"AuditSegmentRetired\",\
                 \"additionalEventData\":{{\"segment\":\"{}\"}}}}",
                segment_name(*number)
            ));
        }
        succession.gaps()
    }

    #[test]
    fn what_is_missing_and_was_not_retired_shows() {
        for (present, retired, expected) in [
            (&[][..], &[][..], &[][..]),
            (&[1, 2, 3], &[], &[]),
            (&[3, 1, 2], &[], &[]),
            (&[2, 3], &[], &[(1, 1)]),
            (&[1, 3, 7], &[], &[(2, 2), (4, 6)]),
            (&[4, 5], &[1, 3, 2], &[]),
            (&[5, 6], &[3], &[(4, 4)]),
            // The event is written before the file goes.
            (&[3, 4], &[3], &[]),
            (&[1, 4], &[3], &[]),
        ] {
            assert_eq!(gaps(present, retired), expected, "{present:?} {retired:?}");
        }
    }

    #[test]
    fn a_caller_cannot_say_that_a_segment_was_retired() {
        let said = "{\"eventSource\":\"coffer.internal\",\"eventName\":\"AuditSegmentRetired\",\"segment\":\"reads-0000000001.seg\"}";
        let mut text = String::from("{\"userAgent\":");
        coffer_shape::push_quoted(&mut text, said, 1024);
        text.push('}');
        let mut succession = Succession::default();
        succession.note_segment(&segment_name(2), &SegmentReport::default());
        succession.note_event(&text);
        assert_eq!(succession.gaps(), [(1, 1)]);
    }
}
