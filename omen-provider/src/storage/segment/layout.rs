//! Where every page of a segment lies, and its checksum.
//!
//! Made by the writer as row groups close, kept in the tail (section 2), asked by every read.
//!
//! ```text
//! rows u32 | page_rows u32 | row_group_rows u32 | leaves u32
//! for each row group, for each leaf column:
//!     dictionary: bytes u32, crc32c u32          (0, 0: none)
//!     for each page: bytes u32, crc32c u32       (page header and body)
//! ```
//! (All integers little-endian.)
//!
//! Invariants: pages tile the file from byte 4 on without gaps, in this order; page number `p` of
//! every leaf column holds rows `p * page_rows ..`; a row group holds whole pages, so page numbers
//! run on across row groups.

use std::ops::Range;

use super::bytes_reader::BytesReader;

/// Where the first page begins: after the magic number.
pub(super) const PAGES_START: u64 = 4;

/// A page in the file: header and body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Page {
    /// Where it begins.
    pub offset: u64,
    /// Its length.
    pub bytes: u32,
    /// CRC32C of these bytes.
    pub crc: u32,
}

impl Page {
    /// The bytes of the file that it takes.
    pub(super) fn range(&self) -> Range<u64> {
        self.offset..self.offset + u64::from(self.bytes)
    }
}

/// All pages of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PageLayout {
    rows: u32,
    page_rows: u32,
    row_group_rows: u32,
    leaves: usize,
    /// In file order.
    pages: Vec<Page>,
    /// Index in `pages` where each column chunk begins, and one past the last.
    chunks: Vec<u32>,
}

impl PageLayout {
    /// The layout of a file that holds nothing yet.
    pub(super) fn new(page_rows: u32, row_group_rows: u32, leaves: usize) -> Self {
        let (pages, chunks) = (Vec::new(), vec![0]);
        Self { rows: 0, page_rows, row_group_rows, leaves, pages, chunks }
    }

    /// Appends a column chunk; `dictionary` and `pages` give length and checksum.
    pub(super) fn push_chunk(&mut self, dictionary: Option<(u32, u32)>, pages: &[(u32, u32)]) {
        for &(bytes, crc) in dictionary.iter().chain(pages) {
            let offset = self.end();
            self.pages.push(Page { offset, bytes, crc });
        }
        self.chunks.push(self.pages.len() as u32);
    }

    /// Counts the rows of a row group whose chunks were all pushed.
    pub(super) fn push_rows(&mut self, rows: u32) {
        self.rows += rows;
    }

    /// Bytes of memory.
    pub(super) fn byte_size(&self) -> usize {
        size_of_val(&self.pages[..]) + size_of_val(&self.chunks[..])
    }

    /// Rows in the file.
    pub(super) fn rows(&self) -> u32 {
        self.rows
    }

    /// Rows per page.
    pub(super) fn page_rows(&self) -> u32 {
        self.page_rows
    }

    /// Rows per row group.
    pub(super) fn row_group_rows(&self) -> u32 {
        self.row_group_rows
    }

    /// Leaf columns.
    pub(super) fn leaves(&self) -> usize {
        self.leaves
    }

    /// Row groups.
    pub(super) fn group_count(&self) -> usize {
        self.rows.div_ceil(self.row_group_rows) as usize
    }

    /// Page numbers.
    pub(super) fn page_count(&self) -> u32 {
        self.rows.div_ceil(self.page_rows)
    }

    /// Where the last page ends.
    pub(super) fn end(&self) -> u64 {
        self.pages.last().map_or(PAGES_START, |page| page.range().end)
    }

    /// The number of the page that holds `position`.
    pub(super) fn page_of(&self, position: u32) -> u32 {
        position / self.page_rows
    }

    /// The positions of page number `page`.
    pub(super) fn positions(&self, page: u32) -> Range<u32> {
        let start = page * self.page_rows;
        start..start.saturating_add(self.page_rows).min(self.rows)
    }

    /// The row group of page number `page`.
    pub(super) fn group_of(&self, page: u32) -> u32 {
        page / (self.row_group_rows / self.page_rows)
    }

    /// The positions of row group `group`.
    pub(super) fn group_positions(&self, group: u32) -> Range<u32> {
        let start = group * self.row_group_rows;
        start..start.saturating_add(self.row_group_rows).min(self.rows)
    }

    /// The pages of the file.
    pub(super) fn pages(&self) -> &[Page] {
        &self.pages
    }

    /// Index of page number `page` of a leaf column.
    pub(super) fn data_page(&self, leaf: usize, page: u32) -> u32 {
        let group = self.group_of(page);
        let chunk = self.chunk_pages(self.chunk(group, leaf));
        let in_group = page - group * (self.row_group_rows / self.page_rows);
        chunk.start + self.dictionary_pages(group, leaf) + in_group
    }

