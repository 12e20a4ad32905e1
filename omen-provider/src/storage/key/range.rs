//! Half-open intervals of encoded keys.
//!
//! Made by the provider from filters and by `range(a..b)`; turned into row ranges by each part.
//! A prefix of a composite key covers all keys that begin with it.

use std::ops::Bound;

use omen_index::key::encoding::{prefix_successor, successor};

use super::codec::KeyCodec;
use super::value::Key;
use crate::error::Result;

/// All encoded keys `k` with `start <= k` and, if there is an end, `k < end`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash)]
pub struct KeyRange {
    /// The first byte string inside.
    pub start: Vec<u8>,
    /// The first byte string past the interval; `None`: no upper limit.
    pub end: Option<Vec<u8>>,
}

impl KeyRange {
    /// Exactly one complete key.
    pub fn one(key: &[u8]) -> Self {
        Self { start: key.to_vec(), end: Some(after(key)) }
    }

    /// All keys that begin with the encoded leading columns `prefix`.
    pub fn prefix(prefix: &[u8]) -> Self {
        Self { start: prefix.to_vec(), end: prefix_successor(prefix) }
    }

    /// No key.
    pub fn empty() -> Self {
        Self { start: Vec::new(), end: Some(Vec::new()) }
    }

    /// The keys between two bounds, each a key or its leading columns.
    ///
    /// # Errors
    /// Those of [`KeyCodec::encode_leading`].
    pub fn between(codec: &KeyCodec, start: Bound<Key>, end: Bound<Key>) -> Result<Self> {
        let covered = |key: &Key| -> Result<Self> {
            let bytes = codec.encode_leading(key)?;
            let complete = key.0.len() == codec.column_count();
            Ok(if complete { Self::one(&bytes) } else { Self::prefix(&bytes) })
        };
        let start = match start {
            Bound::Unbounded => Vec::new(),
            Bound::Included(key) => covered(&key)?.start,
            Bound::Excluded(key) => match covered(&key)?.end {
                Some(end) => end,
                None => return Ok(Self::empty()),
            },
        };
        let end = match end {
            Bound::Unbounded => None,
            Bound::Included(key) => covered(&key)?.end,
            Bound::Excluded(key) => Some(covered(&key)?.start),
        };
        Ok(Self { start, end })
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
}

/// The smallest byte string greater than `key`.
pub fn after(key: &[u8]) -> Vec<u8> {
    let mut bytes = key.to_vec();
    successor(&mut bytes);
    bytes
}
