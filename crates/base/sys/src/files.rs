//! Questions about files: who owns them, who holds them, how much room is left.
//!
//! The lock is the kernel's, not a file with a process id in it: it goes away with the process, however that ends.

use std::{
    fs::{File, TryLockError},
    io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::Path,
};

/// Who owns an open file and what its mode allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnerAndMode {
    pub uid: u32,
    /// The nine permission bits with set-user-id, set-group-id and sticky: `0o600` and the like.
    pub mode: u32,
    pub is_regular_file: bool,
}

impl OwnerAndMode {
    /// Whether the mode gives nothing to the group and to others.
    pub const fn is_private(self) -> bool {
        self.mode & 0o077 == 0
    }
}

/// Asks about the file that is open, not about a name, which might mean another file by now.
pub fn owner_and_mode(file: &File) -> io::Result<OwnerAndMode> {
    let metadata = file.metadata()?;
    Ok(OwnerAndMode {
        uid: metadata.uid(),
        mode: metadata.mode() & 0o7777,
        is_regular_file: metadata.file_type().is_file(),
    })
}

/// Takes the file for this process alone; `false` if another holds it. The lock lasts until the file is closed.
pub fn lock_exclusive(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Bytes that an unprivileged process can still write to the file system that holds `path`.
pub fn free_space_bytes(path: &Path) -> io::Result<u64> {
    let answer = file_system(path)?;
    #[allow(clippy::useless_conversion, reason = "the widths of these fields differ between systems")]
    let (blocks, size) = (u64::from(answer.f_bavail), u64::from(answer.f_frsize));
    Ok(blocks.saturating_mul(size))
}

/// Whether the file system that holds `path` is mounted read-only.
pub fn is_read_only(path: &Path) -> io::Result<bool> {
    Ok(file_system(path)?.f_flag & libc::ST_RDONLY != 0)
}

#[allow(unsafe_code, reason = "statvfs is not in std")]
fn file_system(path: &Path) -> io::Result<libc::statvfs> {
    let path = std::ffi::CString::new(path.as_os_str().as_bytes())?;
    let mut answer = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the path ends with a zero byte, and the kernel writes one `statvfs` behind the second pointer.
    let status = unsafe { libc::statvfs(path.as_ptr(), answer.as_mut_ptr()) };
    if status != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so the structure is filled.
    Ok(unsafe { answer.assume_init() })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::effective_uid;

    #[test]
    fn a_lock_excludes_everybody_else_until_it_is_closed() {
        let place = tempfile::tempdir().unwrap();
        let open = || File::create(place.path().join("lock")).unwrap();
        let first = open();
        assert!(lock_exclusive(&first).unwrap());
        assert!(!lock_exclusive(&open()).unwrap());
        drop(first);
        assert!(lock_exclusive(&open()).unwrap());
    }

    #[test]
    fn owner_and_mode_are_those_of_the_open_file() {
        let file = tempfile::tempfile().unwrap();
        for (mode, private) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
            file.set_permissions(std::fs::Permissions::from_mode(mode)).unwrap();
            let answer = owner_and_mode(&file).unwrap();
            assert_eq!((answer.uid, answer.mode), (effective_uid(), mode));
            assert_eq!(answer.is_private(), private, "{mode:o}");
            assert!(answer.is_regular_file);
        }
    }

    #[test]
    fn free_space_is_asked_of_a_place_that_exists() {
        let place = tempfile::tempdir().unwrap();
        assert!(free_space_bytes(place.path()).unwrap() > 0);
        assert!(free_space_bytes(&place.path().join("missing")).is_err());
    }

    #[test]
    fn what_can_be_written_to_is_not_read_only() {
        let place = tempfile::tempdir().unwrap();
        assert!(!is_read_only(place.path()).unwrap());
        assert!(is_read_only(&place.path().join("missing")).is_err());
    }

    // Every Linux shows this directory, and some mount it read-only; the kernel's own list of mounts is the judge.
    #[test]
    #[cfg(target_os = "linux")]
    fn the_kernel_lists_the_same_mounts_as_read_only() {
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        let mut compared = 0;
        // A later mount hides an earlier one at the same place.
        let mut last = std::collections::BTreeMap::new();
        for line in mounts.lines() {
            let fields: Vec<_> = line.split(' ').collect();
            last.insert(fields[1], fields[3].split(',').any(|option| option == "ro"));
        }
        for (place, read_only) in last {
            if let Ok(answer) = is_read_only(Path::new(place)) {
                assert_eq!(answer, read_only, "{place}");
                compared += 1;
            }
        }
        assert!(compared > 0);
    }
}
