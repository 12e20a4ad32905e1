//! The order-preserving encoding of key columns into byte strings.
//!
//! A key is the concatenation of its encoded columns; text and binary are terminated unless last.
//! Bytewise order of encoded keys = order of the key columns, first column first. FORMAT.md
//! specifies the bytes, since a segment's index and its page fences are made of them.
//!
//! Called by everything that meets rows (insert, flush, lookup, the provider's filters).

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Float64Array, Int64Array, StringArray, UInt64Array,
    new_null_array,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::column::{Kind, Values, take};
use super::keys::Keys;
use super::value::{Key, KeyValue};
use crate::error::{Error, Result};

/// The longest encoded key.
pub const KEY_BYTES_MAX: usize = 16 << 10;

#[derive(Debug)]
struct KeyColumn {
    name: String,
    /// The column's type; the value type if it is a dictionary.
    data_type: DataType,
    kind: Kind,
    /// Whether each value is preceded by a byte that says whether there is one.
    takes_null: bool,
}

/// Before a value that there is.
const SOME: u8 = 0;
/// In the place of NULL: behind all values.
pub const NULL: u8 = 1;

/// Encodes and decodes the keys of one table.
#[derive(Debug)]
pub struct KeyCodec {
    columns: Vec<KeyColumn>,
}

