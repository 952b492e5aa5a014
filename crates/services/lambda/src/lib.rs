//! Lambda: functions, their versions, aliases and layers, and who may invoke them.
//!
//! A function is code and configuration; what runs it is somewhere else ([`coffer_core::Functions`]). Packages are kept by core, sealed like
//! everything else, because code may hold credentials; so are variables of environments.
//!
//! A function has one revision that changes, `$LATEST`, and published versions that do not. An alias leads to one version, or to two with
//! weights. On AWS a change takes a while, and clients wait for its end; here it is done with the call, which answers as AWS does, that it
//! has begun: whoever looks next sees that it has ended.
//!
//! Start at `named.rs` for how a function is found and permitted, at `revision.rs` for what it consists of, and at [`ops`].

mod alias;
mod concurrency;
mod configuration;
mod destination;
mod error;
mod event;
mod event_config;
mod examined;
mod function;
mod layer;
mod named;
mod ops;
mod package;
mod page;
mod policy;
mod revision;
mod role;
mod tags;

use coffer_core::Registry;

pub fn register(registry: &mut Registry) {
    ops::register(registry);
    registry.errand(event::Courier);
    registry.examine::<FunctionRecord>();
    registry.examine::<VersionRecord>();
    registry.examine::<AliasRecord>();
    registry.examine::<PolicyRecord>();
    registry.examine::<LayerRecord>();
    registry.examine::<LayerVersionRecord>();
    registry.examine::<EventRecord>();
    registry.examine::<EventContentRecord>();
    registry.examine::<EventConfigRecord>();
}

/// For whoever serves it in front of functions of his own.
pub use ops::invoke::invoke;

/// The tables of this service, for offline verification.
pub use alias::AliasRecord;
pub use event::{EventContentRecord, EventRecord};
pub use event_config::EventConfigRecord;
pub use function::{FunctionRecord, VersionRecord};
pub use layer::{LayerRecord, LayerVersionRecord};
pub use policy::PolicyRecord;
