//! CloudTrail: the audit trail, for readers.
//!
//! There is nothing here but a look at the log that core keeps: no record, no trail, no bucket. Whoever may look sees the events of
//! his account in the region he asks, as AWS shows them; what lies behind ninety days is for `coffer audit search`, on the machine.

mod ask;
mod error;
mod lookup;

use coffer_core::Registry;
use coffer_model::cloudtrail as model;

pub fn register(registry: &mut Registry) {
    registry.serve::<model::LookupEvents>(lookup::lookup_events);
}
