//! The records of one table, account and region, opened and in order: what lists are made of.
//!
//! A [`Listed`] record says in which orders it can be walked, and where it stands in each. A directory keeps one sorted set for
//! each order, so a page costs as much as the page and not as much as the list, and a walk can begin anywhere.
//!
//! It is loaded when first walked. Nobody waits for that but the walkers: the commit hook, which must not wait, leaves what
//! happens meanwhile beside it, and the loader adds it at the end. A walk takes the lock for some records at a time, so that a
//! long one does not hold up commits either; a record that moves while a walk is under way may be seen at its old place, at its
//! new one, or at both.
//!
//! A record may lie in the cache as well. Each of the two is right by itself, because the hook keeps both.

use std::{
    any::Any,
    borrow::Borrow,
    cmp::Ordering,
    collections::{BTreeSet, HashMap},
    ops::{Bound, ControlFlow},
    sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use coffer_store::{Key, Rev};

use super::{Found, LoadError};
use crate::Record;

/// Records that are copied out under the lock at once.
const STEP: usize = 256;

/// A record that lists show.
pub trait Listed: Record {
    /// In how many orders it can be walked; they are numbered from zero.
    const ORDERS: usize;

    fn place(&self, order: usize) -> Place<'_>;

    /// Reads a little of every text, and answers with anything that depends on it.
    ///
    /// A walk that looks at the texts of very many records spends its time on waiting for memory. This is asked of some
    /// records in a row before the first of them is looked at, so the processor waits for several at once.
    fn touch(&self) -> u8 {
        0
    }
}

/// Where a record stands in an order: by number, then by text. `tie` sets records apart that agree in both, so that a walk can
/// go on after any of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place<'a> {
    /// A record without a number comes before those with one.
    pub number: Option<i64>,
    pub text: &'a str,
    pub tie: &'a str,
}

/// How to walk a directory.
#[derive(Debug, Clone, Copy, Default)]
pub struct Walk<'a> {
    pub order: usize,
    pub descending: bool,
    /// Begins with the first record beyond this place.
    pub after: Option<Place<'a>>,
    /// The visitor is going to look at all texts of most records.
    pub reads_texts: bool,
}

/// A record in one of the sets: it compares by its place in that order.
struct Entry<R> {
    record: Arc<R>,
    order: usize,
}

/// What can be compared with an entry, be it one or not.
trait Placed {
    fn place(&self) -> Place<'_>;
}

impl<R: Listed> Placed for Entry<R> {
    fn place(&self) -> Place<'_> {
        self.record.place(self.order)
    }
}

impl Placed for Place<'_> {
    fn place(&self) -> Place<'_> {
        *self
    }
}

impl<'a, R: Listed> Borrow<dyn Placed + 'a> for Entry<R> {
    fn borrow(&self) -> &(dyn Placed + 'a) {
        self
    }
}

impl PartialEq for dyn Placed + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for dyn Placed + '_ {}

impl PartialOrd for dyn Placed + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for dyn Placed + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place())
    }
}

impl<R: Listed> PartialEq for Entry<R> {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl<R: Listed> Eq for Entry<R> {}

impl<R: Listed> PartialOrd for Entry<R> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<R: Listed> Ord for Entry<R> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place())
    }
}

/// What the commit hook sees of a directory: it does not know what lies in it.
pub(super) trait AnyDirectory: Send + Sync {
    /// A record was written, or taken away, by the commit `rev`.
    fn apply(&self, key: &Key, rev: Rev, found: Option<Found>);
    /// A record was written as it was.
    fn move_to(&self, key: &Key, rev: Rev);
    fn get(&self, key: &Key) -> Option<Found>;
    /// What is in it cannot be trusted any more.
    fn unload(&self);
    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
}

pub(super) struct Directory<R> {
    state: RwLock<State<R>>,
    /// Held by whoever loads.
    loading: Mutex<()>,
}

enum State<R> {
    Absent,
    /// What was committed since the loader began.
    Loading(Vec<(Key, Rev, Missed)>),
    Loaded(Listing<R>),
}

enum Missed {
    Applied(Option<Found>),
    Moved,
}

struct Listing<R> {
    records: HashMap<Key, Found>,
    orders: Vec<BTreeSet<Entry<R>>>,
}

impl<R: Listed> Listing<R> {
    fn new(records: HashMap<Key, Found>) -> Self {
        let sorted = |order| {
            let entries = records.values().filter_map(|found| found.record());
            entries.map(|record| Entry { record, order }).collect()
        };
        Self { orders: (0..R::ORDERS).map(sorted).collect(), records }
    }

