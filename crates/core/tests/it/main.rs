//! The core from outside: what every operation gets, whatever its handler does.
//!
//! The service under test ([`service`]) has operations whose handlers are written in the tests, so that a rule and the handler
//! that tries to break it stand on one page. The world ([`house`]) is seeded, its clock stands still until it is moved, and its
//! files and its engine fail when they are told to.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "all of this is a test, also the functions that the tests share"
)]

mod answers;
mod audit_log;
mod audit_pause;
mod audit_retirement;
mod audit_tamper;
mod audit_trail;
mod blobs;
mod cabinet;
mod coherence;
mod conflicts;
mod derived;
mod epochs;
mod errands;
mod house;
mod invoke;
mod lists;
mod outside;
mod records;
mod relays;
mod service;
mod tasks;
mod there;
mod tokens;
