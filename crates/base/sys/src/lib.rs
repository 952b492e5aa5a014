//! The system calls and the memory that `std` does not offer: the only crate with `unsafe`.
//!
//! Everything here is small, and each block of `unsafe` says why it is sound, because this is the one place where the
//! compiler's word is not enough. What it offers: hardening of the process before the first secret is read
//! ([`harden`]), memory that is neither swapped, dumped nor inherited ([`LockedBytes`]), an allocator that leaves nothing
//! behind ([`WipingAllocator`]), and a few questions to the kernel about files and peers.
//!
//! It does not know what is kept in the memory or in the files, and it decides nothing: it reports what the kernel
//! answered, and the server decides whether that is good enough to go on.
//!
//! Linux comes first. Elsewhere it compiles, and what is missing is reported as [`Outcome::Unsupported`] or as a
//! weaker [`Protection`].

mod allocator;
mod files;
mod harden;
mod locked;
mod peer;
#[cfg(target_os = "linux")]
pub mod sandbox;

pub use allocator::WipingAllocator;
pub use files::{OwnerAndMode, free_space_bytes, is_read_only, lock_exclusive, owner_and_mode};
pub use harden::{HardeningLine, Outcome, harden};
pub use locked::{Locked, LockedBytes, Protection};
pub use peer::{effective_gid, effective_uid, peer_uid};
