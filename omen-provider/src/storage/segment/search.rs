//! Finds keys: the learned index names the page, the page's keys decide.
//!
//! Called by writes (which row does this key replace?), by the key lane, and by scans that turn a
//! key range into a row range. A single search reads at most one page of each key column.

use std::ops::Range;
use std::sync::Arc;

use super::index::Place;
use super::page_cache::PageKey;
use super::{ReadStats, Segment};
use crate::error::Result;
use crate::storage::key::{KeyRange, Keys};

/// Pages of keys fetched together by a search for many keys.
const PAGES_TOGETHER: usize = 32;

impl Segment {
    /// The position of the first row whose key is not below `key`, which may be any byte string.
    pub async fn lower_bound(&self, key: &[u8], stats: &ReadStats) -> Result<u32> {
        Ok(self.search(key, stats).await?.0)
    }

    /// About how many rows have keys below `key`; reads nothing.
    pub fn rank(&self, key: &[u8]) -> u32 {
        match self.index.locate(key) {
            Place::At { position, .. } => position,
            Place::In { window, hint, .. } => hint.clamp(window.start, window.end),
        }
    }

    /// The positions of the keys in `range`.
    pub async fn row_range(&self, range: &KeyRange, stats: &ReadStats) -> Result<Range<u32>> {
        if range.is_empty() || !range.overlaps(&self.record.min_key, &self.record.max_key) {
            return Ok(0..0);
        }
        let start = match *range.start <= *self.record.min_key {
            true => 0,
            false => self.lower_bound(&range.start, stats).await?,
        };
        let end = match &range.end {
            Some(end) if **end <= *self.record.max_key => self.lower_bound(end, stats).await?,
            _ => self.rows(),
        };
        Ok(start..end.max(start))
    }

    /// The position of `key`, if it is there.
    pub async fn find(&self, key: &[u8], stats: &ReadStats) -> Result<Option<u32>> {
        if !self.may_contain(key) {
            return Ok(None);
        }
        let (position, found) = self.search(key, stats).await?;
        Ok(found.then_some(position))
    }

    /// `(index in keys, position)` of each key that is there, in key order. `order` sorts `keys`.
    /// Each page is decoded once.
    pub async fn find_many(
        &self,
        keys: &Keys,
        order: &[u32],
        stats: &ReadStats,
    ) -> Result<Vec<(u32, u32)>> {
        let mut places = Vec::with_capacity(order.len());
        for &index in order {
            let key = keys.get(index as usize);
            if self.may_contain(&key) {
                match self.index.locate(&key) {
                    Place::At { found: false, .. } => {}
                    place => places.push((index, place)),
                }
            }
        }
        let mut out = Vec::with_capacity(places.len());
        let mut rest = places.as_slice();
        while !rest.is_empty() {
            let (pages, taken) = pages_of(rest);
            let page_keys = self.page_keys(&pages, stats).await?;
            for (index, place) in &rest[..taken] {
                match place {
                    Place::At { position, .. } => out.push((*index, *position)),
                    Place::In { page, window, hint } => {
                        let Ok(at) = pages.binary_search(page) else { continue };
                        let start = self.layout.positions(*page).start;
                        let key = keys.get(*index as usize);
                        let (position, found) =
                            self.index.search_page(&page_keys[at], start, (window, *hint), &key);
                        out.extend(found.then_some((*index, position)));
                    }
                }
            }
            rest = &rest[taken..];
        }
        Ok(out)
    }

    async fn search(&self, key: &[u8], stats: &ReadStats) -> Result<(u32, bool)> {
        match self.index.locate(key) {
            Place::At { position, found } => Ok((position, found)),
            Place::In { page, window, hint } => {
                let keys = self.keys_of(page, stats).await?;
                let start = self.layout.positions(page).start;
                Ok(self.index.search_page(&keys, start, (&window, hint), key))
            }
        }
    }

    /// The encoded keys of a page.
    async fn keys_of(&self, page: u32, stats: &ReadStats) -> Result<Arc<Keys>> {
        if let Some(keys) = self.cached_keys(page, stats) {
            return Ok(keys);
        }
        let mut keys = self.load_keys(&[page], stats).await?;
        keys.pop().ok_or_else(|| self.damaged(0, "no keys in a page"))
    }

    /// The encoded keys of pages, given ascending.
    pub(super) async fn page_keys(
        &self,
        pages: &[u32],
        stats: &ReadStats,
    ) -> Result<Vec<Arc<Keys>>> {
        let mut found: Vec<_> = pages.iter().map(|&p| self.cached_keys(p, stats)).collect();
        let is_missing = |keys: &Option<Arc<Keys>>| keys.is_none();
        let missing: Vec<u32> = (pages.iter().zip(&found))
            .filter(|(_, keys)| is_missing(keys))
            .map(|(page, _)| *page)
            .collect();
        let mut loaded = match missing.is_empty() {
            true => Vec::new(),
            false => self.load_keys(&missing, stats).await?,
        }
        .into_iter();
        found.iter_mut().filter(|keys| is_missing(keys)).for_each(|slot| *slot = loaded.next());
        Ok(found.into_iter().flatten().collect())
    }

    fn cached_keys(&self, page: u32, stats: &ReadStats) -> Option<Arc<Keys>> {
        let keys = self.cache.keys(PageKey::Keys { file: self.record.file, page })?;
        self.count_page(page, &self.schema.key, stats);
        Some(keys)
    }

    /// Decodes the key columns of pages and encodes their keys.
    async fn load_keys(&self, pages: &[u32], stats: &ReadStats) -> Result<Vec<Arc<Keys>>> {
        let columns = self.page_columns(pages, &self.schema.key, stats).await?;
        let mut out = Vec::with_capacity(pages.len());
        for (&page, arrays) in pages.iter().zip(columns) {
            let keys = Arc::new(self.schema.codec().encode(&arrays)?);
            let key = PageKey::Keys { file: self.record.file, page };
            self.cache.insert_keys(key, Arc::clone(&keys));
            out.push(keys);
        }
        Ok(out)
    }
}

/// The pages that the first places lie in, ascending, and how many places that covers.
fn pages_of(places: &[(u32, Place)]) -> (Vec<u32>, usize) {
    let mut pages: Vec<u32> = Vec::new();
    for (taken, (_, place)) in places.iter().enumerate() {
        if let Place::In { page, .. } = place
            && pages.last() != Some(page)
        {
            if pages.len() == PAGES_TOGETHER {
                return (pages, taken);
            }
            pages.push(*page);
        }
    }
    (pages, places.len())
}
