//! How fast Coffer is, on this machine, today: `cargo xtask bench`.
//!
//! A release server on SQLite in a temporary directory, a bare hyper beside it as the [`floor`], one [`load`] generator for both.
//! What is compared is processor time per request, read from the kernel: generator and server share the machine, so requests
//! per second say how the two got on with each other, while what the server's process used stays its own. The floor and the
//! operation that has a goal relative to it are measured in turns, and the median of the turns counts, so that a neighbour who
//! is noisy for some seconds does not decide.
//!
//! A benchmark knows no way to make a figure look better: any answer that is not 200 ends it, and the page holds what it
//! measured or nothing.

pub mod clock;
pub mod database;
pub mod epoch;
pub mod floor;
pub mod functions;
pub mod histogram;
pub mod http;
pub mod keys;
pub mod load;
pub mod machine;
pub mod overload;
pub mod people;
pub mod process;
pub mod report;
pub mod requests;
pub mod scale;
pub mod stage;

use std::{
    fs,
    io::Write,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use tokio::task::LocalSet;

pub use self::{floor::run as run_floor, report::Report};
use self::{
    load::Phases,
    machine::Machine,
    report::{Row, Start},
    stage::{Programs, Stage},
};
use crate::{
    Tree,
    marks::{Marks, splice},
};

const WARM_UP: Duration = Duration::from_secs(1);
/// Odd, so that there is a median.
const ROUNDS: usize = 3;
const STARTS: usize = 10;
/// After this long a server has done what it does after a start.
const IDLE_AFTER: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Case {
    /// A bare HTTP server; every other case is compared with it.
    Floor,
    /// One secret, read again and again.
    Get,
    /// As many secrets as a cache holds easily, in turns.
    GetMany,
    /// The same by somebody with ten policies and a condition, of a secret with a policy of its own.
    GetBound,
    /// The same of a secret under a customer's key whose policy decides too.
    GetKeyed,
    Describe,
    List,
    /// Credentials for a role.
    Assume,
    /// KMS, under the same key: a hundred bytes closed,
    Encrypt,
    /// opened,
    Decrypt,
    /// and a data key drawn.
    DataKey,
    /// One connection: how long a durable write takes.
    PutAlone,
    /// Many connections: how many durable writes share a sync.
    Put,
    Create,
    /// From the start of the process to the first answer, and the memory it has then.
    Start,
    /// What requests feel of a new epoch. It takes a store of its own and minutes, so it comes only by its name, and alone.
    Epoch,
}

impl Case {
    const fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor (bare hyper)",
            Self::Get => "GetSecretValue",
            Self::GetMany => "GetSecretValue, 1000 secrets",
            Self::GetBound => "GetSecretValue, ten policies",
            Self::GetKeyed => "GetSecretValue, customer key",
            Self::Assume => "AssumeRole",
            Self::Encrypt => "kms Encrypt",
            Self::Decrypt => "kms Decrypt",
            Self::DataKey => "kms GenerateDataKey",
            Self::Describe => "DescribeSecret",
            Self::List => "ListSecrets, 100 a page",
            Self::PutAlone | Self::Put => "PutSecretValue",
            Self::Create => "CreateSecret",
            Self::Start => "start",
            Self::Epoch => "rotate-epoch",
        }
    }

    const fn connections(self) -> usize {
        match self {
            Self::Floor
            | Self::Get
            | Self::GetMany
            | Self::GetBound
            | Self::GetKeyed
            | Self::Encrypt
            | Self::Decrypt
            | Self::DataKey
            | Self::Describe
            | Self::List
            | Self::Assume => 16,
            Self::Put | Self::Create => 32,
            // The epoch's has a table of its own, which says.
            Self::PutAlone | Self::Start | Self::Epoch => 1,
        }
    }
}

#[derive(Debug, Clone)]
pub struct Options {
    /// Empty means all of them.
    pub only: Vec<Case>,
    pub window: Duration,
}

impl Options {
    fn has(&self, case: Case) -> bool {
        self.only.is_empty() || self.only.contains(&case)
    }

    const fn phases(&self) -> Phases {
        Phases { warm_up: WARM_UP, window: self.window }
    }
}

