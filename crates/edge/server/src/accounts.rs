//! The accounts of a store: the one that its first start makes, and those that are made by command.
//!
//! An account is a world of its own, since everything that is stored lies in a partition of one account. What the store knows of all of
//! them together is this register and nothing else. It lies in the partition of the first account that belongs to no region. Keys
//! begin with the number of their table, so that which account is the first can be seen without a key, while the store is sealed.
//!
//! INVARIANT: an account is in the register before anything else of it is stored. Its administrator is made afterwards, because two
//! partitions are two transactions. A crash in between leaves an account with nothing in it; the list says so, and the same command
//! once more, or a reset, gives it its administrator.

use std::{fs, ops::ControlFlow, path::PathBuf, sync::Arc};

use coffer_core::{Core, Cx, EventKind, Examined, Listed, Place, Record, ServiceEvent, Walk, table};
use coffer_shape::{Action, ApiError};
use coffer_store::{KeyRange, Partition};
use coffer_types::{AccountId, Entropy, Region, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    complaint::Complaint,
    data_dir::DataDir,
    open::{LOCAL, local_caller},
};

/// Ours: each account has tasks in each of its regions, and all of them are listed at once.
const ACCOUNTS_MAX: usize = 1_000;
/// As AWS has it for the accounts of an organization.
const NAME_LEN_MAX: usize = 50;
/// Account ids of AWS do not begin with a zero, and some tools drop one.
const FIRST_NUMBER: u64 = 100_000_000_000;
const NUMBERS: u64 = 900_000_000_000;
const DRAWS_MAX: usize = 8;

const LIST: Action = Action("organizations:ListAccounts");

table! {
    0x0003 "account", version 1, key (id), part;

    /// An account, in the partition of the first one.
    #[derive(Clone)]
    pub struct AccountRecord {
        pub id: String,
        pub name: Option<String>,
        pub created_at: Timestamp,
    }
}

impl AccountRecord {
    /// Where such records lie in a partition.
    pub(crate) fn range() -> KeyRange {
        KeyRange::prefix(&Self::TABLE.id.to_be_bytes())
    }
}

/// In the order in which they were made.
impl Listed for AccountRecord {
    const ORDERS: usize = 1;

    fn place(&self, _: usize) -> Place<'_> {
        Place { number: Some(self.created_at.millis()), text: "", tie: &self.id }
    }
}

impl Examined for AccountRecord {
    fn shown(&self) -> &str {
        &self.id
    }

    fn contradictions(&self) -> Vec<&'static str> {
        if self.id.parse::<AccountId>().is_ok() { Vec::new() } else { vec!["an account whose id is none"] }
    }
}

/// An open store, and which of its accounts is the first.
#[derive(Debug, Clone, Copy)]
pub struct Deployment<'d> {
    pub core: &'d Core,
    pub directory: &'d DataDir,
    pub first: AccountId,
    /// Where clients are told to go.
    pub region: &'d Region,
}

/// What somebody wants an account to be.
#[derive(Debug, Clone, Default)]
pub struct New {
    /// Drawn if none is given.
    pub id: Option<AccountId>,
    pub name: Option<String>,
}

impl New {
    /// Refuses a name that could not be told from others, or spoils a list.
    fn check(&self) -> Result<(), Complaint> {
        let is_good = |name: &String| {
            let printable = name.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
            printable && (1..=NAME_LEN_MAX).contains(&name.len()) && name.trim() == name
        };
        if self.name.as_ref().is_none_or(is_good) {
            return Ok(());
        }
        Err(Complaint::new("the account cannot have this name")
            .because("it is for people, and stands in lists")
            .next(format!("1 to {NAME_LEN_MAX} printable ASCII characters, with no space at either end")))
    }
}

/// An account as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub id: String,
    pub name: Option<String>,
    /// Not known of the first account of a store that is older than the register.
    pub created_at: Option<String>,
    /// It was made by the first start of the store.
    pub first: bool,
    /// Nothing is stored of it: its administrator was never made.
    pub empty: bool,
    /// The file with a key of its administrator, while it is there.
    pub key_file: Option<PathBuf>,
}

