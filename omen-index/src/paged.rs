//! Lookups in keys that lie in pages.
//!
//! A file keeps its keys in pages, which lie anywhere in memory, or not in memory at all. Whoever
//! fetches pages one by one asks [`Rmi::search_range`] which to fetch and
//! [`Rmi::lower_bound_in_page`] for the place in it; whoever has all of them makes [`PagedKeys`]
//! of them and searches as in one slice. A page is a slice of keys, or of eight little-endian
//! bytes each, at any address: [`LeKeys`].

use crate::batch::LowerBounds;
use crate::rmi::{LowerBound, Rmi};
use crate::search;
use crate::simd::{self, Isa, Kernel, LINE};
use crate::slots::Slots;

/// Sorted keys as they lie in a file: eight bytes each, little-endian, not aligned.
#[derive(Clone, Copy, Debug)]
pub struct LeKeys<'a>(&'a [[u8; 8]]);

impl<'a> LeKeys<'a> {
    /// The keys in `bytes`; a rest of fewer than eight is left out.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes.as_chunks().0)
    }
}

/// One page of sorted keys: `&[u64]` or [`LeKeys`].
#[expect(private_bounds, reason = "what a search needs of keys is nobody else's business")]
pub trait KeyPage: Slots {}

impl KeyPage for &[u64] {}
impl KeyPage for LeKeys<'_> {}

/// A sorted sequence of keys in pages of the same length; only the last may be shorter.
#[derive(Clone, Copy, Debug)]
pub struct PagedKeys<'a, P> {
    pages: &'a [P],
    page_len: usize,
    /// `2^64 / page_len`, rounded up: a multiplication instead of a division finds the page.
    page_len_inverse: u64,
    len: usize,
}

impl<'a, P: KeyPage> PagedKeys<'a, P> {
    /// The keys in these pages, one page after the other.
    ///
    /// # Panics
    /// If a page but the last has another length than the first, or the last is longer or empty.
    pub fn new(pages: &'a [P]) -> Self {
        let page_len = pages.first().map_or(1, |page| page.len());
        let last_len = pages.last().map_or(1, |page| page.len());
        let full = &pages[..pages.len().saturating_sub(1)];
        let fits = full.iter().all(|page| page.len() == page_len) && last_len <= page_len;
        assert!(fits && last_len > 0, "pages must have the same length, but for the last");
        let len = if pages.is_empty() { 0 } else { full.len() * page_len + last_len };
        assert!(u32::try_from(len).is_ok(), "more keys than an index holds");
        // Exact for all positions, as these and the length have at most 32 bits.
        let page_len_inverse = (u64::MAX / page_len as u64).wrapping_add(1);
        Self { pages, page_len, page_len_inverse, len }
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The number of the page of a position.
    #[inline(always)]
    fn page_of(self, position: usize) -> usize {
        if self.page_len == 1 {
            return position;
        }
        ((u128::from(self.page_len_inverse) * position as u128) >> 64) as usize
    }

    /// Moves `from` so that `N` keys from there lie in the page of `position`, if it has so many.
    #[inline(always)]
    fn into_page<const N: usize>(self, from: usize, position: usize) -> usize {
        let first = self.page_of(position) * self.page_len;
        let end = (first + self.page_len).min(self.len);
        from.min(end.saturating_sub(N)).max(first)
    }
}

impl<P: KeyPage> Slots for PagedKeys<'_, P> {
    #[inline(always)]
    fn len(self) -> usize {
        self.len
    }

    #[inline(always)]
    fn key(self, position: usize) -> u64 {
        let number = self.page_of(position);
        let page = self.pages.get(number);
        page.map_or(u64::MAX, |page| page.key(position - number * self.page_len))
    }

    #[inline(always)]
    fn around<const N: usize>(self, hint: usize) -> usize {
        let position = hint.min(self.len.saturating_sub(1));
        let number = self.page_of(position);
        let first = number * self.page_len;
        self.pages.get(number).map_or(0, |page| first + page.around::<N>(position - first))
    }

    #[inline(always)]
    fn covering<const N: usize>(self, position: usize) -> usize {
        self.into_page::<N>(position, position.min(self.len.saturating_sub(1)))
    }

    #[inline(always)]
    fn beside<const N: usize>(self, from: usize, is_right: bool) -> usize {
        match is_right {
            true => {
                let position = (from + N).min(self.len.saturating_sub(1));
                self.into_page::<N>(from + N, position)
            }
            false => {
                let position = from.saturating_sub(1).min(self.len.saturating_sub(1));
                self.into_page::<N>(from.saturating_sub(N), position)
            }
        }
    }

