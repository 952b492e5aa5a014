//! From the bytes of a request to a shape, and from a shape or an error to the bytes of an answer.
//!
//! A request is understood in steps, and each needs no more than the one before it: [`route`] looks at the [`Head`] alone
//! and says which service is asked and how errors must be written; [`Route::operation`] names the operation;
//! [`Route::input`] parses the body; [`Input::decode`] reads and validates the shape. An answer is one call:
//! [`encode_output`] or [`encode_error`].
//!
//! Each protocol is a reader and a writer in a module of its own ([`json`], [`query`], [`xml`]). Shapes know none of them, so
//! a CBOR codec is one more module here and nothing elsewhere. REST ([`rest`]) is JSON with members outside of the body.
//!
//! Invariant: no HTTP library, no I/O, no clock. Bytes that may hold a secret live in buffers that are wiped.

mod buffer;
pub mod conformance;
mod head;
mod input;
pub mod json;
pub mod query;
mod remote;
mod respond;
mod rest;
mod route;
mod text;
pub mod xml;

pub use head::Head;
pub use input::{Input, rejected};
pub use remote::{RemoteError, Request, encode_request, read_error, read_output};
pub use respond::{Response, encode_error, encode_output};
pub use route::{Codec, Route, route};
