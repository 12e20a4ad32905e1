//! Kinds of tables: what their keys are made of, and rows as plain values, to and from Arrow and
//! SQL.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{
    DataType, Field, Int64Type, Schema, TimeUnit, TimestampMicrosecondType as Micros,
};
use omen_provider::TableDefinition;

pub use crate::harness::rows::{Part, Parts, Values, to_key};

/// Keys are made of numbers below this.
pub const NUMBERS: u32 = 2048;

/// The columns behind the key.
pub const VALUES: [&str; 2] = ["number", "note"];

/// What the key of a table is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `id BIGINT`.
    Number,
    /// `name TEXT`.
    Name,
    /// `(name TEXT, id BIGINT)`.
    Pair,
    /// `at TIMESTAMP`.
    Time,
    /// `(at TIMESTAMP, name TEXT)`.
    Reading,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Number, Self::Name, Self::Pair, Self::Time, Self::Reading];

    /// The names of the key columns.
    pub fn key_names(self) -> &'static [&'static str] {
        match self {
            Self::Number => &["id"],
            Self::Name => &["name"],
            Self::Pair => &["name", "id"],
            Self::Time => &["at"],
            Self::Reading => &["at", "name"],
        }
    }

    /// The names of all columns.
    pub fn names(self) -> Vec<&'static str> {
        [self.key_names(), &VALUES].concat()
    }

    /// All columns: those of the key, a number and a text.
    pub fn schema(self) -> Arc<Schema> {
        let nullable = |name: &str| VALUES.contains(&name);
        let field = |name: &&str| Field::new(*name, data_type(name), nullable(name));
        Arc::new(Schema::new(self.names().iter().map(field).collect::<Vec<_>>()))
    }

    /// The table.
    pub fn definition(self, name: &str) -> TableDefinition {
        TableDefinition::new(name, &self.schema()).primary_key(self.key_names().iter().copied())
    }

    /// The same as a statement.
    pub fn create_sql(self, name: &str) -> String {
        let column = |name: &&str| format!("{name} {}", sql_type(name));
        let columns: Vec<_> = self.names().iter().map(column).collect();
        let key = self.key_names().join(", ");
        format!("CREATE TABLE {name} ({}, PRIMARY KEY ({key}))", columns.join(", "))
    }

    /// One of many keys, another one for each number: close numbers give keys that are close, equal
    /// in part, or extreme.
    pub fn key(self, number: u32) -> Parts {
        let n = i64::from(number);
        let id = match number {
            0 => i64::MIN,
            1 => i64::MAX,
            _ => n * 3 - 700,
        };
        let names = ["", "a", "a\0", "ab", "b", "élan", "zz", "a long name that goes past 8 bytes"];
        let name = names[number as usize % names.len()].to_string();
        let hour = |hours: i64| Part::Int((hours - 20) * 3_600_000_000);
        match self {
            Self::Number => vec![Part::Int(id)],
            Self::Name => vec![Part::Text(format!("{name}{}", number / 8))],
            Self::Pair => vec![Part::Text(name), Part::Int(n / 8 * 5 - 100)],
            Self::Time => vec![hour(n)],
            Self::Reading => vec![hour(n / 16), Part::Text(format!("{name}{}", number / 8 % 2))],
        }
    }
}

fn data_type(column: &str) -> DataType {
    match column {
        "id" | "number" => DataType::Int64,
        "at" => DataType::Timestamp(TimeUnit::Microsecond, None),
        _ => DataType::Utf8,
    }
}

fn sql_type(column: &str) -> &'static str {
    match column {
        "id" | "number" => "BIGINT",
        "at" => "TIMESTAMP(6)",
        _ => "TEXT",
    }
}

/// A value of a column as SQL writes it.
pub fn literal(column: &str, part: &Part) -> String {
    match part {
        // There is no positive number of that size to be negated.
        Part::Int(i64::MIN) => "(-9223372036854775807 - 1)".to_string(),
        Part::Int(value) if column == "at" => format!("to_timestamp_micros({value})"),
        Part::Int(value) => value.to_string(),
        Part::Text(text) => format!("'{}'", text.replace('\'', "''")),
    }
}

/// Rows as the list behind VALUES.
pub fn values_list(kind: Kind, rows: &[(Parts, Values)]) -> String {
    let row = |(key, values): &(Parts, Values)| {
        let mut texts: Vec<String> =
            kind.key_names().iter().zip(key).map(|(name, part)| literal(name, part)).collect();
        let (number, note) = (values.0.map(Part::Int), values.1.clone().map(Part::Text));
        for (name, part) in VALUES.iter().zip([number, note]) {
            texts.push(part.map_or("NULL".to_string(), |part| literal(name, &part)));
        }
        format!("({})", texts.join(", "))
    };
    rows.iter().map(row).collect::<Vec<_>>().join(", ")
}

/// Rows as a batch.
pub fn to_batch(kind: Kind, rows: &[(Parts, Values)]) -> RecordBatch {
    let mut columns: Vec<ArrayRef> = Vec::new();
    for (i, name) in kind.key_names().iter().enumerate() {
        let ints = rows.iter().map(|(key, _)| match &key[i] {
            Part::Int(value) => *value,
            Part::Text(text) => panic!("{text} is no number"),
        });
        let texts = rows.iter().map(|(key, _)| match &key[i] {
            Part::Text(value) => value.as_str(),
            Part::Int(number) => panic!("{number} is no text"),
        });
        columns.push(match data_type(name) {
            DataType::Int64 => Arc::new(Int64Array::from_iter_values(ints)),
            DataType::Utf8 => Arc::new(StringArray::from_iter_values(texts)),
            _ => Arc::new(TimestampMicrosecondArray::from_iter_values(ints)),
        });
    }
    columns.push(Arc::new(rows.iter().map(|(_, values)| values.0).collect::<Int64Array>()));
    columns.push(Arc::new(rows.iter().map(|(_, v)| v.1.clone()).collect::<StringArray>()));
    RecordBatch::try_new(kind.schema(), columns).unwrap()
}

/// The rows of a batch; an error if it has other columns.
pub fn from_batch(kind: Kind, batch: &RecordBatch) -> Result<Vec<(Parts, Values)>, String> {
    let schema = batch.schema();
    let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    if names != kind.names() {
        return Err(format!("columns {names:?} in a table of kind {kind:?}"));
    }
    let width = kind.key_names().len();
    let int = |column: &ArrayRef, row: usize| match column.data_type() {
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row),
        _ => column.as_primitive::<Micros>().value(row),
    };
    let text = |column: &ArrayRef, row: usize| match column.data_type() {
        DataType::Utf8View => column.as_string_view().value(row).to_string(),
        _ => column.as_string::<i32>().value(row).to_string(),
    };
    let row = |row: usize| {
        let key = batch.columns()[..width].iter().map(|column| match column.data_type() {
            DataType::Int64 | DataType::Timestamp(..) => Part::Int(int(column, row)),
            _ => Part::Text(text(column, row)),
        });
        let (number, note) = (batch.column(width), batch.column(width + 1));
        let number = number.is_valid(row).then(|| int(number, row));
        (key.collect(), (number, note.is_valid(row).then(|| text(note, row))))
    };
    Ok((0..batch.num_rows()).map(row).collect())
}
