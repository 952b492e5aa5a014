//! From a data directory to an open store, and the first start.
//!
//! The first start is a row of steps, each durable before the next begins, and each finished by the next start if the power
//! goes in between:
//!
//! 1. the engine takes the lock and makes an empty store;
//! 2. the keyfile, unless one is there: it may open other stores too, so it is used and never replaced;
//! 3. the keyring, in one rename. A store that holds anything and has no keyring is never given a new one;
//! 4. the mark of the keyring in the store, which from then on is opened with no other;
//! 5. the administrator's key as `bootstrap/credentials.new`, synced;
//! 6. the administrator in the store: one commit;
//! 7. `credentials.new` becomes `credentials`.
//!
//! Stopped before 6, the next start throws `credentials.new` away, which no store ever accepted. Stopped after 6, it
//! does step 7. So there is never an administrator whose key nobody has, and never a file with a key that does not work.
//!
//! A store with an administrator is never given another one, and neither is one that holds any record.

use std::{
    fmt, fs, io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use coffer_barrier::{
    Barrier, Keyring, KeyringError, KeyringFile, NewSlot, Previous, SlotInfo, SlotKey, keyfile,
};
use coffer_core::{
    AuditEndRecord, AuditLog, Caller, Core, Db, EventKind, Registry, Retention, ServiceEvent, World,
};
use coffer_crypto::{PassphraseCost, sha256};
use coffer_store::{Dir, Engine, EngineError, MemoryEngine, Read, SqliteEngine, SqliteOptions};
use coffer_types::{AccountId, Region, RequestId, Secret};
use tokio::time::timeout;

use crate::{
    accounts::{AccountRecord, Deployment, first_of, numbered},
    administrator::make_administrator,
    belonging::{Belonging, refuse_older},
    complaint::Complaint,
    config::Config,
    data_dir::DataDir,
    epochs::{Keeper, Open, OpenKeys},
    machine_key::{MachineKey, machine_key, may_come_from_kms, people_open_with},
    remains::{refuse_remains, remains},
    slots::{AtKms, ensure_apart, write_keyfile},
    verify,
};

pub use crate::machine_key::key_on_this_machine;

/// Written into the store, so that it is never opened as another kind of store.
pub(crate) const MARK: &str = "production";
/// Who acts when a command is given on this machine.
pub const LOCAL: &str = "coffer.local";
/// In memory the oldest segment goes as a whole, so segments are small.
const DEV_SEGMENT_BYTES: u64 = 1 << 20;
/// What a guess at the passphrase costs on this machine, and what opening the store with it does.
pub(crate) const PASSPHRASE_TIME: Duration = Duration::from_secs(1);
/// A KMS that answers at all does so sooner.
const KMS_WAIT_AT_START: Duration = Duration::from_secs(2);

/// Everything we serve.
pub fn registry() -> Registry {
    let mut registry = Registry::default();
    coffer_iam::register(&mut registry);
    coffer_kms::register(&mut registry);
    coffer_secretsmanager::register(&mut registry);
    coffer_cloudtrail::register(&mut registry);
    coffer_lambda::register(&mut registry);
    coffer_logs::register(&mut registry);
    registry.keep_packages();
    registry.examine::<AuditEndRecord>();
    registry.examine::<AccountRecord>();
    registry
}

/// A new, empty store in memory, with keys that nobody else ever has.
pub fn dev_core(world: &World) -> io::Result<Core> {
    let barrier = Arc::new(Barrier::ephemeral(Arc::clone(&world.entropy)));
    let audit = AuditLog::open(world, Arc::clone(&barrier))?.with_segment_bytes(DEV_SEGMENT_BYTES);
    assemble(registry(), Arc::new(MemoryEngine::new()), barrier, audit, world)
}

fn assemble(
    registry: Registry,
    engine: Arc<dyn Engine>,
    barrier: Arc<Barrier>,
    audit: AuditLog,
    world: &World,
) -> io::Result<Core> {
    let db = Db::new(engine, barrier, Arc::clone(&world.entropy))?;
    Ok(Core::new(registry, db, audit, world.clone()))
}

/// The files of a store: locked, and still sealed.
pub struct Store {
    pub(crate) open: Open,
    directory: DataDir,
    engine: Arc<SqliteEngine>,
    /// Nothing lets the audit log keep everything.
    retention: Option<Retention>,
    /// Changes of the keyring take turns.
    pub(crate) keyring_turn: Arc<Mutex<()>>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl Store {
    /// Takes the directory for this process, making the store if there is none.
    pub fn take(directory: DataDir, free_floor_bytes: u64, world: &World) -> Result<Self, Complaint> {
        directory.ensure_free()?;
        refuse_remains(&directory)?;
        let free_space = Arc::new(|path: &Path| coffer_sys::free_space_bytes(path));
        let mut options = SqliteOptions::new(MARK, Arc::clone(&world.clock), free_space);
        options.free_floor_bytes = free_floor_bytes;
        let engine = SqliteEngine::open(directory.path(), options, world.entropy.as_ref())
            .map_err(|error| unopened(&directory, &error))?;
        directory.furnish()?;
        let (engine, open, keyring_turn) = (Arc::new(engine), Open::default(), Arc::default());
        Ok(Self { open, directory, engine, retention: None, keyring_turn })
    }

    /// Lets the audit log of this store retire what is too old or too much.
    #[must_use]
    pub const fn retiring(mut self, retention: Retention) -> Self {
        self.retention = Some(retention);
        self
    }

    pub const fn directory(&self) -> &DataDir {
        &self.directory
    }

    pub fn engine(&self) -> Arc<dyn Engine> {
        Arc::clone(&self.engine) as Arc<dyn Engine>
    }

    pub fn keyring(&self) -> Result<KeyringFile, KeyringError> {
        KeyringFile::read(&self.directory.keyring())
    }

    /// Opens the keyring with a key and puts the core on top.
    pub fn open_core(&self, world: &World, key: &SlotKey) -> Result<Core, Complaint> {
        // A change that is still under way would leave this one with keys of yesterday.
        let _turn = self.keyring_turn.lock().unwrap_or_else(PoisonError::into_inner);
        let sealed = self.keyring()?;
        let belonging = self.belonging()?;
        belonging.refuse_stranger(&sealed, &self.directory)?;
        let keyring = self.unsealed(&sealed, key, world)?;
        let barrier = Arc::new(keyring.barrier());
        if let Some(mark) = belonging.refuse_forgery(&barrier, &self.directory)? {
            self.engine.add_keyring_mark(&mark).map_err(|error| unopened(&self.directory, &error))?;
        }
        self.remember_age(&keyring)?;
        let open = Arc::new(OpenKeys::new(
            self.directory.keyring(),
            Arc::clone(&self.keyring_turn),
            &keyring,
            Arc::clone(&barrier),
            Arc::clone(&world.entropy),
        ));
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&open);
        let mut registry = registry();
        registry.keep_epochs(Keeper(open));
        let audit = AuditLog::open(world, Arc::clone(&barrier)).map(|audit| match self.retention {
            Some(retention) => audit.with_retention(retention),
            None => audit,
        });
        audit.and_then(|audit| assemble(registry, self.engine(), barrier, audit, world)).map_err(|error| {
            Complaint::new(format!("the audit log in {} cannot be opened", self.directory.audit().display()))
                .because(error)
                .next("check the disk, then start again")
        })
    }

    /// Opens a keyring of this store, unless the store has gone on since.
    pub(crate) fn unsealed(
        &self,
        sealed: &KeyringFile,
        key: &SlotKey,
        world: &World,
    ) -> Result<Keyring, Complaint> {
        let keyring = sealed.unseal(key, Arc::clone(&world.entropy))?;
        refuse_older(self.known_age()?.as_deref(), &keyring, self.directory.keyring())?;
        Ok(keyring)
    }

    /// Before anything is sealed under a new epoch, and after the keyring that has it is on the disk: a crash in between leaves a keyring that
    /// is newer than the store knows, which is good.
    pub(crate) fn remember_age(&self, keyring: &Keyring) -> Result<(), Complaint> {
        let age = keyring.age().to_bytes();
        if self.known_age()?.as_ref() == Some(&age) {
            return Ok(());
        }
        self.engine.set_keyring_age(&age).map_err(|error| unopened(&self.directory, &error))
    }

    fn known_age(&self) -> Result<Option<Vec<u8>>, Complaint> {
        self.engine.keyring_age().map_err(|error| unopened(&self.directory, &error))
    }

    fn belonging(&self) -> Result<Belonging, Complaint> {
        let mark = self.engine.keyring_mark().map_err(|error| unopened(&self.directory, &error))?;
        Ok(Belonging::new(mark, self.has_records()?))
    }

    fn has_records(&self) -> Result<bool, Complaint> {
        self.engine
            .partitions()
            .map(|found| !found.is_empty())
            .map_err(|error| unopened(&self.directory, &error))
    }

    /// The first account of this store: the one it was set up for, the configured one, or one that follows from its id.
    pub fn account(
        &self,
        configured: Option<AccountId>,
        store_id: &[u8; 16],
    ) -> Result<AccountId, Complaint> {
        let unopened = |error: EngineError| unopened(&self.directory, &error);
        let partitions = self.engine.partitions().map_err(unopened)?;
        let global = Region::global();
        let present: Vec<_> = partitions
            .iter()
            .filter(|(place, _)| place.region == global)
            .map(|(place, _)| place.account)
            .collect();
        let first = first_of(&present, &mut |partition| {
            let page = self.engine.scan(partition, &AccountRecord::range(), Dir::Forward, 1, Read::Latest);
            Ok(!page.map_err(unopened)?.entries.is_empty())
        })?;
        match (configured, first) {
            (Some(account), Some(first)) if account != first => {
                Err(Complaint::new(format!("the store is not of account {account}"))
                    .because(format!("it was set up for account {first}"))
                    .next(format!("account = \"{first}\" in the configuration, or another --data-dir")))
            }
            (_, Some(account)) | (Some(account), None) => Ok(account),
            (None, None) => Ok(account_of(store_id)),
        }
    }
}

/// What stands in the way of opening the engine, as a person should hear it.
pub(crate) fn unopened(directory: &DataDir, error: &EngineError) -> Complaint {
    let complaint = Complaint::new(format!("the store at {} cannot be opened", directory.path().display()));
    if let EngineError::LogDamaged(damage) = error {
        return complaint.because(error).next(verify::after_damage(damage, directory)).as_damage();
    }
    let next = match error {
        EngineError::Full { .. } => "free some space on its disk, then start again",
        EngineError::Corrupt { .. } => "restore the last good backup into another directory",
        EngineError::IncompatibleFormat { .. } => "the version of coffer that wrote the store",
        _ => "check owner, mode and mount of the directory, then start again",
    };
    let complaint = complaint.because(error).next(next);
    if matches!(error, EngineError::Corrupt { .. }) { complaint.as_damage() } else { complaint }
}

/// Looks random, and is the same for the same store.
fn account_of(store_id: &[u8; 16]) -> AccountId {
    let mut text = b"coffer account ".to_vec();
    text.extend_from_slice(store_id);
    numbered(sha256(&text).first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes)))
}

