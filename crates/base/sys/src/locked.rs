//! Memory for long-lived keys: never swapped, never dumped, never inherited, wiped on drop.
//!
//! The heap is the wrong place for a key that lives as long as the server: its page may be written to swap or to a core
//! file, a forked child gets a copy, and a read past the end of a neighbour shows it. So keys get pages of their own
//! from the kernel, between two pages that nobody may touch: a read that runs over an end stops the process instead
//! of showing a key. The bytes lie at the end of their pages, so that running over the end is noticed at once.
//!
//! Locking pages can be refused (the limit is small in some containers). Then the memory is still there and still wiped,
//! and [`LockedBytes::protection`] says what is missing, so that the operator hears of it instead of the server not
//! starting. Only when the kernel has no memory at all does this end the process, as any allocation does.

use std::{
    alloc::{Layout, handle_alloc_error},
    fmt, io,
    ops::{Deref, DerefMut},
    ptr::NonNull,
    slice,
};

use zeroize::Zeroize;

/// What the kernel granted for a piece of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Protection {
    /// The pages stay in memory and are never written to swap.
    pub locked: bool,
    /// The pages are left out of core dumps.
    pub not_dumped: bool,
    /// A forked child sees zeros.
    pub wiped_on_fork: bool,
    /// The pages before and after cannot be touched.
    pub guarded: bool,
}

impl Protection {
    pub const fn is_full(self) -> bool {
        self.locked && self.not_dumped && self.wiped_on_fork && self.guarded
    }
}

/// A fixed number of bytes in pages of their own, zero at first and wiped on drop.
pub struct LockedBytes {
    /// The whole mapping, guard pages included.
    mapping: NonNull<u8>,
    mapping_len: usize,
    /// The bytes themselves: `len` of them, at the end of the last page that may be touched.
    bytes: NonNull<u8>,
    len: usize,
    protection: Protection,
}

impl LockedBytes {
    pub fn zeroed(len: usize) -> Self {
        match Self::map(len) {
            Ok(bytes) => bytes,
            // As for any other allocation: without memory there is nothing left to do.
            Err(_) => handle_alloc_error(Layout::array::<u8>(len).unwrap_or(Layout::new::<u8>())),
        }
    }

    pub const fn protection(&self) -> Protection {
        self.protection
    }

    #[allow(unsafe_code, reason = "asks the kernel for pages and lays them out")]
    fn map(len: usize) -> io::Result<Self> {
        let page = page_len();
        let too_long = || io::Error::from(io::ErrorKind::OutOfMemory);
        let inner_len = len.max(1).checked_next_multiple_of(page).ok_or_else(too_long)?;
        let mapping_len = inner_len.checked_add(page.saturating_mul(2)).ok_or_else(too_long)?;

        // SAFETY: an anonymous mapping at an address of the kernel's choice touches no memory that exists already.
        let mapping = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                mapping_len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if mapping == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let mapping = NonNull::new(mapping.cast::<u8>()).ok_or_else(too_long)?;

        // SAFETY: the first guard page is inside the mapping.
        let inner = unsafe { mapping.add(page) };
        // SAFETY: so are all inner pages.
        let guard_after = unsafe { inner.add(inner_len) };
        // SAFETY: `len` is at most `inner_len`.
        let bytes = unsafe { inner.add(inner_len.saturating_sub(len)) };
        let protection = Protection {
            guarded: forbid(mapping, page) && forbid(guard_after, page),
            not_dumped: leave_out_of_dumps(inner, inner_len),
            wiped_on_fork: wipe_on_fork(inner, inner_len),
            locked: keep_in_memory(inner, inner_len),
        };
        Ok(Self { mapping, mapping_len, bytes, len, protection })
    }
}

impl Deref for LockedBytes {
    type Target = [u8];

    #[allow(unsafe_code, reason = "views the pages as a slice")]
    fn deref(&self) -> &[u8] {
        // SAFETY: `len` bytes from `bytes` on are mapped, readable, zero at least, and borrowed with `self`.
        unsafe { slice::from_raw_parts(self.bytes.as_ptr(), self.len) }
    }
}

