//! `coffer admin key create`: for the day the administrator's key is lost.
//!
//! Whoever may command the server, or open the store, may do everything to it anyway; this command gives them no more than
//! that, and puts on record that they took it.

use coffer_server::{
    Complaint,
    administrator::issue_key_offline,
    control::{self, Command, Reply, Request},
    data_dir::DataDir,
};

use crate::{Exit, arguments::CreateKey, ask::offline_key, configuration, print::say};

pub(crate) fn create_key(arguments: &CreateKey) -> Result<Exit, Complaint> {
    let (config, _) = configuration(&arguments.place.flags())?;
    let directory = DataDir::to_ask(&config.data_dir)?;
    let path = match control::ask(&directory, &Request::new(Command::AdminKey))? {
        Some(Reply::Filed { path }) => path,
        Some(_) => {
            return Err(
                Complaint::new("the server answered something else").next("the coffer of the same version")
            );
        }
        None => issue_key_offline(&config, offline_key(&arguments.key, &directory)?)?,
    };
    say(&format!(
        "The administrator has another key\n  administrator  {}\n  next           coffer profile install{}",
        path.display(),
        arguments.place.typed()
    ));
    Ok(Exit::Done)
}
