//! From a key to its place in a segment: the learned index and the page fences.
//!
//! The learned index gives a range of positions that holds the lower bound of any byte string; the
//! fences (the first key of every page) choose the one page of that range that has to be read, and
//! often spare even that.
//!
//! ```text
//! section 1: common prefix length u32 | learned index
//! section 3: key width u32 (0: byte strings) | count u32
//!            | width > 0: keys | width = 0: offset u32 (count + 1 times), keys
//! ```
//! (All integers little-endian.)
//!
//! Invariant: all keys of the segment begin with the common prefix; the model sees the eight bytes
//! behind it.

use std::cmp::Ordering;
use std::ops::Range;

use omen_index::key::encoding::{common_prefix_len, model_key};
use omen_index::{Rmi, RmiBuilder, RmiStats};

use super::bytes_reader::BytesReader;
use super::layout::PageLayout;
use crate::storage::key::{Keys, least_not_below};

/// Where the lower bound of a probe lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// At a known position; `found`: the key there equals the probe.
    At { position: u32, found: bool },
    /// Inside page number `page`, at a position of `window` or at its end.
    In { page: u32, window: Range<u32> },
}

/// The resident part of key search.
#[derive(Debug)]
pub(super) struct KeyIndex {
    prefix: Vec<u8>,
    model: Rmi,
    fences: Keys,
    page_rows: u32,
    rows: u32,
}

impl KeyIndex {
    /// Reads sections 1 and 3 of a segment that begins with `min_key`; the error says what is
    /// wrong.
    pub(super) fn decode(
        index: &[u8],
        fences: &[u8],
        min_key: &[u8],
        layout: &PageLayout,
    ) -> Result<Self, String> {
        let mut reader = BytesReader::new(index);
        let prefix_len = reader.u32()? as usize;
        let prefix = min_key
            .get(..prefix_len)
            .ok_or_else(|| format!("common prefix of {prefix_len} bytes exceeds the first key"))?
            .to_vec();
        let model = Rmi::from_bytes(reader.rest()).map_err(|e| e.to_string())?;
        let fences = decode_fences(fences)?;
        if model.len() != layout.rows() as usize || fences.len() != layout.page_count() as usize {
            return Err(format!(
                "index of {} keys and {} pages, file of {} rows and {} pages",
                model.len(),
                fences.len(),
                layout.rows(),
                layout.page_count()
            ));
        }
        let (page_rows, rows) = (layout.page_rows(), layout.rows());
        Ok(Self { prefix, model, fences, page_rows, rows })
    }

    /// Figures of the learned index.
    pub(super) fn stats(&self) -> RmiStats {
        self.model.stats()
    }

    /// The first key of each page.
    pub(super) fn fences(&self) -> &Keys {
        &self.fences
    }

    /// Where the lower bound of `probe` lies; reads nothing.
    pub(super) fn locate(&self, probe: &[u8]) -> Place {
        let shared = common_prefix_len(&self.prefix, probe);
        if shared < self.prefix.len() {
            let below = probe.get(shared).is_none_or(|byte| *byte < self.prefix[shared]);
            let position = if below { 0 } else { self.rows };
            return Place::At { position, found: false };
        }
        let hint = self.hint(probe);
        self.refine(probe, hint.clone()).unwrap_or_else(|| {
            // The hint contradicts the fences: search without it.
            self.refine(probe, 0..self.rows)
                .unwrap_or(Place::At { position: self.rows, found: false })
        })
    }

    /// The positions, end included, that the model allows for the lower bound of `probe`.
    pub(super) fn hint(&self, probe: &[u8]) -> Range<u32> {
        let range = self.model.search_range(model_key(probe, self.prefix.len()));
        let end = range.end.min(self.rows as usize) as u32;
        (range.start as u32).min(end)..end
    }

    /// Where the model expects the lower bound of `probe`.
    pub(super) fn predict(&self, probe: &[u8]) -> u32 {
        self.model.predict(model_key(probe, self.prefix.len())) as u32
    }

    /// The lower bound of a probe in a page, whose first position is `start`, given its keys and
    /// the positions that [`KeyIndex::locate`] allows in it; and whether the key there is the
    /// probe.
    pub(super) fn search_page(
        &self,
        keys: &Keys,
        start: u32,
        window: &Range<u32>,
        probe: &[u8],
    ) -> (u32, bool) {
        let index = match keys {
            // Such keys are what the model was trained on.
            Keys::Fixed { width, values } if self.prefix.is_empty() => {
                match least_not_below(*width, probe) {
                    Some(least) => {
                        self.model.lower_bound_in_page(&values[..], start as usize, least)
                    }
                    None => values.len(),
                }
            }
            _ => return search_page(keys, start, window, self.predict(probe), probe),
        };
        let found = index < keys.len() && keys.compare_bytes(index, probe) == Ordering::Equal;
        (start + index as u32, found)
    }

