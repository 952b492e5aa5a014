//! One running node: what it is open for, and why not if it is not.
//!
//! Listeners, the control socket and the health pages share one [`Node`]. It holds the [`Core`] while the store is open and
//! lets go of it when the store is sealed; the keys live in there and nowhere else, so a sealed node has none. Everybody
//! asks for the core per request, uses it and drops it: whoever keeps it longer keeps the keys in memory.
//!
//! What it deliberately does not know: sockets, HTTP, where files lie.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use coffer_barrier::SlotKey;
use coffer_core::{Caller, Core, Partition, World};
use coffer_sigv4::SigningKeys;
use coffer_types::{AccountId, Region, RequestId, Timestamp};
use tokio::{
    net::TcpStream,
    sync::{Notify, OwnedMutexGuard, futures::Notified, mpsc},
};

use crate::{
    complaint::Complaint,
    config::{Limits, Window},
    limits::gate::Gate,
    metrics::Metrics,
    oidc::{Issuers, KeySource},
    open::{LOCAL, Store, dev_core},
    world::with_new_files,
};

/// A sealed node is without keys after this long, unless a request is still using them; then we say so.
const SEAL_WAIT: Duration = Duration::from_millis(100);
const SEAL_LOOK_EVERY: Duration = Duration::from_millis(1);

/// Every signing key is of an earlier day.
const END_OF_DAYS: Timestamp = Timestamp::from_seconds(253_402_300_799);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A store on disk, real credentials.
    Production,
    /// A store in memory, any credentials.
    Dev,
}

/// What of the configuration a request depends on.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The first account, and in [`Mode::Dev`] that of everybody.
    pub account: AccountId,
    /// The region of a request that names none.
    pub region: Region,
    pub limits: Limits,
    pub signature: Window,
    /// Where the keys of identity providers are, by their URLs without the scheme.
    pub oidc: BTreeMap<String, KeySource>,
}

#[derive(Debug)]
enum State {
    Starting,
    Sealed,
    Open(Arc<Core>),
    /// Drained: nothing runs any more and nothing will.
    Stopped,
}

/// Conditions that come and go while the store stays open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    Draining,
    /// So little room is left that the store refuses to grow.
    Disk,
}

#[derive(Debug, Default)]
struct Troubles {
    draining: AtomicBool,
    disk: AtomicBool,
}

impl Troubles {
    const fn flag(&self, trouble: Trouble) -> &AtomicBool {
        match trouble {
            Trouble::Draining => &self.draining,
            Trouble::Disk => &self.disk,
        }
    }
}

#[derive(Debug)]
pub struct Node {
    mode: Mode,
    world: World,
    settings: Settings,
    metrics: Metrics,
    gate: Gate,
    signing_keys: SigningKeys,
    issuers: Issuers,
    state: RwLock<State>,
    troubles: Troubles,
    /// Somebody waits for a key that comes from elsewhere, until the store is opened or sealed.
    awaits_key: AtomicBool,
    /// The files, which stay open and locked while the node is sealed. A node in memory has none.
    store: Option<Arc<Store>>,
    /// Tells those who wait with a core in their hands to let go of it.
    closing: Notify,
    /// Opening and closing take turns.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// Connections of functions, for whoever listens.
    visitors: Mutex<Option<mpsc::Receiver<TcpStream>>>,
    /// Closed cores that requests are still using, and with them their keys.
    leaving: Arc<AtomicUsize>,
}

/// What sealing achieved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sealed {
    /// No key is left in memory.
    KeysWiped,
    /// Requests that had begun are finishing; the keys go with the last of them.
    StillInUse,
}

impl Node {
    pub fn new(mode: Mode, world: World, settings: Settings, store: Option<Arc<Store>>) -> Self {
        let issuers = Issuers::new(&settings.oidc, Arc::clone(&world.clock));
        let gate = Gate::new(Arc::clone(&world.clock), settings.limits.in_flight_max);
        Self {
            mode,
            world,
            settings,
            metrics: Metrics::default(),
            gate,
            signing_keys: SigningKeys::default(),
            issuers,
            state: RwLock::new(State::Starting),
            troubles: Troubles::default(),
            awaits_key: AtomicBool::default(),
            store,
            closing: Notify::new(),
            turn: Arc::default(),
            visitors: Mutex::default(),
            leaving: Arc::default(),
        }
    }

    /// Serves these connections as well.
    pub fn let_in(&self, visitors: mpsc::Receiver<TcpStream>) {
        *self.visitors.lock().unwrap_or_else(PoisonError::into_inner) = Some(visitors);
    }

    /// For the one who listens. Where nobody was let in, nobody comes.
    pub(crate) fn take_visitors(&self) -> mpsc::Receiver<TcpStream> {
        let visitors = self.visitors.lock().unwrap_or_else(PoisonError::into_inner).take();
        visitors.unwrap_or_else(|| mpsc::channel(1).1)
    }

