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
//! A [`Policy`] is a document made ready to decide by, and [`Policies::decide`] puts a [`Request`] to all that concern it. The answer
//! says also by what, for the audit record, and knows AWS's sentence for the caller. Anything that cannot be evaluated is a no.
//!
//! Start at `document.rs` for what a policy is, at `check.rs` for what can be wrong with one, at `evaluate.rs` for who may,
//! and at `safety.rs` for what is asked of a policy before it is attached. `policy-spec` is the same again in other words.

mod address;
mod check;
mod condition;
mod context;
mod decision;
mod document;
mod draft;
mod evaluate;
mod explain;
mod glob;
mod grant;
mod instant;
mod json;
mod malformed;
mod number;
mod operators;
mod places;
mod policy;
mod principal;
mod reach;
mod request;
mod rewrite;
mod safety;
mod standing;
mod variables;

pub use condition::{Condition, Operator, Quantifier, Test};
pub use context::{Context, Key, Values, tag};
pub use decision::{Decision, Grounds, Named, PolicyType, Shown};
pub use document::{Document, Effect, Kind, Scope, Statement, Version};
pub use evaluate::Policies;
pub use explain::{Explanation, Matched, Missing, Verdict};
pub use grant::{Constraint, Grant};
pub use malformed::Malformed;
pub use places::{Position, statement_places};
pub use policy::Policy;
pub use principal::{Principal, PrincipalKind};
pub use request::{Caller, Request};
pub use rewrite::with_principals;
pub use safety::Who;
