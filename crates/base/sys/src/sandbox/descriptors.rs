//! Descriptors that go from one process to another.

use std::{
    io,
    mem::MaybeUninit,
    os::{
        fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
        unix::net::UnixStream,
    },
};

/// More than anybody sends at once. The kernel carries at most 253.
const DESCRIPTORS_MAX: usize = 128;
/// Room for the header and the numbers, and aligned like a header.
const CONTROL_WORDS: usize = 4 + DESCRIPTORS_MAX / 2;

/// Sends bytes together with descriptors. The other end has to read them with [`receive`].
#[allow(unsafe_code, reason = "ancillary data is not stable in std")]
pub fn send(socket: &UnixStream, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let numbers: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    if numbers.len() > DESCRIPTORS_MAX || bytes.is_empty() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut control = [0_u64; CONTROL_WORDS];
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: all zeroes is an empty message.
    let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    if !numbers.is_empty() {
        let length = u32::try_from(size_of_val(numbers.as_slice())).map_err(io::Error::other)?;
        message.msg_control = control.as_mut_ptr().cast();
        // SAFETY: arithmetic on a number.
        message.msg_controllen = unsafe { libc::CMSG_SPACE(length) } as _;
        // SAFETY: the control buffer is aligned, larger than a header and lives until the end of this function.
        let header = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
        // SAFETY: arithmetic on a number.
        let header_length = unsafe { libc::CMSG_LEN(length) };
        let filled = libc::cmsghdr {
            cmsg_len: header_length as _,
            cmsg_level: libc::SOL_SOCKET,
            cmsg_type: libc::SCM_RIGHTS,
        };
        // SAFETY: `header` points into the control buffer, which has room for one.
        unsafe { header.write(filled) };
        // SAFETY: as above.
        let data = unsafe { libc::CMSG_DATA(header) };
        // SAFETY: the buffer has room for as many numbers as are allowed, see the two constants; the source is a live vector.
        unsafe { std::ptr::copy_nonoverlapping(numbers.as_ptr().cast::<u8>(), data, length as usize) };
    }
    // SAFETY: the message, its one part and the control buffer live until the call returns.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) };
    match usize::try_from(sent) {
        Err(_) => Err(io::Error::last_os_error()),
        Ok(sent) if sent == bytes.len() => Ok(()),
        Ok(_) => Err(io::ErrorKind::WriteZero.into()),
    }
}

/// Receives bytes and whatever descriptors came with them. No bytes means that the other end is closed.
#[allow(unsafe_code, reason = "ancillary data is not stable in std")]
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut control = [0_u64; CONTROL_WORDS];
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: all zeroes is an empty message.
    let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control) as _;
    let got = loop {
        // SAFETY: the message, its one part and the control buffer live until the call returns.
        let got = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) };
        match usize::try_from(got) {
            Ok(got) => break got,
            Err(_) => match io::Error::last_os_error() {
                // Somebody else's child has ended: sockets with a time limit tell everybody of signals.
                error if error.kind() == io::ErrorKind::Interrupted => {}
                error => return Err(error),
            },
        }
    };
    let mut descriptors = Vec::new();
    // SAFETY: the kernel has filled in the message.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    while !header.is_null() {
        // SAFETY: not null, so it points to a whole header in the control buffer.
        let about = unsafe { header.read() };
        if about.cmsg_level == libc::SOL_SOCKET && about.cmsg_type == libc::SCM_RIGHTS {
            // SAFETY: arithmetic on a number.
            let empty = unsafe { libc::CMSG_LEN(0) } as usize;
            let count = (about.cmsg_len as usize).saturating_sub(empty) / size_of::<RawFd>();
            // SAFETY: as for the header.
            let data = unsafe { libc::CMSG_DATA(header) }.cast::<RawFd>();
            for index in 0..count {
                // SAFETY: the header says that there are this many.
                let place = unsafe { data.add(index) };
                // SAFETY: as above; it need not be aligned.
                let number = unsafe { place.read_unaligned() };
                // SAFETY: the kernel has just opened it for us, and nobody else knows of it.
                descriptors.push(unsafe { OwnedFd::from_raw_fd(number) });
            }
        }
        // SAFETY: `header` is one of this message's.
        header = unsafe { libc::CMSG_NXTHDR(&raw const message, header) };
    }
    Ok((got, descriptors))
}

/// The socket that this process was given as its standard input, under a number of its own.
pub fn pair_from_stdin() -> io::Result<UnixStream> {
    use std::os::fd::AsFd;

    Ok(UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?))
}

/// A pipe: the end to read from, and the end to write to. Neither survives an exec.
#[allow(unsafe_code, reason = "pipe2 with flags is not in std")]
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut numbers: [RawFd; 2] = [-1, -1];
    // SAFETY: writes two numbers into the array.
    if unsafe { libc::pipe2(numbers.as_mut_ptr(), libc::O_CLOEXEC) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let [read, write] = numbers;
    // SAFETY: the kernel has just opened it for us.
    let read = unsafe { OwnedFd::from_raw_fd(read) };
    // SAFETY: as above.
    let write = unsafe { OwnedFd::from_raw_fd(write) };
    Ok((read, write))
}

/// The program that this process becomes has this descriptor too.
#[allow(unsafe_code, reason = "fcntl is not in std")]
pub fn keep_on_exec(descriptor: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the descriptor is open while it is borrowed; the call takes numbers.
    let status = unsafe { libc::fcntl(descriptor.as_raw_fd(), libc::F_SETFD, 0) };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Every descriptor from this number on is closed when the program starts.
#[allow(unsafe_code, reason = "close_range is not in std")]
pub fn close_on_exec_from(first: u32) -> io::Result<()> {
    // SAFETY: takes numbers, and closes nothing that anybody is using now.
    let status = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::{Read, Write},
        os::fd::AsFd,
    };

    use super::*;

    #[test]
    fn a_descriptor_arrives_with_its_bytes() {
        let (one, other) = UnixStream::pair().unwrap();
        let (read, write) = pipe().unwrap();
        send(&one, b"R", &[read.as_fd(), write.as_fd()]).unwrap();
        drop((read, write));

        let mut buffer = [0; 8];
        let (length, mut descriptors) = receive(other.as_fd(), &mut buffer).unwrap();
        assert_eq!((&buffer[..length], descriptors.len()), (&b"R"[..], 2));
        let mut write = File::from(descriptors.pop().unwrap());
        let mut read = File::from(descriptors.pop().unwrap());
        write.write_all(b"through").unwrap();
        drop(write);
        let mut text = String::new();
        read.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");

        drop(one);
        assert_eq!(receive(other.as_fd(), &mut buffer).unwrap().0, 0);
    }
}
