//! The data directory: what lies where, and who may look.
//!
//! ```text
//! keyring                the wrapped keys of the store, and keyring.previous
//! store.db               the records, with -wal and -shm beside it while a server runs
//! audit/                 segments of the audit log
//! bootstrap/credentials  the administrator's access key, for its owner to take away
//! tls/                   the automatic certificate authority
//! control.sock           commands of this machine, while a server runs
//! lock                   held by the process that uses the directory
//! ```
//!
//! The directory belongs to the server's user alone. One that others may enter is refused rather than repaired: it may
//! have been visited already, and its owner should know. The engine repeats these checks under its lock, for its own files; we ask
//! first because we can say in words of the command line what to do.
//!
//! The keyfile is deliberately not in the list. A copy of this directory must be worth nothing.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use coffer_sys::{effective_uid, lock_exclusive};
use coffer_types::Secret;

use crate::complaint::Complaint;

const PRIVATE_DIRECTORY: u32 = 0o700;
const PRIVATE_FILE: u32 = 0o600;
const OTHERS: u32 = 0o077;
/// The longest path of a Unix socket, with the zero byte behind it.
const SOCKET_PATH_LEN_MAX: usize = 107;
/// Files of ours that are read whole into memory are a page of text.
const SMALL_FILE_LEN_MAX: u64 = 64 << 10;

#[derive(Debug, Clone)]
pub struct DataDir {
    path: PathBuf,
}

impl DataDir {
    /// Makes the directory and those in it if they are missing, and checks them.
    pub fn prepare(path: &Path) -> Result<Self, Complaint> {
        if (Self { path: path.to_owned() }).control_socket().as_os_str().len() > SOCKET_PATH_LEN_MAX {
            return Err(Complaint::new(format!(
                "the path of the data directory {} is too long",
                path.display()
            ))
            .because(format!("the socket in it may have at most {SOCKET_PATH_LEN_MAX} bytes of path"))
            .next("choose a shorter path with --data-dir"));
        }
        make(path).map_err(|error| {
            Complaint::new(format!("the data directory {} cannot be made", path.display()))
                .because(error)
                .next("choose another place with --data-dir, or make its parent writable for this user")
        })?;
        Self::existing(path)
    }

    /// Takes a directory that must be there already.
    pub fn existing(path: &Path) -> Result<Self, Complaint> {
        let shown = path.display();
        let found = match fs::symlink_metadata(path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Complaint::new(format!("there is no store at {shown}"))
                    .next(format!("coffer server --data-dir {shown}")));
            }
            Err(error) => {
                return Err(
                    Complaint::new(format!("the data directory {shown} cannot be looked at")).because(error)
                );
            }
        };
        if !found.is_dir() {
            return Err(Complaint::new(format!("{shown} is not a directory"))
                .because("a link to one does not count, because it may point elsewhere tomorrow")
                .next("give the directory itself with --data-dir"));
        }
        let us = effective_uid();
        if found.uid() != us {
            return Err(Complaint::new(format!("the data directory {shown} belongs to somebody else"))
                .because(format!("its owner is user {}, and this is user {us}", found.uid()))
                .next(format!("run coffer as its owner, or find out why and chown {us} {shown}")));
        }
        if found.mode() & OTHERS != 0 {
            return Err(Complaint::new(format!("the data directory {shown} is open to others"))
                .because(format!("its mode is {:04o} and has to be 0700", found.mode() & 0o7777))
                .next(format!("find out who has been there, then chmod 700 {shown}")));
        }
        Ok(Self { path: path.to_owned() })
    }

    /// Whether nobody uses the directory. The engine takes the lock for good a moment later; this answer is for people.
    pub fn ensure_free(&self) -> Result<(), Complaint> {
        let is_free = match OpenOptions::new().read(true).open(self.path.join("lock")) {
            Ok(lock) => lock_exclusive(&lock),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(error) => Err(error),
        };
        match is_free {
            Ok(true) => Ok(()),
            Ok(false) => Err(Complaint::new(format!("the store at {} is in use", self.path.display()))
                .because("another coffer process has its lock")
                .next("stop that process, or give another directory with --data-dir")),
            Err(error) => {
                Err(Complaint::new(format!("the store at {} cannot be locked", self.path.display()))
                    .because(error))
            }
        }
    }

    /// Makes the directories inside; call it once the store is locked.
    pub fn furnish(&self) -> Result<(), Complaint> {
        for path in [self.audit(), self.bootstrap()] {
            make(&path).map_err(|error| {
                Complaint::new(format!("the directory {} cannot be made", path.display()))
                    .because(error)
                    .next("make room, or check the mount of the data directory")
            })?;
            Self::existing(&path)?;
        }
        Ok(())
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn keyring(&self) -> PathBuf {
        self.path.join("keyring")
    }

    pub fn store(&self) -> PathBuf {
        self.path.join("store.db")
    }

    pub fn audit(&self) -> PathBuf {
        self.path.join("audit")
    }

    pub fn bootstrap(&self) -> PathBuf {
        self.path.join("bootstrap")
    }

    pub fn credentials(&self) -> PathBuf {
        self.bootstrap().join("credentials")
    }

    pub fn control_socket(&self) -> PathBuf {
        self.path.join("control.sock")
    }
}

/// Makes a directory and its missing parents for ourselves alone, durably.
pub fn make(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path).is_ok() {
        return Ok(());
    }
    let parent = parent(path);
    fs::create_dir_all(parent)?;
    match DirBuilder::new().mode(PRIVATE_DIRECTORY).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => File::open(parent)?.sync_all(),
    }
}

/// Writes a new private file and syncs it; a file of that name is an error.
pub fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(PRIVATE_FILE).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Gives a file its final name, durably.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    File::open(parent(to))?.sync_all()
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

pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_new_directory_is_ours_alone() {
        let place = tempfile::tempdir().unwrap();
        let directory = DataDir::prepare(&place.path().join("deep/er/store")).unwrap();
        directory.furnish().unwrap();
        for path in [directory.path(), &directory.audit(), &directory.bootstrap()] {
            assert_eq!(mode(path), 0o700, "{}", path.display());
        }
        directory.ensure_free().unwrap();
    }

    #[test]
    fn what_others_may_enter_or_redirect_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("store");
        DataDir::prepare(&path).unwrap();
        symlink(&path, place.path().join("link")).unwrap();
        write_new(&place.path().join("file"), b"").unwrap();
        for (name, part) in [("link", "not a directory"), ("file", "not a directory"), ("none", "no store")] {
            let refusal = DataDir::existing(&place.path().join(name)).unwrap_err().to_string();
            assert!(refusal.contains(part), "{refusal}");
        }
        for wide in [0o701, 0o750, 0o777] {
            fs::set_permissions(&path, fs::Permissions::from_mode(wide)).unwrap();
            let refusal = DataDir::prepare(&path).unwrap_err().to_string();
            assert!(refusal.contains("open to others") && refusal.contains("chmod 700"), "{refusal}");
            assert_eq!(mode(&path), wide, "the mode is not repaired");
        }
    }

    #[test]
    fn a_path_too_long_for_its_socket_is_refused_in_time() {
        let place = tempfile::tempdir().unwrap();
        let refusal = DataDir::prepare(&place.path().join("x".repeat(100))).unwrap_err().to_string();
        assert!(refusal.contains("too long"), "{refusal}");
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
}
