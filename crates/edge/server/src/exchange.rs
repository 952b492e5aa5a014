//! One request, from its head to the bytes of its answer.
//!
//! A request is a value that changes its type as it moves, and each type is made from the one before it:
//!
//! ```text
//! Head -> Sized -> Claimed -> Identified -> Received -> Authenticated -> operation -> answer
//! ```
//!
//! The order is that of cost and of trust: bounds first, then the syntax of the signature, then the key, and only then a
//! body is read. Nothing parses the body before the signature over it holds. Whatever is refused on the way is refused in
//! the words of the protocol that the caller speaks, which [`coffer_wire::route`] tells from the head alone.
//!
//! Until its signature holds, a request counts against the share that strangers have of the house, in all and for each address. So
//! whoever leaves requests unfinished turns away other strangers, and hardly ever a user: there are places of their own for keys that
//! proved themselves of late from an address whose places strangers hold. Where a signature does not hold, the address
//! that it came from is charged; one that fails too often is refused before anything else is done, but for keys that proved themselves
//! from there of late. Where a signature holds, the caller takes his turn and is charged, if his operation has a rate: it costs
//! something to tell him that it is exceeded, and so that is done in his turn. Whoever comes with the token of an identity provider is
//! nobody of an account until a role has let him in. Until then his address takes the turn, and is charged if he is refused.
//!
//! The walk runs under a catch: one hostile request must not stop a node, so a panic is an answer, a count and a line for
//! us. What is logged of a request is its id, its operation, its status, its duration and its key id; never a header, a
//! body or a name.
//!
//! What this module does not know: sockets, and what any operation does.

mod body;
mod head;
mod reply;

use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use coffer_core::{Caller, Inside, Outside, PrincipalKind, Reply as Answered, Transport};
use coffer_model::{SERVICES, sts::AssumeRoleWithWebIdentityRequest};
use coffer_shape::{ApiError, ErrorSpec, OperationSpec, ReadError, Reader, ServiceSpec};
use coffer_sigv4::{Family, SignatureError, Window};
use coffer_types::{AccountId, Region, RequestId};
use coffer_wire::{Codec, Response, Route, encode_error, encode_output, route};
use hyper::{
    Request, Version,
    body::Incoming,
    header::{CONNECTION, HeaderValue, ORIGIN},
    http::request::Parts,
};
use tokio::sync::Semaphore;

use self::{
    body::{BodyFault, Received, discard, receive},
    head::Sized,
    reply::Reply,
};
use crate::{
    Mode,
    authenticate::{Authenticated, Claimed, Gate, Unidentified},
    health,
    limits::{
        EdgeLimits, HOST_BYTES_MAX, USER_AGENT_BYTES_MAX,
        failures::Failures,
        gate::{Load, Shed},
        ladder::Step,
        line::Who,
        rates::{self, Rates},
        seats::{Seat, Seats, network},
    },
    node::Node,
};

const BAD_REQUEST: ErrorSpec = refusal("BadRequestException", 400);
const TOO_LARGE: ErrorSpec = refusal("RequestEntityTooLargeException", 413);
const TIMED_OUT: ErrorSpec = refusal("RequestTimeoutException", 408);
const FROM_A_PAGE: ErrorSpec = refusal("AccessDeniedException", 403);
const INTERNAL: ErrorSpec = refusal("InternalFailure", 500);
const UNAVAILABLE: ErrorSpec = refusal("ServiceUnavailable", 503);
/// Our choice: AWS does not say what it tells an address. Every SDK waits and tries again after this one.
const THROTTLED: ErrorSpec = refusal("ThrottlingException", 400);
const FULL: &str = "The service is at its limit of concurrent requests. Try again.";
const THROTTLED_QUERY: ErrorSpec = refusal("Throttling", 400);

