//! Turns what many writers want into few durable groups.
//!
//! One thread takes whatever is queued, hands it to the engine as one group, and answers everybody. It never waits
//! for a group to fill: while one group is being synced the next one gathers by itself, so a lone writer pays no
//! delay and a crowd shares each sync.
//!
//! The order of events is the point. The engine commits, then the observer sees each transaction in commit order,
//! and only then do the writers get their answers. A cache that is kept by the observer is therefore right before
//! any writer can know that it should be.
//!
//! If this thread panics, nobody can say what was committed: the group at hand is dropped without an answer, which
//! its writers must take for an unknown outcome, and everybody else is refused. A cache may have missed the group by then, so the
//! engine is stopped, and its owner ends the process as after a failed write.

use std::{
    collections::VecDeque,
    fmt, io,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread::{Builder, JoinHandle},
};

use crate::{
    Commit, Engine, EngineError, GROUP_BYTES_MAX, GROUP_ROWS_MAX, GROUP_TXNS_MAX, Partition, Rev, Txn,
    chains, limits::check_chain,
};

/// At ten thousand a second this is less than half a second of waiting; a longer queue only answers later.
const QUEUE_TXNS_MAX: usize = 4096;
/// The largest transactions would fill gigabytes long before the queue is full.
const QUEUE_BYTES_MAX: usize = 64 << 20;

/// Gets the answer, on the thread of the committer or, for a refusal, of the caller. It must not block.
pub type OnDone = Box<dyn FnOnce(Result<Commit, EngineError>) + Send>;

/// Sees every applied transaction in commit order, before its writer does.
pub type Observe = Box<dyn FnMut(&Partition, Rev, &Txn) + Send>;

/// What the committer did so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct CommitterCounters {
    pub groups: u64,
    pub transactions: u64,
    pub conflicts: u64,
    pub failures: u64,
    pub refused: u64,
    pub queue_depth: u64,
}

#[derive(Debug)]
pub struct Committer {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Committer {
    pub fn start(engine: Arc<dyn Engine>, observe: Observe) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let thread =
            Builder::new().name("committer".to_owned()).spawn(move || run(&of_thread, &*engine, observe))?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Queues a transaction. `on_done` is called exactly once, unless the committer panics with it in hand.
    pub fn submit(&self, txn: Txn, on_done: OnDone) {
        self.submit_joined(txn, Vec::new(), on_done);
    }

    /// The same with others that are joined to it. The answer is that of the first: they are all applied, or none is.
    pub fn submit_joined(&self, txn: Txn, joined: Vec<Txn>, on_done: OnDone) {
        let job = match check_chain(&txn, &joined) {
            Ok(bytes) => Job { txn, joined, bytes, on_done },
            Err(error) => {
                self.shared.refused.fetch_add(1, Ordering::Relaxed);
                return on_done(Err(error));
            }
        };
        if let Err((on_done, reason)) = self.shared.push(job) {
            self.shared.refused.fetch_add(1, Ordering::Relaxed);
            on_done(Err(EngineError::unavailable(reason)));
        }
    }

    /// For threads that have nothing else to do than wait.
    pub fn commit(&self, txn: Txn) -> Result<Commit, EngineError> {
        let (tell, told) = mpsc::sync_channel(1);
        self.submit(
            txn,
            Box::new(move |answer| {
                let _ = tell.send(answer);
            }),
        );
        told.recv().unwrap_or_else(|_| {
            Err(EngineError::OutcomeUnknown { reason: "the committer stopped in the middle".to_owned() })
        })
    }

    pub fn counters(&self) -> CommitterCounters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let shared = &*self.shared;
        CommitterCounters {
            groups: read(&shared.groups),
            transactions: read(&shared.transactions),
            conflicts: read(&shared.conflicts),
            failures: read(&shared.failures),
            refused: read(&shared.refused),
            queue_depth: shared.queue().jobs.len() as u64,
        }
    }

    /// Takes no more, answers what is queued, and returns when all is answered.
    pub fn shut_down(&self) {
        self.shared.queue().closed = true;
        self.shared.arrived.notify_all();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the committer had panicked, restart the server");
        }
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.shut_down();
    }
}

struct Job {
    txn: Txn,
    /// What belongs with it, few if any.
    joined: Vec<Txn>,
    bytes: usize,
    on_done: OnDone,
}

impl Job {
    fn txns(&self) -> impl Iterator<Item = &Txn> {
        std::iter::once(&self.txn).chain(&self.joined)
    }
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    bytes: usize,
    closed: bool,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    arrived: Condvar,
    groups: AtomicU64,
    transactions: AtomicU64,
    conflicts: AtomicU64,
    failures: AtomicU64,
    refused: AtomicU64,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("groups", &self.groups).finish_non_exhaustive()
    }
}

