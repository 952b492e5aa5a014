//! Where records lie, remembered for the names in use.
//!
//! The keyed hash of a name is asked for many times a second for the same few names, and costs as much as all the rest of finding a
//! record in memory. Only names under which something was found are remembered: whoever asks for what is not there, as anybody
//! can who makes up key ids, must not push out the names that everybody else uses.
//!
//! What the names are is in memory anyway, in the records.

use coffer_barrier::Barrier;
use coffer_store::{Key, Partition};

use crate::{Table, record::physical_key};

/// A few hundred bytes each.
const NAMES_MAX: usize = 8192;

pub(super) struct Names(quick_cache::sync::Cache<Box<[u8]>, Key>);

/// A place in the store, whether or not something lies there.
pub(crate) struct Place {
    pub(crate) key: Key,
    /// What to remember it by, unless that is done already.
    name: Option<Box<[u8]>>,
}

impl Names {
    pub(super) fn new() -> Self {
        Self(quick_cache::sync::Cache::new(NAMES_MAX))
    }

    pub(super) fn locate(
        &self,
        barrier: &Barrier,
        partition: &Partition,
        table: Table,
        parts: &[&str],
    ) -> Place {
        let mut name = Vec::with_capacity(128);
        name.extend_from_slice(&table.id.to_be_bytes());
        name.extend_from_slice(partition.account.as_str().as_bytes());
        for part in std::iter::once(partition.region.as_str()).chain(parts.iter().copied()) {
            name.extend_from_slice(&(part.len() as u64).to_be_bytes());
            name.extend_from_slice(part.as_bytes());
        }
        match self.0.get(name.as_slice()) {
            Some(key) => Place { key, name: None },
            None => Place {
                key: physical_key(barrier, partition, table, parts),
                name: Some(name.into_boxed_slice()),
            },
        }
    }

    /// Something lies there.
    pub(super) fn remember(&self, place: Place) {
        if let Some(name) = place.name {
            self.0.insert(name, place.key);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