impl KeyCodec {
    /// A codec for the key columns, in key order.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for a type without an order (lists, structs, intervals, ...).
    pub fn new<'a>(fields: impl Iterator<Item = &'a Field>) -> Result<Self> {
        let columns = fields
            .map(|field| {
                let data_type = match field.data_type() {
                    DataType::Dictionary(_, values) => values.as_ref().clone(),
                    other => other.clone(),
                };
                let kind = Kind::of(&data_type).ok_or_else(|| {
                    Error::invalid(format!(
                        "column \"{}\" of type {data_type} cannot be part of a primary key; \
                         integers, decimals, floats, booleans, text, binary, dates, times and \
                         timestamps can",
                        field.name()
                    ))
                })?;
                Ok(KeyColumn { name: field.name().clone(), data_type, kind, takes_null: false })
            })
            .collect::<Result<_>>()?;
        Ok(Self { columns })
    }

    /// A codec for the entries of a secondary index: NULL and NaN are values like others in all
    /// columns but the last, the position of the row.
    ///
    /// # Errors
    /// As [`KeyCodec::new`].
    pub fn of_entries<'a>(fields: impl Iterator<Item = &'a Field>) -> Result<Self> {
        let mut codec = Self::new(fields)?;
        let values = codec.columns.len().saturating_sub(1);
        codec.columns[..values].iter_mut().for_each(|column| column.takes_null = true);
        Ok(codec)
    }

    /// How many columns a key has.
    pub fn column_count(&self) -> usize {
        self.columns.len()
    }

    /// Bytes per key if every key has the same width of at most 8 bytes.
    pub fn fixed_width(&self) -> Option<usize> {
        let width: usize = self.columns.iter().map(KeyColumn::width).sum::<Option<usize>>()?;
        (1..=8).contains(&width).then_some(width)
    }

    /// Encodes row by row the key columns (of the table's types, in key order).
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for NULL and NaN, naming column and row.
    pub fn encode(&self, columns: &[ArrayRef]) -> Result<Keys> {
        let arrays = self.plain_arrays(columns)?;
        let values = self.values(&arrays)?;
        let rows = arrays.first().map_or(0, |a| a.len());
        self.refuse_null_and_nan(&arrays, &values, rows)?;
        let mut keys = Keys::new(self.fixed_width());
        if let ([Values::I64(values)], Keys::Fixed { values: keys, .. }) = (&values[..], &mut keys)
        {
            // The commonest key by far; the general loop costs several times as much.
            keys.extend(values.iter().map(|v| (*v as u64) ^ (1 << 63)));
            return Ok(Keys::Fixed { width: 8, values: std::mem::take(keys) });
        }
        let mut key = Vec::new();
        for row in 0..rows {
            key.clear();
            self.put_row(&arrays, &values, row, &mut key);
            check_length(&key, row)?;
            keys.push(&key);
        }
        Ok(keys)
    }

    /// Encodes the leading columns given by one-row arrays of exactly the columns' types; all of
    /// them make a complete key.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for NULL and NaN.
    pub fn encode_prefix(&self, values: &[ArrayRef]) -> Result<Vec<u8>> {
        let arrays = self.plain_arrays(values)?;
        let values = self.values(&arrays)?;
        self.refuse_null_and_nan(&arrays, &values, 1)?;
        let mut key = Vec::new();
        self.put_row(&arrays, &values, 0, &mut key);
        Ok(key)
    }

    /// Encodes a caller's key, converting each value to its column's type if that loses nothing.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for the wrong number of values or a value that does not convert.
    pub fn encode_key(&self, key: &Key) -> Result<Vec<u8>> {
        if key.0.len() != self.columns.len() {
            return Err(Error::invalid(format!(
                "the key has {} columns ({}), {} values were given",
                self.columns.len(),
                self.names().join(", "),
                key.0.len()
            )));
        }
        self.encode_leading(key)
    }

    /// Like [`KeyCodec::encode_key`], for the first columns of a key: what range bounds may be.
    pub fn encode_leading(&self, key: &Key) -> Result<Vec<u8>> {
        if let ([KeyValue::Int(value)], [column]) = (&key.0[..], &self.columns[..])
            && column.kind == Kind::I64
        {
            return Ok(((*value as u64) ^ (1 << 63)).to_be_bytes().to_vec());
        }
        if key.0.len() > self.columns.len() {
            return Err(Error::invalid(format!(
                "the key has {} columns ({}), {} values were given",
                self.columns.len(),
                self.names().join(", "),
                key.0.len()
            )));
        }
        let arrays: Vec<ArrayRef> = key
            .0
            .iter()
            .zip(&self.columns)
            .map(|(value, column)| column.convert(value))
            .collect::<Result<_>>()?;
        self.encode_prefix(&arrays)
    }

    /// The values of an encoded key, each an array of one row.
    pub fn decode(&self, mut key: &[u8]) -> Result<Vec<ArrayRef>> {
        let last = self.columns.len() - 1;
        let values = self
            .columns
            .iter()
            .enumerate()
            .map(|(i, c)| match c.takes_null {
                true => c.take_or_null(&mut key, i < last),
                false => take(&mut key, c.kind, &c.data_type, i < last),
            })
            .collect::<Result<Vec<_>>>()?;
        if key.is_empty() { Ok(values) } else { Err(Error::invalid("an encoded key is too long")) }
    }

    /// `(a, b) = (1, x)`, for messages.
    pub fn describe(&self, key: &[u8]) -> String {
        format!("({}) = ({})", self.names().join(", "), self.display(key))
    }

    /// `1, x`: the values of an encoded key.
    pub fn display(&self, key: &[u8]) -> String {
        let text = |array: ArrayRef| -> Option<String> {
            let options = FormatOptions::default();
            let formatter = ArrayFormatter::try_new(array.as_ref(), &options).ok()?;
            formatter.value(0).try_to_string().ok()
        };
        let values: Option<Vec<String>> =
            self.decode(key).ok().and_then(|values| values.into_iter().map(text).collect());
        values.map_or_else(|| format!("{key:02x?}"), |values| values.join(", "))
    }

    /// Appends the encoding of row `row`. Text is terminated unless it is the key's last column.
    fn put_row(&self, arrays: &[ArrayRef], values: &[Values<'_>], row: usize, out: &mut Vec<u8>) {
        for (i, (column, values)) in self.columns.iter().zip(values).enumerate() {
            if column.takes_null {
                let is_null = arrays[i].is_null(row);
                out.push(if is_null { NULL } else { SOME });
                if is_null {
                    continue;
                }
            }
            values.put(row, i + 1 < self.columns.len(), out);
        }
    }

    fn names(&self) -> Vec<&str> {
        self.columns.iter().map(|c| c.name.as_str()).collect()
    }

    /// The arrays with dictionaries resolved, their types checked.
    fn plain_arrays(&self, columns: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
        columns
            .iter()
            .zip(&self.columns)
            .map(|(array, column)| {
                let array = match array.data_type() {
                    DataType::Dictionary(..) => arrow::compute::cast(array, &column.data_type)?,
                    _ => Arc::clone(array),
                };
                if *array.data_type() == column.data_type {
                    return Ok(array);
                }
                Err(Error::invalid(format!(
                    "key column \"{}\" is of type {}, values of type {} were given",
                    column.name,
                    column.data_type,
                    array.data_type()
                )))
            })
            .collect()
    }

    fn values<'a>(&self, arrays: &'a [ArrayRef]) -> Result<Vec<Values<'a>>> {
        arrays.iter().zip(&self.columns).map(|(a, c)| Values::new(a.as_ref(), c.kind)).collect()
    }

    fn refuse_null_and_nan(
        &self,
        arrays: &[ArrayRef],
        values: &[Values<'_>],
        rows: usize,
    ) -> Result<()> {
        let columns = arrays.iter().zip(values).zip(&self.columns);
        for ((array, values), column) in columns.filter(|(_, column)| !column.takes_null) {
            if array.null_count() > 0 {
                let row = (0..rows).find(|&row| array.is_null(row)).unwrap_or(0);
                return Err(Error::invalid(format!(
                    "NULL in key column \"{}\" (row {row}); a primary key is never NULL",
                    column.name
                )));
            }
            let float = matches!(column.kind, Kind::F16 | Kind::F32 | Kind::F64);
            if float && let Some(row) = (0..rows).find(|&row| values.is_nan(row)) {
                return Err(Error::invalid(format!(
                    "NaN in key column \"{}\" (row {row}); a primary key is never NaN",
                    column.name
                )));
            }
        }
        Ok(())
    }
}