/// What became of a request to register.
enum Registered {
    /// New, or left without an administrator by an earlier attempt.
    Empty,
    Taken,
    Full,
}

impl Deployment<'_> {
    /// Does something in the partition of the register, in the name of whoever works on this machine.
    async fn at_register<T>(
        &self,
        run: impl Fn(&mut Cx<'_>) -> Result<T, ApiError> + Sync,
    ) -> Result<T, Complaint> {
        let caller = local_caller(self.core.world(), self.first, Region::global());
        self.core.run_local(&caller, run).await.map_err(|error| {
            Complaint::new("the register of accounts could not be used")
                .because(error.cause.as_deref().map_or_else(|| error.to_string(), ToString::to_string))
                .next("coffer doctor")
        })
    }

    /// Whether the first start of the store has come to its end. Stores from before the register do not know.
    pub(crate) async fn is_registered(&self) -> Result<bool, Complaint> {
        self.is_known(self.first).await
    }

    async fn is_known(&self, account: AccountId) -> Result<bool, Complaint> {
        self.at_register(|cx| Ok(cx.part::<AccountRecord>(&[account.as_str()])?.is_some())).await
    }

    /// Lets the store know its first account, if it was made before there was a register.
    pub(crate) async fn register_first(&self) -> Result<(), Complaint> {
        self.at_register(register_first).await
    }

    /// Every account, the oldest first.
    pub async fn accounts(&self) -> Result<Vec<Account>, Complaint> {
        let listed = self.at_register(|cx| {
            let permit = cx.ask_all::<AccountRecord>(LIST)?;
            let mut records = Vec::new();
            cx.walk(permit, Walk::default(), &mut |account: &Arc<AccountRecord>| {
                records.push(Arc::clone(account));
                ControlFlow::Continue(())
            })?;
            Ok(records)
        });
        let (records, present) = (listed.await?, self.present()?);
        let mut accounts: Vec<_> = records.iter().map(|record| self.shown(record, &present)).collect();
        if !accounts.iter().any(|account| account.first) {
            let id = self.first.to_string();
            let older = AccountRecord { id, ..AccountRecord::default() };
            accounts.insert(0, Account { created_at: None, ..self.shown(&older, &present) });
        }
        Ok(accounts)
    }

    fn shown(&self, record: &AccountRecord, present: &[AccountId]) -> Account {
        let id = record.id.parse::<AccountId>().ok();
        let key_file = id.map(|id| self.key_file(id)).filter(|path| fs::symlink_metadata(path).is_ok());
        Account {
            id: record.id.clone(),
            name: record.name.clone(),
            created_at: Some(record.created_at.to_iso_seconds()),
            first: id == Some(self.first),
            empty: id.is_none_or(|id| !present.contains(&id)),
            key_file,
        }
    }

    /// Accounts of which anything is stored.
    fn present(&self) -> Result<Vec<AccountId>, Complaint> {
        let partitions = self.core.db().engine().partitions().map_err(|error| {
            Complaint::new("the accounts cannot be looked up").because(error).next("coffer doctor")
        })?;
        let mut present: Vec<_> = partitions.into_iter().map(|(partition, _)| partition.account).collect();
        present.dedup();
        Ok(present)
    }

    /// Where a key of the administrator of an account is written to.
    pub(crate) fn key_file(&self, account: AccountId) -> PathBuf {
        if account == self.first {
            self.directory.credentials()
        } else {
            self.directory.credentials_of(account)
        }
    }

    /// The account that is meant: the first if none is named. One that is not in the register is refused.
    pub(crate) async fn known(&self, named: Option<AccountId>) -> Result<AccountId, Complaint> {
        let Some(account) = named.filter(|account| *account != self.first) else { return Ok(self.first) };
        if self.is_known(account).await? {
            return Ok(account);
        }
        Err(Complaint::new(format!("there is no account {account}")).next("coffer account list"))
    }

    /// Refuses an id of which anything is stored, whoever registered it.
    pub(crate) fn ensure_free(&self, id: AccountId) -> Result<(), Complaint> {
        if self.present()?.contains(&id) { Err(taken(id)) } else { Ok(()) }
    }

    /// Enters an account into the register, and answers its id. It has no administrator yet.
    pub(crate) async fn register(&self, new: &New, uid: u32) -> Result<AccountId, Complaint> {
        new.check()?;
        self.register_first().await?;
        let Some(id) = new.id else { return self.register_drawn(new, uid).await };
        match self.enter(id, new, uid).await? {
            Registered::Empty => Ok(id),
            Registered::Full => Err(full()),
            Registered::Taken => Err(taken(id)),
        }
    }

    async fn register_drawn(&self, new: &New, uid: u32) -> Result<AccountId, Complaint> {
        for _ in 0..DRAWS_MAX {
            let id = draw(self.core.world().entropy.as_ref());
            match self.enter(id, new, uid).await? {
                Registered::Empty => return Ok(id),
                Registered::Full => return Err(full()),
                Registered::Taken => {}
            }
        }
        Err(Complaint::new("no free account id was found").next("choose one with --id"))
    }

    async fn enter(&self, id: AccountId, new: &New, uid: u32) -> Result<Registered, Complaint> {
        let present = self.present()?;
        self.at_register(|cx| {
            let known = cx.part::<AccountRecord>(&[id.as_str()])?;
            // What is stored of an account that nobody registered is nobody's to be given.
            if present.contains(&id) {
                return Ok(Registered::Taken);
            }
            if known.is_some() {
                return Ok(Registered::Empty);
            }
            if cx.count::<AccountRecord>()? >= ACCOUNTS_MAX {
                return Ok(Registered::Full);
            }
            let mut details = vec![("account", id.to_string())];
            details.extend(new.name.clone().map(|name| ("name", name)));
            record(cx, "CreateAccount", uid, details);
            save(cx, id, new.name.clone())?;
            Ok(Registered::Empty)
        })
        .await
    }
}

