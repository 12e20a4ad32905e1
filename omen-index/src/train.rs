//! Training: from sorted keys to an index.
//!
//! Three passes over the keys, the first two light: check the order and pick equally spaced keys
//! as knots; count the distinct keys of each cell to give it leaves; route every key to its leaf
//! by the same arithmetic that lookups use. There is nothing to fit and no error to measure: the
//! bounds are right whatever the knots and leaf counts are, which decide only how tight they are.

use crate::error::Error;
use crate::rmi::Rmi;
use crate::root::{CELLS_MAX, Root};

/// How finely keys are divided. It decides the size and the sharpness of an index, never whether
/// it is right.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Distinct keys per leaf aimed at: 4 bytes of index for so many keys.
    pub(crate) keys_per_leaf: usize,
    /// Keys per cell aimed at, unless that makes too many cells; few keys get a small root.
    pub(crate) keys_per_cell_min: usize,
}

impl Shape {
    /// A leaf's keys fill two cache lines, which is what one step of the last-mile search reads.
    pub(crate) const STANDARD: Shape = Shape { keys_per_leaf: 16, keys_per_cell_min: 64 };
}

impl Rmi {
    /// Trains an index on `keys`, which ascend and may repeat.
    ///
    /// # Errors
    /// [`Error::Unsorted`] if they do not ascend, [`Error::TooManyKeys`] if there are more than
    /// `u32::MAX`.
    pub fn train(keys: &[u64]) -> Result<Rmi, Error> {
        Rmi::train_shaped(keys, Shape::STANDARD)
    }

    /// Trains an index of the given shape.
    pub(crate) fn train_shaped(keys: &[u64], shape: Shape) -> Result<Rmi, Error> {
        checked_count(keys.len())?;
        if let Some(before) = keys.windows(2).position(|pair| pair[0] > pair[1]) {
            return Err(Error::Unsorted { position: before + 1 });
        }

        let knots = choose_knots(keys, shape);
        let last = keys.last().copied().unwrap_or(0);
        let cells = split_at_knots(keys, &knots);

        let mut first_leaves = Vec::with_capacity(knots.len());
        let mut leaf_count = 0;
        for (c, cell) in cells.iter().enumerate() {
            first_leaves.push(leaf_count);
            let cell_last = knots.get(c + 1).map_or(last, |next| next - 1);
            leaf_count += choose_leaf_count(cell, cell_last - knots[c], shape);
        }

        let root = Root::new(&knots, last, &first_leaves, leaf_count);
        let starts = count_starts(&root, &cells, leaf_count);
        Ok(Rmi { root, starts })
    }
}

/// Builds an index from keys that arrive one by one, in order.
///
/// It keeps the keys, 8 bytes each, until [`RmiBuilder::finish`].
#[derive(Clone, Debug, Default)]
pub struct RmiBuilder {
    keys: Vec<u64>,
}

impl RmiBuilder {
    /// A builder that has seen no key.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next key, which must not be below the one before.
    ///
    /// # Errors
    /// As [`Rmi::train`]; the refused key is not added.
    pub fn push(&mut self, key: u64) -> Result<(), Error> {
        if self.keys.last().is_some_and(|&previous| previous > key) {
            return Err(Error::Unsorted { position: self.keys.len() });
        }
        checked_count(self.keys.len() + 1)?;
        self.keys.push(key);
        Ok(())
    }

    /// The index over all keys pushed, the same that [`Rmi::train`] makes of them.
    ///
    /// # Errors
    /// None of its own; the signature leaves room for training that does not buffer.
    pub fn finish(self) -> Result<Rmi, Error> {
        Rmi::train(&self.keys)
    }
}

/// The number of keys as stored.
pub(crate) fn checked_count(count: usize) -> Result<u32, Error> {
    u32::try_from(count).map_err(|_| Error::TooManyKeys)
}

/// Equally spaced keys, the first one included; without keys, the single knot 0.
fn choose_knots(keys: &[u64], shape: Shape) -> Vec<u64> {
    if keys.is_empty() {
        return vec![0];
    }
    let cells = (keys.len() / shape.keys_per_cell_min).clamp(1, CELLS_MAX);
    let mut knots: Vec<u64> =
        (0..cells).map(|c| keys[(c as u64 * keys.len() as u64 / cells as u64) as usize]).collect();
    knots.dedup();
    knots
}

/// The keys of each cell.
fn split_at_knots<'a>(keys: &'a [u64], knots: &[u64]) -> Vec<&'a [u64]> {
    let mut rest = keys;
    let mut cells = Vec::with_capacity(knots.len());
    for &next in &knots[1..] {
        let (cell, after) = rest.split_at(rest.partition_point(|&key| key < next));
        cells.push(cell);
        rest = after;
    }
    cells.push(rest);
    cells
}

/// How many leaves a cell gets whose keys spread over `span + 1` values: enough for its distinct
/// keys, no more than there are values, and at least one.
fn choose_leaf_count(cell: &[u64], span: u64, shape: Shape) -> u32 {
    let changes = cell.windows(2).filter(|pair| pair[0] != pair[1]).count();
    let wanted = (changes / shape.keys_per_leaf + 1) as u64;
    // At most u32::MAX keys were let in, so the cast loses nothing.
    wanted.min(span.saturating_add(1)) as u32
}

/// How many keys are routed before each leaf, and their number after the last.
fn count_starts(root: &Root, cells: &[&[u64]], leaf_count: u32) -> Vec<u32> {
    let mut starts = vec![0; leaf_count as usize + 1];
    let mut position = 0;
    for (c, cell) in cells.iter().enumerate() {
        for &key in *cell {
            position += 1;
            // The last key routed to a leaf leaves the start of the next one.
            starts[root.place_in(c, key).leaf + 1] = position;
        }
    }
    let mut start = 0;
    for entry in &mut starts {
        // An empty leaf ends where it begins.
        start = start.max(*entry);
        *entry = start;
    }
    starts
}
