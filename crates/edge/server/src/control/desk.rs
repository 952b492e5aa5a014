//! The side of the control socket that answers.
//!
//! Shares are collected here, in memory, and forgotten when too much time passes, when the store opens, or when it is sealed. They
//! are collected for one purpose: who gives a share to open the store has not agreed to a new keyfile.
//!
//! What changes something is on record, before it happens where that is possible, and is not carried out if it cannot be. Looking
//! changes nothing and sealing makes everything safer, so these are carried out all the same, and the server's log says so: a disk that
//! is full must not keep anybody from finding that out, or from closing the store. A sealed store records nothing, so its slots are not changed through this door.

use std::{
    io,
    os::unix::fs::PermissionsExt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use coffer_barrier::{RecoveryShare, ShareCollector, SlotKey};
use coffer_core::{Core, World};
use coffer_sys::{HardeningLine, effective_uid};
use coffer_types::{AccountId, Secret};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    task::JoinHandle,
    time::timeout,
};

use super::{Command, KeyStatus, LINE_PATIENCE, PATIENCE, Reply, Request, Status, Typed};
use crate::{
    accounts::{Deployment, New},
    administrator::{Undoes, create_account, ensure_quorum, issue_key, reset},
    complaint::Complaint,
    config::Config,
    data_dir::DataDir,
    doctor,
    lifecycle::Ready,
    machine_key::{MachineKey, key_on_this_machine, machine_key, people_open_with},
    node::{Node, Sealed},
    open::{Store, local_caller, record_local},
    rotations::{self, Rotation},
    secret_policy::{self, SecretAsked},
    slots::{Change, Changed, Given, Wanted, key_to_change_with},
};

/// A passphrase is far below this, and so are the shares of any quorum that people can bring together.
const LINE_BYTES_MAX: usize = 16 << 10;
const SPEAKERS_MAX: usize = 16;
/// Shares given further apart than this are not of one attempt.
const SHARES_TOGETHER: Duration = Duration::from_secs(15 * 60);

/// The open door, until closed.
#[derive(Debug)]
pub struct Control {
    directory: DataDir,
    listening: JoinHandle<()>,
}

struct Desk {
    node: Arc<Node>,
    store: Arc<Store>,
    config: Config,
    ready: Ready,
    hardening: Vec<HardeningLine>,
    attempt: Mutex<Option<Attempt>>,
}

/// Shares given so far.
struct Attempt {
    purpose: Purpose,
    shares: ShareCollector,
    last: Duration,
}

/// What a key is given for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Purpose {
    Unseal,
    Change(Change),
    Reset(Option<AccountId>),
    RemovePolicy(SecretAsked),
}

impl Control {
    pub fn listen(
        node: Arc<Node>,
        store: Arc<Store>,
        config: Config,
        ready: Ready,
        hardening: Vec<HardeningLine>,
    ) -> Result<Self, Complaint> {
        let directory = store.directory().clone();
        let place = directory.control_socket();
        let failed = |error: io::Error| {
            Complaint::new(format!("the control socket {} cannot be made", place.display()))
                .because(error)
                .next("check the mount of the data directory, then start again")
        };
        // We hold the lock of the directory, so a socket that is there belongs to nobody.
        match std::fs::remove_file(&place) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let listener = UnixListener::bind(&place).map_err(failed)?;
        std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
        let desk = Desk { node, store, config, ready, hardening, attempt: Mutex::default() };
        let listening = tokio::spawn(accept(listener, Arc::new(desk)));
        Ok(Self { directory, listening })
    }

    pub fn close(self) {
        self.listening.abort();
        // A socket left behind is removed by the next start.
        drop(std::fs::remove_file(self.directory.control_socket()));
    }
}

