//! Typed records over sealed bytes over an engine.
//!
//! Reading goes cache, engine, barrier; writing goes barrier, committer, engine, and the cache is right before the writer
//! hears that it is done. Records in the cache are opened once; a secret *value* inside a record stays sealed under its own
//! data key.
//!
//! Lists are served from a [`directory`]: all records of one table and partition, opened, in memory. It is loaded when first
//! walked and kept by the same hook that keeps the cache. While a commit is being applied a list may be a moment behind a read
//! by key; once its writer has heard of it, everybody sees it everywhere.

mod derived;
mod directory;
mod epochs;
mod memory;
mod names;
pub(crate) mod turns;

use std::{
    any::Any,
    collections::{BTreeMap, HashMap},
    fmt,
    ops::ControlFlow,
    sync::{Arc, atomic::Ordering},
};

use bytes::Bytes;
use coffer_barrier::Barrier;
use coffer_store::{
    Check, Commit, Committer, Dir, Engine, EngineError, EntityId, Expect, GET_KEYS_MAX, Key, KeyRange,
    Partition, Read, Rev, Txn, TxnToken, Versioned, Write,
};
use coffer_types::{Entropy, Secret, Uuid};
use tokio::sync::oneshot;

pub use self::directory::{Listed, Place, Walk};
use self::{
    derived::Derived,
    epochs::{Sealing, UnderWay, was_sealed_again},
    memory::{Became, CACHE_ENTRY_OVERHEAD, Effect, Memory, Written},
    names::Names,
    turns::Turns,
};
use crate::{
    Past, Record, Table,
    record::{AUDIT_TABLE, Damaged, open_record, seal_bytes, short_id},
};

const SCAN_PAGE: u32 = 1000;

/// A record as it was found: where the engine and its own counter stood.
#[derive(Clone)]
pub struct Found {
    pub rev: Rev,
    pub revision: u64,
    weight: u64,
    record: Arc<dyn Any + Send + Sync>,
}

impl Found {
    pub(crate) fn record<R: Record>(&self) -> Option<Arc<R>> {
        Arc::clone(&self.record).downcast().ok()
    }
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Found")
            .field("rev", &self.rev)
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

/// One change a handler asked for.
#[derive(Clone)]
pub(crate) enum Change {
    Put {
        table: u16,
        version: u16,
        revision: u64,
        bytes: Arc<Secret<Vec<u8>>>,
        record: Arc<dyn Any + Send + Sync>,
    },
    Delete {
        table: u16,
    },
}

/// What a handler read and changed in one partition.
#[derive(Default)]
pub(crate) struct Sheet {
    /// At which revision each was found: the checks of the commit.
    pub reads: BTreeMap<Key, Expect>,
    pub changes: BTreeMap<Key, Change>,
}

impl Sheet {
    /// Whether a commit has to know of it. That something is not there is of no weight by itself.
    fn counts(&self) -> bool {
        !self.changes.is_empty() || self.reads.values().any(|expect| *expect != Expect::Absent)
    }
}

impl Change {
    pub(crate) fn record(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        match self {
            Self::Put { record, .. } => Some(Arc::clone(record)),
            Self::Delete { .. } => None,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Damaged(#[from] Damaged),
    #[error("a record of table {table} cannot be read: {reason}")]
    Unreadable { table: &'static str, reason: String },
}

#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Something that was read has changed: run the handler again.
    #[error("a record changed while the request ran")]
    Conflict,
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("the store stopped before it answered")]
    Stopped,
}

#[derive(Debug, Clone, Copy)]
pub struct DbMetrics {
    pub groups: u64,
    pub transactions: u64,
    pub queue_depth: u64,
    pub cached_records: u64,
    /// Changes on their way to the engine, whose records wait in memory for the outcome.
    pub unconfirmed: u64,
    /// Tables of one account and region that are listed from memory.
    pub directories: u64,
    /// Names whose place in the store is remembered.
    pub names: u64,
}

pub struct Db {
    engine: Arc<dyn Engine>,
    committer: Committer,
    barrier: Arc<Barrier>,
    memory: Arc<Memory>,
    names: Names,
    derived: Derived,
    turns: Turns,
    under_way: Arc<UnderWay>,
    entropy: Arc<dyn Entropy>,
}

impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Db")
    }
}

impl Db {
    pub fn new(
        engine: Arc<dyn Engine>,
        barrier: Arc<Barrier>,
        entropy: Arc<dyn Entropy>,
    ) -> std::io::Result<Self> {
        let heads = engine.partitions().map_err(std::io::Error::other)?;
        let memory = Arc::new(Memory::new(heads.into_iter().collect()));
        let observer = Arc::clone(&memory);
        let committer = Committer::start(
            Arc::clone(&engine),
            Box::new(move |partition, rev, txn| observer.apply(partition, rev, txn)),
        )?;
        let (names, derived, turns) = (Names::new(), Derived::new(), Turns::new());
        let under_way = Arc::default();
        Ok(Self { engine, committer, barrier, memory, names, derived, turns, under_way, entropy })
    }

