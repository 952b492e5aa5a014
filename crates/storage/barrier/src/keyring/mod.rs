//! The keyring: the keys of the store, wrapped so that any one of several slots opens them.
//!
//! A random root key wraps the index key and the key of each epoch; each slot wraps the root key under something an
//! operator has. Adding or removing a slot therefore rewrites one small file and touches no record.
//!
//! [`KeyringFile`] is the sealed state: it can say which store this is and who could open it. [`Keyring`] is the open
//! one: it holds the root key, changes slots and epochs, and gives out [`Barrier`]s. Nothing is written until
//! [`Keyring::save`] is called.

mod age;
mod error;
mod format;
pub mod keyfile;
mod kms;
mod pkcs11;
mod share;
mod slot;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use coffer_crypto::split;
use coffer_sys::{Locked, Protection};
use coffer_types::{Entropy, Secret};

pub use self::{
    age::Age,
    error::{KeyringError, Part},
    kms::KmsSlot,
    pkcs11::Pkcs11Slot,
    share::{RecoveryShare, ShareCollector, ShareError, ShareProgress},
    slot::{NewSlot, SlotId, SlotInfo, SlotKey, SlotKind},
};
use self::{format::Layout, slot::Slot};
use crate::{
    barrier::Barrier,
    files::{self, Previous},
    vault::{EpochKey, Keys, random_key},
};

/// Slots are for people and machines that somebody knows by name; more are a mistake or an attack on the reader.
const SLOTS_MAX: usize = 64;

/// Epochs whose records are still there. With one epoch a quarter, sixteen years.
const EPOCHS_MAX: usize = 64;

/// What the slots wrap, in locked memory.
#[derive(Debug)]
pub struct RootKey(Locked<32>);

/// A keyring as it lies on the disk: sealed.
pub struct KeyringFile {
    path: PathBuf,
    layout: Layout,
}

impl KeyringFile {
    /// Reads a keyring and checks that it is whole. Whether it is genuine is known only when it is opened.
    pub fn read(path: &Path) -> Result<Self, KeyringError> {
        let file = std::fs::File::open(path).map_err(|error| KeyringError::opening(path, error))?;
        let bytes = files::read_at_most(&file, format::FILE_LEN_MAX)
            .map_err(|source| KeyringError::Reading { path: path.to_owned(), source })?;
        Self::parse(path, bytes.expose())
    }

    /// The same for bytes that were read elsewhere; `path` is for messages.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, KeyringError> {
        let layout = Layout::parse(bytes).map_err(|part| KeyringError::damaged(path, part))?;
        Ok(Self { path: path.to_owned(), layout })
    }

    pub const fn store_id(&self) -> &[u8; 16] {
        &self.layout.store_id
    }

    /// Whether a [mark](Barrier::keyring_mark) names this keyring. Only the open one can tell that it is genuine.
    pub fn is_named_by(&self, mark: &[u8]) -> bool {
        mark.starts_with(&self.layout.store_id)
    }

    /// Counts how often the store was deliberately put back to an older state.
    pub const fn incarnation(&self) -> u64 {
        self.layout.incarnation
    }

    pub fn slots(&self) -> Vec<SlotInfo> {
        self.layout.slots.iter().map(Slot::info).collect()
    }

    /// The slots whose keys a KMS decrypts. One that cannot be read is none.
    pub fn kms_slots(&self) -> Vec<(SlotId, KmsSlot)> {
        self.layout.slots.iter().filter_map(Slot::kms).collect()
    }

    /// The slots whose keys a token decrypts. One that cannot be read is none.
    pub fn pkcs11_slots(&self) -> Vec<(SlotId, Pkcs11Slot)> {
        self.layout.slots.iter().filter_map(Slot::pkcs11).collect()
    }

    /// Collects the shares of this store's recovery slots.
    pub fn share_collector(&self) -> ShareCollector {
        ShareCollector::new(self.layout.slots.iter().filter_map(Slot::recovery).collect())
    }

    /// Opens the keyring with the key of one slot.
    pub fn unseal(&self, key: &SlotKey, entropy: Arc<dyn Entropy>) -> Result<Keyring, KeyringError> {
        let (_, root) = self.unwrap_root(key)?;
        self.open(root, entropy)
    }

    /// The same with the root key that the store was opened with before.
    pub fn unseal_with_root(
        &self,
        root: &RootKey,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Keyring, KeyringError> {
        self.open(Locked::copy_of(root.0.expose()), entropy)
    }

    fn open(&self, root: Locked<32>, entropy: Arc<dyn Entropy>) -> Result<Keyring, KeyringError> {
        let keys = self.layout.open(&root).map_err(|part| KeyringError::damaged(&self.path, part))?;
        Ok(Keyring {
            store_id: self.layout.store_id,
            incarnation: self.layout.incarnation,
            slots: self.layout.slots.clone(),
            root,
            keys: Arc::new(keys),
            entropy,
        })
    }

    /// Which slot a key opens, without opening what the root key protects.
    pub fn slot_of(&self, key: &SlotKey) -> Result<SlotId, KeyringError> {
        self.unwrap_root(key).map(|(id, _)| id)
    }

    fn unwrap_root(&self, key: &SlotKey) -> Result<(SlotId, Locked<32>), KeyringError> {
        let mut of_this_kind = 0_usize;
        for slot in self.layout.slots.iter().filter(|slot| slot.is_for(key)) {
            of_this_kind = of_this_kind.saturating_add(1);
            match slot.open(&self.layout.store_id, key) {
                Ok(Some(root)) => return Ok((slot.id(), root)),
                Ok(None) => {}
                Err(part) => return Err(KeyringError::damaged(&self.path, part)),
            }
        }
        let (path, kind) = (self.path.clone(), key.kind());
        Err(if of_this_kind == 0 {
            KeyringError::NoSuchSlot { path, kind, present: self.slots() }
        } else {
            let has_shares = self.slots().iter().any(|slot| slot.kind == SlotKind::Recovery);
            KeyringError::WrongKey { path, kind, has_shares }
        })
    }
}

