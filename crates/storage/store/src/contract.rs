//! The engine contract: the words, and the trait.
//!
//! A transaction is one value: what must still be true (`checks`), what changes (`writes`), who should look again
//! (`touched`), what the auditor gets (`audit`), and a token by which a writer that lost the answer can ask again.
//! It lives in one partition, is applied completely or not at all, and needs no conversation, so an engine can be
//! an embedded file or a server at the end of a network. What has to become true in two partitions at once is two transactions of which
//! the second is `joined` to the first: both are applied, or neither is.
//!
//! Revisions count per partition and come from a head row that moves with the write itself, never from a sequence:
//! a sequence hands numbers out before it is known who commits first, and a reader of the change log could then step over a
//! slow one for ever.

use std::fmt;

use bytes::Bytes;
use coffer_types::{AccountId, Region};
use smallvec::SmallVec;

use crate::{EngineError, FrameSink, FrameSource, ImportReport, Waker};

/// One account in one region; IAM lives in the region `global`. A transaction is in one of them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    pub account: AccountId,
    pub region: Region,
}

impl Partition {
    pub const fn new(account: AccountId, region: Region) -> Self {
        Self { account, region }
    }
}

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.account, self.region)
    }
}

/// How often a partition has changed. Zero is a partition that never did.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Rev(pub u64);

impl Rev {
    pub const ZERO: Self = Self(0);

    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// At most [`crate::KEY_BYTES_MAX`] bytes, ordered as bytes.
///
/// A key is copied many times on its way and lies in memory once for each record of a list, so one of the usual length (a table
/// and a hash) has no allocation of its own.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(SmallVec<[u8; KEY_BYTES_INLINE]>);

const KEY_BYTES_INLINE: usize = 40;

impl Key {
    pub fn new(bytes: impl AsRef<[u8]>) -> Self {
        Self(SmallVec::from_slice(bytes.as_ref()))
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn bytes(&self) -> Bytes {
        Bytes::copy_from_slice(&self.0)
    }
}

impl From<&[u8]> for Key {
    fn from(bytes: &[u8]) -> Self {
        Self::new(bytes)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.0.escape_ascii())
    }
}

/// Names what a transaction touched, so that caches know what to forget. The store does not look inside.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EntityId(pub Bytes);

/// Chosen at random by the writer, once per attempt to change something, and kept over its retries.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TxnToken(pub [u8; 16]);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Txn {
    pub partition: Partition,
    pub checks: Vec<Check>,
    /// Applied in order; the last write of a key wins.
    pub writes: Vec<Write>,
    pub touched: Vec<EntityId>,
    /// Kept until somebody drops them, in the same commit as the writes.
    pub audit: Vec<Bytes>,
    pub token: TxnToken,
    /// Belongs to the one before it in the group: the checks of all that belong together are made before anything of them is
    /// written, and if one of them fails, none is applied.
    pub joined: bool,
}

impl Txn {
    pub const fn new(partition: Partition, token: TxnToken) -> Self {
        Self {
            partition,
            checks: Vec::new(),
            writes: Vec::new(),
            touched: Vec::new(),
            audit: Vec::new(),
            token,
            joined: false,
        }
    }

    /// How many rows it changes.
    pub(crate) const fn rows(&self) -> usize {
        self.writes.len() + self.audit.len()
    }

    /// Whether applying it needs room, so that a full disk refuses it.
    pub fn grows(&self) -> bool {
        self.writes.iter().any(|write| matches!(write, Write::Put { .. }))
    }
}

/// The transactions of a group that belong together, mostly each alone.
pub fn chains(group: &[Txn]) -> impl Iterator<Item = &[Txn]> {
    group.chunk_by(|_, next| next.joined)
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    pub key: Key,
    pub expect: Expect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    Absent,
    /// Present, and last written at this revision.
    AtRev(Rev),
}