impl Shared {
    // The lock is held for a push or a few pops, which leave the queue whole even if they panic.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, job: Job) -> Result<(), (OnDone, &'static str)> {
        let mut queue = self.queue();
        if queue.closed {
            return Err((job.on_done, "the committer has stopped; nothing more is written"));
        }
        if queue.jobs.len() >= QUEUE_TXNS_MAX || queue.bytes + job.bytes > QUEUE_BYTES_MAX {
            return Err((job.on_done, "too many writes are waiting; try again a little later"));
        }
        queue.bytes += job.bytes;
        queue.jobs.push_back(job);
        drop(queue);
        self.arrived.notify_one();
        Ok(())
    }

    /// The next group: all that waits, within the limits of a group. `None` once closed and empty.
    fn next_group(&self) -> Option<Vec<Job>> {
        let queue = self.queue();
        let mut queue = self
            .arrived
            .wait_while(queue, |queue| queue.jobs.is_empty() && !queue.closed)
            .unwrap_or_else(PoisonError::into_inner);
        let (mut txns, mut bytes, mut rows) = (0, 0, 0);
        let mut group = Vec::new();
        while let Some(job) = queue.jobs.pop_front_if(|job| {
            txns += 1 + job.joined.len();
            bytes += job.bytes;
            rows += job.txns().map(Txn::rows).sum::<usize>();
            // A single transaction is always within the limits of a group, and so are as many as may be joined.
            txns <= GROUP_TXNS_MAX && bytes <= GROUP_BYTES_MAX && rows <= GROUP_ROWS_MAX
        }) {
            queue.bytes -= job.bytes;
            group.push(job);
        }
        if group.is_empty() { None } else { Some(group) }
    }
}

/// Refuses all that waits when the thread ends, however it ends.
struct LastOneOut<'a>(&'a Shared, &'a dyn Engine);

impl Drop for LastOneOut<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.1.stop("the committer panicked");
        }
        let mut queue = self.0.queue();
        queue.closed = true;
        let left = std::mem::take(&mut queue.jobs);
        drop(queue);
        for job in left {
            (job.on_done)(Err(EngineError::unavailable(
                "the committer stopped before its turn came; try again",
            )));
        }
    }
}

