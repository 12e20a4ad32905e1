//! The learned index over the keys of a part, in the form that suits how they are kept: keys of
//! fixed width are numbers to it, all others byte strings.
//!
//! Kept by segments, with its stored form.
//!
//! Invariant: the lower bound of any probe lies in [`KeyModel::locate`]'s range, ends included, if
//! the model belongs to the keys. Whoever searches compares keys and relies on neither.

use std::ops::Range;
use std::sync::Arc;

use omen_index::key::{ByteIndex, ByteIndexBuilder, model_key};
use omen_index::{Error, Rmi, RmiBuilder, RmiStats};

use super::keys::{Keys, least_not_below};

/// A learned index over ascending keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyModel {
    /// Over keys of fixed width, as the numbers they are kept as.
    Numbers(Rmi),
    /// Over byte strings.
    Strings(ByteIndex),
}

impl KeyModel {
    /// Opens a stored model where it lies, in the part `stored` of `bytes`; `is_fixed` as the
    /// builder had it.
    ///
    /// # Errors
    /// If these bytes are not what [`KeyModel::stored_form`] returned.
    pub fn open(is_fixed: bool, bytes: Arc<[u8]>, stored: Range<usize>) -> Result<Self, Error> {
        match is_fixed {
            true => Rmi::open(bytes, stored).map(Self::Numbers),
            false => ByteIndex::open(bytes, stored).map(Self::Strings),
        }
    }

    /// What is stored.
    pub fn stored_form(&self) -> Vec<u8> {
        match self {
            Self::Numbers(rmi) => rmi.to_bytes(),
            Self::Strings(index) => index.to_bytes(),
        }
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        match self {
            Self::Numbers(rmi) => rmi.len(),
            Self::Strings(index) => index.len(),
        }
    }

    /// Figures of the model.
    pub fn stats(&self) -> RmiStats {
        match self {
            Self::Numbers(rmi) => rmi.stats(),
            Self::Strings(index) => index.stats(),
        }
    }

    /// The positions, end included, that hold the lower bound of `probe`, any byte string, and
    /// the one among them to look at first.
    pub fn locate(&self, probe: &[u8]) -> (Range<usize>, usize) {
        match self {
            Self::Numbers(rmi) => {
                // Of a probe longer than the keys, those equal to its head are in the range too.
                rmi.locate(model_key(probe, 0))
            }
            Self::Strings(index) => index.locate(probe),
        }
    }

    /// The first index in a page of keys whose key is not below `probe`. The page begins at
    /// position `start`, and `expected` is what [`KeyModel::locate`] returned, or less of it. Were
    /// that wrong, this would take longer.
    pub fn lower_bound_in_page(
        &self,
        keys: &Keys,
        start: usize,
        expected: (Range<usize>, usize),
        probe: &[u8],
    ) -> usize {
        match (self, keys) {
            (Self::Numbers(rmi), Keys::Fixed { width, values }) => {
                match least_not_below(*width, probe) {
                    Some(least) => rmi.lower_bound_in_page(&values[..], start, least),
                    None => values.len(),
                }
            }
            _ => {
                let inside = |position: usize| position.saturating_sub(start);
                let (range, hint) = expected;
                keys.lower_bound_near(inside(range.start)..inside(range.end), inside(hint), probe)
            }
        }
    }
}

/// Builds a model while keys stream past.
#[derive(Debug)]
pub enum KeyModelBuilder {
    /// Over keys of fixed width.
    Numbers(RmiBuilder),
    /// Over byte strings.
    Strings(Box<ByteIndexBuilder>),
}

impl KeyModelBuilder {
    /// For keys of fixed width, or for byte strings that all begin with the same `prefix_len`
    /// bytes.
    pub fn new(is_fixed: bool, prefix_len: usize) -> Self {
        match is_fixed {
            true => Self::Numbers(RmiBuilder::new()),
            false => Self::Strings(Box::new(ByteIndexBuilder::new(prefix_len))),
        }
    }

    /// Adds keys, which go on ascending.
    ///
    /// # Errors
    /// If they do not, or there are too many.
    pub fn push(&mut self, keys: &Keys) -> Result<(), Error> {
        match (self, keys) {
            (Self::Numbers(builder), Keys::Fixed { values, .. }) => {
                builder.extend_from_slice(values)
            }
            (Self::Numbers(builder), Keys::Bytes { .. }) => {
                (0..keys.len()).try_for_each(|i| builder.push(model_key(&keys.get(i), 0)))
            }
            (Self::Strings(builder), _) => {
                (0..keys.len()).try_for_each(|i| builder.push(&keys.get(i)))
            }
        }
    }

    /// The model of all keys.
    ///
    /// # Errors
    /// As [`KeyModelBuilder::push`].
    pub fn finish(self) -> Result<KeyModel, Error> {
        match self {
            Self::Numbers(builder) => builder.finish().map(KeyModel::Numbers),
            Self::Strings(builder) => builder.finish().map(KeyModel::Strings),
        }
    }
}