/// Whose turn it is while somebody is nobody's yet: an account that no server makes, as it is the one of `coffer dev`.
const OF_NO_ACCOUNT: AccountId = AccountId::DEV;
/// Calls are smaller than this, but for those that bring a package or an event.
const LARGE_BODY_BYTES: usize = 1 << 20;
/// An operation that takes more than this brings data, and is no call like others.
const CALL_BYTES_MAX: usize = 2 << 20;
/// Our choice: a package is in memory three times, as it came, without base64 and sealed, so that more of them wait.
const LARGE_BODIES_MAX: usize = 3;
const LARGE_BODY_TIME: Duration = Duration::from_secs(300);

const fn refusal(code: &'static str, status: u16) -> ErrorSpec {
    ErrorSpec { code, status, message_member: "message" }
}

/// What all requests of a listener share.
#[derive(Debug)]
pub(crate) struct Edge {
    node: Arc<Node>,
    window: Window,
    limits: EdgeLimits,
    unproven: Arc<Seats>,
    /// For those who find none of these and are known.
    unproven_known: Arc<Seats>,
    failures: Failures,
    rates: Rates,
    /// For bodies that are larger than those of calls usually are.
    large: Arc<Semaphore>,
    /// Of keys and principals, so that nobody can choose whom he shares a place with.
    hasher: RandomState,
}

/// The other end of a connection.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    pub(crate) transport: Transport,
}

/// Where a request came from.
#[derive(Debug, Clone, Copy)]
struct Origin<'p> {
    peer: &'p Peer,
    /// The key that it is heard for, where the address is barred.
    heard_for: Option<u64>,
}

/// A request of somebody who has proven nothing yet.
#[derive(Debug)]
struct Visit<'p> {
    origin: Origin<'p>,
    id: RequestId,
    /// Given back as soon as the signature holds.
    unproven: Seat,
}

impl Visit<'_> {
    /// Gives back the seat of a stranger: it is one of us.
    fn proven(self, authenticated: Authenticated, head: &Sized<'_>) -> Caller {
        let Self { origin: Origin { peer, .. }, id, unproven } = self;
        drop(unproven);
        let (principal, region) = authenticated.into_parts();
        let user_agent = head.text("user-agent").unwrap_or_default();
        let end = user_agent.floor_char_boundary(USER_AGENT_BYTES_MAX);
        let host = head.text("host").unwrap_or_default();
        Caller {
            principal,
            region,
            request_id: id,
            source_address: peer.address.to_string(),
            user_agent: user_agent.get(..end).unwrap_or_default().to_owned(),
            transport: peer.transport,
            host: host.get(..host.floor_char_boundary(HOST_BYTES_MAX)).unwrap_or_default().to_owned(),
        }
    }
}

/// What a log line may say of a request.
#[derive(Debug, Default)]
struct Trace {
    operation: Option<&'static OperationSpec>,
    access_key_id: String,
    /// A hash of the key that it came with.
    key: u64,
    /// It was turned away because there were too many, which is counted and no fault.
    is_shed: bool,
}

impl Edge {
    pub(crate) fn new(node: Arc<Node>) -> Self {
        let window = window(node.settings().signature.0);
        let limits = EdgeLimits::from(&node.settings().limits);
        let unproven = Seats::new(limits.unproven_max, limits.unproven_per_address_max);
        let unproven_known = Seats::new(limits.unproven_known_max, limits.unproven_per_address_max);
        let failures = Failures::new(limits.failures_per_address);
        let rates = Rates::new(&node.settings().limits.profile, node.settings().region.clone());
        let large = Arc::new(Semaphore::new(LARGE_BODIES_MAX));
        let hasher = RandomState::new();
        Self { node, window, limits, unproven, unproven_known, failures, rates, large, hasher }
    }

    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    pub(crate) const fn limits(&self) -> &EdgeLimits {
        &self.limits
    }

    /// Wipes the derived keys of days that no request can be of any more.
    pub(crate) fn forget_old_keys(&self) {
        let oldest = self.node.world().clock.now().minus(self.window.duration());
        self.node.signing_keys().forget_before(oldest);
    }