/// Enters the account of this call, as the first start does.
pub(crate) fn register_first(cx: &mut Cx<'_>) -> Result<(), ApiError> {
    let first = cx.account();
    if cx.part::<AccountRecord>(&[first.as_str()])?.is_some() {
        return Ok(());
    }
    save(cx, first, None)
}

fn save(cx: &mut Cx<'_>, id: AccountId, name: Option<String>) -> Result<(), ApiError> {
    cx.save(AccountRecord { id: id.to_string(), name, created_at: cx.now() })
}

/// Puts a command on record in the transaction that carries it out.
pub(crate) fn record(cx: &mut Cx<'_>, name: &'static str, uid: u32, details: Vec<(&'static str, String)>) {
    let uid = [("uid", uid.to_string())];
    let details = uid.into_iter().chain(details).collect();
    cx.record_event(ServiceEvent { kind: EventKind::Local, source: LOCAL, name, details });
}

fn draw(entropy: &dyn Entropy) -> AccountId {
    let mut drawn = [0; 8];
    entropy.fill(&mut drawn);
    numbered(u64::from_be_bytes(drawn))
}

/// An account id for any number.
pub(crate) fn numbered(number: u64) -> AccountId {
    AccountId::from_number(FIRST_NUMBER + number % NUMBERS).unwrap_or(AccountId::DEV)
}

fn taken(id: AccountId) -> Complaint {
    Complaint::new(format!("there is an account {id} already"))
        .because("it keeps what it has, and nobody is given a key to it by making it again")
        .next(format!(
            "coffer account list; for a key of its administrator: coffer admin key create --account {id}"
        ))
}

fn full() -> Complaint {
    Complaint::new(format!("the store has {ACCOUNTS_MAX} accounts already, which is all it may have"))
        .next("another store, with its own --data-dir")
}

/// Which of the accounts of a store is the first, as its engine knows it: the one whose partition holds the register. A store from
/// before there was one has a single account.
pub(crate) fn first_of(
    present: &[AccountId],
    holds_register: &mut dyn FnMut(&Partition) -> Result<bool, Complaint>,
) -> Result<Option<AccountId>, Complaint> {
    if let [_, _, ..] = present {
        for account in present {
            if holds_register(&Partition::new(*account, Region::global()))? {
                return Ok(Some(*account));
            }
        }
    }
    Ok(present.first().copied())
}

#[cfg(test)]
mod tests;
