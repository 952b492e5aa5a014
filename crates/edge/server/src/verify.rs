//! Reads everything that a store keeps, and says what is not as it was written.
//!
//! The engine looks at its own structure; we open every record in its place, every audit row, and every frame of the audit
//! log, and hold the records against each other by the rules of their services. Nothing is shown of what was read, and nothing is repaired: damage is a fact to decide about, and a repair would
//! destroy the evidence.
//!
//! It works on a store that nobody serves, so that what it reads stands still, and it leaves no trace: a backup is verified where
//! it lies, also on a mount that is read-only.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use coffer_barrier::{Barrier, KeyringFile, SlotKey};
use coffer_core::{
    AuditEnd, AuditEndRecord, Claim, Contradiction, Examination, Files, World, inspect_audit, open_row,
};
use coffer_store::{
    AuditPlace, Depth, EngineError, Key, KeyRange, LogDamage, LogState, PAGE_ENTRIES_MAX, Partition,
    StillStore,
};
use coffer_types::encoding::HEXLOWER;
use serde::{Serialize, de::IgnoredAny};

use crate::{
    belonging::{Belonging, refuse_older},
    complaint::Complaint,
    config::Config,
    data_dir::DataDir,
    open::{MARK, key_on_this_machine, registry, unopened},
};

/// Damage that repeats a thousand times is one piece of news.
const PROBLEMS_MAX: usize = 100;

/// How much was read, and what was wrong.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    pub partitions: u64,
    pub records: u64,
    pub audit_rows: u64,
    pub segments: u64,
    pub segment_events: u64,
    /// Bytes at the ends of segments that a crash cut off: no damage, the events in them were never acknowledged.
    pub torn_bytes: u64,
    /// What is damaged, the first hundred.
    pub problems: Vec<Problem>,
    pub problem_count: u64,
    /// Those among the problems that are contradictions between records, by kind.
    pub contradictions: BTreeMap<&'static str, u64>,
}

/// Whether findings may say what a record is called, beside its stored key. Names of secrets are secrets of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    Hidden,
    Shown,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    pub place: String,
    pub says: String,
}

impl Report {
    pub const fn is_clean(&self) -> bool {
        self.problem_count == 0
    }

    fn problem(&mut self, place: impl Into<String>, says: impl fmt::Display) {
        self.problem_count += 1;
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(Problem { place: place.into(), says: says.to_string() });
        }
    }

    fn contradiction(&mut self, partition: &Partition, found: &Contradiction) {
        *self.contradictions.entry(found.kind).or_default() += 1;
        let place = place_of(partition, &found.key);
        let place = match &found.name {
            Some(name) => format!("{place} ({name})"),
            None => place,
        };
        self.problem(place, found.kind);
    }
}

/// What a person may do about a damaged log.
pub(crate) fn after_damage(damage: &LogDamage, directory: &DataDir) -> String {
    format!(
        "restore the last good backup, or go on without them: coffer accept-loss {} --data-dir {}",
        damage.id,
        crate::shell::quoted(directory.path())
    )
}

/// Gives up what a damaged log cannot tell any more. Answers the damage and where the whole log is kept.
pub fn accept_loss(config: &Config, id: &str) -> Result<(LogDamage, PathBuf), Complaint> {
    let directory = DataDir::existing(&config.data_dir)?;
    directory.ensure_free()?;
    coffer_store::accept_loss(directory.path(), id).map_err(|error| {
        Complaint::new("nothing was given up").because(error).next("coffer doctor, which names the damage")
    })
}

