//! The HTTP path of a running node, from the outside: a socket, bytes in, bytes out.
//!
//! Requests are written by hand, because what a client library would never send is half of what is tested here.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a step that fails stops the test, also inside the functions that tests share"
)]

mod bad_requests;
mod browser_of_bytes;
mod connections;
mod emptying;
mod house;
mod identity;
mod overload;
mod pages;
mod rates;
mod sealing;
mod signatures;
mod strangers;
mod tls;
