//! The key that a machine can give without a person: a systemd credential, the keyfile, or what a token or a KMS decrypts for it.
//!
//! Three things can be wrong with it, and they are not alike. It may be missing, or on a disk that is not mounted: then people
//! open the store, if it has a slot for them, and nobody has to touch the machine first. It may be a key of something else, or no key
//! at all: then somebody put it there on purpose, and going on without it would hide a mistake. It may be open to others: then it is
//! no secret any more. The last two end a start, with a sentence that names the file and the way on. A KMS that does not answer, or
//! refuses, is like a disk that is not mounted.
//!
//! Whether a key opens the store is asked of its slot, before anything is opened with it.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use coffer_barrier::{KeyringError, KeyringFile, KmsSlot, Pkcs11Slot, SlotId, SlotKey, SlotKind, keyfile};
use coffer_types::{Clock, Secret};

use crate::{complaint::Complaint, config::Config, durable::beside, kms_seal::wait_for, shell::quoted};

/// What the machine has.
#[derive(Debug)]
pub enum MachineKey {
    Here(SlotKey),
    /// The store has a slot for it, but it is not there or cannot be read, or a KMS does not give it.
    Missing(Complaint),
    /// The store has no slot that a machine could open.
    Unused,
}

/// Looks for the key of this machine: its files first, as a KMS is far. What is there and does not fit is an error.
pub fn machine_key(
    keyring: &KeyringFile,
    config: &Config,
    clock: &Arc<dyn Clock>,
) -> Result<MachineKey, Complaint> {
    let missing = match file_key(keyring, config)? {
        MachineKey::Here(key) => return Ok(MachineKey::Here(key)),
        MachineKey::Missing(complaint) => Some(complaint),
        MachineKey::Unused => None,
    };
    let missing = match (key_on_token(keyring, config), missing) {
        (Some(Ok(key)), _) => return Ok(MachineKey::Here(key)),
        (Some(Err(token)), Some(file)) => {
            Some(file.because(token.what()).because(token.reasons().join("; ")))
        }
        (Some(Err(token)), None) => Some(token),
        (None, file) => file,
    };
    let missing = match (key_at_kms(keyring, config, clock), missing) {
        (Some(Ok(key)), _) => return Ok(MachineKey::Here(key)),
        (Some(Err(far)), Some(near)) => Some(near.because(far.what()).because(far.reasons().join("; "))),
        (Some(Err(far)), None) => Some(far),
        (None, near) => near,
    };
    Ok(missing.map_or(MachineKey::Unused, MachineKey::Missing))
}

/// The same of the files alone.
fn file_key(keyring: &KeyringFile, config: &Config) -> Result<MachineKey, Complaint> {
    let mut missing = None;
    for place in Place::all(keyring, config) {
        match place.read() {
            Ok(key) => {
                let key = place.key(key);
                keyring.slot_of(&key).map_err(|error| place.does_not_fit(error, keyring))?;
                return Ok(MachineKey::Here(key));
            }
            Err(KeyringError::KeyfileReading { source, .. }) => {
                missing.get_or_insert_with(|| place.missing(&source, keyring));
            }
            Err(error) => return Err(place.is_no_key(error, keyring)),
        }
    }
    Ok(missing.map_or(MachineKey::Unused, MachineKey::Missing))
}

/// The key of this machine for commands that need it; `None` if only people can open the store.
pub fn key_on_this_machine(
    keyring: &KeyringFile,
    config: &Config,
    clock: &Arc<dyn Clock>,
) -> Result<Option<SlotKey>, Complaint> {
    match machine_key(keyring, config, clock)? {
        MachineKey::Here(key) => Ok(Some(key)),
        MachineKey::Missing(complaint) => Err(complaint),
        MachineKey::Unused => Ok(None),
    }
}

/// The first key that a KMS gives back, or why none does; `None` if the store has no slot at one.
fn key_at_kms(
    keyring: &KeyringFile,
    config: &Config,
    clock: &Arc<dyn Clock>,
) -> Option<Result<SlotKey, Complaint>> {
    if keyring.kms_slots().is_empty() {
        return None;
    }
    Some(wait_for(ask_kms(keyring, config, clock)))
}

