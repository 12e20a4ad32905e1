//! An allocator that counts bytes and gives everybody the same large pages.
//!
//! A bench installs it as its global allocator, so it sees what the standard library and other
//! crates allocate too. It counts the bytes asked for, not what the system's allocator adds to
//! each block, which favours structures of many small blocks. Blocks of two megabytes and more
//! are aligned to large pages and, if the bench wants it, advised to lie on them: arrays of all
//! contenders alike, wherever they are allocated.

#![allow(unsafe_code, reason = "an allocator deals in raw memory")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

const LARGE_PAGE: usize = 2 << 20;

/// The system's allocator, counted.
#[derive(Debug)]
pub struct CountingAllocator {
    live: AtomicUsize,
    peak: AtomicUsize,
    large_pages: AtomicBool,
}

impl CountingAllocator {
    /// An allocator that has counted nothing and leaves pages as they are.
    #[expect(clippy::new_without_default, reason = "a static cannot call Default")]
    pub const fn new() -> Self {
        Self {
            live: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            large_pages: AtomicBool::new(false),
        }
    }

    /// Has large blocks allocated from now on lie on large pages, if the system can.
    pub fn use_large_pages(&self, wanted: bool) {
        self.large_pages.store(wanted, Relaxed);
    }

    /// What `make` gives, and the bytes that stay allocated for it.
    pub fn bytes_of<T>(&self, make: impl FnOnce() -> T) -> (T, usize) {
        let before = self.live.load(Relaxed);
        let made = make();
        (made, self.live.load(Relaxed).saturating_sub(before))
    }

    /// What `make` gives, and the most bytes that were allocated at a time meanwhile.
    pub fn peak_of<T>(&self, make: impl FnOnce() -> T) -> (T, usize) {
        let before = self.live.load(Relaxed);
        self.peak.store(before, Relaxed);
        let made = make();
        (made, self.peak.load(Relaxed).saturating_sub(before))
    }

    fn count(&self, bytes: usize) {
        let live = self.live.fetch_add(bytes, Relaxed) + bytes;
        self.peak.fetch_max(live, Relaxed);
    }

    fn discount(&self, bytes: usize) {
        self.live.fetch_sub(bytes, Relaxed);
    }
}

/// The layout that is asked of the system; a function of the layout alone, so that a block is
/// freed as it was allocated.
fn aligned(layout: Layout) -> Layout {
    match layout.size() {
        0..LARGE_PAGE => layout,
        _ => layout.align_to(LARGE_PAGE).unwrap_or(layout),
    }
}

// SAFETY: every block comes from the system's allocator with the layout `aligned` gives, which is
// at least as large and as aligned as the one asked for, and goes back with the same one. The
// provided `alloc_zeroed` and `realloc` call these two.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises about the layout hold for the aligned one.
        let block = unsafe { System.alloc(aligned(layout)) };
        if !block.is_null() {
            self.count(layout.size());
            if layout.size() >= LARGE_PAGE && self.large_pages.load(Relaxed) {
                advise_large_pages(block, layout.size());
            }
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        self.discount(layout.size());
        // SAFETY: the block was allocated above with this layout.
        unsafe { System.dealloc(block, aligned(layout)) }
    }
}

#[cfg(target_os = "linux")]
fn advise_large_pages(block: *mut u8, size: usize) {
    use std::ffi::{c_int, c_void};
    const MADV_HUGEPAGE: c_int = 14;
    unsafe extern "C" {
        fn madvise(address: *mut c_void, length: usize, advice: c_int) -> c_int;
    }
    // SAFETY: advice about pages that are ours; it changes no contents, and a refusal is harmless.
    unsafe { madvise(block.cast(), size, MADV_HUGEPAGE) };
}

#[cfg(not(target_os = "linux"))]
fn advise_large_pages(_block: *mut u8, _size: usize) {}
