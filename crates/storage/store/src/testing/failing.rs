//! An engine that fails where a test wants it to.
//!
//! Two kinds of failure matter to a caller: the call did nothing, or it did everything and the answer got lost.
//! Both are injected by counting calls, so a test can let each call of a workload fail once and see whether the rest
//! copes.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use crate::{
    AuditPlace, AuditRow, Changes, Commit, Depth, Dir, Engine, EngineError, FrameSink, FrameSource, Health,
    ImportReport, Key, KeyRange, Page, Partition, Read, Rev, Txn, Versioned, Waker,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Any,
    Get,
    Scan,
    Commit,
    Head,
    Changes,
    Audit,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The call does nothing and answers this.
    Before(EngineError),
    /// The call does its work, and the answer is lost.
    After,
    /// From this call on nothing works any more, as after a failed sync.
    ForEver(EngineError),
}

#[derive(Debug)]
struct Plan {
    call: Call,
    nth: u64,
    fault: Fault,
    seen: u64,
}

/// Runs before each commit reaches the engine; a test may block in it.
pub type BeforeCommit = Box<dyn Fn(&[Txn]) + Send + Sync>;

pub struct FailingEngine {
    inner: Box<dyn Engine>,
    plans: Mutex<Vec<Plan>>,
    before_commit: Mutex<Option<BeforeCommit>>,
}

impl fmt::Debug for FailingEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FailingEngine").field("plans", &self.plans).finish_non_exhaustive()
    }
}

impl FailingEngine {
    pub fn new(inner: Box<dyn Engine>) -> Self {
        Self { inner, plans: Mutex::default(), before_commit: Mutex::default() }
    }

    /// Lets the `nth` call from now (1 is the next) of this kind fail.
    pub fn fail(&self, call: Call, nth: u64, fault: Fault) {
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        plans.push(Plan { call, nth, fault, seen: 0 });
    }

    /// Nothing fails any more. Whether anything that was to fail did.
    pub fn relent(&self) -> bool {
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *plans).iter().any(|plan| plan.seen >= plan.nth)
    }

    pub fn before_commit(&self, hook: BeforeCommit) {
        *self.before_commit.lock().unwrap_or_else(PoisonError::into_inner) = Some(hook);
    }

    fn call<T>(&self, call: Call, run: impl FnOnce() -> Result<T, EngineError>) -> Result<T, EngineError> {
        match self.due(call) {
            None => run(),
            Some(Fault::Before(error) | Fault::ForEver(error)) => Err(error),
            Some(Fault::After) => {
                run()?;
                Err(EngineError::OutcomeUnknown { reason: "a test lost the answer".to_owned() })
            }
        }
    }

    fn due(&self, call: Call) -> Option<Fault> {
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let mut due = None;
        for plan in plans.iter_mut().filter(|plan| plan.call == call || plan.call == Call::Any) {
            plan.seen += 1;
            let for_ever = matches!(plan.fault, Fault::ForEver(_));
            if plan.seen == plan.nth || (for_ever && plan.seen > plan.nth) {
                due.get_or_insert_with(|| plan.fault.clone());
            }
        }
        due
    }
}

impl Engine for FailingEngine {
    fn get(
        &self,
        partition: &Partition,
        keys: &[Key],
        read: Read,
    ) -> Result<(Rev, Vec<Option<Versioned>>), EngineError> {
        self.call(Call::Get, || self.inner.get(partition, keys, read))
    }

    fn scan(
        &self,
        partition: &Partition,
        range: &KeyRange,
        dir: Dir,
        limit: u32,
        read: Read,
    ) -> Result<Page, EngineError> {
        self.call(Call::Scan, || self.inner.scan(partition, range, dir, limit, read))
    }

    fn commit(&self, group: &[Txn]) -> Result<Vec<Commit>, EngineError> {
        if let Some(hook) = &*self.before_commit.lock().unwrap_or_else(PoisonError::into_inner) {
            hook(group);
        }
        self.call(Call::Commit, || self.inner.commit(group))
    }

    fn head(&self, partitions: &[Partition]) -> Result<Vec<Rev>, EngineError> {
        self.call(Call::Head, || self.inner.head(partitions))
    }

    fn changes(&self, partition: &Partition, after: Rev, limit: u32) -> Result<Changes, EngineError> {
        self.call(Call::Changes, || self.inner.changes(partition, after, limit))
    }

    fn wake(&self) -> Waker {
        self.inner.wake()
    }

    fn partitions(&self) -> Result<Vec<(Partition, Rev)>, EngineError> {
        self.call(Call::Head, || self.inner.partitions())
    }

    fn audit_rows(
        &self,
        partition: &Partition,
        after: AuditPlace,
        limit: u32,
    ) -> Result<Vec<AuditRow>, EngineError> {
        self.call(Call::Audit, || self.inner.audit_rows(partition, after, limit))
    }

    fn drop_audit_rows(&self, partition: &Partition, through: AuditPlace) -> Result<(), EngineError> {
        self.call(Call::Audit, || self.inner.drop_audit_rows(partition, through))
    }

    fn export(&self, to: &mut dyn FrameSink) -> Result<(), EngineError> {
        self.call(Call::Any, || self.inner.export(to))
    }

    fn import(&self, from: &mut dyn FrameSource) -> Result<ImportReport, EngineError> {
        self.call(Call::Any, || self.inner.import(from))
    }

    fn check(&self, depth: Depth) -> Result<Health, EngineError> {
        self.call(Call::Any, || self.inner.check(depth))
    }

    fn fatal(&self) -> Option<String> {
        self.inner.fatal()
    }

    fn stop(&self, cause: &str) {
        self.inner.stop(cause);
    }
}
