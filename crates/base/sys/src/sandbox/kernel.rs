//! Processes, namespaces, mounts and limits.

use std::{
    ffi::CString,
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket},
    os::{
        fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
        unix::{ffi::OsStrExt, net::UnixStream},
    },
    path::Path,
    ptr,
    time::Duration,
};

fn answered(status: libc::c_int) -> io::Result<()> {
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn text(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)
}

/// What a process sees of its own instead of the machine's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Namespaces {
    /// A user of one's own, without which only root may have the others.
    pub user: bool,
    pub network: bool,
}

/// Leaves the mounts, processes, names and messages of the machine, and what else `namespaces` says. The process itself stays among the
/// processes that it was among; its children do not.
#[allow(unsafe_code, reason = "unshare is not in std")]
pub fn unshare(namespaces: Namespaces) -> io::Result<()> {
    let mut flags = libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
    if namespaces.user {
        flags |= libc::CLONE_NEWUSER;
    }
    if namespaces.network {
        flags |= libc::CLONE_NEWNET;
    }
    // SAFETY: takes a number; descriptors and memory stay as they are.
    answered(unsafe { libc::unshare(flags) })
}

/// In a new user namespace, whose only user is the one that we are outside.
pub fn map_user(inside: u32, outside: (u32, u32)) -> io::Result<()> {
    fs_write("/proc/self/setgroups", "deny")?;
    fs_write("/proc/self/uid_map", &format!("{inside} {} 1", outside.0))?;
    fs_write("/proc/self/gid_map", &format!("{inside} {} 1", outside.1))
}

fn fs_write(path: &str, text: &str) -> io::Result<()> {
    io::Write::write_all(&mut fs::OpenOptions::new().write(true).open(path)?, text.as_bytes())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fork {
    Child,
    Parent(i32),
}

/// Makes a copy of this process. Refused if it has more than one thread: the others would be missing in the copy, with their locks held.
#[allow(unsafe_code, reason = "fork is not in std")]
pub fn fork() -> io::Result<Fork> {
    if fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::other("a process with threads cannot be copied"));
    }
    // SAFETY: there is one thread, so the copy is whole.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Fork::Child),
        child => Ok(Fork::Parent(child)),
    }
}

/// This process is killed when the one that made it is gone. `parent` is who made it, in case that it is gone already.
#[allow(unsafe_code, reason = "prctl is not in std")]
pub fn die_with_parent(parent: Option<u32>) -> io::Result<()> {
    // SAFETY: this option takes a number.
    answered(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) })?;
    match parent {
        Some(parent) if std::os::unix::process::parent_id() != parent => {
            Err(io::Error::other("the parent is gone"))
        }
        _ => Ok(()),
    }
}

/// Processes whose parents have ended become children of this one.
#[allow(unsafe_code, reason = "prctl is not in std")]
pub fn adopt_orphans() -> io::Result<()> {
    let one: libc::c_ulong = 1;
    // SAFETY: this option takes a number.
    answered(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, one) })
}

/// Nobody of the same user looks into this process. Ends with the next exec.
#[allow(unsafe_code, reason = "prctl is not in std")]
pub fn undumpable() -> io::Result<()> {
    let zero: libc::c_ulong = 0;
    // SAFETY: this option takes a number.
    answered(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, zero) })
}

/// No program gains rights any more that this process has not.
#[allow(unsafe_code, reason = "prctl is not in std")]
pub fn give_up_privileges() -> io::Result<()> {
    let (one, zero): (libc::c_ulong, libc::c_ulong) = (1, 0);
    // SAFETY: this option takes numbers.
    answered(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, one, zero, zero, zero) })
}

/// Even what root may do is not to be had again: the set from which programs take rights becomes empty.
#[allow(unsafe_code, reason = "prctl is not in std")]
pub fn lock_down() -> io::Result<()> {
    // The kernel refuses the first number that it does not know.
    for capability in 0..64_u64 {
        // SAFETY: this option takes a number.
        if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) } != 0 {
            return match io::Error::last_os_error() {
                error if error.raw_os_error() == Some(libc::EINVAL) && capability > 0 => Ok(()),
                error => Err(error),
            };
        }
    }
    Ok(())
}

