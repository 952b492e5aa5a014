//! `coffer seal` and `coffer unseal`.
//!
//! Both are for a running server, and are asked of it over its socket. Shares may be given one by one, by different people at
//! different terminals: the server remembers them, and each command says how many are still missing, with an exit code of its own.

use coffer_server::{
    Complaint,
    control::{self, Command, Reply, Request},
    data_dir::DataDir,
};

use crate::{
    Exit,
    arguments::{Place, Unseal},
    ask::Given,
    configuration,
    print::{remark, say},
};

pub(crate) fn seal(place: &Place) -> Result<Exit, Complaint> {
    let (config, _) = configuration(&place.flags())?;
    let directory = DataDir::to_ask(&config.data_dir)?;
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
    let directory = DataDir::to_ask(&config.data_dir)?;
    let given = Given::by_or_typed(&arguments.key, &directory)?;
    match running(&directory, &given.put_into(Request::new(Command::Unseal)))? {
        Reply::Unsealed { missing_key } => {
            say("The store is open.");
            // Whoever opened it by hand would have to do it at each start.
            if let Some(missing) = missing_key {
                remark(&format!(
                    "{missing}, so every start is sealed\n  next           coffer key keyfile create{} --share <file> \
                     for each share, or --passphrase",
                    arguments.place.typed()
                ));
            }
            Ok(Exit::Done)
        }
        Reply::Progress { given, needed } => {
            Ok(incomplete("The store is sealed", given, needed, &arguments.place))
        }
        _ => Err(unexpected()),
    }
}

/// Says how many shares are missing, as a result: nothing went wrong.
pub(crate) fn incomplete(so_far: &str, given: usize, needed: usize, place: &Place) -> Exit {
    let missing = match needed.saturating_sub(given) {
        1 => String::from("1 more is needed"),
        more => format!("{more} more are needed"),
    };
    say(&format!("{so_far}: {given} of {needed} recovery shares given; {missing}"));
    remark(&format!(
        "They are remembered for 15 minutes.\n  next           the same command with --share <file>{}",
        place.typed()
    ));
    Exit::Incomplete
}

fn running(directory: &DataDir, request: &Request) -> Result<Reply, Complaint> {
    control::ask(directory, request)?.ok_or_else(|| {
        Complaint::new(format!("no server runs on {}", directory.path().display()))
            .because("a store is closed whenever no server runs")
            .next(format!("coffer server --data-dir {}", coffer_server::shell::quoted(directory.path())))
    })
}

pub(crate) fn unexpected() -> Complaint {
    Complaint::new("the server answered something else").next("the coffer of the same version")
}
