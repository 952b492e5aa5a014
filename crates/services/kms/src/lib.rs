//! KMS: keys that never leave, and the data keys they wrap.
//!
//! Today it serves the other services of this process: each account and region has its `aws/secretsmanager` key, made on first
//! use, and every secret version has a data key of its own wrapped by it. The operations are complete handlers behind the same
//! `invoke` that a customer managed key will use; what is missing is the API around them.

mod blob;
mod error;
mod examined;
mod key;
mod ops;

use coffer_core::Registry;
use coffer_model::kms as model;

pub fn register(registry: &mut Registry) {
    registry.serve::<model::GenerateDataKey>(ops::generate_data_key);
    registry.serve::<model::Decrypt>(ops::decrypt);
    registry.examine::<KeyRecord>();
    registry.examine::<AliasRecord>();
}

/// The tables of this service, for offline verification.
pub use key::{AliasRecord, KeyRecord};
