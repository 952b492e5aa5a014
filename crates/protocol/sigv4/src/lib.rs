//! Signature Version 4 over the bytes that arrived: reading what a request claims, verifying it, and signing.
//!
//! The request is canonicalised from its wire form instead of being parsed and signed again. An attacker chooses
//! those bytes, so duplicate headers, odd escapes and mixed case must be seen as they are, and whatever the
//! dispatcher later acts on must be what the signature covered. For the two places where the canonical form is
//! coarser than the wire, [`normalized_path`] and [`query_pairs`] are the only safe readings; dispatch on them.
//!
//! A request passes in three steps, which follow the order in which AWS reports errors:
//!
//! ```text
//! Claim::read(head)            syntax; needs no key and no clock
//!   -> the caller looks the key up and opens the session token
//! claim.begin(key, ..)         key, token, scope, time; needs no body
//!   -> the caller reads and hashes the body
//! pending.finish(head, hash)   the signature itself
//! ```
//!
//! Invariants: no I/O, no clock and no HTTP library. The caller brings the key, the time and the hash of the body.
//! Any input whatever gives an answer: nothing here panics, and the work is bounded by the limits in [`limits`].
//! A [`Verified`] can be made only by [`Pending::finish`].
//!
//! What this crate does not know: accounts, principals, what a session token looks like inside, and whether a
//! request may be sent twice.

mod authorization;
mod canonical;
mod claim;
mod error;
mod head;
mod keys;
mod presigned;
mod query;
mod scope;
mod sign;
mod verify;

pub use canonical::normalized_path;
pub use claim::{Accepts, Claim, Form};
pub use error::{ExpiresFault, Family, MissingParts, Quoted, SignatureError};
pub use head::Head;
pub use keys::{SigningKeys, signing_key};
pub use query::query_pairs;
pub use sign::{Credentials, SignError, Signer};
pub use verify::{Expect, KeyKind, KeyMaterial, Pending, TokenState, Verified, Window, verify};

/// The only algorithm that is accepted here. The asymmetric variants are for other endpoints.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// The last word of every credential scope.
pub const TERMINATOR: &str = "aws4_request";

/// Bounds on what a request may bring. The server has its own, mostly smaller ones; these hold even without it.
pub mod limits {
    pub const HEADERS_MAX: usize = 100;
    pub const SIGNED_HEADERS_MAX: usize = 64;
    pub const PATH_BYTES_MAX: usize = 8 * 1024;
    pub const QUERY_BYTES_MAX: usize = 8 * 1024;
    pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
    /// One week, the longest life of a presigned request.
    pub const EXPIRES_SECONDS_MAX: u64 = 604_800;
    /// Derived keys that are kept; one is about 400 bytes.
    pub const SIGNING_KEYS_MAX: usize = 10_000;
    /// How much of its own text a client gets back in an error.
    pub const QUOTED_CHARS_MAX: usize = 1024;
}
