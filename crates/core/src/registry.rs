//! Which function serves which operation.
//!
//! A handler is registered under the type of its operation, so input and output cannot be mixed up, and is found again in two
//! ways: by name for a request from outside, by type for a call from another service.

use std::{any::Any, collections::HashMap, fmt, sync::Arc};

use coffer_shape::{
    ApiError, DecodeError, Exposure, Operation, OperationSpec, Reader, ServiceSpec, Shape, Writer, Wrote,
    conditions, decode, describe, validation_message,
};

use crate::{
    Cx, Examined, Identities, Outside, Preparer, Task,
    examine::{Examiner, examiner},
    sweep::{KeepsEpochs, Progress, Sweep},
    task::AnyTask,
};

pub type Handler<O> = fn(&mut Cx<'_>, <O as Operation>::Input) -> Result<<O as Operation>::Output, ApiError>;

/// Counts what would go with the thing of an ARN: what depends on that, and on nothing else.
pub type CountDependents = fn(&mut Cx<'_>, &str) -> Result<u64, ApiError>;

/// An output whose type is forgotten. It can be written, and whoever knows the type gets it back.
pub trait Reply: Send {
    fn write_to(&self, to: &mut dyn Writer) -> Wrote;
    fn into_any(self: Box<Self>) -> Box<dyn Any + Send>;
}

impl<S: Shape + Send + 'static> Reply for S {
    fn write_to(&self, to: &mut dyn Writer) -> Wrote {
        self.write(to)
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}

/// A request decoded and run, up to where it has to wait for the world outside.
pub(crate) type Ran = Result<Outside<Box<dyn Reply>>, ApiError>;
type Run = dyn Fn(&mut Cx<'_>, &mut dyn Reader) -> Ran + Send + Sync;

struct Entry {
    spec: &'static OperationSpec,
    run: Box<Run>,
    /// The `Handler<O>` or `Preparer<O>` itself, for calls by type.
    typed: Box<dyn Any + Send + Sync>,
}

#[derive(Default)]
pub struct Registry {
    entries: HashMap<(&'static str, &'static str), Entry>,
    tasks: Vec<Arc<dyn AnyTask>>,
    identities: Option<Box<dyn Identities>>,
    dependents: Vec<CountDependents>,
    examiners: HashMap<u16, Examiner>,
    sweep: Arc<Progress>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries.keys()).finish()
    }
}

impl Registry {
    pub fn serve<O: Operation>(&mut self, handler: Handler<O>) {
        self.enter::<O>(Box::new(handler), move |cx, input| {
            let output = handler(cx, input)?;
            cx.note_response(describe(&output, O::SPEC.audit.response));
            Ok(Outside::Done(output))
        });
    }

    /// An operation whose caller waits for the world outside. What it answers then is in no audit event: that is written before.
    pub fn serve_outside<O: Operation>(&mut self, preparer: Preparer<O>) {
        self.enter::<O>(Box::new(preparer), preparer);
    }

    fn enter<O: Operation>(
        &mut self,
        typed: Box<dyn Any + Send + Sync>,
        begin: impl Fn(&mut Cx<'_>, O::Input) -> Result<Outside<O::Output>, ApiError> + Send + Sync + 'static,
    ) {
        let run = move |cx: &mut Cx<'_>, from: &mut dyn Reader| -> Ran {
            let input: O::Input = decode(from).map_err(|error| refuse(O::SPEC.service, error))?;
            if let Some(named) = O::owner(&input) {
                cx.go_to_owner(named);
            }
            cx.note_request(describe(&input, O::SPEC.audit.request), conditions(&input, O::SPEC.conditions));
            begin(cx, input).map(|begun| begun.map(|output| -> Box<dyn Reply> { Box::new(output) }))
        };
        let entry = Entry { spec: O::SPEC, run: Box::new(run), typed };
        self.entries.insert((O::SPEC.service.name, O::SPEC.name), entry);
    }

    pub fn task<T: Task>(&mut self, task: T) {
        self.tasks.push(Arc::new(task));
    }

    /// Who destroys the keys of epochs, once nothing is sealed under them any more.
    pub fn keep_epochs(&mut self, keeper: impl KeepsEpochs + 'static) {
        self.tasks.push(Arc::new(Sweep::new(keeper, Arc::clone(&self.sweep))));
    }

    pub(crate) fn sweep(&self) -> &Progress {
        &self.sweep
    }

    pub fn relay(&mut self, relay: impl crate::Relay) {
        self.tasks.push(Arc::new(crate::relay::Relayed(relay)));
    }

    pub fn errand(&mut self, errand: impl crate::Errand) {
        self.tasks.push(Arc::new(crate::errand::Sent::new(errand)));
    }

    /// Who is asked about principals: services name them, and must not name IAM.
    pub fn keep_identities(&mut self, keeper: impl Identities + 'static) {
        self.identities = Some(Box::new(keeper));
    }

    pub(crate) fn identities(&self) -> Option<&dyn Identities> {
        self.identities.as_deref()
    }

    /// A service whose records depend on what others keep.
    pub fn depend(&mut self, count: CountDependents) {
        self.dependents.push(count);
    }

    pub(crate) fn dependents(&self) -> &[CountDependents] {
        &self.dependents
    }

    /// A table of the service, and what has to be true of its records.
    pub fn examine<R: Examined>(&mut self) {
        let before = self.examiners.insert(R::TABLE.id, examiner::<R>());
        debug_assert!(before.is_none(), "two tables have the number {:#x}", R::TABLE.id);
    }

    pub(crate) fn examiner(&self, table: u16) -> Option<Examiner> {
        self.examiners.get(&table).copied()
    }

    pub(crate) fn tasks(&self) -> &[Arc<dyn AnyTask>] {
        &self.tasks
    }

    pub(crate) fn handler<O: Operation>(&self) -> Option<Handler<O>> {
        let entry = self.entries.get(&(O::SPEC.service.name, O::SPEC.name))?;
        entry.typed.downcast_ref::<Handler<O>>().copied()
    }

    pub(crate) fn preparer<O: Operation>(&self) -> Option<Preparer<O>> {
        let entry = self.entries.get(&(O::SPEC.service.name, O::SPEC.name))?;
        entry.typed.downcast_ref::<Preparer<O>>().copied()
    }

    pub(crate) fn run(&self, spec: &'static OperationSpec, cx: &mut Cx<'_>, from: &mut dyn Reader) -> Ran {
        match self.entries.get(&(spec.service.name, spec.name)) {
            Some(entry) => (entry.run)(cx, from),
            None => Err(ApiError::new(
                spec.service.codes.unknown_operation,
                format!("The operation {} is not implemented.", spec.name),
            )),
        }
    }

    /// Operations of the models that nobody registered; a test keeps this empty.
    pub fn missing(&self, services: &[&'static ServiceSpec]) -> Vec<&'static str> {
        services
            .iter()
            .flat_map(|service| service.operations)
            .filter(|spec| !self.entries.contains_key(&(spec.service.name, spec.name)))
            .map(|spec| spec.name)
            .collect()
    }

    /// What is served over the network, in the order of the names.
    pub fn public(&self) -> Vec<&'static OperationSpec> {
        let mut specs: Vec<_> = self.entries.values().map(|entry| entry.spec).collect();
        specs.retain(|spec| spec.exposure == Exposure::Public);
        specs.sort_by_key(|spec| (spec.service.name, spec.name));
        specs
    }
}

/// A request that does not fit its model, in the words of its service.
fn refuse(service: &'static ServiceSpec, error: DecodeError) -> ApiError {
    match error {
        DecodeError::Malformed(error) => ApiError::new(service.codes.serialization, error.message),
        DecodeError::Invalid(violations) => {
            ApiError::new(service.codes.validation, validation_message(&violations))
        }
    }
}