    fn apply(&mut self, key: &Key, rev: Rev, found: Option<Found>) {
        let before = self.records.get(key);
        // The scan may have seen later commits than the one that is being applied.
        if before.is_some_and(|before| before.rev > rev) {
            return;
        }
        if let Some(record) = before.and_then(Found::record::<R>) {
            for (order, entries) in self.orders.iter_mut().enumerate() {
                let place = record.place(order);
                entries.remove(&place as &dyn Placed);
            }
        }
        match found {
            Some(found) => {
                if let Some(record) = found.record::<R>() {
                    for (order, entries) in self.orders.iter_mut().enumerate() {
                        entries.insert(Entry { record: Arc::clone(&record), order });
                    }
                }
                self.records.insert(key.clone(), found);
            }
            None => drop(self.records.remove(key)),
        }
    }

    fn move_to(&mut self, key: &Key, rev: Rev) {
        if let Some(found) = self.records.get_mut(key) {
            found.rev = found.rev.max(rev);
        }
    }

    /// Copies the next records of a walk.
    fn next(&self, order: usize, descending: bool, after: Option<Place<'_>>, into: &mut Vec<Arc<R>>) {
        let Some(entries) = self.orders.get(order) else { return };
        let beyond = match &after {
            Some(after) => Bound::Excluded(after as &dyn Placed),
            None => Bound::Unbounded,
        };
        let copy = |entry: &Entry<R>| Arc::clone(&entry.record);
        if descending {
            let range = entries.range::<dyn Placed, _>((Bound::Unbounded, beyond));
            into.extend(range.rev().take(STEP).map(copy));
        } else {
            let range = entries.range::<dyn Placed, _>((beyond, Bound::Unbounded));
            into.extend(range.take(STEP).map(copy));
        }
    }
}

impl<R: Listed> Directory<R> {
    pub(super) const fn new() -> Self {
        Self { state: RwLock::new(State::Absent), loading: Mutex::new(()) }
    }

    fn read(&self) -> RwLockReadGuard<'_, State<R>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State<R>> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn walk(
        &self,
        how: Walk<'_>,
        scan: &dyn Fn() -> Result<HashMap<Key, Found>, LoadError>,
        visit: &mut dyn FnMut(&Arc<R>) -> ControlFlow<()>,
    ) -> Result<(), LoadError> {
        let mut last: Option<Arc<R>> = None;
        let mut step = Vec::with_capacity(STEP);
        loop {
            let after = last.as_ref().map(|record| record.place(how.order)).or(how.after);
            let loaded = match &*self.read() {
                State::Loaded(listing) => {
                    listing.next(how.order, how.descending, after, &mut step);
                    true
                }
                State::Absent | State::Loading(_) => false,
            };
            if !loaded {
                self.load(scan)?;
                continue;
            }
            if how.reads_texts {
                std::hint::black_box(step.iter().fold(0, |touched, record| touched ^ record.touch()));
            }
            for record in &step {
                if visit(record).is_break() {
                    return Ok(());
                }
            }
            if step.len() < STEP {
                return Ok(());
            }
            last = step.pop();
            step.clear();
        }
    }

    /// How many records there are, if they are here to be counted.
    pub(super) fn len(&self) -> Option<usize> {
        match &*self.read() {
            State::Loaded(listing) => Some(listing.records.len()),
            State::Absent | State::Loading(_) => None,
        }
    }

    fn load(&self, scan: &dyn Fn() -> Result<HashMap<Key, Found>, LoadError>) -> Result<(), LoadError> {
        let _one = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*self.read(), State::Loaded(_)) {
            return Ok(());
        }
        *self.write() = State::Loading(Vec::new());
        let mut listing = match scan() {
            Ok(records) => Listing::new(records),
            Err(error) => {
                *self.write() = State::Absent;
                return Err(error);
            }
        };
        let mut state = self.write();
        // If it was unloaded meanwhile it stays so, and whoever walks it loads it again.
        if let State::Loading(missed) = &mut *state {
            for (key, rev, missed) in missed.drain(..) {
                match missed {
                    Missed::Applied(found) => listing.apply(&key, rev, found),
                    Missed::Moved => listing.move_to(&key, rev),
                }
            }
            *state = State::Loaded(listing);
        }
        Ok(())
    }
}

impl<R: Listed> AnyDirectory for Directory<R> {
    fn apply(&self, key: &Key, rev: Rev, found: Option<Found>) {
        match &mut *self.write() {
            State::Absent => {}
            State::Loading(missed) => missed.push((key.clone(), rev, Missed::Applied(found))),
            State::Loaded(listing) => listing.apply(key, rev, found),
        }
    }

    fn move_to(&self, key: &Key, rev: Rev) {
        match &mut *self.write() {
            State::Absent => {}
            State::Loading(missed) => missed.push((key.clone(), rev, Missed::Moved)),
            State::Loaded(listing) => listing.move_to(key, rev),
        }
    }

    fn get(&self, key: &Key) -> Option<Found> {
        match &*self.read() {
            State::Loaded(listing) => listing.records.get(key).cloned(),
            State::Absent | State::Loading(_) => None,
        }
    }

    fn unload(&self) {
        *self.write() = State::Absent;
    }

    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}
