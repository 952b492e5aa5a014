//! The engine of `coffer dev`, simulations and tests: ordered maps under one lock.
//!
//! It is also the readable statement of what the others have to do. Where it differs is durability alone: it has
//! none, and says so nowhere in its answers, because a caller must not be able to tell.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::{OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use bytes::Bytes;

use crate::{
    AuditPlace, AuditRow, Change, Changes, Commit, Depth, Dir, Engine, EngineError, EntityId, Entry, Frame,
    FrameSink, FrameSource, HISTORY_REVISIONS, Health, ImportReport, Key, KeyRange, Page, Partition, Read,
    Rev, Txn, TxnToken, Versioned, Waker, Write, chains,
    frames::{self, Loading, STREAM_VERSION},
    limits::{self, PageBudget},
    waker::Bell,
};

#[derive(Debug, Default)]
struct Shelf {
    head: Rev,
    entries: BTreeMap<Key, Versioned>,
    history: BTreeMap<Rev, (TxnToken, Vec<EntityId>)>,
    tokens: HashMap<TxnToken, Rev>,
    audit: BTreeMap<AuditPlace, Bytes>,
}

type Shelves = BTreeMap<Partition, Shelf>;

#[derive(Debug)]
pub struct MemoryEngine {
    shelves: RwLock<Shelves>,
    history: u64,
    bell: Bell,
    stopped: OnceLock<String>,
}

impl Default for MemoryEngine {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryEngine {
    pub fn new() -> Self {
        Self::with_history(HISTORY_REVISIONS)
    }

    /// Remembers this many revisions per partition.
    pub fn with_history(history: u64) -> Self {
        Self { shelves: RwLock::default(), history, bell: Bell::default(), stopped: OnceLock::new() }
    }

    // A panic under this lock could only come from the allocator, which aborts; the maps are whole.
    fn shelves(&self) -> RwLockReadGuard<'_, Shelves> {
        self.shelves.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn shelves_mut(&self) -> RwLockWriteGuard<'_, Shelves> {
        self.shelves.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    /// What speaks against a transaction, or that it was applied before.
    fn refuse(&self, txn: &Txn) -> Option<Commit> {
        if let Some(rev) = self.tokens.get(&txn.token) {
            return Some(Commit::Duplicate(*rev));
        }
        let failed = txn
            .checks
            .iter()
            .enumerate()
            .filter(|(_, check)| !check.expect.holds(self.entries.get(&check.key).map(|found| found.rev)))
            .map(|(index, _)| index)
            .collect::<Vec<_>>();
        (!failed.is_empty()).then_some(Commit::Conflict(failed))
    }

    fn apply(&mut self, txn: &Txn, history: u64) -> Commit {
        let rev = self.head.next();
        self.head = rev;
        for write in &txn.writes {
            match write {
                Write::Put { key, value } => {
                    self.entries.insert(key.clone(), Versioned { value: value.clone(), rev });
                }
                Write::Delete { key } => {
                    self.entries.remove(key);
                }
            }
        }
        for (ordinal, row) in (0..).zip(&txn.audit) {
            self.audit.insert(AuditPlace { rev, ordinal }, row.clone());
        }
        self.remember(rev, txn.token, txn.touched.clone());
        while let Some(oldest) = self.history.first_entry() {
            if oldest.key().0.saturating_add(history) > rev.0 {
                break;
            }
            let (token, _) = oldest.remove();
            self.tokens.remove(&token);
        }
        Commit::Done(rev)
    }

    fn remember(&mut self, rev: Rev, token: TxnToken, touched: Vec<EntityId>) {
        self.history.insert(rev, (token, touched));
        self.tokens.insert(token, rev);
    }
}

impl Engine for MemoryEngine {
    fn get(
        &self,
        partition: &Partition,
        keys: &[Key],
        read: Read,
    ) -> Result<(Rev, Vec<Option<Versioned>>), EngineError> {
        limits::check_keys(keys)?;
        let shelves = self.shelves();
        let Some(shelf) = shelves.get(partition) else {
            read.accept(Rev::ZERO)?;
            return Ok((Rev::ZERO, vec![None; keys.len()]));
        };
        read.accept(shelf.head)?;
        Ok((shelf.head, keys.iter().map(|key| shelf.entries.get(key).cloned()).collect()))
    }

