//! What was worked out from several records of one partition, kept until anything in that partition changes.
//!
//! What holds for a caller takes a dozen look-ups, and each of his calls asks for it; the records behind it change a few times a day.
//! So the whole is kept together with how far the partition was when the work began, and counts as long as that is so. There
//! is nothing to invalidate, and nothing to forget when another kind of record comes to matter.

use std::{any::Any, sync::Arc};

use coffer_store::{Partition, Rev};

use super::{Db, LoadError};

/// Our choice: more callers than are busy at once, a few hundred bytes each.
const KEPT_MAX: usize = 4096;

/// How far a partition was: its last change that is in memory, and how often something in memory turned out to be worth nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) applied: Option<Rev>,
    pub(super) forgotten: u64,
}

pub(super) struct Derived(quick_cache::sync::Cache<Box<str>, (Version, Arc<dyn Any + Send + Sync>)>);

impl Derived {
    pub(super) fn new() -> Self {
        Self(quick_cache::sync::Cache::new(KEPT_MAX))
    }
}

impl Db {
    /// What `work_out` makes of the records of a partition and of what stands in the name, and of nothing else.
    pub fn derived<T: Any + Send + Sync>(
        &self,
        partition: &Partition,
        name: &[&str],
        work_out: impl FnOnce() -> Result<T, LoadError>,
    ) -> Result<Arc<T>, LoadError> {
        let mut key = String::with_capacity(128);
        for part in [partition.account.as_str(), partition.region.as_str()].iter().chain(name) {
            key.push_str(part);
            key.push('\n');
        }
        // Taken before anything is read: a change that comes meanwhile makes the outcome count for nothing.
        let version = self.memory.version(partition);
        if let Some((of, kept)) = self.derived.0.get(key.as_str())
            && of == version
            && let Ok(kept) = kept.downcast()
        {
            return Ok(kept);
        }
        let made = Arc::new(work_out()?);
        self.derived.0.insert(key.into_boxed_str(), (version, Arc::clone(&made) as _));
        Ok(made)
    }
}
