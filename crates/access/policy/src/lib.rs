//! The language of IAM policies: what a document says, as types, and why a text is not one.
//!
//! A policy is a text that somebody wrote and that is kept as written. [`Document::parse`] reads it once, at the door, in the
//! order in which AWS looks for mistakes: first the syntax of the whole, then one check after the other over all statements.
//! The first that fails names the error, because clients and people compare the sentence. What comes out is typed, so whoever
//! decides on access later never meets a syntax error.
//!
//! The crate knows the kinds of documents (an identity's, a role's trust, a resource's) and no service: sizes, the wording of
//! one service, and whether a principal exists are the business of who asks. It does no I/O and has no clock.
//!
//! Start at `document.rs` for what a policy is, at `check.rs` for what can be wrong with one, and at `safety.rs` for what is
//! asked of a policy before it is attached.

mod check;
mod condition;
mod document;
mod draft;
mod json;
mod malformed;
mod pattern;
mod principal;
mod rewrite;
mod safety;

pub use condition::{Condition, Operator, Quantifier, Test};
pub use document::{Document, Effect, Kind, Scope, Statement, Version};
pub use malformed::Malformed;
pub use pattern::{matches_action, matches_resource};
pub use principal::{Principal, PrincipalKind};
pub use rewrite::with_principals;
pub use safety::Who;
