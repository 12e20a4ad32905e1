//! The same over windows that leave rows behind: each row that may still become the answer is kept,
//! best first.

use std::collections::VecDeque;

use arrow::array::{Array, ArrayRef};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::Accumulator;

use super::extreme::Wanted;

/// A row that no later one of the window is preferred to.
#[derive(Debug)]
struct Candidate {
    place: usize,
    by: ScalarValue,
    value: ScalarValue,
}

/// The rows of a window of which one is or will be the answer.
#[derive(Debug)]
pub(super) struct SlidingExtreme {
    wanted: Wanted,
    none: ScalarValue,
    candidates: VecDeque<Candidate>,
    /// How many rows came into the window, and how many left it again.
    came: usize,
    left: usize,
}

impl SlidingExtreme {
    /// For a window without rows yet, whose answer is `none`.
    pub(super) fn new(wanted: Wanted, none: ScalarValue) -> Self {
        Self { wanted, none, candidates: VecDeque::new(), came: 0, left: 0 }
    }
}

impl Accumulator for SlidingExtreme {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let [value, by, ..] = columns else { return Ok(()) };
        for row in self.wanted.rows(value, by) {
            let found = ScalarValue::try_from_array(by, row)?;
            while let Some(last) = self.candidates.back()
                && self.wanted.prefers(found.try_cmp(&last.by)?)
            {
                self.candidates.pop_back();
            }
            self.candidates.push_back(Candidate {
                place: self.came + row,
                by: found.compacted(),
                value: ScalarValue::try_from_array(value, row)?.compacted(),
            });
        }
        self.came += by.len();
        Ok(())
    }

    fn retract_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        self.left += columns.first().map_or(0, |column| column.len());
        while self.candidates.front().is_some_and(|first| first.place < self.left) {
            self.candidates.pop_front();
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(self.candidates.front().map_or_else(|| self.none.clone(), |first| first.value.clone()))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Err(DataFusionError::Internal("a window is computed in one place".to_string()))
    }

    fn merge_batch(&mut self, _states: &[ArrayRef]) -> Result<()> {
        Err(DataFusionError::Internal("a window is computed in one place".to_string()))
    }

    fn size(&self) -> usize {
        let values = self.candidates.iter().map(|one| one.by.size() + one.value.size());
        let spare = self.candidates.capacity() * size_of::<Candidate>();
        size_of::<Self>() + self.none.size() + spare + values.sum::<usize>()
    }
}
