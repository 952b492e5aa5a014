//! Landlock: of all files, a process keeps those that it names.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::fs::OpenOptionsExt,
    },
    path::Path,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read, list and execute.
    Read,
    All,
}

const CREATE_RULESET: libc::c_long = 444;
const ADD_RULE: libc::c_long = 445;
const RESTRICT_SELF: libc::c_long = 446;
const VERSION: u32 = 1;
const PATH_BENEATH: u32 = 1;

const EXECUTE: u64 = 1;
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
const TRUNCATE: u64 = 1 << 14;
const COMMAND: u64 = 1 << 15;

#[repr(C)]
struct Ruleset {
    files: u64,
    network: u64,
    scoped: u64,
}

#[repr(C, packed)]
struct Beneath {
    allowed: u64,
    parent: libc::c_int,
}

/// Which version of Landlock the kernel has, if any.
#[allow(unsafe_code, reason = "Landlock is not in libc")]
pub fn landlock_version() -> Option<u32> {
    let nothing: *const Ruleset = std::ptr::null();
    // SAFETY: with this flag the kernel reads nothing.
    let version = unsafe { libc::syscall(CREATE_RULESET, nothing, 0_usize, VERSION) };
    u32::try_from(version).ok().filter(|version| *version > 0)
}

/// From now on this process and its children reach these files only, and signal nobody and connect to no abstract socket outside.
/// Paths that are not there are left out. Needs `give_up_privileges` before.
#[allow(unsafe_code, reason = "Landlock is not in libc")]
pub fn restrict_files(paths: &[(&Path, Access)]) -> io::Result<()> {
    let version = landlock_version().ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))?;
    let handled = match version {
        1 => 0x1fff,
        2 => 0x3fff,
        3 | 4 => 0x7fff,
        _ => 0xffff,
    };
    let scoped = if version >= 6 { 3 } else { 0 };
    let ruleset = Ruleset { files: handled, network: 0, scoped };
    // Older kernels know a shorter one.
    let size = match version {
        1..=3 => 8_usize,
        4 | 5 => 16,
        _ => 24,
    };
    // SAFETY: reads as many bytes as it is told, all of them within the ruleset.
    let number = unsafe { libc::syscall(CREATE_RULESET, &raw const ruleset, size, 0_u32) };
    let number = i32::try_from(number).map_err(io::Error::other)?;
    if number < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just opened it for us.
    let rules = unsafe { OwnedFd::from_raw_fd(number) };
    for (path, access) in paths {
        let opened = File::options().read(true).custom_flags(libc::O_PATH | libc::O_CLOEXEC).open(path);
        let opened = match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other?,
        };
        let mut allowed = match access {
            Access::Read => EXECUTE | READ_FILE | READ_DIR,
            Access::All => handled,
        };
        // Rights that only directories have are refused for files.
        if !opened.metadata()?.is_dir() {
            allowed &= EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | COMMAND;
        }
        let rule = Beneath { allowed: allowed & handled, parent: opened.as_raw_fd() };
        // SAFETY: the rule lives until the call returns, and both descriptors are open.
        let status =
            unsafe { libc::syscall(ADD_RULE, rules.as_raw_fd(), PATH_BENEATH, &raw const rule, 0_u32) };
        if status != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    // SAFETY: takes numbers.
    let status = unsafe { libc::syscall(RESTRICT_SELF, rules.as_raw_fd(), 0_u32) };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
