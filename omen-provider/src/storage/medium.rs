//! What every operation on segments needs: the store, the page cache, file numbers.
//!
//! Invariant: a file number is used once. It is the writer's epoch (high 32 bits) and a counter, so
//! a writer that lost its lock can never collide with its successor.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::segment::{PageCache, Segment};
use super::store::Store;
use crate::options::Options;

/// The store and what goes with it; shared by all tables of an open database.
#[derive(Debug)]
pub struct Medium {
    /// Where files lie.
    pub store: Store,
    /// Verified pages in memory.
    pub cache: Arc<PageCache>,
    /// How the database was opened.
    pub options: Options,
    next_file: AtomicU64,
}

/// The epoch of the writer that made the file of that number.
pub fn epoch_of(file: u64) -> u64 {
    file >> 32
}

impl Medium {
    /// A medium whose files are numbered within `epoch`.
    pub fn new(store: Store, options: Options, epoch: u64) -> Self {
        let cache = Arc::new(PageCache::new(options.cache_bytes_max));
        Self { store, cache, options, next_file: AtomicU64::new((epoch << 32) + 1) }
    }

    /// A file number that was never used.
    pub fn next_file(&self) -> u64 {
        self.next_file.fetch_add(1, Relaxed)
    }

    /// Removes segments that no manifest and no log names. A failure leaves a file that the next
    /// open removes.
    pub async fn discard_segments(&self, segments: &[Arc<Segment>]) {
        for segment in segments {
            let _ = self.store.blobs.delete(&segment.record().file_name()).await;
        }
    }
}
