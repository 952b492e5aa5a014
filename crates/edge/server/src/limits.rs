//! What one listener lets a stranger use: bytes, time, connections.
//!
//! Everything that can grow has its number here, next to its reason. The edge reads nothing else, so a test makes a listener
//! with small numbers and sees each bound at work. What an operator may change is in the configuration; the rest are
//! properties of the protocols and of the machine.

use std::time::Duration;

/// Start line and headers together. Requests of the SDKs are below 2 KiB; a session token may add 8.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;
pub const HEADERS_MAX: usize = 100;
/// The longest presigned request is below 4 KiB.
pub const URI_BYTES_MAX: usize = 8 * 1024;
/// Longer ones are cut: a user agent goes into every audit event.
pub const USER_AGENT_BYTES_MAX: usize = 512;

pub const HTTP2_STREAMS_MAX: u32 = 100;
pub const HTTP2_WINDOW_BYTES: u32 = 64 * 1024;
/// Streams that a client opened and reset before we looked at them; one more ends the connection.
pub const HTTP2_RESETS_MAX: usize = 20;

/// A body must have brought one KiB more for every second beyond the grace.
pub const BODY_GRACE: Duration = Duration::from_secs(2);
pub const BODY_BYTES_PER_SECOND_MIN: u64 = 1024;

/// How long the accept loop rests when the process is out of file descriptors.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// What a connection that was told to go may still take to say goodbye.
pub const FAREWELL: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy)]
pub struct EdgeLimits {
    pub connections_max: usize,
    pub connections_per_address_max: usize,
    /// Requests whose head has arrived and whose answer has not left.
    pub in_flight_max: usize,
    pub handshake: Duration,
    /// From the first byte of a head to its last; a new connection has as long to send that first byte.
    pub header: Duration,
    pub idle: Duration,
    pub body: Duration,
    /// From the complete head to the answer.
    pub request: Duration,
    /// What requests in flight get when the server goes down.
    pub drain: Duration,
}

impl Default for EdgeLimits {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            connections_per_address_max: 512,
            in_flight_max: 4_096,
            handshake: Duration::from_secs(5),
            header: Duration::from_secs(5),
            idle: Duration::from_secs(75),
            body: Duration::from_secs(15),
            request: Duration::from_secs(30),
            drain: Duration::from_secs(30),
        }
    }
}
