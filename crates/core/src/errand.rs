//! Work that is done outside: a function that is run, a message that is sent.
//!
//! A piece of work is *picked* here, in a transaction that puts on record that it begins; it is *run* outside, where it takes as long as it
//! takes; and it is *settled* here, in a transaction that knows how it ended. Several run at once. What is to be done is a record,
//! so a crash between any two of the three begins the same piece again, and a run must be good to make twice.
//!
//! INVARIANT: while a piece is run, no other of its key is. What is under way is known in memory only, and whoever picks is told of it.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::Duration,
};

use coffer_shape::{ApiError, ServiceSpec};

use crate::{
    Caller, Core, Cx, Inside, Next, Partition, World,
    runner::Tasks,
    task::{AnyTask, Scope, Step, Stepping},
};

/// A piece whose end could not be noted is made again, and not at once.
const SETTLE_WAIT: Duration = Duration::from_secs(1);

/// What there is to do.
#[derive(Debug)]
pub enum Picked<E: Errand> {
    Load {
        key: E::Key,
        load: E::Load,
    },
    /// Nothing that is not under way.
    Nothing(Next),
}

pub trait Errand: Send + Sync + 'static {
    const NAME: &'static str;
    /// In whose name it works.
    const SERVICE: &'static ServiceSpec;
    /// What a piece is about.
    type Key: Ord + Clone + Send + Sync + fmt::Debug;
    /// What the run needs; secrets in it are [`Secret`](coffer_types::Secret)s.
    type Load: Send + fmt::Debug;
    /// How it ended, and what has to be known of the piece to note that.
    type Outcome: Send + Sync;

    /// So many run at once in the whole store.
    fn at_once_max(&self, world: &World) -> usize;

    /// Here: the next piece that is not among those under way here, or when to look again. It is put on record that it begins.
    fn pick(&self, here: &mut Cx<'_>, under_way: &BTreeSet<Self::Key>) -> Result<Picked<Self>, ApiError>
    where
        Self: Sized;

    /// Outside, and perhaps again after a crash.
    fn run(self: Arc<Self>, load: Self::Load, inside: Inside) -> impl Future<Output = Self::Outcome> + Send;

    /// Here: notes how it ended. The world may have changed meanwhile.
    fn settle(&self, here: &mut Cx<'_>, key: &Self::Key, outcome: &Self::Outcome) -> Result<(), ApiError>;
}

/// An errand as the runner of tasks sees it: a task whose steps only set off.
pub(crate) struct Sent<E: Errand> {
    errand: Arc<E>,
    under_way: Arc<UnderWay<E::Key>>,
}

type UnderWay<K> = Mutex<BTreeSet<(Partition, K)>>;

impl<E: Errand> Sent<E> {
    pub(crate) fn new(errand: E) -> Self {
        Self { errand: Arc::new(errand), under_way: Arc::default() }
    }
}

fn locked<K>(under_way: &UnderWay<K>) -> MutexGuard<'_, BTreeSet<(Partition, K)>> {
    under_way.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<E: Errand> AnyTask for Sent<E> {
    fn name(&self) -> &'static str {
        E::NAME
    }

    fn scope(&self) -> Scope {
        Scope::EachPartition
    }

    fn step<'a>(&'a self, core: &'a Arc<Core>, caller: &'a Caller) -> Stepping<'a> {
        Box::pin(self.set_off(core, caller))
    }
}

impl<E: Errand> Sent<E> {
    async fn set_off(&self, core: &Arc<Core>, caller: &Caller) -> Step {
        let caller = caller.of(E::SERVICE);
        let home = Partition::new(caller.principal.account, caller.region.clone());
        let (count, here) = {
            let under_way = locked(&self.under_way);
            let here = under_way.iter().filter(|(place, _)| place == &home).map(|(_, key)| key.clone());
            (under_way.len(), here.collect::<BTreeSet<_>>())
        };
        if count >= self.errand.at_once_max(core.world()) {
            // Whoever comes back looks for more.
            return Step::good(Next::Idle);
        }
        let picked = core.run_for(&caller, Some(E::SERVICE), |cx| self.errand.pick(cx, &here)).await;
        let (key, load) = match picked {
            Ok(Picked::Load { key, load }) => (key, load),
            Ok(Picked::Nothing(next)) => return Step::good(next),
            Err(error) => return Step::failed(core, error),
        };
        if !locked(&self.under_way).insert((home.clone(), key.clone())) {
            return Step::failed(core, unexpected(format!("{key:?} is under way already")));
        }
        core.tasks.errands.fetch_add(1, Ordering::SeqCst);
        let tasks = Arc::clone(&core.tasks);
        let place = Place { under_way: Arc::clone(&self.under_way), is: (home, key), tasks, name: E::NAME };
        let (errand, inside, core) = (Arc::clone(&self.errand), core.inside(), Arc::downgrade(core));
        tokio::spawn(async move {
            let outcome = Arc::clone(&errand).run(load, inside).await;
            // A store that was sealed meanwhile begins this piece again.
            let Some(core) = core.upgrade() else { return };
            let settled =
                core.run_for(&caller, Some(E::SERVICE), |cx| errand.settle(cx, &place.is.1, &outcome)).await;
            if let Err(error) = settled {
                tracing::warn!(task = E::NAME, %error, cause = ?error.cause, "the end of a run was not noted, so that it is made again");
                // Whoever seals the store waits for it.
                drop(core);
                tokio::time::sleep(SETTLE_WAIT).await;
            }
            drop(place);
        });
        Step::good(Next::Now)
    }
}

fn unexpected(what: String) -> ApiError {
    ApiError::new(crate::cx::INTERNAL, crate::cx::INTERNAL_MESSAGE).because(what)
}

/// Among those under way for as long as it lives.
struct Place<K: Ord> {
    under_way: Arc<UnderWay<K>>,
    is: (Partition, K),
    tasks: Arc<Tasks>,
    name: &'static str,
}

impl<K: Ord> Drop for Place<K> {
    fn drop(&mut self) {
        locked(&self.under_way).remove(&self.is);
        // Also when a run came to grief: others wait for its place, and it is to be made again. Whoever finds nothing under way any more
        // finds the hint.
        self.tasks.activate_everywhere(self.name);
        self.tasks.errands.fetch_sub(1, Ordering::SeqCst);
    }
}