    /// Chooses the page within the hint; `None` if fences and hint cannot both be right.
    fn refine(&self, probe: &[u8], hint: Range<u32>) -> Option<Place> {
        let first = (hint.start.min(self.rows - 1) / self.page_rows) as usize;
        let last = (hint.end.min(self.rows - 1) / self.page_rows) as usize;
        let fence = self.fences.lower_bound_in(first..last + 1, probe);
        let start_of = |page: usize| (page as u32).saturating_mul(self.page_rows).min(self.rows);
        if fence <= last && self.fences.compare_bytes(fence, probe) == Ordering::Equal {
            return Some(Place::At { position: start_of(fence), found: true });
        }
        if fence == 0 {
            return Some(Place::At { position: 0, found: false });
        }
        // The first key of page `fence - 1` is below the probe, that of page `fence` above it.
        let page = fence - 1;
        let low = hint.start.max(start_of(page) + 1);
        let high = hint.end.min(start_of(fence));
        match low.cmp(&high) {
            Ordering::Less => Some(Place::In { page: page as u32, window: low..high }),
            // Only one position is left. It is the first of a page whose fence was compared, the
            // end of the file, or else its key must be read.
            Ordering::Equal if high == start_of(fence) => {
                Some(Place::At { position: high, found: false })
            }
            Ordering::Equal => Some(Place::In { page: page as u32, window: low..high }),
            Ordering::Greater => None,
        }
    }
}

/// The lower bound of `probe` in a page's keys, given the positions the index allows in it and
/// where it expects the key.
pub(super) fn search_page(
    keys: &Keys,
    start: u32,
    window: &Range<u32>,
    hint: u32,
    probe: &[u8],
) -> (u32, bool) {
    let clamp = |position: u32| (position.saturating_sub(start) as usize).min(keys.len());
    let (low, high) = (clamp(window.start), clamp(window.end));
    let below = |i: usize| keys.compare_bytes(i, probe) == Ordering::Less;
    let mut index = keys.lower_bound_near(low..high, clamp(hint), probe);
    // The neighbours prove the answer; were the index wrong, the whole page is searched.
    if (index > 0 && !below(index - 1)) || (index < keys.len() && below(index)) {
        index = keys.lower_bound_in(0..keys.len(), probe);
    }
    let found = index < keys.len() && keys.compare_bytes(index, probe) == Ordering::Equal;
    (start + index as u32, found)
}

/// Builds the index while keys stream past.
#[derive(Debug)]
pub(super) struct KeyIndexBuilder {
    prefix_len: usize,
    model: RmiBuilder,
    fences: Keys,
}

impl KeyIndexBuilder {
    /// For keys within `bounds`, kept as `like` keeps them.
    pub(super) fn new(bounds: (&[u8], &[u8]), fixed_width: Option<usize>) -> Self {
        let shared = common_prefix_len(bounds.0, bounds.1);
        // Keys of fixed width are numbers to the model as they are.
        let prefix_len = if fixed_width.is_some() { 0 } else { shared };
        Self { prefix_len, model: RmiBuilder::new(), fences: Keys::new(fixed_width) }
    }

    /// Bytes that every key must begin with.
    pub(super) fn prefix_len(&self) -> usize {
        self.prefix_len
    }

    /// Appends keys in ascending order.
    pub(super) fn push(&mut self, keys: &Keys) -> Result<(), omen_index::Error> {
        (0..keys.len()).try_for_each(|i| self.model.push(keys.model_key(i, self.prefix_len)))
    }

    /// Names key `index` of `keys` the first of the next page.
    pub(super) fn push_fence(&mut self, keys: &Keys, index: usize) {
        self.fences.push_from(keys, index);
    }

    /// Sections 1 and 3.
    pub(super) fn finish(self) -> Result<(Vec<u8>, Vec<u8>), omen_index::Error> {
        let mut index = (self.prefix_len as u32).to_le_bytes().to_vec();
        index.extend_from_slice(&self.model.finish()?.to_bytes());
        Ok((index, encode_fences(&self.fences)))
    }
}

fn encode_fences(fences: &Keys) -> Vec<u8> {
    let mut out = Vec::new();
    let mut put = |number: u32| out.extend_from_slice(&number.to_le_bytes());
    match fences {
        Keys::Fixed { width, values } => {
            put(*width as u32);
            put(values.len() as u32);
            for index in 0..values.len() {
                out.extend_from_slice(&fences.get(index));
            }
        }
        Keys::Bytes { offsets, data } => {
            put(0);
            put(fences.len() as u32);
            offsets.iter().for_each(|&offset| put(offset));
            out.extend_from_slice(data);
        }
    }
    out
}

fn decode_fences(bytes: &[u8]) -> Result<Keys, String> {
    let mut reader = BytesReader::new(bytes);
    let (width, count) = (reader.u32()? as usize, reader.u32()? as usize);
    let fences = match width {
        0 => {
            if reader.remaining() / 4 <= count {
                return Err(format!("fences cut short: {count} expected"));
            }
            let offsets = (0..=count).map(|_| reader.u32()).collect::<Result<Vec<_>, _>>()?;
            let data = reader.rest().to_vec();
            let ends = offsets.first() == Some(&0)
                && offsets.last().is_some_and(|end| *end as usize == data.len());
            if !ends || !offsets.is_sorted() {
                return Err("fence offsets do not ascend over their keys".to_string());
            }
            Keys::Bytes { offsets, data }
        }
        1..=8 => {
            let body = reader.rest();
            if Some(body.len()) != count.checked_mul(width) {
                return Err(format!("{count} fences of {width} bytes in {} bytes", body.len()));
            }
            let values = body.chunks_exact(width).map(|key| model_key(key, 0)).collect();
            Keys::Fixed { width, values }
        }
        _ => return Err(format!("fences of {width} bytes each")),
    };
    match fences.is_strictly_ascending() {
        true => Ok(fences),
        false => Err("fences do not ascend".to_string()),
    }
}
