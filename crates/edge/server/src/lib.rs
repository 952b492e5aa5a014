//! The server: where HTTP, signatures and the store meet.
//!
//! Two halves. The HTTP path turns one request into one answer: `listener` and `tls` accept, `exchange` walks a request from
//! its head to its last byte, `authenticate` says who asks, `oidc` what identity providers vouch for, `limits` says how much, `health` and `metrics` tell the machine
//! next door how it goes. The life of a node is the other: [`config`] is what the operator wants, [`open`] makes a [`Core`]
//! of a data directory, [`lifecycle`] starts, drains and stops, [`control`] takes commands on this machine, [`accounts`] and [`administrator`]
//! say whose it is, [`secret_policy`] repairs what nobody may change any more, [`slots`] changes who
//! can open the store, [`verify`], [`trail`] and [`doctor`] look at it from outside. [`Node`] is what the two halves share.
//!
//! Invariant: this is the only crate that reads the configuration, the environment, the clock and the generator of random
//! numbers, and the only one where the protocol and the core meet.
//!
//! [`Core`]: coffer_core::Core

pub mod accounts;
pub mod administrator;
pub mod complaint;
pub mod config;
pub mod control;
pub mod data_dir;
pub mod doctor;
pub mod durable;
mod epochs;
pub mod functions;
pub mod lifecycle;
pub mod machine_key;
pub mod offline;
pub mod open;
pub mod rotations;
pub mod secret_policy;
pub mod shell;
pub mod slots;
pub mod trail;
pub mod units;
pub mod verify;
pub mod world;

mod authenticate;
mod belonging;
mod exchange;
mod health;
mod kms_seal;
mod limits;
mod listener;
mod metrics;
mod node;
mod oidc;
mod remains;
pub mod tls;
mod token_seal;

pub use complaint::Complaint;
pub use kms_seal::KmsSeal;
pub use listener::serve;
pub use metrics::Metrics;
pub use node::{Mode, Node, Sealed, Settings, Trouble};
pub use oidc::KeySource;
pub use token_seal::TokenSeal;
