//! What belongs together in two places.
//!
//! A handler runs in one partition. What has to become true in another at the same instant, such as that two secrets of two accounts
//! are linked, is done *there*: everything that is read, asked and saved meanwhile is of that partition, and the commit takes both or
//! neither. It is for links between few records; what is merely carried from one place to another is work for a
//! [`Relay`](crate::Relay).

use std::collections::BTreeMap;

use coffer_store::{Key, Partition};

use super::Cx;
use crate::db::{Change, Sheet};

impl Cx<'_> {
    /// Goes to another account or region, does something, and comes back.
    pub fn there<T>(&mut self, place: &Partition, work: impl FnOnce(&mut Self) -> T) -> T {
        if *place == self.home {
            return work(self);
        }
        let home = self.turn_to(place.clone());
        let done = work(self);
        self.turn_to(home);
        done
    }

    /// The same part of the world in another account.
    pub fn neighbour(&self, account: coffer_types::AccountId) -> Partition {
        Partition::new(account, self.home.region.clone())
    }

    fn turn_to(&mut self, place: Partition) -> Partition {
        let sheet = self.elsewhere.remove(&place).unwrap_or_default();
        let before = std::mem::replace(&mut self.home, place);
        let reads = std::mem::replace(self.reads.get_mut(), sheet.reads);
        let changes = std::mem::replace(&mut self.changes, sheet.changes);
        self.elsewhere.insert(before.clone(), Sheet { reads, changes });
        before
    }

    /// Tries something that may not succeed: then it has changed nothing, and the handler may go on without it. What was read stays
    /// read, and what was asked stays on record.
    pub fn attempt<T, E>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, E>) -> Result<T, E> {
        let before = (self.changes.clone(), self.only_optional, self.events.len(), self.activated.len());
        let elsewhere: BTreeMap<Partition, BTreeMap<Key, Change>> =
            self.elsewhere.iter().map(|(place, sheet)| (place.clone(), sheet.changes.clone())).collect();
        let outcome = work(self);
        if outcome.is_err() {
            let (changes, only_optional, events, activated) = before;
            self.changes = changes;
            self.only_optional = only_optional;
            self.events.truncate(events);
            self.activated.truncate(activated);
            let mut elsewhere = elsewhere;
            for (place, sheet) in &mut self.elsewhere {
                sheet.changes = elsewhere.remove(place).unwrap_or_default();
            }
        }
        outcome
    }
}
