//! Work in one place that has an effect in another.
//!
//! What is carried from one partition to another, and may be a little behind there, happens in three transactions: the next piece of
//! work is *picked* here, *delivered* there, and *settled* here. What is to be done is a record here, written by whoever wanted
//! it and in the transaction in which he wanted it; it goes when it is settled. A crash between any two of the three begins the
//! same piece again, so a delivery must be good to make twice. What travels is in memory and nowhere else.
//!
//! Relays run one after the other on the loop that runs the tasks. INVARIANT: a load is settled before the next one is picked,
//! so an old load never arrives after a newer one.

use std::sync::Arc;

use coffer_shape::{ApiError, ServiceSpec};
use coffer_types::Region;

use crate::{
    Caller, Core, Cx, Next,
    task::{AnyTask, Scope, Step, Stepping},
};

/// What there is to do.
#[derive(Debug)]
pub enum Pick<L> {
    /// To be carried to another region of the account.
    Load {
        to: Region,
        load: L,
    },
    Nothing(Next),
}

pub trait Relay: Send + Sync + 'static {
    const NAME: &'static str;
    /// In whose name it works. Keys that this service manages admit it, as they do when a caller comes through the service.
    const SERVICE: &'static ServiceSpec;
    /// What travels; secrets in it are [`Secret`](coffer_types::Secret)s.
    type Load: Send + Sync;
    /// What the other side says of a delivery.
    type Receipt: Send + Sync;

    /// Here: the next piece of work, or when to look again. One piece that cannot be picked must not stand before all others.
    fn pick(&self, here: &mut Cx<'_>) -> Result<Pick<Self::Load>, ApiError>;

    /// There, and perhaps again after a crash.
    fn deliver(&self, there: &mut Cx<'_>, load: &Self::Load) -> Result<Self::Receipt, ApiError>;

    /// Here: notes the outcome. A fault is for later: the piece is put off, for half an hour at most, so that others come first. Any
    /// other error is the answer of the other side.
    fn settle(
        &self,
        here: &mut Cx<'_>,
        load: &Self::Load,
        outcome: &Result<Self::Receipt, ApiError>,
    ) -> Result<(), ApiError>;
}

/// A relay as the runner sees it: a task whose steps are made of three.
pub(crate) struct Relayed<R>(pub R);

impl<R: Relay> AnyTask for Relayed<R> {
    fn name(&self) -> &'static str {
        R::NAME
    }

    fn scope(&self) -> Scope {
        Scope::EachPartition
    }

    fn step<'a>(&'a self, core: &'a Arc<Core>, caller: &'a Caller) -> Stepping<'a> {
        Box::pin(carry(&self.0, core, caller))
    }
}

async fn carry<R: Relay>(relay: &R, core: &Core, caller: &Caller) -> Step {
    let (account, id) = (caller.principal.account, caller.request_id);
    let at = |region| Caller::service(account, region, R::SERVICE.event_source, id);
    let here = at(caller.region.clone());
    let (to, load) = match core.run_for(&here, Some(R::SERVICE), |cx| relay.pick(cx)).await {
        Ok(Pick::Load { to, load }) => (to, load),
        Ok(Pick::Nothing(next)) => return Step::good(next),
        Err(error) => return Step::failed(core, error),
    };
    let outcome = core.run_for(&at(to), Some(R::SERVICE), |cx| relay.deliver(cx, &load)).await;
    let settled = core.run_for(&here, Some(R::SERVICE), |cx| relay.settle(cx, &load, &outcome)).await;
    match (settled, outcome) {
        (Err(error), _) => Step::failed(core, error),
        (Ok(()), Err(fault)) if fault.is_fault() => Step::put_off(core, fault),
        (Ok(()), _) => Step::good(Next::Now),
    }
}