async fn accept(listener: UnixListener, desk: Arc<Desk>) {
    let seats = Arc::new(Semaphore::new(SPEAKERS_MAX));
    loop {
        let Ok(seat) = Arc::clone(&seats).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let desk = Arc::clone(&desk);
                tokio::spawn(async move {
                    let _seat = seat;
                    if timeout(PATIENCE, speak(stream, &desk)).await.is_err() {
                        tracing::warn!("a local command took too long");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a local command was not accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn speak(mut stream: UnixStream, desk: &Desk) {
    let Ok(request) = timeout(LINE_PATIENCE, read(&mut stream)).await else {
        tracing::warn!("a local command was not said in time");
        return;
    };
    let reply = match request {
        Ok((uid, request)) => desk.carry_out(uid, request).await.unwrap_or_else(Reply::from),
        Err(complaint) => complaint.into(),
    };
    let Ok(mut line) = serde_json::to_vec(&reply).map(Secret::new) else { return };
    line.expose_mut().push(b'\n');
    // Whoever left before the answer does not need it.
    drop(stream.write_all(line.expose()).await);
}

async fn read(stream: &mut UnixStream) -> Result<(u32, Request), Complaint> {
    let unclear = || Complaint::new("the command was not understood").next("the coffer of the same version");
    let uid = stream.peer_cred().map_err(|error| unclear().because(error))?.uid();
    if uid != 0 && uid != effective_uid() {
        tracing::warn!(uid, "a local command of another user was refused");
        return Err(
            Complaint::new("this user may not command the server").next("the user that runs it, or root")
        );
    }
    // One buffer from the start: a growing one would leave copies of a key behind.
    let mut line = Secret::new(vec![0; LINE_BYTES_MAX]);
    let mut filled = 0;
    loop {
        let room = line.expose_mut().get_mut(filled..).filter(|room| !room.is_empty()).ok_or_else(unclear)?;
        let count = stream.read(room).await.map_err(|error| unclear().because(error))?;
        let added = line.expose().get(filled..filled + count).unwrap_or_default();
        let end = added.iter().position(|byte| *byte == b'\n').map(|at| filled + at);
        filled += count;
        if let Some(end) = end {
            let text = line.expose().get(..end).unwrap_or_default();
            // The parser's message would quote what it did not like.
            return serde_json::from_slice(text).map(|request| (uid, request)).map_err(|_| unclear());
        }
        if count == 0 {
            return Err(unclear());
        }
    }
}

/// The account that a request names, if it names one.
fn account_in(request: &Request) -> Result<Option<AccountId>, Complaint> {
    let parsed = request.account.as_deref().map(str::parse).transpose();
    parsed.map_err(|error| Complaint::new("the account cannot have this id").because(error))
}

/// The secret that a request is about.
fn secret_in(request: &Request) -> Result<SecretAsked, Complaint> {
    let account = account_in(request)?;
    let region = request.region.as_deref().map(str::parse).transpose();
    let region = region.map_err(|error| Complaint::new("there is no such region").because(error))?;
    let secret_id = request.secret.clone().ok_or_else(|| Complaint::new("no secret was named"))?;
    Ok(SecretAsked { secret_id, account, region })
}

impl Desk {
    async fn carry_out(&self, uid: u32, request: Request) -> Result<Reply, Complaint> {
        let command = request.command;
        match command {
            Command::Status => {
                self.record_if_possible("GetStatus", uid).await;
                Ok(Reply::Status(self.status()))
            }
            Command::Doctor => {
                self.record_if_possible("Examine", uid).await;
                let hardening = doctor::hardening(&self.hardening, doctor::Whose::Server);
                let (store, config, world) = self.to_look();
                let offline = aside(move || Ok(doctor::of_files(&config, store.directory(), &world))).await?;
                let online = doctor::of_node(&self.node);
                let rotations = match self.node.core() {
                    Some(core) => rotations::examined(&core).await,
                    None => Vec::new(),
                };
                let findings = hardening.into_iter().chain(offline).chain(online).chain(rotations);
                Ok(Reply::Findings(findings.collect()))
            }
            Command::Seal => {
                // On record before it happens: afterwards there is no key to seal the record with.
                self.record_if_possible("Seal", uid).await;
                self.forget_attempt();
                let sealed = self.node.seal().await;
                tracing::warn!(uid, "the store was sealed by command");
                Ok(Reply::Sealed { keys_wiped: sealed != Sealed::StillInUse })
            }
            Command::Change => self.change(uid, request).await,
            Command::KeyStatus => {
                let core = self.open_core()?;
                self.record_if_possible("GetKeyStatus", uid).await;
                Ok(Reply::Keys(KeyStatus::of(&core)))
            }
            Command::AdminKey => {
                let (core, account) = (self.open_core()?, account_in(&request)?);
                // On record in the commit that makes the key.
                let path = issue_key(&self.deployment(&core), account, uid).await?;
                tracing::warn!(uid, "an administrator was given another key by command");
                Ok(Reply::Filed { path })
            }
            Command::AdminReset => self.reset(uid, request).await,
            Command::AccountCreate => {
                let (core, id) = (self.open_core()?, account_in(&request)?);
                let new = New { id, name: request.name };
                let (account, path) = create_account(&self.deployment(&core), &new, uid).await?;
                tracing::warn!(uid, %account, "an account was made by command");
                Ok(Reply::Created { account: account.to_string(), path })
            }
            Command::AccountList => {
                let core = self.open_core()?;
                self.record_if_possible("ListAccounts", uid).await;
                self.deployment(&core).accounts().await.map(Reply::Accounts)
            }
            Command::SecretPolicy => {
                let (core, asked) = (self.open_core()?, secret_in(&request)?);
                let shown = secret_policy::show(&self.deployment(&core), &asked, uid).await?;
                Ok(Reply::Policy { secret: shown.arn, policy: shown.policy })
            }
            Command::SecretPolicyRemove => self.remove_policy(uid, request).await,
            Command::Rotations | Command::Rotation | Command::RotationRetry | Command::RotationRepair => {
                self.rotations(uid, &request).await.map(Reply::Rotations)
            }
            Command::Unseal => self.unseal(uid, request).await,
            Command::AuditVerify => self.audit_end("VerifyAuditTrail", uid).await,
            Command::AuditSearch => self.audit_end("SearchAuditTrail", uid).await,
        }
    }

    async fn rotations(&self, uid: u32, request: &Request) -> Result<Vec<Rotation>, Complaint> {
        let core = self.open_core()?;
        let deployment = self.deployment(&core);
        if request.command == Command::Rotations {
            let region = request.region.as_deref().map(str::parse).transpose();
            let region = region.map_err(|_| Complaint::new("the region is none"))?;
            return rotations::list(&deployment, account_in(request)?, region, uid).await;
        }
        let asked = secret_in(request)?;
        let one = match (request.command, request.decision) {
            (Command::RotationRetry, _) => rotations::retry(&deployment, &asked, uid).await,
            (Command::RotationRepair, Some(decision)) => {
                tracing::warn!(uid, "the version that a rotation left behind was dealt with by command");
                rotations::repair(&deployment, &asked, decision, uid).await
            }
            _ => rotations::show(&deployment, &asked, uid).await,
        };
        one.map(|rotation| vec![rotation])
    }

    fn open_core(&self) -> Result<Arc<Core>, Complaint> {
        self.node.core().ok_or_else(|| {
            Complaint::new("the store is sealed")
                .because("accounts and the keys of their administrators are in it")
                .next("coffer unseal")
        })
    }

    fn deployment<'s>(&'s self, core: &'s Core) -> Deployment<'s> {
        let settings = self.node.settings();
        let directory = self.store.directory();
        Deployment { core, directory, first: settings.account, region: &settings.region }
    }

    /// Lets an administrator in again.
    async fn reset(&self, uid: u32, request: Request) -> Result<Reply, Complaint> {
        // Before any share is taken, which would have to be given again.
        let (core, account) = (self.open_core()?, account_in(&request)?);
        if !self.is_agreed(request, Purpose::Reset(account), Undoes::Administrator).await? {
            return Ok(self.progress());
        }
        let path = reset(&self.deployment(&core), account, uid).await?;
        self.forget_attempt();
        tracing::warn!(uid, "an administrator was made what he was at first by command");
        Ok(Reply::Filed { path })
    }

    /// Takes the policy off a secret, which may be one that nobody could change any more.
    async fn remove_policy(&self, uid: u32, request: Request) -> Result<Reply, Complaint> {
        let (core, asked) = (self.open_core()?, secret_in(&request)?);
        if !self.is_agreed(request, Purpose::RemovePolicy(asked.clone()), Undoes::SecretPolicy).await? {
            return Ok(self.progress());
        }
        let (secret, policy) = secret_policy::remove(&self.deployment(&core), &asked, uid).await?;
        self.forget_attempt();
        if policy {
            tracing::warn!(uid, "the policy of a secret was removed by command");
        }
        Ok(Reply::Removed { secret, policy })
    }

    /// Whether those agree who have to: what was given to open the store with has to open it, and where recovery shares are out it has to be
    /// those. If not, more shares are needed.
    async fn is_agreed(&self, request: Request, purpose: Purpose, undoes: Undoes) -> Result<bool, Complaint> {
        let is_given = request.passphrase.is_some() || !request.shares.is_empty();
        let key = match is_given {
            true => match self.key(request, purpose).await? {
                Some(key) => Some(key),
                None => return Ok(false),
            },
            false => None,
        };
        ensure_quorum(&self.store.keyring()?, key.as_ref(), undoes)?;
        if let Some(key) = key {
            let store = Arc::clone(&self.store);
            let tried = tokio::task::spawn_blocking(move || store.keyring()?.slot_of(&key)).await;
            tried.map_err(|error| Complaint::new("the key could not be tried").because(error))??;
        }
        Ok(true)
    }

    /// Where the audit log ends, and nothing that was answered is behind it.
    async fn audit_end(&self, name: &'static str, uid: u32) -> Result<Reply, Complaint> {
        let Some(core) = self.node.core() else { return Ok(Reply::AuditClosed) };
        self.record_if_possible(name, uid).await;
        // What an earlier process left is compared with what the store remembers, if that has not been done yet.
        self.node.remember_audit_end(&core).await;
        let moved = tokio::task::spawn_blocking(move || {
            core.move_audit_rows().map_err(|error| error.to_string())?;
            core.audit().sync().map_err(|error| error.to_string())?;
            Ok::<_, String>(core.audit().end())
        });
        let end = moved.await.map_err(|error| error.to_string()).flatten().map_err(|error| {
            Complaint::new("the audit log cannot be written").because(error).next("coffer doctor")
        })?;
        Ok(end.map_or(Reply::AuditClosed, |end| Reply::AuditEnd {
            segment: end.segment(),
            events: end.events(),
            chain: end.chain(),
        }))
    }

    async fn unseal(&self, uid: u32, request: Request) -> Result<Reply, Complaint> {
        if self.node.core().is_some() {
            return Ok(self.unsealed().await);
        }
        let Some(key) = self.key(request, Purpose::Unseal).await? else { return Ok(self.progress()) };
        self.node.unseal(key).await.inspect_err(|complaint| {
            tracing::warn!(uid, reason = complaint.what(), "the store was not unsealed");
        })?;
        if let Err(complaint) = self.record("Unseal", uid, Vec::new()).await {
            // Nobody opens this store without a trace.
            self.node.seal().await;
            return Err(complaint);
        }
        self.forget_attempt();
        tracing::info!(uid, "the store was unsealed by command");
        Ok(self.unsealed().await)
    }

    /// Whoever opened the store by hand hears whether they would have to do it at each start.
    async fn unsealed(&self) -> Reply {
        let (store, config, world) = self.to_look();
        let key = aside(move || {
            let keyring = store.keyring()?;
            if !keyring.pkcs11_slots().is_empty() {
                // A wrong PIN counts, so none is tried for a remark.
                return Ok(MachineKey::Unused);
            }
            machine_key(&keyring, &config, &world.clock)
        })
        .await;
        let missing_key = match key {
            Ok(MachineKey::Missing(complaint)) => Some(complaint.what().to_owned()),
            _ => None,
        };
        Reply::Unsealed { missing_key }
    }

    async fn change(&self, uid: u32, mut request: Request) -> Result<Reply, Complaint> {
        let change = request.change.take().ok_or_else(|| Complaint::new("no change was named"))?;
        // Before any share is taken, which would have to be given again.
        if self.node.core().is_none() {
            return Err(Complaint::new("the store is sealed")
                .because("a change of its seal slots has to be put on record")
                .next("coffer unseal"));
        }
        let passphrase = request.new_passphrase.take().map(|Typed(passphrase)| passphrase);
        let purpose = Purpose::Change(change.clone());
        // Whoever gives shares as well gives the passphrase for its own slot.
        let also = if request.shares.is_empty() { None } else { request.passphrase.take() };
        let also = also.map(|Typed(passphrase)| SlotKey::Passphrase(passphrase));
        let Some(opens) = self.key(request, purpose).await? else { return Ok(self.progress()) };
        let (name, details) = (change.event(), change.details());
        self.record(name, uid, details.clone()).await?;
        let (store, config, world) = self.to_look();
        let wanted = Wanted { change, passphrase };
        // Whoever seals the store meanwhile hears that keys are still in use.
        let in_use = self.node.core();
        let changing = tokio::task::spawn_blocking(move || {
            let given = Given { opens: &opens, also: also.as_ref() };
            let changed = store.change_slots(&config, &world, given, &wanted);
            drop(in_use);
            changed
        })
        .await;
        let changed = changing
            .map_err(|error| Complaint::new("the seal slots could not be changed").because(error))
            .flatten();
        match changed {
            Ok(changed) => {
                if let (Changed::Epoch { .. }, Some(core)) = (&changed, self.node.core()) {
                    core.sweep_epochs();
                }
                tracing::warn!(uid, change = name, "the seal slots were changed by command");
                Ok(Reply::Changed(changed))
            }
            Err(complaint) => {
                tracing::warn!(
                    uid,
                    change = name,
                    reason = complaint.what(),
                    "the seal slots were not changed"
                );
                let failed = [("outcome", String::from("failed"))];
                // That it began is on record, so the worst that is missing is that it failed.
                drop(self.record(name, uid, details.into_iter().chain(failed).collect()).await);
                Err(complaint)
            }
        }
    }

    fn status(&self) -> Status {
        let refusal = self.node.core().and_then(|core| core.audit().refusal());
        Status {
            endpoint: self.ready.endpoint.clone(),
            account: self.ready.account.to_string(),
            region: self.ready.region.to_string(),
            ca_bundle: self.ready.ca_bundle.as_ref().map(|path| path.display().to_string()),
            reasons: self.node.reasons().into_iter().map(str::to_owned).chain(refusal).collect(),
        }
    }

    /// The key that was given, or that enough shares make, or that lies on the machine. `None`: more shares are needed.
    async fn key(&self, request: Request, purpose: Purpose) -> Result<Option<SlotKey>, Complaint> {
        if let Some(Typed(passphrase)) = request.passphrase {
            return Ok(Some(SlotKey::Passphrase(passphrase)));
        }
        if !request.shares.is_empty() {
            return self.add(&request.shares, purpose);
        }
        let (store, config, world) = self.to_look();
        aside(move || {
            let sealed = store.keyring()?;
            if purpose != Purpose::Unseal {
                return key_to_change_with(&sealed, &config, &world.clock).map(Some);
            }
            key_on_this_machine(&sealed, &config, &world.clock)?.map(Some).ok_or_else(|| {
                Complaint::new("the store has no key on this machine")
                    .because("only people open it")
                    .next(people_open_with(&sealed).join(", or "))
            })
        })
        .await
    }

    /// What looking for a key takes.
    fn to_look(&self) -> (Arc<Store>, Config, World) {
        (Arc::clone(&self.store), self.config.clone(), self.node.world().clone())
    }

    fn add(&self, given: &[Typed], purpose: Purpose) -> Result<Option<SlotKey>, Complaint> {
        let now = self.node.world().clock.monotonic();
        let mut attempt = self.attempt.lock().unwrap_or_else(PoisonError::into_inner);
        let current = attempt.take().filter(|attempt| {
            attempt.purpose == purpose && now.saturating_sub(attempt.last) < SHARES_TOGETHER
        });
        let mut shares = match current {
            Some(attempt) => attempt.shares,
            None => self.store.keyring()?.share_collector(),
        };
        for Typed(text) in given {
            let added = RecoveryShare::parse(text.expose()).and_then(|share| shares.add(share));
            match added {
                Ok(progress) if progress.is_complete() => return Ok(Some(shares.finish()?)),
                Ok(_) => {}
                Err(error) => {
                    // A share that was refused does not spoil those before it.
                    *attempt = Some(Attempt { purpose, shares, last: now });
                    return Err(error.into());
                }
            }
        }
        *attempt = Some(Attempt { purpose, shares, last: now });
        Ok(None)
    }

    fn progress(&self) -> Reply {
        let attempt = self.attempt.lock().unwrap_or_else(PoisonError::into_inner);
        let progress = attempt.as_ref().map(|attempt| attempt.shares.progress());
        let (given, needed) = progress.map_or((0, 0), |progress| (progress.given, progress.needed));
        Reply::Progress { given, needed }
    }

    fn forget_attempt(&self) {
        drop(self.attempt.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Puts a command on record that is carried out in any case.
    async fn record_if_possible(&self, name: &'static str, uid: u32) {
        if let Err(complaint) = self.record(name, uid, Vec::new()).await {
            let reason = complaint.reasons().join("; ");
            tracing::warn!(uid, command = name, reason, "a local command is carried out without a record");
        }
    }

    /// Puts a command on record, while there is a store to record in.
    async fn record(
        &self,
        name: &'static str,
        uid: u32,
        details: Vec<(&'static str, String)>,
    ) -> Result<(), Complaint> {
        let Some(core) = self.node.core() else { return Ok(()) };
        let settings = self.node.settings();
        let caller = local_caller(core.world(), settings.account, settings.region.clone());
        record_local(&core, &caller, name, uid, details).await
    }
}

/// Does what may take long, as asking a KMS does, where others do not wait for it.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Complaint> + Send + 'static,
) -> Result<T, Complaint> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Complaint::new("the command could not be carried out").because(error)).flatten()
}
