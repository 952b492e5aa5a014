//! What services store, and how it finds its place.
//!
//! A record is a shape with a table and a key. Its bytes are sealed before an engine sees them and its key is a keyed
//! hash, so that neither a value nor a name reaches the disk. A record type that replaces another names it as its
//! predecessor; old bytes are read by the type that wrote them and walked forward. [`table!`](crate::table) declares all of it.

use coffer_barrier::{Barrier, Location};
use coffer_crypto::sha256;
use coffer_shape::{ApiError, Read, ReadError, Shape, WriteError, stored};
use coffer_store::{Key, Partition};
use coffer_types::Secret;

use crate::Cx;

/// A typed collection. Ids are for ever: they are part of keys and of associated data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    pub id: u16,
    pub name: &'static str,
}

/// Audit rows are sealed like records, in a table of their own.
pub(crate) const AUDIT_TABLE: u16 = 1;

pub trait Record: Shape + Send + Sync + 'static {
    const TABLE: Table;
    /// The version of the stored form. A new version is a new type with this one as its `Previous`.
    const VERSION: u16;
    type Previous: Past;
    /// What has to happen in the same transaction whenever such a record is saved, so that no handler can forget it.
    const ON_SAVE: Option<OnSave<Self>> = None;

    /// What identifies the record within its partition and table.
    fn key(&self) -> Vec<&str>;
    fn from_previous(previous: Self::Previous) -> Self;
}

/// Is told what stood there before, if anything did, and what is going to.
pub type OnSave<R> = fn(&mut Cx<'_>, before: Option<&R>, after: &R) -> Result<(), ApiError>;

/// A record that has no permission of its own: it belongs to a resource, and whoever can name its key has been permitted that.
///
/// Resources themselves are none, so that they are opened by asking and in no other way:
///
/// ```compile_fail
/// # use coffer_core::{Cx, Record};
/// # fn example<Secret: Record>(cx: &Cx<'_>) {
/// let unasked = cx.part::<Secret>(&["db/password"]);
/// # }
/// ```
pub trait Part: Record {}

/// Reads stored bytes of this or any earlier version.
pub trait Past: Sized {
    fn from_stored(version: u16, bytes: &[u8]) -> Read<Self>;
}

impl<R: Record> Past for R {
    fn from_stored(version: u16, bytes: &[u8]) -> Read<Self> {
        if version == Self::VERSION {
            stored::from_bytes(bytes)
        } else {
            <Self as Record>::Previous::from_stored(version, bytes).map(Self::from_previous)
        }
    }
}

/// The predecessor of the first version of a record: there is none.
#[derive(Debug)]
pub enum First {}

impl Past for First {
    fn from_stored(version: u16, _: &[u8]) -> Read<Self> {
        Err(ReadError::new(format!(
            "no record of version {version} is known; it was written by a newer Coffer"
        )))
    }
}

/// Declares a record with its table, its version and its key.
///
/// What stands in the braces is declared as [`coffer_shape::record!`] does. The number of a table and the order of the members are
/// for ever. A version after the first says which type it comes after, and is made from it by `From`. A record that is no
/// resource but belongs to one is a `part`, see [`Part`](crate::Part). `=> function` is what else happens when it is saved, see
/// [`ON_SAVE`](crate::Record::ON_SAVE).
///
/// ```
/// coffer_core::table! {
///     0x7fff "label", version 1, key (secret_arn, name), part;
///     /// A label and the version it stands on.
///     pub struct Label {
///         pub secret_arn: String,
///         pub name: String,
///         pub version_id: Option<String>,
///     }
/// }
/// ```
#[macro_export]
macro_rules! table {
    (@previous) => {
        type Previous = $crate::First;

        fn from_previous(previous: $crate::First) -> Self {
            match previous {}
        }
    };
    (@previous $previous:ty) => {
        type Previous = $previous;

        fn from_previous(previous: $previous) -> Self {
            previous.into()
        }
    };
    (@part $name:ident part) => {
        impl $crate::Part for $name {}
    };
    (
        $id:literal $table:literal, version $version:literal $(after $previous:ty)?, key ($($key:ident),+) $(, $part:ident)?
        $(=> $on_save:path)?;
        $(#[$meta:meta])* $visibility:vis struct $name:ident { $($members:tt)* }
    ) => {
        $crate::plain_record! { $(#[$meta])* $visibility struct $name { $($members)* } }

        impl $crate::Record for $name {
            const TABLE: $crate::Table = $crate::Table { id: $id, name: $table };
            const VERSION: u16 = $version;
            $(const ON_SAVE: Option<$crate::OnSave<Self>> = Some($on_save);)?

            fn key(&self) -> Vec<&str> {
                vec![$(self.$key.as_str()),+]
            }

            $crate::table! { @previous $($previous)? }
        }

        $($crate::table! { @part $name $part })?
    };
}

/// Where a record lies: two bytes of table, then a hash under the index key. Account and region are part of the hash.
pub(crate) fn physical_key(barrier: &Barrier, partition: &Partition, table: Table, parts: &[&str]) -> Key {
    let mut key = Vec::with_capacity(34);
    key.extend_from_slice(&table.id.to_be_bytes());
    let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
    key.extend_from_slice(&barrier.hash_name(partition.account, partition.region.as_str(), table.id, &parts));
    Key::new(key)
}

pub(crate) fn encode<R: Record>(record: &R) -> Result<Secret<Vec<u8>>, WriteError> {
    stored::to_bytes(record)
}

fn location<'a>(partition: &'a Partition, table: u16, key: &'a [u8], schema: u16) -> Location<'a> {
    Location {
        account: partition.account,
        partition: partition.region.as_str().as_bytes(),
        table,
        key,
        schema,
    }
}

/// Seals a record for its place. The version stands in clear before the envelope and is bound by it.
pub(crate) fn seal_bytes(
    barrier: &Barrier,
    partition: &Partition,
    table: u16,
    key: &[u8],
    version: u16,
    revision: u64,
    plaintext: &[u8],
) -> Vec<u8> {
    let sealed = barrier.seal(&location(partition, table, key, version), revision, plaintext);
    let mut value = Vec::with_capacity(sealed.len() + 2);
    value.extend_from_slice(&version.to_be_bytes());
    value.extend_from_slice(&sealed);
    value
}

/// A stored value that does not open: damaged, moved, or another key's.
#[derive(Debug, thiserror::Error)]
#[error("a record of table {table} does not open: {reason}")]
pub struct Damaged {
    pub table: u16,
    pub reason: String,
}

/// Opens what [`seal_bytes`] made: the version, the record's own revision, and the plaintext.
pub fn open_record(
    barrier: &Barrier,
    partition: &Partition,
    table: u16,
    key: &[u8],
    value: &[u8],
) -> Result<(u16, u64, Secret<Vec<u8>>), Damaged> {
    let damaged = |reason: String| Damaged { table, reason };
    let (version, sealed) =
        value.split_first_chunk::<2>().ok_or_else(|| damaged(String::from("it is too short")))?;
    let version = u16::from_be_bytes(*version);
    let opened = barrier
        .open(&location(partition, table, key, version), sealed)
        .map_err(|error| damaged(error.to_string()))?;
    Ok((version, opened.revision, opened.plaintext))
}

/// A short name for a key in logs: it identifies, and tells nothing.
pub(crate) fn short_id(key: &Key) -> String {
    let digest = sha256(key.as_bytes());
    coffer_types::encoding::HEXLOWER.encode(digest.get(..6).unwrap_or_default())
}
