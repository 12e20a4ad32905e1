//! One budget of memory for verified pages, encoded and decoded, of all segments of a database.
//!
//! Lookups keep decoded pages (arrays of one column, and the encoded keys of a page), scans through
//! DataFusion keep the bytes of pages or whole column chunks. Both compete for the same bytes; what
//! is used again stays, one large scan does not empty the cache.
//!
//! Invariant: only bytes whose checksum matched, or what was decoded from them, get in.

use std::sync::Arc;

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

/// A bounded cache of verified pages.
#[derive(Debug)]
pub struct PageCache {
    // Each entry carries its weight, which is too costly to work out again and again.
    entries: Cache<PageKey, (Cached, u64), MemoryBytes>,
}

impl PageCache {
    /// A cache of at most `bytes_max` bytes.
    pub fn new(bytes_max: usize) -> Self {
        let items = (bytes_max / PAGE_BYTES_EXPECTED).max(16);
        Self { entries: Cache::with_weighter(items, bytes_max as u64, MemoryBytes) }
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
}
