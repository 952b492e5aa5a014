//! The contract as a program, and an engine that fails on request.
//!
//! Public, because every engine that is ever written has to pass [`conformance`], and because the crates above need
//! [`FailingEngine`] to learn what they do when the store does not answer. Nothing here runs in production.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by stopping there"
)]

mod conformance;
mod failing;

use bytes::Bytes;
use coffer_types::{AccountId, Region};

pub use conformance::conformance;
pub use failing::{BeforeCommit, Call, FailingEngine, Fault};

use crate::{Check, EntityId, Expect, Key, Partition, Rev, Txn, TxnToken, Write};

/// A partition that is different for each number.
pub fn partition(number: u64) -> Partition {
    Partition::new(AccountId::from_number(number).unwrap(), Region::global())
}

/// A token that is different for each number.
pub fn token(number: u64) -> TxnToken {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    TxnToken(bytes)
}

pub fn key(text: &str) -> Key {
    Key::from(text.as_bytes())
}

/// Builds a transaction in the order in which it reads.
#[derive(Debug, Clone)]
pub struct TxnBuilder(Txn);

/// A transaction with nothing in it yet.
pub fn txn(in_partition: u64, token_number: u64) -> TxnBuilder {
    TxnBuilder(Txn::new(partition(in_partition), token(token_number)))
}

impl TxnBuilder {
    #[must_use]
    pub fn expects(mut self, key_text: &str, expect: Expect) -> Self {
        self.0.checks.push(Check { key: key(key_text), expect });
        self
    }

    #[must_use]
    pub fn expects_absent(self, key_text: &str) -> Self {
        self.expects(key_text, Expect::Absent)
    }

    #[must_use]
    pub fn expects_rev(self, key_text: &str, rev: u64) -> Self {
        self.expects(key_text, Expect::AtRev(Rev(rev)))
    }

    #[must_use]
    pub fn puts(mut self, key_text: &str, value: &str) -> Self {
        let value = Bytes::copy_from_slice(value.as_bytes());
        self.0.writes.push(Write::Put { key: key(key_text), value });
        self
    }

    #[must_use]
    pub fn deletes(mut self, key_text: &str) -> Self {
        self.0.writes.push(Write::Delete { key: key(key_text) });
        self
    }

    #[must_use]
    pub fn touches(mut self, id: &str) -> Self {
        self.0.touched.push(EntityId(Bytes::copy_from_slice(id.as_bytes())));
        self
    }

    #[must_use]
    pub fn audits(mut self, row: &str) -> Self {
        self.0.audit.push(Bytes::copy_from_slice(row.as_bytes()));
        self
    }

    /// To the one before it.
    #[must_use]
    pub const fn joined(mut self) -> Self {
        self.0.joined = true;
        self
    }

    pub fn done(self) -> Txn {
        self.0
    }
}
