//! How large things may be, the same for every engine.
//!
//! The strictest engine we ever want to support sets the numbers; the others pretend to be as strict, so that a
//! caller cannot come to depend on one of them. A group is checked as a whole before any of it is applied:
//! a transaction that is too large is a mistake of the caller, never a partial write.

use crate::{EngineError, Key, Txn, Write};

pub const KEY_BYTES_MAX: usize = 1024;
/// A secret value of 64 KiB, padded and sealed, with room to spare.
pub const VALUE_BYTES_MAX: usize = 128 << 10;
pub const ENTITY_ID_BYTES_MAX: usize = 64;
pub const WRITES_MAX: usize = 256;
/// A transaction usually checks what it read, which is more than what it writes.
pub const CHECKS_MAX: usize = 1024;
pub const TOUCHED_MAX: usize = 256;
pub const AUDIT_ROWS_MAX: usize = 256;
/// Keys, values, entity ids and audit rows together: a megabyte of log events, which is one request, and what is written with it.
pub const TXN_BYTES_MAX: usize = 2 << 20;

/// Together with these a transaction still fits into a group.
pub const JOINED_MAX: usize = 3;

pub const GROUP_TXNS_MAX: usize = 256;
/// Keeps one group well below the write-ahead log that recovery has to replay.
pub const GROUP_BYTES_MAX: usize = 8 << 20;
/// Writes and audit rows of a group. A tiny row costs the log whole pages, so bytes alone do not bound it.
pub const GROUP_ROWS_MAX: usize = 2048;

pub const GET_KEYS_MAX: usize = 256;
pub const PAGE_ENTRIES_MAX: u32 = 1024;
/// A page ends at the entry that crosses this, so that a scan of large values does not fill the memory.
pub const PAGE_BYTES_MAX: usize = 1 << 20;

/// How many of its last revisions a partition remembers, for its change log and for the tokens of retried
/// transactions. At full speed these are several seconds, and both readers come back within one.
pub const HISTORY_REVISIONS: u64 = 65_536;

/// Checks one transaction, and answers its size in bytes.
pub fn check_txn(txn: &Txn) -> Result<usize, EngineError> {
    at_most("number of writes", txn.writes.len(), WRITES_MAX)?;
    at_most("number of checks", txn.checks.len(), CHECKS_MAX)?;
    at_most("number of touched entities", txn.touched.len(), TOUCHED_MAX)?;
    at_most("number of audit rows", txn.audit.len(), AUDIT_ROWS_MAX)?;
    let mut size = 0_usize;
    for check in &txn.checks {
        check_key(&check.key)?;
        size += check.key.len();
    }
    for write in &txn.writes {
        check_key(write.key())?;
        size += write.key().len();
        if let Write::Put { value, .. } = write {
            at_most("value", value.len(), VALUE_BYTES_MAX)?;
            size += value.len();
        }
    }
    for id in &txn.touched {
        at_most("entity id", id.0.len(), ENTITY_ID_BYTES_MAX)?;
        size += id.0.len();
    }
    size += txn.audit.iter().map(|row| row.len()).sum::<usize>();
    at_most("transaction", size, TXN_BYTES_MAX)?;
    Ok(size)
}

/// The same for one with those that are joined to it.
pub(crate) fn check_chain(txn: &Txn, joined: &[Txn]) -> Result<usize, EngineError> {
    at_most("number of joined transactions", joined.len(), JOINED_MAX)?;
    std::iter::once(txn).chain(joined).map(check_txn).sum()
}

/// Checks a group and everything in it, as each engine does before it applies anything.
pub fn check_group(group: &[Txn]) -> Result<(), EngineError> {
    at_most("number of transactions in a group", group.len(), GROUP_TXNS_MAX)?;
    let mut size = 0_usize;
    for txn in group {
        size += check_txn(txn)?;
    }
    at_most("number of rows in a group", group.iter().map(Txn::rows).sum(), GROUP_ROWS_MAX)?;
    at_most("group of transactions", size, GROUP_BYTES_MAX)
}

pub(crate) fn check_keys(keys: &[Key]) -> Result<(), EngineError> {
    at_most("number of keys", keys.len(), GET_KEYS_MAX)?;
    keys.iter().try_for_each(check_key)
}

pub(crate) fn check_key(key: &Key) -> Result<(), EngineError> {
    at_most("key", key.len(), KEY_BYTES_MAX)
}

pub(crate) fn at_most(what: &'static str, size: usize, max: usize) -> Result<(), EngineError> {
    if size <= max { Ok(()) } else { Err(EngineError::TooLarge { what, size, max }) }
}

/// Counts what a page holds, so that all engines end their pages at the same entry.
#[derive(Debug)]
pub(crate) struct PageBudget {
    entries: u32,
    bytes: usize,
}

impl PageBudget {
    pub(crate) fn new(limit: u32) -> Self {
        Self { entries: limit.clamp(1, PAGE_ENTRIES_MAX), bytes: PAGE_BYTES_MAX }
    }

    pub(crate) const fn is_spent(&self) -> bool {
        self.entries == 0 || self.bytes == 0
    }

    pub(crate) const fn spend(&mut self, bytes: usize) {
        self.entries = self.entries.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// How many rows to ask an engine for: one more than fit, to learn whether there is a next page.
    pub(crate) const fn ask(&self) -> u32 {
        self.entries.saturating_add(1)
    }
}
