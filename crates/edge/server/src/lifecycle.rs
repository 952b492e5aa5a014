//! From the first instruction to the last: start, background work, signals, drain.
//!
//! The start goes from cheap to dear and from harmless to lasting: configuration, address, directory, lock, certificate, keyring,
//! core, control socket, and only then "ready". What fails before the lock has changed nothing, and the address comes early because
//! somebody else often has it: a store that nobody wanted and a key that nobody saw would be left behind.
//!
//! The end is a promise to whoever sits in front: first the node says that it is not ready, then, a moment later, it stops
//! accepting; requests that have begun finish, the audit log is synced, the store is closed. A second signal skips the
//! waiting and nothing else: what was acknowledged is durable already.
//!
//! Some failures cannot be survived honestly. After a failed write or sync the kernel may report success for pages that are
//! lost, so the process ends with an error and recovers from its log when it is started again.

use std::{net::SocketAddr, path::PathBuf, pin::pin, sync::Arc, time::Duration};

use coffer_barrier::SlotKind;
use coffer_core::{Next, World};
use coffer_sys::HardeningLine;
use coffer_types::{AccountId, Region};
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    sync::Notify,
    task::JoinHandle,
};

use crate::{
    complaint::Complaint,
    config::{Config, Log, LogFormat, LogLevel, TlsConfig},
    control::Control,
    data_dir::DataDir,
    functions::LocalFunctions,
    limits::ladder::Step,
    machine_key::{ask_kms, may_come_from_kms},
    node::{Mode, Node, Settings, Trouble},
    open::{self, Opened, Store, With, dev_core},
    tls, world,
};

/// How much of the audit log a loss of power may cost, beside what rides in commits.
const AUDIT_SYNC_EVERY: Duration = Duration::from_millis(50);
/// Rows in the store cost nothing while they wait, and moving many at once costs one sync.
const AUDIT_MOVE_EVERY: Duration = Duration::from_secs(1);
/// Asking the file system is cheap and its answer changes slowly.
const DISK_LOOK_EVERY: Duration = Duration::from_secs(1);
/// Tasks look again after this long even if nobody wakes them and no time was named.
const TASK_LOOK_EVERY: Duration = Duration::from_secs(60);
/// A node without an open store has no tasks; it looks again after this long.
const TASK_WAIT_OPEN: Duration = Duration::from_millis(250);
/// The same for a house that has too much to do for them.
const TASK_WAIT_ROOM: Duration = Duration::from_secs(1);
/// A KMS that does not give the key is asked again after this long, and then after twice as long each time.
const KMS_AGAIN_AFTER: Duration = Duration::from_secs(1);
const KMS_AGAIN_AFTER_MAX: Duration = Duration::from_secs(60);

/// What a person is told once the node answers.
#[derive(Debug, Clone)]
pub struct Ready {
    pub mode: Mode,
    pub endpoint: String,
    pub account: AccountId,
    pub region: Region,
    pub data_dir: PathBuf,
    /// The administrator's key, while the file is there.
    pub credentials: Option<PathBuf>,
    /// What clients have to trust, if the certificate is ours.
    pub ca_bundle: Option<PathBuf>,
    pub is_first: bool,
    pub is_sealed: bool,
    /// Why the key of this machine did not open the store, if it could have.
    pub missing_key: Option<Complaint>,
    /// Who can open the store.
    pub slots: Vec<SlotKind>,
}

impl Ready {
    pub fn has_slot(&self, kind: SlotKind) -> bool {
        self.slots.contains(&kind)
    }
}

