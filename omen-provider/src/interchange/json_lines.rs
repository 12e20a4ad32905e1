//! Reads JSON lines in the types of columns: one object a line, a key for each column. Lines that
//! are no such object are named.
//!
//! Whole numbers and decimals are taken as the text that stands there, so that none is rounded.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanBuilder};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::json::ReaderBuilder;
use arrow::record_batch::RecordBatch;
use serde::de::IgnoredAny;

use super::cell_text::values_of;
use super::reader::{BATCH_ROWS, present_name};
use super::strict_cast::strict_cast;
use crate::error::{Error, Result};

/// Text of a batch, at most.
const BATCH_BYTES: usize = 4 << 20;

/// A file from which rows are read.
pub(super) struct JsonReader {
    input: BufReader<Box<dyn Read + Send>>,
    shown: String,
    line: u64,
    schema: SchemaRef,
    /// Its columns as they are decoded.
    decoded: SchemaRef,
    /// Columns for which it is told whether their key was there.
    flags: Vec<usize>,
}

/// Lines of a batch.
#[derive(Default)]
struct Lines {
    text: String,
    ends: Vec<usize>,
    numbers: Vec<u64>,
}

impl JsonReader {
    /// Reads rows of `schema`, each with whether the keys of the columns `flags` were there.
    pub(super) fn new(
        input: BufReader<Box<dyn Read + Send>>,
        shown: &str,
        schema: SchemaRef,
        flags: Vec<usize>,
    ) -> Self {
        let decoded = Schema::new(schema.fields().iter().map(as_decoded).collect::<Vec<_>>());
        let shown = shown.to_string();
        Self { input, shown, line: 0, schema, decoded: Arc::new(decoded), flags }
    }

    /// The next rows; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<RecordBatch>> {
        let mut lines = Lines::default();
        let mut present: Vec<BooleanBuilder> =
            self.flags.iter().map(|_| BooleanBuilder::new()).collect();
        while lines.numbers.len() < BATCH_ROWS && lines.text.len() < BATCH_BYTES {
            let start = lines.text.len();
            let failed = |error: std::io::Error| {
                Error::invalid(format!("{}, line {}: {error}", self.shown, self.line + 1))
            };
            if self.input.read_line(&mut lines.text).map_err(failed)? == 0 {
                break;
            }
            self.line += 1;
            let line = lines.text[start..].trim_start_matches('\u{feff}').trim();
            if line.is_empty() {
                lines.text.truncate(start);
                continue;
            }
            let keys = self.keys(line)?;
            for (flag, present) in self.flags.iter().zip(&mut present) {
                present.append_value(keys.contains_key(self.schema.field(*flag).name().as_str()));
            }
            if self.line == 1 && lines.text.starts_with('\u{feff}') {
                lines.text.drain(..'\u{feff}'.len_utf8());
            }
            if !lines.text.ends_with('\n') {
                lines.text.push('\n');
            }
            lines.ends.push(lines.text.len());
            lines.numbers.push(self.line);
        }
        if lines.numbers.is_empty() {
            return Ok(None);
        }
        let rows = self.rows(&lines.text).map_err(|error| self.first_wrong(&lines, error))?;
        let mut columns = rows.columns().to_vec();
        let mut fields = self.schema.fields().to_vec();
        for (flag, mut present) in self.flags.iter().zip(present) {
            let name = present_name(self.schema.field(*flag).name());
            fields.push(Arc::new(Field::new(name, DataType::Boolean, false)));
            columns.push(Arc::new(present.finish()) as ArrayRef);
        }
        Ok(Some(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?))
    }

    /// The keys of a line, all of which are columns.
    fn keys(&self, line: &str) -> Result<HashMap<String, IgnoredAny>> {
        let wrong =
            |text: String| Error::invalid(format!("{}, line {}: {text}", self.shown, self.line));
        let keys: HashMap<String, IgnoredAny> =
            serde_json::from_str(line).map_err(|error| match line.starts_with('[') {
                true => wrong("an array; one object a line is expected".to_string()),
                false => wrong(format!("no JSON object: {error}")),
            })?;
        match keys.keys().find(|key| self.schema.column_with_name(key).is_none()) {
            Some(key) => Err(wrong(format!("there is no column \"{key}\" to take it"))),
            None => Ok(keys),
        }
    }

    fn rows(&self, text: &str) -> Result<RecordBatch> {
        if self.schema.fields().is_empty() {
            let options =
                arrow::array::RecordBatchOptions::new().with_row_count(Some(text.lines().count()));
            let schema = Arc::clone(&self.schema);
            return Ok(RecordBatch::try_new_with_options(schema, Vec::new(), &options)?);
        }
        let mut decoder = ReaderBuilder::new(Arc::clone(&self.decoded))
            .with_batch_size(BATCH_ROWS)
            .with_coerce_primitive(true)
            .build_decoder()?;
        decoder.decode(text.as_bytes())?;
        let Some(rows) = decoder.flush()? else {
            return Ok(RecordBatch::new_empty(Arc::clone(&self.schema)));
        };
        let columns = rows.columns().iter().zip(self.schema.fields()).map(|(column, field)| {
            let typed = match column.data_type() {
                DataType::Utf8 => values_of(column, field.data_type()),
                _ => strict_cast(column, field.data_type()),
            };
            typed.map_err(|error| Error::invalid(format!("column \"{}\": {error}", field.name())))
        });
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns.collect::<Result<Vec<_>>>()?)?)
    }

    /// What is wrong with the first line that cannot be read.
    fn first_wrong(&self, lines: &Lines, error: Error) -> Error {
        let starts = std::iter::once(0).chain(lines.ends.iter().copied());
        let mut each = starts.zip(&lines.ends).zip(&lines.numbers);
        let found = each.find_map(|((start, end), number)| {
            Some((*number, self.rows(&lines.text[start..*end]).err()?))
        });
        match found {
            Some((line, error)) => Error::invalid(format!("{}, line {line}: {error}", self.shown)),
            None => Error::invalid(format!("{}: {error}", self.shown)),
        }
    }
}

/// The type of a column while it is decoded.
fn as_decoded(field: &FieldRef) -> Field {
    let nullable = field.as_ref().clone().with_nullable(true);
    let kind = decoded_kind(field.data_type());
    nullable.with_data_type(kind)
}

fn decoded_kind(kind: &DataType) -> DataType {
    let inner = |field: &FieldRef| Arc::new(as_decoded(field));
    match kind {
        _ if kind.is_integer() || kind.is_decimal() => DataType::Utf8,
        DataType::Timestamp(_, _)
        | DataType::Date32
        | DataType::Date64
        | DataType::Time32(_)
        | DataType::Time64(_)
        | DataType::Interval(_)
        | DataType::Utf8View => DataType::Utf8,
        DataType::Dictionary(_, values) => decoded_kind(values),
        DataType::List(field) => DataType::List(inner(field)),
        DataType::LargeList(field) => DataType::LargeList(inner(field)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(inner).collect()),
        other => other.clone(),
    }
}
