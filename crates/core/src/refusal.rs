//! Calls that are refused before any operation runs, by callers who have proven who they are.
//!
//! The pipeline records what operations do. A call of an operation that is not served never gets there, and is a call all the same:
//! somebody with a key tries what the API can do, which is what an audit is read for. So whoever answers it comes here first.
//!
//! What this does not know: how a call says what it wants. Its name is one of ours or none, because what a caller invents stays out of
//! the names by which events are searched.

use coffer_shape::{ApiError, ServiceSpec};
use coffer_types::Uuid;

use crate::{Caller, Core, Recorded, audit::Outcome};

/// The name of the event where a call named nothing that we know.
const UNKNOWN: &str = "UnknownOperation";

impl Core {
    /// Puts a refusal on record. `None` as with [`Core::call`]: what cannot be recorded is not told either.
    pub async fn record_refusal(
        &self,
        caller: &Caller,
        service: &'static ServiceSpec,
        operation: Option<&'static str>,
        error: &ApiError,
    ) -> Option<Recorded> {
        let world = self.world();
        let outcome = Outcome::new(caller, world.clock.now());
        let id = Uuid::random(world.entropy.as_ref());
        let name = operation.unwrap_or(UNKNOWN);
        let event = outcome.refusal(service, name, (error.code(), &error.message), id);
        self.audit().append_shared(vec![event]).await.ok().map(|()| Recorded(()))
    }
}
