//! What one call may see and do.
//!
//! A handler reads records, asks permission, records changes and answers. It never commits, encodes, sleeps or asks a clock; so it
//! can be run again after a write conflict, and gives the same answer in a simulation. Everything it read becomes a check of the
//! commit: if any of it has changed meanwhile, nothing is written and the handler runs again.

mod acting;
mod kept;
mod there;

use std::{
    any::Any,
    cell::{Cell, OnceCell, RefCell},
    collections::BTreeMap,
    ops::ControlFlow,
    sync::Arc,
    time::Duration,
};

use coffer_shape::{
    Action, ApiError, Conditions, Operation, OperationSpec, ServiceSpec, Shape, conditions, describe,
    fingerprint,
};
use coffer_store::{Expect, Key, Partition, Rev};
use coffer_types::{AccountId, Arn, Clock, Entropy, Region, RequestId, Secret, Timestamp, Uuid};

use crate::{
    AuditLog, Caller, Confined, Db, Functions, Guarded, Identities, Listed, LooksBack, Outside, Part, Permit,
    Principal, Record, Registry, Resource, SealedToken, Standing, TrailPlace, Transport, Unscoped, Walk,
    World,
    audit::{Event, ServiceEvent, move_rows},
    db::{Change, Found, Sheet},
    record::encode,
};

pub use kept::{Kept, is_damage};

/// How deep services may call each other. Today the depth is one; a loop must not eat the stack.
const CALLS_DEPTH_MAX: usize = 8;
/// A call that has run for so long ends with what it has. Our choice: a hundred thousand records are walked in a tenth of it.
const LONG: Duration = Duration::from_secs(1);

pub struct Cx<'a> {
    db: &'a Db,
    registry: &'a Registry,
    entropy: &'a dyn Entropy,
    functions: &'a dyn Functions,
    clock: &'a dyn Clock,
    now: Timestamp,
    /// On the clock that only goes forward.
    begun: Duration,
    has_turn: bool,
    wants_turn: Cell<bool>,
    wants_blob: RefCell<Option<Arc<Secret<Vec<u8>>>>>,
    caller: &'a Caller,
    /// In whose name something is being done, if that is not the caller.
    acting: Option<Arc<Caller>>,
    /// The ARN of what a service acts for as itself.
    about: Option<String>,
    /// What the service wants of the function that it has run.
    confined: Option<Confined>,
    home: Partition,
    /// Whose the resource is that was used, where it is of another account than the one in which the call runs.
    lender: Option<AccountId>,
    /// The audit log, and what its events are made with.
    trail: Option<(&'a AuditLog, &'a World)>,
    /// The service that this is done for, if nobody called it.
    service: Option<&'static ServiceSpec>,
    calls: Vec<&'static OperationSpec>,
    /// What the request of the running operation brings for the conditions of policies.
    conditions: Conditions,
    /// What holds for the caller, once it was asked.
    standing: OnceCell<Arc<Standing>>,
    /// What was read, and at which revision: the checks of the commit.
    reads: RefCell<BTreeMap<Key, Expect>>,
    changes: BTreeMap<Key, Change>,
    /// The same in other partitions.
    elsewhere: BTreeMap<Partition, Sheet>,
    /// No change was made but such that may be dropped.
    only_optional: bool,
    resources: RefCell<Vec<String>>,
    asked: RefCell<bool>,
    request: Option<String>,
    response: Option<String>,
    more: Vec<(&'static str, String)>,
    nested: Vec<Event>,
    /// With the place in which each happened.
    events: Vec<(Partition, ServiceEvent)>,
    /// Tasks that have work, and where.
    activated: Vec<(&'static str, Partition)>,
}

impl std::fmt::Debug for Cx<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cx").field("home", &self.home).field("now", &self.now).finish_non_exhaustive()
    }
}

