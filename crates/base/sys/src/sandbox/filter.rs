//! The filter of system calls: what a function has no business with is refused.
//!
//! A list of what is denied and not of what is allowed: interpreters, and the libraries that functions bring, use most of the rest, and a call
//! that is missing fails in ways nobody understands. What is denied are the ways to more rights, into other processes, and into parts of
//! the kernel where its bugs have been.

use std::io;

/// Calls that fail as not permitted.
const DENIED: &[libc::c_long] = &[
    // Mounts and namespaces.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // The machine.
    libc::SYS_reboot,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_syslog,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_vhangup,
    // Parts of the kernel that have had many bugs.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_fanotify_init,
    libc::SYS_lookup_dcookie,
    libc::SYS_mbind,
    libc::SYS_set_mempolicy,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
];

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

const NAMESPACE_FLAGS: u32 = 0x7e02_0080;
const LOAD: u16 = 0x20;
const EQUAL: u16 = 0x15;
const AT_LEAST: u16 = 0x35;
const ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;
const ALLOW: u32 = 0x7fff_0000;
const KILL: u32 = 0x8000_0000;
const ERROR: u32 = 0x0005_0000;
const NUMBER_AT: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;
const FIRST_ARGUMENT_AT: u32 = 16;
/// Numbers of the other kind of x86-64 calls begin here.
const OTHER_ABI: u32 = 0x4000_0000;

/// Denies these calls to this process and its children. Needs `give_up_privileges` before.
#[allow(unsafe_code, reason = "seccomp is not in std")]
pub fn deny_calls() -> io::Result<()> {
    let program = program();
    let length = u16::try_from(program.len()).map_err(io::Error::other)?;
    let handed = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut() };
    let mode: libc::c_ulong = 1; // SECCOMP_SET_MODE_FILTER
    // SAFETY: the program lives until the call returns, which only reads it.
    let status = unsafe { libc::syscall(libc::SYS_seccomp, mode, 0_u32, &raw const handed) };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn program() -> Vec<libc::sock_filter> {
    let statement = |code, k| libc::sock_filter { code, jt: 0, jf: 0, k };
    let jump = |code, k, jt, jf| libc::sock_filter { code, jt, jf, k };
    let errno = |number: i32| statement(RETURN, ERROR | number.unsigned_abs());
    let mut program = vec![
        statement(LOAD, ARCHITECTURE_AT),
        jump(EQUAL, ARCHITECTURE, 1, 0),
        statement(RETURN, KILL),
        statement(LOAD, NUMBER_AT),
        jump(AT_LEAST, OTHER_ABI, 0, 1),
        errno(libc::ENOSYS),
        // Its arguments are in memory, where a filter cannot look: libraries then use the older call.
        jump(EQUAL, number(libc::SYS_clone3), 0, 1),
        errno(libc::ENOSYS),
        // Threads and processes, but in no new namespace.
        jump(EQUAL, number(libc::SYS_clone), 0, 4),
        statement(LOAD, FIRST_ARGUMENT_AT),
        jump(ANY_BIT, NAMESPACE_FLAGS, 0, 1),
        errno(libc::EPERM),
        statement(RETURN, ALLOW),
    ];
    for call in DENIED {
        program.push(jump(EQUAL, number(*call), 0, 1));
        program.push(errno(libc::EPERM));
    }
    program.push(statement(RETURN, ALLOW));
    program
}

/// Numbers of calls are small and positive.
fn number(call: libc::c_long) -> u32 {
    u32::try_from(call).unwrap_or(u32::MAX)
}
