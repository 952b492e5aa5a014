//! Packages: bytes that are too many for a record.

use coffer_shape::record;

record! {
    /// Where a package is.
    #[derive(Clone, PartialEq, Eq)]
    pub struct BlobRef {
        /// SHA-256 in hexadecimal digits.
        pub digest: String,
        pub length: i64,
    }
}
