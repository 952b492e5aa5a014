//! Calls that have to do with the world outside while somebody waits for their answer.
//!
//! Such a call has two halves. The first is a handler like any other: it asks for permission, reads and changes records, and is
//! recorded. What it answers with is the second half, which runs when that is committed or on record: it may wait, and sees the store only
//! through calls of its own.

use std::{fmt, pin::Pin, sync::Weak};

use coffer_shape::{ApiError, Operation, ReadError, Reader, ServiceSpec, stored};
use coffer_types::Secret;

use crate::{Body, Caller, Core, Cx, World};

const CLOSED: &str = "The store is closed.";

/// What the second half comes to.
pub type Going<T> = Pin<Box<dyn Future<Output = Result<T, ApiError>> + Send>>;

/// What the first half answers.
pub enum Outside<T> {
    /// There is nothing to wait for.
    Done(T),
    Run(Box<dyn FnOnce(Inside) -> Going<T> + Send>),
}

impl<T> fmt::Debug for Outside<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if matches!(self, Self::Done(_)) { "Done" } else { "Run" })
    }
}

impl<T: Send + 'static> Outside<T> {
    pub fn run<F>(work: impl FnOnce(Inside) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Result<T, ApiError>> + Send + 'static,
    {
        Self::Run(Box::new(move |inside| Box::pin(work(inside))))
    }

    pub async fn finish(self, inside: Inside) -> Result<T, ApiError> {
        match self {
            Self::Done(answer) => Ok(answer),
            Self::Run(work) => work(inside).await,
        }
    }

    /// The same with another type of answer.
    pub(crate) fn map<U: Send + 'static>(self, change: impl FnOnce(T) -> U + Send + 'static) -> Outside<U> {
        match self {
            Self::Done(answer) => Outside::Done(change(answer)),
            Self::Run(work) => Outside::run(move |inside| async move { work(inside).await.map(change) }),
        }
    }
}

/// The first half of an operation.
pub type Preparer<O> =
    fn(&mut Cx<'_>, <O as Operation>::Input) -> Result<Outside<<O as Operation>::Output>, ApiError>;

/// The way back into the core for what runs outside of it. It keeps nothing alive: when the store is sealed, it leads nowhere.
#[derive(Clone)]
pub struct Inside {
    core: Weak<Core>,
    world: World,
}

impl fmt::Debug for Inside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inside")
    }
}

impl Inside {
    pub(crate) const fn new(core: Weak<Core>, world: World) -> Self {
        Self { core, world }
    }

    pub(crate) fn core(&self) -> Option<std::sync::Arc<Core>> {
        self.core.upgrade()
    }

    pub const fn world(&self) -> &World {
        &self.world
    }

    /// Does something for a service itself, as a step of a task would.
    pub async fn work<T>(
        &self,
        caller: &Caller,
        service: &'static ServiceSpec,
        run: impl Fn(&mut Cx<'_>) -> Result<T, ApiError> + Sync,
    ) -> Result<T, ApiError> {
        let closed = || ApiError::new(service.codes.unavailable, CLOSED);
        let core = self.core.upgrade().ok_or_else(closed)?;
        core.run_for(caller, Some(service), run).await
    }

    /// Runs an operation for somebody: with his permissions, and on record like any call.
    pub async fn call<O: Operation>(&self, caller: &Caller, input: O::Input) -> Result<O::Output, ApiError> {
        let unavailable = || ApiError::new(O::SPEC.service.codes.unavailable, CLOSED);
        let body = Again(stored::to_bytes(&input).map_err(|error| unavailable().because(error))?);
        let core = self.core.upgrade().ok_or_else(unavailable)?;
        let begun = core.begin(caller, O::SPEC, &body, &mut || ()).await.ok_or_else(unavailable)?;
        drop(core);
        let reply = begun.outcome?.finish(self.clone()).await?.into_any();
        reply.downcast().map(|output| *output).map_err(|_| unavailable().because("an answer of another type"))
    }
}

/// An input that can be read once for each attempt.
struct Again(Secret<Vec<u8>>);

impl Body for Again {
    fn read(&self, walk: &mut dyn FnMut(&mut dyn Reader)) -> Result<(), ReadError> {
        stored::walk(self.0.expose(), walk);
        Ok(())
    }
}