/// Runs `coffer server` until a signal ends it. `on_ready` is called once.
pub fn server(
    config: &Config,
    hardening: Vec<HardeningLine>,
    on_ready: impl FnOnce(&Ready),
) -> Result<(), Complaint> {
    if let Some(line) = hardening.iter().find(|line| line.required && !line.outcome.is_done()) {
        return Err(Complaint::new(format!("the process cannot be hardened: {}", line.line))
            .because(&line.outcome)
            .next("run coffer where the kernel allows this"));
    }
    begin_log(&config.log);
    // A second server on the same directory should hear of that, and not of the port.
    if config.data_dir.exists() {
        DataDir::existing(&config.data_dir)?.ensure_free()?;
    }
    runtime()?.block_on(async {
        let bound = bind(config).await?;
        let directory = DataDir::prepare(&config.data_dir)?;
        let mut world = world::system(&directory.audit());
        let store = Store::take(directory, config.free_floor_bytes, &world)?.retiring(config.audit);
        let functions = LocalFunctions::prepare(&config.functions, &config.data_dir, &mut world)?;
        let store = Arc::new(store);
        let listening = Listening::on(bound, config, &world)?;
        let started = open::start(&store, config, &world, With::Machine).await?;
        let node = Arc::new(Node::new(
            Mode::Production,
            world,
            settings(config, started.account),
            Some(Arc::clone(&store)),
        ));
        functions.let_into(&node);
        let credentials = Some(store.directory().credentials()).filter(|path| path.exists());
        let (core, missing_key) = match started.opened {
            Opened::Core(core) => (Some(core), None),
            Opened::Sealed(missing) => (None, missing),
        };
        let ready = Ready {
            mode: Mode::Production,
            endpoint: listening.endpoint.clone(),
            account: started.account,
            region: config.region.clone(),
            data_dir: config.data_dir.clone(),
            credentials,
            ca_bundle: listening.ca_bundle.clone(),
            is_first: started.is_first,
            is_sealed: core.is_none(),
            missing_key,
            slots: started.slots.iter().map(|slot| slot.kind).collect(),
        };
        if let Some(missing) = &ready.missing_key {
            tracing::warn!(
                missing = missing.what(),
                reason = missing.reasons().join("; "),
                open_it_with = missing.next_step().unwrap_or_default(),
                "the store is sealed until people open it, because the key of this machine is missing"
            );
        }
        match core {
            Some(core) => node.open(*core),
            None => {
                node.wait_sealed();
                if may_come_from_kms(&store.keyring()?, config) {
                    node.await_key();
                }
            }
        }
        let control =
            Control::listen(Arc::clone(&node), Arc::clone(&store), config.clone(), ready.clone(), hardening)?;
        let outcome = run(&node, config, listening, || on_ready(&ready)).await;
        functions.stop().await;
        control.close();
        tracing::info!("stopped");
        outcome
    })
}

/// Makes a store and its administrator and ends, for stores that are opened by people or by a KMS, and not by a file. Answers the
/// account and whether there was something to make.
pub fn init(config: &Config, with: With) -> Result<(AccountId, bool), Complaint> {
    let directory = DataDir::prepare(&config.data_dir)?;
    let world = world::system(&directory.audit());
    let store = Store::take(directory, config.free_floor_bytes, &world)?;
    runtime()?.block_on(async {
        let started = open::start(&store, config, &world, with).await?;
        match started.opened {
            Opened::Sealed(Some(complaint)) => return Err(complaint),
            Opened::Sealed(None) => {}
            Opened::Core(core) => core.shut_down().map_err(|error| {
                Complaint::new("the audit log could not be synced")
                    .because(error)
                    .next("check the disk, then try again")
            })?,
        }
        Ok((started.account, started.is_first))
    })
}

/// Runs `coffer dev` until a signal ends it.
pub fn dev(config: &Config, on_ready: impl FnOnce(&Ready)) -> Result<(), Complaint> {
    begin_log(&config.log);
    let account = config.account.unwrap_or(AccountId::DEV);
    runtime()?.block_on(async {
        let mut world = world::ephemeral();
        let place = std::env::temp_dir().join(format!("coffer-dev-{}", std::process::id()));
        let functions = LocalFunctions::prepare(&config.functions, &place, &mut world)?;
        let listening = Listening::on(bind(config).await?, config, &world)?;
        let core = dev_core(&world)
            .map_err(|error| Complaint::new("the store in memory cannot be made").because(error))?;
        let node = Arc::new(Node::new(Mode::Dev, world, settings(config, account), None));
        functions.let_into(&node);
        node.open(core);
        let ready = Ready {
            mode: Mode::Dev,
            endpoint: listening.endpoint.clone(),
            account,
            region: config.region.clone(),
            data_dir: PathBuf::new(),
            credentials: None,
            ca_bundle: None,
            is_first: true,
            is_sealed: false,
            missing_key: None,
            slots: Vec::new(),
        };
        let outcome = run(&node, config, listening, || on_ready(&ready)).await;
        functions.stop().await;
        drop(std::fs::remove_dir_all(place));
        tracing::info!("stopped");
        outcome
    })
}

