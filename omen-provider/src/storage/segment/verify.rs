//! Checks a whole segment: `verify` of the database and the command come here.
//!
//! Reads everything from storage, past the cache, so that what lies on the medium is judged.

use std::cmp::Ordering;
use std::sync::Arc;

use super::file_bytes::MAGIC;
use super::layout::PAGES_START;
use super::{PageCache, ReadStats, Segment};
use crate::error::Result;
use crate::storage::key::Keys;

/// For the pages under inspection.
const CACHE_BYTES: usize = 32 << 20;

/// The last key of the rows checked so far, and how many they are.
struct Progress {
    last: Option<Vec<u8>>,
    rows: u32,
}

impl Segment {
    /// Reads and checks everything: every checksum, every page decodable, the order of keys,
    /// outermost keys, row counts, page fences, fingerprints, and that the index leads to every
    /// key; the same of entries in indexes.
    pub async fn verify(self: &Arc<Self>) -> Result<()> {
        self.tail().await?;
        self.verify_magic().await?;
        // A cache of its own, empty at first, in which the pages just read are found again.
        let fresh = Self { cache: Arc::new(PageCache::new(CACHE_BYTES)), ..Self::clone(self) };
        let roots: Vec<usize> = (0..self.columns.roots()).collect();
        let mut progress = Progress { last: None, rows: 0 };
        for page in 0..self.layout.page_count() {
            let stats = ReadStats::default();
            fresh.load_columns(&[(page, roots.clone())], &stats).await?;
            for keys in fresh.page_keys(&[page], &stats).await? {
                fresh.verify_keys(page, &keys, &mut progress)?;
            }
            tokio::task::yield_now().await;
        }
        if progress.rows != self.rows() || progress.last.as_ref() != Some(&self.record.max_key) {
            let reason = format!(
                "{} rows up to {}, expected {} up to {}",
                progress.rows,
                self.schema.codec().describe(&progress.last.unwrap_or_default()),
                self.rows(),
                self.schema.codec().describe(&self.record.max_key)
            );
            return Err(self.damaged(self.record.tail_offset, reason));
        }
        self.verify_entries().await
    }

    pub(super) async fn verify_magic(&self) -> Result<()> {
        let range = 0..PAGES_START;
        let read = self.store.blobs.read_ranges(&self.name, std::slice::from_ref(&range)).await?;
        match read.first().is_some_and(|bytes| bytes.as_ref() == MAGIC) {
            true => Ok(()),
            false => Err(self.damaged(0, "the file does not begin with \"PAR1\"")),
        }
    }

    fn verify_keys(&self, page: u32, keys: &Keys, progress: &mut Progress) -> Result<()> {
        let start = self.layout.positions(page).start;
        let offset = self.group_offset(self.layout.group_of(page));
        let wrong = |row: usize, what: &str| {
            let key = self.schema.codec().describe(&keys.get(row));
            Err(self.damaged(offset, format!("{what} at row {}, key {key}", start + row as u32)))
        };
        if self.index.fences().compare(page as usize, keys, 0) != Ordering::Equal {
            return wrong(0, "the page fence is not the first key");
        }
        if page == 0 && keys.compare_bytes(0, &self.record.min_key) != Ordering::Equal {
            return wrong(0, "the smallest key is not the first");
        }
        for row in 0..keys.len() {
            let key = keys.get(row);
            let ascends = match row {
                0 => progress.last.as_ref().is_none_or(|last| **last < *key),
                _ => keys.compare(row - 1, keys, row) == Ordering::Less,
            };
            if !ascends {
                return wrong(row, "keys do not ascend");
            }
            let ((range, _), position) = (self.index.locate_in_file(&key), start + row as u32);
            if position < range.start || range.end < position {
                return wrong(row, "the learned index leads elsewhere");
            }
            if !self.may_contain(&key) {
                return wrong(row, "outermost keys or fingerprints deny the key");
            }
        }
        progress.last = keys.len().checked_sub(1).map(|last| keys.get(last).into_owned());
        progress.rows += keys.len() as u32;
        Ok(())
    }
}
