//! The seal slots of a store: made and taken away.
//!
//! A change needs a key that opens the store now, whether or not a server has it open: the root key that the slots wrap is in
//! memory only while one is changed. Changes take turns. The keyring is read, changed and written, and two at once would
//! each write a file without the slot of the other; shares would go to people and open nothing. So what is handed out is first tried
//! on the file as it then lies on the disk.
//!
//! A new keyfile is made in an order that no crash turns into a trap: its slot first, then the file, then the slots of the
//! earlier keyfiles go. Stopped after the first step, a slot remains that nobody has a key for; stopped after the second, one too many
//! that may be taken away later. The other way round there would be a keyfile that opens nothing, and the next start would
//! rightly refuse it.
//!
//! Every change is on record before it is made: by the server, on behalf of its control socket, or by a command that opens the
//! store for it while no server runs.

use std::{
    fs,
    path::{Component, Path, PathBuf},
    sync::{Arc, PoisonError},
};

use coffer_barrier::{
    Keyring, KeyringError, KeyringFile, KmsSlot, NewSlot, Previous, RecoveryShare, SlotId, SlotInfo, SlotKey,
    SlotKind, keyfile,
};
use coffer_core::World;
use coffer_crypto::{PassphraseCost, sha256};
use coffer_sys::effective_uid;
use coffer_types::{Clock, Secret};
use serde::{Deserialize, Serialize};

use crate::{
    complaint::Complaint,
    config::Config,
    control::Typed,
    data_dir::DataDir,
    durable::{self, parent},
    kms_seal::wait_for,
    lifecycle::runtime,
    machine_key::{key_on_this_machine, keys_of_this_machine},
    open::{PASSPHRASE_TIME, Store, local_caller, record_local},
    world,
};

/// What is to become of the slots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Change {
    /// A recovery slot.
    Shares {
        /// How many are needed to open.
        threshold: u8,
        /// How many there are.
        shares: u8,
    },
    /// A keyfile and its slot, in place of those of lost keyfiles.
    Keyfile {
        /// The keyfile of the configuration, unless another place is given.
        path: Option<PathBuf>,
        /// Whether a keyfile that still opens the store loses its slot as well.
        replace: bool,
    },
    /// A passphrase and its slot. It comes beside the change, because it is a secret.
    Passphrase,
    /// A key for systemd, in a file for `systemd-creds encrypt`, and its slot.
    Credential { path: PathBuf },
    /// A slot on the token of the configuration.
    Pkcs11 {
        /// Whether the token makes the key first.
        generate: bool,
    },
    /// A slot at the KMS of the configuration.
    Kms,
    /// A new key seals what is written from now on, and everything else is sealed again.
    Epoch,
    /// Another root key, in every slot.
    Root,
    /// A slot goes, named by the digits that `coffer key slot list` shows.
    Remove { slot: String },
}

impl Change {
    /// Its name on record.
    pub(crate) const fn event(&self) -> &'static str {
        match self {
            Self::Shares { .. } => "CreateRecoveryShares",
            Self::Keyfile { .. } => "CreateKeyfile",
            Self::Passphrase => "CreatePassphrase",
            Self::Credential { .. } => "CreateCredential",
            Self::Pkcs11 { .. } => "CreatePkcs11Slot",
            Self::Kms => "CreateKmsSlot",
            Self::Epoch => "RotateEpoch",
            Self::Root => "RekeyRoot",
            Self::Remove { .. } => "RemoveSealSlot",
        }
    }

    /// What is put on record beside it.
    pub(crate) fn details(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Shares { threshold, shares } => {
                vec![("threshold", threshold.to_string()), ("shares", shares.to_string())]
            }
            Self::Keyfile { path, replace } => {
                let path =
                    path.as_ref().map_or_else(|| String::from("default"), |path| path.display().to_string());
                vec![("keyfile", path), ("replace", replace.to_string())]
            }
            Self::Pkcs11 { generate } => vec![("generate", generate.to_string())],
            Self::Passphrase | Self::Kms | Self::Epoch | Self::Root => Vec::new(),
            Self::Credential { path } => vec![("credential", path.display().to_string())],
            Self::Remove { slot } => vec![("slot", slot.clone())],
        }
    }
}

