//! The record of who did what.
//!
//! Every call, allowed or refused, becomes one event in the shape of CloudTrail. An event of a change is a row of the same commit;
//! an event of a read is appended to a segment file before the answer leaves. [`Recorded`] is the proof of either, and an answer
//! cannot be made without one.
//!
//! What may appear is the allow-list of the operation; values, passwords and tokens have no path here.

mod anchor;
mod appender;
mod batch;
mod event;
mod facts;
mod inspect;
mod log;
mod retire;
mod segment;
mod stream;
mod succession;
mod trail;

pub use anchor::{AuditEnd, AuditEndRecord};
pub(crate) use appender::move_rows;
pub use appender::{MoveError, open_row};
pub(crate) use batch::step_aside;
pub(crate) use event::{Event, Outcome, Told};
pub use event::{EventKind, ServiceEvent};
pub use facts::{AuditFacts, resource_type};
pub use inspect::{AuditFindings, inspect_audit};
pub use log::AuditLog;
pub use retire::Retention;
pub(crate) use retire::Retirement;
pub use segment::{SegmentHeader, SegmentReport, verify_segment};
pub use stream::stream_audit;
pub use succession::Succession;
pub use trail::{LooksBack, Span, TrailPlace, Wanted};

/// Proof that the audit record of an answer exists. Only this crate makes it.
#[derive(Debug)]
pub struct Recorded(pub(crate) ());