impl Expect {
    pub fn holds(self, found: Option<Rev>) -> bool {
        match self {
            Self::Absent => found.is_none(),
            Self::AtRev(rev) => found == Some(rev),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    Put { key: Key, value: Bytes },
    Delete { key: Key },
}

impl Write {
    pub const fn key(&self) -> &Key {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => key,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Commit {
    /// Applied, and durable.
    Done(Rev),
    /// Not applied; these of its checks failed, by index. None of them, if it was a check of one that it belongs with.
    Conflict(Vec<usize>),
    /// A transaction with this token was applied before, at this revision; this one was not applied again.
    Duplicate(Rev),
}

/// How fresh an answer must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// Everything that was acknowledged before the call is seen.
    Latest,
    /// A copy that lags is good enough if it has got this far.
    AtLeast(Rev),
}

impl Read {
    /// Refuses an answer that is older than what was asked for.
    pub(crate) fn accept(self, head: Rev) -> Result<(), EngineError> {
        match self {
            Self::AtLeast(wanted) if head < wanted => Err(EngineError::unavailable(format!(
                "revision {} was asked for and {} is the newest here; read the head again",
                wanted.0, head.0
            ))),
            Self::Latest | Self::AtLeast(_) => Ok(()),
        }
    }
}

/// A value, and the revision that wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned {
    pub value: Bytes,
    pub rev: Rev,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dir {
    Forward,
    Backward,
}

/// Keys from `start` up to but not including `end`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    // Plain bytes and not keys: the bound just after the longest key is longer than a key may be.
    pub(crate) start: Bytes,
    pub(crate) end: Option<Bytes>,
}

impl KeyRange {
    pub const fn all() -> Self {
        Self { start: Bytes::new(), end: None }
    }

    pub fn between(start: &Key, end: &Key) -> Self {
        Self { start: start.bytes(), end: Some(end.bytes()) }
    }

    pub fn from(start: &Key) -> Self {
        Self { start: start.bytes(), end: None }
    }

    /// All keys that begin with `prefix`.
    pub fn prefix(prefix: &[u8]) -> Self {
        let kept = prefix.iter().rposition(|byte| *byte != 0xff);
        let end = kept.and_then(|last| prefix.get(..=last)).map(|head| {
            let mut end = head.to_vec();
            if let Some(byte) = end.last_mut() {
                *byte += 1;
            }
            Bytes::from(end)
        });
        Self { start: Bytes::copy_from_slice(prefix), end }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end <= self.start)
    }

    /// What is left of the range once a scan has answered `last`.
    pub(crate) fn rest(&self, last: &Key, dir: Dir) -> Self {
        match dir {
            Dir::Forward => {
                let mut start = Vec::with_capacity(last.len() + 1);
                start.extend_from_slice(last.as_bytes());
                start.push(0);
                Self { start: start.into(), end: self.end.clone() }
            }
            Dir::Backward => Self { start: self.start.clone(), end: Some(last.bytes()) },
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub key: Key,
    pub value: Bytes,
    pub rev: Rev,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The head that this page was read at. Pages of one scan are consistent with each other only if it did not move.
    pub rev: Rev,
    pub entries: Vec<Entry>,
    /// The range of the next page, if there is one.
    pub rest: Option<KeyRange>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub rev: Rev,
    pub touched: Vec<EntityId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changes {
    /// Every change after the asked revision, oldest first and without holes, up to the limit.
    Since { head: Rev, changes: Vec<Change> },
    /// The store does not remember that far back, or never was that far ahead (it was restored): start again from `head`.
    Lost { head: Rev },
}

/// Where an audit row stands in the log of its partition.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct AuditPlace {
    pub rev: Rev,
    pub ordinal: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    pub place: AuditPlace,
    pub row: Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Structure only: seconds on a large store.
    Quick,
    /// Every page, every index and every row against each other.
    Deep,
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Health {
    pub partitions: u64,
    pub entries: u64,
    pub audit_rows: u64,
    /// What is wrong, in words; empty is healthy.
    pub problems: Vec<String>,
}

impl Health {
    pub const fn is_good(&self) -> bool {
        self.problems.is_empty()
    }
}

/// An ordered, transactional, partitioned key-value store.
pub trait Engine: Send + Sync {
    /// The values of some keys, all of the same instant.
    fn get(
        &self,
        partition: &Partition,
        keys: &[Key],
        read: Read,
    ) -> Result<(Rev, Vec<Option<Versioned>>), EngineError>;

    /// A page of a range, in key order or against it.
    fn scan(
        &self,
        partition: &Partition,
        range: &KeyRange,
        dir: Dir,
        limit: u32,
        read: Read,
    ) -> Result<Page, EngineError>;

    /// Applies a group in order, each transaction seeing those before it; durable when it returns. Those that are joined are applied as
    /// one, see [`chains`]. An error is about the whole group. Called by the one [`crate::Committer`].
    fn commit(&self, group: &[Txn]) -> Result<Vec<Commit>, EngineError>;

    fn head(&self, partitions: &[Partition]) -> Result<Vec<Rev>, EngineError>;

    fn changes(&self, partition: &Partition, after: Rev, limit: u32) -> Result<Changes, EngineError>;

    /// Tells when something may have changed. A hint: it may be lost, and it may be wrong.
    fn wake(&self) -> Waker;

    /// Every partition that ever changed, in order, with its head.
    fn partitions(&self) -> Result<Vec<(Partition, Rev)>, EngineError>;

    /// The audit rows after a place, oldest first.
    fn audit_rows(
        &self,
        partition: &Partition,
        after: AuditPlace,
        limit: u32,
    ) -> Result<Vec<AuditRow>, EngineError>;

    /// Forgets the audit rows up to and including a place, once somebody else keeps them. Doing it twice is harmless.
    fn drop_audit_rows(&self, partition: &Partition, through: AuditPlace) -> Result<(), EngineError>;

    /// The whole store as it is at one instant, in an order that depends on its content alone.
    fn export(&self, to: &mut dyn FrameSink) -> Result<(), EngineError>;

    /// Fills an empty store from an export: completely or not at all.
    fn import(&self, from: &mut dyn FrameSource) -> Result<ImportReport, EngineError>;

    fn check(&self, depth: Depth) -> Result<Health, EngineError>;

    /// The first cause, once the engine has stopped for good. Its owner should end the process and start it again.
    fn fatal(&self) -> Option<String>;

    /// Stops the engine for good, because whoever stands before it does not know any more what it did. Commits are refused from now on.
    fn stop(&self, cause: &str);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_where_the_next_one_begins() {
        for (prefix, end) in [
            (&b"a"[..], Some(&b"b"[..])),
            (b"a\xff", Some(b"b")),
            (b"a\xfe", Some(b"a\xff")),
            (b"\xff\xff", None),
            (b"", None),
        ] {
            assert_eq!(KeyRange::prefix(prefix).end.as_deref(), end, "{}", prefix.escape_ascii());
        }
    }
}
