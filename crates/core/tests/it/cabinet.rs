//! Files in memory that fail when they are told to: one call, or all of them because the disk is full.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex},
};

use coffer_core::{AppendFile, Files};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileCall {
    Create,
    /// Half of the bytes arrive before it fails.
    Append,
    Sync,
    Remove,
}

#[derive(Default)]
struct Shelf {
    /// Bytes, and how many of them were synced.
    files: BTreeMap<String, (Vec<u8>, usize)>,
    /// Fails this call when the count of others of its kind before it is used up.
    faults: Vec<(FileCall, usize)>,
    /// The disk takes nothing more: no name and no byte.
    full: bool,
    /// How often somebody tried to make a file or to append to one.
    tries: usize,
}

impl Shelf {
    fn call(&mut self, call: FileCall) -> io::Result<()> {
        if matches!(call, FileCall::Create | FileCall::Append) {
            self.tries += 1;
            if self.full {
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        for at in 0..self.faults.len() {
            if self.faults[at].0 == call {
                if self.faults[at].1 == 0 {
                    self.faults.remove(at);
                    return Err(io::Error::other("no space left on device"));
                }
                self.faults[at].1 -= 1;
            }
        }
        Ok(())
    }
}

/// Files in memory. Like those on disk, a name is made once.
#[derive(Default, Clone)]
pub(crate) struct Cabinet(Arc<Mutex<Shelf>>);

impl Cabinet {
    /// Lets a call fail after this many others of its kind.
    pub(crate) fn fail_after(&self, others: usize, call: FileCall) {
        self.0.lock().unwrap().faults.push((call, others));
    }

    /// Fills the disk, or frees it again.
    pub(crate) fn fill(&self, full: bool) {
        self.0.lock().unwrap().full = full;
    }

    pub(crate) fn tries(&self) -> usize {
        self.0.lock().unwrap().tries
    }

    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        self.0.lock().unwrap().files[name].0.clone()
    }

    /// What the loss of power would leave.
    pub(crate) fn synced(&self, name: &str) -> usize {
        self.0.lock().unwrap().files[name].1
    }

    pub(crate) fn put(&self, name: &str, bytes: Vec<u8>) {
        self.0.lock().unwrap().files.insert(name.to_owned(), (bytes, 0));
    }
}

impl Files for Cabinet {
    fn create(&self, name: &str) -> io::Result<Arc<dyn AppendFile>> {
        let mut shelf = self.0.lock().unwrap();
        shelf.call(FileCall::Create)?;
        if shelf.files.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        shelf.files.insert(name.to_owned(), (Vec::new(), 0));
        Ok(Arc::new(Drawn { shelf: Arc::clone(&self.0), name: name.to_owned() }))
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let shelf = self.0.lock().unwrap();
        shelf.files.get(name).map(|file| file.0.clone()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn read_part(&self, name: &str, from: u64, bytes_max: usize) -> io::Result<Vec<u8>> {
        Ok(self.bytes(name).into_iter().skip(usize::try_from(from).unwrap()).take(bytes_max).collect())
    }

    fn length(&self, name: &str) -> io::Result<u64> {
        Ok(self.bytes(name).len() as u64)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut shelf = self.0.lock().unwrap();
        shelf.call(FileCall::Remove)?;
        shelf.files.remove(name);
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().unwrap().files.keys().cloned().collect())
    }
}

struct Drawn {
    shelf: Arc<Mutex<Shelf>>,
    name: String,
}

impl AppendFile for Drawn {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut shelf = self.shelf.lock().unwrap();
        let outcome = shelf.call(FileCall::Append);
        let arrived = if outcome.is_ok() { bytes.len() } else { bytes.len() / 2 };
        shelf.files.get_mut(&self.name).unwrap().0.extend_from_slice(&bytes[..arrived]);
        outcome
    }

    fn sync(&self) -> io::Result<()> {
        let mut shelf = self.shelf.lock().unwrap();
        shelf.call(FileCall::Sync)?;
        let file = shelf.files.get_mut(&self.name).unwrap();
        file.1 = file.0.len();
        Ok(())
    }
}
