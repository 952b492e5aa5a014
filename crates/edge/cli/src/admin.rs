//! `coffer admin ..`: for the day an administrator's key is lost, and the day his policies have locked him out.
//!
//! Whoever may command the server, or open the store, may do everything to it anyway; these commands give them no more than
//! that, and put on record that they took it.

use std::path::Path;

use coffer_server::{
    Complaint,
    control::{self, Command, Reply, Request},
    data_dir::DataDir,
    offline,
};
use coffer_types::AccountId;

use crate::{
    Exit,
    arguments::{CreateKey, Place, ResetAdministrator},
    ask::{Given, offline_key},
    configuration,
    print::say,
    seal::{incomplete, unexpected},
};

pub(crate) fn create_key(arguments: &CreateKey) -> Result<Exit, Complaint> {
    let (config, _) = configuration(&arguments.place.flags())?;
    let directory = DataDir::to_ask(&config.data_dir)?;
    let account = arguments.account;
    let path = match control::ask(&directory, &Request::new(Command::AdminKey).of_account(account))? {
        Some(Reply::Filed { path }) => path,
        Some(_) => return Err(unexpected()),
        None => offline::issue_key(&config, offline_key(&arguments.key, &directory)?, account)?,
    };
    filed("The administrator has another key", &path, account, &arguments.place);
    Ok(Exit::Done)
}

pub(crate) fn reset(arguments: &ResetAdministrator) -> Result<Exit, Complaint> {
    let (config, _) = configuration(&arguments.place.flags())?;
    let directory = DataDir::to_ask(&config.data_dir)?;
    let account = arguments.account;
    let given = Given::by(&arguments.key)?;
    let request = given.put_into(Request::new(Command::AdminReset).of_account(account));
    let path = match control::ask(&directory, &request)? {
        Some(Reply::Filed { path }) => path,
        Some(Reply::Progress { given, needed }) => {
            return Ok(incomplete("Nothing is changed yet", given, needed, &arguments.place));
        }
        Some(_) => return Err(unexpected()),
        None => offline::reset(&config, given.key(&directory)?, account)?,
    };
    filed("The administrator may do everything again, with another key", &path, account, &arguments.place);
    Ok(Exit::Done)
}

fn filed(what: &str, path: &Path, account: Option<AccountId>, place: &Place) {
    let account = account.map(|account| format!(" --account {account}")).unwrap_or_default();
    say(&format!(
        "{what}\n  administrator  {}\n  next           coffer profile install{}{account}",
        path.display(),
        place.typed()
    ));
}
