//! Users for functions, when the server is root: each environment has one of its own, so that none can reach into another.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

#[derive(Debug)]
pub(crate) struct Users {
    first: u32,
    taken: Mutex<BTreeSet<u32>>,
}

/// Given back when dropped.
#[derive(Debug)]
pub(crate) struct User {
    pub(crate) number: u32,
    users: Arc<Users>,
}

impl Users {
    pub(crate) fn new(first: u32) -> Arc<Self> {
        Arc::new(Self { first, taken: Mutex::default() })
    }

    pub(crate) fn take(self: &Arc<Self>) -> Option<User> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let number = (self.first..=u32::MAX - 2).find(|number| !taken.contains(number))?;
        taken.insert(number);
        Some(User { number, users: Arc::clone(self) })
    }
}

impl Drop for User {
    fn drop(&mut self) {
        self.users.taken.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}