fn run(shared: &Shared, engine: &dyn Engine, mut observe: Observe) {
    let _last = LastOneOut(shared, engine);
    while let Some(group) = shared.next_group() {
        let mut txns = Vec::with_capacity(group.len());
        let mut waiting = Vec::with_capacity(group.len());
        for job in group {
            waiting.push((txns.len(), job.on_done));
            txns.push(job.txn);
            txns.extend(job.joined.into_iter().map(|txn| Txn { joined: true, ..txn }));
        }
        let answers = commit_group(engine, &txns);
        shared.groups.fetch_add(1, Ordering::Relaxed);
        for (txn, answer) in txns.iter().zip(&answers) {
            match answer {
                Ok(Commit::Done(rev)) => {
                    shared.transactions.fetch_add(1, Ordering::Relaxed);
                    observe(&txn.partition, *rev, txn);
                }
                Ok(Commit::Duplicate(_)) => {}
                Ok(Commit::Conflict(_)) => {
                    shared.conflicts.fetch_add(1, Ordering::Relaxed);
                }
                Err(_) => {
                    shared.failures.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        let mut waiting = waiting.into_iter().peekable();
        for (place, answer) in answers.into_iter().enumerate() {
            if let Some((_, on_done)) = waiting.next_if(|(first, _)| *first == place) {
                on_done(answer);
            }
        }
    }
}

/// One answer for each transaction. An error of the engine is about the group, so all of it gets the same; except
/// that a full store still takes deletions, which must not fail for the company they were in.
fn commit_group(engine: &dyn Engine, txns: &[Txn]) -> Vec<Result<Commit, EngineError>> {
    let error = match engine.commit(txns) {
        Ok(commits) if commits.len() == txns.len() => return commits.into_iter().map(Ok).collect(),
        Ok(_) => EngineError::OutcomeUnknown { reason: "the engine left transactions unanswered".to_owned() },
        Err(error) => error,
    };
    let grows = |chain: &[Txn]| chain.iter().any(Txn::grows);
    let freeing = chains(txns).filter(|chain| !grows(chain)).flatten().cloned().collect::<Vec<_>>();
    if !matches!(error, EngineError::Full { .. }) || freeing.is_empty() || freeing.len() == txns.len() {
        return vec![Err(error); txns.len()];
    }
    let mut freed = commit_group(engine, &freeing).into_iter();
    let mut answers = Vec::with_capacity(txns.len());
    for chain in chains(txns) {
        let is_refused = grows(chain);
        answers.extend(chain.iter().map(|_| match is_refused {
            true => Err(error.clone()),
            false => freed.next().unwrap_or_else(|| Err(error.clone())),
        }));
    }
    answers
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use bytes::Bytes;

    use super::*;
    use crate::{
        Key, MemoryEngine, Write,
        testing::{Call, FailingEngine, Fault, partition, token},
    };

    fn put(number: u64) -> Txn {
        let key = Key::new(number.to_be_bytes());
        let mut txn = Txn::new(partition(1), token(number));
        txn.writes.push(Write::Put { key, value: Bytes::from_static(b"value") });
        txn
    }

    /// An engine that lets a group in only when told, so that a test can fill the queue behind it.
    fn gated() -> (Arc<FailingEngine>, mpsc::Sender<()>) {
        let (open, gate) = mpsc::channel();
        let gate = Mutex::new(gate);
        let engine = FailingEngine::new(Box::new(MemoryEngine::new()));
        engine.before_commit(Box::new(move |_| {
            let _ = gate.lock().unwrap().recv();
        }));
        (Arc::new(engine), open)
    }

    #[test]
    fn what_gathers_behind_a_sync_becomes_one_group() {
        let (engine, open) = gated();
        let committer = Committer::start(engine, Box::new(|_, _, _| {})).unwrap();
        let (tell, told) = mpsc::channel();
        let submit = |number| {
            let tell = tell.clone();
            committer.submit(put(number), Box::new(move |answer| tell.send((number, answer)).unwrap()));
        };
        submit(0);
        while committer.counters().queue_depth > 0 {
            std::thread::yield_now();
        }
        (1..=300).for_each(submit);
        drop(open);
        for number in 0..=300 {
            assert_eq!(told.recv().unwrap(), (number, Ok(Commit::Done(Rev(number + 1)))));
        }
        committer.shut_down();
        let counters = committer.counters();
        assert_eq!((counters.groups, counters.transactions), (3, 301), "one alone, then 256, then the rest");
    }

    #[test]
    fn a_full_queue_refuses_and_forgets_nothing_it_took() {
        let (engine, open) = gated();
        let committer =
            Committer::start(Arc::clone(&engine) as Arc<dyn Engine>, Box::new(|_, _, _| {})).unwrap();
        let (tell, told) = mpsc::channel();
        for number in 0..6000 {
            let tell = tell.clone();
            committer.submit(put(number), Box::new(move |answer| tell.send(answer).unwrap()));
        }
        drop((tell, open));
        committer.shut_down();
        let answers = told.iter().collect::<Vec<_>>();
        let done = answers.iter().filter(|answer| answer.is_ok()).count() as u64;
        assert_eq!(answers.len(), 6000);
        assert!((4096..=4096 + 256).contains(&done), "{done}");
        assert!(
            answers.iter().all(|a| matches!(a, Ok(Commit::Done(_)) | Err(EngineError::Unavailable { .. })))
        );
        assert_eq!(engine.head(&[partition(1)]).unwrap(), [Rev(done)]);
        assert_eq!(committer.counters().refused, 6000 - done);
    }

    #[test]
    fn large_transactions_are_split_over_groups() {
        let (engine, open) = gated();
        let committer = Committer::start(engine, Box::new(|_, _, _| {})).unwrap();
        let (tell, told) = mpsc::channel();
        for number in 0..30 {
            let mut txn = put(number);
            txn.audit = vec![Bytes::from(vec![0; 100 << 10]); 10];
            let tell = tell.clone();
            committer.submit(txn, Box::new(move |answer| tell.send(answer).unwrap()));
        }
        drop((tell, open));
        assert!(told.iter().all(|answer| matches!(answer, Ok(Commit::Done(_)))));
        committer.shut_down();
        assert!(committer.counters().groups >= 4, "{:?}", committer.counters());
    }

    #[test]
    fn the_observer_sees_a_commit_before_its_writer_does() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let of_observer = Arc::clone(&seen);
        let observe: Observe =
            Box::new(move |_, rev, txn| of_observer.lock().unwrap().push((rev, txn.token)));
        let committer = Committer::start(Arc::new(MemoryEngine::new()), observe).unwrap();
        for number in 0..50 {
            assert_eq!(committer.commit(put(number)), Ok(Commit::Done(Rev(number + 1))));
            assert_eq!(seen.lock().unwrap().last(), Some(&(Rev(number + 1), token(number))));
        }
        // Neither what was done before nor what failed is new to a cache.
        assert_eq!(committer.commit(put(3)), Ok(Commit::Duplicate(Rev(4))));
        assert_eq!(seen.lock().unwrap().len(), 50);
    }

    #[test]
    fn a_transaction_that_is_too_large_harms_only_itself() {
        let committer = Committer::start(Arc::new(MemoryEngine::new()), Box::new(|_, _, _| {})).unwrap();
        let mut large = put(1);
        large.audit.push(Bytes::from(vec![0; crate::TXN_BYTES_MAX + 1]));
        assert!(matches!(committer.commit(large), Err(EngineError::TooLarge { .. })));
        assert_eq!(committer.commit(put(2)), Ok(Commit::Done(Rev(1))));
    }

    #[test]
    fn what_is_joined_is_done_together_and_answered_once() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let of_observer = Arc::clone(&seen);
        let observe: Observe = Box::new(move |partition, rev, _| {
            of_observer.lock().unwrap().push((partition.clone(), rev));
        });
        let engine = Arc::new(MemoryEngine::new());
        let committer = Committer::start(Arc::clone(&engine) as Arc<dyn Engine>, observe).unwrap();
        let (tell, told) = mpsc::channel();
        let submit = |first: Txn, second: Txn| {
            let tell = tell.clone();
            committer.submit_joined(first, vec![second], Box::new(move |answer| tell.send(answer).unwrap()));
            told.recv().unwrap()
        };
        let there = |number| Txn { partition: partition(2), ..put(number) };
        assert_eq!(submit(put(1), there(2)), Ok(Commit::Done(Rev(1))));
        assert_eq!(*seen.lock().unwrap(), [(partition(1), Rev(1)), (partition(2), Rev(1))]);
        let stale = Txn {
            checks: vec![crate::Check { key: Key::new(2_u64.to_be_bytes()), expect: crate::Expect::Absent }],
            ..there(4)
        };
        assert_eq!(submit(put(3), stale), Ok(Commit::Conflict(Vec::new())));
        assert_eq!(engine.head(&[partition(1), partition(2)]).unwrap(), [Rev(1), Rev(1)]);
        // More than a group could ever hold would stand before everything else for ever.
        let many = vec![there(5); crate::JOINED_MAX + 1];
        let refused = Box::new(|answer| assert!(matches!(answer, Err(EngineError::TooLarge { .. }))));
        committer.submit_joined(put(5), many, refused);
    }

    #[test]
    fn a_full_store_still_takes_the_deletions_of_a_mixed_group() {
        let (engine, open) = gated();
        engine.fail(Call::Commit, 2, Fault::Before(EngineError::Full { reason: "test".to_owned() }));
        let committer = Committer::start(engine, Box::new(|_, _, _| {})).unwrap();
        let (tell, told) = mpsc::channel();
        let submit = |txn| {
            let tell = tell.clone();
            committer.submit(txn, Box::new(move |answer| tell.send(answer).unwrap()));
        };
        submit(put(0));
        while committer.counters().queue_depth > 0 {
            std::thread::yield_now();
        }
        let mut delete = put(1);
        delete.writes = vec![Write::Delete { key: put(0).writes[0].key().clone() }];
        submit(delete);
        submit(put(2));
        drop(open);
        assert_eq!(told.recv().unwrap(), Ok(Commit::Done(Rev(1))));
        assert_eq!(told.recv().unwrap(), Ok(Commit::Done(Rev(2))));
        assert!(matches!(told.recv().unwrap(), Err(EngineError::Full { .. })));
    }

    #[test]
    fn a_committer_that_panics_leaves_nobody_waiting() {
        let armed = AtomicBool::new(true);
        let observe: Observe = Box::new(move |_, _, _| assert!(!armed.load(Ordering::Relaxed), "on purpose"));
        let engine = Arc::new(MemoryEngine::new());
        let committer = Committer::start(Arc::clone(&engine) as Arc<dyn Engine>, observe).unwrap();
        assert!(matches!(committer.commit(put(1)), Err(EngineError::OutcomeUnknown { .. })));
        assert!(matches!(committer.commit(put(2)), Err(EngineError::Unavailable { .. })));
        committer.shut_down();
        // The observer may have left a cache without what was committed, so the process must not go on.
        assert!(engine.fatal().unwrap().contains("panicked"));
    }

    #[test]
    fn shutting_down_answers_what_is_queued_and_refuses_the_rest() {
        let (engine, open) = gated();
        let committer = Committer::start(engine, Box::new(|_, _, _| {})).unwrap();
        let (tell, told) = mpsc::channel();
        for number in 0..1000 {
            let tell = tell.clone();
            committer.submit(put(number), Box::new(move |answer| tell.send(answer).unwrap()));
        }
        drop((open, tell));
        committer.shut_down();
        assert_eq!(told.iter().filter(|answer| matches!(answer, Ok(Commit::Done(_)))).count(), 1000);
        assert!(matches!(committer.commit(put(9999)), Err(EngineError::Unavailable { .. })));
    }
}