fn settings(config: &Config, account: AccountId) -> Settings {
    Settings {
        account,
        region: config.region.clone(),
        limits: config.limits.clone(),
        signature: config.signature,
        oidc: config.oidc.clone(),
    }
}

/// Turns of other work after which a busy thread looks for what has arrived. Whoever has one request at a time loses as much at each of them as
/// he waits to be noticed, so this is an eighth of what the runtime does by itself; a look costs a hundredth of a request.
const TURNS_BEFORE_LOOK: u32 = 8;

pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Complaint> {
    tokio::runtime::Builder::new_multi_thread()
        .event_interval(TURNS_BEFORE_LOOK)
        .enable_all()
        .build()
        .map_err(|error| Complaint::new("the threads of the server cannot be started").because(error))
}

/// An address that is ours, and how it is spoken to.
struct Listening {
    listener: TcpListener,
    tls: Option<tokio_rustls::TlsAcceptor>,
    endpoint: String,
    ca_bundle: Option<PathBuf>,
}

impl Listening {
    fn on(listener: TcpListener, config: &Config, world: &World) -> Result<Self, Complaint> {
        let tls = config.tls.as_ref().map(|tls| tls::acceptor(tls, world)).transpose()?;
        let address = listener.local_addr().unwrap_or(config.listen);
        let ca_bundle = match &config.tls {
            Some(TlsConfig::Automatic { directory, .. }) => Some(tls::authority(directory)),
            Some(TlsConfig::Given { .. }) | None => None,
        };
        Ok(Self { listener, endpoint: endpoint(address, tls.is_some()), tls, ca_bundle })
    }
}

/// Takes the address. Whoever connects from now on waits until the server is ready.
async fn bind(config: &Config) -> Result<TcpListener, Complaint> {
    TcpListener::bind(config.listen).await.map_err(|error| {
        Complaint::new(format!("cannot listen on {}", config.listen))
            .because(error)
            .next("stop whoever uses the port, or give another with --listen")
    })
}

/// How clients on this machine reach the server.
fn endpoint(mut address: SocketAddr, is_tls: bool) -> String {
    let scheme = if is_tls { "https" } else { "http" };
    if address.ip().is_unspecified() {
        // "Every address" is not one that can be called.
        let loopback: std::net::IpAddr = match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        };
        address.set_ip(loopback);
    }
    format!("{scheme}://{address}")
}

/// Serves until a signal or a fatal failure, and closes the store.
async fn run(
    node: &Arc<Node>,
    config: &Config,
    listening: Listening,
    on_ready: impl FnOnce(),
) -> Result<(), Complaint> {
    let mut signals = Signals::listen()?;
    let stop_accepting = Arc::new(Notify::new());
    let mut serving = {
        let stop = Arc::clone(&stop_accepting);
        let server = crate::serve(Arc::clone(node), listening.listener, listening.tls, async move {
            stop.notified().await;
        });
        tokio::spawn(server)
    };
    let background = [
        tokio::spawn(run_tasks(Arc::clone(node))),
        tokio::spawn(move_audit_rows(Arc::clone(node))),
        tokio::spawn(watch_disk(Arc::clone(node), config.clone())),
        tokio::spawn(open_by_kms(Arc::clone(node), config.clone())),
    ];
    let mut fatal = pin!(watch_for_fatal(node));
    on_ready();

    let outcome = tokio::select! {
        () = signals.next() => {
            drain(node, config, &mut signals, &stop_accepting, &mut serving).await;
            Ok(())
        }
        complaint = &mut fatal => Err(complaint),
        ended = &mut serving => Err(listener_ended(ended)),
    };
    for task in &background {
        task.abort();
    }
    for task in background {
        // One that is in the middle of a step ends it first. It must not still be at it when the clock of the runtime is gone.
        drop(task.await);
    }
    let closed = node.stop().await.map_err(|error| {
        Complaint::new("the audit log could not be synced")
            .because(error)
            .next("check the disk, then start again")
    });
    outcome.and(closed)
}