/// Verifies the store of a configuration. Without a key, the one that lies on the machine is taken.
pub fn verify(
    config: &Config,
    world: &World,
    key: Option<SlotKey>,
    names: Names,
) -> Result<Report, Complaint> {
    let directory = DataDir::existing(&config.data_dir)?;
    directory.ensure_free()?;
    let keyring = KeyringFile::read(&directory.keyring())?;
    if !directory.store().exists() {
        return Err(Complaint::new(format!(
            "there is a keyring in {}, but no store",
            directory.path().display()
        ))
        .next("restore the last good backup")
        .as_damage());
    }
    let store = StillStore::open(directory.path(), MARK).map_err(|error| unopened(&directory, &error))?;
    let mark = store.keyring_mark().map_err(|error| unopened(&directory, &error))?;
    let belonging = Belonging::new(mark, store.partitions().next().is_some());
    belonging.refuse_stranger(&keyring, &directory)?;
    let Some(key) =
        key.map_or_else(|| key_on_this_machine(&keyring, config, &world.clock), |key| Ok(Some(key)))?
    else {
        return Err(Complaint::new("the store has no key on this machine")
            .next("coffer verify --share <file> for each share, or --passphrase-file <file>"));
    };
    let age = store.keyring_age().map_err(|error| unopened(&directory, &error))?;
    let opened = keyring.unseal(&key, world.entropy.clone())?;
    refuse_older(age.as_deref(), &opened, directory.keyring())?;
    let barrier = opened.barrier();
    belonging.refuse_forgery(&barrier, &directory)?;

    let mut report = Report::default();
    if let LogState::Damaged(damage) = store.log() {
        report.problem("store.db-wal", format!("{damage}; {}", after_damage(damage, &directory)));
    }
    match store.check(Depth::Deep) {
        Ok(health) => health.problems.iter().for_each(|problem| report.problem("store.db", problem)),
        Err(error) => report.problem("store.db", error),
    }
    let registry = registry();
    let mut claims = Vec::new();
    let mut is_whole = true;
    for partition in store.partitions() {
        report.partitions += 1;
        let examination = Examination::new(&registry, &barrier, partition, names == Names::Shown);
        if let Err(error) = records(&mut report, &store, examination, partition, &mut claims) {
            report.problem(format!("records of {partition:?}"), error);
            is_whole = false;
        }
        if let Err(error) = rows(&mut report, &store, &barrier, partition) {
            report.problem(format!("audit rows of {partition:?}"), error);
        }
    }
    // What two partitions say of each other is told only where both were read to their ends.
    if is_whole {
        Claim::alone(claims).for_each(|(partition, found)| report.contradiction(partition, &found));
    }
    let ends = match audit_ends(&store, &barrier) {
        Ok(ends) => ends,
        Err(error) => {
            report.problem("the end of the audit log", error);
            Vec::new()
        }
    };
    segments(&mut report, world.audit_files.as_ref(), &barrier, &ends);
    Ok(report)
}

fn records<'a>(
    report: &mut Report,
    store: &StillStore,
    mut examination: Examination<'_>,
    partition: &'a Partition,
    claims: &mut Vec<(&'a Partition, Claim)>,
) -> Result<(), EngineError> {
    let mut rest = Some(KeyRange::all());
    while let Some(range) = rest {
        let page = store.scan(partition, &range, PAGE_ENTRIES_MAX)?;
        for entry in page.entries {
            report.records += 1;
            if let Err(error) = examination.look_at(&entry.key, &entry.value) {
                report.problem(place_of(partition, &entry.key), error);
            }
        }
        rest = page.rest;
    }
    // Only a partition that was read to its end can tell what is missing in it.
    let (found, claimed) = examination.finish();
    found.iter().for_each(|found| report.contradiction(partition, found));
    claims.extend(claimed.into_iter().map(|claim| (partition, claim)));
    Ok(())
}

fn place_of(partition: &Partition, key: &Key) -> String {
    format!("record {} of {partition:?}", HEXLOWER.encode(key.as_bytes()))
}

fn rows(
    report: &mut Report,
    store: &StillStore,
    barrier: &Barrier,
    partition: &Partition,
) -> Result<(), EngineError> {
    let mut after = AuditPlace::default();
    loop {
        let rows = store.audit_rows(partition, after, PAGE_ENTRIES_MAX)?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = last.place;
        for row in &rows {
            report.audit_rows += 1;
            let wrong = match open_row(barrier, partition, row) {
                None => "it does not open in its place",
                Some(event) if serde_json::from_str::<IgnoredAny>(&event).is_err() => "it is no event",
                Some(_) => continue,
            };
            let place = format!("audit row {}.{} of {partition:?}", row.place.rev.0, row.place.ordinal);
            report.problem(place, wrong);
        }
    }
}

fn segments(report: &mut Report, files: &dyn Files, barrier: &Barrier, ends: &[AuditEnd]) {
    let found = inspect_audit(files, barrier, ends);
    report.segments = found.segments;
    report.segment_events = found.events;
    report.torn_bytes = found.torn_bytes;
    for (name, says) in found.problems {
        let place = if name == "audit" { name } else { format!("audit/{name}") };
        report.problem(place, says);
    }
}

/// How far the audit log had come, as the store remembers. A record that does not open is the business of whoever reads them all.
pub(crate) fn audit_ends(store: &StillStore, barrier: &Barrier) -> Result<Vec<AuditEnd>, EngineError> {
    let mut ends = Vec::new();
    for partition in store.partitions() {
        let mut rest = Some(AuditEndRecord::range());
        while let Some(range) = rest {
            let page = store.scan(partition, &range, PAGE_ENTRIES_MAX)?;
            ends.extend(
                page.entries
                    .iter()
                    .filter_map(|entry| AuditEnd::open(barrier, partition, &entry.key, &entry.value)),
            );
            rest = page.rest;
        }
    }
    Ok(ends)
}
