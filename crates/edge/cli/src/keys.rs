//! `coffer key ..`: who can open the store.
//!
//! A running server is asked over its socket, because it holds the lock and the record of who did what. Without one, the command
//! opens the store itself and leaves the same record.
//!
//! Shares are shown once. So their files are made before the shares are, and when they cannot be written after all, the slot that they
//! would have opened is taken away again: a slot that nobody opens looks like a way back and is none.

use std::{
    fs,
    path::{Path, PathBuf},
};

use coffer_barrier::{KeyringFile, SlotInfo};
use coffer_server::{
    Complaint,
    config::Config,
    control::{self, Reply, Request, Typed},
    data_dir::{self, DataDir},
    slots::{self, Change, Changed, Wanted},
};
use coffer_types::Secret;
use serde::Serialize;

use crate::{
    Exit,
    arguments::{
        ChangeKeys, CreateCredential, CreateKeyfile, CreateOnToken, CreatePassphrase, CreateShares, KeyFiles,
        KeyStatus, ListSlots, Place, RekeyRoot, RemoveSlot,
    },
    ask::{Given, new_passphrase_typed, passphrase_from},
    configuration,
    print::{remark, say, table},
    seal::{incomplete, unexpected},
};

pub(crate) fn create_shares(arguments: &CreateShares) -> Result<Exit, Complaint> {
    let store = Target::of(&arguments.place, &arguments.key)?;
    let out = arguments.out.as_deref().map(NewDirectory::make).transpose()?;
    let (threshold, count) = arguments.shares;
    let (slot, made) = match store.change(&Change::Shares { threshold, shares: count })? {
        Outcome::Changed(Changed::Shares { slot, shares }) => (slot, shares),
        Outcome::Incomplete(exit) => return Ok(exit),
        Outcome::Changed(_) => return Err(unexpected()),
    };
    let shares = made.iter().map(|Typed(share)| share);
    match out {
        None => shares.for_each(|share| say(share.expose())),
        Some(out) => {
            let written = out.write(shares).map_err(|complaint| store.take_back(complaint, slot))?;
            written.iter().for_each(|path| say(&path.display().to_string()));
        }
    }
    remark(&format!(
        "Any {threshold} of these {count} shares open the store. Give each to another person; they are kept nowhere else."
    ));
    Ok(Exit::Done)
}

pub(crate) fn create_keyfile(arguments: &CreateKeyfile) -> Result<Exit, Complaint> {
    let store = Target::of(&arguments.place, &arguments.key)?;
    // The server has another working directory.
    let out = arguments.out.as_deref().map(std::path::absolute).transpose().map_err(|error| {
        Complaint::new("the place of the new keyfile is unclear").because(error).next("give its full path")
    })?;
    // Named in any case, so that it is the keyfile of this command line and not that of the server's.
    let path =
        out.or_else(|| arguments.place.keyfile.as_deref().and_then(|path| std::path::absolute(path).ok()));
    let (path, removed, kept) = match store.change(&Change::Keyfile { path, replace: arguments.replace })? {
        Outcome::Changed(Changed::Keyfile { path, removed, kept, .. }) => (path, removed, kept),
        Outcome::Incomplete(exit) => return Ok(exit),
        Outcome::Changed(_) => return Err(unexpected()),
    };
    say(&format!("The keyfile {} opens the store", path.display()));
    for slot in &removed {
        say(&format!(
            "  removed        slot {slot} of an earlier keyfile; a copy of that opens only older copies of the keyring"
        ));
    }
    if let Some(kept) = kept {
        say(&format!("  kept           {} still opens the store too", kept.display()));
    }
    if path != store.config.keyfile {
        say(&format!("  next           coffer server --keyfile {}", coffer_server::shell::quoted(&path)));
    }
    remark("Keep a copy of it elsewhere, and not with the data directory.");
    Ok(Exit::Done)
}

