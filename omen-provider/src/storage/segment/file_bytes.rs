//! Serves byte ranges of the file to Parquet readers, every page verified on its way.
//!
//! Called by the provider's scan, which decodes by itself. Whole column chunks are read and cached
//! as one piece, so that a warm scan gets them without copying; other ranges page by page.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::layout::PAGES_START;
use super::page_cache::PageKey;
use super::pages::Keep;
use super::{ReadStats, Segment};
use crate::error::Result;

/// The magic number at the start of a Parquet file.
pub(super) const MAGIC: &[u8; 4] = b"PAR1";

impl Segment {
    /// The bytes of the file at each range.
    ///
    /// # Errors
    /// [`crate::Error::Corruption`] if a page (or the tail) that a range touches is not what was
    /// written, or a range goes past the end of the file.
    pub async fn read_bytes(&self, ranges: &[Range<u64>], stats: &ReadStats) -> Result<Vec<Bytes>> {
        let mut out = Vec::with_capacity(ranges.len());
        for range in ranges {
            if range.start > range.end || range.end > self.record.bytes {
                let reason = format!("bytes {range:?} of a file of {}", self.record.bytes);
                return Err(self.damaged(range.start, reason));
            }
            out.push(self.read_range(range.clone(), stats).await?);
        }
        Ok(out)
    }

    async fn read_range(&self, range: Range<u64>, stats: &ReadStats) -> Result<Bytes> {
        let mut parts = Vec::new();
        let within = |start: u64, end: u64| range.start.max(start)..range.end.min(end);
        let magic = within(0, PAGES_START);
        if magic.start < magic.end {
            parts.push(Bytes::from_static(&MAGIC[magic.start as usize..magic.end as usize]));
        }
        let pages = within(PAGES_START, self.record.tail_offset);
        if pages.start < pages.end {
            self.read_page_range(pages, stats, &mut parts).await?;
        }
        let tail = within(self.record.tail_offset, self.record.bytes);
        if tail.start < tail.end {
            // Damage in the hints is nothing to who does not ask for them.
            let (offset, bytes) = match tail.start < self.record.core_offset {
                true => (self.record.tail_offset, self.tail().await?),
                false => (self.record.core_offset, self.core().await?),
            };
            parts.push(bytes.slice((tail.start - offset) as usize..(tail.end - offset) as usize));
        }
        match parts.as_slice() {
            [one] => Ok(one.clone()),
            many => {
                let length = many.iter().map(Bytes::len).sum();
                let mut joined = BytesMut::with_capacity(length);
                many.iter().for_each(|part| joined.extend_from_slice(part));
                Ok(joined.freeze())
            }
        }
    }

    /// Appends the bytes of a range that lies within the pages.
    async fn read_page_range(
        &self,
        range: Range<u64>,
        stats: &ReadStats,
        parts: &mut Vec<Bytes>,
    ) -> Result<()> {
        let pages = self.layout.pages();
        let first = pages.partition_point(|page| page.range().end <= range.start) as u32;
        let end = pages.partition_point(|page| page.offset < range.end) as u32;
        let indices: Vec<u32> = (first..end).collect();
        let data = indices.iter().filter(|&&i| !self.layout.is_dictionary(i)).count();
        self.count_asked(&indices, data as u64, stats);
        let mut offset = pages[first as usize].offset;
        for part in self.page_run(first..end, &indices, stats).await? {
            let start = range.start.saturating_sub(offset).min(part.len() as u64);
            let stop = (range.end - offset).min(part.len() as u64);
            offset += part.len() as u64;
            parts.push(part.slice(start as usize..stop as usize));
        }
        Ok(())
    }

    /// The bytes of neighbouring pages, in one or more pieces.
    async fn page_run(
        &self,
        run: Range<u32>,
        indices: &[u32],
        stats: &ReadStats,
    ) -> Result<Vec<Bytes>> {
        let chunk = self.layout.chunk_of(run.start);
        if self.layout.chunk_pages(chunk) != run {
            return self.fetch(indices, Keep::All, stats).await;
        }
        let key = PageKey::Chunk { file: self.record.file, chunk };
        if let Some(bytes) = self.cache.bytes_of(key) {
            return Ok(vec![bytes]);
        }
        let range = self.run_range(&run);
        let mut read =
            self.store.blobs.read_ranges(&self.name, std::slice::from_ref(&range)).await?;
        let bytes = read.pop().unwrap_or_default();
        let mut data = 0;
        for index in run {
            self.verified(&self.layout.pages()[index as usize], &bytes, range.start)?;
            data += u64::from(!self.layout.is_dictionary(index));
        }
        stats.fetched(data);
        self.cache.insert_bytes(key, bytes.clone());
        Ok(vec![bytes])
    }
}