/// The first key that a token gives back, or why none does; `None` if the store has no slot on one.
fn key_on_token(keyring: &KeyringFile, config: &Config) -> Option<Result<SlotKey, Complaint>> {
    let mut first = None;
    for (slot, at) in keyring.pkcs11_slots() {
        match of_token(keyring, config, slot, &at) {
            Ok(key) => return Some(Ok(key)),
            Err(complaint) => {
                first.get_or_insert(complaint);
            }
        }
    }
    first.map(Err)
}

fn of_token(
    keyring: &KeyringFile,
    config: &Config,
    slot: SlotId,
    at: &Pkcs11Slot,
) -> Result<SlotKey, Complaint> {
    let token = config.token_seal.as_ref().ok_or_else(|| {
        Complaint::new("the configuration has no token to open the store with")
            .because(format!(
                "its seal slot is of the key {} on {} (serial {})",
                at.key(),
                at.token(),
                at.serial()
            ))
            .next("`[seal.pkcs11]` in the configuration, with module, token, key and pin")
    })?;
    let key = token.unwrap(keyring.store_id(), slot, at)?;
    keyring.slot_of(&key)?;
    Ok(key)
}

/// Asks the KMS for the key of each slot until one is there that opens its slot.
pub(crate) async fn ask_kms(
    keyring: &KeyringFile,
    config: &Config,
    clock: &Arc<dyn Clock>,
) -> Result<SlotKey, Complaint> {
    let slots = keyring.kms_slots();
    let mut first = None;
    for (slot, at) in &slots {
        let Some(kms) = &config.kms_seal else { return Err(no_kms(at)) };
        let asked = kms.unwrap(clock, keyring.store_id(), *slot, at).await;
        match asked.and_then(|key| Ok(keyring.slot_of(&key).map(|_| key)?)) {
            Ok(key) => return Ok(key),
            Err(complaint) => {
                first.get_or_insert(complaint);
            }
        }
    }
    Err(first.unwrap_or_else(|| Complaint::new("the store has no seal slot at a KMS")))
}

fn no_kms(at: &KmsSlot) -> Complaint {
    Complaint::new("the configuration has no KMS to open the store with")
        .because(format!("its seal slot is of the key {}, which was at {}", at.key_id(), at.endpoint()))
        .next("`[seal.kms]` in the configuration, with endpoint, key and credentials")
}

/// Whether a KMS that does not answer now may open the store later.
pub(crate) fn may_come_from_kms(keyring: &KeyringFile, config: &Config) -> bool {
    config.kms_seal.is_some() && !keyring.kms_slots().is_empty()
}

/// All keys of this machine that open the store: it may have a slot for each. Keys at a KMS are asked for, and one that does not come is a
/// complaint, because who wants all would be told that nobody gave it.
pub(crate) fn keys_of_this_machine(
    keyring: &KeyringFile,
    config: &Config,
    clock: &Arc<dyn Clock>,
) -> Result<Vec<SlotKey>, Complaint> {
    let places = Place::all(keyring, config).into_iter();
    let keys = places.filter_map(|place| place.read().ok().map(|key| place.key(key)));
    let mut keys: Vec<_> = keys.filter(|key| keyring.slot_of(key).is_ok()).collect();
    for (slot, at) in keyring.pkcs11_slots() {
        keys.push(of_token(keyring, config, slot, &at)?);
    }
    for (slot, at) in keyring.kms_slots() {
        let kms = config.kms_seal.as_ref().ok_or_else(|| no_kms(&at))?;
        let key = wait_for(kms.unwrap(clock, keyring.store_id(), slot, &at))?;
        keyring.slot_of(&key)?;
        keys.push(key);
    }
    Ok(keys)
}

/// How people open a store, as commands; empty if it has no slot for them.
pub fn people_open_with(keyring: &KeyringFile) -> Vec<&'static str> {
    let has = |kind| keyring.slots().iter().any(|slot| slot.kind == kind);
    let recovery = has(SlotKind::Recovery).then_some("coffer unseal --share <file>");
    let passphrase = has(SlotKind::Passphrase).then_some("coffer unseal --passphrase");
    recovery.into_iter().chain(passphrase).collect()
}

