//! What can go wrong with a keyring, said to the person who must do something about it.
//!
//! These sentences are read at the worst moment of an operator's week: the store does not open. So each names the thing,
//! the reason and the next step, and a wrong key is never called damage, nor damage a wrong key.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use super::{
    age::Age,
    slot::{SlotId, SlotInfo, SlotKind},
};

#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    #[error(
        "there is no keyring at {}\n  without it nothing in the store can be read\n  \
         try: put it back from {}.previous or from a backup",
        path.display(), path.display()
    )]
    Missing { path: PathBuf },

    #[error("the keyring at {} cannot be read\n  {source}\n  try: check the owner and mode of the file", path.display())]
    Reading { path: PathBuf, source: io::Error },

    #[error(
        "the keyring at {} was not written\n  {source}\n  \
         the file that was there before is unchanged\n  try: make room or repair the disk, then repeat the command",
        path.display()
    )]
    Writing { path: PathBuf, source: io::Error },

    #[error(
        "the keyring at {} is damaged\n  {part}\n  \
         try: compare it with {}.previous, or put the keyring back from a backup",
        path.display(), path.display()
    )]
    Damaged { path: PathBuf, part: Part },

    #[error(
        "{} does not open this store\n  the keyring at {} is whole, but its {kind} slot was made with another key\n  \
         try: {}",
        kind.a_key(), path.display(), kind.advice(*has_shares)
    )]
    WrongKey { path: PathBuf, kind: SlotKind, has_shares: bool },

    #[error(
        "{} does not open this store\n  the keyring at {} has no {kind} slot; it has {}\n  \
         try: the key of one of these slots",
        kind.a_key(), path.display(), List(present)
    )]
    NoSuchSlot { path: PathBuf, kind: SlotKind, present: Vec<SlotInfo> },

    #[error(
        "the keyring at {} is older than the store\n  its newest epoch is {} (incarnation {}), and the store has been sealed under epoch {} \
         (incarnation {})\n  what was sealed since would not open, and nothing was changed\n  \
         try: put back the newer one, from {}.previous or from the backup that was made with the store",
        path.display(), found.epoch, found.incarnation, known.epoch, known.incarnation, path.display()
    )]
    Older { path: PathBuf, found: Age, known: Age },

    #[error("there is no seal slot {id}\n  the keyring has {}\n  try: coffer key slot list", List(present))]
    UnknownSlot { id: SlotId, present: Vec<SlotInfo> },

    #[error(
        "seal slot {id} is not removed\n  it is the last one, and without a slot the store is lost at the next start\n  \
         try: add another slot first"
    )]
    LastSlot { id: SlotId },

    #[error(
        "the root key is not changed\n  it has to be wrapped again in every seal slot, and no key was given for {}\n  \
         try: give the key of each, or take away the slots that nobody needs: coffer key slot remove",
        List(closed)
    )]
    SlotsWithoutKey { closed: Vec<SlotInfo> },

    #[error("no seal slot was added\n  a keyring has at most {max}\n  try: remove one that nobody uses")]
    TooManySlots { max: usize },

    #[error(
        "no new epoch was made\n  {max} epochs still have records\n  \
         try: let the background task finish re-encrypting the oldest ones"
    )]
    TooManyEpochs { max: usize },

    #[error(
        "{threshold} of {shares} recovery shares cannot be made\n  \
         between 2 and 255 shares are possible, and at least 2 and at most all of them are needed to open\n  \
         try: 3 of 5"
    )]
    ShareNumbers { threshold: u8, shares: u8 },

    #[error("the keyfile {} cannot be read\n  {source}\n  try: check that it exists, and that this user owns it and may enter its directory", path.display())]
    KeyfileReading { path: PathBuf, source: io::Error },

    #[error(
        "the keyfile {} was not made\n  {source}\n  try: another place, or the key that is there already",
        path.display()
    )]
    KeyfileWriting { path: PathBuf, source: io::Error },

    #[error(
        "the keyfile {} is not used\n  its mode {mode:04o} lets others read it\n  try: chmod 0400 {}",
        path.display(), path.display()
    )]
    KeyfileExposed { path: PathBuf, mode: u32 },

    #[error(
        "the keyfile {} is not used\n  it belongs to user {owner}, and this server runs as user {server}\n  \
         try: chown {server} {}",
        path.display(), path.display()
    )]
    KeyfileOwner { path: PathBuf, owner: u32, server: u32 },

    #[error(
        "the keyfile {} is not used\n  it holds neither 64 hexadecimal digits nor exactly 32 bytes\n  \
         try: the file as it was made, unchanged",
        path.display()
    )]
    KeyfileContent { path: PathBuf },
}

impl KeyringError {
    pub(super) fn opening(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        if source.kind() == io::ErrorKind::NotFound {
            Self::Missing { path }
        } else {
            Self::Reading { path, source }
        }
    }

    pub(super) fn damaged(path: &Path, part: Part) -> Self {
        Self::Damaged { path: path.to_owned(), part }
    }
}

/// Which part of a keyring is not as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Not the format at all, or a later one.
    Format,
    /// The bytes do not have the checksum that was written with them.
    Checksum,
    /// The slot was made with the key given, but what it wraps does not open.
    Slot(SlotId),
    /// The root key is right, but the wrapped keys do not open.
    Keys,
    /// Everything opens, but the file as a whole is not what the root key vouches for.
    Mac,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format => f.write_str("it is not a keyring that this program can read"),
            Self::Checksum => f.write_str("its checksum is wrong: some bytes changed since it was written"),
            Self::Slot(id) => write!(f, "the key fits seal slot {id}, but that slot was changed"),
            Self::Keys => f.write_str("the root key fits, but the keys under it were changed"),
            Self::Mac => {
                f.write_str("its seal is wrong: the file was changed on purpose, or two versions were mixed")
            }
        }
    }
}

/// `keyfile 01234567, recovery 89abcdef`
struct List<'a>(&'a [SlotInfo]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, slot) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{} {}", slot.kind, slot.id)?;
        }
        if self.0.is_empty() { f.write_str("none") } else { Ok(()) }
    }
}
