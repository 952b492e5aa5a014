//! What is held in memory of the store: the cache of records, the lists, and writes whose outcome is not known yet.
//!
//! The commit hook changes all of it in commit order, before a writer hears that it is done. A reader that raced with a commit does
//! not fill the cache, so the cache is of one instant whenever no transaction is being applied to it.
//!
//! It knows neither how records are sealed nor what is in them.

use std::{
    any::Any,
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use coffer_store::{Commit, EngineError, Expect, Key, Partition, Rev, Txn, TxnToken};

use super::{
    Found,
    derived::Version,
    directory::{AnyDirectory, Directory, Listed},
};

/// Bytes of sealed records that the cache may hold. The figure bounds memory, not correctness.
const CACHE_BYTES: u64 = 64 << 20;
/// A cached record costs about this much beside its bytes.
pub(super) const CACHE_ENTRY_OVERHEAD: u64 = 256;
/// A larger record is not cached: chunks of packages are read once in a while and would take the place of everything else.
const CACHED_BYTES_MAX: u64 = 88 << 10;
const CACHE_ITEMS_EXPECTED: usize = 65_536;
/// Keys are spread over this many counters; a commit makes concurrent cache fills of the same counter start over.
const GENERATIONS: usize = 256;
/// The hook is at most a few commits behind.
const HOOK_WAIT: Duration = Duration::from_millis(50);

/// The typed side of a write, kept until its transaction is durable.
pub(super) struct Effect {
    pub(super) key: Key,
    pub(super) table: u16,
    pub(super) became: Became,
}

/// What a transaction does to a record.
pub(super) enum Became {
    Written(Written),
    Deleted,
    /// It is what it was, and stands elsewhere in the order of commits.
    Moved,
}

pub(super) struct Written {
    pub(super) revision: u64,
    pub(super) weight: u64,
    pub(super) record: Arc<dyn Any + Send + Sync>,
}

impl Written {
    pub(super) fn found(&self, rev: Rev) -> Found {
        Found { rev, revision: self.revision, weight: self.weight, record: Arc::clone(&self.record) }
    }
}

pub(super) type Cache = quick_cache::sync::Cache<Key, Found, ByWeight>;

#[derive(Clone)]
pub(super) struct ByWeight;

impl quick_cache::Weighter<Key, Found> for ByWeight {
    fn weight(&self, _: &Key, found: &Found) -> u64 {
        found.weight
    }
}

/// What is held in memory of the store.
pub(super) struct Memory {
    pub(super) cache: Cache,
    generations: Vec<AtomicU64>,
    /// Held while a transaction is applied to the cache, and by whoever fills it or compares with it.
    fills: Mutex<()>,
    /// How far the hook has come. The engine is a little ahead of it; what is read from there meanwhile is not cached, so
    /// the cache is of one instant whenever no transaction is being applied to it.
    applied: Mutex<HashMap<Partition, Rev>>,
    came_further: Condvar,
    /// Goes up when something that is held turns out to be worth nothing, without a commit that says so.
    forgotten: AtomicU64,
    directories: RwLock<HashMap<u16, Directories>>,
    expected: Mutex<HashMap<TxnToken, Vec<Effect>>>,
}

/// Those of one table.
type Directories = HashMap<Partition, Arc<dyn AnyDirectory>>;

impl Memory {
    pub(super) fn new(applied: HashMap<Partition, Rev>) -> Self {
        Self {
            cache: Cache::with_weighter(CACHE_ITEMS_EXPECTED, CACHE_BYTES, ByWeight),
            generations: (0..GENERATIONS).map(|_| AtomicU64::new(0)).collect(),
            fills: Mutex::default(),
            applied: Mutex::new(applied),
            came_further: Condvar::new(),
            forgotten: AtomicU64::new(0),
            directories: RwLock::default(),
            expected: Mutex::default(),
        }
    }

    pub(super) fn generation(&self, key: &Key) -> &AtomicU64 {
        static NONE: AtomicU64 = AtomicU64::new(0);
        let last = key.as_bytes().last().copied().unwrap_or_default();
        self.generations.get(usize::from(last)).unwrap_or(&NONE)
    }

    pub(super) fn applied(&self) -> MutexGuard<'_, HashMap<Partition, Rev>> {
        self.applied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn version(&self, partition: &Partition) -> Version {
        let forgotten = self.forgotten.load(Ordering::Acquire);
        Version { applied: self.applied().get(partition).copied(), forgotten }
    }

    /// Lets the hook catch up with what a reader has seen of the engine, for a short while.
    pub(super) fn wait_for(&self, partition: &Partition, head: Rev) {
        let behind =
            |applied: &mut HashMap<Partition, Rev>| applied.get(partition).is_none_or(|rev| *rev < head);
        let waited = self.came_further.wait_timeout_while(self.applied(), HOOK_WAIT, behind);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Caches what a reader found, unless a commit came between or is about to come.
    pub(super) fn fill(
        &self,
        partition: &Partition,
        key: &Key,
        generation: &AtomicU64,
        before: u64,
        found: &Found,
    ) {
        let _guard = self.fills.lock().unwrap_or_else(PoisonError::into_inner);
        if found.weight <= CACHED_BYTES_MAX
            && generation.load(Ordering::Acquire) == before
            && self.applied().get(partition).is_some_and(|rev| found.rev <= *rev)
        {
            self.cache.insert(key.clone(), found.clone());
        }
    }

    /// Compares with the cache alone; nothing if it does not hold all that was read.
    pub(super) fn is_unchanged(&self, partition: &Partition, reads: &BTreeMap<Key, Expect>) -> Option<bool> {
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

    /// The directory that a record would be in, if there is one.
    fn directory(&self, partition: &Partition, table: u16) -> Option<Arc<dyn AnyDirectory>> {
        let directories = self.directories.read().unwrap_or_else(PoisonError::into_inner);
        directories.get(&table)?.get(partition).cloned()
    }

    /// The directory of a table. It is empty until it is walked.
    pub(super) fn directory_of<R: Listed>(&self, partition: &Partition) -> Option<Arc<Directory<R>>> {
        let directory = self.directory(partition, R::TABLE.id).unwrap_or_else(|| {
            let mut directories = self.directories.write().unwrap_or_else(PoisonError::into_inner);
            let of_table = directories.entry(R::TABLE.id).or_default();
            let new = || -> Arc<dyn AnyDirectory> { Arc::new(Directory::<R>::new()) };
            Arc::clone(of_table.entry(partition.clone()).or_insert_with(new))
        });
        directory.as_any().downcast().ok()
    }

    pub(super) fn is_listed(&self, partition: &Partition, table: u16) -> bool {
        self.directory(partition, table).is_some()
    }

    /// A record that a list holds: it need not be opened once more.
    pub(super) fn in_directory(&self, partition: &Partition, key: &Key) -> Option<Found> {
        self.directory(partition, table_of(key)?)?.get(key)
    }

    pub(super) fn directories(&self) -> usize {
        let directories = self.directories.read().unwrap_or_else(PoisonError::into_inner);
        directories.values().map(HashMap::len).sum()
    }

    pub(super) fn expected(&self) -> MutexGuard<'_, HashMap<TxnToken, Vec<Effect>>> {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs in commit order, after the transaction is durable and before its writer hears of it.
    pub(super) fn apply(&self, partition: &Partition, rev: Rev, txn: &Txn) {
        let effects = self.expected().remove(&txn.token);
        let guard = self.fills.lock().unwrap_or_else(PoisonError::into_inner);
        match effects {
            Some(effects) => {
                for Effect { key, table, became } in effects {
                    let found = match became {
                        Became::Written(written) => Some(written.found(rev)),
                        Became::Deleted => None,
                        Became::Moved => {
                            self.move_to(partition, table, &key, rev);
                            self.begin_generation(&key);
                            continue;
                        }
                    };
                    match &found {
                        Some(found) if found.weight <= CACHED_BYTES_MAX => {
                            self.cache.insert(key.clone(), found.clone());
                        }
                        Some(_) | None => drop(self.cache.remove(&key)),
                    }
                    if let Some(directory) = self.directory(partition, table) {
                        directory.apply(&key, rev, found);
                    }
                    self.begin_generation(&key);
                }
            }
            // Not ours to know in types: forget what it touched.
            None => txn.writes.iter().for_each(|write| self.forget(partition, write.key())),
        }
        self.applied().insert(partition.clone(), rev);
        drop(guard);
        self.came_further.notify_all();
    }

    /// The caller holds the lock of the fills.
    fn move_to(&self, partition: &Partition, table: u16, key: &Key, rev: Rev) {
        if let Some(found) = self.cache.peek(key) {
            self.cache.insert(key.clone(), Found { rev, ..found });
        }
        if let Some(directory) = self.directory(partition, table) {
            directory.move_to(key, rev);
        }
    }

    /// A transaction has its outcome. If that is not known, or was known before, what we hold of its records is worth nothing.
    pub(super) fn settle(
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
        let _guard = self.fills.lock().unwrap_or_else(PoisonError::into_inner);
        self.forget(partition, key);
    }

    /// The caller holds the lock of the fills.
    fn forget(&self, partition: &Partition, key: &Key) {
        drop(self.cache.remove(key));
        self.forgotten.fetch_add(1, Ordering::AcqRel);
        if let Some(directory) = table_of(key).and_then(|table| self.directory(partition, table)) {
            directory.unload();
        }
        self.begin_generation(key);
    }

    /// After everything else that a change of a record entails, and under the lock of the fills: whoever takes what he found in a list
    /// for something of this generation must have found it as it is now.
    fn begin_generation(&self, key: &Key) {
        self.generation(key).fetch_add(1, Ordering::AcqRel);
    }
}

/// Every key begins with its table.
fn table_of(key: &Key) -> Option<u16> {
    key.as_bytes().first_chunk().map(|table| u16::from_be_bytes(*table))
}

#[cfg(test)]
mod tests {
    use std::sync::Weak;

    use coffer_store::Write;
    use coffer_types::AccountId;

    use super::*;
    use crate::db::directory::AnyDirectory;

    /// A list in which somebody looks a record up at the worst moment: when the commit is about to come to it.
    struct Looked {
        memory: Weak<Memory>,
        old: Found,
        seen: Mutex<Option<u64>>,
    }

    impl Looked {
        fn look(&self, key: &Key) {
            let memory = self.memory.upgrade().unwrap();
            *self.seen.lock().unwrap() = Some(memory.generation(key).load(Ordering::Acquire));
        }
    }

    impl AnyDirectory for Looked {
        fn apply(&self, key: &Key, _: Rev, _: Option<Found>) {
            self.look(key);
        }
        fn move_to(&self, key: &Key, _: Rev) {
            self.look(key);
        }
        fn get(&self, _: &Key) -> Option<Found> {
            Some(self.old.clone())
        }
        fn unload(&self) {}
        fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
            self
        }
    }

    #[test]
    fn what_was_found_in_a_list_before_a_commit_came_to_it_is_not_cached_after() {
        let partition = Partition::new(AccountId::DEV, "eu-west-1".parse().unwrap());
        let key = Key::new([0x70, 0x01, 7]);
        let record: Arc<dyn Any + Send + Sync> = Arc::new(1_u8);
        let old = Found { rev: Rev(1), revision: 1, weight: 1, record: Arc::clone(&record) };
        for is_moved in [true, false] {
            let memory = Arc::new(Memory::new(HashMap::from([(partition.clone(), Rev(1))])));
            let looked = Arc::new(Looked {
                memory: Arc::downgrade(&memory),
                old: old.clone(),
                seen: Mutex::default(),
            });
            let list: Arc<dyn AnyDirectory> = Arc::clone(&looked) as _;
            memory.directories.write().unwrap().entry(0x7001).or_default().insert(partition.clone(), list);

            let mut txn = Txn::new(partition.clone(), TxnToken([1; 16]));
            txn.writes = vec![Write::Delete { key: key.clone() }];
            let written = Written { revision: 2, weight: 1, record: Arc::clone(&record) };
            let became = if is_moved { Became::Moved } else { Became::Written(written) };
            memory.expected().insert(txn.token, vec![Effect { key: key.clone(), table: 0x7001, became }]);
            memory.apply(&partition, Rev(2), &txn);

            let before = looked.seen.lock().unwrap().unwrap();
            memory.fill(&partition, &key, memory.generation(&key), before, &old);
            assert!(memory.cache.peek(&key).is_none_or(|found| found.rev == Rev(2)), "moved: {is_moved}");
        }
    }
}
