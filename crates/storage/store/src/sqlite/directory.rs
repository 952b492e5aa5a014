//! The data directory: who may look into it, and that only one process uses it.
//!
//! The files hold sealed records, but their names, sizes and times tell things too, and whoever may write them may
//! destroy them. So the directory belongs to us alone or is refused: we do not repair modes, because a directory
//! that was open until now may already have been visited, and its owner should know.
//!
//! Two servers on one directory would each be right and together be wrong. The lock keeps them apart on one
//! machine; on file systems where locks lie, the owner id in the store (see `writer`) stops the older of the two.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use crate::EngineError;

pub(super) const STORE: &str = "store.db";
pub(super) const LOG: &str = "store.db-wal";
pub(super) const LOCK: &str = "lock";
/// Written, looked at and removed, to learn as whom we create files.
const PROBE: &str = "probe";
/// Everything that may lie in the directory because of us.
const FILES: [&str; 5] = [STORE, LOG, "store.db-shm", LOCK, PROBE];

const OTHERS: u32 = 0o077;

/// Stands in the lock file from the moment a store was created completely.
const COMPLETE: &[u8] = b"a coffer store lives here\n";

#[derive(Debug)]
pub(super) struct DataDirectory {
    path: PathBuf,
    // The lock lasts as long as this file is open.
    lock: File,
    complete: bool,
}

impl DataDirectory {
    /// Makes the directory if it is missing, and takes it for this process.
    pub(super) fn take(path: &Path) -> Result<Self, EngineError> {
        create_missing(path)?;
        let owner = check_directory(path)?;
        for name in FILES {
            check_file(&path.join(name), owner)?;
        }
        // Only the directory itself may not be a link; those above it are the operator's.
        let path = path.canonicalize().map_err(|error| failed(path, "cannot be resolved", &error))?;
        let lock = lock(&path)?;
        check_we_are(owner, &path)?;
        let complete =
            lock.metadata().map_err(|error| failed(&path, "has no readable lock", &error))?.len() > 0;
        let directory = Self { path, lock, complete };
        directory.refuse_lost_file()?;
        directory.create_store_file()?;
        Ok(directory)
    }

    pub(super) fn store(&self) -> PathBuf {
        self.path.join(STORE)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a store was once created here, so that an empty one now means loss and not a first start.
    pub(super) const fn is_complete(&self) -> bool {
        self.complete
    }

    pub(super) fn mark_complete(&mut self) -> Result<(), EngineError> {
        self.lock
            .write_all(COMPLETE)
            .and_then(|()| self.lock.sync_all())
            .map_err(|error| failed(&self.path, "cannot be marked as complete", &error))?;
        sync_directory(&self.path)?;
        self.complete = true;
        Ok(())
    }

    /// A log without its file holds what was acknowledged last, and SQLite empties a log that it finds beside an empty file. So
    /// a file that is gone is noticed before anything is opened or made: with the file put back, nothing is lost.
    fn refuse_lost_file(&self) -> Result<(), EngineError> {
        let length = |name: &str| file_length(&self.path.join(name));
        if length(STORE)? == 0 && (self.complete || length(LOG)? > 0) {
            return Err(EngineError::corrupt(
                "the store file is missing or empty, but it was not always; nothing was changed, put the file back",
            ));
        }
        Ok(())
    }

    /// The engine would create its file with whatever the umask leaves; its log takes over the mode of the file.
    fn create_store_file(&self) -> Result<(), EngineError> {
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.store()) {
            Ok(file) => {
                file.sync_all().map_err(|error| failed(&self.path, "cannot be synced", &error))?;
                sync_directory(&self.path)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(failed(&self.path, "refuses a new file", &error)),
        }
    }
}

/// How long a file is; one that is missing has no length.
pub(super) fn file_length(path: &Path) -> Result<u64, EngineError> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(found.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(failed(path, "cannot be looked at", &error)),
    }
}

fn create_missing(path: &Path) -> Result<(), EngineError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {
            sync_directory(path)?;
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            sync_directory(parent.unwrap_or(Path::new(".")))
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(failed(path, "cannot be created, make its parent directory first", &error)),
    }
}

/// Answers who owns the directory.
fn check_directory(path: &Path) -> Result<u32, EngineError> {
    let found = fs::symlink_metadata(path).map_err(|error| failed(path, "cannot be looked at", &error))?;
    if found.is_symlink() {
        return Err(refused(path, "is a symbolic link; name the directory itself"));
    }
    if !found.is_dir() {
        return Err(refused(path, "is not a directory; choose another"));
    }
    if found.mode() & OTHERS != 0 {
        return Err(refused(
            path,
            &format!("has mode {:03o}, open to others; find out why, then chmod 700", found.mode() & 0o777),
        ));
    }
    Ok(found.uid())
}