/// Builds for release what is measured and what measures, and becomes the latter. Comes back only with an error.
///
/// They are built one after the other: together, the server would be compiled with the features that the chores ask for.
pub fn run_for_release(tree: &Tree, arguments: impl Iterator<Item = std::ffi::OsString>) -> Result<()> {
    for package in ["coffer", "xtask"] {
        let mut cargo = Command::new("cargo");
        cargo.current_dir(tree.root()).args(["build", "--quiet", "--release", "-p", package]);
        if !cargo.status().context("starting cargo")?.success() {
            bail!("{package} cannot be built");
        }
    }
    let debug = std::env::current_exe()?;
    let target =
        debug.parent().and_then(Path::parent).context("this program is not in a target directory")?;
    Err(Command::new(target.join("release/xtask")).args(arguments).exec())
        .context("starting the release build")
}

/// Measures. The programs are those beside this one.
pub fn run(tree: &Tree, options: &Options) -> Result<Report> {
    let (programs, place) = programs_and_place()?;
    let machine = Machine::look(place.path())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut report = Report::new(clock::now(), commit(tree), machine, options.window);
    LocalSet::new().block_on(&runtime, measure(&programs, place.path(), options, &mut report))?;
    Ok(report)
}

/// Measures stores of growing size. The programs are those beside this one.
pub fn run_scale(window: Duration) -> Result<scale::Scale> {
    let (programs, place) = programs_and_place()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, scale::measure(&programs, place.path(), window))
}

/// Measures a load while the epoch changes under it. The programs are those beside this one.
pub fn run_epoch(secrets: usize, window: Duration) -> Result<epoch::Epoch> {
    let (programs, place) = programs_and_place()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, epoch::measure(&programs, place.path(), secrets, window))
}

/// Measures what is left when too much is asked for. The programs are those beside this one.
pub fn run_overload(window: Duration) -> Result<overload::Overload> {
    let (programs, place) = programs_and_place()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, overload::measure(&programs, place.path(), window))
}

/// Measures functions and rotations. The programs are those beside this one.
pub fn run_functions(window: Duration) -> Result<functions::Functions> {
    let (programs, place) = programs_and_place()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, functions::measure(&programs, place.path(), window))
}

fn programs_and_place() -> Result<(Programs, tempfile::TempDir)> {
    let xtask = std::env::current_exe()?;
    let release = xtask.parent().context("this program is in no directory")?;
    let programs = Programs { coffer: release.join("coffer"), xtask: xtask.clone() };
    // Beside the build and not in /tmp, which may be memory, where syncs cost nothing.
    let place = tempfile::Builder::new().prefix("bench-").tempdir_in(release.parent().unwrap_or(release))?;
    Ok((programs, place))
}

async fn measure(programs: &Programs, place: &Path, options: &Options, report: &mut Report) -> Result<()> {
    if options.has(Case::Start) {
        report.start = Some(measure_starts(programs, &place.join("empty")).await?);
    }
    let stage = Stage::set(programs, place).await?;
    let phases = options.phases();
    let reads = [Case::Get, Case::GetBound, Case::GetKeyed].map(|case| (case, options.has(case)));
    if options.has(Case::Floor) || reads.iter().any(|(_, wanted)| *wanted) {
        let mut floors = Vec::new();
        let mut rounds = reads
            .iter()
            .filter(|(_, wanted)| *wanted)
            .map(|(case, _)| (*case, Vec::new()))
            .collect::<Vec<_>>();
        for _ in 0..ROUNDS {
            floors.push(stage.floor(phases).await?);
            for (case, rows) in &mut rounds {
                rows.push(stage.run(*case, phases).await?);
            }
        }
        report.rows.extend(median(floors));
        report.rows.extend(rounds.into_iter().filter_map(|(_, rows)| median(rows)));
    }
    if options.has(Case::GetBound) {
        report.decision = Some(people::decision()?);
    }
    for case in [
        Case::GetMany,
        Case::Describe,
        Case::List,
        Case::Assume,
        Case::Encrypt,
        Case::Decrypt,
        Case::DataKey,
        Case::PutAlone,
        Case::Put,
        Case::Create,
    ] {
        if options.has(case) {
            report.rows.push(stage.run(case, phases).await?);
        }
    }
    report.rss_after_bytes = Some(stage.rss_bytes()?);
    stage.strike()
}

