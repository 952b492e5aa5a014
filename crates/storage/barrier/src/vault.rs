//! Where the long-lived keys are while the store is open.
//!
//! Each key has locked memory of its own and is used straight from there: a prepared cipher or MAC would be a copy of the
//! key on the ordinary heap. Table keys are derived, not stored; deriving one costs about as much as a hash, which
//! for small records is a good part of opening them, so the recent ones are kept, a bounded number, in one locked piece.

use std::{
    collections::BTreeMap,
    sync::{PoisonError, RwLock},
};

use coffer_crypto::CommittedKey;
use coffer_sys::{Locked, LockedBytes};
use coffer_types::{AccountId, Entropy, Secret, zeroize::Zeroize};

use crate::derivation;

/// 16 KiB of locked memory. The smallest limits in use (64 KiB) hold it beside a page for each other key, also while there are two sets of
/// them because an epoch is rotated.
const TABLE_KEYS_MAX: usize = 512;

/// What a keyring protects: the index key, the lasting key and the key of each epoch.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) index: Locked<32>,
    /// For what no sweep can seal again: segments of the audit log, and tokens that clients have.
    pub(crate) lasting: Locked<32>,
    pub(crate) active: EpochKey,
    /// Epochs that still have records; only read.
    pub(crate) older: Vec<EpochKey>,
}

#[derive(Debug)]
pub(crate) struct EpochKey {
    pub(crate) number: u32,
    pub(crate) key: Locked<32>,
}

impl Keys {
    pub(crate) fn random(entropy: &dyn Entropy) -> Self {
        let (index, first) = (random_key(entropy), random_key(entropy));
        let active = EpochKey { number: 1, key: first };
        Self { index, lasting: random_key(entropy), active, older: Vec::new() }
    }

    pub(crate) fn epoch(&self, number: u32) -> Option<&[u8; 32]> {
        self.epochs().find(|epoch| epoch.number == number).map(|epoch| epoch.key.expose())
    }

    /// The same with other epochs.
    pub(crate) fn with_epochs(&self, active: EpochKey, older: Vec<EpochKey>) -> Self {
        let copy = |key: &Locked<32>| Locked::copy_of(key.expose());
        Self { index: copy(&self.index), lasting: copy(&self.lasting), active, older }
    }

    pub(crate) fn epochs(&self) -> impl Iterator<Item = &EpochKey> {
        std::iter::once(&self.active).chain(&self.older)
    }
}

impl EpochKey {
    pub(crate) fn copy(&self) -> Self {
        Self { number: self.number, key: Locked::copy_of(self.key.expose()) }
    }
}

/// 32 random bytes, drawn into a wiped buffer and kept in locked memory.
pub(crate) fn random_key(entropy: &dyn Entropy) -> Locked<32> {
    let mut key = Secret::new([0; 32]);
    entropy.fill(key.expose_mut());
    Locked::copy_of(key.expose())
}

/// Whose records a table key seals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TableOf {
    pub(crate) epoch: u32,
    pub(crate) account: AccountId,
    pub(crate) table: u16,
}

impl TableOf {
    fn key(self, epoch_key: &[u8; 32]) -> Secret<[u8; 32]> {
        let table = self.table.to_be_bytes();
        derivation::derived(epoch_key, derivation::TABLE, &[self.account.as_str().as_bytes(), &table])
    }
}

/// The table keys used of late.
#[derive(Debug)]
pub(crate) struct TableKeys(RwLock<Recent>);

#[derive(Debug)]
struct Recent {
    bytes: LockedBytes,
    places: BTreeMap<TableOf, usize>,
    /// The place that the next key takes, whoever had it: a queue of fixed length.
    next: usize,
}

impl TableKeys {
    pub(crate) fn new() -> Self {
        let bytes = LockedBytes::zeroed(TABLE_KEYS_MAX.saturating_mul(32));
        Self(RwLock::new(Recent { bytes, places: BTreeMap::new(), next: 0 }))
    }