    /// Lets the gate look at what there is to do, and tells if that changes what is done.
    pub(crate) fn look_at_load(&self) {
        let Some(step) = self.node.gate().look() else { return };
        let Load { limit, waiting, .. } = self.node.gate().load();
        let (step, says) = (step, step.says());
        if step == Step::Everything {
            tracing::info!(step = step.number(), limit, "there is room for everything again");
        } else {
            tracing::warn!(step = step.number(), says, limit, waiting, "more is asked for than can be done");
        }
    }

    /// Answers one request, whatever it is.
    pub(crate) async fn answer(&self, peer: &Peer, request: Request<Incoming>) -> Reply {
        if let Some(page) = health::page(&self.node, &request) {
            return reply::page(page);
        }
        let world = self.node.world();
        let begun = world.clock.monotonic();
        let id = RequestId::random(world.entropy.as_ref());
        let in_flight = self.node.metrics().begin_request();
        let mut trace = Trace::default();
        let answer = match self.origin(peer, &request, begun) {
            None => {
                self.node.metrics().throttled("failures");
                throttled(&request, id)
            }
            Some(origin) => {
                let unproven = self.seat(peer, &request, begun);
                match unproven.filter(|_| in_flight.now() <= self.limits.in_flight_max) {
                    Some(unproven) => {
                        self.walk_caught(Visit { origin, id, unproven }, request, &mut trace).await
                    }
                    None => {
                        self.node.metrics().shed("house");
                        busy(&request, id)
                    }
                }
            }
        };
        let took = world.clock.monotonic().saturating_sub(begun);
        let status = answer.status;
        self.node.metrics().answered(trace.operation, status, took);
        tracing::debug!(
            request_id = %id,
            operation = trace.operation.map(|spec| spec.name),
            status,
            duration_us = took.as_micros(),
            access_key_id = trace.access_key_id,
            "request answered"
        );
        reply::answer(answer)
    }

    /// Answers on a connection that there is no room for, and ends it: how the house is, or that it is full.
    pub(crate) fn answer_health(&self, request: &Request<Incoming>) -> Reply {
        let mut reply = health::page(&self.node, request).map_or_else(
            || {
                self.node.metrics().shed("connections");
                reply::answer(busy(request, RequestId::random(self.node.world().entropy.as_ref())))
            },
            reply::page,
        );
        reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        reply
    }

