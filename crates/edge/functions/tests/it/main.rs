//! Real processes behind both kinds of walls.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "all of this is a test, also the functions that the tests share"
)]

mod extension;
mod extensions;
mod house;
mod running;
mod walls;
