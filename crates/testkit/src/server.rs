//! The real server on a loopback port, in a simulated world.
//!
//! Requests arrive over TCP, signed, and pass every stage that they pass in production; only the world and the way the store
//! was set up differ. Background loops do not run by themselves, because a test must decide when time passes: see
//! [`TestServer::pass`].

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use coffer_barrier::Barrier;
use coffer_client::{Client, Credentials, Endpoint};
use coffer_core::{AuditLog, Caller, Claim, Core, Db, Examination, Files, Registry, verify_segment};
use coffer_iam::create_administrator;
use coffer_server::{
    Mode, Node, Settings,
    config::{Limits, Window},
    open,
};
use coffer_shape::OperationSpec;
use coffer_store::{
    Dir, Engine as StoreEngine, Entry, Key, KeyRange, MemoryEngine, PAGE_ENTRIES_MAX, Partition, Read,
    SqliteEngine, SqliteOptions, Txn, TxnToken, Write, testing::FailingEngine,
};
use coffer_types::{AccountId, Clock, Region, RequestId, Secret, Timestamp};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

use crate::{Conformance, Issuer, SimWorld, functions::simulate};

const ACCOUNT: &str = "111122223333";
const REGION: &str = "eu-west-1";

/// As on AWS, and so in the vectors.
const SIGNATURE_WINDOW: Duration = Duration::from_secs(300);

/// Where a test server keeps its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Memory,
    /// A database in a directory that goes with the server.
    Sqlite,
}

enum Place {
    Memory(Arc<FailingEngine>),
    Sqlite(tempfile::TempDir),
}

impl Place {
    fn open(&self, world: &SimWorld) -> Arc<dyn StoreEngine> {
        match self {
            Self::Memory(engine) => Arc::clone(engine) as Arc<dyn StoreEngine>,
            Self::Sqlite(directory) => {
                let free_space = Arc::new(|path: &std::path::Path| coffer_sys::free_space_bytes(path));
                let clock = Arc::clone(&world.clock) as Arc<dyn Clock>;
                let mut options = SqliteOptions::new("test", clock, free_space);
                options.free_floor_bytes = 0;
                let path = directory.path().join("store");
                Arc::new(SqliteEngine::open(&path, options, world.entropy.as_ref()).unwrap())
            }
        }
    }
}

/// The longest that a simulated function takes.
const ERRAND_MAX: Duration = Duration::from_secs(1);

/// A running server and its administrator.
pub struct TestServer {
    world: SimWorld,
    node: Arc<Node>,
    place: Place,
    barrier: Arc<Barrier>,
    client: Client,
    issuer: Issuer,
    stop: Option<oneshot::Sender<()>>,
    served: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for TestServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestServer").field("client", &self.client).finish_non_exhaustive()
    }
}

impl TestServer {
    /// The same seed gives the same answers, whatever the engine.
    pub async fn start(engine: Engine, seed: u64) -> Self {
        // Campaigns fail by the thousand, all from here and on a clock that stands.
        Self::within(engine, seed, Limits { failures_per_address: 0, ..Default::default() }).await
    }

    /// With limits that a test is about.
    pub async fn within(engine: Engine, seed: u64, limits: Limits) -> Self {
        let world = SimWorld::seeded(seed);
        let barrier = Arc::new(Barrier::ephemeral(world.world().entropy));
        let place = match engine {
            Engine::Memory => Place::Memory(Arc::new(FailingEngine::new(Box::new(MemoryEngine::new())))),
            Engine::Sqlite => Place::Sqlite(tempfile::tempdir().unwrap()),
        };
        let issuer = Issuer::new();
        let settings = Settings {
            account: account(),
            region: region(),
            limits,
            signature: Window(SIGNATURE_WINDOW),
            oidc: BTreeMap::from([(Issuer::NAME.to_owned(), issuer.keys())]),
        };
        let node = Arc::new(Node::new(Mode::Production, world.world(), settings, None));
        // Engines draw different amounts of chance; from here on nobody sees the difference.
        let core = core(&world, &barrier, place.open(&world));
        world.entropy.begin(u64::MAX);
        let credentials = administrator(&core, account()).await;
        node.open(core);

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let serving = coffer_server::serve(Arc::clone(&node), listener, None, async move {
            drop(stopped.await);
        });
        let served = tokio::spawn(async move { serving.await.unwrap() });

        let endpoint = Endpoint::new(&format!("http://{address}"), None).unwrap();
        let client = Client::new(endpoint, credentials, region(), world.world().clock)
            .observed_by(Arc::new(Conformance));
        Self { world, node, place, barrier, client, issuer, stop: Some(stop), served: Some(served) }
    }

    pub const fn world(&self) -> &SimWorld {
        &self.world
    }

    /// The node itself, for tests that serve it in another way as well.
    pub const fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// The engine of a server in memory, to let something fail.
    pub fn engine(&self) -> &FailingEngine {
        match &self.place {
            Place::Memory(engine) => engine,
            Place::Sqlite(_) => panic!("a database fails by itself or not at all"),
        }
    }

    /// The identity provider whose keys the server knows.
    pub const fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    pub fn now(&self) -> Timestamp {
        self.world.clock.now()
    }

    /// The administrator of the account, in the first region. Every answer it gets is held against the model.
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// Somebody with a key of the right form that nobody gave out.
    pub fn stranger(&self) -> Client {
        let mut credentials = self.client.credentials().clone();
        let last = credentials.access_key_id.pop();
        credentials.access_key_id.push(if last == Some('A') { 'B' } else { 'A' });
        self.client.with_credentials(credentials)
    }

