//! Typed records over sealed bytes over an engine.
//!
//! Reading goes cache, engine, barrier; writing goes barrier, committer, engine, and the cache is right before the writer
//! hears that it is done. Records in the cache are opened once; a secret *value* inside a record stays sealed under its own
//! data key.
//!
//! Lists are served from a directory: all records of one table and partition, opened, in memory. It is loaded when first asked
//! for and kept by the same hook that keeps the cache. While a commit is being applied a list may be a moment behind a read by
//! key; once its writer has heard of it, everybody sees it everywhere.

use std::{
    any::Any,
    collections::HashMap,
    fmt,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use coffer_barrier::Barrier;
use coffer_store::{
    Check, Commit, Committer, Dir, Engine, EngineError, EntityId, Expect, GET_KEYS_MAX, Key, KeyRange,
    Partition, Read, Rev, Txn, TxnToken, Write,
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
/// The hook is at most a few commits behind, unless a large list is just being loaded.
const HOOK_WAIT: Duration = Duration::from_millis(50);

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
        let heads = engine.partitions().map_err(std::io::Error::other)?;
        let memory = Arc::new(Memory::new(heads.into_iter().collect()));
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
            unconfirmed: self.memory.expected().len() as u64,
            directories: self.memory.directories.read().unwrap_or_else(PoisonError::into_inner).len() as u64,
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
        self.memory.fill(partition, key, generation, before, &found);
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
        let Some(directory) = self.directory(partition, R::TABLE.id)? else { return Ok(()) };
        loop {
            let records = directory.records.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(records) = records.as_ref() {
                records.values().filter_map(Found::record::<R>).for_each(|record| visit(&record));
                return Ok(());
            }
            drop(records);
            // The commit hook waits on this lock, so no change can slip between the scan and the directory.
            let mut records = directory.records.write().unwrap_or_else(PoisonError::into_inner);
            if records.is_none() {
                *records = Some(self.scan::<R>(partition)?);
            }
        }
    }

    /// The directory of a table; nothing where nothing was ever written, so that asking for lists of regions that nobody
    /// uses fills no memory.
    fn directory(&self, partition: &Partition, table: u16) -> Result<Option<Arc<Directory>>, EngineError> {
        let place = (partition.clone(), table);
        if let Some(directory) = self.memory.listed(&place) {
            return Ok(Some(directory));
        }
        let head = self.engine.head(std::slice::from_ref(partition))?;
        if head.iter().all(|head| *head == Rev::ZERO) {
            return Ok(None);
        }
        let mut directories = self.memory.directories.write().unwrap_or_else(PoisonError::into_inner);
        Ok(Some(Arc::clone(directories.entry(place).or_default())))
    }

    /// Whether everything that was read is still as it was, and so was all true at one instant.
    pub(crate) fn is_unchanged(
        &self,
        partition: &Partition,
        reads: &HashMap<Key, Expect>,
    ) -> Result<bool, EngineError> {
        // One record is always of one instant.
        if reads.len() < 2 {
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
    ///
    /// `applied` is called when they are, also if nobody waits any more: a client may leave in the middle of a commit.
    pub(crate) async fn commit(
        &self,
        partition: &Partition,
        reads: HashMap<Key, Expect>,
        changes: impl IntoIterator<Item = (Key, Change)>,
        audit: Vec<Bytes>,
        applied: Applied,
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
                    (table, Some(Written { revision, weight, record }))
                }
                Change::Delete { table } => {
                    txn.writes.push(Write::Delete { key: key.clone() });
                    (table, None)
                }
            };
            typed.push(Effect { key, table, effect });
        }
        self.memory.expected().insert(txn.token, typed);
        let outcome = match self.submit(txn.clone(), Arc::clone(&applied)).await {
            // Asked again with the same token, the engine tells what became of it.
            Err(CommitError::Engine(EngineError::OutcomeUnknown { .. })) => self.submit(txn, applied).await,
            outcome => outcome,
        };
        match outcome? {
            Commit::Done(rev) | Commit::Duplicate(rev) => Ok(rev),
            Commit::Conflict(_) => Err(CommitError::Conflict),
        }
    }

    async fn submit(&self, txn: Txn, applied: Applied) -> Result<Commit, CommitError> {
        let (sender, receiver) = oneshot::channel();
        let memory = Arc::clone(&self.memory);
        let (partition, token) = (txn.partition.clone(), txn.token);
        let keys: Vec<Key> = txn.writes.iter().map(|write| write.key().clone()).collect();
        self.committer.submit(
            txn,
            Box::new(move |outcome| {
                // All this is done here and not by whoever waits, because the waiting may be given up at any moment.
                memory.settle(&partition, token, &keys, &outcome);
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

/// The typed side of a write, kept until its transaction is durable.
struct Effect {
    key: Key,
    table: u16,
    /// Nothing for a deletion.
    effect: Option<Written>,
}

struct Written {
    revision: u64,
    weight: u64,
    record: Arc<dyn Any + Send + Sync>,
}

impl Written {
    fn found(&self, rev: Rev) -> Found {
        Found { rev, revision: self.revision, weight: self.weight, record: Arc::clone(&self.record) }
    }
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
    /// Held while a transaction is applied to the cache, and by whoever fills it or compares with it.
    fills: Mutex<()>,
    /// How far the hook has come. The engine is a little ahead of it; what is read from there meanwhile is not cached, so
    /// the cache is of one instant whenever no transaction is being applied to it.
    applied: Mutex<HashMap<Partition, Rev>>,
    came_further: Condvar,
    directories: RwLock<HashMap<(Partition, u16), Arc<Directory>>>,
    expected: Mutex<HashMap<TxnToken, Vec<Effect>>>,
}

#[derive(Default)]
struct Directory {
    records: RwLock<Option<HashMap<Key, Found>>>,
}

impl Memory {
    fn new(applied: HashMap<Partition, Rev>) -> Self {
        Self {
            cache: Cache::with_weighter(CACHE_ITEMS_EXPECTED, CACHE_BYTES, ByWeight),
            generations: (0..GENERATIONS).map(|_| AtomicU64::new(0)).collect(),
            fills: Mutex::default(),
            applied: Mutex::new(applied),
            came_further: Condvar::new(),
            directories: RwLock::default(),
            expected: Mutex::default(),
        }
    }

    fn generation(&self, key: &Key) -> &AtomicU64 {
        static NONE: AtomicU64 = AtomicU64::new(0);
        let last = key.as_bytes().last().copied().unwrap_or_default();
        self.generations.get(usize::from(last)).unwrap_or(&NONE)
    }

    fn applied(&self) -> MutexGuard<'_, HashMap<Partition, Rev>> {
        self.applied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the hook catch up with what a reader has seen of the engine, for a short while.
    fn wait_for(&self, partition: &Partition, head: Rev) {
        let behind =
            |applied: &mut HashMap<Partition, Rev>| applied.get(partition).is_none_or(|rev| *rev < head);
        let waited = self.came_further.wait_timeout_while(self.applied(), HOOK_WAIT, behind);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Caches what a reader found, unless a commit came between or is about to come.
    fn fill(&self, partition: &Partition, key: &Key, generation: &AtomicU64, before: u64, found: &Found) {
        let _guard = self.fills.lock().unwrap_or_else(PoisonError::into_inner);
        if generation.load(Ordering::Acquire) == before
            && self.applied().get(partition).is_some_and(|rev| found.rev <= *rev)
        {
            self.cache.insert(key.clone(), found.clone());
        }
    }

    /// Compares with the cache alone; nothing if it does not hold all that was read.
    fn is_unchanged(&self, partition: &Partition, reads: &HashMap<Key, Expect>) -> Option<bool> {
        let _guard = self.fills.lock().unwrap_or_else(PoisonError::into_inner);
        let applied = self.applied().get(partition).copied()?;
        for (key, expect) in reads {
            let Expect::AtRev(rev) = expect else { return None };
            if *rev > applied {
                return None;
            }
            if self.cache.peek(key)?.rev != *rev {
                return Some(false);
            }
        }
        Some(true)
    }

    fn listed(&self, place: &(Partition, u16)) -> Option<Arc<Directory>> {
        self.directories.read().unwrap_or_else(PoisonError::into_inner).get(place).cloned()
    }

    fn expected(&self) -> MutexGuard<'_, HashMap<TxnToken, Vec<Effect>>> {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs in commit order, after the transaction is durable and before its writer hears of it.
    fn apply(&self, partition: &Partition, rev: Rev, txn: &Txn) {
        let effects = self.expected().remove(&txn.token);
        {
            let _guard = self.fills.lock().unwrap_or_else(PoisonError::into_inner);
            for Effect { key, effect, .. } in effects.iter().flatten() {
                self.generation(key).fetch_add(1, Ordering::AcqRel);
                match effect {
                    Some(written) => self.cache.insert(key.clone(), written.found(rev)),
                    None => drop(self.cache.remove(key)),
                }
            }
            if effects.is_none() {
                txn.writes.iter().for_each(|write| self.forget_cached(write.key()));
            }
            self.applied().insert(partition.clone(), rev);
        }
        self.came_further.notify_all();
        // A directory may be loading, which takes a while. Readers of the cache need not wait for that.
        match effects {
            Some(effects) => {
                for Effect { key, table, effect } in effects {
                    self.apply_to_directory(partition, key, table, rev, effect);
                }
            }
            // Not ours to know in types: forget what it touched.
            None => txn.writes.iter().for_each(|write| self.unload_directory(partition, write.key())),
        }
    }

    fn apply_to_directory(
        &self,
        partition: &Partition,
        key: Key,
        table: u16,
        rev: Rev,
        effect: Option<Written>,
    ) {
        let Some(directory) = self.listed(&(partition.clone(), table)) else { return };
        let mut records = directory.records.write().unwrap_or_else(PoisonError::into_inner);
        let Some(records) = records.as_mut() else { return };
        // A directory that was loaded between commit and hook is ahead of us, and must not be turned back.
        if records.get(&key).is_some_and(|present| present.rev > rev) {
            return;
        }
        match effect {
            Some(written) => drop(records.insert(key, written.found(rev))),
            None => drop(records.remove(&key)),
        }
    }

    /// A transaction has its outcome. If that is not known, or was known before, what we hold of its records is worth nothing.
    fn settle(
        &self,
        partition: &Partition,
        token: TxnToken,
        keys: &[Key],
        outcome: &Result<Commit, EngineError>,
    ) {
        self.expected().remove(&token);
        if matches!(outcome, Err(EngineError::OutcomeUnknown { .. }) | Ok(Commit::Duplicate(_))) {
            keys.iter().for_each(|key| self.distrust(partition, key));
        }
    }

    /// Forgets a record, so that the engine is asked again, and the list that it is in.
    fn distrust(&self, partition: &Partition, key: &Key) {
        {
            let _guard = self.fills.lock().unwrap_or_else(PoisonError::into_inner);
            self.forget_cached(key);
        }
        self.unload_directory(partition, key);
    }

    /// The caller holds the lock of the fills.
    fn forget_cached(&self, key: &Key) {
        self.generation(key).fetch_add(1, Ordering::AcqRel);
        drop(self.cache.remove(key));
    }

    fn unload_directory(&self, partition: &Partition, key: &Key) {
        // Every key begins with its table.
        let table = key.as_bytes().first_chunk().map(|table| u16::from_be_bytes(*table));
        if let Some(directory) = table.and_then(|table| self.listed(&(partition.clone(), table))) {
            *directory.records.write().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }
}
