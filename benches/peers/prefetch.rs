//! Asking for a cache line ahead of its use.

#![allow(unsafe_code, reason = "prefetching takes a pointer")]

/// Asks for the line at an address; nothing happens if there is none.
#[inline(always)]
pub(super) fn at<T>(address: *const T) {
    // SAFETY: prefetching reads nothing as far as the program can tell, whatever the address.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch(address.cast(), _MM_HINT_T0);
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