    pub const fn mode(&self) -> Mode {
        self.mode
    }

    pub const fn world(&self) -> &World {
        &self.world
    }

    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) const fn issuers(&self) -> &Issuers {
        &self.issuers
    }

    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Where requests wait for their turn when there are many.
    pub(crate) const fn gate(&self) -> &Gate {
        &self.gate
    }

    /// What signatures are checked with, derived from the secrets of access keys. It is emptied with the core.
    pub const fn signing_keys(&self) -> &SigningKeys {
        &self.signing_keys
    }

    pub const fn store(&self) -> Option<&Arc<Store>> {
        self.store.as_ref()
    }

    /// The open store, or nothing while the node is starting, sealed or stopped. Ask when the request is ready to run and
    /// let go when it has: sealing waits for whoever holds this.
    pub fn core(&self) -> Option<Arc<Core>> {
        match &*self.state.read().unwrap_or_else(PoisonError::into_inner) {
            State::Open(core) => Some(Arc::clone(core)),
            State::Starting | State::Sealed | State::Stopped => None,
        }
    }

    /// Why this node should get no requests; empty when it is ready.
    pub fn reasons(&self) -> Vec<&'static str> {
        let mut reasons = Vec::new();
        match &*self.state.read().unwrap_or_else(PoisonError::into_inner) {
            State::Starting => reasons.push("starting"),
            State::Sealed => reasons.push("sealed"),
            State::Open(core) => {
                if core.db().engine().fatal().is_some() {
                    reasons.push("engine");
                }
                // Asked and not told, so that it is known at once, and gone as soon as the disk takes bytes again.
                if core.audit().is_refusing() {
                    reasons.push("audit");
                }
            }
            State::Stopped => reasons.push("stopped"),
        }
        for (trouble, word) in [(Trouble::Draining, "draining"), (Trouble::Disk, "disk")] {
            if self.has(trouble) {
                reasons.push(word);
            }
        }
        reasons
    }

    pub fn has(&self, trouble: Trouble) -> bool {
        self.troubles.flag(trouble).load(Ordering::Acquire)
    }

    /// Notes that a condition came or went, and answers whether that is news.
    pub fn set(&self, trouble: Trouble, present: bool) -> bool {
        self.troubles.flag(trouble).swap(present, Ordering::AcqRel) != present
    }

    /// From here on requests are answered.
    pub fn open(&self, core: Core) {
        if self.store.is_some() {
            core.work_from(self.home());
        }
        self.awaits_key.store(false, Ordering::Release);
        self.change(State::Open(Arc::new(core)));
    }

    /// The node waits for somebody who opens the store.
    pub fn wait_sealed(&self) {
        self.change(State::Sealed);
    }

    /// From here on a key that comes from elsewhere opens the store.
    pub(crate) fn await_key(&self) {
        self.awaits_key.store(true, Ordering::Release);
    }

    pub(crate) fn awaits_key(&self) -> bool {
        self.awaits_key.load(Ordering::Acquire)
    }

    fn change(&self, next: State) -> State {
        std::mem::replace(&mut *self.state.write().unwrap_or_else(PoisonError::into_inner), next)
    }

    /// Closes the store and wipes its keys. The files stay locked, so that nobody else opens them meanwhile.
    ///
    /// A store that is sealed already may still have requests that are finishing, so the answer is about the keys and not about
    /// this call.
    pub async fn seal(&self) -> Sealed {
        let _turn = self.turn.lock().await;
        // Whoever seals a store does not want it opened by itself.
        self.awaits_key.store(false, Ordering::Release);
        if !self.is_stopped()
            && let State::Open(core) = self.change(State::Sealed)
        {
            self.let_go(core).await;
            // Before it can be opened again, and does again what was under way.
            self.world.functions.stop().await;
        }
        self.released().await
    }

    /// Opens a sealed store. With the wrong key nothing changes.
    pub async fn unseal(&self, key: SlotKey) -> Result<(), Complaint> {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        self.unseal_in_turn(key, turn).await
    }

    /// The same with a key that came from elsewhere, unless nobody waits for it any more. Answers whether it opened the store.
    pub(crate) async fn unseal_awaited(&self, key: SlotKey) -> Result<bool, Complaint> {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        if !self.awaits_key() {
            return Ok(false);
        }
        self.unseal_in_turn(key, turn).await.map(|()| true)
    }

    async fn unseal_in_turn(&self, key: SlotKey, turn: OwnedMutexGuard<()>) -> Result<(), Complaint> {
        if self.is_stopped() {
            return Err(Complaint::new("the server is stopping").next("start it again, and unseal it then"));
        }
        let Some(store) = &self.store else {
            return Err(Complaint::new("this node keeps its store in memory and is never sealed"));
        };
        if self.core().is_some() {
            // Somebody else was faster. Whoever waited hears all the same whether their key is one.
            let store = Arc::clone(store);
            let trying = tokio::task::spawn_blocking(move || store.keyring()?.slot_of(&key)).await;
            return match trying {
                Ok(tried) => Ok(tried.map(drop)?),
                Err(error) => Err(Complaint::new("the key could not be tried").because(error)),
            };
        }
        let (store, world) = (Arc::clone(store), self.world.clone());
        // A passphrase takes a second of hard work, which must not hold up the other commands. The turn goes along: if nobody
        // waits for the outcome any more, what was opened is dropped before anybody else opens or stops.
        let opening = tokio::task::spawn_blocking(move || (store.open_core(&world, &key), turn)).await;
        let (core, _turn) =
            opening.map_err(|error| Complaint::new("the store could not be opened").because(error))?;
        self.open(core?);
        Ok(())
    }

    /// Forgets everything that a node in memory holds, and answers whether there was such a node.
    pub async fn reset(&self) -> bool {
        if self.mode != Mode::Dev {
            return false;
        }
        let _turn = self.turn.lock().await;
        if self.is_stopped() {
            return false;
        }
        // The old store goes on with its own audit log, to which nobody else has the keys.
        let core = match dev_core(&with_new_files(&self.world)) {
            Ok(core) => Arc::new(core),
            Err(error) => {
                tracing::error!(%error, "the store in memory could not be made anew");
                return false;
            }
        };
        // Not shut down: a request that has begun finishes in the old store, one that comes now begins in the new one, and
        // neither is refused. The old store goes with the last request that holds it.
        drop(self.change(State::Open(core)));
        self.closing.notify_waiters();
        true
    }

    /// Finishes queued commits, syncs the audit log, and closes the store for good.
    pub async fn stop(&self) -> io::Result<()> {
        let _turn = self.turn.lock().await;
        let State::Open(core) = self.change(State::Stopped) else { return Ok(()) };
        self.closing.notify_waiters();
        self.shut_down(core).await
    }

    /// Resolves when the core is about to be closed. Wait for it beside anything else that takes long.
    pub(crate) fn closing(&self) -> Notified<'_> {
        self.closing.notified()
    }

    fn is_stopped(&self) -> bool {
        matches!(&*self.state.read().unwrap_or_else(PoisonError::into_inner), State::Stopped)
    }

    async fn let_go(&self, core: Arc<Core>) {
        self.closing.notify_waiters();
        self.signing_keys.forget_before(END_OF_DAYS);
        self.leaving.fetch_add(1, Ordering::AcqRel);
        tokio::spawn(release(Arc::clone(&core), Arc::clone(&self.leaving)));
        if let Err(error) = self.shut_down(core).await {
            tracing::error!(%error, "the audit log could not be synced while closing the store; check the disk");
        }
    }

    /// Waits for the last commit, which blocks, where blocking is allowed.
    async fn shut_down(&self, core: Arc<Core>) -> io::Result<()> {
        self.remember_audit_end(&core).await;
        tokio::task::spawn_blocking(move || core.shut_down()).await.map_err(io::Error::other)?
    }

    /// Where the store keeps what belongs to all of its accounts.
    fn home(&self) -> Partition {
        Partition::new(self.settings.account, Region::global())
    }

    /// Lets the store remember how far the audit log has come. Of a store in memory nobody will ask.
    pub(crate) async fn remember_audit_end(&self, core: &Core) {
        if self.store.is_none() {
            return;
        }
        let id = RequestId::random(self.world.entropy.as_ref());
        let Partition { account, region } = self.home();
        let caller = Caller::service(account, region, LOCAL, id);
        if let Err(error) = core.remember_audit_end(&caller).await {
            // What it remembers is older then, and as true as it was.
            tracing::warn!(cause = ?error.cause, "the store could not be told where the audit log ends");
        }
    }

    /// Waits a moment for the requests that still use a closed core.
    async fn released(&self) -> Sealed {
        let begun = self.world.clock.monotonic();
        while self.leaving.load(Ordering::Acquire) > 0 {
            if self.world.clock.monotonic().saturating_sub(begun) >= SEAL_WAIT {
                return Sealed::StillInUse;
            }
            tokio::time::sleep(SEAL_LOOK_EVERY).await;
        }
        Sealed::KeysWiped
    }
}

/// Drops a core as its last user, so that whoever reads zero knows that its keys are wiped, and not that they soon will be.
async fn release(mut core: Arc<Core>, leaving: Arc<AtomicUsize>) {
    loop {
        match Arc::try_unwrap(core) {
            Ok(last) => break drop(last),
            Err(shared) => core = shared,
        }
        tokio::time::sleep(SEAL_LOOK_EVERY).await;
    }
    leaving.fetch_sub(1, Ordering::AcqRel);
}