    /// Nothing if its address is barred and the key that it names is not known from there.
    fn origin<'p>(&self, peer: &'p Peer, request: &Request<Incoming>, now: Duration) -> Option<Origin<'p>> {
        if !self.failures.bar(peer.address, now) {
            return Some(Origin { peer, heard_for: None });
        }
        let heard_for = Some(self.known_key(peer, request, now)?);
        Some(Origin { peer, heard_for })
    }

    /// A place for somebody who has proven nothing yet.
    fn seat(&self, peer: &Peer, request: &Request<Incoming>, now: Duration) -> Option<Seat> {
        self.unproven.take(peer.address).ok().or_else(|| {
            self.known_key(peer, request, now)?;
            self.unproven_known.take(peer.address).ok()
        })
    }

    /// A hash of the key that a request names, if that proved itself from there of late.
    fn known_key(&self, peer: &Peer, request: &Request<Incoming>, now: Duration) -> Option<u64> {
        let key = self.hasher.hash_one(head::named_key(request)?);
        self.failures.hears(peer.address, key, now).then_some(key)
    }

    /// The walk, with a panic made into an answer. Locks that it held are poisoned and their users go on with what is there.
    async fn walk_caught(&self, visit: Visit<'_>, request: Request<Incoming>, trace: &mut Trace) -> Response {
        let id = visit.id;
        let codec = codec_of(&request);
        let outcome = {
            let mut walk = pin!(self.walk(visit, request, trace));
            std::future::poll_fn(|cx| {
                match catch_unwind(AssertUnwindSafe(|| walk.as_mut().poll(cx))) {
                    Ok(poll) => poll.map(Some),
                    // What was thrown may hold anything; it is not looked at.
                    Err(_) => Poll::Ready(None),
                }
            })
            .await
        };
        outcome.unwrap_or_else(|| {
            self.node.metrics().panicked();
            let operation = trace.operation.map(|spec| spec.name);
            tracing::error!(request_id = %id, operation, "a request ended in a panic; this is a fault of Coffer, please report it");
            encode_error(codec, &ApiError::new(INTERNAL, "An error occurred on the server side."), id)
        })
    }

    async fn walk(&self, visit: Visit<'_>, request: Request<Incoming>, trace: &mut Trace) -> Response {
        let id = visit.id;
        let (parts, body) = request.into_parts();
        let headers = head::flatten(&parts);
        let head = head::wire(&parts, &headers);
        let route = route(&head, SERVICES);
        let sized =
            Sized::check(&parts, &headers).and_then(|sized| self.refuse_pages(&parts).map(|()| sized));
        let outcome = match sized {
            Ok(_) if self.node.mode() == Mode::Dev && reply::is_reset(&parts) => {
                return reply::reset(self.node.reset().await, id);
            }
            Ok(_) if let Some(leave) = reply::leave_to_fetch(&parts) => {
                return self.package(visit.origin, leave, id).await;
            }
            Ok(sized) => self.run(visit, sized, &route, body, trace).await,
            Err(error) => Err(error),
        };
        outcome.unwrap_or_else(|error| {
            // A node that is not ready says so in its health and need not say it again for every request.
            if error.is_fault()
                && !trace.is_shed
                && self.node.core().is_some_and(|core| !core.audit().is_refusing())
            {
                let operation = trace.operation.map(|spec| spec.name);
                tracing::warn!(
                    request_id = %id,
                    operation,
                    code = error.code(),
                    cause = ?error.cause,
                    "a request failed on our side"
                );
            }
            // What nobody signs says only in its body which service it is for.
            let codec = trace.operation.map_or_else(|| route.codec(), |spec| Codec::of(spec.service));
            encode_error(codec, &error, id)
        })
    }

    /// A package for whoever brings leave to fetch it. Who brings something else pays for it like for a signature that does not hold.
    async fn package(&self, origin: Origin<'_>, leave: &str, id: RequestId) -> Response {
        let (core, leave) = (self.node.core(), leave.to_owned());
        let read = tokio::task::spawn_blocking(move || core?.package(&leave));
        let found = read.await.ok().flatten();
        if found.is_none() {
            self.failed(origin, "AccessDenied");
        }
        reply::package(found, id)
    }

    async fn run(
        &self,
        visit: Visit<'_>,
        head: Sized<'_>,
        route: &Route,
        body: Incoming,
        trace: &mut Trace,
    ) -> Result<Response, ApiError> {
        let family = family(route.codec());
        let origin = visit.origin;
        let refuse = |error| self.unauthenticated(origin, family, &error);
        let claimed = match Claimed::read(&head.signed(), self.node.mode(), family == Family::Query) {
            Ok(claimed) => claimed,
            // Whoever brings no credentials may bring a token of an identity provider. It is in the form that is sent.
            Err(SignatureError::MissingCredentials) if family == Family::Query => {
                return self.run_unsigned(visit, head, route, body, trace).await;
            }
            Err(error) => return Err(self.after_body(&head, route, body, refuse(error)).await),
        };
        let Some(service) = route.service() else {
            return Err(self.no_service(origin, &head, route, body).await);
        };
        let access_key_id = claimed.access_key_id().to_owned();
        trace.key = self.hasher.hash_one(&access_key_id);
        if let Err(shed) = self.refuse_early(route, trace.key).await {
            let refusal = self.shed(service, shed, trace);
            return Err(self.after_body(&head, route, body, refusal).await);
        }
        // The core is asked for twice and not kept while a body trickles in: sealing waits for whoever holds it.
        let identified = self.node.core().ok_or_else(|| closed(service)).and_then(|core| {
            let gate =
                Gate { node: &self.node, core: &core, keys: self.node.signing_keys(), window: self.window };
            gate.identify(claimed, service).map_err(|error| match error {
                Unidentified::Signature(error) => refuse(error),
                Unidentified::Store(error) => unavailable(service).because(error),
            })
        });
        let identified = match identified {
            Ok(identified) => identified,
            Err(error) => return Err(self.after_body(&head, route, body, error).await),
        };
        let received = self.receive(route, body).await.map_err(|fault| cut_short(route, fault))?;
        // A package may take minutes to arrive, and what is done with it has its own time.
        let begun = tokio::time::Instant::now();
        let Received { bytes, sha256, .. } = &received;
        let authenticated = identified.prove(&head.signed(), sha256).map_err(refuse)?;
        // Only now is it an id. Before, it is a word of whoever asks: who swaps the halves of a key sends the secret one here.
        trace.access_key_id = access_key_id;
        self.failures.remember(origin.peer.address, trace.key, self.monotonic());

        match route.operation(bytes.expose()) {
            Ok(operation) if Authenticated::is_by_token(operation) => {
                let body = Parsed { route, operation, bytes: bytes.expose() };
                let region = authenticated.region().clone();
                let authenticated = self.by_token(origin, &body, region).await?;
                let caller = visit.proven(authenticated, &head);
                self.perform(origin, caller, body, begun, trace).await?.finish().await
            }
            Ok(operation) => {
                let body = Parsed { route, operation, bytes: bytes.expose() };
                let caller = visit.proven(authenticated, &head);
                let waiting = self.perform(origin, caller, body, begun, trace).await?;
                // Nobody needs the body any more, and what is outside may take a while.
                drop(received);
                waiting.finish().await
            }
            Err(refusal) => {
                let caller = visit.proven(authenticated, &head);
                let core = self.node.core().ok_or_else(|| closed(service))?;
                let asked = route.unserved(bytes.expose());
                let recorded = core.record_refusal(&caller, service, asked, &refusal).await;
                Err(recorded.map_or_else(|| self.unrecorded(service), |_| refusal))
            }
        }
    }

    /// A request without a signature, which is refused as such unless it is the one that proves itself by what is in it.
    async fn run_unsigned(
        &self,
        visit: Visit<'_>,
        head: Sized<'_>,
        route: &Route,
        body: Incoming,
        trace: &mut Trace,
    ) -> Result<Response, ApiError> {
        let origin = visit.origin;
        let refusal = || self.unauthenticated(origin, Family::Query, &SignatureError::MissingCredentials);
        if head.text("expect").is_some() {
            return Err(self.after_body(&head, route, body, refusal()).await);
        }
        let begun = tokio::time::Instant::now();
        let received = self.receive(route, body).await.map_err(|fault| cut_short(route, fault))?;
        let Received { bytes, .. } = &received;
        let operation =
            route.operation(bytes.expose()).ok().filter(|found| Authenticated::is_by_token(found));
        let body = Parsed { route, operation: operation.ok_or_else(refusal)?, bytes: bytes.expose() };
        let authenticated = self.by_token(origin, &body, self.node.settings().region.clone()).await?;
        let caller = visit.proven(authenticated, &head);
        self.perform(origin, caller, body, begun, trace).await?.finish().await
    }

    /// Whoever the token in a form is about. What is wrong with the form itself is told first, as there may be no token in it.
    async fn by_token(
        &self,
        origin: Origin<'_>,
        body: &Parsed<'_>,
        region: Region,
    ) -> Result<Authenticated, ApiError> {
        let input = body.route.input(body.operation, body.bytes)?;
        let asked = input.decode::<AssumeRoleWithWebIdentityRequest>()?;
        let proven = Authenticated::by_token(&self.node, &asked, region).await;
        proven.inspect_err(|error| self.failed(origin, error.code()))
    }

    /// Runs the operation that somebody asks for who has proven himself, up to where it waits for the world outside.
    async fn perform(
        &self,
        origin: Origin<'_>,
        caller: Caller,
        body: Parsed<'_>,
        begun: tokio::time::Instant,
        trace: &mut Trace,
    ) -> Result<Waiting, ApiError> {
        let operation = body.operation;
        let service = operation.service;
        trace.operation = Some(operation);
        if self.node.gate().step().leaves_out(operation) {
            return Err(self.shed(service, Shed::LeftOut, trace));
        }
        let is_by_token = Authenticated::is_by_token(operation);
        let (gate, who) = (self.node.gate(), self.who(origin, &caller));
        let shed = |shed, trace: &mut Trace| self.shed(service, shed, trace);
        // Held until the answer is there.
        let _change = match operation.load.is_change() {
            false => None,
            true => Some(gate.enter_to_change(who, trace.key).await.map_err(|why| shed(why, trace))?),
        };
        let mut pass = Some(gate.enter(who, trace.key).await.map_err(|why| shed(why, trace))?);
        let core = self.node.core().ok_or_else(|| closed(service))?;
        let now = self.monotonic();
        let charged = match is_by_token {
            true => self.rates.look(&caller, operation, now),
            false => self.rates.charge(&caller, operation, now),
        };
        if let Err(excess) = charged {
            self.node.metrics().throttled(excess.word());
            let refusal = ApiError::new(service.codes.throttling, rates::sentence(service));
            let recorded = core.record_refusal(&caller, service, Some(operation.name), &refusal).await;
            return Err(recorded.map_or_else(|| self.unrecorded(service), |_| refusal));
        }
        let deadline = begun + self.limits.request;
        let mut waits = || drop(pass.take());
        let begun = core.begin(&caller, operation, &body, &mut waits);
        let begun = tokio::time::timeout_at(deadline, begun).await;
        let begun = begun.map_err(|_| unavailable(service).because("it took longer than a request may"))?;
        let begun = begun.ok_or_else(|| self.unrecorded(service))?;
        if is_by_token {
            self.settle(origin, &caller, operation, begun.outcome.as_ref().err());
        }
        let request_id = caller.request_id;
        match begun.outcome? {
            Outside::Done(reply) => {
                encode_output(operation, &|to| reply.write_to(to), request_id).map(Waiting::ForNothing)
            }
            outside => Ok(Waiting::For { operation, request_id, outside, inside: core.inside() }),
        }
    }

    /// What can be told from a head alone: calls that are not done at the moment, and keys that have just had too many. An operation
    /// that is named in a body is looked at later.
    async fn refuse_early(&self, route: &Route, key: u64) -> Result<(), Shed> {
        let gate = self.node.gate();
        let step = gate.step();
        if step >= Step::NoLists && route.operation(b"").is_ok_and(|operation| step.leaves_out(operation)) {
            return Err(Shed::LeftOut);
        }
        gate.refuse_again(key).await
    }

    /// Who takes a turn of his own at the gate. Whoever is vouched for by others takes it with those of his address.
    fn who(&self, origin: Origin<'_>, caller: &Caller) -> Who {
        if let PrincipalKind::WebIdentity(_) = caller.principal.kind {
            let principal = self.hasher.hash_one(network(origin.peer.address));
            return Who { account: OF_NO_ACCOUNT, principal };
        }
        let account = caller.principal.account;
        Who { account, principal: self.hasher.hash_one((account, rates::identity(&caller.principal))) }
    }

    /// Charges the account whose role let somebody in, or the address of whom it did not.
    fn settle(
        &self,
        origin: Origin<'_>,
        caller: &Caller,
        operation: &OperationSpec,
        refusal: Option<&ApiError>,
    ) {
        let now = self.monotonic();
        match refusal {
            // The last places of a rate may be given away twice: he is in, and his account was asked before.
            None => drop(self.rates.charge(caller, operation, now)),
            Some(error) if error.is_fault() => {}
            Some(_) => self.failures.charge(origin.peer.address, origin.heard_for, now),
        }
    }

    fn monotonic(&self) -> Duration {
        self.node.world().clock.monotonic()
    }

    /// Too much is asked for. That is counted and not put on record: nothing was done, and a record costs as much as an answer.
    fn shed(&self, service: &ServiceSpec, shed: Shed, trace: &mut Trace) -> ApiError {
        trace.is_shed = true;
        self.node.metrics().shed(shed.word());
        ApiError::new(service.codes.unavailable, FULL)
    }

    /// Where any credentials will do, any page of the web that a browser on this machine shows could use them. A browser
    /// says where a request comes from; no client of AWS does.
    fn refuse_pages(&self, parts: &Parts) -> Result<(), ApiError> {
        if self.node.mode() == Mode::Dev && parts.headers.contains_key(ORIGIN) {
            return Err(ApiError::new(FROM_A_PAGE, "A development server does not serve pages of the web."));
        }
        Ok(())
    }

    /// A refusal waits for the body, within the bounds of any body: a connection whose request was not read to its end cannot be
    /// used again, and its client would find it closed without a word. A client that asks before it sends is told at once, and so is
    /// one that speaks HTTP/2: there only the stream ends.
    async fn after_body(
        &self,
        head: &Sized<'_>,
        route: &Route,
        body: Incoming,
        refusal: ApiError,
    ) -> ApiError {
        if head.version() != Version::HTTP_2 && head.text("expect").is_none() {
            discard(body, self.body_limit(route), self.limits.body).await;
        }
        refusal
    }

    /// A request for nobody we know. Only a form has to be read to say which operation is missing.
    async fn no_service(
        &self,
        origin: Origin<'_>,
        head: &Sized<'_>,
        route: &Route,
        body: Incoming,
    ) -> ApiError {
        if !route.is_named_by_body() {
            let refusal = self.not_ours(origin, route, b"");
            return self.after_body(head, route, body, refusal).await;
        }
        match self.receive(route, body).await {
            Err(fault) => cut_short(route, fault),
            Ok(received) => self.not_ours(origin, route, received.bytes.expose()),
        }
    }

    fn not_ours(&self, origin: Origin<'_>, route: &Route, body: &[u8]) -> ApiError {
        match route.operation(body) {
            Err(error) => error,
            // The operation is ours, but the signature is for a service that is not.
            Ok(operation) => self.unauthenticated(
                origin,
                family(Codec::of(operation.service)),
                &SignatureError::WrongService { expected: operation.service.name.to_owned() },
            ),
        }
    }

    async fn receive(&self, route: &Route, body: Incoming) -> Result<Received, BodyFault> {
        let limit = self.body_limit(route);
        if limit <= LARGE_BODY_BYTES || hyper::body::Body::size_hint(&body).upper().is_some_and(is_small) {
            return receive(body, limit, self.limits.body).await;
        }
        let room = Arc::clone(&self.large).acquire_owned().await.map_err(|_| BodyFault::Broken)?;
        let received = receive(body, limit, LARGE_BODY_TIME).await?;
        Ok(Received { _room: Some(room), ..received })
    }

    /// What is configured bounds calls; packages, events of functions and those of logs are as large as AWS takes them.
    fn body_limit(&self, route: &Route) -> usize {
        match route.body_limit() {
            limit if limit > CALL_BYTES_MAX => limit,
            limit => limit.min(self.limits.body_bytes_max),
        }
    }

    fn unrecorded(&self, service: &ServiceSpec) -> ApiError {
        self.node.metrics().audit_failed();
        unavailable(service).because("the audit log cannot be written")
    }

    /// Somebody has not proven who he is.
    fn failed(&self, origin: Origin<'_>, code: &'static str) {
        self.node.metrics().signature_failed(code);
        self.failures.charge(origin.peer.address, origin.heard_for, self.monotonic());
    }

    fn unauthenticated(&self, origin: Origin<'_>, family: Family, error: &SignatureError) -> ApiError {
        let code = error.code(family);
        self.failed(origin, code);
        // Where AWS's authorisation layer writes the sentence, it writes it with a capital.
        let message_member = if code == "AccessDeniedException" { "Message" } else { "message" };
        let spec = ErrorSpec { code, status: error.status(family), message_member };
        ApiError::new(spec, error.message(family))
    }
}