    /// The administrator of another account on the same server.
    pub async fn administrator_of(&self, account: AccountId) -> Client {
        let core = self.node.core().unwrap();
        self.client.with_credentials(administrator(&core, account).await)
    }

    /// What is served over the network.
    pub fn operations(&self) -> Vec<&'static OperationSpec> {
        operations()
    }

    /// Lets time pass, and then everything run that is due.
    pub async fn pass(&self, time: Duration) {
        self.world.clock.advance(time);
        let core = self.node.core().unwrap();
        loop {
            core.run_due_tasks().await.unwrap();
            // When the end of what is done outside is noted there may be more to do.
            let patience = if core.errands_under_way() == 0 { Duration::ZERO } else { ERRAND_MAX };
            if tokio::time::timeout(patience, core.task_hint()).await.is_err() {
                break;
            }
        }
        tokio::task::spawn_blocking(move || core.move_audit_rows().unwrap()).await.unwrap();
    }

    /// Every audit event so far, file after file.
    pub async fn audit(&self) -> Vec<String> {
        self.pass(Duration::ZERO).await;
        let files = &self.world.files;
        let mut events = Vec::new();
        for name in files.list().unwrap() {
            let bytes = files.read(&name).unwrap();
            let report = verify_segment(&self.barrier, &bytes, &mut |event| events.push(event.to_owned()));
            assert_eq!(report.problem, None);
        }
        events
    }

    /// Closes the store and opens it again: whatever was only in memory is gone.
    pub async fn restart(&self) {
        self.node.stop().await.unwrap();
        self.node.open(core(&self.world, &self.barrier, self.place.open(&self.world)));
    }

    /// The same after an end in the middle of something: of what fails from some call on nothing more gets through before it ends.
    pub async fn end_suddenly(&self) {
        drop(self.node.stop().await);
        if let Place::Memory(engine) = &self.place {
            engine.relent();
        }
        self.node.open(core(&self.world, &self.barrier, self.place.open(&self.world)));
    }

    /// Every record, as somebody sees it who has the disk and no key.
    pub fn stored(&self) -> Vec<(Partition, Entry)> {
        let engine = self.place.open(&self.world);
        let mut found = Vec::new();
        for (partition, _) in engine.partitions().unwrap() {
            let mut rest = Some(KeyRange::all());
            while let Some(range) = rest {
                let page =
                    engine.scan(&partition, &range, Dir::Forward, PAGE_ENTRIES_MAX, Read::Latest).unwrap();
                found.extend(page.entries.into_iter().map(|entry| (partition.clone(), entry)));
                rest = page.rest;
            }
        }
        found
    }

    /// Writes on the disk behind the server's back. The server may notice when it is started again.
    pub fn overwrite(&self, partition: &Partition, key: &Key, value: &[u8]) {
        let token = TxnToken(self.world.entropy.next_u64().to_le_bytes().repeat(2).try_into().unwrap());
        let mut txn = Txn::new(partition.clone(), token);
        txn.writes = vec![Write::Put { key: key.clone(), value: value.to_vec().into() }];
        self.place.open(&self.world).commit(&[txn]).unwrap();
    }

    /// The records that `coffer verify` has something to say about.
    pub fn examine(&self) -> Vec<(Partition, Key)> {
        let registry: Registry = open::registry();
        let stored = self.stored();
        let (mut found, mut claims) = (Vec::new(), Vec::new());
        for partition in stored.iter().map(|(partition, _)| partition).collect::<BTreeSet<_>>() {
            let mut examination = Examination::new(&registry, &self.barrier, partition, false);
            for (_, entry) in stored.iter().filter(|(of, _)| of == partition) {
                if examination.look_at(&entry.key, &entry.value).is_err() {
                    found.push((partition.clone(), entry.key.clone()));
                }
            }
            let (wrong, claimed) = examination.finish();
            found.extend(wrong.into_iter().map(|wrong| (partition.clone(), wrong.key)));
            claims.extend(claimed.into_iter().map(|claim| (partition.clone(), claim)));
        }
        found.extend(Claim::alone(claims).map(|(partition, wrong)| (partition, wrong.key)));
        found
    }

    /// Stops as a server does. Dropping a server ends it without waiting.
    pub async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            stop.send(()).ok();
        }
        if let Some(served) = self.served.take() {
            served.await.unwrap();
        }
        self.node.stop().await.unwrap();
    }
}

/// What the server serves over the network, without starting one.
pub(crate) fn operations() -> Vec<&'static OperationSpec> {
    let registry: Registry = open::registry();
    registry.public()
}

fn account() -> AccountId {
    ACCOUNT.parse().unwrap()
}

fn region() -> Region {
    REGION.parse().unwrap()
}

fn core(world: &SimWorld, barrier: &Arc<Barrier>, engine: Arc<dyn StoreEngine>) -> Core {
    let world = world.world();
    let entropy = || Arc::clone(&world.entropy);
    let audit = AuditLog::open(&world, Arc::clone(barrier)).unwrap();
    let db = Db::new(engine, Arc::clone(barrier), entropy()).unwrap();
    let mut registry = open::registry();
    simulate(&mut registry);
    Core::new(registry, db, audit, world)
}

async fn administrator(core: &Core, account: AccountId) -> Credentials {
    let id = RequestId::random(core.world().entropy.as_ref());
    let caller = Caller::service(account, Region::global(), "coffer.local", id);
    let made = core.run_local(&caller, |cx| create_administrator(cx, "administrator")).await.unwrap();
    Credentials {
        access_key_id: made.access_key_id,
        secret_access_key: Arc::new(Secret::new(made.secret_access_key.take())),
        session_token: None,
    }
}