impl fmt::Debug for KeyringFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyringFile")
            .field("path", &self.path)
            .field("slots", &self.slots())
            .finish_non_exhaustive()
    }
}

/// An open keyring. It keeps the root key in locked memory, because every change of slots needs it.
pub struct Keyring {
    store_id: [u8; 16],
    incarnation: u64,
    slots: Vec<Slot>,
    root: Locked<32>,
    keys: Arc<Keys>,
    entropy: Arc<dyn Entropy>,
}

impl Keyring {
    /// Makes the keys of a new store. There is always a slot: a keyring that nobody opens is a lost store.
    pub fn create(first: NewSlot<'_>, entropy: Arc<dyn Entropy>) -> Self {
        let mut store_id = [0; 16];
        entropy.fill(&mut store_id);
        let root = random_key(&*entropy);
        let keys = Arc::new(Keys::random(&*entropy));
        let slots = vec![Slot::new(&store_id, &root, first, &*entropy)];
        Self { store_id, incarnation: 1, slots, root, keys, entropy }
    }

    /// A barrier over the keys as they are now. After a change of epoch, tell it with [`Keyring::hand_to`].
    pub fn barrier(&self) -> Barrier {
        Barrier::new(self.store_id, Arc::clone(&self.keys), Arc::clone(&self.entropy))
    }

    /// Lets an open barrier of this store go on with the epochs as they are now. Save first: what is sealed under a key that is not on the
    /// disk is lost at the next start.
    pub fn hand_to(&self, barrier: &Barrier) {
        debug_assert_eq!(barrier.store_id(), &self.store_id, "a keyring of another store");
        barrier.adopt(&self.keys);
    }

    /// The root key, for who has to change epochs while no slot's key is at hand.
    pub fn root_key(&self) -> RootKey {
        RootKey(Locked::copy_of(self.root.expose()))
    }

    pub const fn store_id(&self) -> &[u8; 16] {
        &self.store_id
    }

    pub const fn incarnation(&self) -> u64 {
        self.incarnation
    }

    pub fn age(&self) -> Age {
        Age { incarnation: self.incarnation, epoch: self.keys.active.number }
    }

    pub fn slots(&self) -> Vec<SlotInfo> {
        self.slots.iter().map(Slot::info).collect()
    }

    /// How well the kernel protects the memory of the keys, for `coffer doctor`.
    pub const fn protection(&self) -> Protection {
        self.root.protection()
    }

    pub fn add_slot(&mut self, new: NewSlot<'_>) -> Result<SlotId, KeyringError> {
        let slot = Slot::new(&self.store_id, &self.root, new, &*self.entropy);
        self.push(slot)
    }