/// What is on record, and perhaps waits for the world outside.
enum Waiting {
    ForNothing(Response),
    For {
        operation: &'static OperationSpec,
        request_id: RequestId,
        outside: Outside<Box<dyn Answered>>,
        inside: Inside,
    },
}

impl Waiting {
    async fn finish(self) -> Result<Response, ApiError> {
        match self {
            Self::ForNothing(response) => Ok(response),
            Self::For { operation, request_id, outside, inside } => {
                // It is on record that it is done, so it is done, whether or not somebody still waits for the answer.
                let work = tokio::spawn(outside.finish(inside));
                let reply = work.await.map_err(|error| unavailable(operation.service).because(error))??;
                encode_output(operation, &|to| reply.write_to(to), request_id)
            }
        }
    }
}

/// The body as the core reads it: parsed anew for every attempt, so that every attempt sees the same.
#[derive(Debug)]
struct Parsed<'r> {
    route: &'r Route,
    operation: &'static OperationSpec,
    bytes: &'r [u8],
}

impl coffer_core::Body for Parsed<'_> {
    fn read(&self, walk: &mut dyn FnMut(&mut dyn Reader)) -> Result<(), ReadError> {
        let input = self.route.input(self.operation, self.bytes);
        let mut input = input.map_err(|error| ReadError::new(error.message))?;
        walk(&mut *input.reader());
        Ok(())
    }
}

