//! The audit trail, for whoever works on this machine: verified, and searched.
//!
//! Both read the segment files themselves, with the key of the store, and change nothing: so they work beside a running server and
//! without one, and what a server says of itself need not be believed. It is asked one thing, where the log ends at this moment,
//! because nothing else knows that of the newest segment; without a server the store knows. That somebody looked is then on record too.

use std::{ops::ControlFlow, sync::Arc};

use coffer_barrier::{Barrier, KeyringFile, SlotKey};
use coffer_core::{AuditEnd, AuditFacts, World, inspect_audit, open_row, stream_audit};
use coffer_store::{AuditPlace, EngineError, PAGE_ENTRIES_MAX, StillStore};
use coffer_types::Timestamp;
use serde::Serialize;

use crate::{
    belonging::Belonging,
    complaint::Complaint,
    config::Config,
    control::{self, Command, Reply, Request},
    data_dir::DataDir,
    open::{MARK, key_on_this_machine, unopened},
    verify::{Problem, audit_ends},
};

/// Damage that repeats a thousand times is one piece of news.
const PROBLEMS_MAX: usize = 100;

/// Who told where the log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EndKnown {
    /// The server that writes it, at this moment.
    Server,
    /// The store, as of the last event before the server stopped, or of a second before it died.
    Store,
    /// Nobody: the server is sealed, or this store has never remembered an end.
    Nobody,
}

/// What verification read, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TrailReport {
    pub segments: u64,
    pub events: u64,
    /// Events that a server that died has left in the store; it moves them into the log at its next start.
    pub waiting: u64,
    pub torn_bytes: u64,
    pub end_known_by: EndKnown,
    /// The first hundred.
    pub problems: Vec<Problem>,
    pub problem_count: u64,
}

/// What is looked for. What is not given fits everything.
#[derive(Debug, Default, Clone)]
pub struct Filter {
    pub from: Option<Timestamp>,
    pub until: Option<Timestamp>,
    pub event_name: Option<String>,
    pub user_name: Option<String>,
    pub access_key_id: Option<String>,
    pub resource: Option<String>,
    pub event_id: Option<String>,
    pub error_code: Option<String>,
}

/// One event that was found, in a few words and as a whole.
#[derive(Debug)]
pub struct Found<'e> {
    pub facts: AuditFacts<'e>,
    pub event: &'e str,
}

/// The log of a store, and the key to it.
pub struct Trail {
    world: World,
    barrier: Barrier,
    ends: Vec<AuditEnd>,
    end_known_by: EndKnown,
    /// Events that are still in the store; none while a server runs, which has moved them.
    waiting: Vec<String>,
}

impl std::fmt::Debug for Trail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trail").field("ends", &self.ends).finish_non_exhaustive()
    }
}

impl Trail {
    /// Opens the trail of a configuration. Without a key, the one that lies on the machine is taken.
    pub fn open(
        config: &Config,
        world: &World,
        key: Option<SlotKey>,
        purpose: Command,
    ) -> Result<Self, Complaint> {
        let directory = DataDir::existing(&config.data_dir)?;
        let keyring = KeyringFile::read(&directory.keyring())?;
        let Some(key) =
            key.map_or_else(|| key_on_this_machine(&keyring, config, &world.clock), |key| Ok(Some(key)))?
        else {
            return Err(Complaint::new("the store has no key on this machine")
                .next("--share <file> for each share, or --passphrase-file <file>"));
        };
        let server = control::ask(&directory, &Request::new(purpose))?;
        let still = match &server {
            None => Some(resting(&directory)?),
            Some(_) => None,
        };
        if let Some((_, belonging)) = &still {
            belonging.refuse_stranger(&keyring, &directory)?;
        }
        let barrier = keyring.unseal(&key, Arc::clone(&world.entropy))?.barrier();
        let (ends, waiting) = match &still {
            None => (Vec::new(), Vec::new()),
            Some((store, belonging)) => {
                belonging.refuse_forgery(&barrier, &directory)?;
                let read = audit_ends(store, &barrier).and_then(|ends| Ok((ends, rows(store, &barrier)?)));
                read.map_err(|error| unopened(&directory, &error))?
            }
        };
        let (ends, end_known_by) = match server {
            Some(Reply::AuditEnd { segment, events, chain }) => {
                (AuditEnd::from_parts(segment, events, &chain).into_iter().collect(), EndKnown::Server)
            }
            None if !ends.is_empty() => (ends, EndKnown::Store),
            _ => (Vec::new(), EndKnown::Nobody),
        };
        Ok(Self { world: world.clone(), barrier, ends, end_known_by, waiting })
    }

