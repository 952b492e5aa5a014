//! What requests feel of a new epoch: `cargo xtask bench --only epoch`.
//!
//! A store of many secrets, each of 1 KiB and with two versions, and a load of reads and writes all over it. The load is measured by itself,
//! then from `coffer key rotate-epoch` until the key of the older epoch is destroyed, and by itself again; before and after count
//! as one, so that a machine that slows down in between is not taken for the sweep.
//!
//! Reads and writes are driven in windows, because a write needs a request of its own and nobody knows how long a sweep takes. A
//! window that the sweep did not outlast is only counted if there is no other. As everywhere here, any answer but 200 ends the run.

use std::{cell::Cell, fmt, fs, path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::{
    clock::Stopwatch,
    histogram::Histogram,
    load::{Measured, Phases, Requests, drive},
    process::Server,
    report::{millis, write_table},
    requests::Client,
    scale::{fill, name},
    stage::{Programs, client_of, data_dir, deal},
};

pub const SECRETS: usize = 100_000;
/// With fewer, a long run would put more young versions onto a secret than it may have.
pub const SECRETS_MIN: usize = 1_000;
const READERS: usize = 14;
const WRITERS: usize = 2;
/// Secrets that are read, spread over the store.
const READ: usize = 1_000;
/// Writes that are signed beforehand for every second of a window.
const WRITES_PER_SECOND_MAX: usize = 2_000;
/// The first nonce of a write: above the tokens of those that filled the store.
const FIRST_NONCE: u64 = 1 << 40;
const WARM_UP: Duration = Duration::from_millis(200);
/// Before, and again after.
const WINDOWS_ALONE: usize = 3;
const P99_RATIO_MAX: f64 = 1.2;

/// What a kind of request met in some windows.
#[derive(Debug, Default)]
struct Met {
    latency: Histogram,
    elapsed: Duration,
}

impl Met {
    fn add(&mut self, measured: &Measured) {
        self.latency.absorb(&measured.latency);
        self.elapsed += measured.elapsed;
    }

    fn per_second(&self) -> f64 {
        self.latency.count() as f64 / self.elapsed.as_secs_f64()
    }
}

/// Reads and writes of the same windows.
#[derive(Debug, Default)]
struct Load {
    reads: Met,
    writes: Met,
    cores_of_others: f64,
}

#[derive(Debug)]
pub struct Epoch {
    secrets: usize,
    alone: Load,
    sweeping: Load,
    /// From the command to the end of the older key.
    took: Duration,
    sealed_again: u64,
}

pub async fn measure(programs: &Programs, place: &Path, secrets: usize, window: Duration) -> Result<Epoch> {
    let place = place.join("epoch");
    fs::create_dir(&place)?;
    let server = programs.start(&place)?;
    let client = client_of(&place, server.address)?;
    fill(&server, &client, secrets).await?;
    let stage =
        Stage { programs, place: &place, server: &server, client: &client, secrets, nonce: Cell::default() };
    let (mut alone, mut sweeping) = (Load::default(), Load::default());
    for _ in 0..WINDOWS_ALONE {
        stage.window(window, &mut alone).await?;
    }
    let watch = Stopwatch::start();
    stage.key(&["rotate-epoch"])?;
    let (took, sealed_again) = loop {
        let mut found = Load::default();
        stage.window(window, &mut found).await?;
        let status = stage.status()?;
        let is_over = status.older == 0;
        if !is_over || sweeping.reads.latency.count() == 0 {
            sweeping.absorb(&found);
        }
        if is_over {
            break (watch.elapsed(), status.sealed_again);
        }
        ensure!(status.damaged == 0, "{} records do not open", status.damaged);
    };
    for _ in 0..WINDOWS_ALONE {
        stage.window(window, &mut alone).await?;
    }
    server.stop()?;
    Ok(Epoch { secrets, alone, sweeping, took, sealed_again })
}

struct Stage<'a> {
    programs: &'a Programs,
    place: &'a Path,
    server: &'a Server,
    client: &'a Client,
    secrets: usize,
    /// How many writes have been made.
    nonce: Cell<usize>,
}

