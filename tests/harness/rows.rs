//! Rows of the tests' tables as plain values, to be compared with a `BTreeMap`.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
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
}

impl Shape {
    /// The key columns.
    fn key_fields(self) -> Vec<Field> {
        let id = Field::new("id", DataType::Int64, false);
        let name = Field::new("name", DataType::Utf8, false);
        match self {
            Self::Int => vec![id],
            Self::Text => vec![name],
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
        TableDefinition {
            name: name.to_string(),
            columns,
            key,
            checks: Vec::new(),
            uniques: Vec::new(),
            identity: None,
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
