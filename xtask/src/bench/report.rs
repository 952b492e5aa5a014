//! What a run found, as a table that a terminal and a page show alike.

use std::{fmt, time::Duration};

use coffer_types::Timestamp;

use super::{Case, load::Measured, machine::Machine};

const FLOOR_RATIO_MAX: f64 = 4.0;
const BOUND_RATIO_MAX: f64 = 4.5;
const KEYED_RATIO_MAX: f64 = 5.0;
const PUTS_PER_SECOND_MIN: f64 = 2_000.0;
const READY_MAX: Duration = Duration::from_millis(100);
/// A machine at rest uses less than this on its own, clock ticks and the generator's share of the kernel included.
const QUIET_CORES_MAX: f64 = 0.2;
const IDLE_BYTES_MAX: u64 = 40 << 20;

/// Transactions of requests, and the transactions of the engine that they shared. Each of the latter waits for the disk once.
#[derive(Debug, Clone, Copy, Default)]
pub struct Groups {
    pub transactions: u64,
    pub groups: u64,
}

impl Groups {
    pub fn since(self, earlier: Self) -> Self {
        Self {
            transactions: self.transactions.saturating_sub(earlier.transactions),
            groups: self.groups.saturating_sub(earlier.groups),
        }
    }

    fn size(self) -> f64 {
        self.transactions as f64 / self.groups.max(1) as f64
    }
}

#[derive(Debug, Clone)]
pub struct Row {
    pub case: Case,
    pub per_second: f64,
    pub cpu_micros: f64,
    pub p50: Duration,
    pub p99: Duration,
    pub cores_of_others: f64,
    pub groups: Option<Groups>,
}

impl Row {
    pub fn new(case: Case, measured: &Measured, groups: Option<Groups>) -> Self {
        Self {
            case,
            per_second: measured.per_second(),
            cpu_micros: measured.cpu_micros_per_request(),
            p50: measured.latency.quantile(500),
            p99: measured.latency.quantile(990),
            cores_of_others: measured.cores_of_others(),
            groups,
        }
    }
}

#[derive(Debug)]
pub struct Start {
    pub median: Duration,
    pub slowest: Duration,
    pub rss_idle_bytes: u64,
}

#[derive(Debug)]
pub struct Report {
    date: Timestamp,
    commit: String,
    machine: Machine,
    window: Duration,
    pub start: Option<Start>,
    pub rows: Vec<Row>,
    pub rss_after_bytes: Option<u64>,
    /// What one decision takes, alone.
    pub decision: Option<Duration>,
}

/// One thing to reach, and what was found.
struct Goal {
    wanted: &'static str,
    found: String,
    reached: bool,
}

impl Report {
    pub fn new(date: Timestamp, commit: String, machine: Machine, window: Duration) -> Self {
        let (start, rows, rss_after_bytes, decision) = (None, Vec::new(), None, None);
        Self { date, commit, machine, window, start, rows, rss_after_bytes, decision }
    }

    fn row(&self, case: Case) -> Option<&Row> {
        self.rows.iter().find(|row| row.case == case)
    }

    fn ratio(&self, row: &Row) -> Option<f64> {
        self.row(Case::Floor).map(|floor| row.cpu_micros / floor.cpu_micros)
    }