/// Stops being root: user, group and all other groups, for good.
#[allow(unsafe_code, reason = "changing the user is not in std")]
pub fn become_user(user: u32, group: u32) -> io::Result<()> {
    // SAFETY: an empty list of groups.
    answered(unsafe { libc::setgroups(0, ptr::null()) })?;
    // SAFETY: takes numbers.
    answered(unsafe { libc::setresgid(group, group, group) })?;
    // SAFETY: takes numbers.
    answered(unsafe { libc::setresuid(user, user, user) })
}

/// A session and a process group of its own, without a terminal.
#[allow(unsafe_code, reason = "setsid is not in std")]
pub fn new_session() -> io::Result<()> {
    // SAFETY: takes nothing.
    if unsafe { libc::setsid() } == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// What this process makes from now on can be read by everybody who can reach it.
#[allow(unsafe_code, reason = "umask is not in std")]
pub fn public_files() {
    // SAFETY: takes a number, cannot fail, touches no memory.
    unsafe { libc::umask(0o022) };
}

/// Others go first when processors are few. Whoever steps back needs no permission, so this does not fail.
#[allow(unsafe_code, reason = "nice is not in std")]
pub fn lower_priority(by: u8) {
    // SAFETY: takes a number, touches no memory.
    unsafe { libc::nice(by.into()) };
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Memory that the process may write to, its own and that of no file.
    DataBytes,
    Processes,
    OpenFiles,
    FileBytes,
    CoreBytes,
}

/// Sets a limit that this process and its children cannot raise again.
#[allow(unsafe_code, reason = "setrlimit is not in std")]
pub fn set_limit(limit: Limit, most: u64) -> io::Result<()> {
    let which = match limit {
        Limit::DataBytes => libc::RLIMIT_DATA,
        Limit::Processes => libc::RLIMIT_NPROC,
        Limit::OpenFiles => libc::RLIMIT_NOFILE,
        Limit::FileBytes => libc::RLIMIT_FSIZE,
        Limit::CoreBytes => libc::RLIMIT_CORE,
    };
    let mut now = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: writes one `rlimit`.
    answered(unsafe { libc::getrlimit(which, &raw mut now) })?;
    // A limit that is lower already stays: only root may raise it.
    let most = most.min(now.rlim_max);
    let new = libc::rlimit { rlim_cur: most, rlim_max: most };
    // SAFETY: reads one `rlimit`.
    answered(unsafe { libc::setrlimit(which, &raw const new) })
}

/// What happens in our mounts stays with us.
pub fn private_mounts() -> io::Result<()> {
    raw_mount(None, Path::new("/"), None, libc::MS_REC | libc::MS_PRIVATE, None)
}

/// A file system that comes from nowhere.
#[derive(Debug, Clone, Copy)]
pub struct Mount<'a> {
    /// `tmpfs` or `proc`.
    pub kind: &'a str,
    pub options: &'a str,
    pub executable: bool,
}

pub fn mount(mount: Mount<'_>, at: &Path) -> io::Result<()> {
    let mut flags = libc::MS_NOSUID | libc::MS_NODEV;
    if !mount.executable {
        flags |= libc::MS_NOEXEC;
    }
    raw_mount(Some(Path::new(mount.kind)), at, Some(mount.kind), flags, Some(mount.options))
}

/// Shows what is at `from` at `at` too, with all that is mounted below it, and read-only if wanted.
#[allow(unsafe_code, reason = "mount_setattr is not in std")]
pub fn bind(from: &Path, at: &Path, read_only: bool, devices: bool) -> io::Result<()> {
    raw_mount(Some(from), at, None, libc::MS_BIND | libc::MS_REC, None)?;
    let mut set = libc::MOUNT_ATTR_NOSUID;
    if !devices {
        set |= libc::MOUNT_ATTR_NODEV;
    }
    if read_only {
        set |= libc::MOUNT_ATTR_RDONLY;
    }
    change_mount(at, set, true)
}

