//! A client of Coffer over the same shapes as the server, for our own programs and for tests.
//!
//! A call is the server's path walked the other way: a shape becomes bytes (wire), the bytes are signed (sigv4), a connection
//! that is kept open carries them, and the answer becomes a shape or an error with AWS's code and sentence. Whoever wants to
//! see or send the bytes themselves uses [`Client::call_raw`], or [`Connections`] below the signature.
//!
//! What it deliberately does not do: it looks for no credentials, reads no configuration and repeats no request that may have
//! arrived. Clock, credentials and trust are given by the caller.
//!
//! Invariant: requests and answers may hold secret values, so their bytes stand in [`coffer_types::Secret`] and no error or
//! `Debug` shows them.

mod client;
mod connection;
mod endpoint;
mod error;
mod outbound;

pub use client::{Client, Credentials, Observer};
pub use connection::{Connections, RawRequest, RawResponse};
pub use endpoint::{Endpoint, EndpointError, Trust};
pub use error::ClientError;
pub use outbound::Outbound;
