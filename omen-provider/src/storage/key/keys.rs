//! Encoded keys of many rows.
//!
//! Keys whose encoding always has the same width of at most eight bytes are kept as `u64`, the
//! encoding left-aligned: comparing the integers compares the keys. All others are byte strings
//! behind offsets.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::Range;

use omen_index::fingerprints;
use omen_index::key::{gallop, model_key};

/// A list of encoded keys, in any order unless said otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keys {
    /// Fixed width of `width` bytes, 1 to 8, left-aligned in a big-endian `u64`.
    Fixed {
        /// Bytes per key.
        width: usize,
        /// The keys.
        values: Vec<u64>,
    },
    /// Byte strings: key `i` is `data[offsets[i] .. offsets[i + 1]]`.
    Bytes {
        /// One more than keys.
        offsets: Vec<u32>,
        /// The concatenated keys.
        data: Vec<u8>,
    },
}

impl Keys {
    /// An empty list for keys of a fixed width (1 to 8) or, with `None`, byte strings.
    pub fn new(fixed_width: Option<usize>) -> Self {
        match fixed_width {
            Some(width) => Self::Fixed { width, values: Vec::new() },
            None => Self::Bytes { offsets: vec![0], data: Vec::new() },
        }
    }

    /// How many keys.
    pub fn len(&self) -> usize {
        match self {
            Self::Fixed { values, .. } => values.len(),
            Self::Bytes { offsets, .. } => offsets.len() - 1,
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory held.
    pub fn byte_size(&self) -> usize {
        match self {
            Self::Fixed { values, .. } => values.len() * 8,
            Self::Bytes { offsets, data } => offsets.len() * 4 + data.len(),
        }
    }

    /// Key `index` in its encoded form.
    pub fn get(&self, index: usize) -> Cow<'_, [u8]> {
        match self {
            Self::Fixed { width, values } => {
                Cow::Owned(values[index].to_be_bytes()[..*width].to_vec())
            }
            Self::Bytes { .. } => Cow::Borrowed(self.bytes(index)),
        }
    }

    /// The hash of key `index`: that of its encoded form.
    pub fn hash(&self, index: usize) -> u64 {
        match self {
            Self::Fixed { width: 8, values } => fingerprints::hash_u64(values[index]),
            Self::Fixed { width, values } => {
                fingerprints::hash(&values[index].to_be_bytes()[..*width])
            }
            Self::Bytes { .. } => fingerprints::hash(self.bytes(index)),
        }
    }

    /// Appends an encoded key. A fixed-width list takes only keys of its width.
    pub fn push(&mut self, key: &[u8]) {
        match self {
            Self::Fixed { width, values } => {
                debug_assert_eq!(key.len(), *width);
                values.push(model_key(key, 0));
            }
            Self::Bytes { offsets, data } => {
                data.extend_from_slice(key);
                offsets.push(data.len() as u32);
            }
        }
    }

    /// Appends key `index` of `other`, a list of the same kind.
    pub fn push_from(&mut self, other: &Self, index: usize) {
        match (self, other) {
            (Self::Fixed { values, .. }, Self::Fixed { values: from, .. }) => {
                values.push(from[index]);
            }
            (to, from) => to.push(&from.get(index)),
        }
    }

    /// Compares key `a` of this list with key `b` of `other`.
    pub fn compare(&self, a: usize, other: &Self, b: usize) -> Ordering {
        match (self, other) {
            (Self::Fixed { values, .. }, Self::Fixed { values: others, .. }) => {
                values[a].cmp(&others[b])
            }
            _ => self.get(a).cmp(&other.get(b)),
        }
    }

    /// Compares key `index` with an encoded key or key prefix.
    pub fn compare_bytes(&self, index: usize, probe: &[u8]) -> Ordering {
        match self {
            Self::Fixed { width, values } => values[index].to_be_bytes()[..*width].cmp(probe),
            Self::Bytes { .. } => self.bytes(index).cmp(probe),
        }
    }

    /// In a sorted list: the first index in `range` whose key is not below `probe`, or the end of
    /// the range.
    pub fn lower_bound_in(&self, range: Range<usize>, probe: &[u8]) -> usize {
        let start = range.start;
        match self {
            Self::Fixed { width, values } => match least_not_below(*width, probe) {
                Some(least) => start + values[range].partition_point(|value| *value < least),
                None => range.end,
            },
            Self::Bytes { .. } => {
                let (mut low, mut high) = (start, range.end);
                while low < high {
                    let middle = low + (high - low) / 2;
                    if self.bytes(middle) < probe {
                        low = middle + 1;
                    } else {
                        high = middle;
                    }
                }
                low
            }
        }
    }

    /// In a sorted list: the first index whose key is not below `probe`, looked for in `range`,
    /// ends included, and near `hint`. The nearer it is, the fewer keys are compared; range and
    /// hint may be anything, for the keys prove the answer.
    pub fn lower_bound_near(&self, range: Range<usize>, hint: usize, probe: &[u8]) -> usize {
        let is_below = |index: usize| self.compare_bytes(index, probe) == Ordering::Less;
        gallop(self.len(), range, hint, is_below)
    }

    /// The indices that sort the list; equal keys keep their order.
    pub fn sorted_order(&self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.len() as u32).collect();
        match self {
            Self::Fixed { values, .. } => order.sort_by_key(|&i| values[i as usize]),
            Self::Bytes { .. } => {
                order.sort_by(|&a, &b| self.bytes(a as usize).cmp(self.bytes(b as usize)));
            }
        }
        order
    }

    /// Whether each key is above the one before it.
    pub fn is_strictly_ascending(&self) -> bool {
        (1..self.len()).all(|i| self.compare(i - 1, self, i) == Ordering::Less)
    }

    /// The keys at `indices`, in that order.
    pub fn take(&self, indices: &[u32]) -> Self {
        match self {
            Self::Fixed { width, values } => Self::Fixed {
                width: *width,
                values: indices.iter().map(|&i| values[i as usize]).collect(),
            },
            Self::Bytes { .. } => {
                let mut taken = Self::new(None);
                for &index in indices {
                    taken.push(self.bytes(index as usize));
                }
                taken
            }
        }
    }

    fn bytes(&self, index: usize) -> &[u8] {
        match self {
            Self::Fixed { .. } => &[],
            Self::Bytes { offsets, data } => {
                &data[offsets[index] as usize..offsets[index + 1] as usize]
            }
        }
    }
}

/// For keys of a fixed width as they are kept: the least number that is not below `probe`, any byte
/// string; `None` if all are below.
pub fn least_not_below(width: usize, probe: &[u8]) -> Option<u64> {
    let model = model_key(&probe[..probe.len().min(width)], 0);
    // A longer probe is above the key that it begins with.
    if probe.len() <= width { Some(model) } else { model.checked_add(1) }
}