const fn is_small(bytes: u64) -> bool {
    bytes <= LARGE_BODY_BYTES as u64
}

fn cut_short(route: &Route, fault: BodyFault) -> ApiError {
    match fault {
        // In Lambda's words, as somebody quoted them in public.
        BodyFault::TooLarge { limit } if route.codec() == Codec::RestJson => {
            let operation = route.operation(b"").map_or("", |operation| operation.name);
            let text = format!("Request must be smaller than {limit} bytes for the {operation} operation");
            ApiError::new(TOO_LARGE, text)
        }
        BodyFault::TooLarge { limit } => {
            ApiError::new(TOO_LARGE, format!("The request body exceeds the limit of {limit} bytes."))
        }
        BodyFault::TooSlow => ApiError::new(TIMED_OUT, "The request body did not arrive in time."),
        BodyFault::Broken => ApiError::new(BAD_REQUEST, "The request body is not complete."),
    }
}

fn closed(service: &ServiceSpec) -> ApiError {
    ApiError::new(service.codes.unavailable, "The service is not ready.").because("the store is not open")
}

fn unavailable(service: &ServiceSpec) -> ApiError {
    ApiError::new(service.codes.unavailable, "The service is unavailable. Try again.")
}

/// Full houses turn requests away at once; waiting would only make the house fuller.
fn busy(request: &Request<Incoming>, id: RequestId) -> Response {
    let error = ApiError::new(UNAVAILABLE, FULL);
    encode_error(codec_of(request), &error, id)
}