    /// The goals that this run can say something about.
    fn goals(&self) -> Vec<Goal> {
        let mut goals = Vec::new();
        if let Some(ratio) = self.row(Case::Get).and_then(|row| self.ratio(row)) {
            goals.push(Goal {
                wanted: "GetSecretValue for at most 4 times the floor",
                found: format!("{ratio:.2} times"),
                reached: ratio <= FLOOR_RATIO_MAX,
            });
        }
        if let Some(ratio) = self.row(Case::GetBound).and_then(|row| self.ratio(row)) {
            goals.push(Goal {
                wanted: "the same by ten policies for at most 4.5 times",
                found: format!("{ratio:.2} times"),
                reached: ratio <= BOUND_RATIO_MAX,
            });
        }
        if let Some(ratio) = self.row(Case::GetKeyed).and_then(|row| self.ratio(row)) {
            goals.push(Goal {
                wanted: "the same under a customer key for at most 5 times",
                found: format!("{ratio:.2} times"),
                reached: ratio <= KEYED_RATIO_MAX,
            });
        }
        if let Some(row) = self.row(Case::Put) {
            goals.push(Goal {
                wanted: "2,000 durable PutSecretValue a second",
                found: format!("{:.0} a second", row.per_second),
                reached: row.per_second >= PUTS_PER_SECOND_MIN,
            });
        }
        if let Some(start) = &self.start {
            goals.push(Goal {
                wanted: "ready within 100 ms",
                found: format!("{:.1} ms", millis(start.median)),
                reached: start.median <= READY_MAX,
            });
            goals.push(Goal {
                wanted: "at most 40 MiB when idle",
                found: format!("{:.1} MiB", mebibytes(start.rss_idle_bytes)),
                reached: start.rss_idle_bytes <= IDLE_BYTES_MAX,
            });
        }
        goals
    }

    fn requests_table(&self) -> Vec<Vec<String>> {
        let head = [
            "operation",
            "connections",
            "requests/s",
            "CPU µs/request",
            "x floor",
            "p50 ms",
            "p99 ms",
            "writes/sync",
        ];
        let mut table = vec![head.map(String::from).to_vec()];
        for row in &self.rows {
            table.push(vec![
                row.case.name().to_owned(),
                row.case.connections().to_string(),
                format!("{:.0}", row.per_second),
                format!("{:.1}", row.cpu_micros),
                self.ratio(row).map_or_else(String::new, |ratio| format!("{ratio:.2}")),
                format!("{:.2}", millis(row.p50)),
                format!("{:.2}", millis(row.p99)),
                row.groups.map_or_else(String::new, |groups| format!("{:.1}", groups.size())),
            ]);
        }
        table
    }

    fn process_table(&self) -> Vec<Vec<String>> {
        let mut table = vec![vec![String::from("process"), String::from("found")]];
        let mut row = |what: &str, found: String| table.push(vec![what.to_owned(), found]);
        if let Some(start) = &self.start {
            row("start to ready, median of 10", format!("{:.1} ms", millis(start.median)));
            row("start to ready, slowest", format!("{:.1} ms", millis(start.slowest)));
            row("memory, idle on an empty store", format!("{:.1} MiB", mebibytes(start.rss_idle_bytes)));
        }
        if let Some(decision) = self.decision {
            row("one decision by ten policies, alone", format!("{} ns", decision.as_nanos()));
        }
        if let Some(bytes) = self.rss_after_bytes {
            row("memory after this run", format!("{:.1} MiB", mebibytes(bytes)));
        }
        table
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let machine = &self.machine;
        writeln!(f, "Measured at {} on commit {}.", self.date.to_iso_seconds(), self.commit)?;
        writeln!(f, "Machine: {} cores of {}, Linux {}.", machine.cores, machine.processor, machine.kernel)?;
        writeln!(
            f,
            "Disk: {}; 4 KiB appended and synced in {:.2} ms (p50) and {:.2} ms (p99).",
            machine.file_system,
            millis(machine.sync_p50),
            millis(machine.sync_p99)
        )?;
        writeln!(f, "Windows of {} s.", self.window.as_secs())?;
        let noise = self.rows.iter().map(|row| row.cores_of_others).fold(0.0, f64::max);
        if noise > QUIET_CORES_MAX {
            writeln!(
                f,
                "**Not a quiet machine**: other processes kept up to {noise:.1} of {} cores busy in a window; \
                 measure again before believing any of this.",
                machine.cores
            )?;
        }
        writeln!(f)?;
        write_table(f, &self.requests_table())?;
        writeln!(f)?;
        write_table(f, &self.process_table())?;
        let goals = self.goals();
        if goals.is_empty() {
            return Ok(());
        }
        let mut table = vec![["goal", "found", "reached"].map(String::from).to_vec()];
        for goal in goals {
            let reached = if goal.reached { "yes" } else { "no" };
            table.push(vec![goal.wanted.to_owned(), goal.found, reached.to_owned()]);
        }
        writeln!(f)?;
        write_table(f, &table)
    }
}

