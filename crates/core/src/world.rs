//! Everything the outside world decides: time, chance, files, and the functions of others.
//!
//! A server makes one from the real things, a simulation from one seed. Nothing below the server reads a clock, a random
//! generator or a directory in any other way.

use std::{fmt, io, sync::Arc};

use coffer_types::{Clock, Entropy};

#[derive(Clone)]
pub struct World {
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    /// Where audit segments live.
    pub audit_files: Arc<dyn Files>,
    /// What rotation calls.
    pub functions: Arc<dyn Functions>,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("World")
    }
}

/// Functions that are not part of this server and that its services may call.
pub trait Functions: Send + Sync {
    /// Whether there is such a function and its own policy lets a service, such as `secretsmanager.amazonaws.com`, invoke it.
    fn can_be_invoked(&self, arn: &str, by: &str) -> bool;
}

/// The world of a server for which nobody has configured functions.
#[derive(Debug, Clone, Copy)]
pub struct NoFunctions;

impl Functions for NoFunctions {
    fn can_be_invoked(&self, _: &str, _: &str) -> bool {
        false
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
