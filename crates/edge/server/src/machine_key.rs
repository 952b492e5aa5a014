//! The key that a machine can give without a person: a systemd credential, or the keyfile.
//!
//! Three things can be wrong with it, and they are not alike. It may be missing, or on a disk that is not mounted: then people
//! open the store, if it has a slot for them, and nobody has to touch the machine first. It may be a key of something else, or no key
//! at all: then somebody put it there on purpose, and going on without it would hide a mistake. It may be open to others: then it is
//! no secret any more. The last two end a start, with a sentence that names the file and the way on.
//!
//! Whether a key opens the store is asked of its slot, before anything is opened with it.

use std::{
    io,
    path::{Path, PathBuf},
};

use coffer_barrier::{KeyringError, KeyringFile, SlotKey, SlotKind, keyfile};
use coffer_types::Secret;

use crate::{complaint::Complaint, config::Config, durable::beside, shell::quoted};

/// What the machine has.
#[derive(Debug)]
pub enum MachineKey {
    Here(SlotKey),
    /// The store has a slot for it, but it is not there or cannot be read.
    Missing(Complaint),
    /// The store has no slot that a machine could open.
    Unused,
}

/// Looks for the key of this machine. What is there and does not fit is an error.
pub fn machine_key(keyring: &KeyringFile, config: &Config) -> Result<MachineKey, Complaint> {
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

/// The same for commands that need it; `None` if only people can open the store.
pub fn key_on_this_machine(keyring: &KeyringFile, config: &Config) -> Result<Option<SlotKey>, Complaint> {
    match machine_key(keyring, config)? {
        MachineKey::Here(key) => Ok(Some(key)),
        MachineKey::Missing(complaint) => Err(complaint),
        MachineKey::Unused => Ok(None),
    }
}

/// All keys of this machine that open the store: it may have a slot for each.
pub(crate) fn keys_of_this_machine(keyring: &KeyringFile, config: &Config) -> Vec<SlotKey> {
    let places = Place::all(keyring, config).into_iter();
    let keys = places.filter_map(|place| place.read().ok().map(|key| place.key(key)));
    keys.filter(|key| keyring.slot_of(key).is_ok()).collect()
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
        if commands.is_empty() {
            return complaint
                .because("the store has no other seal slot: nothing but its own key opens it")
                .next("put the right one in its place, or give it with --keyfile");
        }
        let away = self.path.as_deref().map(moved_away).unwrap_or_default();
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