pub(crate) fn remove(arguments: &RemoveSlot) -> Result<Exit, Complaint> {
    let store = Target::of(&arguments.place, &arguments.key)?;
    match store.change(&Change::Remove { slot: arguments.slot.clone() })? {
        Outcome::Changed(Changed::Removed { slot, kind }) => {
            say(&format!(
                "The {kind} slot {slot} is gone: what opened it opens only older copies of the keyring."
            ));
            Ok(Exit::Done)
        }
        Outcome::Incomplete(exit) => Ok(exit),
        Outcome::Changed(_) => Err(unexpected()),
    }
}

pub(crate) fn create_passphrase(arguments: &CreatePassphrase) -> Result<Exit, Complaint> {
    let store = Target::of(&arguments.place, &arguments.key)?;
    let passphrase = match &arguments.new_passphrase_file {
        Some(path) => passphrase_from(path)?,
        None => new_passphrase_typed()?,
    };
    let wanted = Wanted { change: Change::Passphrase, passphrase: Some(passphrase) };
    let exit = added(store.change_to(&wanted)?)?;
    remark(
        "A server does not ask for it at its start: it waits, sealed, for coffer unseal --passphrase, unless it finds another key.",
    );
    Ok(exit)
}

pub(crate) fn create_credential(arguments: &CreateCredential) -> Result<Exit, Complaint> {
    let store = Target::of(&arguments.place, &arguments.key)?;
    let path = std::path::absolute(&arguments.out).map_err(|error| {
        Complaint::new("the place of the new key is unclear").because(error).next("give its full path")
    })?;
    let exit = added(store.change(&Change::Credential { path: path.clone() })?)?;
    let path = coffer_server::shell::quoted(&path);
    say(&format!(
        "  next           systemd-creds encrypt --name=coffer.keyfile {path} {path}.cred && shred -u {path}"
    ));
    Ok(exit)
}

pub(crate) fn create_on_token(arguments: &CreateOnToken) -> Result<Exit, Complaint> {
    let store = Target::of(&arguments.place, &arguments.key)?;
    let exit = added(store.change(&Change::Pkcs11 { generate: arguments.generate })?)?;
    remark(
        "Without the token, starts are sealed; a backup of its key, if the maker offers one, is as good as the token.",
    );
    Ok(exit)
}

pub(crate) fn create_at_kms(arguments: &ChangeKeys) -> Result<Exit, Complaint> {
    let store = Target::of(&arguments.place, &arguments.key)?;
    let exit = added(store.change(&Change::Kms)?)?;
    remark(
        "A server asks the KMS at its start; while that does not answer, the store is sealed, and any other key opens it.",
    );
    Ok(exit)
}

fn added(outcome: Outcome) -> Result<Exit, Complaint> {
    match outcome {
        Outcome::Changed(Changed::Added { slot, kind }) => {
            say(&format!("The {kind} slot {slot} opens the store too"));
            Ok(Exit::Done)
        }
        Outcome::Incomplete(exit) => Ok(exit),
        Outcome::Changed(_) => Err(unexpected()),
    }
}

pub(crate) fn status(arguments: &KeyStatus) -> Result<Exit, Complaint> {
    let (config, _) = configuration(&arguments.place.flags())?;
    let directory = DataDir::to_ask(&config.data_dir)?;
    let status = match control::ask(&directory, &Request::new(control::Command::KeyStatus))? {
        Some(Reply::Keys(status)) => status,
        Some(_) => return Err(unexpected()),
        None => {
            return Err(Complaint::new("no server runs on this store")
                .because("which records are under which key is known to a server that has them open")
                .next("coffer server, or coffer key slot list for who can open it"));
        }
    };
    if arguments.json {
        let text = serde_json::to_string_pretty(&status)
            .map_err(|error| Complaint::new("the status cannot be printed").because(error))?;
        say(&text);
        return Ok(Exit::Done);
    }
    say(&format!("Epoch {} seals what is written.", status.active_epoch));
    if !status.older_epochs.is_empty() {
        let older: Vec<_> = status.older_epochs.iter().map(u32::to_string).collect();
        say(&format!("  older          {}: kept until nothing is sealed under them", older.join(", ")));
        say(&format!("  sealed again   {} records since the start", status.records_sealed_again));
        say(&format!("  this pass      {} records looked at", status.records_seen));
    }
    if status.damaged > 0 {
        say(&format!("  damaged        {} records do not open, so the older keys stay", status.damaged));
        say("  next           coffer verify, with the server stopped");
    }
    Ok(Exit::Done)
}

