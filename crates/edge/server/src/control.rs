//! Commands given on this machine: status, doctor, seal, unseal, another key for the administrator.
//!
//! They come over a Unix socket in the data directory, one line of JSON each way. Who may speak is decided twice: by the
//! modes of directory and socket, and by the kernel's word on the user at the other end, who has to be ours or root. There is no
//! such door on the network, and there will be none.
//!
//! A key travels in the line and is read into memory that is wiped; it is in no argument, variable or log. Shares are
//! collected here, in memory, and forgotten when too much time passes, when the store opens, or when it is sealed.

use std::{
    io::{self, BufRead, BufReader, Write},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use coffer_barrier::{RecoveryShare, ShareCollector, SlotKey};
use coffer_core::{EventKind, ServiceEvent};
use coffer_sys::{HardeningLine, effective_uid};
use coffer_types::Secret;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    task::JoinHandle,
    time::timeout,
};

use crate::{
    administrator::issue_key,
    complaint::Complaint,
    config::Config,
    data_dir::DataDir,
    doctor::{self, Finding},
    lifecycle::Ready,
    node::{Node, Sealed},
    open::{Store, key_on_this_machine, local_caller},
};

/// A passphrase or a share is far below this.
const LINE_BYTES_MAX: usize = 16 << 10;
const SPEAKERS_MAX: usize = 16;
/// How long somebody may take to say what they want, and we to answer; a passphrase takes about a second.
const PATIENCE: Duration = Duration::from_secs(30);
/// Shares given further apart than this are not of one attempt.
const SHARES_TOGETHER: Duration = Duration::from_secs(15 * 60);
/// Two may be away or have lost theirs, and two alone cannot open the store.
pub const QUORUM: (u8, u8) = (3, 5);
const EVENT_SOURCE: &str = "coffer.local";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Command {
    Status,
    Doctor,
    Seal,
    Unseal,
    /// Makes a recovery slot and hands out its shares.
    Shares,
    /// Makes another access key of the administrator, in the data directory.
    AdminKey,
}

impl Command {
    const fn event(self) -> &'static str {
        match self {
            Self::Status => "GetStatus",
            Self::Doctor => "Examine",
            Self::Seal => "Seal",
            Self::Unseal => "Unseal",
            Self::Shares => "CreateRecoveryShares",
            Self::AdminKey => "CreateAdministratorKey",
        }
    }
}

/// One line to the server. Without a key, `unseal` takes the one that lies on the machine.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    pub command: Command,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passphrase: Option<Typed>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<Typed>,
    /// How many shares are needed to open, and how many to make.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum: Option<(u8, u8)>,
}

impl Request {
    pub const fn new(command: Command) -> Self {
        Self { command, passphrase: None, share: None, quorum: None }
    }
}

/// Secret text on its way through the socket, which is the one place where it is written out.
#[derive(Debug)]
pub struct Typed(pub Secret<String>);

impl Serialize for Typed {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.0.expose())
    }
}

impl<'de> Deserialize<'de> for Typed {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(|text| Self(Secret::new(text)))
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reply {
    Status(Status),
    Findings(Vec<Finding>),
    /// Whether no key is left in memory; `false` while requests that had begun are finishing.
    Sealed {
        keys_wiped: bool,
    },
    Unsealed,
    /// They exist nowhere else.
    Shares(Vec<Typed>),
    /// Where the administrator's new key lies; the key itself does not travel.
    Filed {
        path: PathBuf,
    },
    /// More shares are needed.
    Progress {
        given: usize,
        needed: usize,
    },
    Refused {
        what: String,
        reasons: Vec<String>,
        next: Option<String>,
    },
}

impl From<Complaint> for Reply {
    fn from(complaint: Complaint) -> Self {
        Self::Refused {
            what: complaint.what().to_owned(),
            reasons: complaint.reasons().to_vec(),
            next: complaint.next_step().map(str::to_owned),
        }
    }
}

/// What a client of this machine needs to know of a running server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    pub endpoint: String,
    pub account: String,
    pub region: String,
    pub ca_bundle: Option<String>,
    /// Why it is not ready; empty when it is.
    pub reasons: Vec<String>,
}