/// Where what a call is about lives: in the caller's account, and in the region he signed for, unless the service knows none.
pub(crate) fn home(caller: &Caller, spec: Option<&'static OperationSpec>) -> Partition {
    let is_global = spec.is_some_and(|spec| spec.service.global);
    let region = if is_global { Region::global() } else { caller.region.clone() };
    Partition::new(caller.principal.account, region)
}

/// What a handler leaves behind.
pub(crate) struct Effects {
    /// Where it ran.
    pub home: Partition,
    pub lender: Option<AccountId>,
    pub sheet: Sheet,
    pub elsewhere: BTreeMap<Partition, Sheet>,
    pub only_optional: bool,
    pub resources: Vec<String>,
    pub asked: bool,
    pub request: Option<String>,
    pub response: Option<String>,
    pub more: Vec<(&'static str, String)>,
    pub nested: Vec<Event>,
    pub events: Vec<(Partition, ServiceEvent)>,
    pub activated: Vec<(&'static str, Partition)>,
    /// The handler came to something that takes long, and must run again with a turn.
    pub wants_turn: bool,
    /// The handler brings a package that is not stored yet, and must run again once it is.
    pub wants_blob: Option<Arc<Secret<Vec<u8>>>>,
}

impl Effects {
    pub(crate) fn has_changes(&self) -> bool {
        !self.sheet.changes.is_empty() || self.elsewhere.values().any(|sheet| !sheet.changes.is_empty())
    }
}

impl<'a> Cx<'a> {
    pub(crate) fn new(
        db: &'a Db,
        registry: &'a Registry,
        world: &'a World,
        now: Timestamp,
        caller: &'a Caller,
        spec: Option<&'static OperationSpec>,
    ) -> Self {
        Self {
            db,
            registry,
            entropy: world.entropy.as_ref(),
            functions: world.functions.as_ref(),
            clock: world.clock.as_ref(),
            now,
            begun: world.clock.monotonic(),
            has_turn: false,
            wants_turn: Cell::new(false),
            wants_blob: RefCell::default(),
            caller,
            acting: None,
            about: None,
            confined: None,
            home: home(caller, spec),
            lender: None,
            trail: None,
            service: None,
            calls: spec.into_iter().collect(),
            conditions: Conditions::new(),
            standing: OnceCell::new(),
            reads: RefCell::default(),
            changes: BTreeMap::new(),
            elsewhere: BTreeMap::new(),
            only_optional: true,
            resources: RefCell::default(),
            asked: RefCell::default(),
            request: None,
            response: None,
            more: Vec::new(),
            nested: Vec::new(),
            events: Vec::new(),
            activated: Vec::new(),
        }
    }

    pub(crate) fn with_trail(self, log: &'a AuditLog, world: &'a World) -> Self {
        Self { trail: Some((log, world)), ..self }
    }

    pub(crate) fn with_turn(self) -> Self {
        Self { has_turn: true, ..self }
    }

    pub(crate) fn for_service(self, service: Option<&'static ServiceSpec>) -> Self {
        Self { service, ..self }
    }

    pub(crate) fn into_effects(self) -> Effects {
        Effects {
            home: self.home,
            lender: self.lender,
            sheet: Sheet { reads: self.reads.into_inner(), changes: self.changes },
            elsewhere: self.elsewhere,
            only_optional: self.only_optional,
            resources: self.resources.into_inner(),
            asked: self.asked.into_inner(),
            request: self.request,
            response: self.response,
            more: self.more,
            nested: self.nested,
            events: self.events,
            activated: self.activated,
            wants_turn: self.wants_turn.get(),
            wants_blob: self.wants_blob.into_inner(),
        }
    }

    /// One instant per call.
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    pub fn uuid(&self) -> Uuid {
        Uuid::random(self.entropy)
    }

    pub const fn entropy(&self) -> &dyn Entropy {
        self.entropy
    }

    pub const fn functions(&self) -> &dyn Functions {
        self.functions
    }

    pub fn caller(&self) -> &Principal {
        &self.whole_caller().principal
    }

    pub const fn account(&self) -> AccountId {
        self.home.account
    }

    pub const fn region(&self) -> &Region {
        &self.home.region
    }

    /// Whether what the call is about belongs to another account than the caller.
    pub fn is_from_abroad(&self) -> bool {
        self.caller().account != self.home.account
    }

    /// Names the request in error texts that quote it.
    pub fn request_id(&self) -> String {
        self.caller.request_id.to_string()
    }

    /// The request itself, for what is done for it elsewhere.
    pub const fn request(&self) -> RequestId {
        self.caller.request_id
    }

    /// Where the caller reached us, for what he is going to fetch there.
    pub fn endpoint(&self) -> String {
        let has_tls = matches!(self.caller.transport, Transport::Tls(_));
        let scheme = if has_tls { "https" } else { "http" };
        format!("{scheme}://{}", self.caller.host)
    }

    /// The account whose resource the running operation was permitted to use has it on record too, though it does not run there.
    pub const fn is_known_to(&mut self, lender: AccountId) {
        self.lender = Some(lender);
    }

    /// Before anything is read.
    pub(crate) const fn move_to(&mut self, account: AccountId) {
        self.home.account = account;
    }

    /// The service that called the running operation, if it was not the caller himself.
    pub fn via(&self) -> Option<&'static ServiceSpec> {
        let (_, outer) = self.calls.split_last()?;
        outer.last().map(|spec| spec.service).or(self.service)
    }

    /// An ARN in the account and region of this call.
    pub fn arn(&self, service: &str, resource: &str) -> Arn {
        Arn::regional(service, self.region(), self.account(), resource)
    }

    /// Whether there is a user or role of this ARN.
    pub fn identity_exists(&self, arn: &Arn) -> Result<bool, ApiError> {
        Ok(self.identity(arn)?.is_some())
    }

    /// The id of the user or role of this ARN, which nobody else will ever have. IAM lives in another partition, so the answer is
    /// true now and no check of the commit; and without an IAM nobody exists.
    pub fn identity(&self, arn: &Arn) -> Result<Option<String>, ApiError> {
        let Some(identities) = self.registry.identities() else { return Ok(None) };
        identities.identity(self.db, arn).map_err(|error| self.internal(error))
    }

    /// The ARN that a user or role has now that once had this one, if it is known to have had another one.
    pub fn arn_of_identity(&self, once: &Arn, unique_id: &str) -> Result<Option<String>, ApiError> {
        let Some(identities) = self.registry.identities() else { return Ok(None) };
        let Ok(account) = once.account().parse() else { return Ok(None) };
        identities.arn_of(self.db, account, unique_id).map_err(|error| self.internal(error))
    }

    /// A record that is a resource of its own.
    pub fn find<R: Record + Resource>(&self, key: &[&str]) -> Result<Option<Guarded<Arc<R>>>, ApiError> {
        Ok(self.load::<R>(key)?.map(Guarded::new))
    }

    /// A record that belongs to a resource, which has been permitted before anybody could name its key.
    pub fn part<R: Part>(&self, key: &[&str]) -> Result<Option<Arc<R>>, ApiError> {
        self.load(key)
    }

    /// Whether there is such a record, and if an ARN is given, whether it is the resource of that. Nothing of it is opened: this is
    /// for whoever was permitted to make it, or to name it in something of his own.
    pub fn exists<R: Record + Resource>(&self, key: &[&str], arn: Option<&str>) -> Result<bool, ApiError> {
        let found = self.load::<R>(key)?;
        Ok(found.is_some_and(|record| arn.is_none_or(|arn| record.arn() == arn)))
    }

    /// A record that may be missing, locked together with the fact whether it exists.
    ///
    /// A caller without permission must not learn which names are taken, so the guard covers both cases.
    pub fn find_as<R: Record, G: Resource>(
        &self,
        key: &[&str],
        wrap: impl FnOnce(Option<Arc<R>>) -> G,
    ) -> Result<Guarded<G>, ApiError> {
        Ok(Guarded::new(wrap(self.load::<R>(key)?)))
    }

    fn load<R: Record>(&self, parts: &[&str]) -> Result<Option<Arc<R>>, ApiError> {
        let place = self.db.locate(&self.home, R::TABLE, parts);
        if let Some(change) = self.changes.get(&place.key) {
            return Ok(change.record().and_then(|record| record.downcast().ok()));
        }
        let found = self.db.load::<R>(&self.home, &place.key).map_err(|error| self.internal(error))?;
        self.note_read(&place.key, found.as_ref().map(|found| found.rev));
        if found.is_some() {
            self.db.remember(place);
        }
        Ok(found.and_then(|found| found.record()))
    }

    /// Walks the records of a table in one of their orders, until the visitor has enough.
    ///
    /// A listing is not a check of the commit: a record that a handler is going to change must be read by its key. A visitor
    /// that looks hard at each record asks [`Cx::has_run_long`] whether it should end.
    pub fn walk<R: Listed>(
        &self,
        _permit: Permit<R>,
        how: Walk<'_>,
        visit: &mut dyn FnMut(&Arc<R>) -> ControlFlow<()>,
    ) -> Result<(), ApiError> {
        self.ensure_turn()?;
        self.db.walk(&self.home, how, visit).map_err(|error| self.internal(error))
    }

    /// Looks at the audit trail from its end, or from where an earlier look ended, as long as `who` has time. It shows the events of
    /// everybody: whoever looks takes those that are his business. Answers where to go on; nothing if all was seen.
    pub fn look_back(
        &self,
        _permit: Permit,
        from: Option<TrailPlace>,
        who: &mut dyn LooksBack,
    ) -> Result<Option<TrailPlace>, ApiError> {
        self.ensure_turn()?;
        let Some((log, world)) = self.trail else { return Ok(None) };
        if from.is_none() {
            // Events of changes wait in the engine for a moment; whoever made a change may look for it at once.
            move_rows(self.db, log, world).map_err(|error| self.internal(error))?;
        }
        log.look_back(from, who).map_err(|error| self.internal(error))
    }

    /// How many records a table has here: for quotas, which are no check of the commit, so that calls which run at the same time may
    /// pass one together. It costs nothing once the list is in memory. Before that it takes a walk, so it is best asked first.
    pub fn count<R: Listed>(&self) -> Result<usize, ApiError> {
        let counted = || self.db.count::<R>(&self.home).map_err(|error| self.internal(error));
        if let Some(count) = counted()? {
            return Ok(count);
        }
        self.walk::<R>(Permit::granted(), Walk::default(), &mut |_| ControlFlow::Break(()))?;
        Ok(counted()?.unwrap_or_default())
    }

    /// Work that keeps a processor busy for a while, such as looking for large primes. It is done in turns, like walks. The call may run
    /// again from its beginning before it is done, so it is best asked for when nothing can go wrong any more.
    pub fn at_length<T>(&self, work: impl FnOnce() -> T) -> Result<T, ApiError> {
        self.ensure_turn()?;
        Ok(work())
    }

    fn ensure_turn(&self) -> Result<(), ApiError> {
        if self.has_turn {
            return Ok(());
        }
        self.wants_turn.set(true);
        Err(self.internal("what takes long is done in turns, and this call has none yet"))
    }

    pub(crate) fn wants_blob(&self, bytes: Arc<Secret<Vec<u8>>>) -> ApiError {
        self.wants_blob.replace(Some(bytes));
        self.internal("a package is stored before the call that brings it, and this one is not yet")
    }

    /// Whether this call has had its share of time. Nobody can take it away, so it gives up what it has left.
    pub fn has_run_long(&self) -> bool {
        self.clock.monotonic().saturating_sub(self.begun) > LONG
    }

    pub fn save<R: Record>(&mut self, record: R) -> Result<(), ApiError> {
        self.only_optional = false;
        if let Some(on_save) = R::ON_SAVE {
            let before = self.load::<R>(&record.key())?;
            on_save(self, before.as_deref(), &record)?;
        }
        self.change(record)
    }

    /// Saves what may as well be lost, such as the day of the last access: if the store cannot take it now, the answer goes
    /// out without it. That is no change that anybody else must hear of, so [`Record::ON_SAVE`] is left out.
    pub fn save_if_possible<R: Record>(&mut self, record: R) -> Result<(), ApiError> {
        self.change(record)
    }

    fn change<R: Record>(&mut self, record: R) -> Result<(), ApiError> {
        let key = self.db.locate(&self.home, R::TABLE, &record.key()).key;
        let revision = self.next_revision::<R>(&key)?;
        let bytes = encode(&record).map_err(|error| self.internal(error))?;
        let record: Arc<dyn Any + Send + Sync> = Arc::new(record);
        self.changes.insert(
            key,
            Change::Put { table: R::TABLE.id, version: R::VERSION, revision, bytes: Arc::new(bytes), record },
        );
        Ok(())
    }

    pub fn erase<R: Record>(&mut self, key: &[&str]) -> Result<(), ApiError> {
        self.only_optional = false;
        let key = self.db.locate(&self.home, R::TABLE, key).key;
        if !self.changes.contains_key(&key) {
            // Where it stands is enough: a record that does not open any more can still be erased.
            let rev = self.db.rev_of(&self.home, &key).map_err(|error| self.internal(error))?;
            self.note_read(&key, rev);
        }
        self.changes.insert(key, Change::Delete { table: R::TABLE.id });
        Ok(())
    }

    /// The check stays the one of the first read: if the record has moved since, the commit must fail.
    fn note_read(&self, key: &Key, found: Option<Rev>) {
        let expect = found.map_or(Expect::Absent, Expect::AtRev);
        self.reads.borrow_mut().entry(key.clone()).or_insert(expect);
    }

    /// A record's own counter goes up with every write, so that old bytes cannot stand in for new ones.
    fn next_revision<R: Record>(&self, key: &Key) -> Result<u64, ApiError> {
        match self.changes.get(key) {
            Some(Change::Put { revision, .. }) => return Ok(*revision),
            // What was erased may not open, so nobody knows its counter. That of the partition is never behind it.
            Some(Change::Delete { .. }) => {
                let rev = self.db.rev_of(&self.home, key).map_err(|error| self.internal(error))?;
                return Ok(rev.map_or(1, |rev| rev.0.saturating_add(1)));
            }
            None => {}
        }
        let found: Option<Found> =
            self.db.load::<R>(&self.home, key).map_err(|error| self.internal(error))?;
        self.note_read(key, found.as_ref().map(|found| found.rev));
        Ok(found.map_or(1, |found| found.revision.saturating_add(1)))
    }

    /// Asks for something that does not exist yet, or that has no resource.
    pub fn ask(&self, action: Action, resource: &dyn Resource) -> Result<Permit, ApiError> {
        self.permit(action, resource)?;
        Ok(Permit::granted())
    }

    /// Asks to see all records of a table. AWS knows no resource for that: policies must say `*`.
    pub fn ask_all<R: Listed>(&self, action: Action) -> Result<Permit<R>, ApiError> {
        self.permit(action, &Unscoped)?;
        Ok(Permit::granted())
    }

    /// Asks to see those records of a table that go with one resource, such as the users of a group.
    pub fn ask_through<R: Listed>(
        &self,
        action: Action,
        resource: &dyn Resource,
    ) -> Result<Permit<R>, ApiError> {
        self.permit(action, resource)?;
        Ok(Permit::granted())
    }

    /// For the few operations that need no permission. The reason is for the reader.
    pub fn needs_no_permission(&self, _reason: &'static str) -> Permit {
        *self.asked.borrow_mut() = true;
        Permit::granted()
    }

    /// Notes that permission was asked, and about what.
    pub(crate) fn note_asked(&self, arn: &str) {
        *self.asked.borrow_mut() = true;
        let mut resources = self.resources.borrow_mut();
        if arn != "*" && !resources.iter().any(|known| known == arn) {
            resources.push(arn.to_owned());
        }
    }

    pub(crate) const fn db(&self) -> &Db {
        self.db
    }

    pub(crate) fn identities(&self) -> Option<&dyn Identities> {
        self.registry.identities()
    }

    pub(crate) fn whole_caller(&self) -> &Caller {
        self.acting.as_deref().unwrap_or(self.caller)
    }

    pub(crate) const fn conditions(&self) -> &Conditions {
        &self.conditions
    }

    pub(crate) fn running(&self) -> Option<&'static OperationSpec> {
        self.calls.last().copied()
    }