/// A change, and the passphrase that a new slot is for.
#[derive(Debug)]
pub struct Wanted {
    pub change: Change,
    pub passphrase: Option<Secret<String>>,
}

impl From<Change> for Wanted {
    fn from(change: Change) -> Self {
        Self { change, passphrase: None }
    }
}

/// What somebody gave to change the slots with.
#[derive(Debug, Clone, Copy)]
pub struct Given<'k> {
    pub opens: &'k SlotKey,
    /// Of another slot. A new root key is wrapped with it too.
    pub also: Option<&'k SlotKey>,
}

impl<'k> From<&'k SlotKey> for Given<'k> {
    fn from(opens: &'k SlotKey) -> Self {
        Self { opens, also: None }
    }
}

/// What became of them.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Changed {
    /// The shares exist nowhere else.
    Shares {
        slot: String,
        shares: Vec<Typed>,
    },
    Keyfile {
        path: PathBuf,
        slot: String,
        /// Slots of earlier keyfiles: a copy of one of those opens only older copies of the keyring.
        removed: Vec<String>,
        /// The keyfile of the configuration, which still opens the store.
        kept: Option<PathBuf>,
    },
    /// One more slot, and nothing to show.
    Added {
        slot: String,
        kind: String,
    },
    Epoch {
        /// The one that is active now.
        epoch: u32,
        /// Whether a server seals everything again; else it begins at the next start.
        is_open: bool,
    },
    Root {
        /// In how many it was wrapped.
        slots: usize,
    },
    Removed {
        slot: String,
        kind: String,
    },
}

impl Store {
    /// Changes the slots with a key that opens the store. It blocks: on the disk, on a KMS, and for a passphrase for a second of work.
    pub fn change_slots(
        &self,
        config: &Config,
        world: &World,
        keys: Given<'_>,
        Wanted { change, passphrase }: &Wanted,
    ) -> Result<Changed, Complaint> {
        // A KMS is asked ahead: it may take its time, and others have their turn meanwhile.
        let (mut at_kms, mut of_machine) = (None, Vec::new());
        match change {
            Change::Kms => at_kms = Some(AtKms::make(self.keyring()?.store_id(), config, world)?),
            Change::Root => {
                let keys = keys_of_this_machine(&self.keyring()?, config, &world.clock);
                of_machine = keys.map_err(|complaint| {
                    complaint.because(
                        "so the root key is not changed: it has to be wrapped again in every seal slot",
                    )
                })?;
            }
            _ => {}
        }
        let _turn = self.keyring_turn.lock().unwrap_or_else(PoisonError::into_inner);
        let sealed = self.keyring()?;
        let mut keyring = self.unsealed(&sealed, keys.opens, world)?;
        if let Some(new) = at_kms {
            let slot = new.add_to(&mut keyring)?;
            self.save(&keyring, Previous::Keep)?;
            return Ok(Changed::Added { slot: slot.to_string(), kind: SlotKind::Kms.to_string() });
        }
        match change {
            Change::Kms => Err(no_kms()),
            Change::Pkcs11 { generate } => self.add_on_token(keyring, config, world, *generate),
            Change::Passphrase => self.add_passphrase(keyring, world, passphrase.as_ref()),
            Change::Credential { path } => self.add_credential(keyring, world, path),
            Change::Epoch => self.rotate_epoch(keyring),
            Change::Root => self.rekey_root(keyring, &of_machine, keys),
            Change::Shares { threshold, shares } => self.add_recovery(keyring, world, *threshold, *shares),
            Change::Keyfile { path, replace } => {
                let path = path.as_deref().unwrap_or(&config.keyfile);
                let kept = if *replace { None } else { opening(&sealed, &config.keyfile) };
                let kept = kept.map(|slot| (slot, config.keyfile.clone()));
                self.add_keyfile(keyring, world, path, kept)
            }
            Change::Remove { slot } => self.remove(keyring, slot),
        }
    }

