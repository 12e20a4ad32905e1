//! Numbers for the rows of a table with an identity column ([`Identity`]).
//!
//! They are handed out while rows are made ready for a commit, each once, whether the statement
//! comes to anything or not: there are gaps. A row that brings its own number moves the counter
//! beyond it, so that what is handed out was never in the table before. The counter outlasts the
//! process: the manifest has it, and the log's rows move it when they are replayed.
//!
//! Called by [`super::prepare`], [`super::recovery`], and the provider where it needs the numbers
//! before.
//!
//! [`Identity`]: super::schema::Identity

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Int64Type};
use arrow::record_batch::RecordBatch;

use super::version::TableVersion;
use crate::error::{Error, Result};

/// The values of the identity column for rows that bring `given`, with numbers for NULL. `given` is
/// returned as it is if there is no NULL in it.
///
/// # Errors
/// [`Error::InvalidInput`] if there are no more numbers of the column's type.
pub fn numbered(table: &TableVersion, given: &ArrayRef) -> Result<ArrayRef> {
    let Some(identity) = table.schema.identity else { return Ok(Arc::clone(given)) };
    raise_above(table, given)?;
    let lacking = given.null_count();
    if lacking == 0 {
        return Ok(Arc::clone(given));
    }
    let numbers = cast_with_options(given, &DataType::Int64, &STRICT)?;
    let numbers = numbers.as_primitive::<Int64Type>();
    let exhausted = || {
        Error::invalid(format!(
            "identity column \"{}\" of table \"{}\" has no more numbers of type {}",
            column_name(table),
            table.schema.name,
            given.data_type()
        ))
    };
    let step = (lacking as i64).checked_mul(identity.increment).ok_or_else(exhausted)?;
    let first = table.numbers.fetch_update(Relaxed, Relaxed, |next| next.checked_add(step));
    let mut next = first.map_err(|_| exhausted())?;
    let filled = numbers.iter().map(|number| {
        number.unwrap_or_else(|| {
            let number = next;
            // The last step leads to what was checked above.
            next = next.wrapping_add(identity.increment);
            number
        })
    });
    let filled: ArrayRef = Arc::new(Int64Array::from_iter_values(filled));
    cast_with_options(&filled, given.data_type(), &STRICT).map_err(|_| exhausted())
}

/// Moves the counter beyond the numbers of stored rows.
///
/// # Errors
/// [`Error::InvalidInput`] if they are no numbers.
pub fn raise_above_rows(table: &TableVersion, rows: &RecordBatch) -> Result<()> {
    match table.schema.identity_place() {
        Some(place) => raise_above(table, rows.column(place)),
        None => Ok(()),
    }
}

const STRICT: CastOptions<'static> =
    CastOptions { safe: false, format_options: arrow::util::display::FormatOptions::new() };

/// Moves the counter beyond `numbers`.
fn raise_above(table: &TableVersion, numbers: &ArrayRef) -> Result<()> {
    let Some(identity) = table.schema.identity else { return Ok(()) };
    if numbers.null_count() == numbers.len() {
        return Ok(());
    }
    // What is beyond the counter's own type leaves none.
    let capped = CastOptions { safe: true, ..STRICT };
    let numbers = cast_with_options(numbers, &DataType::Int64, &capped)?;
    if let Some(max) = arrow::compute::max(numbers.as_primitive::<Int64Type>()) {
        table.numbers.fetch_max(max.saturating_add(identity.increment), Relaxed);
    }
    Ok(())
}

fn column_name(table: &TableVersion) -> &str {
    let place = table.schema.identity_place();
    place.map_or("", |place| table.schema.columns[place].field.name())
}
