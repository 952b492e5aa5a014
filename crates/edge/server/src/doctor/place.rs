//! The place of a store on the disk: whether it can be written, and whether the store is there.
//!
//! The store file is looked at from outside only. While a server has it open, its process must not open it a second time: closing
//! that second file would take away the locks of the first. So the server asks for its name, size and mode, and only a command
//! that runs beside no server reads the first bytes. What is inside is for `coffer verify`.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::Path,
};

use super::{Finding, Whose};
use crate::{
    complaint::Complaint,
    data_dir::{DataDir, ensure_private_file},
    shell::quoted,
};

/// Every SQLite file begins so.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// Up to the end of the application id.
const FIRST_LEN: usize = 72;
const OWNER_MAY_ALL: u32 = 0o700;

pub(super) fn of_mount(path: &Path) -> Finding {
    mount(path, coffer_sys::is_read_only(path), fs::metadata(path).map(|found| found.mode()))
}

fn mount(path: &Path, is_read_only: io::Result<bool>, mode: io::Result<u32>) -> Finding {
    let place = quoted(path);
    match (is_read_only, mode) {
        (Ok(true), _) => Finding::bad(
            "writable",
            "no: its file system is mounted read-only, as the kernel does after an error of the disk",
            format!(
                "dmesg | tail; then, with a good disk: mount -o remount,rw \"$(findmnt -no TARGET --target {place})\""
            ),
        ),
        (Ok(false), Ok(mode)) if mode & OWNER_MAY_ALL != OWNER_MAY_ALL => Finding::bad(
            "writable",
            format!("no: the mode of the data directory is {:04o}", mode & 0o7777),
            format!("chmod 700 {place}"),
        ),
        (Ok(false), Ok(_)) => Finding::good("writable", "yes"),
        (Err(error), _) | (_, Err(error)) => Finding::bad(
            "writable",
            error.to_string(),
            format!("check the mount of the data directory: findmnt --target {place}"),
        ),
    }
}

pub(super) fn of_store(directory: &DataDir, whose: Whose) -> Finding {
    let path = directory.store();
    let shown = path.display();
    let found = match fs::symlink_metadata(&path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return missing(directory, "is missing"),
        Err(error) => {
            return Finding::bad("store", format!("{shown}: {error}"), format!("ls -l {}", quoted(&path)));
        }
    };
    if !found.is_file() {
        return Finding::bad(
            "store",
            format!("{shown} is not a regular file"),
            format!("ls -l {}; then restore the last good backup into another directory", quoted(&path)),
        );
    }
    if found.len() == 0 {
        return missing(directory, "is empty");
    }
    match whose {
        Whose::Server => Finding::good("store", shown.to_string()),
        Whose::Command => of_resting_store(&path),
    }
}

/// A directory in which nothing was ever kept has no store, and that is no damage.
fn missing(directory: &DataDir, how: &str) -> Finding {
    let path = directory.store();
    let has = |path: &Path| fs::metadata(path).is_ok_and(|found| found.len() > 0);
    let was_used = has(&directory.path().join("lock"))
        || has(&directory.keyring())
        || has(&directory.path().join("store.db-wal"));
    let says = format!("{} {how}", path.display());
    if was_used {
        let next = "put it back from where it went, or restore the last good backup into another directory; \
                    change nothing here, a log that is left beside it holds what was written last";
        Finding::bad("store", says, next)
    } else {
        Finding::warning("store", says, "coffer server")
    }
}

fn has_log(store: &Path) -> bool {
    fs::metadata(store.with_file_name("store.db-wal")).is_ok_and(|found| found.len() > 0)
}