/// An empty store that exists already is started many times, each time up to an answer that says "ready".
async fn measure_starts(programs: &Programs, place: &Path) -> Result<Start> {
    fs::create_dir(place)?;
    programs.start(place)?.stop()?;
    let mut ready = Vec::new();
    for _ in 0..STARTS {
        let server = programs.start(place)?;
        let asked = clock::Stopwatch::start();
        stage::page(server.address, "/health/ready").await?;
        ready.push(server.ready_after + asked.elapsed());
        server.stop()?;
    }
    ready.sort();
    let server = programs.start(place)?;
    tokio::time::sleep(IDLE_AFTER).await;
    let rss_idle_bytes = server.rss_bytes()?;
    server.stop()?;
    let middle = |ready: &[Duration]| ready.get(ready.len() / 2).copied().unwrap_or_default();
    Ok(Start { median: middle(&ready), slowest: ready.last().copied().unwrap_or_default(), rss_idle_bytes })
}

/// The row in the middle, by processor time.
fn median(mut rows: Vec<Row>) -> Option<Row> {
    rows.sort_by(|one, other| one.cpu_micros.total_cmp(&other.cpu_micros));
    let middle = rows.len() / 2;
    rows.into_iter().nth(middle)
}

fn commit(tree: &Tree) -> String {
    let mut git = Command::new("git");
    let output = git.current_dir(tree.root()).args(["describe", "--always", "--dirty"]).output();
    let text = output.ok().filter(|output| output.status.success());
    text.and_then(|output| String::from_utf8(output.stdout).ok())
        .map_or("unknown".into(), |text| text.trim().into())
}

/// Two marks of the page, between which a table stands.
pub const FIGURES: Marks = (BEGIN, END);
pub const SCALE: Marks = (
    "<!-- written by `cargo xtask bench --scale --write` -->\n",
    "<!-- up to here goes the table of sizes -->\n",
);
pub const EPOCH: Marks = (
    "<!-- written by `cargo xtask bench --only epoch --write` -->\n",
    "<!-- up to here goes the change of epochs -->\n",
);
pub const OVERLOAD: Marks = (
    "<!-- written by `cargo xtask bench --overload --write` -->\n",
    "<!-- up to here goes the table of loads -->\n",
);
pub const FUNCTIONS: Marks = (
    "<!-- written by `cargo xtask bench --functions --write` -->\n",
    "<!-- up to here go the tables of functions -->\n",
);

/// Puts figures into the page, between their two marks.
pub fn write(tree: &Tree, marks: Marks, figures: &str) -> Result<PathBuf> {
    let path = tree.root().join("docs/performance.md");
    let page = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let page = splice(&page, marks, figures).context("docs/performance.md has lost its marks")?;
    // The page is in version control; a write that is cut short is seen there and made good.
    fs::File::create(&path)?.write_all(page.as_bytes())?;
    Ok(path)
}

const BEGIN: &str = "<!-- written by `cargo xtask bench --write` -->\n";
const END: &str = "<!-- up to here -->\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_all_marks() {
        let page = fs::read_to_string(Tree::here().root().join("docs/performance.md")).unwrap();
        for marks in [FIGURES, SCALE, EPOCH, OVERLOAD, FUNCTIONS] {
            assert!(splice(&page, marks, "").is_some(), "{marks:?}");
        }
    }

    #[test]
    fn the_median_is_by_processor_time() {
        let row = |cpu_micros| Row {
            case: Case::Get,
            per_second: 1.0,
            cpu_micros,
            p50: Duration::ZERO,
            p99: Duration::ZERO,
            cores_of_others: 0.0,
            groups: None,
        };
        let found = median(vec![row(9.0), row(1.0), row(3.0)]).unwrap();
        assert!((found.cpu_micros - 3.0).abs() < f64::EPSILON);
        assert!(median(Vec::new()).is_none());
    }
}
