//! Who is at the other end of a local socket, and who we are.

use std::{io, os::unix::net::UnixStream};

/// The user that opened the other end. The kernel remembers it from the moment of `connect`, so the peer cannot lie.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[allow(unsafe_code, reason = "peer credentials are not stable in std")]
pub fn peer_uid(stream: &UnixStream) -> io::Result<u32> {
    use std::os::fd::AsRawFd;

    let mut credentials = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut len = libc::socklen_t::try_from(size_of::<libc::ucred>()).map_err(io::Error::other)?;
    // SAFETY: the descriptor is open for as long as `stream` is borrowed, and `len` is the size of what it points to.
    let status = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut credentials).cast(),
            &raw mut len,
        )
    };
    if status == 0 { Ok(credentials.uid) } else { Err(io::Error::last_os_error()) }
}

/// The user that opened the other end.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
#[allow(unsafe_code, reason = "peer credentials are not stable in std")]
pub fn peer_uid(stream: &UnixStream) -> io::Result<u32> {
    use std::os::fd::AsRawFd;

    let (mut uid, mut gid) = (u32::MAX, u32::MAX);
    // SAFETY: the descriptor is open for as long as `stream` is borrowed; both pointers are to live integers.
    let status = unsafe { libc::getpeereid(stream.as_raw_fd(), &raw mut uid, &raw mut gid) };
    if status == 0 { Ok(uid) } else { Err(io::Error::last_os_error()) }
}

/// The user whose rights this process has.
#[allow(unsafe_code, reason = "the user id is not in std")]
pub fn effective_uid() -> u32 {
    // SAFETY: takes nothing, cannot fail, touches no memory.
    unsafe { libc::geteuid() }
}

/// The group whose rights this process has.
#[allow(unsafe_code, reason = "the group id is not in std")]
pub fn effective_gid() -> u32 {
    // SAFETY: takes nothing, cannot fail, touches no memory.
    unsafe { libc::getegid() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peer_of_our_own_socket_is_ourselves() {
        let (one, other) = UnixStream::pair().unwrap();
        assert_eq!(peer_uid(&one).unwrap(), effective_uid());
        assert_eq!(peer_uid(&other).unwrap(), effective_uid());
    }
}
