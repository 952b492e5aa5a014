//! The few files that the barrier touches, written so that a crash leaves the old one or the new one.
//!
//! A new version goes to a file of its own, is synced, takes the old one's name in one step, and the directory is synced
//! so that the name survives too. All paths of this crate to the disk are in this module.

use std::{
    ffi::OsString,
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use coffer_types::Secret;

/// Owner may read and write, nobody else anything.
const PRIVATE_MODE: u32 = 0o600;

/// What becomes of the version that is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Previous {
    /// It stays beside the new one as `<name>.previous`, for the day the new one turns out unreadable.
    Keep,
    /// No older version stays, because it would open with a key that was just taken away.
    Forget,
    /// The older version becomes the new one too: it lacks a key that the store needs from now on, or has one that it must not have.
    Replace,
}

/// Replaces the file at `path`, or makes it.
pub(crate) fn replace(path: &Path, bytes: &[u8], previous: Previous) -> io::Result<()> {
    let kept = beside(path, ".previous");
    if previous == Previous::Keep && path.try_exists()? {
        // A copy and not a rename: the name itself must never be missing.
        let mut old = Vec::new();
        File::open(path)?.read_to_end(&mut old)?;
        write_and_rename(&kept, &old)?;
    }
    if previous == Previous::Replace {
        // First, so that a crash in between leaves a file in place that says what is still to be done.
        write_and_rename(&kept, bytes)?;
    }
    write_and_rename(path, bytes)?;
    if previous == Previous::Forget {
        forget(&kept)?;
        // What a crash left of an earlier one is as good as it.
        forget(&beside(&kept, ".tmp"))?;
    }
    sync_directory(path)
}

/// Makes a file that must not exist yet, whole or not at all: a full disk or a crash leaves nothing under its name.
pub(crate) fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = beside(path, ".tmp");
    let made = write_anew(&temporary, bytes)
        .and_then(|()| name_without_replacing(&temporary, path, |from, to| std::fs::hard_link(from, to)));
    // Whatever came of it, the bytes have no second name.
    let forgotten = forget(&temporary);
    made.and(forgotten)?;
    sync_directory(path)
}

/// A rename would replace what is there; a second name for the same bytes does not.
fn name_without_replacing(
    temporary: &Path,
    path: &Path,
    link: impl FnOnce(&Path, &Path) -> io::Result<()>,
) -> io::Result<()> {
    match link(temporary, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        // Some file systems have no second names. There we look first, which is as good while nobody else makes the file.
        Err(_) if std::fs::symlink_metadata(path).is_err() => std::fs::rename(temporary, path),
        outcome => outcome,
    }
}