    #[inline(always)]
    fn count_below<const N: usize, I: Isa>(self, isa: I, from: usize, bound: u64) -> Option<usize> {
        let number = self.page_of(from);
        self.pages.get(number)?.count_below::<N, I>(isa, from - number * self.page_len, bound)
    }

    #[inline(always)]
    fn prefetch(self, position: usize) {
        let number = self.page_of(position);
        if let Some(page) = self.pages.get(number) {
            page.prefetch(position - number * self.page_len);
        }
    }
}

impl Slots for LeKeys<'_> {
    #[inline(always)]
    fn len(self) -> usize {
        self.0.len()
    }

    #[inline(always)]
    fn key(self, position: usize) -> u64 {
        self.0.get(position).map_or(u64::MAX, |&key| u64::from_le_bytes(key))
    }

    #[inline(always)]
    fn around<const N: usize>(self, hint: usize) -> usize {
        // The address may be no multiple of eight: then lines are met as nearly as can be.
        let skew = (self.0.as_ptr().addr() / size_of::<u64>()) % LINE;
        let margin = (N - LINE) / 2;
        let line = (hint + skew + margin) & !(LINE - 1);
        line.saturating_sub(2 * margin + skew).min(self.0.len().saturating_sub(N))
    }

    #[inline(always)]
    fn covering<const N: usize>(self, position: usize) -> usize {
        position.min(self.0.len().saturating_sub(N))
    }

    #[inline(always)]
    fn beside<const N: usize>(self, from: usize, is_right: bool) -> usize {
        let right = (from + N).min(self.0.len().saturating_sub(N));
        if is_right { right } else { from.saturating_sub(N) }
    }

    #[inline(always)]
    fn count_below<const N: usize, I: Isa>(self, isa: I, from: usize, bound: u64) -> Option<usize> {
        Some(isa.count_below_le(self.0.get(from..)?.first_chunk::<N>()?, bound))
    }

    #[inline(always)]
    fn prefetch(self, position: usize) {
        simd::prefetch(self.0.get(position));
    }
}

impl Rmi {
    /// The lower bound of `key` among the keys of one page, whose first key has position `first`:
    /// right whatever the page is, and quick if it is the one that the index expects the key in.
    ///
    /// ```
    /// use omen_index::Rmi;
    ///
    /// let keys: Vec<u64> = (0..100_000).map(|i| i * 3).collect();
    /// let index = Rmi::train(&keys)?;
    /// let pages: Vec<&[u64]> = keys.chunks(1_024).collect();
    ///
    /// let number = index.predict(210_003) / 1_024; // the page to fetch first
    /// assert_eq!(index.lower_bound_in_page(pages[number], number * 1_024, 210_003), 369);
    /// assert_eq!(number * 1_024 + 369, 70_001);
    /// # Ok::<(), omen_index::Error>(())
    /// ```
    #[inline]
    pub fn lower_bound_in_page<P: KeyPage>(&self, page: P, first: usize, key: u64) -> usize {
        simd::dispatch::<InPage, _, _, _>(self, (page, first), key)
    }

    /// As [`Rmi::lower_bound`], in keys that lie in pages.
    ///
    /// # Panics
    /// As [`Rmi::lower_bound`].
    #[inline]
    pub fn lower_bound_paged<P: KeyPage>(&self, keys: PagedKeys<'_, P>, key: u64) -> usize {
        self.assert_len(keys.len);
        simd::dispatch::<LowerBound, _, _, _>(self, keys, key)
    }

    /// As [`Rmi::lower_bound_batch`], in keys that lie in pages.
    ///
    /// # Panics
    /// As [`Rmi::lower_bound_batch`].
    pub fn lower_bound_paged_batch<P: KeyPage>(
        &self,
        keys: PagedKeys<'_, P>,
        probes: &[u64],
        positions: &mut [usize],
    ) {
        self.assert_len(keys.len);
        assert!(probes.len() == positions.len(), "one position is needed per probe");
        simd::dispatch::<LowerBounds, _, _, _>(self, keys, (probes, positions));
    }
}

/// [`Rmi::lower_bound_in_page`].
struct InPage;

impl<P: KeyPage> Kernel<&Rmi, (P, usize), u64> for InPage {
    type Output = usize;

    #[inline(always)]
    fn run<I: Isa>(isa: I, rmi: &Rmi, (page, first): (P, usize), key: u64) -> usize {
        let sight = rmi.locate_with(isa, key).within(first, page.len());
        search::lower_bound_near(isa, page, sight, key)
    }
}