pub(crate) fn rotate_epoch(arguments: &ChangeKeys) -> Result<Exit, Complaint> {
    let store = Target::of(&arguments.place, &arguments.key)?;
    match store.change(&Change::Epoch)? {
        Outcome::Changed(Changed::Epoch { epoch, is_open }) => {
            say(&format!("Epoch {epoch} seals what is written from now on."));
            let next = if is_open {
                format!("coffer key status{}", arguments.place.typed())
            } else {
                format!("coffer server{}, which seals everything else again", arguments.place.typed())
            };
            say(&format!("  next           {next}"));
            Ok(Exit::Done)
        }
        Outcome::Incomplete(exit) => Ok(exit),
        Outcome::Changed(_) => Err(unexpected()),
    }
}

pub(crate) fn rekey_root(arguments: &RekeyRoot) -> Result<Exit, Complaint> {
    let store = Target::of(&arguments.place, &arguments.keys.files())?;
    match store.change(&Change::Root)? {
        Outcome::Changed(Changed::Root { slots }) => {
            let slots =
                if slots == 1 { "the one seal slot".to_owned() } else { format!("all {slots} seal slots") };
            say(&format!("Another root key is wrapped in {slots}; their keys are the same."));
            remark("Older copies of the keyring, in backups too, still open with the old root key.");
            Ok(Exit::Done)
        }
        Outcome::Incomplete(exit) => Ok(exit),
        Outcome::Changed(_) => Err(unexpected()),
    }
}

#[derive(Serialize)]
struct Listed {
    slot: String,
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    threshold: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shares: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// The ARN of the KMS key, and where it was when the slot was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    kms_key_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<String>,
}

impl Listed {
    fn of(info: &SlotInfo, keyring: &KeyringFile) -> Self {
        let (threshold, shares) = info.shares.unzip();
        let at = keyring.kms_slots().into_iter().find(|(id, _)| *id == info.id).map(|(_, at)| at);
        let on = keyring.pkcs11_slots().into_iter().find(|(id, _)| *id == info.id).map(|(_, on)| on);
        Self {
            slot: info.id.to_string(),
            kind: info.kind.to_string(),
            threshold,
            shares,
            token: on.as_ref().map(|on| on.token().to_owned()),
            serial: on.as_ref().map(|on| on.serial().to_owned()),
            key: on.as_ref().map(|on| on.key().to_owned()),
            kms_key_id: at.as_ref().map(|at| at.key_id().to_owned()),
            endpoint: at.as_ref().map(|at| at.endpoint().to_owned()),
        }
    }

    fn row(&self) -> Vec<String> {
        let quorum = self.threshold.zip(self.shares);
        let quorum = quorum.map(|(threshold, shares)| format!("any {threshold} of {shares} shares"));
        let at = self.kms_key_id.as_ref().zip(self.endpoint.as_ref());
        let at = at.map(|(key, endpoint)| format!("{key} at {endpoint}"));
        let on = self.key.as_ref().zip(self.token.as_ref()).zip(self.serial.as_ref());
        let on = on.map(|((key, token), serial)| format!("{key} on {token} (serial {serial})"));
        vec![self.slot.clone(), self.kind.clone(), quorum.or(at).or(on).unwrap_or_default()]
    }
}

