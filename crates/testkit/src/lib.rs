//! What tests of the whole are made of: a world from one seed, a server in it, and exchanges on paper.
//!
//! [`SimWorld`] replaces everything the outside decides, so a test can cross thirty days in a microsecond and a failure can be
//! repeated from its seed. [`TestServer`] is the real server on a loopback port, with real signatures, in such a world.
//! [`Script`] runs a file of requests and expected answers against it. [`Conformance`] holds every answer that any of this
//! sees against the model of AWS.
//!
//! What it deliberately does not have: shortcuts around the wire. A test that speaks to a [`TestServer`] sees what a client sees.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test kit reports what is wrong by panicking"
)]

mod conformance;
mod functions;
mod issuer;
mod json;
mod script;
mod server;
mod sim;

pub use conformance::Conformance;
pub use functions::{LOG_STREAM, SimFunctions, deployed, function_error};
pub use issuer::Issuer;
pub use json::pretty;
pub use script::{Asked, OnPaper, Script};
pub use server::{Engine, TestServer};
pub use sim::{MemoryFiles, SimClock, SimEntropy, SimWorld};