/// Markdown with padded cells reads well on a terminal too. The first column is text, the others are numbers.
pub(super) fn write_table(f: &mut fmt::Formatter<'_>, table: &[Vec<String>]) -> fmt::Result {
    for (index, row) in table.iter().enumerate() {
        write_row(f, table, row)?;
        if index == 0 {
            let rule = |column: usize| "-".repeat(width(table, column) - usize::from(column > 0));
            let marks = (0..row.len()).map(|column| rule(column) + if column > 0 { ":" } else { "" });
            write_row(f, table, &marks.collect::<Vec<_>>())?;
        }
    }
    Ok(())
}

fn write_row(f: &mut fmt::Formatter<'_>, table: &[Vec<String>], row: &[String]) -> fmt::Result {
    f.write_str("|")?;
    for (column, cell) in row.iter().enumerate() {
        let width = width(table, column);
        if column == 0 {
            write!(f, " {cell:width$} |")?;
        } else {
            write!(f, " {cell:>width$} |")?;
        }
    }
    writeln!(f)
}

fn width(table: &[Vec<String>], column: usize) -> usize {
    let cells = table.iter().filter_map(|row| row.get(column));
    cells.map(|cell| cell.chars().count()).max().unwrap_or_default().max(4)
}

pub(super) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

pub(super) fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(case: Case, per_second: f64, cpu_micros: f64) -> Row {
        let (p50, p99) = (Duration::from_micros(150), Duration::from_millis(2));
        Row { case, per_second, cpu_micros, p50, p99, cores_of_others: 0.0, groups: None }
    }

    fn report(rows: Vec<Row>) -> Report {
        let machine = Machine {
            cores: 2,
            processor: String::from("Abacus"),
            kernel: String::from("6.1"),
            file_system: String::from("ext4"),
            sync_p50: Duration::from_micros(600),
            sync_p99: Duration::from_millis(3),
        };
        let mut report = Report::new(Timestamp::EPOCH, String::from("abc"), machine, Duration::from_secs(5));
        report.rows = rows;
        report
    }

    #[test]
    fn goals_are_judged_by_what_was_found() {
        let judged = |floor, get, puts| {
            let rows =
                vec![row(Case::Floor, 1.0, floor), row(Case::Get, 1.0, get), row(Case::Put, puts, 1.0)];
            report(rows).goals().iter().map(|goal| goal.reached).collect::<Vec<_>>()
        };
        assert_eq!(judged(10.0, 40.0, 2_000.0), [true, true]);
        assert_eq!(judged(10.0, 40.1, 1_999.0), [false, false]);
        assert!(report(vec![row(Case::Get, 1.0, 1.0)]).goals().is_empty(), "no floor, no ratio");
    }

    #[test]
    fn a_table_is_aligned_on_a_terminal() {
        let mut put = row(Case::Put, 2_345.6, 90.0);
        put.groups = Some(Groups { transactions: 100, groups: 8 });
        let text = report(vec![row(Case::Floor, 40_000.0, 12.5), put]).to_string();
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).take(4).collect();
        let lengths: Vec<usize> = lines.iter().map(|line| line.chars().count()).collect();
        assert!(lengths.iter().all(|length| *length == lengths[0]), "{text}");
        assert!(lines[3].contains("7.20") && lines[3].contains("12.5 |"), "{text}");
        assert!(text.contains("0.60 ms (p50)"), "{text}");
    }

    #[test]
    fn a_noisy_machine_is_called_one() {
        let mut noisy = row(Case::Get, 1.0, 1.0);
        noisy.cores_of_others = 0.75;
        assert!(report(vec![noisy]).to_string().contains("up to 0.8 of 2 cores busy"));
        assert!(!report(vec![row(Case::Get, 1.0, 1.0)]).to_string().contains("quiet"));
    }

    #[test]
    fn groups_are_counted_between_two_looks() {
        let earlier = Groups { transactions: 10, groups: 10 };
        let later = Groups { transactions: 110, groups: 20 };
        assert!((later.since(earlier).size() - 10.0).abs() < f64::EPSILON);
    }
}