/// What `coffer key status` says.
#[derive(Debug, PartialEq, Eq)]
struct Status {
    older: usize,
    sealed_again: u64,
    damaged: u64,
}

impl Stage<'_> {
    async fn window(&self, window: Duration, into: &mut Load) -> Result<()> {
        let phases = Phases { warm_up: WARM_UP, window };
        let (address, pid) = (self.server.address, self.server.pid());
        let step = (self.secrets / READ).max(1);
        let gets = (0..READ).map(|index| self.client.get(&name(index * step)));
        let gets = Requests::shared(gets.collect::<Result<_>>()?, READERS);
        let (reads, writes) = tokio::join!(
            drive(address, pid, gets, phases),
            drive(address, pid, self.writes(phases.warm_up + window)?, phases)
        );
        into.add(&reads?, &writes?);
        Ok(())
    }

    fn writes(&self, period: Duration) -> Result<Vec<Requests>> {
        let count = WRITES_PER_SECOND_MAX * usize::try_from(period.as_secs().saturating_add(1))?;
        let first = self.nonce.replace(self.nonce.get() + count);
        let puts = (first..first + count)
            .map(|index| self.client.put(&name(index % self.secrets), FIRST_NONCE + u64::try_from(index)?));
        let puts = deal(puts.collect::<Result<_>>()?, WRITERS);
        Ok(puts.into_iter().map(Requests::Once).collect())
    }

    fn status(&self) -> Result<Status> {
        Status::read(&self.key(&["status", "--json"])?)
    }

    /// `coffer key ..`, as an operator gives it.
    fn key(&self, words: &[&str]) -> Result<Vec<u8>> {
        let mut command = Command::new(&self.programs.coffer);
        command.arg("key").args(words).arg("--data-dir").arg(data_dir(self.place));
        command.arg("--keyfile").arg(self.place.join("keyfile"));
        let output = command.output().with_context(|| format!("starting {command:?}"))?;
        if !output.status.success() {
            bail!("coffer key {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr));
        }
        Ok(output.stdout)
    }
}

impl Status {
    fn read(json: &[u8]) -> Result<Self> {
        let status: Value = serde_json::from_slice(json).context("the status of the keys is not JSON")?;
        let number = |name: &str| {
            status.get(name).and_then(Value::as_u64).with_context(|| format!("no {name} in {status}"))
        };
        let older = status.get("older_epochs").and_then(Value::as_array);
        Ok(Self {
            older: older.with_context(|| format!("no older_epochs in {status}"))?.len(),
            sealed_again: number("records_sealed_again")?,
            damaged: number("damaged")?,
        })
    }
}

impl Load {
    fn add(&mut self, reads: &Measured, writes: &Measured) {
        self.reads.add(reads);
        self.writes.add(writes);
        self.cores_of_others = self.cores_of_others.max(reads.cores_of_others());
    }

    fn absorb(&mut self, other: &Self) {
        for (ours, theirs) in [(&mut self.reads, &other.reads), (&mut self.writes, &other.writes)] {
            ours.latency.absorb(&theirs.latency);
            ours.elapsed += theirs.elapsed;
        }
        self.cores_of_others = self.cores_of_others.max(other.cores_of_others);
    }
}