/// How a start ended.
#[derive(Debug)]
pub enum Opened {
    Core(Box<Core>),
    /// Only people can open this store now: with a passphrase, or with recovery shares. If a key of the machine could have, this
    /// says why it could not.
    Sealed(Option<Complaint>),
}

/// An open or sealed store, and what the start did.
#[derive(Debug)]
pub struct Start {
    pub opened: Opened,
    pub account: AccountId,
    /// Who can open it.
    pub slots: Vec<SlotInfo>,
    /// This start made the administrator.
    pub is_first: bool,
}

/// What a start opens the store with. The first seal slot of a new store is made for it.
#[derive(Debug)]
pub enum With {
    /// The key of this machine; for a new store the systemd credential, or else a keyfile.
    Machine,
    Key(SlotKey),
    /// The KMS of the configuration, also for a new store.
    Kms,
}

/// Opens the store and makes what a new one lacks.
pub async fn start(store: &Store, config: &Config, world: &World, with: With) -> Result<Start, Complaint> {
    let keyring = match store.keyring() {
        Ok(keyring) => keyring,
        Err(KeyringError::Missing { path }) => {
            let remains = remains(store.directory())?;
            let records = store.has_records()?.then(|| String::from("a store that holds records"));
            if let Some(found) = records.or_else(|| remains.into_iter().next()) {
                return Err(Complaint::new(format!("there is no keyring at {}", path.display()))
                    .because(format!("there is {found}, which nothing but its keyring opens"))
                    .next("put the keyring back from keyring.previous or from a backup"));
            }
            make_keyring(&path, config, world, &with)?
        }
        Err(error) => return Err(error.into()),
    };
    store.belonging()?.refuse_stranger(&keyring, store.directory())?;
    let account = store.account(config.account, keyring.store_id())?;
    let slots = keyring.slots();
    let sealed = |why| Start { opened: Opened::Sealed(why), account, slots: slots.clone(), is_first: false };
    let may_come = may_come_from_kms(&keyring, config);
    let key = match with {
        With::Key(key) => key,
        With::Machine | With::Kms => match key_at_start(store, config, world, may_come).await? {
            MachineKey::Here(key) => key,
            MachineKey::Missing(complaint) if people_open_with(&keyring).is_empty() && !may_come => {
                return Err(complaint);
            }
            MachineKey::Missing(complaint) => return Ok(sealed(Some(complaint))),
            MachineKey::Unused => return Ok(sealed(None)),
        },
    };
    let core = store.open_core(world, &key)?;
    let deployment =
        Deployment { core: &core, directory: store.directory(), first: account, region: &config.region };
    let is_first = make_administrator(&deployment).await?;
    Ok(Start { opened: Opened::Core(Box::new(core)), account, slots, is_first })
}