impl DerefMut for LockedBytes {
    #[allow(unsafe_code, reason = "views the pages as a slice")]
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `deref`, writable too, and the mutable borrow of `self` makes this the only view.
        unsafe { slice::from_raw_parts_mut(self.bytes.as_ptr(), self.len) }
    }
}

impl Drop for LockedBytes {
    #[allow(unsafe_code, reason = "gives the pages back")]
    fn drop(&mut self) {
        self.zeroize();
        // SAFETY: exactly the mapping that `map` made; nobody can have a view of it, because `self` is going away.
        // Unmapping also unlocks.
        unsafe { libc::munmap(self.mapping.as_ptr().cast(), self.mapping_len) };
    }
}

#[allow(unsafe_code, reason = "the raw pointer keeps the compiler from seeing that these hold")]
// SAFETY: the pages belong to this value alone, and it hands out views only under the rules of borrowing.
unsafe impl Send for LockedBytes {}

#[allow(unsafe_code, reason = "the raw pointer keeps the compiler from seeing that these hold")]
// SAFETY: a shared reference gives read access only.
unsafe impl Sync for LockedBytes {}

impl fmt::Debug for LockedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LockedBytes({} bytes)", self.len)
    }
}

/// A key of a length known to the compiler, in locked memory.
#[derive(Debug)]
pub struct Locked<const N: usize>(LockedBytes);

impl<const N: usize> Locked<N> {
    pub fn zeroed() -> Self {
        Self(LockedBytes::zeroed(N))
    }

    /// Copies the key in. The caller wipes the original, which it does by dropping its `Secret`.
    pub fn copy_of(key: &[u8; N]) -> Self {
        let mut locked = Self::zeroed();
        locked.0.copy_from_slice(key);
        locked
    }

    #[allow(
        unsafe_code,
        reason = "views the pages as an array; a fallible conversion would need a key to fall back to"
    )]
    pub const fn expose(&self) -> &[u8; N] {
        // SAFETY: the mapping has exactly N bytes, readable and initialised, borrowed with `self`; bytes have no alignment.
        unsafe { self.0.bytes.cast::<[u8; N]>().as_ref() }
    }

    pub const fn protection(&self) -> Protection {
        self.0.protection()
    }
}

#[allow(unsafe_code, reason = "sysconf is not in std")]
fn page_len() -> usize {
    // SAFETY: asks for a number, touches no memory.
    let answer = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    // Every supported system answers. 64 KiB is a multiple of all page sizes in use.
    usize::try_from(answer).ok().filter(|page| page.is_power_of_two()).unwrap_or(64 * 1024)
}

#[allow(unsafe_code, reason = "changes the protection of a page")]
fn forbid(page: NonNull<u8>, len: usize) -> bool {
    // SAFETY: a page of a mapping that no view exists of yet, and none of the bytes lie in it.
    unsafe { libc::mprotect(page.as_ptr().cast(), len, libc::PROT_NONE) == 0 }
}

#[allow(unsafe_code, reason = "locks pages")]
fn keep_in_memory(pages: NonNull<u8>, len: usize) -> bool {
    // SAFETY: pages of our own mapping; locking does not change what they hold.
    unsafe { libc::mlock(pages.as_ptr().cast(), len) == 0 }
}

#[cfg(target_os = "linux")]
fn leave_out_of_dumps(pages: NonNull<u8>, len: usize) -> bool {
    advise(pages, len, libc::MADV_DONTDUMP)
}

#[cfg(target_os = "linux")]
fn wipe_on_fork(pages: NonNull<u8>, len: usize) -> bool {
    advise(pages, len, libc::MADV_WIPEONFORK)
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "gives the kernel advice about pages")]
fn advise(pages: NonNull<u8>, len: usize, advice: libc::c_int) -> bool {
    // SAFETY: whole pages of our own anonymous mapping; neither advice used here changes what this process sees.
    unsafe { libc::madvise(pages.as_ptr().cast(), len, advice) == 0 }
}

#[cfg(not(target_os = "linux"))]
fn leave_out_of_dumps(_pages: NonNull<u8>, _len: usize) -> bool {
    false
}

