//! `coffer audit verify` and `coffer audit search`: the record of who did what, for whoever works on the machine.
//!
//! A log may be longer than memory, so what is found is printed as it is found; columns have fixed widths for that reason.

use std::{
    io::{self, BufWriter, Write},
    ops::ControlFlow,
};

use coffer_server::{
    Complaint,
    control::Command,
    data_dir::DataDir,
    trail::{EndKnown, Filter, Found, Trail, TrailReport},
    units::Span,
    world,
};
use coffer_types::Timestamp;

use crate::{
    Exit,
    arguments::{AuditSearch, AuditVerify, KeyFiles, Place},
    ask::offline_key,
    configuration,
    print::{remark, say, table},
};

fn open(place: &Place, key: &KeyFiles, purpose: Command) -> Result<(Trail, Timestamp), Complaint> {
    let (config, _) = configuration(&place.flags())?;
    let directory = DataDir::existing(&config.data_dir)?;
    let key = offline_key(key, &directory)?;
    let world = world::system(&directory.audit());
    let now = world.clock.now();
    Ok((Trail::open(&config, &world, key, purpose)?, now))
}

pub(crate) fn verify(arguments: &AuditVerify) -> Result<Exit, Complaint> {
    let (trail, _) = open(&arguments.place, &arguments.key, Command::AuditVerify)?;
    let report = trail.verify();
    if arguments.json {
        let json = serde_json::to_string_pretty(&report);
        say(&json.map_err(|error| Complaint::new("the result cannot be printed").because(error))?);
    } else {
        say(&report_table(&report));
    }
    Ok(if report.problem_count == 0 { Exit::Done } else { Exit::Damage })
}

fn report_table(report: &TrailReport) -> String {
    let count = |name: &str, count: u64| vec![name.to_owned(), count.to_string()];
    let known = match report.end_known_by {
        EndKnown::Server => "checked against the running server",
        EndKnown::Store => "checked against what the store remembers",
        EndKnown::Nobody => "not known, so a cut at the very end would not be seen",
    };
    let mut rows = vec![
        count("segments", report.segments),
        count("events", report.events),
        count("waiting in the store", report.waiting),
        count("torn bytes", report.torn_bytes),
        vec![String::from("end of the log"), known.to_owned()],
        count("problems", report.problem_count),
    ];
    let problem = |place: &String, says: &String| vec![String::from("DAMAGED"), place.clone(), says.clone()];
    rows.extend(report.problems.iter().map(|found| problem(&found.place, &found.says)));
    table(&rows)
}

pub(crate) fn search(arguments: &AuditSearch) -> Result<Exit, Complaint> {
    let (trail, now) = open(&arguments.place, &arguments.key, Command::AuditSearch)?;
    let time = |text: &Option<String>, day| text.as_deref().map(|text| time(text, now, day)).transpose();
    let filter = Filter {
        from: time(&arguments.from, DayMeans::Begin)?,
        until: time(&arguments.to, DayMeans::End)?,
        event_name: arguments.event_name.clone(),
        user_name: arguments.user.clone(),
        access_key_id: arguments.access_key_id.clone(),
        resource: arguments.resource.clone(),
        event_id: arguments.event_id.clone(),
        error_code: arguments.error_code.clone(),
    };
    let mut out = BufWriter::new(io::stdout().lock());
    let mut is_first = true;
    let mut show = |found: &Found<'_>| {
        let printed = if arguments.json {
            writeln!(out, "{}", found.event)
        } else {
            let head = if is_first { writeln!(out, "{}", line(HEAD)) } else { Ok(()) };
            is_first = false;
            head.and_then(|()| writeln!(out, "{}", row(found)))
        };
        // Whoever closed the pipe has read enough.
        if printed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let troubles = trail.search(&filter, &mut show)?;
    drop(out.flush());
    for trouble in &troubles {
        remark(&format!("warning: {} could not be read to its end: {}", trouble.place, trouble.says));
    }
    if troubles.is_empty() {
        return Ok(Exit::Done);
    }
    remark(&format!("  try: coffer audit verify{}", arguments.place.typed()));
    Ok(Exit::Damage)
}

const HEAD: [&str; 6] = ["time", "event", "user", "from", "outcome", "resource"];

fn row(found: &Found<'_>) -> String {
    let facts = &found.facts;
    line([
        &facts.event_time,
        &facts.event_name,
        facts.user_name().unwrap_or("-"),
        facts.source_address.as_deref().unwrap_or("-"),
        facts.error_code.as_deref().unwrap_or(if facts.is_call() { "ok" } else { "-" }),
        facts.resources().next().unwrap_or("-"),
    ])
}

fn line([time, event, user, from, outcome, resource]: [&str; 6]) -> String {
    let text = format!("{time:20}  {event:28}  {user:20}  {from:15}  {outcome:26}  {resource}");
    // What callers wrote must not command a terminal.
    text.trim_end().replace(char::is_control, "\u{fffd}")
}

/// Which moment somebody means who names a day.
#[derive(Debug, Clone, Copy)]
enum DayMeans {
    Begin,
    End,
}

/// A time, a day, or how long ago.
fn time(text: &str, now: Timestamp, day: DayMeans) -> Result<Timestamp, Complaint> {
    if let Ok(Span(ago)) = text.parse() {
        return Ok(now.minus(ago));
    }
    let of_day = match day {
        DayMeans::Begin => "T00:00:00Z",
        DayMeans::End => "T23:59:59.999Z",
    };
    Timestamp::parse_iso(text).or_else(|_| Timestamp::parse_iso(&format!("{text}{of_day}"))).map_err(|_| {
        Complaint::new(format!("{text} is no time"))
            .next("a time such as 2026-01-31T08:00:00Z or 2026-01-31, or how long ago, such as 24h")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_given_in_three_ways() {
        let now = Timestamp::parse_iso("2026-01-31T08:00:00Z").unwrap();
        for (text, expected) in [
            ("2026-01-30T01:02:03Z", Some("2026-01-30T01:02:03Z")),
            ("2026-01-30T01:02:03+01:00", Some("2026-01-30T00:02:03Z")),
            ("2026-01-30", Some("2026-01-30T00:00:00Z")),
            ("24h", Some("2026-01-30T08:00:00Z")),
            ("90m", Some("2026-01-31T06:30:00Z")),
            ("yesterday", None),
            ("", None),
        ] {
            let read = time(text, now, DayMeans::Begin).ok().map(Timestamp::to_iso_seconds);
            assert_eq!(read.as_deref(), expected, "{text}");
        }
        let end = time("2026-01-30", now, DayMeans::End).unwrap();
        assert_eq!(end.to_iso_seconds(), "2026-01-30T23:59:59Z");
    }

    #[test]
    fn a_line_says_nothing_to_a_terminal() {
        let shown = line(["t", "e", "\u{1b}[31mred", "f", "o", "r\n"]);
        assert!(!shown.chars().any(char::is_control), "{shown:?}");
    }
}