/// Where a key may lie.
struct Place {
    kind: SlotKind,
    /// A credential that systemd was not asked for has none.
    path: Option<PathBuf>,
}

impl Place {
    fn all(keyring: &KeyringFile, config: &Config) -> Vec<Self> {
        [
            Self { kind: SlotKind::Systemd, path: config.credential.clone() },
            Self { kind: SlotKind::Keyfile, path: Some(config.keyfile.clone()) },
        ]
        .into_iter()
        .filter(|place| keyring.slots().iter().any(|slot| slot.kind == place.kind))
        .collect()
    }

    fn read(&self) -> Result<Secret<[u8; 32]>, KeyringError> {
        match (&self.path, self.kind) {
            (Some(path), SlotKind::Systemd) => keyfile::read_credential(path),
            (Some(path), _) => keyfile::read(path),
            (None, _) => Err(KeyringError::KeyfileReading {
                path: PathBuf::new(),
                source: io::Error::new(io::ErrorKind::NotFound, "systemd gave this process none"),
            }),
        }
    }

    const fn key(&self, key: Secret<[u8; 32]>) -> SlotKey {
        match self.kind {
            SlotKind::Systemd => SlotKey::Systemd(key),
            _ => SlotKey::Keyfile(key),
        }
    }

    fn named(&self) -> String {
        let what = if self.kind == SlotKind::Systemd { "the systemd credential" } else { "the keyfile" };
        self.path.as_ref().map_or_else(|| what.to_owned(), |path| format!("{what} {}", path.display()))
    }

    fn missing(&self, source: &io::Error, keyring: &KeyringFile) -> Complaint {
        let how = if source.kind() == io::ErrorKind::NotFound { "is missing" } else { "cannot be read" };
        let complaint = Complaint::new(format!("{} {how}", self.named())).because(source);
        match people_open_with(keyring).as_slice() {
            [] if !keyring.kms_slots().is_empty() => complaint.next("the KMS of the other seal slot"),
            [] => complaint.because("the store has no other seal slot: nothing else opens it").next(
                if self.kind == SlotKind::Systemd {
                    "start it as the unit that has LoadCredential=coffer.keyfile"
                } else {
                    "put it back from its copy, or give its place with --keyfile"
                },
            ),
            commands => complaint.next(commands.join(", or ")),
        }
    }

    fn does_not_fit(&self, error: KeyringError, keyring: &KeyringFile) -> Complaint {
        match error {
            KeyringError::WrongKey { .. } => self.way_on(
                Complaint::new(format!("{} does not open this store", self.named()))
                    .because("it is a key, but of another store, or its slot was taken away"),
                keyring,
            ),
            other => other.into(),
        }
    }

    fn is_no_key(&self, error: KeyringError, keyring: &KeyringFile) -> Complaint {
        match error {
            KeyringError::KeyfileContent { .. } => self.way_on(
                Complaint::new(format!("{} is no key", self.named()))
                    .because("it holds neither 64 hexadecimal digits nor exactly 32 bytes"),
                keyring,
            ),
            other => other.into(),
        }
    }

    /// What to do with a file that is in the way.
    fn way_on(&self, complaint: Complaint, keyring: &KeyringFile) -> Complaint {
        let commands = people_open_with(keyring);
        if commands.is_empty() && keyring.kms_slots().is_empty() {
            return complaint
                .because("the store has no other seal slot: nothing but its own key opens it")
                .next("put the right one in its place, or give it with --keyfile");
        }
        let away = self.path.as_deref().map(moved_away).unwrap_or_default();
        if commands.is_empty() {
            return complaint
                .because("once it is moved away, the KMS of the other seal slot is asked")
                .next(away);
        }
        complaint
            .because(format!(
                "once it is moved away, the server starts sealed, and this opens it: {}",
                commands.join(", or ")
            ))
            .next(away)
    }
}

fn moved_away(path: &Path) -> String {
    format!("mv {} {}", quoted(path), quoted(&beside(path, "other")))
}
