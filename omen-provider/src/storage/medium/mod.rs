//! What every operation on segments needs: the store, the page cache, file numbers, and where files
//! go that nothing needs any more (`garbage`).
//!
//! Invariant: a file number is used once. It is the writer's epoch (high 32 bits) and a counter, so
//! a writer that lost its lock can never collide with its successor.

mod garbage;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

pub use garbage::{File, Garbage, Named, Suspects, Unnamed, delete_unpinned};

use super::budget::{Budget, Share};
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
    /// Memory of statements that are being prepared.
    pub loading: Budget,
    /// Files that nothing names.
    pub garbage: Garbage,
    next_file: AtomicU64,
    memtable_bytes_max: AtomicUsize,
}

/// The epoch of the writer that made the file of that number.
pub fn epoch_of(file: u64) -> u64 {
    file >> 32
}

/// The epoch of the writer that made the file called `name`; 0 if no writer calls files so.
pub fn epoch_in(name: &str) -> u64 {
    let file = name.split_once('/').map_or(name, |(_, file)| file);
    let digits = file.split_once('.').map_or(file, |(digits, _)| digits);
    u64::from_str_radix(digits, 16).map_or(0, epoch_of)
}

impl Medium {
    /// A medium whose files are numbered within `epoch`.
    pub fn new(store: Store, options: Options, epoch: u64) -> Self {
        let cache = Arc::new(PageCache::new(options.cache_bytes_max));
        let next_file = AtomicU64::new((epoch << 32) + 1);
        let loading = Budget::new(options.load_bytes_max);
        let memtable_bytes_max = AtomicUsize::new(options.memtable_bytes_max);
        let garbage = Garbage::default();
        Self { store, cache, options, loading, garbage, next_file, memtable_bytes_max }
    }

    /// Bytes of rows in memory that start a flush, as they are now.
    pub fn memtable_bytes_max(&self) -> usize {
        self.memtable_bytes_max.load(Relaxed)
    }

    /// Changes them, as long as the database is open.
    pub fn set_memtable_bytes_max(&self, bytes: usize) {
        self.memtable_bytes_max.store(bytes, Relaxed);
    }

    /// Bytes of rows that a statement holds at most before it writes them as segments.
    pub fn portion_bytes_max(&self) -> usize {
        self.memtable_bytes_max() / 2
    }

    /// What a statement must hold to prepare rows of so many bytes, as they came and sorted; waits
    /// until it is to be had. `None`: they are so few that they are not counted.
    pub async fn share_for(&self, bytes: usize) -> Option<Share> {
        match bytes > self.memtable_bytes_max() / 8 {
            true => Some(self.loading.take(bytes.saturating_mul(2)).await),
            false => None,
        }
    }

    /// Leaves out the counters up to `counter`: files have them that this epoch has not made here.
    pub fn skip_files(&self, counter: u64) {
        let next = self.next_file.load(Relaxed);
        self.next_file.fetch_max((epoch_of(next) << 32) + counter + 1, Relaxed);
    }

    /// A file number that was never used.
    pub fn next_file(&self) -> u64 {
        self.next_file.fetch_add(1, Relaxed)
    }

    /// Removes segments that no manifest and no log names, once nobody reads them.
    pub async fn discard_segments(&self, segments: Vec<Arc<Segment>>) {
        self.garbage.add(segments.iter().flat_map(Segment::files).map(File::of));
        drop(segments);
        self.sweep().await;
    }

    /// Deletes the garbage that no reader uses, as far as the store lets it.
    pub async fn sweep(&self) {
        self.garbage.sweep(&self.store).await;
    }
}
