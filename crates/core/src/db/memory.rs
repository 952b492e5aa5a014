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

use super::Found;

/// Bytes of sealed records that the cache may hold. The figure bounds memory, not correctness.
const CACHE_BYTES: u64 = 64 << 20;
/// A cached record costs about this much beside its bytes.
pub(super) const CACHE_ENTRY_OVERHEAD: u64 = 256;
const CACHE_ITEMS_EXPECTED: usize = 65_536;
/// Keys are spread over this many counters; a commit makes concurrent cache fills of the same counter start over.
const GENERATIONS: usize = 256;
/// The hook is at most a few commits behind, unless a large list is just being loaded.
const HOOK_WAIT: Duration = Duration::from_millis(50);

/// The typed side of a write, kept until its transaction is durable.
pub(super) struct Effect {
    pub(super) key: Key,
    pub(super) table: u16,
    /// Nothing for a deletion.
    pub(super) effect: Option<Written>,
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
    pub(super) directories: RwLock<HashMap<(Partition, u16), Arc<Directory>>>,
    expected: Mutex<HashMap<TxnToken, Vec<Effect>>>,
}

#[derive(Default)]
pub(super) struct Directory {
    pub(super) records: RwLock<Option<HashMap<Key, Found>>>,
}

impl Memory {
    pub(super) fn new(applied: HashMap<Partition, Rev>) -> Self {
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

    pub(super) fn generation(&self, key: &Key) -> &AtomicU64 {
        static NONE: AtomicU64 = AtomicU64::new(0);
        let last = key.as_bytes().last().copied().unwrap_or_default();
        self.generations.get(usize::from(last)).unwrap_or(&NONE)
    }

    pub(super) fn applied(&self) -> MutexGuard<'_, HashMap<Partition, Rev>> {
        self.applied.lock().unwrap_or_else(PoisonError::into_inner)
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
        if generation.load(Ordering::Acquire) == before
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

    pub(super) fn listed(&self, place: &(Partition, u16)) -> Option<Arc<Directory>> {
        self.directories.read().unwrap_or_else(PoisonError::into_inner).get(place).cloned()
    }

    pub(super) fn expected(&self) -> MutexGuard<'_, HashMap<TxnToken, Vec<Effect>>> {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs in commit order, after the transaction is durable and before its writer hears of it.
    pub(super) fn apply(&self, partition: &Partition, rev: Rev, txn: &Txn) {
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

    pub(super) fn apply_to_directory(
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
    pub(super) fn distrust(&self, partition: &Partition, key: &Key) {
        {
            let _guard = self.fills.lock().unwrap_or_else(PoisonError::into_inner);
            self.forget_cached(key);
        }
        self.unload_directory(partition, key);
    }

    /// The caller holds the lock of the fills.
    pub(super) fn forget_cached(&self, key: &Key) {
        self.generation(key).fetch_add(1, Ordering::AcqRel);
        drop(self.cache.remove(key));
    }

    pub(super) fn unload_directory(&self, partition: &Partition, key: &Key) {
        // Every key begins with its table.
        let table = key.as_bytes().first_chunk().map(|table| u16::from_be_bytes(*table));
        if let Some(directory) = table.and_then(|table| self.listed(&(partition.clone(), table))) {
            *directory.records.write().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }
}