impl Epoch {
    /// For each kind of request: its name, how it fared alone, and during the sweep.
    fn kinds(&self) -> [(&'static str, &Met, &Met); 2] {
        [
            ("GetSecretValue", &self.alone.reads, &self.sweeping.reads),
            ("PutSecretValue", &self.alone.writes, &self.sweeping.writes),
        ]
    }

    fn requests_table(&self) -> Vec<Vec<String>> {
        let head = ["", "requests/s alone", "and meanwhile", "p99 ms alone", "and meanwhile", "times"];
        let mut table = vec![head.map(String::from).to_vec()];
        for (name, alone, sweeping) in self.kinds() {
            table.push(vec![
                name.to_owned(),
                format!("{:.0}", alone.per_second()),
                format!("{:.0}", sweeping.per_second()),
                format!("{:.2}", millis(alone.latency.quantile(990))),
                format!("{:.2}", millis(sweeping.latency.quantile(990))),
                format!("{:.2}", p99_ratio(alone, sweeping)),
            ]);
        }
        table
    }

    fn sweep_table(&self) -> Vec<Vec<String>> {
        let row = |what: &str, found: String| vec![what.to_owned(), found];
        let others = self.alone.cores_of_others.max(self.sweeping.cores_of_others);
        vec![
            row("new epoch", String::from("found")),
            row("secrets, of 1 KiB and two versions", self.secrets.to_string()),
            row("records sealed again", self.sealed_again.to_string()),
            row("until the older key was destroyed", format!("{:.0} s", self.took.as_secs_f64())),
            row("processors that others kept busy, at most", format!("{others:.1}")),
        ]
    }

    fn goals(&self) -> Vec<Vec<String>> {
        let goal = |wanted: String, found: String, reached: bool| {
            vec![wanted, found, String::from(if reached { "yes" } else { "no" })]
        };
        let answered: u64 = self.kinds().iter().map(|(_, _, sweeping)| sweeping.latency.count()).sum();
        // A run with another answer came to no table.
        let mut goals =
            vec![goal(String::from("no request fails"), format!("0 of {answered}"), answered > 0)];
        for (name, alone, sweeping) in self.kinds() {
            let ratio = p99_ratio(alone, sweeping);
            goals.push(goal(
                format!("{name}: p99 of at most {P99_RATIO_MAX} times that without"),
                format!("{ratio:.2} times"),
                ratio <= P99_RATIO_MAX,
            ));
        }
        goals
    }
}

fn p99_ratio(alone: &Met, sweeping: &Met) -> f64 {
    sweeping.latency.quantile(990).as_secs_f64() / alone.latency.quantile(990).as_secs_f64()
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_table(f, &self.sweep_table())?;
        writeln!(f)?;
        write_table(f, &self.requests_table())?;
        writeln!(f)?;
        let mut goals =
            vec![["goal, during a change of epochs", "found", "reached"].map(String::from).to_vec()];
        goals.extend(self.goals());
        write_table(f, &goals)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(micros: u64) -> Load {
        let met = || {
            let mut latency = Histogram::default();
            latency.add(Duration::from_micros(micros));
            Met { latency, elapsed: Duration::from_secs(1) }
        };
        Load { reads: met(), writes: met(), cores_of_others: 0.0 }
    }

    #[test]
    fn a_sweep_is_judged_by_what_requests_met() {
        let reached = |sweeping| {
            let epoch = Epoch {
                secrets: 10,
                alone: load(1_000),
                sweeping,
                took: Duration::from_secs(3),
                sealed_again: 77,
            };
            assert!(epoch.to_string().contains("77"), "{epoch}");
            epoch.goals().iter().map(|goal| goal[2] == "yes").collect::<Vec<_>>()
        };
        assert_eq!(reached(load(1_100)), [true, true, true]);
        assert_eq!(reached(load(1_500)), [true, false, false]);
        assert!(!reached(Load::default())[0], "nothing was asked");
    }

    #[test]
    fn windows_add_up() {
        let mut sum = load(100);
        sum.absorb(&load(300));
        assert_eq!((sum.reads.latency.count(), sum.writes.elapsed), (2, Duration::from_secs(2)));
        assert!((sum.reads.per_second() - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn the_status_of_the_keys_is_read_or_refused() {
        let text = br#"{"active_epoch": 3, "older_epochs": [1, 2], "records_sealed_again": 9, "records_seen": 1, "damaged": 0}"#;
        assert_eq!(Status::read(text).unwrap(), Status { older: 2, sealed_again: 9, damaged: 0 });
        for bad in ["", "{}", r#"{"older_epochs": []}"#, r#"{"records_sealed_again": 1, "damaged": 0}"#] {
            assert!(Status::read(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