/// Reads an open file of at most `len_max` bytes into memory that is wiped. A longer file is an error.
pub(crate) fn read_at_most(file: &File, len_max: usize) -> io::Result<Secret<Vec<u8>>> {
    // One byte more than allowed, at once: the buffer must not grow, and one byte too many must be seen.
    let mut bytes = Secret::new(vec![0; len_max.saturating_add(1)]);
    let mut filled = 0_usize;
    let mut file = file;
    while let Some(room) = bytes.expose_mut().get_mut(filled..).filter(|room| !room.is_empty()) {
        match file.read(room) {
            Ok(0) => break,
            Ok(count) => filled = filled.saturating_add(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    if filled > len_max {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "the file is longer than any file of this kind",
        ));
    }
    bytes.expose_mut().truncate(filled);
    Ok(bytes)
}

fn write_and_rename(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = beside(path, ".tmp");
    write_anew(&temporary, bytes)?;
    std::fs::rename(&temporary, path)
}

fn write_anew(temporary: &Path, bytes: &[u8]) -> io::Result<()> {
    // What an interrupted attempt left is worth nothing; making the file anew also keeps us from following a link.
    forget(temporary)?;
    let mut file = private().create_new(true).write(true).open(temporary)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Removes a file, if it is there.
pub(crate) fn forget(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(PRIVATE_MODE);
    options
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn read(path: &Path) -> Option<Vec<u8>> {
        std::fs::read(path).ok()
    }

    #[test]
    fn replacing_keeps_one_older_version_and_no_temporary_file() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("keyring");
        for text in [b"one", b"two", b"six"] {
            replace(&path, text, Previous::Keep).unwrap();
        }
        assert_eq!(read(&path).unwrap(), b"six");
        assert_eq!(read(&beside(&path, ".previous")).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 2);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);

        let left_by_a_crash = beside(&path, ".previous.tmp");
        File::create(&left_by_a_crash).unwrap();
        replace(&path, b"ten", Previous::Forget).unwrap();
        assert_eq!(read(&path).unwrap(), b"ten");
        assert_eq!((read(&beside(&path, ".previous")), read(&left_by_a_crash)), (None, None));

        replace(&path, b"new", Previous::Replace).unwrap();
        assert_eq!(
            (read(&path).unwrap(), read(&beside(&path, ".previous")).unwrap()),
            (b"new".to_vec(), b"new".to_vec())
        );
    }

    #[test]
    fn what_a_crash_left_is_written_over_and_a_link_is_not_followed() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("keyring");
        let elsewhere = place.path().join("elsewhere");
        create(&elsewhere, b"untouched").unwrap();
        std::os::unix::fs::symlink(&elsewhere, beside(&path, ".tmp")).unwrap();
        replace(&path, b"one", Previous::Keep).unwrap();
        assert_eq!(
            (read(&path).unwrap(), read(&elsewhere).unwrap()),
            (b"one".to_vec(), b"untouched".to_vec())
        );
    }

    #[test]
    fn creating_does_not_replace() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("keyfile");
        create(&path, b"one").unwrap();
        assert_eq!(create(&path, b"two").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(read(&path).unwrap(), b"one");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1, "no temporary file stays");

        let link = place.path().join("link");
        std::os::unix::fs::symlink(place.path().join("nowhere"), &link).unwrap();
        assert_eq!(create(&link, b"two").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert!(!place.path().join("nowhere").exists());
    }

    #[test]
    fn a_file_that_could_not_be_written_whole_is_not_there_and_not_in_the_way() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("keyfile");
        // A directory in place of the temporary file: writing fails before the name is given, as on a full disk.
        std::fs::create_dir(beside(&path, ".tmp")).unwrap();
        create(&path, b"one").unwrap_err();
        assert!(std::fs::symlink_metadata(&path).is_err());
        std::fs::remove_dir(beside(&path, ".tmp")).unwrap();

        // What a crash in the middle of the write leaves.
        File::create(beside(&path, ".tmp")).unwrap();
        create(&path, b"one").unwrap();
        assert_eq!(read(&path).unwrap(), b"one");
    }

    #[test]
    fn without_second_names_nothing_is_replaced_either() {
        let place = tempfile::tempdir().unwrap();
        let (temporary, path) = (place.path().join("temporary"), place.path().join("keyfile"));
        let name = || {
            write_anew(&temporary, b"one").unwrap();
            name_without_replacing(&temporary, &path, |_, _| Err(io::Error::from(io::ErrorKind::Unsupported)))
        };
        name().unwrap();
        assert_eq!(read(&path).unwrap(), b"one");
        assert!(read(&temporary).is_none());
        replace(&path, b"two", Previous::Forget).unwrap();
        name().unwrap_err();
        assert_eq!(read(&path).unwrap(), b"two");
    }

    #[test]
    fn a_file_is_read_up_to_its_limit_and_not_beyond() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("file");
        create(&path, b"12345").unwrap();
        let open = || File::open(&path).unwrap();
        assert_eq!(read_at_most(&open(), 5).unwrap().expose(), b"12345");
        assert!(read_at_most(&open(), 4).is_err());
    }
}