#[cfg(not(target_os = "linux"))]
fn wipe_on_fork(_pages: NonNull<u8>, _len: usize) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_zero_at_first_and_hold_what_is_written() {
        for len in [0, 1, 32, 4095, 4096, 4097, 100_000] {
            let mut bytes = LockedBytes::zeroed(len);
            assert_eq!(bytes.len(), len);
            assert!(bytes.iter().all(|byte| *byte == 0));
            bytes.fill(0xa5);
            assert!(bytes.iter().all(|byte| *byte == 0xa5));
        }
        assert_eq!(Locked::copy_of(&[7; 32]).expose(), &[7; 32]);
    }

    #[test]
    fn neither_kind_prints_what_it_holds() {
        let key = Locked::copy_of(&[7; 32]);
        assert_eq!(format!("{key:?}"), "Locked(LockedBytes(32 bytes))");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_kernel_confirms_the_protection() {
        let key = Locked::copy_of(&[7; 32]);
        assert!(key.protection().is_full(), "{:?}", key.protection());

        // The flags of the mapping: lo = locked, dd = not dumped, wf = wiped on fork.
        let address = key.expose().as_ptr().addr();
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut lines = maps.lines().skip_while(|line| !holds(line, address));
        assert!(lines.next().unwrap().contains("rw-p"));
        let flags = lines.find(|line| line.starts_with("VmFlags:")).unwrap();
        for flag in [" lo", " dd", " wf"] {
            assert!(flags.contains(flag), "{flag} is missing from {flags}");
        }

        // The bytes end where the guard page begins, and that page allows nothing.
        let after = maps.lines().find(|line| holds(line, address + 32)).unwrap();
        assert!(after.contains("---p"), "{after}");
    }

    #[cfg(target_os = "linux")]
    fn holds(line: &str, address: usize) -> bool {
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        let Some((from, to)) = range else { return false };
        let parse = |text| usize::from_str_radix(text, 16);
        matches!((parse(from), parse(to)), (Ok(from), Ok(to)) if (from..to).contains(&address))
    }

    #[test]
    #[cfg(target_os = "linux")]
    #[allow(unsafe_code, reason = "lowers a limit of the process to have locking refused")]
    fn when_locking_is_refused_the_memory_is_there_and_says_so() {
        // In a process of its own, because the limit would follow the other tests around.
        // SAFETY: the child calls only functions that are safe after a fork: it maps memory and leaves.
        let child = unsafe { libc::fork() };
        assert_ne!(child, -1);
        if child == 0 {
            let nothing = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            // SAFETY: reads one `rlimit`. Root ignores it, so the right to lock is given up as well.
            let limited = unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const nothing) } == 0;
            // SAFETY: changes the user of this child only; does nothing if we are not root.
            let unprivileged = unsafe { libc::setuid(65_534) } == 0 || crate::effective_uid() != 0;
            let bytes = LockedBytes::zeroed(32);
            let as_expected =
                limited && unprivileged && !bytes.protection().locked && bytes.protection().guarded;
            // SAFETY: leaves without running the destructors of the parent's test harness.
            unsafe { libc::_exit(i32::from(!as_expected)) };
        }
        let mut status = -1;
        // SAFETY: waits for our own child and writes one integer.
        let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
        assert_eq!((waited, status), (child, 0));
    }

    #[test]
    #[cfg(target_os = "linux")]
    #[allow(unsafe_code, reason = "forks to see what a child inherits")]
    fn a_forked_child_sees_zeros() {
        let key = Locked::copy_of(&[7; 32]);
        // SAFETY: the child only reads memory and leaves.
        let child = unsafe { libc::fork() };
        assert_ne!(child, -1);
        if child == 0 {
            let wiped = key.expose().iter().all(|byte| *byte == 0);
            // SAFETY: leaves without running the destructors of the parent's test harness.
            unsafe { libc::_exit(i32::from(!wiped)) };
        }
        let mut status = -1;
        // SAFETY: waits for our own child and writes one integer.
        let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
        assert_eq!((waited, status), (child, 0));
        assert_eq!(key.expose(), &[7; 32]);
    }
}
