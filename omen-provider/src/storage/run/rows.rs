//! The rows of a run in the order of their arrival.
//!
//! Statements are put one behind the other as they come. When there are many, short ones are
//! joined into batches that are worth handling one by one. A clone is a snapshot and shares all
//! memory. Held by `part`, read by `scan`.
//!
//! Invariant: the row at a position stays there, whatever is joined.

use std::sync::Arc;

use arrow::array::types::{BinaryType, ByteArrayType, Utf8Type};
use arrow::array::{Array, AsArray, GenericByteArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{ArrowNativeType, DataType};
use arrow::record_batch::RecordBatch;
use omen_index::runs::Tail;

use crate::error::Result;

/// Batches shorter than this are joined with those around them.
pub(super) const SHORT_ROWS: usize = 512;

/// What a batch takes besides its values, roughly, for each column.
const COLUMN_BYTES: usize = 192;

/// A view holds values up to this length itself.
const INLINE_BYTES: u32 = 12;

/// Rows by position.
#[derive(Debug, Clone, Default)]
pub(super) struct Rows {
    /// What is joined, but for the last batch, which may be short.
    settled: Arc<Chunks>,
    /// What came after: the rows of each statement.
    recent: Tail<RecordBatch>,
    recent_bytes: usize,
}

/// Batches one behind the other.
#[derive(Debug, Clone, Default)]
struct Chunks {
    list: Vec<Chunk>,
    len: u32,
    bytes: usize,
}

#[derive(Debug, Clone)]
struct Chunk {
    /// The position of the first row.
    first: u32,
    rows: Arc<RecordBatch>,
}

impl Rows {
    /// How many rows.
    pub(super) fn len(&self) -> u32 {
        self.settled.len + self.recent.len()
    }

    /// How many more there may be: positions have 32 bits.
    pub(super) fn room(&self) -> usize {
        (u32::MAX - self.len()) as usize
    }

    /// Bytes of memory.
    pub(super) fn byte_size(&self) -> usize {
        self.settled.bytes + self.recent_bytes
    }

    /// Adds rows, for which there must be room, at positions from [`Rows::len`] on.
    pub(super) fn push(&mut self, rows: RecordBatch) {
        let (count, bytes) = (rows.num_rows() as u32, batch_cost(&rows));
        if let Err(rows) = self.recent.push(rows, count) {
            self.settle();
            // Never refused: the tail is empty now.
            let _ = self.recent.push(rows, count);
        }
        self.recent_bytes += bytes;
    }

    /// The batch that holds `position`, and the position of its first row.
    pub(super) fn batch_at(&self, position: u32) -> Option<(&RecordBatch, u32)> {
        match position.checked_sub(self.settled.len) {
            None => {
                let after = self.settled.list.partition_point(|chunk| chunk.first <= position);
                self.batch(after.checked_sub(1)?)
            }
            Some(behind) => {
                let (rows, row) = self.recent.at(behind)?;
                Some((rows, position - row))
            }
        }
    }

    /// A batch by its number, and the position of its first row.
    pub(super) fn batch(&self, number: usize) -> Option<(&RecordBatch, u32)> {
        match number.checked_sub(self.settled.list.len()) {
            None => {
                let chunk = &self.settled.list[number];
                Some((&chunk.rows, chunk.first))
            }
            Some(behind) => {
                let (rows, first) = self.recent.get(behind)?;
                Some((rows, self.settled.len + first))
            }
        }
    }

    /// The position of the first row of each batch, in the order of their numbers.
    pub(super) fn firsts(&self) -> Vec<u32> {
        let settled = self.settled.list.iter().map(|chunk| chunk.first);
        settled.chain(self.recent.iter().map(|(_, first)| self.settled.len + first)).collect()
    }

    /// The same positions with other columns, in memory of its own.
    pub(super) fn converted(
        &self,
        convert: impl Fn(&RecordBatch) -> Result<RecordBatch>,
    ) -> Result<Self> {
        let mut converted = Self::default();
        for number in 0..self.settled.list.len() + self.recent.iter().len() {
            if let Some((rows, _)) = self.batch(number) {
                converted.push(convert(rows)?);
            }
        }
        Ok(converted)
    }

    /// Joins what came recently.
    fn settle(&mut self) {
        let recent = std::mem::take(&mut self.recent);
        self.recent_bytes = 0;
        let settled = Arc::make_mut(&mut self.settled);
        let mut short = Vec::new();
        let mut short_rows = 0;
        if let Some(last) = settled.pop_short() {
            short_rows = last.num_rows();
            short.push(RecordBatch::clone(&last));
        }
        for (rows, _) in recent.iter() {
            let is_short = rows.num_rows() < SHORT_ROWS;
            if !is_short || short_rows >= SHORT_ROWS {
                settled.push_joined(std::mem::take(&mut short));
                short_rows = 0;
            }
            if is_short {
                short_rows += rows.num_rows();
                short.push(rows.clone());
            } else {
                settled.push(rows.clone());
            }
        }
        settled.push_joined(short);
    }
}

impl Chunks {
    fn push(&mut self, rows: RecordBatch) {
        self.bytes += batch_cost(&rows);
        let first = self.len;
        self.len += rows.num_rows() as u32;
        self.list.push(Chunk { first, rows: Arc::new(rows) });
    }

    /// Adds batches as one, if they can be: values of dictionaries may be too many for one.
    fn push_joined(&mut self, batches: Vec<RecordBatch>) {
        if let [first, _, ..] = &batches[..]
            && let Ok(joined) = concat_batches(first.schema_ref(), &batches)
        {
            return self.push(joined);
        }
        batches.into_iter().for_each(|batch| self.push(batch));
    }

    /// Takes the last batch away if it is short.
    fn pop_short(&mut self) -> Option<Arc<RecordBatch>> {
        let last = self.list.pop_if(|chunk| chunk.rows.num_rows() < SHORT_ROWS)?;
        self.len = last.first;
        self.bytes -= batch_cost(&last.rows);
        Some(last.rows)
    }
}

/// Bytes of the rows of a batch. A slice counts as its own rows, not as what it was cut from.
pub fn batch_bytes(rows: &RecordBatch) -> usize {
    rows.columns().iter().map(|column| array_bytes(column.as_ref())).sum()
}

/// Asked several times for every statement: the usual types are counted without making anything.
fn array_bytes(array: &dyn Array) -> usize {
    let rows = array.len();
    let values = match array.data_type() {
        DataType::Utf8 => text_bytes(array.as_bytes::<Utf8Type>()),
        DataType::Binary => text_bytes(array.as_bytes::<BinaryType>()),
        DataType::Utf8View => view_bytes(array.as_string_view().views()),
        DataType::BinaryView => view_bytes(array.as_binary_view().views()),
        other => match other.primitive_width() {
            Some(width) => rows * width,
            None => return other_bytes(array),
        },
    };
    values + array.nulls().map_or(0, |_| rows.div_ceil(8))
}

fn text_bytes<T: ByteArrayType>(array: &GenericByteArray<T>) -> usize {
    let offsets = array.value_offsets();
    let values = offsets[array.len()].as_usize() - offsets[0].as_usize();
    size_of_val(offsets) + values
}

fn view_bytes(views: &[u128]) -> usize {
    let lengths = views.iter().map(|view| *view as u32);
    let long = lengths.filter(|length| *length > INLINE_BYTES);
    size_of_val(views) + long.map(|length| length as usize).sum::<usize>()
}

fn other_bytes(array: &dyn Array) -> usize {
    let slice = array.to_data().get_slice_memory_size();
    slice.unwrap_or_else(|_| array.get_array_memory_size())
}

/// Bytes that a batch takes in memory, roughly.
fn batch_cost(rows: &RecordBatch) -> usize {
    batch_bytes(rows) + rows.num_columns() * COLUMN_BYTES
}
