//! Values as the text of a cell of CSV, and back: what is written is read again as it was.
//!
//! Times are RFC 3339, bytes are hexadecimal behind `\x` as PostgreSQL has them. Lists, structs
//! and maps have no text here.

use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, StringArray};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, IntervalUnit};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::strict_cast::strict_cast;
use crate::error::{Error, Result};

const UTC: &str = "+00:00";

/// Refuses a type that has no text.
///
/// # Errors
/// [`Error::InvalidInput`] naming the column.
pub(super) fn check(column: &str, kind: &DataType) -> Result<()> {
    match has_text(kind) {
        true => Ok(()),
        false => Err(Error::invalid(format!(
            "column \"{column}\" is of type {kind}, which CSV does not hold; Parquet and Arrow do"
        ))),
    }
}

fn has_text(kind: &DataType) -> bool {
    match kind {
        DataType::Dictionary(_, values) => has_text(values),
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_)
        | DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Boolean
        | DataType::Date32
        | DataType::Date64
        | DataType::Time32(_)
        | DataType::Time64(_)
        | DataType::Timestamp(_, _)
        | DataType::Interval(IntervalUnit::DayTime | IntervalUnit::MonthDayNano) => true,
        // Whose text is not read again as it was.
        DataType::Duration(_) | DataType::Interval(IntervalUnit::YearMonth) => false,
        other => other.is_numeric(),
    }
}

fn is_bytes(kind: &DataType) -> bool {
    use DataType::{Binary, BinaryView, FixedSizeBinary, LargeBinary};
    matches!(kind, Binary | LargeBinary | BinaryView | FixedSizeBinary(_))
}

/// The type of times of a zone whose offsets are not known here.
fn in_utc(kind: &DataType) -> Option<DataType> {
    match kind {
        DataType::Timestamp(unit, Some(zone)) if zone.parse::<Tz>().is_err() => {
            Some(DataType::Timestamp(*unit, Some(UTC.into())))
        }
        _ => None,
    }
}

/// A column whose values are to be written.
///
/// # Errors
/// [`Error::Arrow`].
pub(super) fn writable(column: &ArrayRef) -> Result<ArrayRef> {
    let column = match column.data_type() {
        DataType::Dictionary(_, values) => cast(column, values)?,
        _ => Arc::clone(column),
    };
    Ok(match in_utc(column.data_type()) {
        Some(utc) => cast(&column, &utc)?,
        None => column,
    })
}

/// The texts of a column.
pub(super) struct Texts<'a> {
    formatter: ArrayFormatter<'a>,
    nulls: Option<NullBuffer>,
    prefix: &'static str,
}

const OPTIONS: FormatOptions<'static> = FormatOptions::new().with_display_error(false);

impl<'a> Texts<'a> {
    /// Of a [`writable`] column.
    ///
    /// # Errors
    /// [`Error::Arrow`].
    pub(super) fn new(column: &'a ArrayRef) -> Result<Self> {
        let prefix = if is_bytes(column.data_type()) { "\\x" } else { "" };
        let nulls = column.logical_nulls();
        Ok(Self { formatter: ArrayFormatter::try_new(column.as_ref(), &OPTIONS)?, nulls, prefix })
    }

    /// Writes the text of a row; false, and nothing is written, for NULL.
    ///
    /// # Errors
    /// [`Error::Arrow`] for a value that has no text.
    pub(super) fn write(&self, row: usize, text: &mut String) -> Result<bool> {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            return Ok(false);
        }
        text.push_str(self.prefix);
        self.formatter.value(row).write(text)?;
        Ok(true)
    }
}

/// Texts as values of a type.
///
/// # Errors
/// [`Error::Arrow`] or [`Error::InvalidInput`] if one of them is no such value.
pub(super) fn values_of(texts: &ArrayRef, kind: &DataType) -> Result<ArrayRef> {
    if let DataType::Dictionary(_, values) = kind {
        return Ok(cast(&values_of(texts, values)?, kind)?);
    }
    if is_bytes(kind) {
        let texts: &StringArray = texts.as_string();
        let bytes = texts.iter().map(|text| text.map(bytes_of).transpose());
        let bytes: BinaryArray = bytes.collect::<Result<Vec<_>>>()?.into_iter().collect();
        return strict_cast(&(Arc::new(bytes) as ArrayRef), kind);
    }
    match in_utc(kind) {
        Some(utc) => Ok(cast(&strict_cast(texts, &utc)?, kind)?),
        None => strict_cast(texts, kind),
    }
}

fn bytes_of(text: &str) -> Result<Vec<u8>> {
    let digits = text.strip_prefix("\\x").filter(|digits| digits.len() % 2 == 0);
    let byte = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16).ok().filter(|_| !pair.starts_with('+'))
    };
    let bytes = digits.and_then(|digits| digits.as_bytes().chunks(2).map(byte).collect());
    bytes.ok_or_else(|| {
        Error::invalid(format!("{text:?} is not how bytes are written: \\x and hexadecimal digits"))
    })
}
