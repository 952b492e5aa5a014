//! That a store and a keyring are of one another.
//!
//! A keyring of another store opens with its own key, and then nothing in the store is found: every name hashes to another place.
//! That looks like an empty store, and what is written into it is lost to both keyrings. So a store keeps a mark of the
//! keyring it was made with, and nothing is served, made or verified before the two were held against each other: the name in
//! the mark before any key is given, its proof as soon as the keyring is open.
//!
//! A keyring of this store may still be an old one: a copy from before a change of epochs has the right mark, and lacks the key of what was
//! sealed since. So the store remembers how far its keyring has come, and opens with no older one.
//!
//! The mark is made in a store without any record, and in no other. One with records and without a mark comes from before
//! there were marks, or somebody took it away; nobody can tell, so it is refused.

use std::path::PathBuf;

use coffer_barrier::{Age, Barrier, Keyring, KeyringError, KeyringFile};

use crate::{complaint::Complaint, data_dir::DataDir};

/// What a store says of its keyring.
pub(crate) struct Belonging {
    mark: Option<Vec<u8>>,
    has_records: bool,
}

impl Belonging {
    pub(crate) const fn new(mark: Option<Vec<u8>>, has_records: bool) -> Self {
        Self { mark, has_records }
    }

    /// A stranger by name, which is known without a key.
    pub(crate) fn refuse_stranger(
        &self,
        keyring: &KeyringFile,
        directory: &DataDir,
    ) -> Result<(), Complaint> {
        match &self.mark {
            Some(mark) if keyring.is_named_by(mark) => Ok(()),
            Some(_) => Err(stranger(directory)),
            None if self.has_records => Err(unmarked(directory)),
            None => Ok(()),
        }
    }

    /// The same with the keys at hand, which nobody forges. Answers the mark that a new store has to be given.
    pub(crate) fn refuse_forgery(
        &self,
        barrier: &Barrier,
        directory: &DataDir,
    ) -> Result<Option<Vec<u8>>, Complaint> {
        let ours = barrier.keyring_mark();
        match &self.mark {
            Some(mark) if *mark == ours => Ok(None),
            Some(_) => Err(stranger(directory)),
            None if self.has_records => Err(unmarked(directory)),
            None => Ok(Some(ours)),
        }
    }
}

/// A keyring from before a change that the store knows of. `known` is what it remembers; an earlier program told it nothing.
pub(crate) fn refuse_older(
    known: Option<&[u8]>,
    keyring: &Keyring,
    path: PathBuf,
) -> Result<(), KeyringError> {
    match (known.and_then(Age::from_bytes), keyring.age()) {
        (Some(known), found) if found.is_before(known) => Err(KeyringError::Older { path, found, known }),
        _ => Ok(()),
    }
}

fn stranger(directory: &DataDir) -> Complaint {
    let (keyring, store) = (directory.keyring(), directory.store());
    Complaint::new(format!("the keyring {} is of another store than {}", keyring.display(), store.display()))
        .because("nothing in the store would be found, and what is written now would be lost; nothing was changed")
        .next("put back the keyring that belongs to the store, from keyring.previous or from a backup, and its key")
}

fn unmarked(directory: &DataDir) -> Complaint {
    Complaint::new(format!("the store {} does not say which keyring it belongs to", directory.store().display()))
        .because("it holds records, and a store that does was told when it was made")
        .next("restore the last good backup; a store that a build before the first version made has to be made again")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use coffer_barrier::NewSlot;
    use coffer_crypto::SystemEntropy;
    use coffer_types::Secret;

    use super::*;

    #[test]
    fn a_store_is_served_with_its_own_keyring_and_no_other() {
        let place = tempfile::tempdir().unwrap();
        let directory = DataDir::prepare(&place.path().join("data")).unwrap();
        let keyring = Keyring::create(NewSlot::Keyfile(&Secret::new([1; 32])), Arc::new(SystemEntropy));
        let sealed = KeyringFile::parse(&directory.keyring(), &keyring.to_bytes()).unwrap();
        let barrier = keyring.barrier();
        let ours = barrier.keyring_mark();
        let theirs = Barrier::ephemeral(Arc::new(SystemEntropy)).keyring_mark();
        let mut forged = ours.clone();
        *forged.last_mut().unwrap() ^= 1;
        let (good, stranger, unmarked) = ("", "is of another store", "does not say which keyring");
        for (mark, has_records, by_name, by_proof) in [
            (Some(&ours), true, good, good),
            (Some(&theirs), true, stranger, stranger),
            (Some(&theirs), false, stranger, stranger),
            (Some(&forged), true, good, stranger),
            (None, true, unmarked, unmarked),
            (None, false, good, good),
        ] {
            let belonging = Belonging::new(mark.cloned(), has_records);
            let said = |refusal: Complaint| refusal.what().to_owned();
            let name = belonging.refuse_stranger(&sealed, &directory).map_or_else(said, |()| String::new());
            let proof = belonging.refuse_forgery(&barrier, &directory);
            if let Ok(new) = &proof {
                assert_eq!(new.as_ref(), mark.is_none().then_some(&ours), "a mark is made once");
            }
            let proof = proof.map_or_else(said, |_| String::new());
            assert!(name.contains(by_name) && name.is_empty() == by_name.is_empty(), "{name}");
            assert!(proof.contains(by_proof) && proof.is_empty() == by_proof.is_empty(), "{proof}");
        }
    }

    #[test]
    fn a_mark_outlives_changes_of_slots_and_epochs() {
        let mut keyring = Keyring::create(NewSlot::Keyfile(&Secret::new([1; 32])), Arc::new(SystemEntropy));
        let mark = keyring.barrier().keyring_mark();
        keyring.add_slot(NewSlot::Keyfile(&Secret::new([2; 32]))).unwrap();
        keyring.rotate_epoch().unwrap();
        keyring.begin_incarnation();
        assert_eq!(keyring.barrier().keyring_mark(), mark);
    }
}
