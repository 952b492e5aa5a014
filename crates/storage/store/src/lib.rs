//! Where bytes become durable.
//!
//! An [`Engine`] is an ordered key-value store with one-shot optimistic transactions, split into one partition per
//! account and region. Everything Coffer keeps goes through this one contract, and every engine obeys the same
//! limits, so that what works on a laptop in memory works on the machine in production. [`SqliteEngine`] is the
//! embedded default, [`MemoryEngine`] serves `coffer dev` and simulations, and [`testing::conformance`] is the
//! contract written as a program.
//!
//! Writers do not call an engine; they hand transactions to the [`Committer`], which turns whatever is waiting into
//! one engine transaction and one sync.
//!
//! This crate deliberately does not know what the bytes mean. Keys are ids and keyed hashes, values are sealed, and
//! nothing here could tell a secret from a tag. It reads neither clock, nor randomness, nor configuration: those are
//! arguments.

mod committer;
mod contract;
mod error;
mod frames;
mod limits;
mod memory;
mod sqlite;
pub mod testing;
mod waker;

pub use committer::{Committer, CommitterCounters, Observe, OnDone};
pub use contract::{
    AuditPlace, AuditRow, Change, Changes, Check, Commit, Depth, Dir, Engine, EntityId, Entry, Expect,
    Health, Key, KeyRange, Page, Partition, Read, Rev, Txn, TxnToken, Versioned, Write, chains,
};
pub use error::EngineError;
pub use frames::{Frame, FrameReader, FrameSink, FrameSource, FrameWriter, ImportReport};
pub use limits::{
    AUDIT_ROWS_MAX, CHECKS_MAX, ENTITY_ID_BYTES_MAX, GET_KEYS_MAX, GROUP_BYTES_MAX, GROUP_ROWS_MAX,
    GROUP_TXNS_MAX, HISTORY_REVISIONS, JOINED_MAX, KEY_BYTES_MAX, PAGE_BYTES_MAX, PAGE_ENTRIES_MAX,
    TOUCHED_MAX, TXN_BYTES_MAX, VALUE_BYTES_MAX, WRITES_MAX, check_group, check_txn,
};
pub use memory::MemoryEngine;
pub use sqlite::{
    FreeSpace, LogDamage, LogState, OnFatal, SqliteEngine, SqliteOptions, StillStore, accept_loss,
    examine_log, logs_set_aside,
};
pub use waker::Waker;
