//! Leave to fetch a package without a signature, for a while: a sealed text that goes into a URL.
//!
//! Whoever gets one was permitted to see the package, and that is on record. What is fetched with it is not.

use std::time::Duration;

use coffer_shape::{Read, record, stored};
use coffer_store::Partition;
use coffer_types::{Secret, Timestamp};

use super::BlobRef;
use crate::{Core, Cx, SealedToken};

/// As long as on AWS.
const GOOD_FOR: Duration = Duration::from_mins(10);
const PURPOSE: &str = "package";

record! {
    struct Leave {
        account: String,
        region: String,
        blob: BlobRef,
        until: Timestamp,
    }
}

impl Cx<'_> {
    /// Leave to fetch a package of where this call runs.
    pub fn leave_to_fetch(&self, blob: &BlobRef) -> String {
        let leave = Leave {
            account: self.account().to_string(),
            region: self.region().to_string(),
            blob: blob.clone(),
            until: self.now().plus(GOOD_FOR),
        };
        // A record of texts and numbers can always be written.
        let content = stored::to_bytes(&leave).unwrap_or_default();
        self.seal_for(PURPOSE, &[], &content)
    }
}

impl Core {
    /// The package that somebody has leave to fetch; nothing for what is not ours, or not good any more. Blocks on the disk.
    pub fn package(&self, leave: &str) -> Option<Secret<Vec<u8>>> {
        let content = SealedToken::open(self.db.barrier(), PURPOSE, &[], leave)?;
        let leave: Read<Leave> = stored::from_bytes(content.expose());
        let leave = leave.ok().filter(|leave| leave.until > self.world.clock.now())?;
        let home = Partition::new(leave.account.parse().ok()?, leave.region.parse().ok()?);
        let read = self.db.blob(&home, &leave.blob);
        read.inspect_err(|error| tracing::error!(%error, "a package cannot be read")).ok()
    }
}