#[allow(unsafe_code, reason = "mount_setattr is not in std")]
fn change_mount(at: &Path, set: u64, all_below: bool) -> io::Result<()> {
    let attributes = libc::mount_attr { attr_set: set, attr_clr: 0, propagation: 0, userns_fd: 0 };
    let at = text(at)?;
    let flags = if all_below { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path and the attributes live until the call returns, and the size is that of the attributes.
    let status = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            at.as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[allow(unsafe_code, reason = "mount is not in std")]
fn raw_mount(
    from: Option<&Path>,
    at: &Path,
    kind: Option<&str>,
    flags: libc::c_ulong,
    options: Option<&str>,
) -> io::Result<()> {
    let from = from.map(text).transpose()?;
    let at = text(at)?;
    let kind = kind.map(CString::new).transpose().map_err(io::Error::other)?;
    let options = options.map(CString::new).transpose().map_err(io::Error::other)?;
    let or_null = |text: &Option<CString>| text.as_ref().map_or(ptr::null(), |text| text.as_ptr());
    // SAFETY: every pointer is null or to a string that lives until the call returns.
    answered(unsafe {
        libc::mount(or_null(&from), at.as_ptr(), or_null(&kind), flags, or_null(&options).cast())
    })
}

/// Makes `root` the root of everything, read-only, and forgets the old one.
#[allow(unsafe_code, reason = "pivot_root is not in std")]
pub fn pivot(root: &Path) -> io::Result<()> {
    std::env::set_current_dir(root)?;
    let here = c".";
    // SAFETY: two strings that live for ever.
    let status = unsafe { libc::syscall(libc::SYS_pivot_root, here.as_ptr(), here.as_ptr()) };
    if status != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a string that lives for ever. The old root lies over the new one, and this takes it away.
    answered(unsafe { libc::umount2(here.as_ptr(), libc::MNT_DETACH) })?;
    std::env::set_current_dir("/")?;
    change_mount(Path::new("/"), libc::MOUNT_ATTR_RDONLY, false)
}

#[allow(unsafe_code, reason = "sethostname is not in std")]
pub fn name_host(name: &str) -> io::Result<()> {
    // SAFETY: the length is that of the name.
    answered(unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) })
}

/// Switches on the loopback interface of a new network.
#[allow(unsafe_code, reason = "requests to interfaces are not in std")]
pub fn raise_loopback() -> io::Result<()> {
    let mut request = interface_request("lo");
    request.ifr_ifru.ifru_flags =
        libc::c_short::try_from(libc::IFF_UP | libc::IFF_RUNNING).map_err(io::Error::other)?;
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    // SAFETY: the request lives until the call returns, and is what this number asks for.
    answered(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw mut request) })
}

/// Gives the loopback interface of a new network one more address, and nothing beside it. `number` has to be another for each.
pub fn add_address(address: IpAddr, number: usize) -> io::Result<()> {
    match address {
        IpAddr::V4(address) => add_four(address, &format!("lo:{number}")),
        IpAddr::V6(address) => add_six(address),
    }
}

#[allow(unsafe_code, reason = "requests to interfaces are not in std")]
fn add_four(address: Ipv4Addr, alias: &str) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    // The kernel takes a whole network of the old classes with the address; the mask takes all but the address away again.
    for (what, address) in [(libc::SIOCSIFADDR, address), (libc::SIOCSIFNETMASK, Ipv4Addr::BROADCAST)] {
        let mut request = interface_request(alias);
        let place = (&raw mut request.ifr_ifru).cast::<libc::sockaddr_in>();
        let family = libc::sa_family_t::try_from(libc::AF_INET).map_err(io::Error::other)?;
        let bytes = libc::in_addr { s_addr: u32::from_ne_bytes(address.octets()) };
        let address =
            libc::sockaddr_in { sin_family: family, sin_port: 0, sin_addr: bytes, sin_zero: [0; 8] };
        // SAFETY: the request has room for an address of any family that fits into a `sockaddr`, which this one does.
        unsafe { place.write_unaligned(address) };
        // SAFETY: the request lives until the call returns, and is what these numbers ask for.
        answered(unsafe { libc::ioctl(socket.as_raw_fd(), what as _, &raw mut request) })?;
    }
    Ok(())
}

