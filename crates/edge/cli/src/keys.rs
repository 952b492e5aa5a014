//! `coffer seal`, `coffer unseal`, `coffer key shares create`.
//!
//! A running server is asked over its socket, because it holds the lock and the record of who did what. Shares can also be made
//! while no server runs.

use std::path::Path;

use coffer_barrier::{KeyringFile, SlotKind};
use coffer_server::{
    Complaint,
    config::Config,
    control::{self, Command, Reply, Request, Typed},
    data_dir::{self, DataDir},
    open::{Store, key_on_this_machine},
    world,
};
use coffer_types::Secret;

use crate::{
    Exit,
    arguments::{CreateShares, Place, Unseal},
    ask::{passphrase_from, passphrase_typed, share_from},
    configuration,
    print::{remark, say},
};

pub(crate) fn seal(place: &Place) -> Result<Exit, Complaint> {
    let (config, _) = configuration(&place.flags())?;
    let directory = DataDir::existing(&config.data_dir)?;
    match running(&directory, &Request::new(Command::Seal))? {
        Reply::Sealed { keys_wiped: true } => say("The store is sealed; no key is left in memory."),
        Reply::Sealed { keys_wiped: false } => {
            say(
                "The store is sealed; requests that had begun are finishing, and the keys go with the last of them.",
            );
        }
        _ => return Err(unexpected()),
    }
    Ok(Exit::Done)
}

pub(crate) fn unseal(arguments: &Unseal) -> Result<Exit, Complaint> {
    let (config, _) = configuration(&arguments.place.flags())?;
    let directory = DataDir::existing(&config.data_dir)?;
    let mut last = None;
    for request in requests(arguments, &directory)? {
        last = Some(running(&directory, &request)?);
        if matches!(last, Some(Reply::Unsealed)) {
            break;
        }
    }
    match last {
        Some(Reply::Unsealed) => {
            say("The store is open.");
            Ok(Exit::Done)
        }
        Some(Reply::Progress { given, needed }) => Err(Complaint::new("the store is sealed")
            .because(format!(
                "{given} of {needed} recovery shares given; {}",
                missing(needed.saturating_sub(given))
            ))
            .next("coffer unseal --share <file>")),
        _ => Err(unexpected()),
    }
}

fn missing(count: usize) -> String {
    if count == 1 { String::from("1 more is needed") } else { format!("{count} more are needed") }
}

/// One request for each thing that was given.
fn requests(arguments: &Unseal, directory: &DataDir) -> Result<Vec<Request>, Complaint> {
    let with = |passphrase: Option<Secret<String>>, share: Option<Secret<String>>| Request {
        passphrase: passphrase.map(Typed),
        share: share.map(Typed),
        ..Request::new(Command::Unseal)
    };
    if let Some(path) = &arguments.key.passphrase_file {
        return Ok(vec![with(Some(passphrase_from(path)?), None)]);
    }
    if !arguments.key.share.is_empty() {
        let shares = arguments.key.share.iter().map(|path| Ok(with(None, Some(share_from(path)?))));
        return shares.collect();
    }
    // The server knows where its keyfile is; whether there is a slot for one stands in the open part of the keyring.
    let slots = KeyringFile::read(&directory.keyring())?.slots();
    if slots.iter().any(|slot| matches!(slot.kind, SlotKind::Keyfile | SlotKind::Systemd)) {
        Ok(vec![with(None, None)])
    } else {
        Ok(vec![with(Some(passphrase_typed()?), None)])
    }
}

pub(crate) fn create_shares(arguments: &CreateShares) -> Result<Exit, Complaint> {
    let (config, _) = configuration(&arguments.place.flags())?;
    let directory = DataDir::existing(&config.data_dir)?;
    if let Some(out) = &arguments.out {
        // Before the slot is made: shares that cannot be written would be lost.
        std::fs::create_dir(out).map_err(|error| {
            Complaint::new(format!("the directory {} cannot be made", out.display()))
                .because(error)
                .next("give a path that does not exist yet")
        })?;
    }
    let request = Request { quorum: Some(arguments.shares), ..Request::new(Command::Shares) };
    let shares: Vec<Secret<String>> = match control::ask(&directory, &request)? {
        Some(Reply::Shares(shares)) => shares.into_iter().map(|Typed(share)| share).collect(),
        Some(_) => return Err(unexpected()),
        None => offline_shares(directory, &config, arguments.shares)?,
    };
    let (threshold, count) = arguments.shares;
    match &arguments.out {
        Some(out) => write_shares(out, &shares)?,
        None => shares.iter().for_each(|share| say(share.expose())),
    }
    remark(&format!(
        "Any {threshold} of these {count} shares open the store. Give each to another person; they are kept nowhere else."
    ));
    Ok(Exit::Done)
}

fn offline_shares(
    directory: DataDir,
    config: &Config,
    (threshold, count): (u8, u8),
) -> Result<Vec<Secret<String>>, Complaint> {
    let key = key_on_this_machine(&KeyringFile::read(&directory.keyring())?, config)?.ok_or_else(|| {
        Complaint::new("the store has no key on this machine")
            .next("start the server, unseal it, and repeat the command")
    })?;
    let world = world::system(&directory.audit());
    Store::take(directory, config.free_floor_bytes, &world)?.add_recovery(&world, &key, threshold, count)
}

fn write_shares(out: &Path, shares: &[Secret<String>]) -> Result<(), Complaint> {
    for (number, share) in (1..).zip(shares) {
        let path = out.join(format!("share-{number}"));
        data_dir::write_new(&path, share.expose().as_bytes()).map_err(|error| {
            Complaint::new(format!("{} cannot be written", path.display()))
                .because(error)
                .next("make room and create another set of shares; this one is incomplete")
        })?;
        say(&path.display().to_string());
    }
    Ok(())
}

fn running(directory: &DataDir, request: &Request) -> Result<Reply, Complaint> {
    control::ask(directory, request)?.ok_or_else(|| {
        Complaint::new(format!("no server runs on {}", directory.path().display()))
            .because("a store is closed whenever no server runs")
            .next(format!("coffer server --data-dir {}", directory.path().display()))
    })
}

fn unexpected() -> Complaint {
    Complaint::new("the server answered something else").next("the coffer of the same version")
}
