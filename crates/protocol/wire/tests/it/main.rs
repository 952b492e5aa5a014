//! The wire from outside: what arrives, what it becomes, and what goes back.

#![expect(
    clippy::unwrap_used,
    reason = "a step that fails stops the test, also inside the functions that tests share"
)]

mod fixture;
mod form;
mod json;
mod models;
mod output;
mod random;
mod routing;
mod validation;