    fn add_recovery(
        &self,
        mut keyring: Keyring,
        world: &World,
        threshold: u8,
        shares: u8,
    ) -> Result<Changed, Complaint> {
        let (slot, made) = keyring.add_recovery(threshold, shares)?;
        self.save(&keyring, Previous::Keep)?;
        let shares: Vec<_> = made.iter().map(RecoveryShare::to_text).collect();
        self.try_shares(world, threshold, &shares).map_err(|complaint| {
            Complaint::new("the shares that were made do not open the store, so they are not shown")
                .because(complaint.what())
                .next(format!("check the disk, then coffer key slot remove {slot}"))
        })?;
        Ok(Changed::Shares { slot: slot.to_string(), shares: shares.into_iter().map(Typed).collect() })
    }

    /// As many as are needed, and all of them: if both sets make the key, so does every other.
    fn try_shares(&self, world: &World, threshold: u8, shares: &[Secret<String>]) -> Result<(), Complaint> {
        let sealed = self.keyring()?;
        for count in [usize::from(threshold), shares.len()] {
            let mut collector = sealed.share_collector();
            for share in shares.iter().take(count) {
                collector.add(RecoveryShare::parse(share.expose())?)?;
            }
            drop(sealed.unseal(&collector.finish()?, Arc::clone(&world.entropy))?);
        }
        Ok(())
    }

    fn add_keyfile(
        &self,
        mut keyring: Keyring,
        world: &World,
        path: &Path,
        kept: Option<(SlotId, PathBuf)>,
    ) -> Result<Changed, Complaint> {
        ensure_apart(path, self.directory().path())?;
        if fs::symlink_metadata(path).is_ok() {
            return Err(Complaint::new(format!("{} is there already", path.display()))
                .because("a keyfile is never overwritten: it may be the only key of a store")
                .next("give another place with --out, or move the file away"));
        }
        let new = keyfile::random(world.entropy.as_ref());
        let slot = keyring.add_slot(NewSlot::Keyfile(&new))?;
        self.save(&keyring, Previous::Keep)?;
        if let Err(complaint) = write_keyfile(path, &new) {
            // Nobody has this key. If the slot cannot be taken away either, the next attempt takes it.
            drop(keyring.remove_slot(slot).map(|()| self.save(&keyring, Previous::Forget)));
            return Err(complaint);
        }
        let stays = |info: &SlotInfo| {
            info.kind != SlotKind::Keyfile
                || info.id == slot
                || kept.as_ref().is_some_and(|(kept, _)| *kept == info.id)
        };
        let goes: Vec<_> =
            keyring.slots().into_iter().filter(|info| !stays(info)).map(|info| info.id).collect();
        for id in &goes {
            keyring.remove_slot(*id)?;
        }
        if !goes.is_empty() {
            // The earlier file would still open with the key that was just taken away.
            self.save(&keyring, Previous::Forget).map_err(|complaint| {
                complaint
                    .because(format!(
                        "the keyfile {} opens the store, but so does the earlier one",
                        path.display()
                    ))
                    .next("coffer key slot list, then coffer key slot remove")
            })?;
        }
        if opening(&self.keyring()?, path) != Some(slot) {
            return Err(Complaint::new(format!("the keyfile {} does not open the store", path.display()))
                .because("it was written, but what the disk gives back is something else")
                .next("check the disk before anything is stopped: the store may not open again"));
        }
        Ok(Changed::Keyfile {
            path: path.to_owned(),
            slot: slot.to_string(),
            removed: goes.iter().map(ToString::to_string).collect(),
            kept: kept.map(|(_, path)| path),
        })
    }

    fn add_passphrase(
        &self,
        mut keyring: Keyring,
        world: &World,
        passphrase: Option<&Secret<String>>,
    ) -> Result<Changed, Complaint> {
        let passphrase = passphrase.filter(|passphrase| !passphrase.expose().is_empty());
        let Some(passphrase) = passphrase else {
            return Err(Complaint::new("no passphrase was given").next("one that nobody guesses"));
        };
        let cost = PassphraseCost::calibrated(world.clock.as_ref(), PASSPHRASE_TIME);
        let slot = keyring.add_slot(NewSlot::Passphrase { passphrase, cost })?;
        self.save(&keyring, Previous::Keep)?;
        Ok(Changed::Added { slot: slot.to_string(), kind: SlotKind::Passphrase.to_string() })
    }

