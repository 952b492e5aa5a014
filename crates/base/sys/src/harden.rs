//! What the process gives up before it reads its first secret.
//!
//! Each line closes one way in which a secret leaves a process by accident: files others can read, core dumps,
//! debuggers of the same user, programs that gain rights when we start them. The lines are tried in order, all of them,
//! and each reports what the kernel answered. Whether a refusal stops the start is the server's decision; for
//! production it should, which [`HardeningLine::required`] says.
//!
//! One line is about an ending and not about a secret: a write beyond the limit of file sizes (`ulimit -f`, `LimitFSIZE=`) is an
//! error like that of a full disk, which the server answers and survives, and not a signal that kills it in mid-write.
//!
//! Not here yet: changing the user, closing inherited descriptors, Landlock and seccomp.

use std::{fmt, io};

/// One thing given up, and whether the kernel agreed.
#[derive(Debug)]
pub struct HardeningLine {
    /// As `coffer doctor` prints it.
    pub line: &'static str,
    /// A production server does not start when this line failed.
    pub required: bool,
    pub outcome: Outcome,
}

#[derive(Debug)]
pub enum Outcome {
    Done,
    Refused(io::Error),
    /// This system has nothing of the kind.
    Unsupported,
}

impl Outcome {
    pub const fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Refused(error) => write!(f, "refused: {error}"),
            Self::Unsupported => f.write_str("not available on this system"),
        }
    }
}

/// Hardens this process. Call it once, before anything secret is read and before threads start: the last line holds
/// for the calling thread and those that it starts later.
pub fn harden() -> Vec<HardeningLine> {
    let line = |line, outcome| HardeningLine { line, required: true, outcome };
    vec![
        line("umask 077", private_files()),
        line("no core dumps", no_core_dumps()),
        line("not dumpable", not_dumpable()),
        line("no new privileges", no_new_privileges()),
        line("file size limit is an error", no_file_size_signal()),
    ]
}

#[allow(unsafe_code, reason = "umask is not in std")]
fn private_files() -> Outcome {
    // SAFETY: takes a number, cannot fail, touches no memory.
    unsafe { libc::umask(0o077) };
    Outcome::Done
}

#[allow(unsafe_code, reason = "setrlimit is not in std")]
fn no_core_dumps() -> Outcome {
    let nothing = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: reads one `rlimit`, which lives until the call returns.
    answered(unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const nothing) })
}

/// Neither a debugger of the same user nor `/proc/<pid>/mem` may look; the files in `/proc/<pid>` become root's.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[allow(unsafe_code, reason = "prctl is not in std")]
fn not_dumpable() -> Outcome {
    let zero: libc::c_ulong = 0;
    // SAFETY: this option takes plain numbers and touches no memory.
    answered(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, zero, zero, zero, zero) })
}

/// No program that we start, a rotation function least of all, gains rights from a set-user-id bit.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[allow(unsafe_code, reason = "prctl is not in std")]
fn no_new_privileges() -> Outcome {
    let (one, zero): (libc::c_ulong, libc::c_ulong) = (1, 0);
    // SAFETY: this option takes plain numbers and touches no memory.
    answered(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, one, zero, zero, zero) })
}

#[allow(unsafe_code, reason = "signal is not in std")]
fn no_file_size_signal() -> Outcome {
    // SAFETY: ignoring a signal installs no code of ours; the call takes two numbers.
    if unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) } == libc::SIG_ERR {
        return Outcome::Refused(io::Error::last_os_error());
    }
    Outcome::Done
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn not_dumpable() -> Outcome {
    Outcome::Unsupported
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn no_new_privileges() -> Outcome {
    Outcome::Unsupported
}

fn answered(status: libc::c_int) -> Outcome {
    if status == 0 { Outcome::Done } else { Outcome::Refused(io::Error::last_os_error()) }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    // One test, because these settings belong to the whole process and some of them cannot be taken back.
    #[test]
    fn a_hardened_process_has_given_up_what_it_says() {
        let report = harden();
        assert_eq!(report.len(), 5);
        for line in &report {
            assert!(line.outcome.is_done() && line.required, "{}: {}", line.line, line.outcome);
        }

        // The kernel keeps "no new privileges" for each thread, and a test runs in one of its own.
        let status = fs::read_to_string("/proc/thread-self/status").unwrap();
        assert!(status.contains("NoNewPrivs:\t1"), "{status}");
        assert!(status.contains("Umask:\t0077"), "{status}");
        let limits = fs::read_to_string("/proc/self/limits").unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(core.split_whitespace().filter(|word| *word == "0").count(), 2, "{core}");

        let place = tempfile::tempdir().unwrap();
        let file = fs::File::create(place.path().join("file")).unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);

        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:\t")).unwrap();
        let ignored = u64::from_str_radix(ignored, 16).unwrap();
        assert_eq!(ignored >> (libc::SIGXFSZ - 1) & 1, 1, "{status}");
    }

    #[test]
    #[allow(unsafe_code, reason = "asks the kernel what prctl remembers")]
    fn the_kernel_remembers_that_we_are_not_dumpable() {
        assert!(not_dumpable().is_done());
        // SAFETY: this option takes nothing and touches no memory.
        assert_eq!(unsafe { libc::prctl(libc::PR_GET_DUMPABLE) }, 0);
    }
}
