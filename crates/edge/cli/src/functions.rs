//! `coffer functions doctor`.

use coffer_server::{Complaint, config::Isolation, functions::abilities};

use crate::{
    Exit,
    arguments::FunctionsDoctor,
    configuration,
    print::{say, table},
};

pub(crate) fn doctor(arguments: &FunctionsDoctor) -> Result<Exit, Complaint> {
    let (config, _) = configuration(&arguments.place.flags())?;
    let found = abilities(&config.functions)?;
    let mut rows = vec![vec![String::from("WHAT"), String::from("HERE"), String::from("HOW")]];
    let mut row = |what: &str, how: Result<String, String>| {
        let (here, how) = match how {
            Ok(how) => ("yes", how),
            Err(why) => ("no", why),
        };
        rows.push(vec![what.to_owned(), here.to_owned(), how]);
    };
    let mut can_run = false;
    for (isolation, how) in found.walls {
        can_run |= how.is_ok();
        let name = match isolation {
            Isolation::Full => "isolation full",
            Isolation::Process => "isolation process",
            Isolation::Off => "isolation off",
        };
        row(name, how.map(|()| String::new()));
    }
    for (runtime, how) in found.runtimes {
        row(runtime, how.map(|found| format!("{} ({})", found.command.join(" "), found.version)));
    }
    say(&table(&rows));
    Ok(if can_run { Exit::Done } else { Exit::Failed })
}