    /// The slot first, as for a keyfile: a file that opens nothing would be relied on.
    fn add_credential(&self, mut keyring: Keyring, world: &World, path: &Path) -> Result<Changed, Complaint> {
        ensure_apart(path, self.directory().path())?;
        if fs::symlink_metadata(path).is_ok() {
            return Err(Complaint::new(format!("{} is there already", path.display()))
                .because("a key is never overwritten: it may be the only one of a store")
                .next("give another place with --out, or move the file away"));
        }
        let new = keyfile::random(world.entropy.as_ref());
        let slot = keyring.add_slot(NewSlot::Systemd(&new))?;
        self.save(&keyring, Previous::Keep)?;
        if let Err(complaint) = write_keyfile(path, &new) {
            drop(keyring.remove_slot(slot).map(|()| self.save(&keyring, Previous::Forget)));
            return Err(complaint);
        }
        Ok(Changed::Added { slot: slot.to_string(), kind: SlotKind::Systemd.to_string() })
    }

    /// Encrypted and decrypted again before the slot is there, as at a KMS.
    fn add_on_token(
        &self,
        mut keyring: Keyring,
        config: &Config,
        world: &World,
        generate: bool,
    ) -> Result<Changed, Complaint> {
        let token = config.token_seal.as_ref().ok_or_else(|| {
            Complaint::new("the configuration names no token")
                .next("`[seal.pkcs11]` in the configuration of the server, with module, token, key and pin")
        })?;
        let key = keyfile::random(world.entropy.as_ref());
        let id = SlotId::random(world.entropy.as_ref());
        let at = token.wrap(keyring.store_id(), id, &key, generate, world.entropy.as_ref())?;
        token.unwrap(keyring.store_id(), id, &at)?;
        let slot = keyring.add_slot(NewSlot::Pkcs11 { id, at: &at, key: &key })?;
        self.save(&keyring, Previous::Keep)?;
        Ok(Changed::Added { slot: slot.to_string(), kind: SlotKind::Pkcs11.to_string() })
    }

    fn remove(&self, mut keyring: Keyring, named: &str) -> Result<Changed, Complaint> {
        let slots = keyring.slots();
        let mut found = slots.iter().filter(|info| info.id.to_string() == named);
        let (Some(info), None) = (found.next(), found.next()) else {
            return Err(Complaint::new(format!("there is no seal slot {named}")).next("coffer key slot list"));
        };
        keyring.remove_slot(info.id)?;
        self.save(&keyring, Previous::Forget)?;
        Ok(Changed::Removed { slot: info.id.to_string(), kind: info.kind.to_string() })
    }

    pub(crate) fn save(&self, keyring: &Keyring, previous: Previous) -> Result<(), Complaint> {
        Ok(keyring.save(&self.directory().keyring(), previous)?)
    }
}

/// A slot at the KMS of the configuration, before it is in a keyring.
pub(crate) struct AtKms {
    id: SlotId,
    at: KmsSlot,
    key: Secret<[u8; 32]>,
}

impl AtKms {
    /// Has a key encrypted, and decrypted again: whoever may do the one may not always do the other, and such a slot opens nothing.
    pub(crate) fn make(store_id: &[u8; 16], config: &Config, world: &World) -> Result<Self, Complaint> {
        let kms = config.kms_seal.as_ref().ok_or_else(no_kms)?;
        let key = keyfile::random(world.entropy.as_ref());
        let id = SlotId::random(world.entropy.as_ref());
        let at = wait_for(async {
            let at = kms.wrap(&world.clock, store_id, id, &key).await?;
            match kms.unwrap(&world.clock, store_id, id, &at).await? {
                SlotKey::Kms { key: decrypted, .. } if is_same(&decrypted, &key) => Ok(at),
                _ => Err(Complaint::new(format!("the KMS at {} gives back another key", kms.endpoint()))
                    .because("a seal slot there would not open the store, so none was made")
                    .next("check `seal.kms.endpoint` in the configuration")),
            }
        })?;
        Ok(Self { id, at, key })
    }

    pub(crate) fn add_to(&self, keyring: &mut Keyring) -> Result<SlotId, KeyringError> {
        keyring.add_slot(NewSlot::Kms { id: self.id, at: &self.at, key: &self.key })
    }
}

