//! Records that are sealed again, under the epoch that is active now.
//!
//! The key of an epoch may be destroyed only if nothing is sealed under it any more, and nothing that was can still arrive: a transaction
//! is sealed before it is queued. So each tells here, before its first record is sealed, at which epoch that was, until it has an
//! outcome, whether or not somebody still waits for it.
//!
//! What is sealed again is the same record with the same revision of its own. The engine gives it another place in the order of
//! commits, and that is all that readers notice.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use coffer_barrier::Header;
use coffer_store::{Check, Commit, Entry, Expect, Partition, TXN_BYTES_MAX, Txn, TxnToken, Write};

use super::{Db, Effect, memory::Became};
use crate::{
    CommitError,
    record::{open_record, seal_bytes},
};

/// Of records that are sealed again in one transaction, which may have twice as much: a large one goes alone.
const BYTES_AT_ONCE: usize = TXN_BYTES_MAX / 2;

/// How many transactions are on their way, by the epoch at which their sealing began.
#[derive(Debug, Default)]
pub(super) struct UnderWay(Mutex<BTreeMap<u32, usize>>);

impl UnderWay {
    fn counts(&self) -> MutexGuard<'_, BTreeMap<u32, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A transaction that is being sealed, or is on its way to the engine.
#[derive(Debug)]
pub(super) struct Sealing {
    of: Arc<UnderWay>,
    epoch: u32,
}

impl Drop for Sealing {
    fn drop(&mut self) {
        let mut counts = self.of.counts();
        if let Some(count) = counts.get_mut(&self.epoch) {
            *count = count.saturating_sub(1);
        }
        counts.retain(|_, count| *count > 0);
    }
}

/// What became of some records that were looked at.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SealedAgain {
    /// Under another epoch, and so are now under the active one, or were changed by somebody else meanwhile.
    pub moved: u64,
    /// They do not open.
    pub damaged: u64,
}

/// The epoch a stored value is sealed under; nothing if it is no such value.
fn epoch_of(value: &[u8]) -> Option<u32> {
    let (_, sealed) = value.split_first_chunk::<2>()?;
    Header::of(sealed).ok().map(|header| header.epoch)
}

impl Db {
    pub(super) fn begin_sealing(&self) -> Arc<Sealing> {
        let mut counts = self.under_way.counts();
        // Read under the lock: whoever finds no transaction of an older epoch knows that none is going to begin.
        let epoch = self.barrier.active_epoch();
        *counts.entry(epoch).or_default() += 1;
        Arc::new(Sealing { of: Arc::clone(&self.under_way), epoch })
    }

    /// Whether nothing that was sealed before this epoch can still arrive.
    pub(crate) fn is_settled(&self, epoch: u32) -> bool {
        self.under_way.counts().keys().all(|begun| *begun >= epoch)
    }

    /// Seals those of the records again that are under another epoch than the active one.
    pub(crate) async fn seal_again(
        &self,
        partition: &Partition,
        entries: &[Entry],
    ) -> Result<SealedAgain, CommitError> {
        let (mut sum, mut bytes) = (SealedAgain::default(), 0);
        let (mut txn, mut effects) = (self.empty(partition), Vec::new());
        let sealing = self.begin_sealing();
        for entry in entries {
            if epoch_of(&entry.value) == Some(self.barrier.active_epoch()) {
                continue;
            }
            let key = entry.key.as_bytes();
            let table = key.first_chunk().map_or(0, |table| u16::from_be_bytes(*table));
            let Ok((version, revision, text)) =
                open_record(&self.barrier, partition, table, key, &entry.value)
            else {
                sum.damaged += 1;
                continue;
            };
            sum.moved += 1;
            let value = seal_bytes(&self.barrier, partition, table, key, version, revision, text.expose());
            // As the engine counts: the key stands in the check and in the write.
            let more = value.len().saturating_add(2 * entry.key.len());
            if bytes + more > BYTES_AT_ONCE && !txn.writes.is_empty() {
                let full = std::mem::replace(&mut txn, self.empty(partition));
                self.put_back(full, std::mem::take(&mut effects), &sealing).await?;
                bytes = 0;
            }
            bytes += more;
            txn.checks.push(Check { key: entry.key.clone(), expect: Expect::AtRev(entry.rev) });
            txn.writes.push(Write::Put { key: entry.key.clone(), value: value.into() });
            effects.push(Effect { key: entry.key.clone(), table, became: Became::Moved });
        }
        if !txn.writes.is_empty() {
            self.put_back(txn, effects, &sealing).await?;
        }
        Ok(sum)
    }

    fn empty(&self, partition: &Partition) -> Txn {
        let mut token = [0; 16];
        self.entropy.fill(&mut token);
        Txn::new(partition.clone(), TxnToken(token))
    }

    /// If somebody changed one of them meanwhile, all stay as they are until they are looked at again.
    async fn put_back(
        &self,
        txn: Txn,
        effects: Vec<Effect>,
        sealing: &Arc<Sealing>,
    ) -> Result<(), CommitError> {
        self.memory.expected().insert(txn.token, effects);
        match self.submit(txn, Vec::new(), Arc::new(|| ()), Arc::clone(sealing)).await? {
            Commit::Done(_) | Commit::Duplicate(_) | Commit::Conflict(_) => Ok(()),
        }
    }
}

/// Tells where a value is sealed under an epoch whose key is gone: it was sealed again since it was read.
pub(super) fn was_sealed_again(db: &Db, value: &Bytes) -> bool {
    let is_gone = |epoch: u32| !db.barrier.older_epochs().contains(&epoch);
    epoch_of(value).is_some_and(|epoch| epoch < db.barrier.active_epoch() && is_gone(epoch))
}

#[cfg(test)]
mod tests {
    use coffer_barrier::{Keyring, NewSlot};
    use coffer_crypto::SystemEntropy;
    use coffer_store::MemoryEngine;
    use coffer_types::Secret;

    use super::*;

    #[test]
    fn what_was_sealed_before_a_rotation_is_waited_for() {
        let entropy = || Arc::new(SystemEntropy);
        let mut keyring = Keyring::create(NewSlot::Keyfile(&Secret::new([1; 32])), entropy());
        let barrier = Arc::new(keyring.barrier());
        let db = Db::new(Arc::new(MemoryEngine::new()), Arc::clone(&barrier), entropy()).unwrap();
        let begun = db.begin_sealing();
        assert!(db.is_settled(1), "it is under the active epoch");
        keyring.rotate_epoch().unwrap();
        keyring.hand_to(&barrier);
        let newer = db.begin_sealing();
        // Whoever submitted it holds it too, and the last one ends it.
        let submitted = Arc::clone(&begun);
        drop(begun);
        assert!(!db.is_settled(2));
        drop(submitted);
        assert!(db.is_settled(2));
        drop(newer);
    }
}
