//! A core with everything around it: a seeded stream for chance, a clock with hands, and an engine that fails on request.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use coffer_barrier::{Barrier, Keyring, NewSlot};
use coffer_core::{
    Answer, AuditLog, Caller, Core, Cx, Db, Files, KeepsEpochs, Partition, Principal, PrincipalKind,
    Registry, Retention, TlsDetails, Transport, World, open_row, verify_segment,
};
use coffer_shape::{ApiError, OperationSpec};
use coffer_store::{
    AuditPlace, Dir, Engine, Entry, KeyRange, MemoryEngine, Read, Txn, TxnToken, Write,
    testing::FailingEngine,
};
use coffer_types::{Clock, Entropy, RequestId, Secret, Timestamp};
use serde_json::Value;

use crate::{
    cabinet::Cabinet,
    service::{CHANGE, COUNT, Counter, LOOK, Request, Shipped, TheNumber, register, script},
};

/// A stream of numbers that a seed determines (SplitMix64).
pub(crate) struct Seeded(AtomicU64);

impl Seeded {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    pub(crate) fn next(&self) -> u64 {
        let mut z =
            self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&self, end: u64) -> u64 {
        self.next() % end
    }
}

impl Entropy for Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_be_bytes()[..chunk.len()]);
        }
    }
}

/// 2026-01-02T03:04:05Z, until somebody moves the hands.
pub(crate) struct Hands(AtomicI64);

impl Default for Hands {
    fn default() -> Self {
        Self(AtomicI64::new(1_767_323_045_000))
    }
}

impl Hands {
    pub(crate) fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst).unsigned_abs())
    }
}

/// A keyring that is nowhere but in memory, and the barrier that is open with it.
pub(crate) struct Epochs {
    keyring: Mutex<Keyring>,
    barrier: Arc<Barrier>,
}

impl Epochs {
    pub(crate) fn rotate(&self) -> u32 {
        let mut keyring = self.keyring.lock().unwrap();
        let number = keyring.rotate_epoch().unwrap();
        keyring.hand_to(&self.barrier);
        number
    }
}

struct Keeper(Arc<Epochs>);

impl KeepsEpochs for Keeper {
    fn destroy(&self, epochs: &[u32]) -> Result<(), String> {
        let mut keyring = self.0.keyring.lock().unwrap();
        for epoch in epochs {
            assert!(keyring.retire_epoch(*epoch), "{epoch} is no older epoch");
        }
        keyring.hand_to(&self.0.barrier);
        Ok(())
    }
}

pub(crate) struct House {
    pub core: Arc<Core>,
    pub engine: Arc<FailingEngine>,
    pub files: Cabinet,
    pub clock: Arc<Hands>,
    pub barrier: Arc<Barrier>,
    pub entropy: Arc<Seeded>,
}

