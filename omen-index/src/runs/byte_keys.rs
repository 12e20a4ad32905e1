//! Lists of byte strings, one behind the other.
//!
//! Called through [`KeyList`]. Byte strings are sorted and merged by the eight bytes that follow
//! what all of them begin with; only where these agree is the rest looked at.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::OnceLock;

use super::keys::{KeyList, Log, Part, Sealed, Sorted};
use crate::fingerprints::{self, Fingerprints};
use crate::key::{ByteIndex, ByteIndexBuilder, common_prefix_len, gallop, halve, model_key};
use crate::simd;

/// A list of byte strings.
///
/// ```
/// use omen_index::runs::ByteKeys;
///
/// let mut keys = ByteKeys::new();
/// keys.push(b"Lisboa");
/// keys.push(b"");
/// assert_eq!((keys.len(), keys.get(0), keys.get(1)), (2, &b"Lisboa"[..], &b""[..]));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ByteKeys {
    /// Where each key ends.
    ends: Vec<usize>,
    data: Vec<u8>,
}

impl ByteKeys {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty list with room for so many keys, of so many bytes together.
    fn with_capacity(keys: usize, bytes: usize) -> Self {
        Self { ends: Vec::with_capacity(keys), data: Vec::with_capacity(bytes) }
    }

    /// How many keys.
    #[inline]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The key at `position`.
    ///
    /// # Panics
    /// If there are no more keys than that.
    #[inline]
    pub fn get(&self, position: usize) -> &[u8] {
        &self.data[self.start(position)..self.ends[position]]
    }

    /// Adds a key at the end.
    pub fn push(&mut self, key: &[u8]) {
        self.data.extend_from_slice(key);
        self.ends.push(self.data.len());
    }

    /// Bytes of memory.
    pub fn byte_size(&self) -> usize {
        self.ends.capacity() * size_of::<usize>() + self.data.capacity()
    }

    /// Where the key at `position` begins.
    #[inline]
    fn start(&self, position: usize) -> usize {
        position.checked_sub(1).map_or(0, |before| self.ends[before])
    }

    /// All keys.
    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|position| self.get(position))
    }
}

impl Sealed for ByteKeys {}

impl KeyList for ByteKeys {
    type Key<'a> = &'a [u8];
    type Index = ByteIndex;
    type Log = ByteLog;

    #[inline]
    fn len(&self) -> usize {
        ByteKeys::len(self)
    }

    #[inline]
    fn key(&self, position: usize) -> &[u8] {
        self.get(position)
    }

    fn push(&mut self, key: &[u8]) {
        ByteKeys::push(self, key);
    }

    fn reserve_for(&mut self, parts: &[Part<'_, Self>]) {
        self.ends.reserve_exact(parts.iter().map(Part::len).sum());
        self.data.reserve_exact(parts.iter().map(bytes_of).sum());
    }

    fn shrink(&mut self) {
        self.ends.shrink_to_fit();
        self.data.shrink_to_fit();
    }

    fn append(&mut self, other: &Self, range: Range<usize>) {
        let Some(last) = range.end.checked_sub(1).filter(|_| !range.is_empty()) else { return };
        let (from, to) = (other.start(range.start), self.data.len());
        self.data.extend_from_slice(&other.data[from..other.ends[last]]);
        self.ends.extend(other.ends[range].iter().map(|end| end - from + to));
    }

    fn byte_size(&self) -> usize {
        ByteKeys::byte_size(self)
    }

    #[inline]
    fn order(a: &[u8], b: &[u8]) -> Ordering {
        a.cmp(b)
    }

    #[inline]
    fn stem(key: &[u8]) -> u64 {
        model_key(key, 0)
    }

    #[inline]
    fn hash(key: &[u8]) -> u64 {
        fingerprints::hash(key)
    }

    fn fingerprints(&self) -> Fingerprints {
        Fingerprints::new(&self.iter().map(fingerprints::hash).collect::<Vec<u64>>())
    }

    fn train(&self) -> Option<ByteIndex> {
        let last = self.len().checked_sub(1)?;
        let prefix_len = common_prefix_len(self.get(0), self.get(last));
        let mut builder = ByteIndexBuilder::new(prefix_len);
        self.iter().try_for_each(|key| builder.push(key)).ok()?;
        builder.finish().ok()
    }

    fn index_size(index: &ByteIndex) -> usize {
        index.byte_size()
    }

    #[inline]
    fn lower_bound(&self, index: Option<&ByteIndex>, key: &[u8]) -> usize {
        match index {
            Some(index) => self.lower_bound_guessed(index, key, |_| {}),
            None => halve(0..self.len(), |position| self.get(position) < key),
        }
    }

    #[inline]
    fn lower_bound_guessed(
        &self,
        index: &ByteIndex,
        key: &[u8],
        on_guess: impl FnOnce(usize),
    ) -> usize {
        let (range, guess) = index.locate(key);
        on_guess(guess);
        gallop(self.len(), range, guess, |position| self.get(position) < key)
    }

    fn lower_bound_batch(
        &self,
        index: Option<&ByteIndex>,
        keys: &[&[u8]],
        positions: &mut [usize],
    ) {
        let Some(index) = index else {
            for (&key, position) in keys.iter().zip(positions) {
                *position = halve(0..self.len(), |position| self.get(position) < key);
            }
            return;
        };
        // The waits for ends and bytes of different keys overlap.
        let located: Vec<(Range<usize>, usize)> =
            keys.iter().map(|key| index.locate(key)).collect();
        for (_, guess) in &located {
            simd::prefetch(self.ends.get(*guess));
        }
        for (_, guess) in &located {
            let end = self.ends.get(*guess).copied().unwrap_or_default();
            simd::prefetch(self.data.get(end));
        }
        for ((&key, position), (range, guess)) in keys.iter().zip(positions).zip(located) {
            *position = gallop(self.len(), range, guess, |position| self.get(position) < key);
        }
    }

    fn prefetch(&self, index: &ByteIndex, key: &[u8]) {
        simd::prefetch(self.ends.get(index.predict(key)));
    }

    fn sort(lists: &[Sorted<Self>]) -> Sorted<Self> {
        let keys = || lists.iter().flat_map(|(keys, _)| keys.iter());
        let Some(first) = keys().next() else { return Sorted::default() };
        let prefix_len = keys().fold(first.len(), |len, key| common_prefix_len(&first[..len], key));
        let mut order: Vec<(u64, u32, u32)> = Vec::with_capacity(keys().count());
        for ((keys, _), list) in lists.iter().zip(0..) {
            let stems = keys.iter().zip(0..).map(|(key, i)| (model_key(key, prefix_len), list, i));
            order.extend(stems);
        }
        let key_at = |&(_, list, i): &(u64, u32, u32)| lists[list as usize].0.get(i as usize);
        order.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| key_at(a).cmp(key_at(b))));
        let bytes = lists.iter().map(|(keys, _)| keys.data.len()).sum();
        let mut sorted = ByteKeys::with_capacity(order.len(), bytes);
        order.iter().for_each(|entry| sorted.push(key_at(entry)));
        let values = order.iter().map(|&(_, list, i)| lists[list as usize].1[i as usize]);
        (sorted, values.collect())
    }

    fn merge(parts: Vec<Part<'_, Self>>) -> Sorted<Self> {
        let mut merged: Sorted<Self> = Sorted::default();
        merged.0.reserve_for(&parts);
        merged.1.reserve_exact(parts.iter().map(Part::len).sum());
        let mins = || parts.iter().map(Part::min);
        let maxs = parts.iter().map(Part::max);
        let (Some(min), Some(max)) = (mins().min(), maxs.max()) else { return merged };
        let prefix_len = common_prefix_len(min, max);
        let mut heads: Vec<Head> =
            parts.into_iter().filter_map(|part| Head::new(part, prefix_len)).collect();
        heads.sort_by(|a, b| b.order(a));
        while let Some(least) = heads.last_mut() {
            merged.0.push(least.key);
            merged.1.push(least.part.values[least.part.range.start]);
            if !least.advance(prefix_len) {
                heads.pop();
                continue;
            }
            let mut at = heads.len() - 1;
            while at > 0 && heads[at].order(&heads[at - 1]) == Ordering::Greater {
                heads.swap(at, at - 1);
                at -= 1;
            }
        }
        merged
    }
}

