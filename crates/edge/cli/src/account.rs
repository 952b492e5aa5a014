//! `coffer account ..`: the accounts of a store.
//!
//! A running server is asked over its socket. Without one, the command opens the store itself and leaves the same record.

use coffer_server::{
    Complaint,
    accounts::{Account, New},
    control::{self, Command, Reply, Request},
    data_dir::DataDir,
    offline,
};
use coffer_types::AccountId;

use crate::{
    Exit,
    arguments::{CreateAccount, ListAccounts},
    ask::offline_key,
    configuration,
    print::{say, table},
    seal::unexpected,
};

/// What a user reads where a list has nothing to show.
const NOTHING: &str = "-";

pub(crate) fn create(arguments: &CreateAccount) -> Result<Exit, Complaint> {
    let (config, _) = configuration(&arguments.place.flags())?;
    let directory = DataDir::to_ask(&config.data_dir)?;
    let new = New { id: arguments.id, name: arguments.name.clone() };
    let request =
        Request { name: new.name.clone(), ..Request::new(Command::AccountCreate).of_account(new.id) };
    let (account, path) = match control::ask(&directory, &request)? {
        Some(Reply::Created { account, path }) => (account, path),
        Some(_) => return Err(unexpected()),
        None => {
            let key = offline_key(&arguments.key, &directory)?;
            let (account, path) = offline::create_account(&config, key, &new)?;
            (account.to_string(), path)
        }
    };
    let name = new.name.map(|name| format!(" ({name})")).unwrap_or_default();
    say(&format!(
        "The account {account}{name} is made\n  administrator  {}\n  \
         next           coffer profile install{} --account {account} --name <profile>",
        path.display(),
        arguments.place.typed()
    ));
    Ok(Exit::Done)
}

pub(crate) fn list(arguments: &ListAccounts) -> Result<Exit, Complaint> {
    let (config, _) = configuration(&arguments.place.flags())?;
    let directory = DataDir::to_ask(&config.data_dir)?;
    let accounts = match control::ask(&directory, &Request::new(Command::AccountList))? {
        Some(Reply::Accounts(accounts)) => accounts,
        Some(_) => return Err(unexpected()),
        None => offline::accounts(&config, offline_key(&arguments.key, &directory)?)?,
    };
    let text = if arguments.json {
        serde_json::to_string_pretty(&accounts)
            .map_err(|error| Complaint::new("the list cannot be printed").because(error))?
    } else {
        table(&accounts.iter().map(row).collect::<Vec<_>>())
    };
    say(&text);
    Ok(Exit::Done)
}

/// Id, name, when it was made, and the key of its administrator while the file is there.
fn row(account: &Account) -> Vec<String> {
    let or_nothing = |text: Option<String>| text.unwrap_or_else(|| NOTHING.to_owned());
    let key = if account.empty {
        String::from("no administrator yet")
    } else {
        or_nothing(account.key_file.as_ref().map(|path| path.display().to_string()))
    };
    let first = account.first.then(|| String::from("(first)"));
    vec![
        account.id.clone(),
        or_nothing(account.name.clone().or(first)),
        or_nothing(account.created_at.clone()),
        key,
    ]
}

/// As it is typed on the command line.
pub(crate) fn parse(text: &str) -> Result<AccountId, String> {
    text.parse().map_err(|_| String::from("an account id is 12 digits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_what_is_known() {
        let account = Account {
            id: String::from("111122223333"),
            name: None,
            created_at: None,
            first: true,
            empty: false,
            key_file: None,
        };
        assert_eq!(row(&account), ["111122223333", "(first)", "-", "-"]);
        let other = Account {
            name: Some(String::from("team b")),
            created_at: Some(String::from("2026-01-01T00:00:00Z")),
            first: false,
            empty: true,
            ..account
        };
        assert_eq!(row(&other), ["111122223333", "team b", "2026-01-01T00:00:00Z", "no administrator yet"]);
    }

    #[test]
    fn an_id_is_twelve_digits() {
        assert_eq!(parse("111122223333").unwrap().as_str(), "111122223333");
        for bad in ["", "1111-2222-3333", "11112222333", "1111222233334", "１１１１２２２２３３３３"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
