//! The services of AWS as types: one generated module per service, with its shapes, operations, errors and actions.
//!
//! Only this file is written by hand. What is generated, and from what, is said at the top of each generated file; a test
//! of `xtask` generates everything again and compares. Only what served operations reach is here; actions are complete,
//! because a policy may name an action long before we serve its operation.
//!
//! Invariant: nothing here decides anything. Shapes know their schema and their walk, operations their specification.

pub mod cloudtrail;
pub mod iam;
pub mod kms;
pub mod lambda;
pub mod logs;
pub mod secretsmanager;
pub mod sts;

use coffer_shape::ServiceSpec;

/// Every service, by name.
pub static SERVICES: &[&ServiceSpec] = &[
    &cloudtrail::SERVICE,
    &iam::SERVICE,
    &kms::SERVICE,
    &lambda::SERVICE,
    &logs::SERVICE,
    &secretsmanager::SERVICE,
    &sts::SERVICE,
];

/// A value that an enumeration of the model does not have. The validation of requests has refused it before; what meets
/// it otherwise is newer than the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownValue;

impl std::fmt::Display for UnknownValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("not a value of this enumeration")
    }
}

impl std::error::Error for UnknownValue {}