/// Who could open the store stands in the open part of the keyring.
pub(crate) fn list(arguments: &ListSlots) -> Result<Exit, Complaint> {
    let (config, _) = configuration(&arguments.place.flags())?;
    let directory = DataDir::to_ask(&config.data_dir)?;
    let keyring = KeyringFile::read(&directory.keyring())?;
    let slots: Vec<_> = keyring.slots().iter().map(|slot| Listed::of(slot, &keyring)).collect();
    let text = if arguments.json {
        serde_json::to_string_pretty(&slots)
            .map_err(|error| Complaint::new("the list cannot be printed").because(error))?
    } else {
        table(&slots.iter().map(Listed::row).collect::<Vec<_>>())
    };
    say(&text);
    Ok(Exit::Done)
}

/// The store that a command changes, and what it was given to open it with.
struct Target<'c> {
    config: Config,
    directory: DataDir,
    given: Given,
    place: &'c Place,
}

enum Outcome {
    Changed(Changed),
    /// More shares are needed, and that was said.
    Incomplete(Exit),
}

impl<'c> Target<'c> {
    fn of(place: &'c Place, key: &KeyFiles) -> Result<Self, Complaint> {
        let (config, _) = configuration(&place.flags())?;
        let directory = DataDir::to_ask(&config.data_dir)?;
        let given = Given::by_or_typed(key, &directory)?;
        Ok(Self { config, directory, given, place })
    }

    fn change(&self, change: &Change) -> Result<Outcome, Complaint> {
        self.change_to(&change.clone().into())
    }

    fn change_to(&self, wanted: &Wanted) -> Result<Outcome, Complaint> {
        let request = self.given.put_into(Request::change(wanted.change.clone()));
        let copy = |text: &Secret<String>| Typed(Secret::new(text.expose().clone()));
        let request = Request { new_passphrase: wanted.passphrase.as_ref().map(copy), ..request };
        match control::ask(&self.directory, &request)? {
            Some(Reply::Changed(changed)) => Ok(Outcome::Changed(changed)),
            Some(Reply::Progress { given, needed }) => {
                Ok(Outcome::Incomplete(incomplete("Nothing is changed yet", given, needed, self.place)))
            }
            Some(_) => Err(unexpected()),
            None => {
                let keys = self.given.keys(&self.directory)?;
                slots::change_offline(&self.config, self.directory.clone(), keys, wanted)
                    .map(Outcome::Changed)
            }
        }
    }

    /// Takes away a slot whose shares are lost, and says whether that worked.
    fn take_back(&self, complaint: Complaint, slot: String) -> Complaint {
        let next = format!("coffer key slot remove{} {slot}", self.place.typed());
        match self.change(&Change::Remove { slot }) {
            Ok(Outcome::Changed(Changed::Removed { .. })) => {
                complaint.because("no share is left, and nothing was changed")
            }
            _ => complaint
                .because("no share is left, but their slot is; it is of no use to anybody")
                .next(next),
        }
    }
}

/// A directory for shares. It goes again unless it gets them all.
struct NewDirectory<'p> {
    path: &'p Path,
    is_complete: bool,
}

impl<'p> NewDirectory<'p> {
    fn make(path: &'p Path) -> Result<Self, Complaint> {
        fs::create_dir(path).map_err(|error| {
            Complaint::new(format!("the directory {} cannot be made", path.display()))
                .because(error)
                .next("give a path that does not exist yet")
        })?;
        Ok(Self { path, is_complete: false })
    }

    fn write<'s>(
        mut self,
        shares: impl Iterator<Item = &'s Secret<String>>,
    ) -> Result<Vec<PathBuf>, Complaint> {
        let mut written = Vec::new();
        for (number, share) in (1..).zip(shares) {
            let path = self.path.join(format!("share-{number}"));
            data_dir::write_new(&path, share.expose().as_bytes()).map_err(|error| {
                Complaint::new(format!("{} cannot be written", path.display()))
                    .because(error)
                    .next("make room, and create the shares again")
            })?;
            written.push(path);
        }
        self.is_complete = true;
        Ok(written)
    }
}

impl Drop for NewDirectory<'_> {
    fn drop(&mut self) {
        if !self.is_complete {
            // It was made a moment ago and is empty but for shares that open nothing.
            drop(fs::remove_dir_all(self.path));
        }
    }
}
