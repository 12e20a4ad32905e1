//! What a read touched: counted by the reader, shown by EXPLAIN ANALYZE and asserted by tests.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters of one read; shared by the streams of one scan.
#[derive(Debug, Default)]
pub struct ReadStats {
    /// Data pages asked for, from cache or storage; a page holds one leaf column.
    pub pages: AtomicU64,
    /// Encoded bytes of the pages asked for, dictionaries included.
    pub bytes: AtomicU64,
    /// Data pages that had to come from storage.
    pub pages_from_storage: AtomicU64,
}

impl ReadStats {
    /// Counts `pages` data pages of `bytes` encoded bytes asked for.
    pub(super) fn asked(&self, pages: u64, bytes: u64) {
        self.pages.fetch_add(pages, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
    }

    /// Counts data pages that came from storage.
    pub(super) fn fetched(&self, pages: u64) {
        self.pages_from_storage.fetch_add(pages, Relaxed);
    }
}
