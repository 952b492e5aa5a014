//! Everything the outside world decides: time, chance, files, and the functions of others.
//!
//! A server makes one from the real things, a simulation from one seed. Nothing below the server reads a clock, a random
//! generator or a directory in any other way.

use std::{fmt, io, sync::Arc};

use coffer_types::{Clock, Entropy};

use crate::Functions;

#[derive(Clone)]
pub struct World {
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    /// Where audit segments live.
    pub audit_files: Arc<dyn Files>,
    /// Who runs functions.
    pub functions: Arc<dyn Functions>,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("World")
    }
}

/// A flat directory of files that only grow.
pub trait Files: Send + Sync {
    /// Makes a new file, readable by the owner only; its name is durable when this returns.
    fn create(&self, name: &str) -> io::Result<Arc<dyn AppendFile>>;
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;
    /// At most this many bytes from there on; fewer only at the end of the file.
    fn read_part(&self, name: &str, from: u64, bytes_max: usize) -> io::Result<Vec<u8>>;
    fn length(&self, name: &str) -> io::Result<u64>;
    /// What an earlier process appended survives the loss of power when this returns. Files in memory have nothing to do.
    fn settle(&self, name: &str) -> io::Result<()> {
        let _ = name;
        Ok(())
    }
    /// Deletes a file for good when this returns; one that is not there counts as deleted.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// All names, sorted.
    fn list(&self) -> io::Result<Vec<String>>;
}

/// Appended to by one at a time; synced by anybody meanwhile, because a sync may take long and appending must not wait for it.
pub trait AppendFile: Send + Sync {
    /// The bytes survive the death of the process when this returns.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;
    /// Everything appended survives the loss of power when this returns.
    fn sync(&self) -> io::Result<()>;
}