fn no_kms() -> Complaint {
    Complaint::new("the configuration names no KMS")
        .next("`[seal.kms]` in the configuration of the server, with endpoint, key and credentials")
}

/// Compared by what they make: who can time it learns nothing of a key.
fn is_same(one: &Secret<[u8; 32]>, other: &Secret<[u8; 32]>) -> bool {
    sha256(one.expose()) == sha256(other.expose())
}

/// The same on a store that nobody serves. It is opened to put the change on record.
pub fn change_offline(
    config: &Config,
    directory: DataDir,
    keys: Vec<SlotKey>,
    wanted: &Wanted,
) -> Result<Changed, Complaint> {
    directory.ensure_free()?;
    let sealed = KeyringFile::read(&directory.keyring())?;
    let world = world::system(&directory.audit());
    let mut keys = keys.into_iter();
    let opens = match keys.next() {
        Some(key) => key,
        None => key_to_change_with(&sealed, config, &world.clock)?,
    };
    let also = keys.next();
    let given = Given { opens: &opens, also: also.as_ref() };
    let store = Store::take(directory, config.free_floor_bytes, &world)?;
    let account = store.account(config.account, sealed.store_id())?;
    runtime()?.block_on(async {
        let core = store.open_core(&world, given.opens)?;
        let caller = local_caller(&world, account, config.region.clone());
        let (name, details) = (wanted.change.event(), wanted.change.details());
        let recorded = record_local(&core, &caller, name, effective_uid(), details).await;
        let closed = core.shut_down().map_err(|error| {
            Complaint::new("the audit log could not be synced")
                .because(error)
                .next("check the disk, then try again")
        });
        recorded.and(closed)
    })?;
    store.change_slots(config, &world, given, wanted)
}

/// The key of this machine, or how to give another.
pub(crate) fn key_to_change_with(
    sealed: &KeyringFile,
    config: &Config,
    clock: &Arc<dyn Clock>,
) -> Result<SlotKey, Complaint> {
    key_on_this_machine(sealed, config, clock)
        .and_then(|key| {
            key.ok_or_else(|| {
                Complaint::new("the store has no key on this machine")
                    .because("it opens with a passphrase or with recovery shares")
            })
        })
        .map_err(|complaint| {
            complaint.next("the same command with --share <file> for each share, or with --passphrase")
        })
}

/// The slot that a keyfile opens, if it is one and opens any.
fn opening(sealed: &KeyringFile, path: &Path) -> Option<SlotId> {
    sealed.slot_of(&SlotKey::Keyfile(keyfile::read(path).ok()?)).ok()
}

/// Refuses to make a keyfile in the data directory: a copy of the directory has to be worth nothing.
pub(crate) fn ensure_apart(path: &Path, data_dir: &Path) -> Result<(), Complaint> {
    if !whereabouts(path).starts_with(whereabouts(data_dir)) {
        return Ok(());
    }
    Err(Complaint::new(format!("the keyfile {} is not made", path.display()))
        .because("it would lie in the data directory, and whoever has a copy of that would have the key as well")
        .next("another place: --out for `key keyfile create`, --keyfile or `keyfile` in the configuration for a start"))
}

/// Where a path leads once what is missing of it is made.
fn whereabouts(path: &Path) -> PathBuf {
    let real =
        path.ancestors().find_map(|above| Some((above.canonicalize().ok()?, path.strip_prefix(above).ok()?)));
    let Some((mut real, missing)) = real else { return path.to_owned() };
    for part in missing.components() {
        // No part of it is there, so none of it is a link.
        if part == Component::ParentDir {
            real.pop();
        } else {
            real.push(part);
        }
    }
    real
}