/// Keys lie in manifests, page fences and log records: they must stay small.
fn check_length(key: &[u8], row: usize) -> Result<()> {
    if key.len() <= KEY_BYTES_MAX {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "the key of row {row} is {} bytes long; at most {KEY_BYTES_MAX} are allowed",
        key.len()
    )))
}

impl KeyColumn {
    /// Encoded bytes, if they are always as many.
    fn width(&self) -> Option<usize> {
        self.kind.width().filter(|_| !self.takes_null)
    }

    /// Takes a value or NULL off the front of an encoded key, as an array of one row.
    fn take_or_null(&self, key: &mut &[u8], terminated: bool) -> Result<ArrayRef> {
        let (flag, rest) =
            key.split_first().ok_or_else(|| Error::invalid("an encoded key is cut short"))?;
        *key = rest;
        match *flag {
            NULL => Ok(new_null_array(&self.data_type, 1)),
            _ => take(key, self.kind, &self.data_type, terminated),
        }
    }

    /// `value` as an array of one row of this column's type.
    fn convert(&self, value: &KeyValue) -> Result<ArrayRef> {
        let array: ArrayRef = match value {
            KeyValue::Int(v) => Arc::new(Int64Array::from(vec![*v])),
            KeyValue::UInt(v) => Arc::new(UInt64Array::from(vec![*v])),
            KeyValue::Float(v) => Arc::new(Float64Array::from(vec![*v])),
            KeyValue::Bool(v) => Arc::new(BooleanArray::from(vec![*v])),
            KeyValue::Text(v) => Arc::new(StringArray::from(vec![v.as_str()])),
            KeyValue::Binary(v) => Arc::new(BinaryArray::from(vec![v.as_slice()])),
            KeyValue::Array(v) => Arc::clone(v),
        };
        let refuse = |why: &str| {
            Error::invalid(format!(
                "{value:?} is no value of key column \"{}\" of type {}: {why}",
                self.name, self.data_type
            ))
        };
        if array.len() != 1 {
            return Err(refuse("expected an array of one row"));
        }
        if *array.data_type() == self.data_type {
            return Ok(array);
        }
        let strict = CastOptions { safe: false, ..CastOptions::default() };
        let cast = cast_with_options(&array, &self.data_type, &strict)
            .map_err(|e| refuse(&e.to_string()))?;
        let back = cast_with_options(&cast, array.data_type(), &strict)
            .map_err(|e| refuse(&e.to_string()))?;
        // Text has many spellings of one timestamp; everything else must come back unchanged.
        let exact = matches!(value, KeyValue::Text(_)) || back.as_ref() == array.as_ref();
        if exact { Ok(cast) } else { Err(refuse("the conversion would change it")) }
    }
}