    pub(crate) fn standing_once(&self, find: impl FnOnce() -> Arc<Standing>) -> Arc<Standing> {
        Arc::clone(self.standing.get_or_init(find))
    }

    /// Calls another service: same caller, same transaction, an audit record and a question of its own.
    ///
    /// An inner call that fails has changed nothing, even if the outer handler goes on without it.
    pub fn invoke<O: Operation>(&mut self, input: O::Input) -> Result<O::Output, ApiError> {
        let handler = self.registry.handler::<O>();
        let handler = handler.ok_or_else(|| self.internal(format!("{} is not registered", O::SPEC.name)))?;
        self.inner::<O, _>(handler, input, |output| describe(output, O::SPEC.audit.response))
    }

    /// The first half of a call of another service that has to wait for the world outside. The second half is for whoever may wait.
    pub fn prepare<O: Operation>(&mut self, input: O::Input) -> Result<Outside<O::Output>, ApiError> {
        let preparer = self.registry.preparer::<O>();
        let preparer =
            preparer.ok_or_else(|| self.internal(format!("{} is not registered", O::SPEC.name)))?;
        let prepared = self.inner::<O, _>(preparer, input, |_| None);
        // It was for this run and for no other.
        self.confined = None;
        prepared
    }

    fn inner<O: Operation, T>(
        &mut self,
        handler: fn(&mut Cx<'_>, O::Input) -> Result<T, ApiError>,
        input: O::Input,
        describe_output: fn(&T) -> Option<String>,
    ) -> Result<T, ApiError> {
        if self.calls.len() >= CALLS_DEPTH_MAX {
            return Err(self.internal(format!("services call each other in a loop at {}", O::SPEC.name)));
        }
        // An operation made of others of its own service is still the caller's doing.
        let caller = self.calls.last().map(|spec| spec.service).or(self.service);
        let via = caller.filter(|service| service.name != O::SPEC.service.name);
        let request = describe(&input, O::SPEC.audit.request);
        let resources = self.resources.replace(Vec::new());
        let asked = self.asked.replace(false);
        let lender = self.lender.take();
        let more = std::mem::take(&mut self.more);
        self.calls.push(O::SPEC);
        let outer = std::mem::replace(&mut self.conditions, conditions(&input, O::SPEC.conditions));
        let mut inner_asked = false;
        let outcome = self.attempt(|cx| {
            let output = handler(cx, input);
            inner_asked = *cx.asked.borrow();
            let output = output?;
            if inner_asked { Ok(output) } else { Err(nobody_asked(O::SPEC)) }
        });
        self.conditions = outer;
        self.calls.pop();
        self.asked.replace(asked);
        let asked_about = self.resources.replace(resources);
        let lent_by = std::mem::replace(&mut self.lender, lender);
        let more = std::mem::replace(&mut self.more, more);
        let response = outcome.as_ref().ok().filter(|_| !O::SPEC.read_only).and_then(describe_output);
        self.nested.push(Event {
            spec: O::SPEC,
            account: lent_by.unwrap_or(self.home.account),
            by: self.acting.clone(),
            via,
            request,
            response,
            error: outcome.as_ref().err().map(|error| (error.code(), error.message.clone())),
            more,
            resources: asked_about,
        });
        outcome
    }

    /// Says in the log what an answer will not say by its status: it was given without something that is a fault of ours.
    pub fn goes_on_without(&self, error: &ApiError) {
        if error.is_fault() {
            let (request, operation) = (self.request_id(), self.calls.last().map(|spec| spec.name));
            tracing::warn!(request_id = %request, operation, code = error.code(), cause = ?error.cause, "an answer goes out without a part that failed");
        }
    }

    /// Something the service did by itself, for the audit trail.
    pub fn record_event(&mut self, event: ServiceEvent) {
        self.events.push((self.home.clone(), event));
    }

    /// Something that the record of the running operation says beside request and answer.
    pub fn also_tells(&mut self, name: &'static str, value: String) {
        self.more.push((name, value));
    }

    /// How much of other services depends on something, and on nothing else.
    pub fn count_dependents(&mut self, arn: &str) -> Result<u64, ApiError> {
        let mut sum = 0_u64;
        for count in self.registry.dependents() {
            sum = sum.saturating_add(count(self, arn)?);
        }
        Ok(sum)
    }

    /// A hint that a task has work where the call is now.
    pub fn activate(&mut self, task: &'static str) {
        let hint = (task, self.home.clone());
        if !self.activated.contains(&hint) {
            self.activated.push(hint);
        }
    }

    /// Seals a page token that opens only for the same caller, operation, account, region and `query`.
    pub fn seal_token<Q: Shape>(&self, query: &Q, content: &[u8]) -> String {
        SealedToken::seal(self.db.barrier(), self.entropy, "next-token", &self.token_context(query), content)
            .0
    }

    /// The content of a page token; nothing for a token that is not ours, or not for this query.
    pub fn open_token<Q: Shape>(&self, query: &Q, token: &str) -> Option<Secret<Vec<u8>>> {
        SealedToken::open(self.db.barrier(), "next-token", &self.token_context(query), token)
    }

    fn token_context<Q: Shape>(&self, query: &Q) -> Vec<u8> {
        let mut context = Vec::new();
        let operation = self.calls.last().map_or("", |spec| spec.name);
        let caller = self.caller().user_id.as_str();
        for part in [operation, self.account().as_str(), self.region().as_str(), caller] {
            context.extend_from_slice(&(part.len() as u64).to_be_bytes());
            context.extend_from_slice(part.as_bytes());
        }
        context.extend_from_slice(fingerprint(query).expose());
        context
    }

    pub(crate) fn note_request(&mut self, request: Option<String>, conditions: Conditions) {
        self.request = request;
        self.conditions = conditions;
    }

    /// What a request brings along for the conditions of policies in another way than by its members, such as inside a token.
    pub fn also_asks(&mut self, more: Conditions) {
        self.conditions.extend(more);
    }

    pub(crate) fn note_response(&mut self, response: Option<String>) {
        self.response = response;
    }

    /// An answer for what is our fault. The cause goes to the log, not to the caller.
    pub fn internal(&self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ApiError {
        let spec = self.calls.last().map_or(INTERNAL, |spec| spec.service.codes.internal);
        ApiError::new(spec, INTERNAL_MESSAGE).because(cause)
    }
}

pub(crate) const INTERNAL: coffer_shape::ErrorSpec =
    coffer_shape::ErrorSpec { code: "InternalFailure", status: 500, message_member: "message" };

/// AWS's sentence for an internal error.
pub(crate) const INTERNAL_MESSAGE: &str = "An error occurred on the server side.";

/// A handler that answers without having asked is a defect of ours, and is treated as a refusal.
pub(crate) fn nobody_asked(spec: &'static OperationSpec) -> ApiError {
    ApiError::new(spec.service.codes.internal, INTERNAL_MESSAGE)
        .because(format!("{} answered without asking for permission", spec.name))
}