/// Bytes of all keys of a part.
fn bytes_of(part: &Part<'_, ByteKeys>) -> usize {
    part.keys.start(part.range.end) - part.keys.start(part.range.start)
}

/// The first entry of what is left of a part.
struct Head<'a> {
    stem: u64,
    key: &'a [u8],
    part: Part<'a, ByteKeys>,
}

impl<'a> Head<'a> {
    fn new(part: Part<'a, ByteKeys>, prefix_len: usize) -> Option<Self> {
        let key = (!part.range.is_empty()).then(|| part.min())?;
        Some(Self { stem: model_key(key, prefix_len), key, part })
    }

    /// Goes on to the next entry; false if there is none.
    fn advance(&mut self, prefix_len: usize) -> bool {
        self.part.range.start += 1;
        if self.part.range.is_empty() {
            return false;
        }
        self.key = self.part.min();
        self.stem = model_key(self.key, prefix_len);
        true
    }

    #[inline]
    fn order(&self, other: &Self) -> Ordering {
        self.stem.cmp(&other.stem).then_with(|| self.key.cmp(other.key))
    }
}

/// Byte strings with their values in the order of arrival, each in memory of its own.
#[derive(Debug)]
pub struct ByteLog(Box<[Place]>);

/// A key and its value.
type Place = OnceLock<(Box<[u8]>, u64)>;

impl ByteLog {
    #[inline]
    fn entry(&self, position: usize) -> (&[u8], u64) {
        let entry = self.0[position].get();
        entry.map_or((&[], 0), |(key, value)| (key, *value))
    }
}

impl Log<ByteKeys> for ByteLog {
    fn with_capacity(capacity: usize) -> Self {
        Self((0..capacity).map(|_| OnceLock::new()).collect())
    }

    #[inline]
    fn capacity(&self) -> usize {
        self.0.len()
    }

    #[inline]
    fn set(&self, position: usize, key: &[u8], value: u64) {
        let is_set = self.0[position].set((key.into(), value)).is_ok();
        debug_assert!(is_set, "a place is written once");
    }

    #[inline]
    fn key(&self, position: usize) -> &[u8] {
        self.entry(position).0
    }

    #[inline]
    fn value(&self, position: usize) -> u64 {
        self.entry(position).1
    }

    fn reset(&mut self) {
        self.0.iter_mut().for_each(|place| *place = OnceLock::new());
    }

    fn to_lists(&self, len: usize) -> Sorted<ByteKeys> {
        let bytes = (0..len).map(|position| self.key(position).len()).sum();
        let mut keys = ByteKeys::with_capacity(len, bytes);
        (0..len).for_each(|position| keys.push(self.key(position)));
        (keys, (0..len).map(|position| self.value(position)).collect())
    }

    fn byte_size(&self) -> usize {
        size_of_val::<[Place]>(&self.0)
    }

    #[inline]
    fn bytes_of(key: &[u8]) -> usize {
        key.len()
    }
}

#[cfg(test)]
mod tests;