    pub(crate) const fn turns(&self) -> &Turns {
        &self.turns
    }

    pub fn barrier(&self) -> &Arc<Barrier> {
        &self.barrier
    }

    pub fn engine(&self) -> &Arc<dyn Engine> {
        &self.engine
    }

    pub fn metrics(&self) -> DbMetrics {
        let counters = self.committer.counters();
        DbMetrics {
            groups: counters.groups,
            transactions: counters.transactions,
            queue_depth: counters.queue_depth,
            cached_records: self.memory.cache.len() as u64,
            unconfirmed: self.memory.expected().len() as u64,
            directories: self.memory.directories() as u64,
            names: self.names.len() as u64,
        }
    }

    /// Reads one record outside any request, as authentication does.
    pub fn read<R: Record>(&self, partition: &Partition, key: &[&str]) -> Result<Option<Arc<R>>, LoadError> {
        let place = self.locate(partition, R::TABLE, key);
        let found = self.load::<R>(partition, &place.key)?;
        if found.is_some() {
            self.remember(place);
        }
        Ok(found.and_then(|found| found.record()))
    }

    /// Every account and region in which something was ever stored, in order.
    pub fn partitions(&self) -> Vec<Partition> {
        let mut partitions: Vec<_> = self.memory.applied().keys().cloned().collect();
        partitions.sort();
        partitions
    }

    pub(crate) fn locate(&self, partition: &Partition, table: Table, parts: &[&str]) -> names::Place {
        self.names.locate(&self.barrier, partition, table, parts)
    }

    /// For a place where something was found.
    pub(crate) fn remember(&self, place: names::Place) {
        self.names.remember(place);
    }

    pub(crate) fn load<R: Record>(
        &self,
        partition: &Partition,
        key: &Key,
    ) -> Result<Option<Found>, LoadError> {
        if let Some(found) = self.memory.cache.get(key) {
            return Ok(Some(found));
        }
        let generation = self.memory.generation(key);
        let before = generation.load(Ordering::Acquire);
        if let Some(found) = self.memory.in_directory(partition, key) {
            self.memory.fill(partition, key, generation, before, &found);
            return Ok(Some(found));
        }
        // An account or region in which nothing was ever stored, as a made-up key id names one, is not worth the way to the engine.
        if !self.memory.applied().contains_key(partition) {
            return Ok(None);
        }
        let Some(value) = self.get(partition, key)? else { return Ok(None) };
        let found = self.open::<R>(partition, key, &value.value, value.rev)?;
        self.memory.fill(partition, key, generation, before, &found);
        Ok(Some(found))
    }

    /// What the engine has now. If that was sealed again while it was read, it has something newer.
    fn get(&self, partition: &Partition, key: &Key) -> Result<Option<Versioned>, EngineError> {
        let get = || {
            let (_, values) = self.engine.get(partition, std::slice::from_ref(key), Read::Latest)?;
            Ok(values.into_iter().flatten().next())
        };
        match get()? {
            Some(value) if was_sealed_again(self, &value.value) => get(),
            value => Ok(value),
        }
    }

    /// Where a record stands, without opening it.
    pub(crate) fn rev_of(&self, partition: &Partition, key: &Key) -> Result<Option<Rev>, EngineError> {
        if let Some(found) = self.memory.cache.get(key) {
            return Ok(Some(found.rev));
        }
        let (_, values) = self.engine.get(partition, std::slice::from_ref(key), Read::Latest)?;
        Ok(values.into_iter().flatten().next().map(|value| value.rev))
    }

