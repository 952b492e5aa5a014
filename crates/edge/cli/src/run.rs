//! `coffer server`, `coffer dev` and `coffer init`: what they print once they are done with their start.
//!
//! The first line is for people and for scripts alike: it says that the server is ready, and where. No line has a secret in it;
//! the administrator's key is in a file, and the line says which.

use coffer_barrier::{SlotKey, SlotKind};
use coffer_server::{
    Complaint,
    config::{CREDENTIAL, Config, Flags},
    lifecycle::{self, Ready},
    open::With,
};
use coffer_sys::HardeningLine;

use crate::{
    Exit,
    arguments::{Dev, Init, Place, Server},
    ask::{new_passphrase_typed, passphrase_from},
    configuration,
    print::say,
};

/// Guessing costs a second each, which helps a passphrase and saves no password.
const PASSPHRASE_BYTES_MIN: usize = 12;

pub(crate) fn server(arguments: &Server, hardening: Vec<HardeningLine>) -> Result<Exit, Complaint> {
    let flags = Flags { listen: arguments.listen, ..arguments.place.flags() };
    let (config, _) = configuration(&flags)?;
    lifecycle::server(&config, hardening, |ready| say(&welcome(ready, &config, &arguments.place)))?;
    Ok(Exit::Done)
}

pub(crate) fn dev(arguments: &Dev) -> Result<Exit, Complaint> {
    lifecycle::dev(&Config::dev(arguments.listen)?, |ready| say(&dev_welcome(ready)))?;
    Ok(Exit::Done)
}

pub(crate) fn init(arguments: &Init) -> Result<Exit, Complaint> {
    let (config, _) = configuration(&arguments.place.flags())?;
    let with = if arguments.kms { With::Kms } else { With::Key(first_passphrase(arguments)?) };
    let (account, is_new) = lifecycle::init(&config, with)?;
    let place = config.data_dir.display();
    let flags = arguments.place.typed();
    say(&if is_new {
        let then =
            if arguments.kms { String::new() } else { format!("then           coffer unseal{flags}\n  ") };
        format!(
            "The store at {place} is set up (account {account})\n  administrator  {place}/bootstrap/credentials\n  \
             next           coffer server{flags}\n  \
             {then}recovery       coffer key shares create{flags}"
        )
    } else {
        format!(
            "The store at {place} was set up before (account {account})\n  next           coffer server{flags}"
        )
    });
    Ok(Exit::Done)
}

fn first_passphrase(arguments: &Init) -> Result<SlotKey, Complaint> {
    let passphrase = match &arguments.passphrase_file {
        Some(path) => passphrase_from(path)?,
        None => new_passphrase_typed()?,
    };
    if passphrase.len() < PASSPHRASE_BYTES_MIN {
        return Err(Complaint::new("the passphrase is too short")
            .because(format!("it opens everything, so it has at least {PASSPHRASE_BYTES_MIN} characters"))
            .next("a sentence of five or six words"));
    }
    Ok(SlotKey::Passphrase(passphrase))
}

fn welcome(ready: &Ready, config: &Config, place: &Place) -> String {
    let flags = place.typed();
    let state = if ready.is_sealed { "sealed" } else { "ready" };
    let mut text = format!(
        "Coffer is {state} on {} (account {}, region {})",
        ready.endpoint, ready.account, ready.region
    );
    let mut line = |name: &str, says: String| text.push_str(&format!("\n  {name:<14} {says}"));
    if let Some(credentials) = &ready.credentials {
        line("administrator", credentials.display().to_string());
    }
    if let Some(authority) = &ready.ca_bundle {
        line("authority", authority.display().to_string());
    }
    if let Some(missing) = &ready.missing_key {
        line("key", format!("{} ({})", missing.what(), missing.reasons().join("; ")));
    }
    // At every start, until there is another way in.
    if !ready.has_slot(SlotKind::Recovery) {
        if ready.has_slot(SlotKind::Keyfile) && ready.missing_key.is_none() {
            line(
                "keyfile",
                format!(
                    "{} (keep a copy elsewhere: without it the store stays closed)",
                    config.keyfile.display()
                ),
            );
        }
        if ready.has_slot(SlotKind::Systemd) && ready.missing_key.is_none() {
            line(
                "keyfile",
                format!(
                    "the systemd credential {CREDENTIAL} (keep a copy of its file elsewhere: without it the store stays closed)"
                ),
            );
        }
        if !ready.is_sealed {
            line("recovery", format!("coffer key shares create{flags}"));
        }
    }
    if ready.is_sealed {
        for way in ways_to_unseal(ready) {
            line("next", format!("coffer unseal{flags}{way}"));
        }
        if !ready.has_slot(SlotKind::Recovery) {
            // A sealed server makes no shares.
            line("then", format!("coffer key shares create{flags}"));
        }
    } else if ready.credentials.is_some() {
        line(
            "next",
            format!("coffer profile install{flags} && aws --profile coffer secretsmanager list-secrets"),
        );
    }
    text
}

/// The flags that say what a person opens the store with.
fn ways_to_unseal(ready: &Ready) -> Vec<&'static str> {
    let ways = [(SlotKind::Recovery, " --share <file>"), (SlotKind::Passphrase, " --passphrase")];
    ways.into_iter().filter(|(kind, _)| ready.has_slot(*kind)).map(|(_, way)| way).collect()
}

fn dev_welcome(ready: &Ready) -> String {
    let Ready { endpoint, account, region, .. } = ready;
    format!(
        "Coffer dev is ready on {endpoint} (account {account}, region {region})\n  \
         credentials    any, such as test and test; nothing is kept\n  \
         empty it       curl -X POST {endpoint}/_coffer/reset\n  \
         next           aws --endpoint-url {endpoint} --region {region} secretsmanager list-secrets"
    )
}
