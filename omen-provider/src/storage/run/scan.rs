//! Rows of a run, read a batch at a time.
//!
//! Rows that arrived in order are slices of the batches they came in. All others are gathered from
//! where they are: a run keeps no second copy in key order.
//!
//! Made by `part`; read by flush, by merging and by the provider.

use arrow::array::UInt32Array;
use arrow::compute::{interleave_record_batch, take_record_batch};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use super::rows::{Rows, SHORT_ROWS};
use crate::error::{Error, Result};

/// Rows gathered into one batch.
const GATHERED_ROWS: usize = 8192;

/// The selected rows of a run: a snapshot.
#[derive(Debug, Clone)]
pub struct RunScan {
    rows: Rows,
    /// The position of the first row of each batch.
    firsts: Vec<u32>,
    /// The positions of the selected rows, in the order in which they are read.
    positions: Vec<u32>,
    in_key_order: bool,
}

/// Rows that lie side by side in one batch.
struct Piece<'a> {
    batch: &'a RecordBatch,
    number: usize,
    row: usize,
    len: usize,
}

/// Rows of several batches that become one.
struct Gathered<'a> {
    batches: Vec<&'a RecordBatch>,
    /// One more than the place among `batches` of each batch of the run; zero: not there.
    places_of: Vec<u32>,
    /// Which of the batches and which row of it.
    places: Vec<(usize, usize)>,
}

impl RunScan {
    /// The rows at `positions`, in this order.
    pub(super) fn new(rows: Rows, positions: Vec<u32>, in_key_order: bool) -> Self {
        Self { firsts: rows.firsts(), rows, positions, in_key_order }
    }

    /// Whether the rows are read in the order of their keys.
    pub fn is_in_key_order(&self) -> bool {
        self.in_key_order
    }

    /// How many rows.
    pub fn count(&self) -> usize {
        self.positions.len()
    }

    /// The first rows, `count` at most.
    pub fn first(mut self, count: usize) -> Self {
        self.positions.truncate(count);
        self
    }

    /// The rows, with all columns of the stored schema or with these.
    pub fn into_batches(
        self,
        columns: Option<Vec<usize>>,
    ) -> impl Iterator<Item = Result<RecordBatch>> + Send {
        let (mut next, mut ready) = (0, Vec::new().into_iter());
        std::iter::from_fn(move || {
            if ready.len() == 0 && next < self.positions.len() {
                match self.read(&mut next, columns.as_deref()) {
                    Ok(batches) => ready = batches.into_iter(),
                    Err(error) => {
                        next = self.positions.len();
                        return Some(Err(error));
                    }
                }
            }
            ready.next().map(Ok)
        })
    }

    /// At least one batch, of the rows from index `next` on, which moves behind them.
    fn read(&self, next: &mut usize, columns: Option<&[usize]>) -> Result<Vec<RecordBatch>> {
        let mut gathered = Gathered::new(self.firsts.len());
        while *next < self.positions.len() && gathered.places.len() < GATHERED_ROWS {
            let piece = self.piece_at(*next)?;
            if piece.len >= SHORT_ROWS && gathered.places.is_empty() {
                *next += piece.len;
                let rows = piece.batch.slice(piece.row, piece.len);
                return Ok(vec![project(&rows, columns)?]);
            }
            if piece.len >= SHORT_ROWS {
                break;
            }
            *next += piece.len;
            gathered.add(&piece);
        }
        gathered.join(columns)
    }

    /// The rows from index `start` on that lie side by side in one batch, of which there is at
    /// least one.
    fn piece_at(&self, start: usize) -> Result<Piece<'_>> {
        let positions = &self.positions[start..];
        let after = self.firsts.partition_point(|first| *first <= positions[0]);
        let number = after.saturating_sub(1);
        let holds = |(batch, first): &(&RecordBatch, u32)| {
            (*first..first + batch.num_rows() as u32).contains(&positions[0])
        };
        let found = self.rows.batch(number).filter(holds);
        let (batch, first) = found.ok_or_else(|| Error::invalid("a run lost one of its rows"))?;
        let row = (positions[0] - first) as usize;
        let most = positions.len().min(batch.num_rows() - row);
        let follows = |i: &usize| positions[*i] == positions[0] + *i as u32;
        Ok(Piece { batch, number, row, len: (0..most).take_while(follows).count() })
    }
}

impl<'a> Gathered<'a> {
    /// Nothing yet, of a run of so many batches.
    fn new(batches: usize) -> Self {
        Self { batches: Vec::new(), places_of: vec![0; batches], places: Vec::new() }
    }

    fn add(&mut self, piece: &Piece<'a>) {
        let place = &mut self.places_of[piece.number];
        if *place == 0 {
            self.batches.push(piece.batch);
            *place = self.batches.len() as u32;
        }
        let place = *place as usize - 1;
        self.places.extend((piece.row..piece.row + piece.len).map(|row| (place, row)));
    }

    fn join(self, columns: Option<&[usize]>) -> Result<Vec<RecordBatch>> {
        let projected: Vec<RecordBatch> =
            self.batches.iter().map(|batch| project(batch, columns)).collect::<Result<_>>()?;
        let mut joined = Vec::with_capacity(1);
        join(&projected.iter().collect::<Vec<_>>(), &self.places, &mut joined)?;
        Ok(joined)
    }
}

/// Appends the rows at `places`, as one batch if their values fit into one: values of dictionaries
/// may be too many.
fn join(
    batches: &[&RecordBatch],
    places: &[(usize, usize)],
    joined: &mut Vec<RecordBatch>,
) -> Result<()> {
    let Some(&(number, _)) = places.first() else { return Ok(()) };
    if batches[number].num_columns() == 0 {
        let options = RecordBatchOptions::new().with_row_count(Some(places.len()));
        let schema = batches[number].schema();
        joined.push(RecordBatch::try_new_with_options(schema, Vec::new(), &options)?);
        return Ok(());
    }
    if places.iter().all(|place| place.0 == number) {
        let rows = UInt32Array::from_iter_values(places.iter().map(|place| place.1 as u32));
        joined.push(take_record_batch(batches[number], &rows)?);
        return Ok(());
    }
    if let Ok(batch) = interleave_record_batch(batches, places) {
        joined.push(batch);
        return Ok(());
    }
    let (front, back) = places.split_at(places.len() / 2);
    join(batches, front, joined)?;
    join(batches, back, joined)
}

fn project(rows: &RecordBatch, columns: Option<&[usize]>) -> Result<RecordBatch> {
    Ok(match columns {
        Some(columns) => rows.project(columns)?,
        None => rows.clone(),
    })
}