fn check_file(path: &Path, owner: u32) -> Result<(), EngineError> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(path, "cannot be looked at", &error)),
    };
    if !found.is_file() {
        return Err(refused(path, "is not a regular file; remove it, or restore the directory"));
    }
    if found.uid() != owner {
        return Err(refused(path, "belongs to somebody else than its directory; find out why, then chown"));
    }
    if found.mode() & OTHERS != 0 {
        return Err(refused(
            path,
            &format!("has mode {:03o}, open to others; find out why, then chmod 600", found.mode() & 0o777),
        ));
    }
    Ok(())
}

fn lock(path: &Path) -> Result<File, EngineError> {
    let lock = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path.join(LOCK))
        .map_err(|error| failed(path, "cannot be locked", &error))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => {
            Err(refused(path, "is in use by another process; stop that one, or choose another directory"))
        }
        Err(TryLockError::Error(error)) => Err(failed(path, "cannot be locked", &error)),
    }
}

/// Only root could get here with a directory of somebody else. A new file tells our id without asking the system
/// for it.
fn check_we_are(owner: u32, path: &Path) -> Result<(), EngineError> {
    let probe = path.join(PROBE);
    let new = || OpenOptions::new().write(true).create_new(true).mode(0o600).open(&probe);
    let us = match new() {
        // Left by a process that died in the middle of the next lines; we hold the lock, so it is nobody's.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(&probe).and_then(|()| new())
        }
        other => other,
    }
    .and_then(|file| file.metadata())
    .map(|found| found.uid());
    let removed = fs::remove_file(&probe);
    let us =
        us.and_then(|us| removed.map(|()| us)).map_err(|error| failed(path, "refuses a new file", &error))?;
    if us == owner {
        Ok(())
    } else {
        Err(refused(
            path,
            &format!("belongs to user {owner} and this process is user {us}; run as its owner"),
        ))
    }
}

fn sync_directory(path: &Path) -> Result<(), EngineError> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| failed(path, "cannot be synced", &error))
}

pub(super) fn refused(path: &Path, reason: &str) -> EngineError {
    EngineError::unavailable(format!("{} {reason}", path.display()))
}

pub(super) fn failed(path: &Path, what: &str, error: &io::Error) -> EngineError {
    refused(path, &format!("{what}: {error}"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn refusal(path: &Path) -> String {
        DataDirectory::take(path).unwrap_err().to_string()
    }

    #[test]
    fn a_new_directory_and_its_files_are_ours_alone() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("store");
        let directory = DataDirectory::take(&path).unwrap();
        let mode = |path: &Path| fs::symlink_metadata(path).unwrap().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        assert_eq!(mode(&directory.store()), 0o600);
        assert_eq!(mode(&path.join(LOCK)), 0o600);
        assert!(!path.join(PROBE).exists());
    }

    #[test]
    fn a_directory_open_to_others_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        for mode in [0o701, 0o710, 0o750, 0o755, 0o777] {
            chmod(parent.path(), mode);
            assert!(refusal(parent.path()).contains("open to others"), "{mode:o}");
        }
    }

    #[test]
    fn links_and_loose_files_are_refused() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("store");
        drop(DataDirectory::take(&path).unwrap());

        symlink(&path, parent.path().join("link")).unwrap();
        assert!(refusal(&parent.path().join("link")).contains("symbolic link"));

        chmod(&path.join(STORE), 0o640);
        assert!(refusal(&path).contains("has mode 640"));

        fs::remove_file(path.join(STORE)).unwrap();
        symlink("/dev/null", path.join(STORE)).unwrap();
        assert!(refusal(&path).contains("not a regular file"));
    }

    #[test]
    fn a_second_opener_is_told_who_is_in_the_way() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("store");
        let first = DataDirectory::take(&path).unwrap();
        assert!(refusal(&path).contains("in use by another process"));
        drop(first);
        DataDirectory::take(&path).unwrap();
    }

    #[test]
    fn a_probe_left_by_a_crash_is_in_nobodys_way() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("store");
        drop(DataDirectory::take(&path).unwrap());
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path.join(PROBE)).unwrap();
        DataDirectory::take(&path).unwrap();
    }
}
