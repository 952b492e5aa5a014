//! `coffer admin secret-policy ..`: for the day a policy of a secret denies everybody who could take it away.

use coffer_server::{
    Complaint,
    control::{self, Command, Reply, Request},
    data_dir::DataDir,
    offline,
    secret_policy::{SecretAsked, SecretPolicy},
};

use crate::{
    Exit,
    arguments::SecretNamed,
    ask::{Given, offline_key},
    configuration,
    print::say,
    seal::{incomplete, unexpected},
};

impl SecretNamed {
    fn asked(&self) -> SecretAsked {
        SecretAsked { secret_id: self.secret.clone(), account: self.account, region: self.region.clone() }
    }
}

pub(crate) fn show(arguments: &SecretNamed) -> Result<Exit, Complaint> {
    let (config, _) = configuration(&arguments.place.flags())?;
    let directory = DataDir::to_ask(&config.data_dir)?;
    let asked = arguments.asked();
    let shown = match control::ask(&directory, &Request::of_secret(Command::SecretPolicy, &asked))? {
        Some(Reply::Policy { secret, policy }) => SecretPolicy { arn: secret, policy },
        Some(_) => return Err(unexpected()),
        None => offline::show_secret_policy(&config, offline_key(&arguments.key, &directory)?, &asked)?,
    };
    say(&shown.policy.unwrap_or_else(|| none(&shown.arn)));
    Ok(Exit::Done)
}

pub(crate) fn remove(arguments: &SecretNamed) -> Result<Exit, Complaint> {
    let (config, _) = configuration(&arguments.place.flags())?;
    let directory = DataDir::to_ask(&config.data_dir)?;
    let asked = arguments.asked();
    let given = Given::by(&arguments.key)?;
    let request = given.put_into(Request::of_secret(Command::SecretPolicyRemove, &asked));
    let (arn, is_removed) = match control::ask(&directory, &request)? {
        Some(Reply::Removed { secret, policy }) => (secret, policy),
        Some(Reply::Progress { given, needed }) => {
            return Ok(incomplete("Nothing is changed yet", given, needed, &arguments.place));
        }
        Some(_) => return Err(unexpected()),
        None => offline::remove_secret_policy(&config, given.key(&directory)?, &asked)?,
    };
    say(&if is_removed { format!("The policy is removed\n  secret  {arn}") } else { none(&arn) });
    Ok(Exit::Done)
}

fn none(arn: &str) -> String {
    format!("The secret has no policy\n  secret  {arn}")
}