#[allow(unsafe_code, reason = "requests to interfaces are not in std")]
fn add_six(address: Ipv6Addr) -> io::Result<()> {
    // The kernel's `in6_ifreq`.
    #[repr(C)]
    struct Request {
        address: [u8; 16],
        prefix: u32,
        interface: libc::c_int,
    }
    // SAFETY: a string that lives for ever.
    let interface = unsafe { libc::if_nametoindex(c"lo".as_ptr()) };
    let interface = libc::c_int::try_from(interface).map_err(io::Error::other)?;
    let request = Request { address: address.octets(), prefix: 128, interface };
    let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?;
    // SAFETY: the request lives until the call returns, which only reads it, and is what this number asks for.
    answered(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFADDR as _, &raw const request) })
}

#[allow(unsafe_code, reason = "requests to interfaces are not in std")]
fn interface_request(name: &str) -> libc::ifreq {
    // SAFETY: all zeroes is an empty request.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // The last byte stays the zero that ends the name.
    let places = request.ifr_name.iter_mut().take(libc::IFNAMSIZ - 1);
    for (place, byte) in places.zip(name.bytes()) {
        *place = byte.cast_signed();
    }
    request
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Exited(i32),
    Killed(i32),
}

impl Ended {
    fn of(status: libc::c_int) -> Self {
        if libc::WIFSIGNALED(status) {
            Self::Killed(libc::WTERMSIG(status))
        } else {
            Self::Exited(libc::WEXITSTATUS(status))
        }
    }
}

/// Takes the next child that has ended, without waiting for one. An error if there are no children.
pub fn reap() -> io::Result<Option<(i32, Ended)>> {
    wait(libc::WNOHANG)
}

/// Waits until some child has ended.
pub fn wait_any() -> io::Result<(i32, Ended)> {
    wait(0)?.ok_or_else(|| io::ErrorKind::Interrupted.into())
}

#[allow(unsafe_code, reason = "waiting for any child is not in std")]
fn wait(options: libc::c_int) -> io::Result<Option<(i32, Ended)>> {
    let mut status = 0;
    // SAFETY: writes one number.
    match unsafe { libc::waitpid(-1, &raw mut status, options) } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(None),
        child => Ok(Some((child, Ended::of(status)))),
    }
}

/// Kills a process, or with -1 every one that there is to be seen, the caller excepted.
#[allow(unsafe_code, reason = "kill is not in std")]
pub fn kill(process: i32) -> io::Result<()> {
    // SAFETY: takes numbers.
    answered(unsafe { libc::kill(process, libc::SIGKILL) })
}

/// Waits until one of the `children` has ended, or there is something to read from `socket`, which its end is too. Also returns after
/// `at_most`.
#[allow(unsafe_code, reason = "poll and pidfd are not in std")]
pub fn watch(children: &[i32], socket: &UnixStream, at_most: Duration) -> io::Result<Watched> {
    use std::os::fd::AsFd;

    let mut opened = Vec::with_capacity(children.len());
    for child in children {
        // SAFETY: takes numbers.
        let number = unsafe { libc::syscall(libc::SYS_pidfd_open, *child, 0) };
        let number = i32::try_from(number).map_err(io::Error::other)?;
        if number < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just opened it for us.
        opened.push(unsafe { OwnedFd::from_raw_fd(number) });
    }
    let asked = |descriptor: BorrowedFd<'_>| libc::pollfd {
        fd: descriptor.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    let mut all = vec![asked(socket.as_fd())];
    all.extend(opened.iter().map(|child| asked(child.as_fd())));
    let count = libc::nfds_t::try_from(all.len()).map_err(io::Error::other)?;
    let milliseconds = i32::try_from(at_most.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the vector lives until the call returns and has so many elements.
    let ready = unsafe { libc::poll(all.as_mut_ptr(), count, milliseconds) };
    if ready < 0 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
        return Ok(Watched { child_ended: false, socket_speaks: false });
    }
    let mut spoken = all.iter().map(|one| one.revents != 0);
    let socket_speaks = spoken.next().unwrap_or_default();
    Ok(Watched { child_ended: spoken.any(|ended| ended), socket_speaks })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watched {
    pub child_ended: bool,
    pub socket_speaks: bool,
}
