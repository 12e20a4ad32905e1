//! From a key to its place in a segment: the learned index and the page fences.
//!
//! The learned index gives a range of positions that holds the lower bound of any byte string; the
//! fences (the first key of every page) choose the one page of that range that has to be read, and
//! often spare even that.
//!
//! ```text
//! section 1: key width u32 (0: byte strings) | learned index: of numbers, or of byte strings
//! section 3: key width u32 (0: byte strings) | count u32
//!            | width > 0: keys | width = 0: offset u32 (count + 1 times), keys
//! ```
//! (All integers little-endian.)
//!
//! Without the index (it was damaged) the fences alone lead to the page, by halving.
//!
//! Invariant: index, fences and table agree on how keys are kept. Neither index nor fences decide
//! what is in a page: its keys do.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use omen_index::RmiStats;
use omen_index::key::{common_prefix_len, model_key};

use super::bytes_reader::BytesReader;
use super::layout::PageLayout;
use crate::storage::key::{KeyModel, KeyModelBuilder, Keys};

/// Bytes of the width at the beginning of section 1.
const WIDTH_BYTES: usize = 4;

/// How section 1 and section 3 say what kind of keys they are about.
fn stored_width(fixed_width: Option<usize>) -> u32 {
    fixed_width.unwrap_or(0) as u32
}

/// Where the lower bound of a probe lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// At a known position; `found`: the key there equals the probe.
    At { position: u32, found: bool },
    /// Inside page number `page`, at a position of `window` or at its end, and most likely near
    /// `hint`.
    In { page: u32, window: Range<u32>, hint: u32 },
}

/// The resident part of key search.
#[derive(Debug)]
pub(super) struct KeyIndex {
    /// Absent if it was damaged.
    model: Option<KeyModel>,
    fences: Keys,
    page_rows: u32,
    rows: u32,
}

impl KeyIndex {
    /// Reads section 3 of a segment whose keys have `fixed_width`; the error says what is wrong.
    pub(super) fn of_fences(
        fences: &[u8],
        fixed_width: Option<usize>,
        layout: &PageLayout,
    ) -> Result<Self, String> {
        let fences = decode_fences(fences)?;
        let expected = stored_width(fixed_width);
        let found = match &fences {
            Keys::Fixed { width, .. } => stored_width(Some(*width)),
            Keys::Bytes { .. } => stored_width(None),
        };
        if found != expected {
            return Err(format!("fences of {found} bytes, keys of {expected} (0: any)"));
        }
        let (page_rows, rows, pages) = (layout.page_rows(), layout.rows(), layout.page_count());
        if fences.len() != pages as usize {
            return Err(format!("fences of {} pages, file of {pages} pages", fences.len()));
        }
        Ok(Self { model: None, fences, page_rows, rows })
    }

    /// Takes in section 1; the error says what is wrong.
    pub(super) fn set_model(&mut self, index: &[u8]) -> Result<(), String> {
        let fixed_width = match &self.fences {
            Keys::Fixed { width, .. } => Some(*width),
            Keys::Bytes { .. } => None,
        };
        let (width, expected) = (BytesReader::new(index).u32()?, stored_width(fixed_width));
        if width != expected {
            return Err(format!("index of keys of {width} bytes, fences of {expected} (0: any)"));
        }
        // The index works where it lies; bytes of its own let go of the rest of the tail.
        let bytes: Arc<[u8]> = Arc::from(index);
        let stored = WIDTH_BYTES..bytes.len();
        let model = KeyModel::open(fixed_width.is_some(), bytes, stored);
        let model = model.map_err(|e| e.to_string())?;
        if model.len() != self.rows as usize {
            return Err(format!("index of {} keys, file of {} rows", model.len(), self.rows));
        }
        self.model = Some(model);
        Ok(())
    }

    /// Figures of the learned index, if there is one.
    pub(super) fn stats(&self) -> Option<RmiStats> {
        self.model.as_ref().map(KeyModel::stats)
    }

    /// The first key of each page.
    pub(super) fn fences(&self) -> &Keys {
        &self.fences
    }

