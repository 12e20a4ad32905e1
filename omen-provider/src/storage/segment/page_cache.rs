//! One budget of memory for verified pages, encoded and decoded, of all segments of a database.
//!
//! Lookups keep decoded pages (arrays of one column, and the encoded keys of a page), scans through
//! DataFusion keep the bytes of pages or whole column chunks. Both compete for the same bytes; what
//! is used again stays, one large scan does not empty the cache.
//!
//! What is resident of open segments is taken from the budget: pages have the less, down to a part
//! that is always theirs.
//!
//! Invariant: only bytes whose checksum matched, or what was decoded from them, get in.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, ArrayRef};
use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::storage::key::Keys;

/// What a cached thing is, within the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum PageKey {
    /// Encoded page `page` (in file order) of a file.
    Page { file: u64, page: u32 },
    /// All encoded pages of column chunk `chunk` (in file order) of a file.
    Chunk { file: u64, chunk: u32 },
    /// Rows of page number `page` of root column `root` of a file, decoded.
    Column { file: u64, root: u32, page: u32 },
    /// Encoded keys of the rows of page number `page`.
    Keys { file: u64, page: u32 },
}

/// What is cached under a [`PageKey`].
#[derive(Debug, Clone)]
enum Cached {
    Bytes(Bytes),
    Column(ArrayRef),
    Keys(Arc<Keys>),
}

/// Memory of an entry beside its content.
const ENTRY_BYTES: u64 = 128;

/// A page is about this large, in memory; only sizes the cache's tables.
const PAGE_BYTES_EXPECTED: usize = 64 << 10;

#[derive(Debug, Clone)]
struct MemoryBytes;

impl Weighter<PageKey, (Cached, u64)> for MemoryBytes {
    fn weight(&self, _: &PageKey, (_, bytes): &(Cached, u64)) -> u64 {
        *bytes
    }
}

/// This part of the budget is for pages, whatever else is resident.
const PAGES_SHARE: u64 = 4;

/// A bounded cache of verified pages.
#[derive(Debug)]
pub struct PageCache {
    // Each entry carries its weight, which is too costly to work out again and again.
    entries: Cache<PageKey, (Cached, u64), MemoryBytes>,
    bytes_max: u64,
    /// Bytes of open segments that are no pages.
    resident: Mutex<u64>,
}

/// Bytes that are resident and no pages, as long as this lives.
#[derive(Debug)]
pub(super) struct Resident {
    cache: Arc<PageCache>,
    bytes: u64,
}

impl Drop for Resident {
    fn drop(&mut self) {
        self.cache.fit(|resident| resident.saturating_sub(self.bytes));
    }
}

impl PageCache {
    /// A cache of at most `bytes_max` bytes.
    pub fn new(bytes_max: usize) -> Self {
        let items = (bytes_max / PAGE_BYTES_EXPECTED).max(16);
        let entries = Cache::with_weighter(items, bytes_max as u64, MemoryBytes);
        Self { entries, bytes_max: bytes_max as u64, resident: Mutex::new(0) }
    }

    /// Counts bytes that are resident beside the pages.
    pub(super) fn hold(self: &Arc<Self>, bytes: u64) -> Resident {
        self.fit(|resident| resident.saturating_add(bytes));
        Resident { cache: Arc::clone(self), bytes }
    }

    /// Bytes that are resident beside the pages.
    #[cfg(test)]
    pub(super) fn resident(&self) -> u64 {
        *self.resident.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fit(&self, change: impl FnOnce(u64) -> u64) {
        let mut resident = self.resident.lock().unwrap_or_else(PoisonError::into_inner);
        *resident = change(*resident);
        let left = self.bytes_max.saturating_sub(*resident);
        self.entries.set_capacity(left.max(self.bytes_max / PAGES_SHARE));
    }

    pub(super) fn bytes_of(&self, key: PageKey) -> Option<Bytes> {
        match self.entries.get(&key) {
            Some((Cached::Bytes(bytes), _)) => Some(bytes),
            _ => None,
        }
    }

    pub(super) fn column(&self, key: PageKey) -> Option<ArrayRef> {
        match self.entries.get(&key) {
            Some((Cached::Column(array), _)) => Some(array),
            _ => None,
        }
    }

    pub(super) fn keys(&self, key: PageKey) -> Option<Arc<Keys>> {
        match self.entries.get(&key) {
            Some((Cached::Keys(keys), _)) => Some(keys),
            _ => None,
        }
    }

    /// `bytes` must not be a slice of something larger: that would stay in memory uncounted.
    pub(super) fn insert_bytes(&self, key: PageKey, bytes: Bytes) {
        let weight = bytes.len() as u64 + ENTRY_BYTES;
        self.entries.insert(key, (Cached::Bytes(bytes), weight));
    }

    pub(super) fn insert_column(&self, key: PageKey, array: ArrayRef) {
        let weight = array.get_array_memory_size() as u64 + ENTRY_BYTES;
        self.entries.insert(key, (Cached::Column(array), weight));
    }

    pub(super) fn insert_keys(&self, key: PageKey, keys: Arc<Keys>) {
        let weight = keys.byte_size() as u64 + ENTRY_BYTES;
        self.entries.insert(key, (Cached::Keys(keys), weight));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Int64Array;

    #[test]
    fn all_kinds_of_pages_share_one_budget() {
        const BYTES: usize = 10_000;
        let cache = PageCache::new(100 * BYTES);
        let mut keys = Keys::new(Some(8));
        (0..BYTES as u64 / 8).for_each(|key| keys.push(&key.to_be_bytes()));
        let (keys, column) = (Arc::new(keys), Arc::new(Int64Array::from(vec![0; BYTES / 8])));
        let file = 1;
        for page in 0..100 {
            cache.insert_bytes(PageKey::Page { file, page }, Bytes::from(vec![0; BYTES]));
            cache.insert_column(PageKey::Column { file, root: 0, page }, column.clone());
            cache.insert_keys(PageKey::Keys { file, page }, Arc::clone(&keys));
        }
        let kept = |page: u32| {
            usize::from(cache.bytes_of(PageKey::Page { file, page }).is_some())
                + usize::from(cache.column(PageKey::Column { file, root: 0, page }).is_some())
                + usize::from(cache.keys(PageKey::Keys { file, page }).is_some())
        };
        let kept: usize = (0..100).map(kept).sum();
        assert!((50..=100).contains(&kept), "{kept} of 300 pages in the room of 100");
    }
    #[test]
    fn pages_have_what_segments_leave_and_never_less_than_their_part() {
        let cache = Arc::new(PageCache::new(64 << 20));
        let fill = |from: u32| {
            for page in from..from + 2000 {
                let key = PageKey::Page { file: 1, page };
                cache.insert_bytes(key, Bytes::from(vec![0; 64 << 10]));
            }
            cache.entries.weight()
        };
        assert!((50 << 20..=64 << 20).contains(&fill(0)), "{}", fill(0));
        let first = cache.hold(30 << 20);
        assert!(cache.entries.weight() <= 34 << 20, "what is too much goes at once");
        assert!((25 << 20..=35 << 20).contains(&fill(10_000)));
        let second = cache.hold(500 << 20);
        assert!((10 << 20..=17 << 20).contains(&fill(20_000)));
        drop(second);
        drop(first);
        assert!((50 << 20..=64 << 20).contains(&fill(30_000)));
    }
}
