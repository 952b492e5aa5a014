//! What one listener lets a stranger use: bytes, time, connections.
//!
//! Everything that can grow has a number next to its reason. What an operator may want to change is in
//! [`Limits`]; the constants are properties of the protocols and of our own memory.

mod debts;
pub(crate) mod failures;
pub(crate) mod gate;
mod known;
pub(crate) mod ladder;
pub(crate) mod line;
pub(crate) mod rates;
mod regions;
pub(crate) mod seats;

use std::time::Duration;

use crate::config::Limits;

/// Start line and headers together. Requests of the SDKs are below 2 KiB; a session token may add 8.
pub(crate) const HEAD_BYTES_MAX: usize = 16 * 1024;
pub(crate) const HEADERS_MAX: usize = 100;
/// The longest presigned request is below 4 KiB.
pub(crate) const URI_BYTES_MAX: usize = 8 * 1024;
/// Longer ones are cut: a user agent goes into every audit event.
pub(crate) const USER_AGENT_BYTES_MAX: usize = 512;
/// As long as the name of a host can be, and a port.
pub(crate) const HOST_BYTES_MAX: usize = 262;

/// Our choice: SDKs of AWS speak HTTP/1.1 to this API, and where a client shares a connection among many calls, those that are one
/// too many wait in the client. One connection of a stranger holds no more than this.
pub(crate) const HTTP2_STREAMS_MAX: u32 = 32;
pub(crate) const HTTP2_WINDOW_BYTES: u32 = 64 * 1024;
/// Streams that a client opened and reset before we looked at them; one more ends the connection.
pub(crate) const HTTP2_RESETS_MAX: usize = 20;

/// A body must have brought one KiB more for every second beyond the grace.
pub(crate) const BODY_GRACE: Duration = Duration::from_secs(2);
pub(crate) const BODY_BYTES_PER_SECOND_MIN: u64 = 1024;

/// How long the accept loop rests when the process is out of file descriptors.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Derived signing keys are of a day; soon after midnight those of yesterday are wiped.
pub(crate) const FORGET_KEYS_EVERY: Duration = Duration::from_secs(30 * 60);
/// What a connection that was told to go may still take to say goodbye.
pub(crate) const FAREWELL: Duration = Duration::from_secs(5);

/// Connections beyond those that there are places for, of which nothing is served but how the house is: whoever watches it has to learn
/// that it is full. One address has a part of them, and none is for long.
pub(crate) const RESERVE_MAX: usize = 100;
pub(crate) const RESERVE_PER_ADDRESS_MAX: usize = 10;
pub(crate) const RESERVED_FOR: Duration = Duration::from_secs(5);

/// Requests whose head has arrived and whose answer has not left, those that wait included. Each may hold a body and its parsed form.
const IN_FLIGHT_MAX: usize = 4_096;
/// Our choice: of those, the ones that have not proven yet who sends them. Strangers, however many, leave the other half to users.
const UNPROVEN_MAX: usize = IN_FLIGHT_MAX / 2;
/// Our choice: the ones of a single address. A signature is checked within microseconds once its body is here, so that even users
/// behind one proxy rarely have a few at once; a stranger needs four addresses to fill the half.
const UNPROVEN_PER_ADDRESS_MAX: usize = IN_FLIGHT_MAX / 8;
/// Our choice: beside them, those that name a key which proved itself of late from their address. Strangers there have taken its places.
const UNPROVEN_KNOWN_MAX: usize = IN_FLIGHT_MAX / 4;
const HANDSHAKE: Duration = Duration::from_secs(5);
const BODY: Duration = Duration::from_secs(15);

/// The bounds of one listener, so that a test can make them small.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EdgeLimits {
    pub(crate) connections_max: usize,
    pub(crate) connections_per_address_max: usize,
    pub(crate) in_flight_max: usize,
    pub(crate) unproven_max: usize,
    pub(crate) unproven_per_address_max: usize,
    pub(crate) unproven_known_max: usize,
    /// A second; 0 is without bound.
    pub(crate) failures_per_address: u32,
    pub(crate) handshake: Duration,
    /// From the first byte of a head to its last; a new connection has as long to send that first byte.
    pub(crate) header: Duration,
    pub(crate) idle: Duration,
    /// From the head of a request to the end of its body.
    pub(crate) body: Duration,
    /// A service may allow less.
    pub(crate) body_bytes_max: usize,
    /// From the complete head to the answer.
    pub(crate) request: Duration,
    /// What requests in flight get when the server goes down.
    pub(crate) drain: Duration,
}

impl From<&Limits> for EdgeLimits {
    fn from(configured: &Limits) -> Self {
        Self {
            connections_max: configured.connections_max,
            connections_per_address_max: configured.connections_per_address_max,
            in_flight_max: IN_FLIGHT_MAX,
            unproven_max: UNPROVEN_MAX,
            unproven_per_address_max: UNPROVEN_PER_ADDRESS_MAX,
            unproven_known_max: UNPROVEN_KNOWN_MAX,
            failures_per_address: configured.failures_per_address,
            handshake: HANDSHAKE.min(configured.request_timeout),
            header: configured.head_timeout,
            idle: configured.idle_timeout,
            body: BODY.min(configured.request_timeout),
            body_bytes_max: usize::try_from(configured.body_bytes_max).unwrap_or(usize::MAX),
            request: configured.request_timeout,
            drain: configured.drain_timeout,
        }
    }
}