/// The key of this machine. A start waits a moment for a KMS, and somebody else waits for it later.
async fn key_at_start(
    store: &Store,
    config: &Config,
    world: &World,
    may_come: bool,
) -> Result<MachineKey, Complaint> {
    let keyring = store.keyring()?;
    let Some(kms) = config.kms_seal.as_ref().filter(|_| may_come) else {
        return machine_key(&keyring, config, &world.clock);
    };
    let (config, clock) = (config.clone(), Arc::clone(&world.clock));
    let looking = tokio::task::spawn_blocking(move || machine_key(&keyring, &config, &clock));
    match timeout(KMS_WAIT_AT_START, looking).await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => Err(Complaint::new("the key of this machine cannot be looked for").because(error)),
        Err(_) => Ok(MachineKey::Missing(
            Complaint::new(format!("the KMS at {} has not answered yet", kms.endpoint()))
                .next("check that it runs, and that this machine reaches it"),
        )),
    }
}

fn make_keyring(path: &Path, config: &Config, world: &World, with: &With) -> Result<KeyringFile, Complaint> {
    let make = |slot: NewSlot<'_>| Keyring::create(slot, Arc::clone(&world.entropy));
    let keyring = match (with, &config.credential) {
        (With::Key(SlotKey::Passphrase(passphrase)), _) => {
            let cost = PassphraseCost::calibrated(world.clock.as_ref(), PASSPHRASE_TIME);
            make(NewSlot::Passphrase { passphrase, cost })
        }
        (With::Key(SlotKey::Keyfile(key)), _) => make(NewSlot::Keyfile(key)),
        (With::Key(SlotKey::Systemd(key)), _) => make(NewSlot::Systemd(key)),
        (With::Key(SlotKey::Recovery { .. } | SlotKey::Pkcs11 { .. } | SlotKey::Kms { .. }), _) => {
            return Err(Complaint::new("such a key belongs to a store, and there is none yet")
                .next("make the store first, then coffer key shares create, coffer key pkcs11 create or coffer key kms create"));
        }
        (With::Kms, _) => {
            // The slot is bound to the id of the store, so the store comes first, with a slot that is never written.
            let mut keyring = make(NewSlot::Keyfile(&keyfile::random(world.entropy.as_ref())));
            let passing: Vec<_> = keyring.slots().iter().map(|slot| slot.id).collect();
            AtKms::make(keyring.store_id(), config, world)?.add_to(&mut keyring)?;
            for slot in passing {
                keyring.remove_slot(slot)?;
            }
            keyring
        }
        (With::Machine, Some(credential)) => make(NewSlot::Systemd(&keyfile::read_credential(credential)?)),
        (With::Machine, None) => make(NewSlot::Keyfile(&keyfile_or_new(config, world)?)),
    };
    keyring.save(path, Previous::Keep)?;
    Ok(KeyringFile::read(path)?)
}