    /// The key of one record: from the table key if it is here, else by deriving that first and remembering it.
    pub(crate) fn record_key(&self, of: TableOf, epoch_key: &[u8; 32], salt: &[u8]) -> CommittedKey {
        let record_key = |table_key: &[u8; 32]| derivation::committed(table_key, derivation::RECORD, &[salt]);
        {
            let recent = self.0.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(table_key) = recent.get(of) {
                return record_key(table_key);
            }
        }
        let table_key = of.key(epoch_key);
        self.0.write().unwrap_or_else(PoisonError::into_inner).put(of, &table_key);
        record_key(table_key.expose())
    }
}

impl TableKeys {
    /// Wipes the keys of every epoch but those.
    pub(crate) fn keep(&self, is_kept: impl Fn(u32) -> bool) {
        let mut recent = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let recent = &mut *recent;
        let gone: Vec<_> = recent.places.iter().filter(|(of, _)| !is_kept(of.epoch)).collect();
        for place in gone.into_iter().map(|(_, place)| *place) {
            if let Some(slot) = recent.bytes.as_chunks_mut::<32>().0.get_mut(place) {
                slot.zeroize();
            }
        }
        recent.places.retain(|of, _| is_kept(of.epoch));
    }
}

impl Recent {
    fn get(&self, of: TableOf) -> Option<&[u8; 32]> {
        let place = self.places.get(&of)?;
        self.bytes.as_chunks().0.get(*place)
    }

    fn put(&mut self, of: TableOf, key: &Secret<[u8; 32]>) {
        if self.places.contains_key(&of) {
            return; // Another thread derived the same key meanwhile.
        }
        let place = self.next;
        self.next = (place + 1) % TABLE_KEYS_MAX;
        self.places.retain(|_, taken| *taken != place);
        if let Some(slot) = self.bytes.as_chunks_mut::<32>().0.get_mut(place) {
            slot.copy_from_slice(key.expose());
            self.places.insert(of, place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(account: u64, table: u16) -> TableOf {
        TableOf { epoch: 1, account: AccountId::from_number(account).unwrap(), table }
    }

    #[test]
    fn a_remembered_key_is_the_derived_one_however_many_there_are() {
        let keys = TableKeys::new();
        let fresh = |of: TableOf| {
            derivation::committed(of.key(&[9; 32]).expose(), derivation::RECORD, &[&[1; 24]]).key
        };
        let tables = u16::try_from(TABLE_KEYS_MAX).unwrap() + 100;
        for _ in 0..2 {
            for table in 0..tables {
                let of = of(1, table);
                assert_eq!(keys.record_key(of, &[9; 32], &[1; 24]).key.expose(), fresh(of).expose());
                assert_eq!(keys.record_key(of, &[9; 32], &[1; 24]).key.expose(), fresh(of).expose());
            }
        }
        assert_eq!(keys.0.read().unwrap().places.len(), TABLE_KEYS_MAX);
    }

    #[test]
    fn keys_of_an_epoch_that_is_gone_are_wiped() {
        let keys = TableKeys::new();
        let place = |epoch| TableOf { epoch, ..of(1, 1) };
        for epoch in [1, 2] {
            keys.record_key(place(epoch), &[9; 32], &[1; 24]);
        }
        keys.keep(|epoch| epoch == 2);
        let recent = keys.0.read().unwrap();
        assert!(recent.get(place(1)).is_none() && recent.get(place(2)).is_some());
        assert_eq!(recent.bytes.as_chunks::<32>().0[0], [0; 32]);
    }

    #[test]
    fn epoch_account_and_table_each_change_the_key() {
        let base = of(1, 1).key(&[9; 32]);
        for (other, epoch_key) in [(of(2, 1), 9), (of(1, 2), 9), (of(1, 1), 8)] {
            assert_ne!(base.expose(), other.key(&[epoch_key; 32]).expose());
        }
    }
}
