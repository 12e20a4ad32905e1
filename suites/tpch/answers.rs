//! Whether two answers to one query are the same: the same rows, in the same order as far as the
//! query orders them.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type};
use arrow::util::display::array_value_to_string;

/// Sums of floats may differ by so much of their value, for they depend on the order.
const TOLERANCE: f64 = 1e-9;

/// How many rows both have.
pub fn compare(
    ours: &[RecordBatch],
    theirs: &[RecordBatch],
    ordered_by: &[usize],
) -> Result<usize, String> {
    let (ours, theirs) = (rows(ours), rows(theirs));
    if ours.len() != theirs.len() {
        return Err(format!("{} rows, not {}", ours.len(), theirs.len()));
    }
    let order = |rows: &[Vec<Cell>]| -> Vec<Vec<Cell>> {
        rows.iter().map(|row| ordered_by.iter().map(|at| row[*at].clone()).collect()).collect()
    };
    same(&order(&ours), &order(&theirs))?;
    let sorted = |mut rows: Vec<Vec<Cell>>| {
        rows.sort_by_cached_key(|row| row.iter().map(Cell::coarse).collect::<Vec<_>>());
        rows
    };
    let count = ours.len();
    same(&sorted(ours), &sorted(theirs))?;
    Ok(count)
}

#[derive(Debug, Clone)]
enum Cell {
    Text(String),
    Float(f64),
}

impl Cell {
    fn of(column: &ArrayRef, row: usize) -> Self {
        match column.data_type() {
            DataType::Float64 if column.is_valid(row) => {
                Self::Float(column.as_primitive::<Float64Type>().value(row))
            }
            _ => Self::Text(array_value_to_string(column, row).expect("a value")),
        }
    }

    /// Text by which rows are sorted, the same for floats that count as the same, nearly always.
    fn coarse(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Float(value) => format!("{value:.3e}"),
        }
    }

    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Float(a), Self::Float(b)) => {
                a == b || (a - b).abs() <= TOLERANCE * a.abs().max(b.abs())
            }
            (Self::Text(a), Self::Text(b)) => a == b,
            _ => false,
        }
    }
}

fn rows(batches: &[RecordBatch]) -> Vec<Vec<Cell>> {
    let row = |batch: &RecordBatch, row| batch.columns().iter().map(|c| Cell::of(c, row)).collect();
    batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |at| row(batch, at))).collect()
}

fn same(ours: &[Vec<Cell>], theirs: &[Vec<Cell>]) -> Result<(), String> {
    let differ = |(ours, theirs): &(&Vec<Cell>, &Vec<Cell>)| {
        ours.len() != theirs.len() || !ours.iter().zip(*theirs).all(|(a, b)| a.is(b))
    };
    match ours.iter().zip(theirs).find(differ) {
        Some((ours, theirs)) => Err(format!("{ours:?}, not {theirs:?}")),
        None => Ok(()),
    }
}
