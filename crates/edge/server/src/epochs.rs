//! The keys under which records are sealed, changed while the store is open.
//!
//! The file is the truth: it is read, changed and written in turns with the changes of the slots, and only what is on the disk is sealed
//! with. An epoch can end hours after it was replaced, when nobody is there to give a key. So the root key stays in locked memory for
//! as long as the store is open, which gives away nothing: the keys that it wraps are there as well.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use coffer_barrier::{Age, Barrier, Keyring, KeyringError, KeyringFile, Previous, RootKey, SlotKey};
use coffer_core::KeepsEpochs;
use coffer_types::Entropy;

use crate::{
    complaint::Complaint,
    open::Store,
    slots::{Changed, Given},
};

/// Of one open store. They go with it: nothing else holds them for longer than a moment.
pub(crate) struct OpenKeys {
    path: PathBuf,
    turn: Arc<Mutex<()>>,
    root: Mutex<RootKey>,
    barrier: Arc<Barrier>,
    entropy: Arc<dyn Entropy>,
}

impl fmt::Debug for OpenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenKeys").field("path", &self.path).finish_non_exhaustive()
    }
}

impl OpenKeys {
    pub(crate) fn new(
        path: PathBuf,
        turn: Arc<Mutex<()>>,
        keyring: &Keyring,
        barrier: Arc<Barrier>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self { path, turn, root: Mutex::new(keyring.root_key()), barrier, entropy }
    }

    fn root(&self) -> MutexGuard<'_, RootKey> {
        self.root.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn destroy(&self, epochs: &[u32]) -> Result<(), KeyringError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut keyring =
            KeyringFile::read(&self.path)?.unseal_with_root(&self.root(), Arc::clone(&self.entropy))?;
        let (found, known) = (keyring.age(), Age { epoch: self.barrier.active_epoch(), ..keyring.age() });
        if found.is_before(known) {
            // Somebody put an older file back meanwhile. What is in memory is right, and must not be replaced by it.
            return Err(KeyringError::Older { path: self.path.clone(), found, known });
        }
        for epoch in epochs {
            keyring.retire_epoch(*epoch);
        }
        keyring.save(&self.path, Previous::Replace)?;
        keyring.hand_to(&self.barrier);
        Ok(())
    }
}

/// What the store's own task may do with them.
#[derive(Debug)]
pub(crate) struct Keeper(pub(crate) Arc<OpenKeys>);

impl KeepsEpochs for Keeper {
    fn destroy(&self, epochs: &[u32]) -> Result<(), String> {
        self.0.destroy(epochs).map_err(|error| error.to_string())
    }
}

/// The open keys of a store, if it is open.
pub(crate) type Open = Mutex<Weak<OpenKeys>>;

impl Store {
    fn open_keys(&self) -> Option<Arc<OpenKeys>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).upgrade()
    }

    /// The caller has the turn of the keyring.
    pub(crate) fn rotate_epoch(&self, mut keyring: Keyring) -> Result<Changed, Complaint> {
        let epoch = keyring.rotate_epoch()?;
        // The version before lacks this epoch: whoever put it back would read nothing that was written since.
        self.save(&keyring, Previous::Replace)?;
        self.remember_age(&keyring)?;
        // Not before it is on the disk: what is sealed under a key that a crash takes away is lost.
        if let Some(open) = self.open_keys() {
            keyring.hand_to(&open.barrier);
        }
        Ok(Changed::Epoch { epoch, is_open: self.open_keys().is_some() })
    }

    /// The caller has the turn of the keyring.
    pub(crate) fn rekey_root(
        &self,
        mut keyring: Keyring,
        of_machine: &[SlotKey],
        given: Given<'_>,
    ) -> Result<Changed, Complaint> {
        let keys: Vec<&SlotKey> = of_machine.iter().chain([given.opens]).chain(given.also).collect();
        keyring.rekey_root(&keys)?;
        let saved = self.save(&keyring, Previous::Replace);
        if let Some(open) = self.open_keys() {
            // A write that failed at its very end is on the disk all the same.
            let opens = |file: KeyringFile| {
                file.unseal_with_root(&keyring.root_key(), Arc::clone(&open.entropy)).is_ok()
            };
            if saved.is_ok() || self.keyring().is_ok_and(opens) {
                *open.root() = keyring.root_key();
            }
        }
        saved?;
        // What was written is tried before anybody relies on it.
        let written = self.keyring()?;
        for key in &keys {
            written.slot_of(key).map_err(|error| {
                Complaint::new("the keyring was written, but a key does not open it")
                    .because(error)
                    .next("check the disk before anything is stopped: the store may not open again")
            })?;
        }
        Ok(Changed::Root { slots: keyring.slots().len() })
    }
}
