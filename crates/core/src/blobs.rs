//! Packages: bytes that are too many for a record, and for a transaction.
//!
//! A package is found by the hash of its content. It lies in chunks, each sealed like any record, and one record says what there is and
//! how many use it. A handler that brings one *stages* it: if it is not there, the handler ends, the pipeline stores it in transactions of
//! its own, and the handler runs again and finds it. What nobody uses an hour later is removed.
//!
//! INVARIANT: of a package that is whole, every chunk is there. What is counted as used is never removed.

mod keeper;
mod link;
mod pieces;

use std::sync::Arc;

use coffer_crypto::sha256;
use coffer_shape::{ApiError, record};
use coffer_store::Partition;
use coffer_types::{RequestId, Secret, encoding::HEXLOWER};

pub use self::pieces::BlobRecord;
pub(crate) use self::pieces::ChunkRecord;
use crate::{Caller, Core, Cx, Db, Inside, LoadError};

/// A record of this size seals into less than the engine takes at once with room for nine more.
const CHUNK_BYTES: usize = 96 * 1024;
const CHUNKS_AT_ONCE: usize = 8;
/// In whose name packages are stored.
const AGENT: &str = "coffer.internal";

record! {
    /// Where a package is.
    #[derive(Clone, PartialEq, Eq)]
    pub struct BlobRef {
        /// SHA-256 in hexadecimal digits.
        pub digest: String,
        pub length: i64,
    }
}

impl BlobRef {
    pub fn of(bytes: &[u8]) -> Self {
        let length = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
        Self { digest: HEXLOWER.encode(&sha256(bytes)), length }
    }
}

impl Cx<'_> {
    /// Sees to it that a package is there. This ends the call if it is not, which then runs again from its beginning: so it is best done
    /// when everything was permitted and nothing else can be wrong. Whoever goes on attaches it.
    pub fn stage(&self, bytes: &Arc<Secret<Vec<u8>>>) -> Result<BlobRef, ApiError> {
        let blob = BlobRef::of(bytes.expose());
        match self.part::<BlobRecord>(&[&blob.digest])? {
            Some(found) if found.is_whole => Ok(blob),
            _ => Err(self.wants_blob(Arc::clone(bytes))),
        }
    }

    /// Counts one use of a package, which keeps it.
    pub fn attach(&mut self, blob: &BlobRef) -> Result<(), ApiError> {
        let found = self.part::<BlobRecord>(&[&blob.digest])?;
        let Some(found) = found.filter(|found| found.is_whole) else {
            return Err(self.internal("a package is used that is not there"));
        };
        self.save(BlobRecord { uses: found.uses.saturating_add(1), ..(*found).clone() })
    }

    /// Takes a use back.
    pub fn detach(&mut self, blob: &BlobRef) -> Result<(), ApiError> {
        let Some(found) = self.part::<BlobRecord>(&[&blob.digest])? else { return Ok(()) };
        let (uses, staged_at) = (found.uses.saturating_sub(1).max(0), self.now());
        self.save(BlobRecord { uses, staged_at, ..(*found).clone() })?;
        if uses == 0 {
            self.activate(keeper::NAME);
        }
        Ok(())
    }
}

impl Inside {
    /// The content of a package, whole or not at all.
    pub async fn blob(&self, home: &Partition, blob: &BlobRef) -> Result<Secret<Vec<u8>>, ApiError> {
        let core = self.core().ok_or_else(|| unavailable("the store is closed"))?;
        let (home, blob) = (home.clone(), blob.clone());
        let read = tokio::task::spawn_blocking(move || core.db().blob(&home, &blob));
        read.await.map_err(unavailable)?.map_err(unavailable)
    }
}

fn unavailable(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ApiError {
    ApiError::new(crate::cx::INTERNAL, crate::cx::INTERNAL_MESSAGE).because(cause)
}

impl Db {
    /// The content of a package. Blocks on the disk.
    pub(crate) fn blob(&self, home: &Partition, blob: &BlobRef) -> Result<Secret<Vec<u8>>, LoadError> {
        let damaged = |reason: &str| LoadError::Unreadable {
            table: <ChunkRecord as crate::Record>::TABLE.name,
            reason: reason.to_owned(),
        };
        let length = usize::try_from(blob.length).map_err(|_| damaged("a package of no length"))?;
        let mut bytes = Secret::new(Vec::with_capacity(length));
        for number in 0..length.div_ceil(CHUNK_BYTES) {
            let chunk = self.read::<ChunkRecord>(home, &[&blob.digest, &pieces::number(number)])?;
            let chunk = chunk.ok_or_else(|| damaged("a package has lost a chunk"))?;
            bytes.expose_mut().extend_from_slice(chunk.bytes.expose());
        }
        if BlobRef::of(bytes.expose()) != *blob {
            return Err(damaged("a package is not what it was"));
        }
        Ok(bytes)
    }
}

impl Core {
    /// Stores a package in as many transactions as it takes. One that is there already stays as it is.
    pub(crate) async fn store_blob(&self, home: &Partition, bytes: &Secret<Vec<u8>>) -> Result<(), ApiError> {
        let blob = BlobRef::of(bytes.expose());
        let id = RequestId::random(self.world.entropy.as_ref());
        let caller = Caller::service(home.account, home.region.clone(), AGENT, id);
        let chunks: Vec<&[u8]> = bytes.expose().chunks(CHUNK_BYTES).collect();
        let header = |cx: &mut Cx<'_>, is_whole: bool| {
            let known = cx.part::<BlobRecord>(&[&blob.digest])?;
            if let Some(known) = known.filter(|known| known.is_whole || is_whole) {
                return cx.save(BlobRecord { is_whole: true, ..(*known).clone() });
            }
            let (digest, length) = (blob.digest.clone(), blob.length);
            cx.save(BlobRecord { digest, length, is_whole, uses: 0, staged_at: cx.now() })
        };
        // What a crash leaves behind is known by its header, and removed after an hour.
        self.run_local(&caller, |cx| header(cx, false)).await?;
        for (batch, some) in chunks.chunks(CHUNKS_AT_ONCE).enumerate() {
            self.run_local(&caller, |cx| {
                for (at, chunk) in some.iter().enumerate() {
                    let number = pieces::number(batch * CHUNKS_AT_ONCE + at);
                    let bytes = Secret::new(chunk.to_vec());
                    cx.save(ChunkRecord { digest: blob.digest.clone(), number, bytes })?;
                }
                Ok(())
            })
            .await?;
        }
        self.run_local(&caller, |cx| {
            cx.activate(keeper::NAME);
            header(cx, true)
        })
        .await
    }
}

impl crate::Registry {
    /// For a server with a service that has packages: those that nobody uses are removed, and all are examined.
    pub fn keep_packages(&mut self) {
        self.task(keeper::BlobKeeper);
        self.examine::<BlobRecord>();
        self.examine::<ChunkRecord>();
    }
}
