//! The encrypting layer: above it are records, below it are bytes that say nothing.
//!
//! A [`Barrier`] seals a record for one place (store, account, partition, table, key) and one revision, and opens it
//! only there. Names are found under keyed hashes of them. The engine underneath can therefore be copied, stolen or
//! tampered with: it learns sizes and the times of writes, and what it changes is noticed.
//!
//! The keys come from a [`Keyring`], a small file that any one of its seal slots opens: a keyfile, a passphrase, a quorum
//! of recovery shares. Until then there is only a [`KeyringFile`], which knows who could open it and nothing else.
//! So the sealed state is a type, not a flag that somebody has to check.
//!
//! What the barrier deliberately does not know: what a record means, where bytes are stored, the time, and whether the
//! whole store was rolled back (that takes a view of all records at once). Chance comes in as an
//! [`Entropy`](coffer_types::Entropy).

mod barrier;
mod derivation;
mod envelope;
mod fields;
mod files;
mod keyring;
mod padding;
mod vault;

pub use barrier::{Barrier, Location, Opened, Purpose};
pub use envelope::{Damaged, Header, OVERHEAD_LEN};
pub use files::Previous;
pub use keyring::{
    Age, Keyring, KeyringError, KeyringFile, KmsSlot, NewSlot, Part, Pkcs11Slot, RecoveryShare, RootKey,
    ShareCollector, ShareError, ShareProgress, SlotId, SlotInfo, SlotKey, SlotKind, keyfile,
};
pub use padding::padded_len;
