//! CloudWatch Logs: groups, streams, and the events in them.
//!
//! A group is a name with settings; a stream is what one source writes, in order of time. Events lie in batches, which are sealed records of
//! their own and in no list in memory. Pages of an index say which batches a stream has and what time each spans, so that a read opens what it
//! needs and no more.
//!
//! Groups and streams are found by name and owned by number: what was deleted under a name is another thing than what is made under it
//! next. Deletion takes the name away at once; the [`janitor`] clears up what lay behind it, as it does with what is older than a group keeps.
//!
//! Start at `group.rs` for how a group is found and permitted, at `stream.rs` for how events are stored, and at `search.rs` for how they are
//! found again.

mod batch;
mod error;
mod examined;
mod group;
mod janitor;
mod ops;
mod pattern;
mod place;
mod search;
mod stream;
mod tags;

use coffer_core::Registry;

pub fn register(registry: &mut Registry) {
    ops::register(registry);
    registry.task(janitor::Janitor);
    registry.examine::<GroupRecord>();
    registry.examine::<StreamRecord>();
    registry.examine::<IndexRecord>();
    registry.examine::<BatchRecord>();
    registry.examine::<PieceRecord>();
    registry.examine::<LeavingRecord>();
}

/// The tables of this service, for offline verification.
pub use batch::{BatchRecord, IndexRecord, PieceRecord};
pub use group::GroupRecord;
pub use janitor::LeavingRecord;
pub use stream::StreamRecord;
