//! Half-open intervals of encoded keys.
//!
//! Made by the provider from filters and by `range(a..b)`; turned into row ranges by each part.
//! A prefix of a composite key covers all keys that begin with it.

use omen_index::key::encoding::{prefix_successor, successor};

/// All encoded keys `k` with `start <= k` and, if there is an end, `k < end`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash)]
pub struct KeyRange {
    /// The first byte string inside.
    pub start: Vec<u8>,
    /// The first byte string past the interval; `None`: no upper limit.
    pub end: Option<Vec<u8>>,
}

impl KeyRange {
    /// Every key.
    pub fn all() -> Self {
        Self::default()
    }

    /// Exactly one complete key.
    pub fn one(key: &[u8]) -> Self {
        Self { start: key.to_vec(), end: Some(after(key)) }
    }

    /// All keys that begin with the encoded leading columns `prefix`.
    pub fn prefix(prefix: &[u8]) -> Self {
        Self { start: prefix.to_vec(), end: prefix_successor(prefix) }
    }

    /// Whether no key can be inside.
    pub fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end <= self.start)
    }

    /// Whether `key` is inside.
    pub fn contains(&self, key: &[u8]) -> bool {
        *self.start <= *key && self.end.as_ref().is_none_or(|end| *key < **end)
    }

    /// Whether some key of `min ..= max` may be inside.
    pub fn overlaps(&self, min: &[u8], max: &[u8]) -> bool {
        *self.start <= *max && self.end.as_ref().is_none_or(|end| *min < **end)
    }

    /// The keys in both.
    pub fn intersect(&self, other: &Self) -> Self {
        let start = self.start.clone().max(other.start.clone());
        let end = match (&self.end, &other.end) {
            (Some(a), Some(b)) => Some(a.min(b).clone()),
            (a, b) => a.clone().or_else(|| b.clone()),
        };
        Self { start, end }
    }

    /// The same keys as `ranges`, as sorted, disjoint ranges that are not empty.
    pub fn normalize(mut ranges: Vec<Self>) -> Vec<Self> {
        ranges.retain(|r| !r.is_empty());
        ranges.sort_by(|a, b| a.start.cmp(&b.start));
        let mut out: Vec<Self> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match out.last_mut() {
                Some(last) if last.end.as_ref().is_none_or(|end| range.start <= *end) => {
                    last.end = match (last.end.take(), range.end) {
                        (Some(a), Some(b)) => Some(a.max(b)),
                        _ => None,
                    };
                }
                _ => out.push(range),
            }
        }
        out
    }
}

/// The smallest byte string greater than `key`.
pub fn after(key: &[u8]) -> Vec<u8> {
    let mut bytes = key.to_vec();
    successor(&mut bytes);
    bytes
}
