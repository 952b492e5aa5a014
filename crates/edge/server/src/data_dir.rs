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
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use coffer_sys::{effective_uid, lock_exclusive, owner_and_mode};
use coffer_types::{AccountId, Secret};

pub use crate::durable::{PRIVATE_FILE, beside, forget, make, read_small, rename, replace, write_new};
use crate::{complaint::Complaint, shell::quoted};

const OTHERS: u32 = 0o077;
/// The longest path of a Unix socket, with the zero byte behind it.
const SOCKET_PATH_LEN_MAX: usize = 107;

#[derive(Debug, Clone)]
pub struct DataDir {
    path: PathBuf,
}

impl DataDir {
    /// Makes the directory and those in it if they are missing, and checks them.
    pub fn prepare(path: &Path) -> Result<Self, Complaint> {
        let path = &plain(path);
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

    /// Takes a directory that must be there already, for ourselves.
    pub fn existing(path: &Path) -> Result<Self, Complaint> {
        let directory = Self::to_ask(path)?;
        directory.ensure_ours()?;
        Ok(directory)
    }

    /// Takes a directory whose server is asked to do the work. Root may ask any server of this machine.
    pub fn to_ask(path: &Path) -> Result<Self, Complaint> {
        let path = &plain(path);
        let shown = path.display();
        let found = match fs::symlink_metadata(path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Complaint::new(format!("there is no store at {shown}")).next("coffer server"));
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
        let directory = Self { path: path.to_owned() };
        if effective_uid() != 0 {
            directory.ensure_ours()?;
        }
        if found.mode() & OTHERS != 0 {
            return Err(Complaint::new(format!("the data directory {shown} is open to others"))
                .because(format!("its mode is {:04o} and has to be 0700", found.mode() & 0o7777))
                .because("find out who has been there")
                .next(format!("chmod 700 {}", quoted(path))));
        }
        Ok(directory)
    }

    /// Whether we own the directory. Root could use it all the same, but the files it made would lock the owner out, and so
    /// would a new owner of the directory: so the way on is to become the owner.
    fn ensure_ours(&self) -> Result<(), Complaint> {
        let shown = self.path.display();
        let found = fs::symlink_metadata(&self.path).map_err(|error| {
            Complaint::new(format!("the data directory {shown} cannot be looked at")).because(error)
        })?;
        let (us, owner, group) = (effective_uid(), found.uid(), found.gid());
        if owner == us {
            return Ok(());
        }
        let complaint = Complaint::new(format!("the data directory {shown} belongs to somebody else"))
            .because(format!("its owner is user {owner}, and this is user {us}"));
        Err(if owner == 0 {
            complaint.next(format!(
                "sudo coffer ..; or, if it is a new directory for this user, chown -R {us} {}",
                quoted(&self.path)
            ))
        } else {
            complaint.because("what anybody else makes in it may lock its owner out").next(format!(
                "the same command as its owner: sudo -u '#{owner}' coffer .., or setpriv --reuid {owner} \
                 --regid {group} --clear-groups coffer .."
            ))
        })
    }

    /// Whether it is ours and nobody uses it. The engine takes the lock for good a moment later; this answer is for people.
    pub fn ensure_free(&self) -> Result<(), Complaint> {
        self.ensure_ours()?;
        ensure_regular(&self.path.join("lock"))?;
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

    /// Makes the directories inside, and looks at the private files; call it once the store is locked.
    pub fn furnish(&self) -> Result<(), Complaint> {
        self.ensure_private()?;
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

    /// Whether the files with keys in them are ours alone, those that are there. The engine asks the same of its own.
    pub fn ensure_private(&self) -> Result<(), Complaint> {
        let tls = self.path.join("tls");
        if fs::symlink_metadata(&tls).is_ok_and(|found| !found.is_dir()) {
            return Err(Complaint::new(format!("{} is not a directory", tls.display()))
                .because("a link to one does not count, because it may point elsewhere tomorrow")
                .next(format!("mv {} {}", quoted(&tls), quoted(&beside(&tls, "before")))));
        }
        ensure_regular(&tls.join("ca.pem"))?;
        let others = [self.keyring(), beside(&self.keyring(), "previous"), tls.join("ca.key")];
        for path in self.key_files().into_iter().chain(others) {
            ensure_regular(&path)?;
            match File::open(&path) {
                Ok(file) => ensure_private_file(&file, &path, OTHERS)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    return Err(Complaint::new(format!("{} cannot be opened", path.display()))
                        .because(error)
                        .next(format!("ls -l {}", quoted(&path))));
                }
            }
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

    /// The files with keys of administrators that are there, also those that have not got their final name yet. What somebody moved out of
    /// the way is his.
    fn key_files(&self) -> Vec<PathBuf> {
        // Where there is no directory yet there are no files.
        let Ok(entries) = fs::read_dir(self.bootstrap()) else { return Vec::new() };
        let is_key = |name: &str| {
            let name = name.strip_suffix(".new").unwrap_or(name);
            let account = name.strip_prefix("credentials-").map(str::parse::<AccountId>);
            name == "credentials" || account.is_some_and(|account| account.is_ok())
        };
        let entries = entries.filter_map(Result::ok);
        entries
            .filter(|entry| entry.file_name().to_str().is_some_and(is_key))
            .map(|entry| entry.path())
            .collect()
    }

    /// The same of an account that was made later.
    pub fn credentials_of(&self, account: AccountId) -> PathBuf {
        self.bootstrap().join(format!("credentials-{account}"))
    }

    pub fn control_socket(&self) -> PathBuf {
        self.path.join("control.sock")
    }
}

/// The path without a slash or a dot at its end. With one, the system follows a link before anybody can ask whether it is one.
fn plain(path: &Path) -> PathBuf {
    path.components().collect()
}

/// Refuses what is there and is no file, before it is opened: a pipe waits for somebody at its other end.
fn ensure_regular(path: &Path) -> Result<(), Complaint> {
    if fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(Complaint::new(format!("{} is not a regular file", path.display()))
            .because("Coffer makes nothing else here; find out who did")
            .next(format!("mv {} {}", quoted(path), quoted(&beside(path, "before")))));
    }
    Ok(())
}

/// Refuses an open file that is ours alone to read, such as one with a key in it, if somebody else may read or change it. `forbidden` are the bits of mode to refuse.
pub(crate) fn ensure_private_file(file: &File, path: &Path, forbidden: u32) -> Result<(), Complaint> {
    let shown = path.display();
    let found = owner_and_mode(file)
        .map_err(|error| Complaint::new(format!("{shown} cannot be looked at")).because(error))?;
    let us = effective_uid();
    if found.uid != us && found.uid != 0 {
        return Err(Complaint::new(format!("{shown} belongs to somebody else"))
            .because(format!("its owner is user {}, and this is user {us}; find out why", found.uid))
            .next(format!("chown {us} {}", quoted(path))));
    }
    if found.mode & forbidden != 0 {
        return Err(Complaint::new(format!("{shown} is open to others"))
            .because(format!("its mode is {:04o}; find out who may have read it", found.mode))
            .next(format!("chmod 600 {}", quoted(path))));
    }
    Ok(())
}

/// Reads a small file that is ours alone. systemd gives access to a credential in a way that shows as group permission.
pub(crate) fn read_private(
    path: &Path,
    is_credential: bool,
    what: &str,
) -> Result<Secret<String>, Complaint> {
    let unread = |error: io::Error| {
        Complaint::new(format!("{what} cannot be read"))
            .because(format!("{}: {error}", path.display()))
            .next(format!("ls -l {}", quoted(path)))
    };
    ensure_regular(path)?;
    let file = File::open(path).map_err(unread)?;
    ensure_private_file(&file, path, if is_credential { 0o007 } else { OTHERS })?;
    read_small(path).map_err(unread)
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
    fn a_link_is_a_link_however_its_name_ends() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("store");
        DataDir::prepare(&path).unwrap();
        symlink(&path, place.path().join("link")).unwrap();
        for name in ["link/", "link//", "link/.", "link/./"] {
            for open in [DataDir::existing, DataDir::prepare] {
                let refusal = open(&place.path().join(name)).unwrap_err().to_string();
                assert!(refusal.contains("not a directory"), "{name}: {refusal}");
            }
        }
        assert_eq!(DataDir::existing(&place.path().join("store/")).unwrap().path(), path);
    }

    #[test]
    fn what_is_no_file_is_refused_and_not_waited_for() {
        let place = tempfile::tempdir().unwrap();
        let directory = DataDir::prepare(&place.path().join("store")).unwrap();
        directory.furnish().unwrap();
        make(&directory.path().join("tls")).unwrap();
        for name in
            ["keyring", "keyring.previous", "bootstrap/credentials", "tls/ca.key", "tls/ca.pem", "lock"]
        {
            let path = directory.path().join(name);
            assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
            let refusal = directory.ensure_free().and_then(|()| directory.furnish()).unwrap_err();
            assert!(refusal.what().contains("is not a regular file"), "{name}: {refusal}");
            forget(&path).unwrap();
        }
        let tls = directory.path().join("tls");
        rename(&tls, &place.path().join("elsewhere")).unwrap();
        symlink(place.path().join("elsewhere"), &tls).unwrap();
        let refusal = directory.furnish().unwrap_err();
        assert!(refusal.what().contains("tls is not a directory"), "{refusal}");
    }

    #[test]
    fn a_file_with_a_key_that_others_may_read_is_refused_with_the_command_that_closes_it() {
        let place = tempfile::tempdir().unwrap();
        let directory = DataDir::prepare(&place.path().join("the store")).unwrap();
        directory.furnish().unwrap();
        make(&directory.path().join("tls")).unwrap();
        for name in [
            "keyring",
            "keyring.previous",
            "bootstrap/credentials",
            "bootstrap/credentials.new",
            "bootstrap/credentials-111122223333",
            "bootstrap/credentials-111122223333.new",
            "tls/ca.key",
        ] {
            let path = directory.path().join(name);
            write_new(&path, b"x").unwrap();
            directory.ensure_private().unwrap();
            for wide in [0o640, 0o604, 0o622] {
                fs::set_permissions(&path, fs::Permissions::from_mode(wide)).unwrap();
                let refusal = directory.furnish().unwrap_err();
                assert!(refusal.what().contains("open to others"), "{name}: {refusal}");
                assert_eq!(refusal.next_step().unwrap(), format!("chmod 600 '{}'", path.display()));
                assert_eq!(mode(&path), wide, "the mode is not repaired");
            }
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
}
