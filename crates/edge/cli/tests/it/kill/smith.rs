//! Somebody who changes the keys of the store while others use it: epochs, the root key, seal slots.

use std::path::Path;

use coffer_server::{
    control::{self, Command, KeyStatus, Reply, Request},
    data_dir::DataDir,
    slots::{Change, Changed},
};

use super::Dice;

/// What the server said it had done, over all its lives.
#[derive(Debug, Default, Clone)]
pub(crate) struct Done {
    /// The newest epoch that it said is active.
    pub epoch: u32,
    pub epochs: usize,
    pub roots: usize,
    pub slots: usize,
    /// A recovery slot that is there, and whose shares nobody kept.
    spare: Option<String>,
}

/// Changes one thing after the other until the server does not answer any more.
pub(crate) fn work(data: &Path, mut dice: Dice, mut done: Done) -> Done {
    while let Ok(directory) = DataDir::to_ask(data) {
        let change = match (dice.below(10), done.spare.take()) {
            (0, None) => Change::Shares { threshold: 2, shares: 3 },
            (_, Some(slot)) => Change::Remove { slot },
            (1..=4, None) => Change::Root,
            (_, None) => Change::Epoch,
        };
        match control::ask(&directory, &Request::change(change)) {
            Ok(Some(Reply::Changed(Changed::Epoch { epoch, .. }))) => {
                assert!(epoch > done.epoch, "{epoch} comes after {}", done.epoch);
                (done.epoch, done.epochs) = (epoch, done.epochs + 1);
            }
            Ok(Some(Reply::Changed(Changed::Root { .. }))) => done.roots += 1,
            Ok(Some(Reply::Changed(Changed::Shares { slot, .. }))) => {
                (done.spare, done.slots) = (Some(slot), done.slots + 1);
            }
            Ok(Some(Reply::Changed(_))) => done.slots += 1,
            // Too many epochs, before the sweep has come round.
            Err(complaint) if complaint.what().contains("no new epoch was made") => {}
            // A slot whose shares were lost with an answer is in the way of another root key.
            Err(complaint) if complaint.what().contains("the root key is not changed") => return done,
            // It was killed.
            _ => return done,
        }
    }
    done
}

/// What a server says of its epochs.
pub(crate) fn status(data: &Path) -> KeyStatus {
    let directory = DataDir::to_ask(data).unwrap();
    match control::ask(&directory, &Request::new(Command::KeyStatus)) {
        Ok(Some(Reply::Keys(status))) => status,
        other => panic!("the server does not tell its epochs: {other:?}"),
    }
}