    /// Adds a slot that any `threshold` of `shares` people open together, and returns their shares.
    ///
    /// The shares exist nowhere else; show each once, to one person.
    pub fn add_recovery(
        &mut self,
        threshold: u8,
        shares: u8,
    ) -> Result<(SlotId, Vec<RecoveryShare>), KeyringError> {
        let mut key = Secret::new([0; 32]);
        self.entropy.fill(key.expose_mut());
        let split = split(key.expose(), threshold, shares, &*self.entropy)
            .map_err(|_| KeyringError::ShareNumbers { threshold, shares })?;
        let slot = Slot::new_recovery(&self.store_id, &self.root, &key, (threshold, shares), &*self.entropy);
        let set = slot.recovery().map(|recovery| recovery.set).unwrap_or_default();
        let id = self.push(slot)?;
        Ok((id, split.into_iter().map(|share| RecoveryShare::new(set, threshold, share)).collect()))
    }

    /// Takes a slot away. Save with [`Previous::Forget`] afterwards, or the older file still opens with its key.
    pub fn remove_slot(&mut self, id: SlotId) -> Result<(), KeyringError> {
        let at = self.slots.iter().position(|slot| slot.id() == id);
        let at = at.ok_or_else(|| KeyringError::UnknownSlot { id, present: self.slots() })?;
        let others = self.slots.iter().filter(|slot| slot.id() != id && slot.info().kind.is_known());
        if others.count() == 0 {
            return Err(KeyringError::LastSlot { id });
        }
        self.slots.remove(at);
        Ok(())
    }

    /// Makes a new epoch the active one; older ones stay for reading. Returns its number.
    pub fn rotate_epoch(&mut self) -> Result<u32, KeyringError> {
        if self.keys.epochs().count() >= EPOCHS_MAX {
            return Err(KeyringError::TooManyEpochs { max: EPOCHS_MAX });
        }
        let number = self.keys.active.number.saturating_add(1);
        let active = EpochKey { number, key: random_key(&*self.entropy) };
        let older = self.keys.epochs().map(EpochKey::copy).collect();
        self.keys = Arc::new(self.keys.with_epochs(active, older));
        Ok(number)
    }

    /// Destroys the key of an epoch that has no records left. `false` if there is no such older epoch.
    pub fn retire_epoch(&mut self, number: u32) -> bool {
        let older: Vec<_> = self.keys.older.iter().filter(|epoch| epoch.number != number).collect();
        if older.len() == self.keys.older.len() {
            return false;
        }
        let older = older.into_iter().map(EpochKey::copy).collect();
        self.keys = Arc::new(self.keys.with_epochs(self.keys.active.copy(), older));
        true
    }

    /// Makes another root key and wraps it in every slot again, for which the key of each is needed. Who had the old one, and an old copy of
    /// the keyring, has nothing that the new file opens with. Save with [`Previous::Replace`] afterwards.
    pub fn rekey_root(&mut self, keys: &[&SlotKey]) -> Result<(), KeyringError> {
        let root = random_key(&*self.entropy);
        let (mut slots, mut closed) = (Vec::new(), Vec::new());
        for slot in &self.slots {
            // A passphrase takes a second of work, so nobody is tried twice.
            let again = keys.iter().find_map(|key| {
                slot.around_another(&self.store_id, &root, key, &*self.entropy).ok().flatten()
            });
            match again {
                Some(slot) => slots.push(slot),
                None => closed.push(slot.info()),
            }
        }
        if !closed.is_empty() {
            return Err(KeyringError::SlotsWithoutKey { closed });
        }
        (self.root, self.slots) = (root, slots);
        Ok(())
    }

    /// Marks that the store was deliberately put back to an older state. Returns the new count.
    pub const fn begin_incarnation(&mut self) -> u64 {
        self.incarnation = self.incarnation.saturating_add(1);
        self.incarnation
    }

    /// Writes the keyring so that a crash leaves the old file or the new one.
    pub fn save(&self, path: &Path, previous: Previous) -> Result<(), KeyringError> {
        files::replace(path, &self.to_bytes(), previous)
            .map_err(|source| KeyringError::Writing { path: path.to_owned(), source })
    }

    /// The file's content, freshly sealed.
    pub fn to_bytes(&self) -> Vec<u8> {
        format::encode(self.store_id, self.incarnation, &self.slots, &self.root, &self.keys, &*self.entropy)
    }

    fn push(&mut self, slot: Slot) -> Result<SlotId, KeyringError> {
        if self.slots.len() >= SLOTS_MAX {
            return Err(KeyringError::TooManySlots { max: SLOTS_MAX });
        }
        let id = slot.id();
        self.slots.push(slot);
        Ok(id)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("slots", &self.slots()).finish_non_exhaustive()
    }
}
