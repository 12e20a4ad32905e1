//! Rows of the tests' tables as plain values, to be compared with a `BTreeMap`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use omen_provider::{Key, TableDefinition};

/// One value of a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Of a BIGINT column.
    Int(i64),
    /// Of a text column.
    Text(String),
}

/// A key, ordered as the table orders it.
pub type Parts = Vec<Part>;

/// What a row holds besides its key.
pub type Values = (Option<i64>, Option<String>);

/// What the key of a table is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `id BIGINT`.
    Int,
    /// `name TEXT`.
    Text,
    /// `(name TEXT, id BIGINT)`.
    Composite,
}

impl Shape {
    /// The key columns.
    fn key_fields(self) -> Vec<Field> {
        let id = Field::new("id", DataType::Int64, false);
        let name = Field::new("name", DataType::Utf8, false);
        match self {
            Self::Int => vec![id],
            Self::Text => vec![name],
            Self::Composite => vec![name, id],
        }
    }

    /// All columns: those of the key, a number and a text.
    pub fn schema(self) -> Arc<Schema> {
        let mut fields = self.key_fields();
        fields.push(Field::new("number", DataType::Int64, true));
        fields.push(Field::new("note", DataType::Utf8, true));
        Arc::new(Schema::new(fields))
    }

    /// The table.
    pub fn definition(self, name: &str) -> TableDefinition {
        let columns = self.schema().fields().iter().map(|f| (f.as_ref().clone(), None)).collect();
        let key = self.key_fields().iter().map(|f| f.name().clone()).collect();
        TableDefinition { name: name.to_string(), columns, key }
    }

    /// The columns of the key, for ORDER BY.
    pub fn key_list(self) -> String {
        let names: Vec<_> = self.key_fields().iter().map(|f| f.name().clone()).collect();
        names.join(", ")
    }

    /// One of many keys; close numbers give keys that are close, equal in part, or extreme.
    pub fn key(self, number: u16) -> Parts {
        let id = match number % 500 {
            0 => i64::MIN,
            1 => i64::MAX,
            n => i64::from(n) * 3 - 700,
        };
        let names = ["", "a", "a\0", "ab", "b", "élan", "zz", "a long name that goes past 8 bytes"];
        let name = names[usize::from(number) % names.len()];
        match self {
            Self::Int => vec![Part::Int(id)],
            Self::Text => vec![Part::Text(format!("{name}{}", number / 8 % 60))],
            Self::Composite => vec![Part::Text(name.to_string()), Part::Int(id / 8)],
        }
    }
}

/// The key as the engine takes it.
pub fn to_key(parts: &[Part]) -> Key {
    let value = |part: &Part| match part {
        Part::Int(value) => (*value).into(),
        Part::Text(value) => value.as_str().into(),
    };
    Key(parts.iter().map(value).collect())
}

/// Rows as a batch.
pub fn to_batch(shape: Shape, rows: &[(Parts, Values)]) -> RecordBatch {
    let schema = shape.schema();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for (i, field) in shape.key_fields().iter().enumerate() {
        let ints = rows.iter().map(|(key, _)| match &key[i] {
            Part::Int(value) => *value,
            Part::Text(_) => 0,
        });
        let texts = rows.iter().map(|(key, _)| match &key[i] {
            Part::Text(value) => value.as_str(),
            Part::Int(_) => "",
        });
        columns.push(match field.data_type() {
            DataType::Int64 => Arc::new(Int64Array::from_iter_values(ints)),
            _ => Arc::new(StringArray::from_iter_values(texts)),
        });
    }
    columns.push(Arc::new(rows.iter().map(|(_, values)| values.0).collect::<Int64Array>()));
    columns.push(Arc::new(rows.iter().map(|(_, v)| v.1.clone()).collect::<StringArray>()));
    RecordBatch::try_new(schema, columns).unwrap()
}

/// The rows of a batch.
pub fn from_batch(shape: Shape, batch: &RecordBatch) -> Vec<(Parts, Values)> {
    let width = shape.key_fields().len();
    assert_eq!(batch.num_columns(), width + 2, "{:?}", batch.schema());
    let text = |column: &ArrayRef, row: usize| match column.data_type() {
        DataType::Utf8View => column.as_string_view().value(row).to_string(),
        _ => column.as_string::<i32>().value(row).to_string(),
    };
    let row = |row: usize| {
        let key = batch.columns()[..width].iter().map(|column| match column.data_type() {
            DataType::Int64 => Part::Int(column.as_primitive::<Int64Type>().value(row)),
            _ => Part::Text(text(column, row)),
        });
        let (number, note) = (batch.column(width), batch.column(width + 1));
        let number = number.is_valid(row).then(|| number.as_primitive::<Int64Type>().value(row));
        (key.collect(), (number, note.is_valid(row).then(|| text(note, row))))
    };
    (0..batch.num_rows()).map(row).collect()
}
