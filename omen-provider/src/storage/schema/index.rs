//! A secondary index: columns of a table by whose values rows are found, and what its entries are.
//!
//! An entry is the values of one row in these columns and the row's position in its part. Each
//! part has its own entries, in the order of the values: a run in a map in memory, a segment in a
//! file beside it, which is a segment itself, sorted by values and position. Since parts never
//! change, nor does a position, entries are never written over: those of deleted rows are left out
//! when they are read.
//!
//! Columns are named by their ids, so that renaming them changes nothing here. In their entries
//! they have numbers, for the same reason. NULL comes behind all values.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, UInt32Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field};
use arrow::record_batch::RecordBatch;

use super::{Column, TableSchema};
use crate::error::{Error, Result};
use crate::storage::key::{KeyCodec, KeyRange, Keys};

/// A secondary index as it was declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecondaryIndex {
    /// Unique in the table, never reused, starting at 1.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// Ids of its columns, in their order.
    pub columns: Vec<u32>,
    /// Whether no two rows may have the same values in them; NULL is like nothing else.
    pub is_unique: bool,
    /// Whether it was declared as a constraint of the table: it goes by DROP CONSTRAINT.
    pub is_constraint: bool,
    /// What is said of it.
    pub comment: Option<String>,
}

/// A secondary index of a table as the table is.
#[derive(Debug, Clone)]
pub struct IndexSchema {
    /// What was declared.
    pub index: SecondaryIndex,
    /// Where its columns are among the stored ones.
    pub places: Vec<usize>,
    entries: Arc<TableSchema>,
}

impl IndexSchema {
    /// The index of a table with these columns.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for a column that there is not, is named twice, or is of a type
    /// without an order.
    pub(super) fn new(table: &str, columns: &[Column], index: SecondaryIndex) -> Result<Self> {
        let mut places = Vec::with_capacity(index.columns.len());
        for id in &index.columns {
            let place = columns.iter().position(|column| column.id == *id);
            match place.filter(|place| !places.contains(place)) {
                Some(place) => places.push(place),
                None => {
                    return Err(Error::invalid(format!(
                        "index \"{}\" of table \"{table}\" needs columns of the table, each once",
                        index.name
                    )));
                }
            }
        }
        if places.is_empty() {
            return Err(Error::invalid(format!("index \"{}\" needs a column", index.name)));
        }
        let mut fields = Vec::with_capacity(places.len() + 1);
        for (number, &place) in places.iter().enumerate() {
            let kind = match columns[place].field.data_type() {
                DataType::Dictionary(_, values) => values.as_ref(),
                kind => kind,
            };
            let field = Field::new(format!("value_{}", number + 1), kind.clone(), true);
            if KeyCodec::new(std::iter::once(&field)).is_err() {
                return Err(Error::invalid(format!(
                    "index \"{}\" cannot be over column \"{}\" of table \"{table}\", of type \
                     {kind}, which has no order",
                    index.name,
                    columns[place].field.name()
                )));
            }
            fields.push(field);
        }
        fields.push(Field::new("position", DataType::UInt32, false));
        let entries = Arc::new(TableSchema::of_entries(&index.name, fields)?);
        Ok(Self { index, places, entries })
    }

    /// The schema of its entries: numbered values, then the position.
    pub fn entries(&self) -> &Arc<TableSchema> {
        &self.entries
    }

    /// The columns of entries, of which the values are given, of rows at positions from `first` on.
    pub fn columns(&self, values: &[ArrayRef], first: u32) -> Result<Vec<ArrayRef>> {
        let rows = values.first().map_or(0, |values| values.len()) as u32;
        let fields = self.entries.stored().fields();
        let plain = values.iter().zip(fields).map(|(values, field)| {
            match values.data_type() == field.data_type() {
                true => Ok(Arc::clone(values)),
                false => Ok(cast(values, field.data_type())?),
            }
        });
        let mut columns = plain.collect::<Result<Vec<ArrayRef>>>()?;
        columns.push(Arc::new(UInt32Array::from_iter_values(first..first + rows)));
        Ok(columns)
    }

    /// The encoded entries of rows in the table's stored schema, at positions from `first` on.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if one is too long.
    pub fn keys(&self, rows: &RecordBatch, first: u32) -> Result<Keys> {
        let values: Vec<_> =
            self.places.iter().map(|&place| Arc::clone(rows.column(place))).collect();
        self.encode(&self.columns(&values, first)?)
    }

    /// For each of rows in the table's stored schema, or its first columns, the range of entries
    /// with the row's values; `None` if one of them is NULL.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if an entry would be too long.
    pub fn value_ranges(&self, rows: &RecordBatch) -> Result<Vec<Option<KeyRange>>> {
        let values: Vec<_> =
            self.places.iter().map(|&place| Arc::clone(rows.column(place))).collect();
        let columns = self.columns(&values, 0)?;
        let keys = self.encode(&columns)?;
        let range = |row| match Self::has_null(&columns, row) {
            true => None,
            false => Some(Self::same_values(&keys.get(row))),
        };
        Ok((0..keys.len()).map(range).collect())
    }

    /// Encodes the columns of entries.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if an entry is too long.
    pub fn encode(&self, columns: &[ArrayRef]) -> Result<Keys> {
        self.entries.codec().encode(columns).map_err(|error| {
            Error::invalid(format!("index \"{}\" cannot have an entry: {error}", self.index.name))
        })
    }

    /// Whether one of the values of entry `row` is NULL.
    pub fn has_null(columns: &[ArrayRef], row: usize) -> bool {
        columns.iter().any(|values| values.is_null(row))
    }

    /// The positions that entries name.
    pub fn positions(entries: &RecordBatch) -> &[u32] {
        let last = entries.columns().last().and_then(|column| column.as_primitive_opt());
        last.map_or(&[], |positions: &UInt32Array| positions.values())
    }

    /// All entries with the values of an encoded one.
    pub fn same_values(entry: &[u8]) -> KeyRange {
        // The position is the last four bytes.
        KeyRange::prefix(&entry[..entry.len().saturating_sub(size_of::<u32>())])
    }

    /// `(a, b) = (1, x)`: the values of an encoded entry, for messages.
    pub fn describe(&self, table: &TableSchema, entry: &[u8]) -> String {
        let names = self.names(table).join(", ");
        let text = self.entries.codec().display(entry);
        let values = text.rsplit_once(", ").map_or(text.as_str(), |(values, _)| values);
        format!("({names}) = ({values})")
    }

    /// The names of its columns.
    pub fn names<'a>(&self, table: &'a TableSchema) -> Vec<&'a str> {
        let name = |&place: &usize| table.columns[place].field.name().as_str();
        self.places.iter().map(name).collect()
    }
}
