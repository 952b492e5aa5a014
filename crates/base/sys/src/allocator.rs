//! An allocator that overwrites every block before it gives it back.
//!
//! A secret passes through many short-lived buffers: the parser's, the codec's, the response's. Wiping each by hand
//! means trusting that nobody forgets one. Instead every freed block is overwritten, whoever owned it. For the same
//! reason a block never grows in place: `realloc` of the system might move it and leave the old bytes behind, so we
//! allocate, copy, wipe and free ourselves.
//!
//! It covers what Rust allocates in this process. The C library inside the crypto crate wipes its own blocks, and
//! stacks are nobody's here.

use std::alloc::{GlobalAlloc, Layout};

/// Wipes what another allocator gets back.
///
/// `#[global_allocator] static ALLOCATOR: WipingAllocator<System> = WipingAllocator::over(System);`
#[derive(Debug, Clone, Copy, Default)]
pub struct WipingAllocator<A>(A);

impl<A> WipingAllocator<A> {
    pub const fn over(inner: A) -> Self {
        Self(inner)
    }
}

#[allow(
    unsafe_code,
    reason = "an allocator is unsafe to implement: it promises what the compiler cannot check"
)]
// SAFETY: every block comes from the inner allocator with the layout that was asked for and returns to it with the same layout.
// Overwriting happens only while we still own the block, and nothing here allocates or unwinds.
unsafe impl<A: GlobalAlloc> GlobalAlloc for WipingAllocator<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller promises a layout of non-zero size, which is all that it asks.
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above. The system knows which pages are fresh and need no clearing.
        unsafe { self.0.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller hands over a block of `layout.size()` bytes that nobody uses any more.
        unsafe { wipe(block, layout.size()) };
        // SAFETY: the block came from the inner allocator with this layout.
        unsafe { self.0.dealloc(block, layout) };
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller promises that `new_size`, rounded up to the alignment, does not overflow `isize`.
        let new_layout = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        // SAFETY: the caller promises that `new_size` is not zero.
        let new_block = unsafe { self.alloc(new_layout) };
        if new_block.is_null() {
            return new_block;
        }
        let kept = layout.size().min(new_size);
        // SAFETY: both blocks hold at least `kept` bytes, and a fresh block overlaps no other.
        unsafe { std::ptr::copy_nonoverlapping(block, new_block, kept) };
        // SAFETY: the caller gives the old block up when we return a new one.
        unsafe { self.dealloc(block, layout) };
        new_block
    }
}

/// Overwrites a block so that the compiler cannot leave it out.
///
/// # Safety
/// `block` is valid for writes of `len` bytes, and nobody reads it any more.
#[allow(unsafe_code, reason = "writes through a raw pointer")]
unsafe fn wipe(block: *mut u8, len: usize) {
    // SAFETY: promised by the caller.
    unsafe { block.write_bytes(0, len) };
    // The compiler knows that memory about to be freed is never read, and would drop the write above. The barrier makes
    // it believe that somebody looks. One fast fill and a barrier, because one volatile write per byte is slow.
    // SAFETY: `len` bytes behind `block` were initialised in the line above, and nobody writes to them meanwhile.
    let wiped = unsafe { std::slice::from_raw_parts(block, len) };
    zeroize::optimization_barrier(wiped);
}

#[cfg(test)]
mod tests {
    use std::alloc::System;

    use super::*;

    const CANARY: u8 = 0xC5;
    static WIPING: WipingAllocator<System> = WipingAllocator::over(System);

    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size, 8).unwrap()
    }

    #[test]
    #[allow(unsafe_code, reason = "calls the allocator by hand to look at a block just before it is freed")]
    fn wiping_reaches_every_byte() {
        for size in [1, 8, 63, 4096, 100_000] {
            // SAFETY: the size is not zero.
            let block = unsafe { WIPING.alloc(layout(size)) };
            // SAFETY: the block has `size` bytes.
            unsafe { block.write_bytes(CANARY, size) };
            // SAFETY: as above; the block is still ours afterwards, unlike in `dealloc`.
            unsafe { wipe(block, size) };
            // SAFETY: initialised by the writes above.
            let bytes = unsafe { std::slice::from_raw_parts(block, size) };
            assert!(bytes.iter().all(|byte| *byte == 0), "{size} bytes");
            // SAFETY: allocated above with the same layout and not used again.
            unsafe { WIPING.dealloc(block, layout(size)) };
        }
    }

    #[test]
    #[allow(unsafe_code, reason = "calls the allocator by hand")]
    fn growing_and_shrinking_keep_the_common_part_and_always_move() {
        for (old, new) in [(16, 64), (64, 16), (4096, 8192), (32, 32)] {
            // SAFETY: the size is not zero.
            let block = unsafe { WIPING.alloc(layout(old)) };
            // SAFETY: the block has `old` bytes.
            unsafe { block.write_bytes(CANARY, old) };
            // SAFETY: the block came from this allocator with this layout, and the new size is not zero.
            let moved = unsafe { WIPING.realloc(block, layout(old), new) };
            assert_ne!(block, moved);
            // SAFETY: the first `min(old, new)` bytes were copied from initialised ones.
            let bytes = unsafe { std::slice::from_raw_parts(moved, old.min(new)) };
            assert!(bytes.iter().all(|byte| *byte == CANARY), "{old} to {new}");
            // SAFETY: `realloc` returned it with this size.
            unsafe { WIPING.dealloc(moved, layout(new)) };
        }
    }
}