/// Nobody has it open, so its first bytes may be read.
fn of_resting_store(path: &Path) -> Finding {
    let shown = path.display();
    let unreadable = |error: &io::Error| {
        let complaint = Complaint::new(format!("{shown} cannot be read")).because(error);
        Finding::complaint("store", &complaint, "look into dmesg for an error of the disk")
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) => return unreadable(&error),
    };
    if let Err(complaint) = ensure_private_file(&file, path, 0o077) {
        return Finding::complaint("store", &complaint, "look at it with ls -l");
    }
    let mut first = Vec::with_capacity(FIRST_LEN);
    match file.take(FIRST_LEN as u64).read_to_end(&mut first) {
        Err(error) => unreadable(&error),
        // Whose database it is stands in there as soon as there is anything in it.
        Ok(FIRST_LEN) if first.starts_with(MAGIC) && first.ends_with(&[0; 4]) && !has_log(path) => {
            Finding::bad(
                "store",
                format!("{shown} is empty inside: what was written is in store.db-wal, which is missing"),
                "put store.db-wal back from where it went, or restore the last good backup into another directory",
            )
        }
        Ok(_) if first.starts_with(MAGIC) => Finding::good("store", shown.to_string()),
        Ok(_) => Finding::bad(
            "store",
            format!("{shown} is damaged: it does not begin as a store does"),
            "coffer verify; then restore the last good backup into another directory",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::{
        data_dir::{forget, replace},
        doctor::Grade,
    };

    #[test]
    fn a_place_that_cannot_be_written_is_bad_and_says_how_to_go_on() {
        let path = Path::new("/srv/the store");
        let broken = || Err(io::Error::other("gone"));
        for (is_read_only, mode, grade, next) in [
            (Ok(false), Ok(0o040_700), Grade::Good, ""),
            (Ok(true), Ok(0o040_700), Grade::Bad, "findmnt -no TARGET --target '/srv/the store'"),
            (Ok(false), Ok(0o040_500), Grade::Bad, "chmod 700 '/srv/the store'"),
            (broken(), Ok(0o040_700), Grade::Bad, "findmnt --target '/srv/the store'"),
            (Ok(false), Err(io::Error::other("gone")), Grade::Bad, "findmnt --target '/srv/the store'"),
        ] {
            let finding = mount(path, is_read_only, mode);
            assert_eq!(finding.grade, grade, "{finding:?}");
            assert!(finding.next.unwrap_or_default().contains(next));
        }
    }

    #[test]
    fn a_store_that_is_missing_or_broken_is_told_from_one_that_never_was() {
        let place = tempfile::tempdir().unwrap();
        let directory = DataDir::prepare(&place.path().join("data")).unwrap();
        let store = directory.store();
        let look = |whose| {
            let finding = of_store(&directory, whose);
            assert_eq!(finding.grade == Grade::Good, finding.next.is_none(), "{finding:?}");
            (finding.grade, finding.says)
        };
        assert_eq!(look(Whose::Command).0, Grade::Warning, "nothing was ever kept here");
        replace(&directory.keyring(), b"x", 0o600).unwrap();
        assert_eq!(look(Whose::Command).0, Grade::Bad);
        for (bytes, by_command, by_server, part) in [
            (&b""[..], Grade::Bad, Grade::Bad, "is empty"),
            (b"\0\0\0\0", Grade::Bad, Grade::Good, "damaged"),
            (b"SQLite format 4\0 and more", Grade::Bad, Grade::Good, "damaged"),
            (b"SQLite format 3\0 and more", Grade::Good, Grade::Good, "store.db"),
        ] {
            replace(&store, bytes, 0o600).unwrap();
            let (grade, says) = look(Whose::Command);
            assert!(grade == by_command && says.contains(part), "{says}");
            assert_eq!(look(Whose::Server).0, by_server);
        }
        // A young store: all of it is in the log.
        let mut young = MAGIC.to_vec();
        young.resize(4096, 0);
        replace(&store, &young, 0o600).unwrap();
        assert!(look(Whose::Command).1.contains("is empty inside"));
        let log = directory.path().join("store.db-wal");
        replace(&log, b"x", 0o600).unwrap();
        assert_eq!(look(Whose::Command).0, Grade::Good);
        forget(&log).unwrap();
        fs::set_permissions(&store, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(look(Whose::Command).1.contains("open to others"));
        forget(&store).unwrap();
        fs::create_dir(&store).unwrap();
        assert!(look(Whose::Server).1.contains("not a regular file"));
    }
}