/// Writes a keyfile, whose directory may be missing as well.
pub(crate) fn write_keyfile(path: &Path, key: &Secret<[u8; 32]>) -> Result<(), Complaint> {
    let parent = parent(path);
    durable::make(parent).map_err(|error| {
        Complaint::new(format!("the directory {} for the keyfile cannot be made", parent.display()))
            .because(error)
            .next("choose another place for the keyfile")
    })?;
    Ok(keyfile::write(path, key)?)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::config::{Flags, Home};

    /// A store that a keyfile opens.
    struct Place {
        root: tempfile::TempDir,
        config: Config,
        world: World,
        store: Store,
    }

    impl Place {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let home = Home {
                data_directory: root.path().join("data"),
                config_directory: root.path().join("config"),
                ..Home::default()
            };
            let config = Config::read(&Flags::default(), &home).unwrap();
            let directory = DataDir::prepare(&config.data_dir).unwrap();
            let world = world::system(&directory.audit());
            let store = Store::take(directory, 0, &world).unwrap();
            let key = keyfile::random(world.entropy.as_ref());
            write_keyfile(&config.keyfile, &key).unwrap();
            let keyring = Keyring::create(NewSlot::Keyfile(&key), Arc::clone(&world.entropy));
            keyring.save(&store.directory().keyring(), Previous::Keep).unwrap();
            Self { root, config, world, store }
        }

        fn keyfile(&self) -> SlotKey {
            SlotKey::Keyfile(keyfile::read(&self.config.keyfile).unwrap())
        }

        fn change(&self, key: &SlotKey, change: &Change) -> Result<Changed, Complaint> {
            self.store.change_slots(&self.config, &self.world, key.into(), &change.clone().into())
        }

        fn shares(&self) -> Vec<Typed> {
            match self.change(&self.keyfile(), &Change::Shares { threshold: 2, shares: 3 }).unwrap() {
                Changed::Shares { shares, .. } => shares,
                other => panic!("{other:?}"),
            }
        }

        fn key_of(&self, shares: &[Typed]) -> SlotKey {
            let mut collector = self.store.keyring().unwrap().share_collector();
            for Typed(share) in shares {
                collector.add(RecoveryShare::parse(share.expose()).unwrap()).unwrap();
            }
            collector.finish().unwrap()
        }

        fn kinds(&self) -> Vec<SlotKind> {
            self.store.keyring().unwrap().slots().iter().map(|slot| slot.kind).collect()
        }
    }

    #[test]
    fn shares_that_are_made_at_the_same_time_all_open_the_store() {
        let place = Place::new();
        let made: Vec<_> = thread::scope(|scope| {
            let makers: Vec<_> = (0..8).map(|_| scope.spawn(|| place.shares())).collect();
            makers.into_iter().map(|maker| maker.join().unwrap()).collect()
        });
        for shares in &made {
            place.store.keyring().unwrap().slot_of(&place.key_of(&shares[1..])).unwrap();
        }
        assert_eq!(place.kinds().len(), 1 + made.len());
    }

    #[test]
    fn a_new_keyfile_takes_the_place_of_a_lost_one_and_not_of_one_that_opens_the_store() {
        let place = Place::new();
        let shares = place.shares();
        let first = place.keyfile();
        let other = place.root.path().join("another/keyfile");
        let beside = Change::Keyfile { path: Some(other.clone()), replace: false };
        let Ok(Changed::Keyfile { removed, kept, .. }) = place.change(&first, &beside) else { panic!() };
        assert_eq!((removed.len(), kept), (0, Some(place.config.keyfile.clone())));
        assert!(place.change(&first, &beside).unwrap_err().what().contains("is there already"));
        assert_eq!(place.kinds(), [SlotKind::Keyfile, SlotKind::Recovery, SlotKind::Keyfile]);

        fs::remove_file(&place.config.keyfile).unwrap();
        let instead = Change::Keyfile { path: None, replace: false };
        let Ok(Changed::Keyfile { removed, kept, path, .. }) =
            place.change(&place.key_of(&shares[..2]), &instead)
        else {
            panic!()
        };
        assert_eq!((removed.len(), kept, path), (2, None, place.config.keyfile.clone()));
        let sealed = place.store.keyring().unwrap();
        sealed.slot_of(&place.keyfile()).unwrap();
        assert!(matches!(sealed.slot_of(&first), Err(KeyringError::WrongKey { .. })));
        assert!(
            !durable::beside(&place.store.directory().keyring(), "previous").exists(),
            "an older file would still open with the lost keyfile"
        );

        let leaked = place.keyfile();
        let replacing = Change::Keyfile { path: Some(place.root.path().join("fresh")), replace: true };
        place.change(&leaked, &replacing).unwrap();
        assert!(place.store.keyring().unwrap().slot_of(&leaked).is_err());
    }

    /// A copy of a backup, or what somebody took for the right one.
    #[tokio::test]
    async fn a_keyring_from_before_a_change_of_epochs_is_neither_opened_nor_changed() {
        let place = Place::new();
        let path = place.store.directory().keyring();
        let put = |bytes: &[u8]| durable::replace(&path, bytes, 0o600).unwrap();
        let core = place.store.open_core(&place.world, &place.keyfile()).unwrap();
        let early = fs::read(&path).unwrap();
        place.change(&place.keyfile(), &Change::Epoch).unwrap();
        let late = fs::read(&path).unwrap();
        let refused = |complaint: Complaint| {
            let refusal = complaint.to_string();
            for part in ["is older than the store", "epoch is 1 ", "epoch 2 ", "keyring.previous"] {
                assert!(refusal.contains(part), "{refusal}");
            }
            assert_eq!(fs::read(&path).unwrap(), early);
            assert_eq!(fs::read(durable::beside(&path, "previous")).unwrap(), late, "the right one stays");
        };
        put(&early);
        for change in [Change::Epoch, Change::Root, Change::Shares { threshold: 2, shares: 3 }] {
            refused(place.change(&place.keyfile(), &change).unwrap_err());
        }
        core.shut_down().unwrap();
        drop(core);
        refused(place.store.open_core(&place.world, &place.keyfile()).unwrap_err());

        put(&late);
        let core = place.store.open_core(&place.world, &place.keyfile()).unwrap();
        core.shut_down().unwrap();
    }

    #[test]
    fn a_keyfile_that_cannot_be_written_leaves_no_slot_and_the_old_one_opens() {
        let place = Place::new();
        let key = place.keyfile();
        fs::create_dir(place.root.path().join("full.tmp")).unwrap();
        let nowhere = Change::Keyfile { path: Some(place.root.path().join("full")), replace: true };
        assert!(place.change(&key, &nowhere).unwrap_err().what().contains("was not made"));
        assert_eq!(place.kinds(), [SlotKind::Keyfile]);
        place.store.keyring().unwrap().slot_of(&key).unwrap();
    }

    #[test]
    fn no_keyfile_is_made_in_the_data_directory_however_its_path_is_written() {
        let place = Place::new();
        let root = place.root.path();
        std::os::unix::fs::symlink(root.join("data"), root.join("link")).unwrap();
        for inside in
            ["data/keyfile", "link/keyfile", "link/new/keyfile", "config/../data/a/b", "none/../data/key"]
        {
            let change = Change::Keyfile { path: Some(root.join(inside)), replace: false };
            let refusal = place.change(&place.keyfile(), &change).unwrap_err().to_string();
            assert!(refusal.contains("would lie in the data directory"), "{inside}: {refusal}");
        }
        assert_eq!(place.kinds(), [SlotKind::Keyfile]);
        for outside in ["data-keyfile", "data/../keyfile", "link/../beside"] {
            let change = Change::Keyfile { path: Some(root.join(outside)), replace: false };
            place.change(&place.keyfile(), &change).unwrap();
        }
    }

    #[test]
    fn a_slot_that_was_taken_away_opens_nothing_and_the_last_one_stays() {
        let place = Place::new();
        let shares = place.shares();
        let slot = |kind| {
            let slots = place.store.keyring().unwrap().slots();
            slots.iter().find(|slot| slot.kind == kind).unwrap().id.to_string()
        };
        let (of_file, of_shares) = (slot(SlotKind::Keyfile), slot(SlotKind::Recovery));
        let key = place.key_of(&shares[..2]);
        place.change(&key, &Change::Remove { slot: of_file.clone() }).unwrap();
        assert!(place.store.keyring().unwrap().slot_of(&place.keyfile()).is_err());
        for (slot, says) in
            [(of_file, "no seal slot"), (of_shares, "is not removed"), (String::new(), "no seal slot")]
        {
            let refusal = place.change(&key, &Change::Remove { slot }).unwrap_err();
            assert!(refusal.what().contains(says), "{refusal}");
        }
    }
}