/// Asks the server that runs on a data directory. `None` if no server does.
pub fn ask(directory: &DataDir, request: &Request) -> Result<Option<Reply>, Complaint> {
    let place = directory.control_socket();
    let failed = |error: &dyn std::fmt::Display| {
        Complaint::new(format!("the server at {} did not answer", place.display()))
            .because(error)
            .next("look into its log")
    };
    let mut stream = match std::os::unix::net::UnixStream::connect(&place) {
        Ok(stream) => stream,
        // The second: the socket was left behind by a server that was killed.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(failed(&error)),
    };
    let mut line = Secret::new(serde_json::to_vec(request).map_err(|error| failed(&error))?);
    line.expose_mut().push(b'\n');
    stream
        .set_read_timeout(Some(PATIENCE + PATIENCE))
        .and_then(|()| stream.write_all(line.expose()))
        .map_err(|error| failed(&error))?;
    let mut answer = Secret::new(String::new());
    BufReader::new(stream).read_line(answer.expose_mut()).map_err(|error| failed(&error))?;
    match serde_json::from_str(answer.expose()).map_err(|error| failed(&error))? {
        Reply::Refused { what, reasons, next } => {
            let complaint = reasons.iter().fold(Complaint::new(what), Complaint::because);
            Err(match next {
                Some(next) => complaint.next(next),
                None => complaint,
            })
        }
        reply => Ok(Some(reply)),
    }
}

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
    shares: ShareCollector,
    last: Duration,
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
    let reply = match read(&mut stream).await {
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

impl Desk {
    async fn carry_out(&self, uid: u32, request: Request) -> Result<Reply, Complaint> {
        let command = request.command;
        match command {
            Command::Status => {
                self.record(command, uid).await?;
                Ok(Reply::Status(self.status()))
            }
            Command::Doctor => {
                self.record(command, uid).await?;
                let hardening = doctor::hardening(&self.hardening, doctor::Whose::Server);
                let offline = doctor::of_files(&self.config, self.store.directory(), self.node.world());
                let online = doctor::of_node(&self.node);
                Ok(Reply::Findings(hardening.into_iter().chain(offline).chain(online).collect()))
            }
            Command::Seal => {
                // On record before it happens: afterwards there is no key to seal the record with.
                self.record(command, uid).await?;
                self.forget_attempt();
                let sealed = self.node.seal().await;
                tracing::warn!(uid, "the store was sealed by command");
                Ok(Reply::Sealed { keys_wiped: sealed != Sealed::StillInUse })
            }
            Command::Shares => {
                self.record(command, uid).await?;
                self.make_shares(request)
            }
            Command::AdminKey => {
                let core = self.node.core().ok_or_else(|| {
                    Complaint::new("the store is sealed")
                        .because("a key is made in the store")
                        .next("coffer unseal")
                })?;
                let settings = self.node.settings();
                let (account, region) = (settings.account, &settings.region);
                // On record in the commit that makes the key.
                let path = issue_key(&core, self.store.directory(), account, region, uid).await?;
                tracing::warn!(uid, "the administrator was given another key by command");
                Ok(Reply::Filed { path })
            }
            Command::Unseal => {
                let Some(key) = self.key(request)? else { return Ok(self.progress()) };
                self.node.unseal(key).await.inspect_err(|complaint| {
                    tracing::warn!(uid, reason = complaint.what(), "the store was not unsealed");
                })?;
                self.record(command, uid).await?;
                tracing::info!(uid, "the store was unsealed by command");
                Ok(Reply::Unsealed)
            }
        }
    }

    /// The slot is written before its shares are shown: a share that opens nothing is worse than none.
    fn make_shares(&self, request: Request) -> Result<Reply, Complaint> {
        let (threshold, shares) = request.quorum.unwrap_or(QUORUM);
        let Some(key) = self.key(request)? else { return Ok(self.progress()) };
        let made = self.store.add_recovery(self.node.world(), &key, threshold, shares)?;
        Ok(Reply::Shares(made.into_iter().map(Typed).collect()))
    }

    fn status(&self) -> Status {
        Status {
            endpoint: self.ready.endpoint.clone(),
            account: self.ready.account.to_string(),
            region: self.ready.region.to_string(),
            ca_bundle: self.ready.ca_bundle.as_ref().map(|path| path.display().to_string()),
            reasons: self.node.reasons().into_iter().map(str::to_owned).collect(),
        }
    }

    /// The key that was given, or that enough shares make, or that lies on the machine. `None`: more shares are needed.
    fn key(&self, request: Request) -> Result<Option<SlotKey>, Complaint> {
        if let Some(Typed(passphrase)) = request.passphrase {
            return Ok(Some(SlotKey::Passphrase(passphrase)));
        }
        if let Some(Typed(share)) = request.share {
            return self.add(RecoveryShare::parse(share.expose())?);
        }
        let key = key_on_this_machine(&self.store.keyring()?, &self.config)?;
        key.map(Some).ok_or_else(|| {
            Complaint::new("the store has no key on this machine")
                .because("it opens with a passphrase or with recovery shares")
                .next("coffer unseal --share <file>, or coffer unseal and type the passphrase")
        })
    }

    fn add(&self, share: RecoveryShare) -> Result<Option<SlotKey>, Complaint> {
        let now = self.node.world().clock.monotonic();
        let mut attempt = self.attempt.lock().unwrap_or_else(PoisonError::into_inner);
        let current = attempt.take().filter(|attempt| now.saturating_sub(attempt.last) < SHARES_TOGETHER);
        let mut shares = match current {
            Some(attempt) => attempt.shares,
            None => self.store.keyring()?.share_collector(),
        };
        let added = shares.add(share);
        if added.as_ref().is_ok_and(|progress| progress.is_complete()) {
            return Ok(Some(shares.finish()?));
        }
        // A share that was refused does not spoil those before it.
        *attempt = Some(Attempt { shares, last: now });
        added?;
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

    /// Puts a command on record, while there is a store to record in.
    async fn record(&self, command: Command, uid: u32) -> Result<(), Complaint> {
        let Some(core) = self.node.core() else { return Ok(()) };
        let settings = self.node.settings();
        let caller = local_caller(core.world(), settings.account, settings.region.clone());
        let event = ServiceEvent {
            kind: EventKind::Local,
            source: EVENT_SOURCE,
            name: command.event(),
            details: vec![("uid", uid.to_string())],
        };
        core.run_local(&caller, |cx| {
            cx.record_event(event.clone());
            Ok(())
        })
        .await
        .map_err(|error| {
            Complaint::new("the command cannot be put on record, so it is not carried out")
                .because(error)
                .next("check the disk of the data directory")
        })
    }
}