/// Before anything is read, and the same for everybody.
fn throttled(request: &Request<Incoming>, id: RequestId) -> Response {
    let codec = codec_of(request);
    let spec = if family(codec) == Family::Query { THROTTLED_QUERY } else { THROTTLED };
    encode_error(codec, &ApiError::new(spec, "Rate exceeded"), id)
}

fn codec_of(request: &Request<Incoming>) -> Codec {
    // A guess without the whole head, for the answers that are given without a walk.
    if request.headers().contains_key("x-amz-target") {
        Codec::Json
    } else if request.uri().path() != "/" {
        Codec::RestJson
    } else {
        Codec::Query { namespace: None }
    }
}

const fn family(codec: Codec) -> Family {
    match codec {
        Codec::Json => Family::Json,
        Codec::RestJson => Family::RestJson,
        Codec::Query { .. } => Family::Query,
    }
}

/// The configured window in the minutes that signatures know, rounded up and held within what AWS allows.
fn window(configured: Duration) -> Window {
    let minutes = configured.as_secs().div_ceil(60).clamp(1, 15);
    u8::try_from(minutes).ok().and_then(Window::from_minutes).unwrap_or(Window::DEFAULT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_whole_minutes_within_what_aws_allows() {
        for (seconds, minutes) in [(0, 1), (1, 1), (60, 1), (61, 2), (300, 5), (900, 15), (86_400, 15)] {
            assert_eq!(window(Duration::from_secs(seconds)).minutes(), minutes, "{seconds}");
        }
    }
}
