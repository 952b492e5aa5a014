//! KMS: keys that never leave, and what they close.
//!
//! People make keys of their own here, for their programs and for their secrets; and each account and region has the key that Secrets
//! Manager manages, `aws/secretsmanager`, made when it is first needed. Every secret version has a data key of its own, wrapped by one or
//! the other through the same operations that everybody calls.
//!
//! Start at `named.rs` for how a key is found and permitted, at `state.rs` for what may be done when, at `blob.rs` for what a ciphertext
//! is, at `multi_region.rs` for keys that are in several regions, and at [`ops`] for the operations.

mod alias;
mod asymmetric;
mod blob;
mod context;
mod error;
mod examined;
mod grant;
mod id;
mod import;
mod key;
mod last_use;
mod multi_region;
mod named;
mod ops;
mod page;
mod policy;
mod rotation;
mod spec;
mod state;
mod tags;
mod tasks;
mod words;

use coffer_core::Registry;

pub fn register(registry: &mut Registry) {
    ops::register(registry);
    registry.task(tasks::KeyKeeper);
    registry.examine::<KeyRecord>();
    registry.examine::<AliasRecord>();
    registry.examine::<PolicyRecord>();
    registry.examine::<GrantRecord>();
    registry.examine::<GranteeRecord>();
    registry.examine::<DestroyedRecord>();
}

/// The tables of this service, for offline verification.
pub use alias::AliasRecord;
pub use grant::{GrantRecord, GranteeRecord};
pub use key::KeyRecord;
pub use policy::PolicyRecord;
pub use tasks::DestroyedRecord;
