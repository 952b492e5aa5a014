//! Typed records over sealed bytes over an engine.
//!
//! Reading goes cache, engine, barrier; writing goes barrier, committer, engine, and the cache is right before the writer
//! hears that it is done. Records in the cache are opened once; a secret *value* inside a record stays sealed under its own
//! data key.
//!
//! Lists are served from a directory: all records of one table and partition, opened, in memory. It is loaded when first asked
//! for and kept by the same hook that keeps the cache.

use std::{
    any::Any,
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use coffer_barrier::Barrier;
use coffer_store::{
    Check, Commit, Committer, Dir, Engine, EngineError, EntityId, Expect, Key, KeyRange, Partition, Read,
    Rev, Txn, TxnToken, Write,
};
use coffer_types::{Entropy, Secret};
use tokio::sync::oneshot;

use crate::{
    Past, Record,
    record::{Damaged, open_record, seal_bytes, short_id},
};

/// Bytes of sealed records that the cache may hold. The figure bounds memory, not correctness.
const CACHE_BYTES: u64 = 64 << 20;
/// A cached record costs about this much beside its bytes.
const CACHE_ENTRY_OVERHEAD: u64 = 256;
const CACHE_ITEMS_EXPECTED: usize = 65_536;
/// Keys are spread over this many counters; a commit makes concurrent cache fills of the same counter start over.
const GENERATIONS: usize = 256;
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
pub(crate) enum Change {
    Put {
        table: u16,
        version: u16,
        revision: u64,
        bytes: Secret<Vec<u8>>,
        record: Arc<dyn Any + Send + Sync>,
    },
    Delete {
        table: u16,
    },
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
}

pub struct Db {
    engine: Arc<dyn Engine>,
    committer: Committer,
    barrier: Arc<Barrier>,
    memory: Arc<Memory>,
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
        let memory = Arc::new(Memory::new());
        let observer = Arc::clone(&memory);
        let committer = Committer::start(
            Arc::clone(&engine),
            Box::new(move |partition, rev, txn| observer.apply(partition, rev, txn)),
        )?;
        Ok(Self { engine, committer, barrier, memory, entropy })
    }

    pub fn barrier(&self) -> &Barrier {
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
        }
    }

    /// Reads one record outside any request, as authentication does.
    pub fn read<R: Record>(&self, partition: &Partition, key: &[&str]) -> Result<Option<Arc<R>>, LoadError> {
        let key = crate::record::physical_key(&self.barrier, partition, R::TABLE, key);
        Ok(self.load::<R>(partition, &key)?.and_then(|found| found.record()))
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
        let (_, values) = self.engine.get(partition, std::slice::from_ref(key), Read::Latest)?;
        let Some(value) = values.into_iter().flatten().next() else { return Ok(None) };
        let found = self.open::<R>(partition, key, &value.value, value.rev)?;
        self.memory.fill(key, generation, before, &found);
        Ok(Some(found))
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

    /// Walks the directory of a table, loading it first if need be.
    pub(crate) fn each<R: Record>(
        &self,
        partition: &Partition,
        visit: &mut dyn FnMut(&Arc<R>),
    ) -> Result<(), LoadError> {
        let directory = self.memory.directory(partition, R::TABLE.id);
        if !directory.is_loaded() {
            // The commit hook waits on this lock, so no change can slip between the scan and the directory.
            let mut records = directory.records.write().unwrap_or_else(PoisonError::into_inner);
            if records.is_none() {
                *records = Some(self.scan::<R>(partition)?);
            }
        }
        let records = directory.records.read().unwrap_or_else(PoisonError::into_inner);
        for found in records.iter().flat_map(HashMap::values) {
            if let Some(record) = found.record::<R>() {
                visit(&record);
            }
        }
        Ok(())
    }

    fn scan<R: Record>(&self, partition: &Partition) -> Result<HashMap<Key, Found>, LoadError> {
        let mut records = HashMap::new();
        let mut rest = Some(KeyRange::prefix(&R::TABLE.id.to_be_bytes()));
        while let Some(range) = rest {
            let page = self.engine.scan(partition, &range, Dir::Forward, SCAN_PAGE, Read::Latest)?;
            for entry in page.entries {
                // A damaged record must not take the list away from everybody else; its own reads say that it is damaged.
                if let Ok(found) = self.open::<R>(partition, &entry.key, &entry.value, entry.rev) {
                    records.insert(entry.key, found);
                }
            }
            rest = page.rest;
        }
        Ok(records)
    }

    /// Seals the changes, commits them with the audit rows, and waits until they are durable.
    pub(crate) async fn commit(
        &self,
        partition: &Partition,
        reads: HashMap<Key, Expect>,
        changes: impl IntoIterator<Item = (Key, Change)>,
        audit: Vec<Bytes>,
    ) -> Result<Rev, CommitError> {
        let mut token = [0; 16];
        self.entropy.fill(&mut token);
        let mut txn = Txn::new(partition.clone(), TxnToken(token));
        txn.checks = reads.into_iter().map(|(key, expect)| Check { key, expect }).collect();
        txn.audit = audit;
        let mut typed = Vec::new();
        for (key, change) in changes {
            txn.touched.push(EntityId(Bytes::copy_from_slice(key.as_bytes())));
            let (table, effect) = match change {
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
                    (table, Some((revision, weight, record)))
                }
                Change::Delete { table } => {
                    txn.writes.push(Write::Delete { key: key.clone() });
                    (table, None)
                }
            };
            typed.push(Effect { key, table, effect });
        }
        self.memory.expect(txn.token, typed);
        let token = txn.token;
        let outcome = self.submit(txn).await;
        self.memory.forget(token);
        match outcome? {
            Commit::Done(rev) | Commit::Duplicate(rev) => Ok(rev),
            Commit::Conflict(_) => Err(CommitError::Conflict),
        }
    }

    async fn submit(&self, txn: Txn) -> Result<Commit, CommitError> {
        let (sender, receiver) = oneshot::channel();
        self.committer.submit(
            txn,
            Box::new(move |outcome| {
                // The receiver is gone only when the whole request is; the commit stands all the same.
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

/// The typed side of a write, kept until its transaction is durable.
struct Effect {
    key: Key,
    table: u16,
    /// Revision, weight and record; nothing for a deletion.
    effect: Option<(u64, u64, Arc<dyn Any + Send + Sync>)>,
}

type Cache = quick_cache::sync::Cache<Key, Found, ByWeight>;

#[derive(Clone)]
struct ByWeight;

impl quick_cache::Weighter<Key, Found> for ByWeight {
    fn weight(&self, _: &Key, found: &Found) -> u64 {
        found.weight
    }
}

/// What is held in memory of the store.
struct Memory {
    cache: Cache,
    generations: Vec<AtomicU64>,
    fills: Mutex<()>,
    directories: RwLock<HashMap<(Partition, u16), Arc<Directory>>>,
    expected: Mutex<HashMap<TxnToken, Vec<Effect>>>,
}

#[derive(Default)]
struct Directory {
    records: RwLock<Option<HashMap<Key, Found>>>,
}

impl Directory {
    fn is_loaded(&self) -> bool {
        self.records.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

impl Memory {
    fn new() -> Self {
        Self {
            cache: Cache::with_weighter(CACHE_ITEMS_EXPECTED, CACHE_BYTES, ByWeight),
            generations: (0..GENERATIONS).map(|_| AtomicU64::new(0)).collect(),
            fills: Mutex::default(),
            directories: RwLock::default(),
            expected: Mutex::default(),
        }
    }

    fn generation(&self, key: &Key) -> &AtomicU64 {
        static NONE: AtomicU64 = AtomicU64::new(0);
        let last = key.as_bytes().last().copied().unwrap_or_default();
        self.generations.get(usize::from(last)).unwrap_or(&NONE)
    }

    /// Caches what a reader found, unless a commit came between.
    fn fill(&self, key: &Key, generation: &AtomicU64, before: u64, found: &Found) {
        let _guard = self.fills.lock().unwrap_or_else(PoisonError::into_inner);
        if generation.load(Ordering::Acquire) == before {
            self.cache.insert(key.clone(), found.clone());
        }
    }

    fn directory(&self, partition: &Partition, table: u16) -> Arc<Directory> {
        let place = (partition.clone(), table);
        if let Some(directory) = self.directories.read().unwrap_or_else(PoisonError::into_inner).get(&place) {
            return Arc::clone(directory);
        }
        let mut directories = self.directories.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(directories.entry(place).or_default())
    }

    fn expect(&self, token: TxnToken, effects: Vec<Effect>) {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner).insert(token, effects);
    }

    fn forget(&self, token: TxnToken) {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner).remove(&token);
    }

    /// Runs in commit order, after the transaction is durable and before its writer hears of it.
    fn apply(&self, partition: &Partition, rev: Rev, txn: &Txn) {
        let effects = self.expected.lock().unwrap_or_else(PoisonError::into_inner).remove(&txn.token);
        let Some(effects) = effects else {
            // Not ours to know in types: forget what it touched.
            for write in &txn.writes {
                self.drop_cached(write.key());
            }
            return;
        };
        for Effect { key, table, effect } in effects {
            let found = effect.map(|(revision, weight, record)| Found { rev, revision, weight, record });
            {
                let _guard = self.fills.lock().unwrap_or_else(PoisonError::into_inner);
                self.generation(&key).fetch_add(1, Ordering::AcqRel);
                match &found {
                    Some(found) => self.cache.insert(key.clone(), found.clone()),
                    None => drop(self.cache.remove(&key)),
                }
            }
            let directory = self
                .directories
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .get(&(partition.clone(), table))
                .cloned();
            if let Some(directory) = directory
                && let Some(records) =
                    directory.records.write().unwrap_or_else(PoisonError::into_inner).as_mut()
            {
                match found {
                    Some(found) => drop(records.insert(key, found)),
                    None => drop(records.remove(&key)),
                }
            }
        }
    }

    fn drop_cached(&self, key: &Key) {
        let _guard = self.fills.lock().unwrap_or_else(PoisonError::into_inner);
        self.generation(key).fetch_add(1, Ordering::AcqRel);
        drop(self.cache.remove(key));
    }
}