impl House {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self::over(seed, Box::new(MemoryEngine::new()), |_| ())
    }

    /// A house whose registry gets more than the service, such as tasks.
    pub(crate) fn with(seed: u64, more: impl FnOnce(&mut Registry)) -> Self {
        Self::over(seed, Box::new(MemoryEngine::new()), more)
    }

    pub(crate) fn over(seed: u64, engine: Box<dyn Engine>, more: impl FnOnce(&mut Registry)) -> Self {
        let entropy = Arc::new(Seeded::new(seed));
        let barrier = Arc::new(Barrier::ephemeral(Arc::clone(&entropy) as _));
        Self::around(engine, barrier, entropy, more)
    }

    /// A house whose epochs can be rotated.
    pub(crate) fn with_epochs(seed: u64, engine: Box<dyn Engine>) -> (Self, Arc<Epochs>) {
        let entropy = Arc::new(Seeded::new(seed));
        let first = NewSlot::Keyfile(&Secret::new([1; 32]));
        let keyring = Keyring::create(first, Arc::clone(&entropy) as _);
        let barrier = Arc::new(keyring.barrier());
        let epochs = Arc::new(Epochs { keyring: Mutex::new(keyring), barrier: Arc::clone(&barrier) });
        let keeper = Arc::clone(&epochs);
        let house = Self::around(engine, barrier, entropy, |registry| registry.keep_epochs(Keeper(keeper)));
        (house, epochs)
    }

    fn around(
        engine: Box<dyn Engine>,
        barrier: Arc<Barrier>,
        entropy: Arc<Seeded>,
        more: impl FnOnce(&mut Registry),
    ) -> Self {
        let clock = Arc::new(Hands::default());
        Self::build(
            Arc::new(FailingEngine::new(engine)),
            Cabinet::default(),
            clock,
            barrier,
            entropy,
            more,
            |log| log.with_segment_bytes(u64::MAX),
        )
    }

    fn build(
        engine: Arc<FailingEngine>,
        files: Cabinet,
        clock: Arc<Hands>,
        barrier: Arc<Barrier>,
        entropy: Arc<Seeded>,
        more: impl FnOnce(&mut Registry),
        tune: impl FnOnce(AuditLog) -> AuditLog,
    ) -> Self {
        let mut registry = Registry::default();
        register(&mut registry);
        more(&mut registry);
        let db = Db::new(Arc::clone(&engine) as _, Arc::clone(&barrier), Arc::clone(&entropy) as _).unwrap();
        let world = World {
            clock: Arc::clone(&clock) as _,
            entropy: Arc::clone(&entropy) as _,
            audit_files: Arc::new(files.clone()),
            functions: Arc::new(coffer_core::NoFunctions),
        };
        let audit = tune(AuditLog::open(&world, Arc::clone(&barrier)).unwrap());
        let core = Arc::new(Core::new(registry, db, audit, world));
        Self { core, engine, files, clock, barrier, entropy }
    }

    /// The same store and files, seen by a process that remembers nothing.
    pub(crate) fn restarted(&self) -> Self {
        self.restarted_with(|_| ())
    }

    pub(crate) fn restarted_with(&self, more: impl FnOnce(&mut Registry)) -> Self {
        let _ = self.core.shut_down();
        Self::build(
            Arc::clone(&self.engine),
            self.files.clone(),
            Arc::clone(&self.clock),
            Arc::clone(&self.barrier),
            Arc::clone(&self.entropy),
            more,
            |log| log.with_segment_bytes(u64::MAX),
        )
    }

    /// The same house with small segment files.
    pub(crate) fn with_segments_of(&self, bytes: u64) -> Self {
        self.with_log(|log| log.with_segment_bytes(bytes))
    }

    /// The same, and old ones are retired.
    pub(crate) fn with_retention(&self, bytes: u64, retention: Retention) -> Self {
        self.with_log(|log| log.with_segment_bytes(bytes).with_retention(retention))
    }

    fn with_log(&self, tune: impl FnOnce(AuditLog) -> AuditLog) -> Self {
        let (engine, files) = (Arc::clone(&self.engine), self.files.clone());
        let (clock, barrier) = (Arc::clone(&self.clock), Arc::clone(&self.barrier));
        Self::build(engine, files, clock, barrier, Arc::clone(&self.entropy), |_| (), tune)
    }

    pub(crate) async fn call(
        &self,
        caller: &Caller,
        spec: &'static OperationSpec,
        script: i64,
    ) -> Option<Answer> {
        self.core.call(caller, spec, &Request(script, Shipped::Whole)).await
    }

    /// Runs a handler as the operation that only reads, for the administrator.
    pub(crate) async fn look(
        &self,
        run: impl Fn(&mut Cx<'_>) -> Result<i64, ApiError> + Send + Sync + 'static,
    ) -> Result<i64, ApiError> {
        number(self.call(&admin(), &LOOK, script(run)).await.expect("an answer"))
    }

    /// Runs a handler as the operation that writes, for the administrator.
    pub(crate) async fn change(
        &self,
        run: impl Fn(&mut Cx<'_>) -> Result<i64, ApiError> + Send + Sync + 'static,
    ) -> Result<i64, ApiError> {
        number(self.call(&admin(), &CHANGE, script(run)).await.expect("an answer"))
    }

    pub(crate) async fn set(&self, name: &'static str, count: i64) {
        self.change(move |cx| save(cx, name, count)).await.unwrap();
    }

    pub(crate) async fn get(&self, name: &'static str) -> Result<i64, ApiError> {
        self.look(move |cx| count(cx, name)).await
    }

    /// Every event of the segment files, file by file.
    pub(crate) fn logged(&self) -> Vec<Value> {
        let mut events = Vec::new();
        for name in self.files.list().unwrap() {
            verify_segment(&self.barrier, &self.files.bytes(&name), &mut |event| {
                events.push(serde_json::from_str(event).expect("an event is JSON"));
            });
        }
        events
    }

    /// Every event that is still a row of the engine.
    pub(crate) fn rows(&self) -> Vec<Value> {
        let mut events = Vec::new();
        for (partition, _) in self.engine.partitions().unwrap() {
            let mut after = AuditPlace::default();
            loop {
                let rows = self.engine.audit_rows(&partition, after, 10_000).unwrap();
                let Some(last) = rows.last() else { break };
                after = last.place;
                for row in &rows {
                    let text = open_row(&self.barrier, &partition, row).expect("a row opens");
                    events.push(serde_json::from_str(&text).expect("an event is JSON"));
                }
            }
        }
        events
    }

    pub(crate) fn events(&self) -> Vec<Value> {
        let mut events = self.logged();
        events.extend(self.rows());
        events
    }

    /// What the engine holds of a table, below all caches.
    pub(crate) fn stored(&self, table: u16) -> Vec<Entry> {
        let mut entries = Vec::new();
        let mut rest = Some(KeyRange::prefix(&table.to_be_bytes()));
        while let Some(range) = rest {
            let page = self.engine.scan(&here(), &range, Dir::Forward, 1000, Read::Latest).unwrap();
            entries.extend(page.entries);
            rest = page.rest;
        }
        entries
    }

    /// Changes the engine behind everybody's back.
    pub(crate) fn tamper(&self, writes: Vec<Write>) {
        let mut token = [0; 16];
        self.entropy.fill(&mut token);
        let mut txn = Txn::new(here(), TxnToken(token));
        txn.writes = writes;
        self.engine.commit(&[txn]).unwrap();
    }
}

pub(crate) fn number(answer: Answer) -> Result<i64, ApiError> {
    let reply = answer.outcome?;
    let mut number = TheNumber::default();
    reply.write_to(&mut number).unwrap();
    Ok(number.0)
}

/// Saves a counter that only administrators may touch.
pub(crate) fn save(cx: &mut Cx<'_>, name: &str, count: i64) -> Result<i64, ApiError> {
    cx.needs_no_permission("this test is about something else");
    cx.save(Counter { name: name.to_owned(), count, public: false })?;
    Ok(count)
}

/// The count of a counter; -1 if there is none.
pub(crate) fn count(cx: &Cx<'_>, name: &str) -> Result<i64, ApiError> {
    cx.needs_no_permission("this test is about something else");
    let Some(counter) = cx.find::<Counter>(&[name])? else { return Ok(-1) };
    Ok(counter.permit(cx, COUNT)?.count)
}

pub(crate) fn here() -> Partition {
    Partition::new("111122223333".parse().unwrap(), "eu-west-1".parse().unwrap())
}

pub(crate) fn admin() -> Caller {
    caller(Principal::root(here().account, Some("AKIAIOSFODNN7EXAMPLE".to_owned())))
}

/// Somebody whom no policy allows anything.
pub(crate) fn guest() -> Caller {
    caller(Principal {
        account: here().account,
        kind: PrincipalKind::User { name: "bob".to_owned() },
        arn: "arn:aws:iam::111122223333:user/bob".to_owned(),
        user_id: "AIDABOB".to_owned(),
        access_key_id: Some("AKIAIOSFODNN7EXAMPLE".to_owned()),
        session: None,
    })
}

fn caller(principal: Principal) -> Caller {
    Caller {
        principal,
        region: here().region,
        request_id: RequestId::random(&Seeded::new(7)),
        source_address: "192.0.2.7".to_owned(),
        user_agent: "aws-cli/2".to_owned(),
        transport: Transport::Tls(TlsDetails {
            version: "TLSv1.3",
            cipher_suite: Some("TLS_AES_128_GCM_SHA256"),
        }),
        host: "coffer.example".to_owned(),
    }
}
