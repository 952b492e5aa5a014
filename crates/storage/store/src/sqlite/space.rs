//! Keeps the last of the disk for the way out.
//!
//! A store that fills its disk to the last byte can neither delete nor checkpoint. So transactions that grow the
//! store are refused while there is still some room, and those that only delete go through.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use coffer_types::Clock;

use crate::{EngineError, Txn};

/// How many bytes are free where this path lies.
pub type FreeSpace = Arc<dyn Fn(&Path) -> io::Result<u64> + Send + Sync>;

/// Asking the file system for each group would cost more than it tells.
const ASK_EVERY: Duration = Duration::from_secs(1);

pub(super) struct Floor {
    path: PathBuf,
    floor_bytes: u64,
    free_space: FreeSpace,
    clock: Arc<dyn Clock>,
    asked: Mutex<Option<(Duration, u64)>>,
}

impl Floor {
    pub(super) fn new(path: PathBuf, floor_bytes: u64, free_space: FreeSpace, clock: Arc<dyn Clock>) -> Self {
        Self { path, floor_bytes, free_space, clock, asked: Mutex::new(None) }
    }

    /// Refuses a group with a transaction that grows the store while there is little room.
    pub(super) fn admit(&self, group: &[Txn]) -> Result<(), EngineError> {
        if !group.iter().any(Txn::grows) {
            return Ok(());
        }
        let free = self.free();
        if free >= self.floor_bytes {
            return Ok(());
        }
        Err(EngineError::Full {
            reason: format!("{free} bytes are free and {} are kept for deletions", self.floor_bytes),
        })
    }

    fn free(&self) -> u64 {
        let now = self.clock.monotonic();
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, free)) = *asked
            && now.saturating_sub(at) < ASK_EVERY
        {
            return free;
        }
        let free = (self.free_space)(&self.path).unwrap_or_else(|error| {
            // Not knowing is no reason to stop: a disk that is really full is noticed by the write itself.
            tracing::warn!(%error, "the free space of the data directory cannot be read");
            u64::MAX
        });
        *asked = Some((now, free));
        free
    }
}

impl fmt::Debug for Floor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Floor")
            .field("path", &self.path)
            .field("floor_bytes", &self.floor_bytes)
            .finish_non_exhaustive()
    }
}