    fn open<R: Record>(
        &self,
        partition: &Partition,
        key: &Key,
        value: &Bytes,
        rev: Rev,
    ) -> Result<Found, LoadError> {
        let opened = open_record(&self.barrier, partition, R::TABLE.id, key.as_bytes(), value);
        let (version, revision, plaintext) = opened.inspect_err(|error| {
            tracing::error!(table = R::TABLE.name, record = short_id(key), %error, "a record does not open; run coffer verify");
        })?;
        let record = R::from_stored(version, plaintext.expose())
            .map_err(|error| LoadError::Unreadable { table: R::TABLE.name, reason: error.message })?;
        let weight = value.len() as u64 + CACHE_ENTRY_OVERHEAD;
        Ok(Found { rev, revision, weight, record: Arc::new(record) })
    }

    /// Walks the directory of a table, loading it first if need be, until the visitor has enough.
    ///
    /// That may take a while: whoever calls this has taken a turn.
    pub(crate) fn walk<R: Listed>(
        &self,
        partition: &Partition,
        how: Walk<'_>,
        visit: &mut dyn FnMut(&Arc<R>) -> ControlFlow<()>,
    ) -> Result<(), LoadError> {
        // Where nothing was ever written there is no list, so asking for those of regions that nobody uses fills no memory.
        if self.has_nothing::<R>(partition)? {
            return Ok(());
        }
        let Some(directory) = self.memory.directory_of::<R>(partition) else { return Ok(()) };
        directory.walk(how, &|| self.scan::<R>(partition), visit)
    }

    /// How many records a table has; nothing if it has to be walked first.
    pub(crate) fn count<R: Listed>(&self, partition: &Partition) -> Result<Option<usize>, EngineError> {
        if self.has_nothing::<R>(partition)? {
            return Ok(Some(0));
        }
        Ok(self.memory.directory_of::<R>(partition).and_then(|directory| directory.len()))
    }

    fn has_nothing<R: Listed>(&self, partition: &Partition) -> Result<bool, EngineError> {
        if self.memory.is_listed(partition, R::TABLE.id) {
            return Ok(false);
        }
        let head = self.engine.head(std::slice::from_ref(partition))?;
        Ok(head.iter().all(|head| *head == Rev::ZERO))
    }

    /// Whether everything that was read is still as it was, and so was all true at one instant: the one before this was asked. That holds
    /// also for what was read in several partitions, if each of them is asked.
    pub(crate) fn is_unchanged(
        &self,
        partition: &Partition,
        reads: &BTreeMap<Key, Expect>,
    ) -> Result<bool, EngineError> {
        if reads.is_empty() {
            return Ok(true);
        }
        if let Some(unchanged) = self.memory.is_unchanged(partition, reads) {
            return Ok(unchanged);
        }
        if reads.len() > GET_KEYS_MAX {
            // The engine answers no more than this as of one instant. Such a reader walks, and does not compare.
            return Ok(true);
        }
        let (keys, expected): (Vec<_>, Vec<_>) =
            reads.iter().map(|(key, expect)| (key.clone(), *expect)).unzip();
        let (head, found) = self.engine.get(partition, &keys, Read::Latest)?;
        let found = found.iter().map(|value| value.as_ref().map(|value| value.rev));
        let unchanged = expected.into_iter().zip(found).all(|(expect, rev)| expect.holds(rev));
        if !unchanged {
            self.memory.wait_for(partition, head);
        }
        Ok(unchanged)
    }

    fn scan<R: Record>(&self, partition: &Partition) -> Result<HashMap<Key, Found>, LoadError> {
        let mut records = HashMap::new();
        let mut rest = Some(KeyRange::prefix(&R::TABLE.id.to_be_bytes()));
        while let Some(range) = rest {
            let page = self.engine.scan(partition, &range, Dir::Forward, SCAN_PAGE, Read::Latest)?;
            for mut entry in page.entries {
                if was_sealed_again(self, &entry.value) {
                    let Some(value) = self.get(partition, &entry.key)? else { continue };
                    (entry.value, entry.rev) = (value.value, value.rev);
                }
                // A damaged record must not take the list away from everybody else; its own reads say that it is damaged.
                if let Ok(found) = self.open::<R>(partition, &entry.key, &entry.value, entry.rev) {
                    records.insert(entry.key, found);
                }
            }
            rest = page.rest;
        }
        Ok(records)
    }