    fn scan(
        &self,
        partition: &Partition,
        range: &KeyRange,
        dir: Dir,
        limit: u32,
        read: Read,
    ) -> Result<Page, EngineError> {
        let shelves = self.shelves();
        let head = shelves.get(partition).map_or(Rev::ZERO, |shelf| shelf.head);
        read.accept(head)?;
        let mut page = Page { rev: head, entries: Vec::new(), rest: None };
        let Some(shelf) = shelves.get(partition).filter(|_| !range.is_empty()) else { return Ok(page) };

        let start = Bound::Included(Key::new(range.start.clone()));
        let end = range.end.clone().map_or(Bound::Unbounded, |end| Bound::Excluded(Key::new(end)));
        let mut found = shelf.entries.range((start, end));
        let mut budget = PageBudget::new(limit);
        while let Some((key, value)) = match dir {
            Dir::Forward => found.next(),
            Dir::Backward => found.next_back(),
        } {
            if budget.is_spent() {
                page.rest = page.entries.last().map(|last| range.rest(&last.key, dir));
                break;
            }
            budget.spend(key.len() + value.value.len());
            page.entries.push(Entry { key: key.clone(), value: value.value.clone(), rev: value.rev });
        }
        Ok(page)
    }

    fn commit(&self, group: &[Txn]) -> Result<Vec<Commit>, EngineError> {
        limits::check_group(group)?;
        if let Some(cause) = self.stopped.get() {
            return Err(EngineError::unavailable(format!(
                "the engine has stopped: {cause}; restart the server"
            )));
        }
        let mut shelves = self.shelves_mut();
        let mut outcomes = Vec::with_capacity(group.len());
        let empty = Shelf::default();
        for chain in chains(group) {
            let refusals: Vec<_> =
                chain.iter().map(|txn| shelves.get(&txn.partition).unwrap_or(&empty).refuse(txn)).collect();
            if refusals.iter().any(Option::is_some) {
                let conflict = || Commit::Conflict(Vec::new());
                outcomes.extend(refusals.into_iter().map(|refusal| refusal.unwrap_or_else(conflict)));
                continue;
            }
            for txn in chain {
                // A partition exists from its first successful transaction on, not from the first attempt.
                let shelf = shelves.entry(txn.partition.clone()).or_default();
                outcomes.push(shelf.apply(txn, self.history));
            }
        }
        drop(shelves);
        self.bell.ring();
        Ok(outcomes)
    }

    fn head(&self, partitions: &[Partition]) -> Result<Vec<Rev>, EngineError> {
        let shelves = self.shelves();
        Ok(partitions.iter().map(|p| shelves.get(p).map_or(Rev::ZERO, |shelf| shelf.head)).collect())
    }

    fn changes(&self, partition: &Partition, after: Rev, limit: u32) -> Result<Changes, EngineError> {
        let shelves = self.shelves();
        let head = shelves.get(partition).map_or(Rev::ZERO, |shelf| shelf.head);
        if after == head {
            return Ok(Changes::Since { head, changes: Vec::new() });
        }
        let Some(shelf) = shelves.get(partition).filter(|shelf| shelf.history.contains_key(&after.next()))
        else {
            return Ok(Changes::Lost { head });
        };
        let wanted = limits::PageBudget::new(limit).ask() as usize - 1;
        let changes = shelf
            .history
            .range(after.next()..)
            .take(wanted)
            .map(|(rev, (_, touched))| Change { rev: *rev, touched: touched.clone() })
            .collect();
        Ok(Changes::Since { head, changes })
    }

    fn wake(&self) -> Waker {
        self.bell.waker()
    }

    fn partitions(&self) -> Result<Vec<(Partition, Rev)>, EngineError> {
        Ok(self.shelves().iter().map(|(partition, shelf)| (partition.clone(), shelf.head)).collect())
    }

