//! Fetches encoded pages: from the cache, or from storage with every checksum compared.
//!
//! Called by everything that reads rows. Neighbouring pages are fetched by one read.

use std::ops::Range;

use bytes::Bytes;

use super::layout::Page;
use super::page_cache::PageKey;
use super::{ReadStats, Segment};
use crate::error::Result;
use crate::teeth::{Tooth, planted};

/// A read of neighbouring pages is at most this long.
const READ_BYTES_MAX: u64 = 8 << 20;

/// What of the pages read from storage stays in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// Dictionaries: each page of a chunk is decoded with them. Data pages are kept decoded.
    Dictionaries,
    /// Everything.
    All,
}

impl Segment {
    /// The verified bytes of pages, given by ascending index.
    pub(super) async fn fetch(
        &self,
        pages: &[u32],
        keep: Keep,
        stats: &ReadStats,
    ) -> Result<Vec<Bytes>> {
        let mut found: Vec<Option<Bytes>> = pages.iter().map(|&p| self.cached_page(p)).collect();
        let missing: Vec<u32> = (pages.iter().zip(&found))
            .filter(|(_, bytes)| bytes.is_none())
            .map(|(page, _)| *page)
            .collect();
        if !missing.is_empty() {
            let mut read = self.read_pages(&missing, keep, stats).await?.into_iter();
            for slot in found.iter_mut().filter(|bytes| bytes.is_none()) {
                *slot = read.next();
            }
        }
        Ok(found.into_iter().flatten().collect())
    }

    /// A page or, sliced, the chunk that it is part of.
    fn cached_page(&self, page: u32) -> Option<Bytes> {
        let file = self.record.file;
        if let Some(bytes) = self.cache.bytes_of(PageKey::Page { file, page }) {
            return Some(bytes);
        }
        let chunk = self.layout.chunk_of(page);
        let bytes = self.cache.bytes_of(PageKey::Chunk { file, chunk })?;
        let first = self.layout.chunk_pages(chunk).start;
        let start = self.layout.pages()[first as usize].offset;
        let range = self.layout.pages()[page as usize].range();
        Some(bytes.slice((range.start - start) as usize..(range.end - start) as usize))
    }

    /// Reads pages, given by ascending index, from storage.
    async fn read_pages(&self, pages: &[u32], keep: Keep, stats: &ReadStats) -> Result<Vec<Bytes>> {
        let runs = self.runs(pages);
        let ranges: Vec<Range<u64>> = runs.iter().map(|run| self.run_range(run)).collect();
        let read = self.store.blobs.read_ranges(&self.name, &ranges).await?;
        let mut out = Vec::with_capacity(pages.len());
        let mut data_pages = 0;
        for (run, bytes) in runs.iter().zip(read) {
            let start = self.layout.pages()[run.start as usize].offset;
            for index in run.clone() {
                let page = self.layout.pages()[index as usize];
                let bytes = self.verified(&page, &bytes, start)?;
                let dictionary = self.layout.is_dictionary(index);
                data_pages += u64::from(!dictionary);
                if keep == Keep::All || (keep == Keep::Dictionaries && dictionary) {
                    let key = PageKey::Page { file: self.record.file, page: index };
                    // A copy, so that the rest of the read does not stay with it.
                    self.cache.insert_bytes(key, Bytes::copy_from_slice(&bytes));
                }
                out.push(bytes);
            }
        }
        stats.fetched(data_pages);
        Ok(out)
    }

    /// Cuts `page` out of `bytes`, which begin at `start` in the file, and verifies it.
    pub(super) fn verified(&self, page: &Page, bytes: &Bytes, start: u64) -> Result<Bytes> {
        let (low, high) = (page.offset - start, page.range().end - start);
        if high > bytes.len() as u64 {
            return Err(self.damaged(page.offset, "the read ended inside a page"));
        }
        let bytes = bytes.slice(low as usize..high as usize);
        let found = crc32c::crc32c(&bytes);
        if found != page.crc && !planted(Tooth::ChecksumSkipped) {
            let reason = format!("checksum of a page is {found:08x}, expected {:08x}", page.crc);
            return Err(self.damaged(page.offset, reason));
        }
        Ok(bytes)
    }

    /// Ascending indices as runs of neighbours, none longer than a read may be.
    pub(super) fn runs(&self, pages: &[u32]) -> Vec<Range<u32>> {
        let mut runs: Vec<Range<u32>> = Vec::new();
        for &page in pages {
            match runs.last_mut() {
                Some(run) if run.end == page => {
                    let longer = self.run_range(&(run.start..page + 1));
                    if longer.end - longer.start <= READ_BYTES_MAX {
                        run.end += 1;
                    } else {
                        runs.push(page..page + 1);
                    }
                }
                _ => runs.push(page..page + 1),
            }
        }
        runs
    }

    /// The bytes of a run of pages in the file.
    pub(super) fn run_range(&self, run: &Range<u32>) -> Range<u64> {
        let pages = self.layout.pages();
        pages[run.start as usize].offset..pages[run.end as usize - 1].range().end
    }
}
