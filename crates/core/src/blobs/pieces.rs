//! The records of a package.

use coffer_types::{Secret, Timestamp};

use super::CHUNK_BYTES;
use crate::{Examined, Listed, Need, Place, Record, table};

table! {
    0x0004 "blob", version 1, key (digest), part;

    /// A package, and who needs it.
    #[derive(Clone)]
    pub struct BlobRecord {
        pub digest: String,
        pub length: i64,
        /// All of its chunks are there.
        pub is_whole: bool,
        pub uses: i64,
        /// When it was stored, or last had a use less.
        pub staged_at: Timestamp,
    }
}

table! {
    0x0005 "blob-chunk", version 1, key (digest, number), part;

    pub struct ChunkRecord {
        pub digest: String,
        pub number: String,
        pub bytes: Secret<Vec<u8>>,
    }
}

/// In the order in which those that nobody uses are removed, and the others behind them.
impl Listed for BlobRecord {
    const ORDERS: usize = 1;

    fn place(&self, _: usize) -> Place<'_> {
        let number = if self.uses > 0 { i64::MAX } else { self.staged_at.millis() };
        Place { number: Some(number), text: "", tie: &self.digest }
    }
}

impl BlobRecord {
    pub(super) fn chunks(&self) -> usize {
        usize::try_from(self.length).unwrap_or_default().div_ceil(CHUNK_BYTES)
    }
}

pub(super) fn number(number: usize) -> String {
    format!("{number:06}")
}

impl Examined for BlobRecord {
    fn shown(&self) -> &str {
        &self.digest
    }

    fn needs(&self, need: &mut dyn FnMut(Need<'_>)) {
        let missing = "a package that has lost a chunk";
        for chunk in (0..self.chunks()).filter(|_| self.is_whole) {
            need(Need { table: ChunkRecord::TABLE, key: &[&self.digest, &number(chunk)], missing });
        }
    }
}

impl Examined for ChunkRecord {
    fn shown(&self) -> &str {
        &self.digest
    }

    fn needs(&self, need: &mut dyn FnMut(Need<'_>)) {
        let missing = "a chunk of no package";
        need(Need { table: BlobRecord::TABLE, key: &[&self.digest], missing });
    }
}