    /// Where the lower bound of `probe` lies; reads nothing.
    pub(super) fn locate(&self, probe: &[u8]) -> Place {
        let (range, hint) = self.locate_in_file(probe);
        let page_of = |position: u32| (position.min(self.rows - 1) / self.page_rows) as usize;
        let start_of = |page: usize| (page as u32).saturating_mul(self.page_rows).min(self.rows);
        let pages = page_of(range.start)..page_of(range.end) + 1;
        let fence = self.fences.lower_bound_near(pages, page_of(hint) + 1, probe);
        let is_found =
            fence < self.fences.len() && self.fences.compare_bytes(fence, probe) == Ordering::Equal;
        let Some(page) = fence.checked_sub(1).filter(|_| !is_found) else {
            return Place::At { position: start_of(fence), found: is_found };
        };
        // The first key of the page is below the probe, that of the next above it. Only the keys
        // between can tell more, whatever the model says.
        let (start, end) = (start_of(page) + 1, start_of(fence));
        let low = range.start.clamp(start, end);
        let window = low..range.end.clamp(low, end);
        Place::In { page: page as u32, window, hint }
    }

    /// The positions, end included, that the model allows for the lower bound of `probe`, and the
    /// one where it expects it.
    pub(super) fn locate_in_file(&self, probe: &[u8]) -> (Range<u32>, u32) {
        let Some(model) = &self.model else { return (0..self.rows, self.rows / 2) };
        let (range, hint) = model.locate(probe);
        // The model has as many keys as there are rows.
        (range.start as u32..range.end as u32, hint as u32)
    }

    /// The lower bound of a probe in a page, whose first position is `start`, given its keys and
    /// the positions that [`KeyIndex::locate`] allows in it; and whether the key there is the
    /// probe.
    pub(super) fn search_page(
        &self,
        keys: &Keys,
        start: u32,
        (window, hint): (&Range<u32>, u32),
        probe: &[u8],
    ) -> (u32, bool) {
        let expected = (window.start as usize..window.end as usize, hint as usize);
        let index = match &self.model {
            Some(model) => model.lower_bound_in_page(keys, start as usize, expected, probe),
            None => keys.lower_bound_in(0..keys.len(), probe),
        };
        let found = index < keys.len() && keys.compare_bytes(index, probe) == Ordering::Equal;
        (start + index as u32, found)
    }
}

/// Builds the index while keys stream past.
#[derive(Debug)]
pub(super) struct KeyIndexBuilder {
    prefix_len: usize,
    model: KeyModelBuilder,
    fences: Keys,
}

impl KeyIndexBuilder {
    /// For keys within `bounds`, kept as `like` keeps them.
    pub(super) fn new(bounds: (&[u8], &[u8]), fixed_width: Option<usize>) -> Self {
        let shared = common_prefix_len(bounds.0, bounds.1);
        // Keys of fixed width are numbers to the model as they are.
        let prefix_len = if fixed_width.is_some() { 0 } else { shared };
        let model = KeyModelBuilder::new(fixed_width.is_some(), prefix_len);
        Self { prefix_len, model, fences: Keys::new(fixed_width) }
    }

    /// Bytes that every key must begin with.
    pub(super) fn prefix_len(&self) -> usize {
        self.prefix_len
    }

    /// Appends keys in ascending order.
    pub(super) fn push(&mut self, keys: &Keys) -> Result<(), omen_index::Error> {
        self.model.push(keys)
    }

    /// Names key `index` of `keys` the first of the next page.
    pub(super) fn push_fence(&mut self, keys: &Keys, index: usize) {
        self.fences.push_from(keys, index);
    }

    /// Sections 1 and 3.
    pub(super) fn finish(self) -> Result<(Vec<u8>, Vec<u8>), omen_index::Error> {
        let fixed_width = match &self.fences {
            Keys::Fixed { width, .. } => Some(*width),
            Keys::Bytes { .. } => None,
        };
        let mut index = stored_width(fixed_width).to_le_bytes().to_vec();
        index.extend_from_slice(&self.model.finish()?.stored_form());
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