fn listener_ended<E: std::fmt::Display>(ended: Result<Result<(), E>, tokio::task::JoinError>) -> Complaint {
    let complaint = Complaint::new("the listener ended");
    let complaint = match ended {
        Ok(Ok(())) => complaint,
        Ok(Err(error)) => complaint.because(format!("{error:#}")),
        Err(error) => complaint.because(error),
    };
    complaint.next("look into the log, then start again")
}

/// Not ready, wait, stop accepting, finish what has begun. A second signal cuts it short.
async fn drain<T>(
    node: &Node,
    config: &Config,
    signals: &mut Signals,
    stop_accepting: &Notify,
    serving: &mut JoinHandle<T>,
) {
    node.set(Trouble::Draining, true);
    tracing::info!("stopping: no new requests");
    // If nobody is connected, nobody has to notice first.
    let wait = if node.metrics().open_connections() == 0 { Duration::ZERO } else { config.limits.drain_wait };
    let graceful = async {
        tokio::time::sleep(wait).await;
        stop_accepting.notify_one();
        drop(tokio::time::timeout(config.limits.drain_timeout, &mut *serving).await);
    };
    tokio::select! {
        () = graceful => {}
        () = signals.next() => tracing::warn!("stopping at once, requests that have begun are cut off"),
    }
    serving.abort();
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> Result<Self, Complaint> {
        let listen =
            |kind| signal(kind).map_err(|error| Complaint::new("signals cannot be received").because(error));
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Steps the tasks when they are due, for as long as the process lives.
async fn run_tasks(node: Arc<Node>) {
    loop {
        // Taken before the core: a store that closes in between is noticed all the same.
        let mut closing = pin!(node.closing());
        closing.as_mut().enable();
        let Some(core) = node.core() else {
            tokio::time::sleep(TASK_WAIT_OPEN).await;
            continue;
        };
        if node.gate().step() >= Step::NoTasks {
            // Requests go first. What is late is done as soon as there is room.
            drop(core);
            tokio::time::sleep(TASK_WAIT_ROOM).await;
            continue;
        }
        let wait = match core.run_due_tasks().await {
            Ok(Next::Now) => Duration::ZERO,
            Ok(Next::At(at)) => at.since(node.world().clock.now()).min(TASK_LOOK_EVERY),
            Ok(Next::Idle) => TASK_LOOK_EVERY,
            Err(error) => {
                tracing::warn!(%error, "tasks cannot look at the store");
                TASK_LOOK_EVERY
            }
        };
        tokio::select! {
            () = core.task_hint() => {}
            () = tokio::time::sleep(wait) => {}
            () = closing => {}
        }
    }
}

/// Syncs the audit log and looks at the engine; resolves when the process must not go on.
async fn watch_for_fatal(node: &Node) -> Complaint {
    loop {
        tokio::time::sleep(AUDIT_SYNC_EVERY).await;
        let Some(core) = node.core() else { continue };
        if let Some(cause) = core.db().engine().fatal() {
            tracing::error!(cause, "the store has failed, the process ends; start it again and it recovers");
            return Complaint::new("the store has failed")
                .because(cause)
                .next("check the disk, then start again");
        }
        let synced = tokio::task::spawn_blocking(move || core.audit().sync()).await;
        if let Err(error) = synced.map_err(std::io::Error::other).flatten() {
            tracing::error!(%error, "the audit log cannot be synced, the process ends; check the disk and start again");
            return Complaint::new("the audit log cannot be synced")
                .because(error)
                .next("check the disk, then start again");
        }
    }
}

/// Moves the events of changes from the store, where they rode in the commit, to the audit log, and lets the store remember how far
/// that has come.
async fn move_audit_rows(node: Arc<Node>) {
    loop {
        tokio::time::sleep(AUDIT_MOVE_EVERY).await;
        // A log that refuses has said so, and the rows are as good where they are.
        let Some(core) = node.core().filter(|core| !core.audit().is_refusing()) else { continue };
        let mover = Arc::clone(&core);
        let moved = tokio::task::spawn_blocking(move || mover.move_audit_rows()).await;
        if let Ok(Err(error)) = moved {
            // The rows stay where they are and are as good there; the next round tries again.
            tracing::warn!(%error, "audit events wait in the store");
            continue;
        }
        node.remember_audit_end(&core).await;
    }
}

/// Opens a store that was sealed at the start as soon as its KMS gives the key. Whoever opens or seals it meanwhile ends the waiting.
async fn open_by_kms(node: Arc<Node>, config: Config) {
    let Some(store) = node.store().cloned() else { return };
    let (mut wait, mut said) = (KMS_AGAIN_AFTER, None);
    while node.awaits_key() {
        tokio::time::sleep(wait).await;
        wait = wait.saturating_mul(2).min(KMS_AGAIN_AFTER_MAX);
        let asked = match store.keyring() {
            Ok(keyring) => ask_kms(&keyring, &config, &node.world().clock).await,
            Err(error) => Err(error.into()),
        };
        let opened = match asked {
            Ok(key) => node.unseal_awaited(key).await,
            Err(complaint) => Err(complaint),
        };
        match opened {
            Ok(true) => tracing::info!("the store was opened by its KMS"),
            Ok(false) => {}
            Err(complaint) if said.as_ref() == Some(&complaint) => {}
            Err(complaint) => {
                tracing::warn!(
                    missing = complaint.what(),
                    reason = complaint.reasons().join("; "),
                    next = complaint.next_step().unwrap_or_default(),
                    "the store stays sealed; the KMS is asked again"
                );
                said = Some(complaint);
            }
        }
    }
}

/// Says when the disk fills up and when there is room again.
async fn watch_disk(node: Arc<Node>, config: Config) {
    let Some(store) = node.store().cloned() else { return };
    loop {
        let place = store.directory().path().to_owned();
        let free = tokio::task::spawn_blocking(move || coffer_sys::free_space_bytes(&place)).await;
        if let Ok(Ok(free)) = free {
            let is_low = free < config.free_floor_bytes;
            if node.set(Trouble::Disk, is_low) {
                if is_low {
                    tracing::error!(
                        free_bytes = free,
                        "the disk is nearly full, only what removes records is accepted; free some space"
                    );
                } else if free > config.free_floor_bytes {
                    tracing::info!(free_bytes = free, "there is room on the disk again");
                }
            }
        }
        tokio::time::sleep(DISK_LOOK_EVERY).await;
    }
}

/// Logs go to the error stream; what a command prints is its result.
fn begin_log(log: &Log) {
    let level = match log.level {
        LogLevel::Error => tracing::Level::ERROR,
        LogLevel::Warn => tracing::Level::WARN,
        LogLevel::Info => tracing::Level::INFO,
        LogLevel::Debug => tracing::Level::DEBUG,
    };
    // A line that cannot be written is lost. Complaining of it on the same stream would be a panic, and a full disk under the log
    // would end the server.
    let writer = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_target(false)
        .log_internal_errors(false);
    // A second start in the same process, as in tests, keeps the first log.
    drop(match log.format {
        LogFormat::Text => writer.with_ansi(false).try_init(),
        LogFormat::Json => writer.json().try_init(),
    });
    quiet_panics();
}

/// A panic message may quote a value; the place says enough to find the defect.
fn quiet_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(|| String::from("an unknown place"), ToString::to_string);
        tracing::error!(place, "a defect of Coffer; please report this place");
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_something_that_can_be_called() {
        for (address, is_tls, expected) in [
            ("127.0.0.1:4566", false, "http://127.0.0.1:4566"),
            ("[::1]:4566", false, "http://[::1]:4566"),
            ("0.0.0.0:443", true, "https://127.0.0.1:443"),
            ("[::]:443", true, "https://[::1]:443"),
            ("192.0.2.1:443", true, "https://192.0.2.1:443"),
        ] {
            assert_eq!(endpoint(address.parse().unwrap(), is_tls), expected);
        }
    }
}