    /// Index of the dictionary page of a leaf column in a row group.
    pub(super) fn dictionary(&self, group: u32, leaf: usize) -> Option<u32> {
        let start = self.chunk_pages(self.chunk(group, leaf)).start;
        (self.dictionary_pages(group, leaf) == 1).then_some(start)
    }

    /// The number of the column chunk of a leaf column in a row group.
    pub(super) fn chunk(&self, group: u32, leaf: usize) -> u32 {
        group * self.leaves as u32 + leaf as u32
    }

    /// Indices of the pages of a column chunk.
    pub(super) fn chunk_pages(&self, chunk: u32) -> Range<u32> {
        self.chunks[chunk as usize]..self.chunks[chunk as usize + 1]
    }

    /// The column chunk that holds the page of this index.
    pub(super) fn chunk_of(&self, page: u32) -> u32 {
        self.chunks.partition_point(|&start| start <= page) as u32 - 1
    }

    /// Whether the page of this index is a dictionary.
    pub(super) fn is_dictionary(&self, page: u32) -> bool {
        let chunk = self.chunk_of(page);
        let (group, leaf) = (chunk / self.leaves as u32, chunk as usize % self.leaves);
        self.dictionary(group, leaf) == Some(page)
    }

    fn dictionary_pages(&self, group: u32, leaf: usize) -> u32 {
        self.chunk_pages(self.chunk(group, leaf)).len() as u32 - self.group_page_count(group)
    }

    fn group_page_count(&self, group: u32) -> u32 {
        (self.group_positions(group).len() as u32).div_ceil(self.page_rows)
    }

    /// Appends the encoded form.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        for number in [self.rows, self.page_rows, self.row_group_rows, self.leaves as u32] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        let mut put = |bytes: u32, crc: u32| {
            out.extend_from_slice(&bytes.to_le_bytes());
            out.extend_from_slice(&crc.to_le_bytes());
        };
        for group in 0..self.group_count() as u32 {
            for leaf in 0..self.leaves {
                if self.dictionary(group, leaf).is_none() {
                    put(0, 0);
                }
                for page in self.chunk_pages(self.chunk(group, leaf)) {
                    let page = self.pages[page as usize];
                    put(page.bytes, page.crc);
                }
            }
        }
    }

    /// Reads the encoded form; the error says what is wrong.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, String> {
        let mut reader = BytesReader::new(bytes);
        let [rows, page_rows, row_group_rows, leaves] =
            [reader.u32()?, reader.u32()?, reader.u32()?, reader.u32()?];
        if rows == 0 || page_rows == 0 || row_group_rows == 0 || row_group_rows % page_rows != 0 {
            return Err(format!(
                "impossible page layout: {rows} rows, {page_rows} per page, \
                 {row_group_rows} per row group"
            ));
        }
        let mut layout = Self::new(page_rows, row_group_rows, leaves as usize);
        layout.rows = rows;
        // Every page takes 8 bytes here, which bounds what is allocated below.
        let chunks = layout.group_count() as u64 * u64::from(leaves);
        let pages = u64::from(layout.page_count()) * u64::from(leaves) + chunks;
        if leaves == 0 || pages.checked_mul(8) != Some(reader.remaining() as u64) {
            return Err(format!("page layout of {rows} rows does not fit its length"));
        }
        for group in 0..layout.group_count() as u32 {
            for _ in 0..leaves {
                let dictionary = (reader.u32()?, reader.u32()?);
                if dictionary.0 == 0 && dictionary.1 != 0 {
                    return Err("checksum of a dictionary that is not there".to_string());
                }
                let pages = (0..layout.group_page_count(group))
                    .map(|_| Ok((reader.u32()?, reader.u32()?)))
                    .collect::<Result<Vec<_>, String>>()?;
                layout.push_chunk((dictionary.0 > 0).then_some(dictionary), &pages);
            }
        }
        Ok(layout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_4_gib() {
        let (page, count) = (u32::MAX - 7, 5);
        let mut layout = PageLayout::new(10, 10 * count, 2);
        let pages: Vec<(u32, u32)> = (0..count).map(|crc| (page, crc)).collect();
        for _ in 0..4 {
            layout.push_chunk(Some((page, 77)), &pages);
        }
        layout.push_rows(2 * 10 * count);
        let length = u64::from(page) * 4 * (1 + u64::from(count));
        assert_eq!(layout.end(), PAGES_START + length);
        for (before, page_there) in (0..).zip(layout.pages()) {
            assert_eq!(page_there.offset, PAGES_START + before * u64::from(page));
        }
        let mut bytes = Vec::new();
        layout.encode(&mut bytes);
        assert_eq!(PageLayout::decode(&bytes).unwrap(), layout);
    }
}
