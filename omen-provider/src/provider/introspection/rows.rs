//! The rows of system tables: columns with names and types, and cells to fill them.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use crate::error::Result;

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Text,
    Number,
    Real,
    Truth,
}

/// A column: name, type, whether it may be NULL.
pub(super) type Column = (&'static str, Type, bool);

/// A value, NULL if it is none.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Text(Option<String>),
    Number(Option<u64>),
    Real(Option<f64>),
    Truth(Option<bool>),
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_string()))
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(Some(text))
    }
}

impl From<Option<String>> for Cell {
    fn from(text: Option<String>) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Cell {
    fn from(number: u64) -> Self {
        Self::Number(Some(number))
    }
}

impl From<Option<u64>> for Cell {
    fn from(number: Option<u64>) -> Self {
        Self::Number(number)
    }
}

impl From<Option<f64>> for Cell {
    fn from(number: Option<f64>) -> Self {
        Self::Real(number)
    }
}

impl From<bool> for Cell {
    fn from(truth: bool) -> Self {
        Self::Truth(Some(truth))
    }
}

impl From<Option<bool>> for Cell {
    fn from(truth: Option<bool>) -> Self {
        Self::Truth(truth)
    }
}

/// The schema of a table of these columns.
pub(super) fn schema(columns: &[Column]) -> SchemaRef {
    let field = |(name, kind, nullable): &Column| {
        let kind = match kind {
            Type::Text => DataType::Utf8,
            Type::Number => DataType::Int64,
            Type::Real => DataType::Float64,
            Type::Truth => DataType::Boolean,
        };
        Field::new(*name, kind, *nullable)
    };
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}

/// Rows as a batch. A cell of another type than its column is NULL.
pub(super) fn batch(columns: &[Column], rows: &[Vec<Cell>]) -> Result<RecordBatch> {
    let arrays = columns.iter().enumerate().map(|(place, (_, kind, _))| {
        let cells = rows.iter().map(|row| row.get(place));
        array(*kind, cells)
    });
    Ok(RecordBatch::try_new(schema(columns), arrays.collect())?)
}

fn array<'a>(kind: Type, cells: impl Iterator<Item = Option<&'a Cell>>) -> ArrayRef {
    match kind {
        Type::Text => {
            let texts = cells.map(|cell| match cell {
                Some(Cell::Text(text)) => text.as_deref(),
                _ => None,
            });
            Arc::new(texts.collect::<StringArray>())
        }
        Type::Number => {
            let numbers = cells.map(|cell| match cell {
                // What is counted here never comes near the bound.
                Some(Cell::Number(number)) => number.map(|n| i64::try_from(n).unwrap_or(i64::MAX)),
                _ => None,
            });
            Arc::new(numbers.collect::<Int64Array>())
        }
        Type::Real => {
            let numbers = cells.map(|cell| match cell {
                Some(Cell::Real(number)) => *number,
                _ => None,
            });
            Arc::new(numbers.collect::<Float64Array>())
        }
        Type::Truth => {
            let truths = cells.map(|cell| match cell {
                Some(Cell::Truth(truth)) => *truth,
                _ => None,
            });
            Arc::new(truths.collect::<BooleanArray>())
        }
    }
}
