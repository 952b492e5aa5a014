//! Files and directories that are there after a loss of power, whole or not at all.
//!
//! A file has two things that can be lost: its bytes, and its name in the directory. Both are synced, in this order, before a
//! function here returns. What replaces something is written beside it and takes its name in one step.
//!
//! It does not know what the files are. What it makes is for their owner alone, unless somebody asks for more.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use coffer_types::Secret;

const PRIVATE_DIRECTORY: u32 = 0o700;
/// Owner may read and write, nobody else anything.
pub const PRIVATE_FILE: u32 = 0o600;
/// Files of ours that are read whole into memory are a page of text.
const SMALL_FILE_LEN_MAX: u64 = 64 << 10;
/// What a replacement is called until it is complete.
const REPLACEMENT: &str = "coffer-new";

/// Where directories are synced: on the disk, or in the list of a test.
type SyncDirectory<'s> = &'s mut dyn FnMut(&Path) -> io::Result<()>;

/// Makes a directory and its missing parents for ourselves alone, each of them durably.
pub fn make(path: &Path) -> io::Result<()> {
    make_with(path, &mut sync_directory)
}

fn make_with(path: &Path, sync: SyncDirectory<'_>) -> io::Result<()> {
    if fs::symlink_metadata(path).is_ok() {
        return Ok(());
    }
    let parent = parent(path);
    // It ends at the root or at the working directory, which are there.
    make_with(parent, sync)?;
    match DirBuilder::new().mode(PRIVATE_DIRECTORY).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => sync(parent),
    }
}

/// Writes a new private file and syncs it and its name; a file of that name is an error.
pub fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_new_with(path, bytes, PRIVATE_FILE, &mut sync_directory)
}

fn write_new_with(path: &Path, bytes: &[u8], mode: u32, sync: SyncDirectory<'_>) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(PRIVATE_FILE).open(path)?;
    let written = file
        .set_permissions(Permissions::from_mode(mode))
        .and_then(|()| file.write_all(bytes))
        .and_then(|()| file.sync_all())
        .and_then(|()| sync(parent(path)));
    if written.is_err() {
        // Half a file is worth nothing and would be in the way of the next attempt.
        drop(fs::remove_file(path));
    }
    written
}

/// Writes a file, or writes it anew: whoever looks meanwhile, or after a crash, sees the old bytes or the new ones.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let temporary = beside(path, REPLACEMENT);
    // What an interrupted attempt left is worth nothing.
    forget(&temporary)?;
    write_new_with(&temporary, bytes, mode, &mut sync_directory)?;
    rename(&temporary, path)
}

/// Gives a file its final name, durably.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    sync_directory(parent(to))
}

/// Removes a file, if it is there.
pub fn forget(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Reads a small text file that may hold secrets.
pub fn read_small(path: &Path) -> io::Result<Secret<String>> {
    let file = File::open(path)?;
    // All at once, so that no growing buffer leaves copies behind.
    let mut text =
        Secret::new(String::with_capacity(usize::try_from(SMALL_FILE_LEN_MAX + 1).unwrap_or_default()));
    file.take(SMALL_FILE_LEN_MAX + 1).read_to_string(text.expose_mut())?;
    if text.len() as u64 > SMALL_FILE_LEN_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is longer than 64 KiB"));
    }
    Ok(text)
}

/// The same path with `.suffix` behind it.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}

pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn every_level_that_is_made_is_synced_in_its_parent() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path();
        let mut synced = Vec::new();
        let mut note = |path: &Path| {
            assert!(path.is_dir());
            synced.push(path.to_owned());
            Ok(())
        };
        make_with(&root.join("a/b/c"), &mut note).unwrap();
        make_with(&root.join("a/b/c"), &mut note).unwrap();
        make_with(&root.join("a/b/d"), &mut note).unwrap();
        assert_eq!(synced, [root.to_owned(), root.join("a"), root.join("a/b"), root.join("a/b")]);
        for name in ["a", "a/b", "a/b/c"] {
            assert_eq!(mode(&root.join(name)), 0o700, "{name}");
        }
    }

    #[test]
    fn a_new_file_is_whole_when_its_name_is_synced() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("one");
        let mut seen = Vec::new();
        let mut note = |directory: &Path| {
            seen.push((directory.to_owned(), fs::read(&path).unwrap()));
            Ok(())
        };
        write_new_with(&path, b"whole", PRIVATE_FILE, &mut note).unwrap();
        assert_eq!(seen, [(place.path().to_owned(), b"whole".to_vec())]);
    }

    #[test]
    fn what_could_not_be_synced_is_an_error_and_leaves_nothing() {
        let place = tempfile::tempdir().unwrap();
        let mut broken = |_: &Path| Err(io::Error::other("the disk is gone"));
        assert!(make_with(&place.path().join("a/b"), &mut broken).is_err());
        let path = place.path().join("one");
        assert!(write_new_with(&path, b"half", PRIVATE_FILE, &mut broken).is_err());
        assert!(!path.exists());
    }

    #[test]
    fn a_private_file_is_never_written_twice() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("one");
        write_new(&path, b"first").unwrap();
        assert_eq!(mode(&path), 0o600);
        assert!(write_new(&path, b"second").is_err());
        rename(&path, &place.path().join("two")).unwrap();
        assert_eq!(read_small(&place.path().join("two")).unwrap().expose(), "first");
    }

    #[test]
    fn a_replacement_has_its_mode_and_does_not_stumble_over_an_earlier_attempt() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("one");
        write_new(&beside(&path, REPLACEMENT), b"hal").unwrap();
        for (bytes, wanted) in [(b"first", 0o644), (b"other", 0o600)] {
            replace(&path, bytes, wanted).unwrap();
            assert_eq!((fs::read(&path).unwrap(), mode(&path)), (bytes.to_vec(), wanted));
        }
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    }
}
