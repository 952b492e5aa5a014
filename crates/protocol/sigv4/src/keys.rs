//! Signing keys: how one is derived from a secret, and a bounded store of those in use.
//!
//! A key is good for one day, region and service, so a busy client uses the same one for hours. Keeping it saves four
//! of the five HMACs of a verification. The store forgets by age in two halves: what is used moves to the young half,
//! and when that is full the old half is dropped as a whole. That keeps recently used keys like an exact LRU would,
//! with constant work and no list to maintain.
//!
//! Invariant: the pair of key id and generation names one secret. Whoever changes, deactivates or deletes a secret
//! gives the key id another generation; a stored key of an older generation is never used and is wiped when met.

use std::{
    collections::{HashMap, hash_map::RandomState},
    fmt,
    hash::BuildHasher,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use coffer_crypto::{HmacKey, hmac_sha256};
use coffer_types::{Secret, Timestamp};

use crate::{TERMINATOR, limits, scope::Credential};

/// Threads that verify at the same time seldom meet in one of this many parts.
const SHARDS: usize = 16;

/// Derives the key of one day, region and service.
pub fn signing_key(secret: &Secret<String>, date: &str, region: &str, service: &str) -> Secret<[u8; 32]> {
    // Sized up front: growing would leave a copy of the secret behind.
    let mut start = Secret::new(Vec::with_capacity(4 + secret.len()));
    start.expose_mut().extend_from_slice(b"AWS4");
    start.expose_mut().extend_from_slice(secret.expose().as_bytes());
    let mut key = Secret::new(hmac_sha256(start.expose(), &[date.as_bytes()]));
    for part in [region, service, TERMINATOR] {
        key = Secret::new(hmac_sha256(key.expose(), &[part.as_bytes()]));
    }
    key
}

/// Derived keys in use, shared by all threads.
pub struct SigningKeys {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    half_max: usize,
}

#[derive(Default)]
struct Shard {
    young: HashMap<Box<str>, Entry>,
    old: HashMap<Box<str>, Entry>,
}

struct Entry {
    generation: u64,
    key: Arc<HmacKey>,
}

impl Default for SigningKeys {
    fn default() -> Self {
        Self::with_capacity(limits::SIGNING_KEYS_MAX)
    }
}

impl SigningKeys {
    /// Keeps at most `keys_max` keys, or one per shard and half if that is more.
    pub fn with_capacity(keys_max: usize) -> Self {
        Self {
            shards: Default::default(),
            hasher: RandomState::new(),
            half_max: (keys_max / (2 * SHARDS)).max(1),
        }
    }

    /// The key of a credential, derived if it is not there or belongs to another generation.
    pub(crate) fn get(
        &self,
        credential: &Credential,
        generation: u64,
        secret: &Secret<String>,
    ) -> Arc<HmacKey> {
        let name = credential.as_str();
        if let Some(key) = self.shard(name).find(name, generation, self.half_max) {
            return key;
        }
        // Outside the lock. Two threads may derive the same key; the result is the same too.
        let key = Arc::new(derive(credential, secret));
        self.shard(name).insert(name.into(), Entry { generation, key: Arc::clone(&key) }, self.half_max);
        key
    }

    /// Wipes the keys of days before the one that contains `oldest`, which no signature can use any more.
    pub fn forget_before(&self, oldest: Timestamp) {
        let oldest = oldest.to_date();
        let is_young = |name: &str| name.split('/').nth(1).is_some_and(|date| date >= oldest.as_str());
        for shard in &self.shards {
            let mut shard = locked(shard);
            shard.young.retain(|name, _| is_young(name));
            shard.old.retain(|name, _| is_young(name));
        }
    }

    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| locked(shard).len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shard(&self, name: &str) -> MutexGuard<'_, Shard> {
        let [first, rest @ ..] = &self.shards;
        // One of sixteen by the low bits; slot 0 is the first.
        let slot = self.hasher.hash_one(name) % 16;
        let slot = usize::try_from(slot).unwrap_or(0);
        locked(slot.checked_sub(1).and_then(|slot| rest.get(slot)).unwrap_or(first))
    }
}

impl Shard {
    fn find(&mut self, name: &str, generation: u64, half_max: usize) -> Option<Arc<HmacKey>> {
        if let Some(entry) = self.young.get(name).filter(|entry| entry.generation == generation) {
            return Some(Arc::clone(&entry.key));
        }
        // Not in the young half or out of date there; whichever entry exists is taken out, and put back if good.
        self.young.remove(name);
        let (name, entry) = self.old.remove_entry(name)?;
        if entry.generation != generation {
            return None;
        }
        let key = Arc::clone(&entry.key);
        self.insert(name, entry, half_max);
        Some(key)
    }

    // INVARIANT: neither half holds more than `half_max`, because this is the only way into the young one and the
    // old one is never anything but a former young one.
    fn insert(&mut self, name: Box<str>, entry: Entry, half_max: usize) {
        if self.young.len() >= half_max {
            self.old = mem::take(&mut self.young);
        }
        self.old.remove(&name);
        self.young.insert(name, entry);
    }

    fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKeys").field("len", &self.len()).finish_non_exhaustive()
    }
}

pub(crate) fn derive(credential: &Credential, secret: &Secret<String>) -> HmacKey {
    HmacKey::new(signing_key(secret, credential.date(), credential.region(), credential.service()).expose())
}

/// A panic elsewhere leaves a shard usable: every change of it is complete or harmless.
fn locked(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(id: usize, date: &str) -> Credential {
        Credential::parse(&format!("AK{id}/{date}/eu-west-1/kms/aws4_request")).unwrap()
    }

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    #[test]
    fn a_key_is_derived_once_per_generation() {
        let keys = SigningKeys::default();
        let credential = credential(1, "20260102");
        let first = keys.get(&credential, 1, &secret("one"));
        let again = keys.get(&credential, 1, &secret("not looked at"));
        assert!(Arc::ptr_eq(&first, &again));

        let next = keys.get(&credential, 2, &secret("two"));
        assert_ne!(next.sign(b""), first.sign(b""));
        assert_eq!(keys.len(), 1, "the key of the old generation is gone");
        drop(again);
        assert_eq!(Arc::strong_count(&first), 1, "and its memory with it");
    }

    #[test]
    fn the_store_stays_bounded_and_keeps_what_is_used() {
        let keys = SigningKeys::with_capacity(320);
        let hot = credential(0, "20260102");
        let first = keys.get(&hot, 1, &secret("hot"));
        for id in 1..5_000 {
            keys.get(&credential(id, "20260102"), 1, &secret("cold"));
            assert!(Arc::ptr_eq(&first, &keys.get(&hot, 1, &secret("hot"))), "after {id}");
            // Meeting older keys again moves them between the halves and must not make room for more.
            keys.get(&credential(id / 2, "20260102"), 1, &secret("cold"));
        }
        assert!(keys.len() <= 320, "{}", keys.len());
    }

    #[test]
    fn keys_are_forgotten_by_day() {
        let keys = SigningKeys::default();
        for (id, date) in [(1, "20260101"), (1, "20260102"), (11, "20260102"), (2, "20260101")] {
            keys.get(&credential(id, date), 1, &secret("s"));
        }
        keys.forget_before(Timestamp::parse_basic("20260102T120000Z").unwrap());
        assert_eq!(keys.len(), 2);
        keys.forget_before(Timestamp::parse_basic("20260103T000000Z").unwrap());
        assert!(keys.is_empty());
    }
}
