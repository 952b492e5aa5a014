//! Commands about accounts, administrators and policies of secrets, on a store that no server runs on.
//!
//! They do what a running server would do, with the key that was given or that lies on this machine, and leave the same record.

use std::path::PathBuf;

use coffer_barrier::{KeyringFile, SlotKey};
use coffer_sys::effective_uid;
use coffer_types::AccountId;

use crate::{
    accounts::{Account, Deployment, New},
    administrator::{self, Undoes, ensure_quorum},
    complaint::Complaint,
    config::Config,
    data_dir::DataDir,
    lifecycle::runtime,
    open::{Store, key_on_this_machine, local_caller, record_local},
    secret_policy::{self, REMOVE, SecretAsked, SecretPolicy},
    world,
};

pub fn create_account(
    config: &Config,
    key: Option<SlotKey>,
    new: &New,
) -> Result<(AccountId, PathBuf), Complaint> {
    with_store(config, key, "coffer account create", async |deployment| {
        administrator::create_account(&deployment, new, effective_uid()).await
    })
}

pub fn accounts(config: &Config, key: Option<SlotKey>) -> Result<Vec<Account>, Complaint> {
    with_store(config, key, "coffer account list", async |deployment| {
        let caller = local_caller(deployment.core.world(), deployment.first, config.region.clone());
        record_local(deployment.core, &caller, "ListAccounts", effective_uid(), Vec::new()).await?;
        deployment.accounts().await
    })
}

pub fn issue_key(
    config: &Config,
    key: Option<SlotKey>,
    account: Option<AccountId>,
) -> Result<PathBuf, Complaint> {
    with_store(config, key, "coffer admin key create", async |deployment| {
        administrator::issue_key(&deployment, account, effective_uid()).await
    })
}

pub fn reset(
    config: &Config,
    key: Option<SlotKey>,
    account: Option<AccountId>,
) -> Result<PathBuf, Complaint> {
    let directory = DataDir::existing(&config.data_dir)?;
    let keyring = KeyringFile::read(&directory.keyring())?;
    ensure_quorum(&keyring, key.as_ref(), Undoes::Administrator)?;
    with_store(config, key, "coffer admin reset", async |deployment| {
        administrator::reset(&deployment, account, effective_uid()).await
    })
}

pub fn show_secret_policy(
    config: &Config,
    key: Option<SlotKey>,
    asked: &SecretAsked,
) -> Result<SecretPolicy, Complaint> {
    with_store(config, key, "coffer admin secret-policy show <secret>", async |deployment| {
        secret_policy::show(&deployment, asked, effective_uid()).await
    })
}

pub fn remove_secret_policy(
    config: &Config,
    key: Option<SlotKey>,
    asked: &SecretAsked,
) -> Result<(String, bool), Complaint> {
    let directory = DataDir::existing(&config.data_dir)?;
    ensure_quorum(&KeyringFile::read(&directory.keyring())?, key.as_ref(), Undoes::SecretPolicy)?;
    with_store(config, key, REMOVE, async |deployment| {
        secret_policy::remove(&deployment, asked, effective_uid()).await
    })
}

/// Opens the store, has the work done and closes it. `command` is what to type again with a key, if there is none on this machine.
fn with_store<T>(
    config: &Config,
    key: Option<SlotKey>,
    command: &str,
    work: impl AsyncFnOnce(Deployment<'_>) -> Result<T, Complaint>,
) -> Result<T, Complaint> {
    let directory = DataDir::existing(&config.data_dir)?;
    let world = world::system(&directory.audit());
    let store = Store::take(directory, config.free_floor_bytes, &world)?;
    let keyring = store.keyring()?;
    let first = store.account(config.account, keyring.store_id())?;
    let key = match key {
        Some(key) => key,
        None => key_on_this_machine(&keyring, config, &world.clock)?.ok_or_else(|| {
            Complaint::new("the store has no key on this machine")
                .because("it opens with a passphrase or with recovery shares")
                .next(format!("{command} --passphrase-file <file>, or --share <file> for each share"))
        })?,
    };
    runtime()?.block_on(async {
        let core = store.open_core(&world, &key)?;
        let region = &config.region;
        let deployment = Deployment { core: &core, directory: store.directory(), first, region };
        let done = work(deployment).await;
        let closed = core.shut_down().map_err(|error| {
            Complaint::new("the audit log could not be synced")
                .because(error)
                .next("check the disk, then try again")
        });
        let done = done?;
        closed.map(|()| done)
    })
}
