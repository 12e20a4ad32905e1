//! Sorted keys in pages, as a file holds them: eight little-endian bytes each, with or without a
//! header before each page.

use omen_index::LeKeys;

use crate::random::Random;

/// Keys in a page; the last has the rest.
const PAGE_KEYS: usize = 1_024;
/// Bytes of a cache line.
const LINE_BYTES: usize = 64;
/// Bytes of the shortest and the longest header: pages begin at all sorts of addresses.
const HEADER_BYTES: (u64, u64) = (30, 49);

/// Pages of keys in one block of bytes.
#[derive(Debug)]
pub struct Pages {
    bytes: Vec<u8>,
    /// Where the keys of each page begin.
    starts: Vec<usize>,
    key_count: usize,
}

impl Pages {
    /// Pages without headers, each on a cache line.
    pub fn aligned(keys: &[u64]) -> Self {
        Self::new(keys, || 0)
    }

    /// Pages behind headers of 30 to 49 bytes.
    pub fn behind_headers(keys: &[u64]) -> Self {
        let mut random = Random::new(12);
        let (shortest, longest) = HEADER_BYTES;
        Self::new(keys, || (shortest + random.below(longest - shortest + 1)) as usize)
    }

    fn new(keys: &[u64], mut header_bytes: impl FnMut() -> usize) -> Self {
        let page_count = keys.len().div_ceil(PAGE_KEYS);
        let headers_max = page_count * HEADER_BYTES.1 as usize;
        let mut bytes: Vec<u8> = Vec::with_capacity(size_of_val(keys) + headers_max + LINE_BYTES);
        // The block never grows, so it stays where it is.
        bytes.resize(bytes.as_ptr().align_offset(LINE_BYTES), 0);
        let mut starts = Vec::with_capacity(page_count);
        for page in keys.chunks(PAGE_KEYS) {
            bytes.resize(bytes.len() + header_bytes(), 0xAA);
            starts.push(bytes.len());
            bytes.extend(page.iter().flat_map(|key| key.to_le_bytes()));
        }
        Self { bytes, starts, key_count: keys.len() }
    }

    /// The pages in order.
    pub fn pages(&self) -> Vec<LeKeys<'_>> {
        let lens = (0..self.key_count).step_by(PAGE_KEYS);
        let lens = lens.map(|first| PAGE_KEYS.min(self.key_count - first) * size_of::<u64>());
        let starts = self.starts.iter();
        starts.zip(lens).map(|(&at, len)| LeKeys::new(&self.bytes[at..at + len])).collect()
    }

    /// How many pages begin on a cache line, and how many on no multiple of eight.
    pub fn alignment(&self) -> (usize, usize) {
        let address = |start: &usize| self.bytes.as_ptr().addr() + start;
        let count = |is: fn(usize) -> bool| self.starts.iter().filter(|s| is(address(s))).count();
        (count(|a| a.is_multiple_of(LINE_BYTES)), count(|a| !a.is_multiple_of(size_of::<u64>())))
    }
}