    /// Seals the changes and the events, commits them together, and waits until they are durable. What was done in other partitions is
    /// committed with the rest, or nothing is.
    ///
    /// `applied` is called when they are, also if nobody waits any more: a client may leave in the middle of a commit.
    pub(crate) async fn commit(
        &self,
        home: &Partition,
        sheet: Sheet,
        elsewhere: BTreeMap<Partition, Sheet>,
        events: &[String],
        applied: Applied,
    ) -> Result<Rev, CommitError> {
        let sealing = self.begin_sealing();
        let mut txn = self.txn(home, sheet);
        txn.audit = events.iter().map(|event| self.seal_row(home, event)).collect();
        let joined: Vec<Txn> = elsewhere
            .into_iter()
            .filter(|(_, sheet)| sheet.counts())
            .map(|(place, sheet)| self.txn(&place, sheet))
            .collect();
        let outcome = match self
            .submit(txn.clone(), joined.clone(), Arc::clone(&applied), Arc::clone(&sealing))
            .await
        {
            // Asked again with the same token, the engine tells what became of it.
            Err(CommitError::Engine(EngineError::OutcomeUnknown { .. })) => {
                self.submit(txn, joined, applied, sealing).await
            }
            outcome => outcome,
        };
        match outcome? {
            Commit::Done(rev) | Commit::Duplicate(rev) => Ok(rev),
            Commit::Conflict(_) => Err(CommitError::Conflict),
        }
    }

    /// What was done in one partition, sealed. Its records wait in memory for the outcome.
    fn txn(&self, partition: &Partition, sheet: Sheet) -> Txn {
        let mut token = [0; 16];
        self.entropy.fill(&mut token);
        let mut txn = Txn::new(partition.clone(), TxnToken(token));
        txn.checks = sheet.reads.into_iter().map(|(key, expect)| Check { key, expect }).collect();
        let mut typed = Vec::new();
        for (key, change) in sheet.changes {
            txn.touched.push(EntityId(Bytes::copy_from_slice(key.as_bytes())));
            let (table, became) = match change {
                Change::Put { table, version, revision, bytes, record } => {
                    let value = seal_bytes(
                        &self.barrier,
                        partition,
                        table,
                        key.as_bytes(),
                        version,
                        revision,
                        bytes.expose(),
                    );
                    let weight = value.len() as u64 + CACHE_ENTRY_OVERHEAD;
                    txn.writes.push(Write::Put { key: key.clone(), value: value.into() });
                    (table, Became::Written(Written { revision, weight, record }))
                }
                Change::Delete { table } => {
                    txn.writes.push(Write::Delete { key: key.clone() });
                    (table, Became::Deleted)
                }
            };
            typed.push(Effect { key, table, became });
        }
        self.memory.expected().insert(txn.token, typed);
        txn
    }

    /// An event as a row: the id it is sealed for stands before it.
    fn seal_row(&self, partition: &Partition, event: &str) -> Bytes {
        let id = Uuid::random(self.entropy.as_ref());
        let sealed = seal_bytes(&self.barrier, partition, AUDIT_TABLE, id.as_bytes(), 1, 1, event.as_bytes());
        [id.as_bytes(), &sealed[..]].concat().into()
    }

    async fn submit(
        &self,
        txn: Txn,
        joined: Vec<Txn>,
        applied: Applied,
        sealing: Arc<Sealing>,
    ) -> Result<Commit, CommitError> {
        let (sender, receiver) = oneshot::channel();
        let memory = Arc::clone(&self.memory);
        let written = |txn: &Txn| -> (Partition, TxnToken, Vec<Key>) {
            let keys = txn.writes.iter().map(|write| write.key().clone()).collect();
            (txn.partition.clone(), txn.token, keys)
        };
        let written: Vec<_> = std::iter::once(&txn).chain(&joined).map(written).collect();
        self.committer.submit_joined(
            txn,
            joined,
            Box::new(move |outcome| {
                drop(sealing);
                // All this is done here and not by whoever waits, because the waiting may be given up at any moment.
                for (partition, token, keys) in &written {
                    memory.settle(partition, *token, keys, &outcome);
                }
                if matches!(outcome, Ok(Commit::Done(_) | Commit::Duplicate(_))) {
                    applied();
                }
                drop(sender.send(outcome));
            }),
        );
        Ok(receiver.await.map_err(|_| CommitError::Stopped)??)
    }

    /// Finishes what is queued and stops.
    pub fn shut_down(&self) {
        self.committer.shut_down();
    }
}

/// Called on the thread of the committer, so it must be quick.
pub(crate) type Applied = Arc<dyn Fn() + Send + Sync>;