fn keyfile_or_new(config: &Config, world: &World) -> Result<Secret<[u8; 32]>, Complaint> {
    let path = config.keyfile.as_path();
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        // What may not be looked at may be there.
        _ => return Ok(keyfile::read(path)?),
    }
    ensure_apart(path, &config.data_dir)?;
    let key = keyfile::random(world.entropy.as_ref());
    write_keyfile(path, &key)?;
    Ok(key)
}

/// A caller for what Coffer does on behalf of whoever works on this machine.
pub fn local_caller(world: &World, account: AccountId, region: Region) -> Caller {
    Caller::service(account, region, LOCAL, RequestId::random(world.entropy.as_ref()))
}

/// Puts on record what somebody on this machine is about to do, or has done.
pub(crate) async fn record_local(
    core: &Core,
    caller: &Caller,
    name: &'static str,
    uid: u32,
    details: Vec<(&'static str, String)>,
) -> Result<(), Complaint> {
    let uid = [("uid", uid.to_string())];
    let details = uid.into_iter().chain(details).collect();
    let event = ServiceEvent { kind: EventKind::Local, source: LOCAL, name, details };
    let recorded = core.run_local(caller, |cx| {
        cx.record_event(event.clone());
        Ok(())
    });
    recorded.await.map_err(|error| {
        Complaint::new("the command cannot be put on record, so it is not carried out")
            // What a client would be told says nothing, and whoever works on this machine may know.
            .because(error.cause.as_deref().map_or_else(|| error.to_string(), ToString::to_string))
            .next("check the disk of the data directory")
    })
}

#[cfg(test)]
mod tests {
    use coffer_crypto::SystemEntropy;

    use super::*;
    use crate::{
        config::{Flags, Home},
        world,
    };

    struct Place {
        root: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Self {
            Self { root: tempfile::tempdir().unwrap() }
        }

        fn config(&self) -> Config {
            let root = self.root.path();
            let home = Home {
                data_directory: root.join("data"),
                config_directory: root.join("config"),
                ..Home::default()
            };
            Config::read(&Flags::default(), &home).unwrap()
        }

        fn store(&self) -> (Store, World) {
            let directory = DataDir::prepare(&self.config().data_dir).unwrap();
            let world = world::system(&directory.audit());
            (Store::take(directory, 0, &world).unwrap(), world)
        }

        async fn start(&self) -> Result<Start, String> {
            let (store, world) = self.store();
            start(&store, &self.config(), &world, With::Machine)
                .await
                .map_err(|complaint| complaint.to_string())
        }

        fn credentials(&self) -> String {
            fs::read_to_string(self.root.path().join("data/bootstrap/credentials")).unwrap()
        }
    }

    fn stop(start: Start) -> AccountId {
        if let Opened::Core(core) = start.opened {
            core.shut_down().unwrap();
        }
        start.account
    }

    #[tokio::test]
    async fn the_first_start_makes_everything_and_later_ones_nothing() {
        let place = Place::new();
        let first = place.start().await.unwrap();
        assert!(first.is_first);
        let account = stop(first);
        let credentials = place.credentials();
        assert!(credentials.contains(&format!("# account = {account}\n")), "{credentials}");
        for _ in 0..2 {
            let later = place.start().await.unwrap();
            assert!(!later.is_first);
            assert_eq!((stop(later), place.credentials()), (account, credentials.clone()));
        }
    }

    #[tokio::test]
    async fn a_start_that_stopped_before_the_commit_is_begun_again() {
        let place = Place::new();
        let (store, world) = place.store();
        make_keyring(&store.directory().keyring(), &place.config(), &world, &With::Machine).unwrap();
        let stale = store.directory().bootstrap().join("credentials.new");
        crate::durable::write_new(&stale, b"aws_access_key_id = AKIAAAAAAAAAAAAAAAAA\n").unwrap();
        drop(store);
        let start = place.start().await.unwrap();
        assert!(start.is_first && !stale.exists());
        assert!(!place.credentials().contains("AKIAAAAAAAAAAAAAAAAA"));
        stop(start);
    }

    #[tokio::test]
    async fn a_start_that_stopped_after_the_commit_is_finished() {
        let place = Place::new();
        stop(place.start().await.unwrap());
        let credentials = place.credentials();
        let bootstrap = place.root.path().join("data/bootstrap");
        fs::rename(bootstrap.join("credentials"), bootstrap.join("credentials.new")).unwrap();
        let start = place.start().await.unwrap();
        assert!(!start.is_first);
        assert_eq!(place.credentials(), credentials);
        stop(start);
    }

    #[tokio::test]
    async fn a_lost_keyring_is_not_replaced() {
        let place = Place::new();
        stop(place.start().await.unwrap());
        let keyring = place.root.path().join("data/keyring");
        fs::remove_file(&keyring).unwrap();
        let refusal = place.start().await.unwrap_err();
        assert!(refusal.contains("no keyring") && refusal.contains("backup"), "{refusal}");
        assert!(!keyring.exists());
    }

    /// Makes the keyring of one place, and its keyfile, those of another.
    fn take_over(from: &Place, to: &Place) {
        let copy = |from: &Path, to: &Path| assert!(fs::copy(from, to).is_ok());
        copy(&from.root.path().join("data/keyring"), &to.root.path().join("data/keyring"));
        copy(&from.config().keyfile, &to.config().keyfile);
    }

    #[tokio::test]
    async fn a_store_is_not_opened_with_the_keyring_of_another() {
        let (other, place) = (Place::new(), Place::new());
        stop(other.start().await.unwrap());
        stop(place.start().await.unwrap());
        let credentials = place.root.path().join("data/bootstrap/credentials");
        let ours = fs::read(place.root.path().join("data/keyring")).unwrap();
        let our_key = fs::read(place.config().keyfile).unwrap();
        take_over(&other, &place);
        for _ in 0..2 {
            let refusal = place.start().await.unwrap_err();
            assert!(
                refusal.contains("is of another store") && refusal.contains("keyring.previous"),
                "{refusal}"
            );
            if credentials.exists() {
                fs::remove_file(&credentials).unwrap();
            }
        }
        assert!(!credentials.exists(), "nobody was made administrator");
        let world = world::ephemeral();
        let verified = verify::verify(&place.config(), &world, None, verify::Names::Hidden).unwrap_err();
        assert!(verified.what().contains("is of another store"), "{verified}");
        let (directory, world) = (DataDir::existing(&place.config().data_dir).unwrap(), world::ephemeral());
        let findings = crate::doctor::of_resting_files(&place.config(), &directory, &world);
        assert!(findings.iter().any(|finding| finding.says.contains("is of another store")), "{findings:?}");

        crate::durable::replace(&place.root.path().join("data/keyring"), &ours, 0o600).unwrap();
        crate::durable::replace(&place.config().keyfile, &our_key, 0o600).unwrap();
        stop(place.start().await.unwrap());
    }

    #[tokio::test]
    async fn nobody_is_made_administrator_of_a_store_with_records() {
        let place = Place::new();
        let (store, world) = place.store();
        make_keyring(&store.directory().keyring(), &place.config(), &world, &With::Machine).unwrap();
        let key = SlotKey::Keyfile(keyfile::read(&place.config().keyfile).unwrap());
        let core = store.open_core(&world, &key).unwrap();
        let account = numbered(0);
        let caller = local_caller(&world, account, Region::global());
        core.run_local(&caller, |cx| coffer_iam::create_administrator(cx, "somebody").map(drop))
            .await
            .unwrap();
        let region = place.config().region;
        let elsewhere =
            Deployment { core: &core, directory: store.directory(), first: numbered(1), region: &region };
        let made = make_administrator(&elsewhere).await;
        assert!(made.unwrap_err().to_string().contains("holds records"));
        assert!(!store.directory().credentials().exists());
    }

    #[tokio::test]
    async fn a_wrong_keyfile_changes_nothing() {
        let place = Place::new();
        stop(place.start().await.unwrap());
        let read = |name: &str| fs::read(place.root.path().join(name)).unwrap();
        let (keyring, credentials) = (read("data/keyring"), read("data/bootstrap/credentials"));
        fs::remove_file(place.config().keyfile).unwrap();
        let missing = place.start().await.unwrap_err();
        assert!(missing.contains("keyfile") && missing.contains("try:"), "{missing}");
        assert!(!place.config().keyfile.exists());
        keyfile::create(&place.config().keyfile, &SystemEntropy).unwrap();
        let wrong = place.start().await.unwrap_err();
        assert!(wrong.contains("does not open this store"), "{wrong}");
        assert_eq!((read("data/keyring"), read("data/bootstrap/credentials")), (keyring, credentials));
    }

    #[tokio::test]
    async fn a_keyfile_that_may_be_there_is_not_made_and_none_is_made_in_the_data_directory() {
        let place = Place::new();
        let (store, world) = place.store();
        let mut config = place.config();
        crate::durable::write_new(&place.root.path().join("file"), b"").unwrap();
        for (keyfile, says) in
            [("file/keyfile", "cannot be read"), ("data/.config/coffer/keyfile", "lie in the data directory")]
        {
            config.keyfile = place.root.path().join(keyfile);
            let refusal = start(&store, &config, &world, With::Machine).await.unwrap_err().to_string();
            assert!(refusal.contains(says), "{refusal}");
            assert!(!store.directory().keyring().exists());
        }
    }

    #[tokio::test]
    async fn an_account_is_kept_and_another_is_refused() {
        let place = Place::new();
        let account = stop(place.start().await.unwrap());
        assert!(account.number() >= numbered(0).number());
        let (store, world) = place.store();
        let mut config = place.config();
        config.account = Some(AccountId::DEV);
        let refusal = start(&store, &config, &world, With::Machine).await.unwrap_err().to_string();
        assert!(refusal.contains(account.as_str()), "{refusal}");
    }

    #[test]
    fn accounts_follow_from_the_store() {
        assert_eq!(account_of(&[1; 16]), account_of(&[1; 16]));
        assert_ne!(account_of(&[1; 16]), account_of(&[2; 16]));
    }

    #[test]
    fn everything_in_the_models_is_served() {
        let missing = registry().missing(coffer_model::SERVICES);
        assert!(missing.is_empty(), "{missing:?}");
    }
}