    fn audit_rows(
        &self,
        partition: &Partition,
        after: AuditPlace,
        limit: u32,
    ) -> Result<Vec<AuditRow>, EngineError> {
        let shelves = self.shelves();
        let Some(shelf) = shelves.get(partition) else { return Ok(Vec::new()) };
        let mut budget = PageBudget::new(limit);
        let mut rows = Vec::new();
        for (place, row) in shelf.audit.range((Bound::Excluded(after), Bound::Unbounded)) {
            if budget.is_spent() {
                break;
            }
            budget.spend(row.len());
            rows.push(AuditRow { place: *place, row: row.clone() });
        }
        Ok(rows)
    }

    fn drop_audit_rows(&self, partition: &Partition, through: AuditPlace) -> Result<(), EngineError> {
        if let Some(shelf) = self.shelves_mut().get_mut(partition) {
            shelf.audit.retain(|place, _| *place > through);
        }
        Ok(())
    }

    fn export(&self, to: &mut dyn FrameSink) -> Result<(), EngineError> {
        let shelves = self.shelves();
        let mut count = ImportReport::default();
        to.put(&Frame::Begin { version: STREAM_VERSION })?;
        for (partition, shelf) in &*shelves {
            count.partitions += 1;
            to.put(&Frame::Partition { partition: partition.clone(), head: shelf.head })?;
            for (rev, (token, touched)) in &shelf.history {
                count.changes += 1;
                to.put(&Frame::Change { rev: *rev, token: *token, touched: touched.clone() })?;
            }
            for (key, Versioned { value, rev }) in &shelf.entries {
                count.entries += 1;
                to.put(&Frame::Entry(Entry { key: key.clone(), value: value.clone(), rev: *rev }))?;
            }
            for (place, row) in &shelf.audit {
                count.audit_rows += 1;
                to.put(&Frame::Audit(AuditRow { place: *place, row: row.clone() }))?;
            }
        }
        to.put(&Frame::End(count))
    }

    fn import(&self, from: &mut dyn FrameSource) -> Result<ImportReport, EngineError> {
        let mut shelves = self.shelves_mut();
        if !shelves.is_empty() {
            return Err(EngineError::NotEmpty);
        }
        let mut filled = Filling::default();
        let report = frames::load(from, &mut filled)?;
        *shelves = filled.shelves;
        drop(shelves);
        self.bell.ring();
        Ok(report)
    }

    fn check(&self, _: Depth) -> Result<Health, EngineError> {
        let shelves = self.shelves();
        let sum = |count: fn(&Shelf) -> usize| shelves.values().map(|shelf| count(shelf) as u64).sum();
        Ok(Health {
            partitions: shelves.len() as u64,
            entries: sum(|shelf| shelf.entries.len()),
            audit_rows: sum(|shelf| shelf.audit.len()),
            problems: Vec::new(),
        })
    }

    fn fatal(&self) -> Option<String> {
        self.stopped.get().cloned()
    }

    fn stop(&self, cause: &str) {
        let _ = self.stopped.set(cause.to_owned());
    }
}

/// The shelves of an import, kept aside until the stream has proved complete.
#[derive(Default)]
struct Filling {
    shelves: Shelves,
    current: Option<Partition>,
}

impl Filling {
    fn shelf(&mut self) -> Result<&mut Shelf, EngineError> {
        self.current
            .as_ref()
            .and_then(|partition| self.shelves.get_mut(partition))
            .ok_or_else(|| EngineError::corrupt("the export has rows before its first partition"))
    }
}

impl Loading for Filling {
    fn partition(&mut self, partition: &Partition, head: Rev) -> Result<(), EngineError> {
        self.shelves.insert(partition.clone(), Shelf { head, ..Shelf::default() });
        self.current = Some(partition.clone());
        Ok(())
    }

    fn change(&mut self, rev: Rev, token: TxnToken, touched: Vec<EntityId>) -> Result<(), EngineError> {
        self.shelf()?.remember(rev, token, touched);
        Ok(())
    }

    fn entry(&mut self, entry: Entry) -> Result<(), EngineError> {
        self.shelf()?.entries.insert(entry.key, Versioned { value: entry.value, rev: entry.rev });
        Ok(())
    }

    fn audit(&mut self, row: AuditRow) -> Result<(), EngineError> {
        self.shelf()?.audit.insert(row.place, row.row);
        Ok(())
    }
}
