//! The text of single values, for all formats but JSON.
//!
//! Timestamps are RFC 3339, binary is hexadecimal, lists and structs are written as Arrow shows
//! them. NULL has no text here: each format decides.

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::buffer::NullBuffer;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::failure::Result;

/// The texts of one column of a batch.
pub(super) struct Cells<'a> {
    formatter: ArrayFormatter<'a>,
    nulls: Option<NullBuffer>,
}

/// NULL inside lists and structs; a NULL cell never gets so far.
const OPTIONS: FormatOptions<'static> =
    FormatOptions::new().with_display_error(true).with_null("NULL");

impl<'a> Cells<'a> {
    fn new(column: &'a ArrayRef) -> Result<Self> {
        // Logical nulls: dictionaries and null arrays keep theirs outside the validity bitmap.
        let nulls = column.logical_nulls();
        Ok(Self { formatter: ArrayFormatter::try_new(column.as_ref(), &OPTIONS)?, nulls })
    }

    /// The columns of a batch.
    pub(super) fn of_batch(batch: &'a RecordBatch) -> Result<Vec<Self>> {
        batch.columns().iter().map(Cells::new).collect()
    }

    /// The text of a row, or `None` for NULL.
    pub(super) fn text(&self, row: usize) -> Option<String> {
        let null = self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
        (!null).then(|| self.formatter.value(row).to_string())
    }
}
