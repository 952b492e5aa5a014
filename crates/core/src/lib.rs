//! The path of a request between the protocols above and the storage below.
//!
//! A service is a set of plain functions over a [`Cx`]; this crate runs them: it finds the handler ([`Registry`]), gives
//! it a snapshot and collects its changes ([`Cx`]), asks whether the caller may ([`Guarded`], [`Resource`]), writes changes
//! and audit record in one commit ([`Db`]) or the record of a read before the answer leaves ([`AuditLog`]), and runs the
//! handler again when somebody else was faster. Everything the outside decides comes through [`World`].
//!
//! Invariants: no stage calls back into an earlier one; no answer leaves without its audit record ([`Recorded`]); nothing
//! here knows HTTP, a protocol or a service; clock, randomness and files come from [`World`] alone.

mod abroad;
mod audit;
mod authorize;
mod blobs;
mod circumstances;
mod cx;
mod db;
mod errand;
mod examine;
mod functions;
mod guarded;
mod identities;
mod outside;
mod page;
mod pipeline;
mod policy_text;
mod principal;
mod record;
mod refusal;
mod registry;
mod relay;
mod resource_policy;
mod runner;
mod sweep;
mod task;
mod token;
mod world;

pub use audit::{
    AuditEnd, AuditEndRecord, AuditFacts, AuditFindings, AuditLog, EventKind, LooksBack, MoveError, Recorded,
    Retention, SegmentHeader, SegmentReport, ServiceEvent, Span, Succession, TrailPlace, Wanted,
    inspect_audit, open_row, resource_type, stream_audit, verify_segment,
};
pub use blobs::{BlobRecord, BlobRef};
pub use cx::{Cx, Kept, is_damage};
pub use db::{CommitError, Db, DbMetrics, Found, Listed, LoadError, Place, Walk};
pub use errand::{Errand, Picked};
pub use examine::{Claim, Contradiction, Examination, Examined, Excluded, Need, Shared};
pub use functions::{
    BuiltIn, Confined, Deployment, FunctionAnswer, FunctionCall, FunctionOutcome, FunctionRun, Functions,
    LogPlace, NoFunctions, Program, Scrub, Stopping, Webhook,
};
pub use guarded::{Guarded, Permit, Resource, Unscoped};
pub use identities::{FoundRole, Identities, Standing};
pub use outside::{Going, Inside, Outside, Preparer};
pub use page::{Page, Pages, Part as PageOf, first as first_of};
pub use pipeline::{Answer, Begun, Body, Core};
pub use policy_text::PolicyText;
pub use principal::{
    AssumedRole, Caller, Principal, PrincipalKind, Session, TlsDetails, Transport, WebIdentity,
};
pub use record::{First, OnSave, Part, Past, Record, Table, open_record};
pub use registry::{CountDependents, Handler, Registry, Reply};
pub use relay::{Pick, Relay};
pub use resource_policy::{NamedPrincipal, ResourcePolicy};
pub use sweep::{KeepsEpochs, SweepProgress};
pub use task::{Next, Scope, Task, TaskState};
pub use token::SealedToken;
pub use world::{AppendFile, Files, World};

#[doc(hidden)]
pub use coffer_shape::record as plain_record;

/// Where a record lives: one account in one region.
pub use coffer_store::Partition;
