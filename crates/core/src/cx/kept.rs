//! Records that may have become unreadable, for whoever can go on without what was in them.
//!
//! Damage is a fault of ours, so a handler that needs a record fails. But a record that only tells of something else must not take
//! that away as well, and must not stay in the way of its own repair: it is erased like any other, and another saved in its place.

use std::sync::Arc;

use coffer_shape::ApiError;

use super::Cx;
use crate::{LoadError, Part, Record};

/// What stands in a place.
#[derive(Debug)]
pub enum Kept<R> {
    Nothing,
    Whole(Arc<R>),
    /// It does not open, and the log says so. To replace it, erase it first.
    Damaged,
}

impl<R> Kept<R> {
    /// What can be read of it.
    pub fn whole(self) -> Option<Arc<R>> {
        match self {
            Self::Whole(record) => Some(record),
            Self::Nothing | Self::Damaged => None,
        }
    }
}

/// Whether this is about a record that does not open, and not about a store that does not answer: asking again does not help.
pub fn is_damage(error: &ApiError) -> bool {
    let cause = error.cause.as_ref().and_then(|cause| cause.downcast_ref());
    matches!(cause, Some(LoadError::Damaged(_) | LoadError::Unreadable { .. }))
}

impl Cx<'_> {
    /// Like [`Cx::part`], for whoever can go on without the record. A store that does not answer is an error here too.
    pub fn part_if_whole<R: Part>(&self, key: &[&str]) -> Result<Kept<R>, ApiError> {
        self.load_if_whole(key)
    }

    /// The record of the same key where the call is now, for whoever holds one of another place. He was permitted that one, and what
    /// follows from it for this one is nobody else's to decide.
    pub fn counterpart<R: Record>(&self, of: &R) -> Result<Kept<R>, ApiError> {
        self.load_if_whole(&of.key())
    }

    fn load_if_whole<R: Record>(&self, key: &[&str]) -> Result<Kept<R>, ApiError> {
        let place = self.db.locate(&self.home, R::TABLE, key).key;
        if !self.changes.contains_key(&place)
            && let Err(LoadError::Damaged(_) | LoadError::Unreadable { .. }) =
                self.db.load::<R>(&self.home, &place)
        {
            let rev = self.db.rev_of(&self.home, &place).map_err(|error| self.internal(error))?;
            self.note_read(&place, rev);
            return Ok(Kept::Damaged);
        }
        Ok(self.load(key)?.map_or(Kept::Nothing, Kept::Whole))
    }
}
