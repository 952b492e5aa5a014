//! What the segments say of one another, so that one that is missing, or is not what it was, shows.
//!
//! Numbers have no gaps, so one that is missing is missing, unless an event says that it was retired. The header of a segment
//! carries its number, so one in the place of another shows; and it says how the one before it ended, so one that was cut, emptied or
//! put back as it once was shows. A segment that a crash or a full disk left empty or torn is what the next one says it was.
//!
//! Of the newest no segment can tell. Where it ended at least, the store remembers ([`AuditEnd`]).

use std::collections::BTreeMap;

use super::{
    anchor::{AuditEnd, SHORTENED},
    retire::{EVENT_NAME, EVENT_SOURCE, text_of, time_of},
    segment::{Link, NO_LINK, SegmentReport, segment_name, segment_number},
};

/// Which segments there are and which the log says were retired, so that one that is missing shows.
#[derive(Debug, Clone, Default)]
pub struct Succession {
    seen: BTreeMap<u64, Seen>,
    /// Files whose names are no names of segments.
    others: Vec<String>,
    retired_to: u64,
    /// What processes found missing when they began.
    shortened: Vec<String>,
}

#[derive(Debug, Clone)]
struct Seen {
    name: String,
    report: SegmentReport,
    /// Its bytes could not be read, so nothing can be said of it.
    unread: bool,
}

impl Succession {
    /// Notes a file of the log, and what was found in it.
    pub fn note_segment(&mut self, name: &str, report: &SegmentReport) {
        self.note(name, report.clone(), false);
    }

    /// Notes a file of the log that could not be read.
    pub fn note_unread(&mut self, name: &str) {
        self.note(name, SegmentReport::default(), true);
    }

    /// Notes a segment that was retired while somebody looked.
    pub fn note_retired(&mut self, name: &str) {
        self.retired_to = self.retired_to.max(segment_number(name).unwrap_or(0));
    }

    fn note(&mut self, name: &str, report: SegmentReport, unread: bool) {
        match segment_number(name) {
            Some(number) => drop(self.seen.insert(number, Seen { name: name.to_owned(), report, unread })),
            None => self.others.push(name.to_owned()),
        }
    }

    /// Notes an event of the log, if it tells of a segment that was retired or found too short.
    pub fn note_event(&mut self, event: &str) {
        // Inside a quoted text these quotes would be escaped, so a caller cannot write them.
        let is =
            |name| event.contains(&format!("\"eventSource\":\"{EVENT_SOURCE}\",\"eventName\":\"{name}\""));
        if !event.contains(EVENT_SOURCE) {
            return;
        }
        let Some(segment) = text_of(event, "\"segment\":\"") else { return };
        if is(EVENT_NAME) {
            self.note_retired(segment);
        } else if is(SHORTENED) {
            let events = text_of(event, "\"events\":\"").unwrap_or("?");
            let time = time_of(event).unwrap_or("?");
            self.shortened.push(format!(
                "the server that began at {time} found less in {segment} than the {events} events that the store knew of"
            ));
        }
    }

    /// What servers found missing when they began, in their words.
    pub fn shortened(&self) -> &[String] {
        &self.shortened
    }

    /// The runs of segments that should be there and are not.
    pub fn gaps(&self) -> Vec<(u64, u64)> {
        let mut gaps = Vec::new();
        // They go in order, so what stands before the youngest that was retired may be there or not.
        let mut last = self.retired_to;
        for &number in self.seen.keys() {
            if number > last.saturating_add(1) {
                gaps.push((last + 1, number - 1));
            }
            last = last.max(number);
        }
        gaps
    }

    /// The segments that are not what stands or once stood in their place, each with what is wrong.
    pub fn strangers(&self) -> Vec<(&str, String)> {
        let mut owners: BTreeMap<&[u8], &str> = BTreeMap::new();
        let mut found: Vec<_> =
            self.others.iter().map(|name| (name.as_str(), String::from("it is no segment"))).collect();
        for (&number, seen) in &self.seen {
            let name = seen.name.as_str();
            if seen.is_unfinished() && self.seen.keys().next_back() != Some(&number) && !self.is_told(number)
            {
                let how = if seen.report.events == 0 { "it holds no event" } else { "its end is cut off" };
                found.push((name, format!("{how}, and no later segment says that it was left so")));
            }
            let Some(header) = &seen.report.header else { continue };
            if number != header.number() {
                found.push((name, format!("its header is the one of {}", segment_name(header.number()))));
            }
            if let Some(owner) = owners.insert(header.bytes(), name) {
                found.push((name, format!("it has the same header as {owner}")));
            }
            let before = number.checked_sub(1).and_then(|before| self.seen.get(&before));
            let Some(before) = before.filter(|before| !before.unread) else { continue };
            let says = match self.end(number - 1) {
                _ if header.before() == NO_LINK => {
                    format!("nobody knew how it ended when {name} was begun: it could not be read then")
                }
                Some(end) if end != header.before() => {
                    format!("it does not end as it did when {name} was begun: it was cut, or is not the same")
                }
                _ => continue,
            };
            found.push((before.name.as_str(), says));
        }
        found
    }

    /// Whether the log still reaches as far as the store remembers. If not, what is missing.
    pub fn falls_short(&self, end: &AuditEnd, reaches: impl FnOnce(&str) -> bool) -> Option<String> {
        let newest = self.seen.keys().next_back().copied().unwrap_or(self.retired_to);
        let number = end.segment();
        let name = segment_name(number);
        if number > newest {
            return Some(format!("the store knows of {name} and {} events in it; it is gone", end.events()));
        }
        // One that is missing further in front was retired, or is a gap of its own.
        let seen = self.seen.get(&number).filter(|seen| !seen.unread)?;
        let whole = seen.report.events >= end.events() && reaches(&name);
        (!whole).then(|| {
            format!(
                "the store knows of {} events in {name}, which ends before that or is not the same",
                end.events()
            )
        })
    }

    /// Whether a header that an event proves tells how it ended, by itself or through those in between.
    fn is_told(&self, number: u64) -> bool {
        let Some(next) = number.checked_add(1) else { return false };
        self.seen.get(&next).is_some_and(|seen| seen.report.events > 0 || self.is_told(next))
    }

    /// How a segment ended, if what is still there tells.
    fn end(&self, number: u64) -> Option<Link> {
        let seen = self.seen.get(&number).filter(|seen| !seen.unread)?;
        seen.report.end(|| match number {
            0 | 1 => Some(NO_LINK),
            _ => self.end(number - 1),
        })
    }
}

impl Seen {
    /// As a crash or a failed write leaves a segment: without an event, or with bytes behind the last one.
    const fn is_unfinished(&self) -> bool {
        let report = &self.report;
        !self.unread && report.problem.is_none() && (report.events == 0 || report.torn_bytes > 0)
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