    /// Reads everything and says what is not as it was written.
    pub fn verify(&self) -> TrailReport {
        let found = inspect_audit(self.world.audit_files.as_ref(), &self.barrier, &self.ends);
        let problem_count = found.problems.len() as u64;
        let problem = |(place, says)| Problem { place, says };
        TrailReport {
            segments: found.segments,
            events: found.events,
            waiting: self.waiting.len() as u64,
            torn_bytes: found.torn_bytes,
            end_known_by: self.end_known_by,
            problems: found.problems.into_iter().take(PROBLEMS_MAX).map(problem).collect(),
            problem_count,
        }
    }

    /// Shows what fits, the oldest first, one after the other. Answers the files that could not be read to their end.
    pub fn search(
        &self,
        filter: &Filter,
        show: &mut dyn FnMut(&Found<'_>) -> ControlFlow<()>,
    ) -> Result<Vec<Problem>, Complaint> {
        let mut flow = ControlFlow::Continue(());
        let mut see = |event: &str| {
            if filter.may_fit(event)
                && let Some(facts) = AuditFacts::read(event)
                && filter.fits(&facts)
            {
                flow = show(&Found { facts, event });
            }
            flow
        };
        let files = self.world.audit_files.as_ref();
        let troubles = stream_audit(files, &self.barrier, filter.from, &mut see)
            .map_err(|error| Complaint::new("the audit log cannot be read").because(error))?;
        for event in &self.waiting {
            if see(event).is_break() {
                break;
            }
        }
        Ok(troubles.into_iter().map(|(place, says)| Problem { place, says }).collect())
    }
}

impl Filter {
    /// Whether the text can be an event that is wanted. Reading every text would take longer.
    fn may_fit(&self, event: &str) -> bool {
        let plain = [&self.event_name, &self.access_key_id, &self.event_id, &self.error_code];
        plain.into_iter().flatten().all(|value| event.contains(value.as_str()))
    }

    fn fits(&self, facts: &AuditFacts<'_>) -> bool {
        let is = |asked: &Option<String>, found: Option<&str>| {
            asked.as_deref().is_none_or(|asked| found == Some(asked))
        };
        let time = facts.time();
        self.from.is_none_or(|from| time.is_some_and(|time| time >= from))
            && self.until.is_none_or(|until| time.is_some_and(|time| time <= until))
            && is(&self.event_name, Some(&facts.event_name))
            && is(&self.user_name, facts.user_name())
            && is(&self.access_key_id, facts.access_key_id())
            && is(&self.event_id, Some(&facts.event_id))
            && is(&self.error_code, facts.error_code.as_deref())
            && self.resource.as_deref().is_none_or(|asked| facts.is_about(asked))
    }
}

/// The store that nobody serves, read without a trace.
fn resting(directory: &DataDir) -> Result<(StillStore, Belonging), Complaint> {
    directory.ensure_free()?;
    let store = StillStore::open(directory.path(), MARK).map_err(|error| unopened(directory, &error))?;
    let mark = store.keyring_mark().map_err(|error| unopened(directory, &error))?;
    let belonging = Belonging::new(mark, store.partitions().next().is_some());
    Ok((store, belonging))
}

fn rows(store: &StillStore, barrier: &Barrier) -> Result<Vec<String>, EngineError> {
    let mut events = Vec::new();
    for partition in store.partitions() {
        let mut after = AuditPlace::default();
        loop {
            let rows = store.audit_rows(partition, after, PAGE_ENTRIES_MAX)?;
            let Some(last) = rows.last() else { break };
            after = last.place;
            events.extend(rows.iter().filter_map(|row| open_row(barrier, partition, row)));
        }
    }
    Ok(events)
}
