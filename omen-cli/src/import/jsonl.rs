//! JSON lines: types from all lines, then rows through Arrow's JSON decoder.
//!
//! Each line holds one object. Columns stand in the order in which they first appear; a missing
//! one is NULL. Texts that are dates or times in every line become such; numbers in quotes stay
//! text, and a column of texts and numbers is text.

use std::collections::HashMap;
use std::fmt;
use std::io::BufRead;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::json::ReaderBuilder;
use arrow::json::reader::Decoder;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::csv_records::at_line;
use super::infer::{Kinds, time_kind, with_seconds};
use super::source::Sink;
use super::target::Target;
use crate::failure::{Failure, Result};

/// Rows of a batch.
const BATCH_ROWS: usize = 8192;

/// Infers the columns.
pub(super) fn infer(mut input: impl BufRead) -> Result<SchemaRef> {
    let mut columns: Vec<(String, Shape)> = Vec::new();
    let mut indices: HashMap<String, usize> = HashMap::new();
    let (mut bytes, mut line) = (Vec::new(), 0);
    while next_line(&mut input, &mut bytes, &mut line)? {
        let object: Object =
            serde_json::from_slice(&bytes).map_err(|error| at_line(line, bad_object(&error)))?;
        for (name, value) in object.0 {
            let index = *indices.entry(name).or_insert_with_key(|name| {
                columns.push((name.clone(), Shape::default()));
                columns.len() - 1
            });
            let (name, shape) = &mut columns[index];
            shape.add(&value);
            if shape.is_mixed() {
                let message = format!("column \"{name}\" is a list or object here, but not before");
                return Err(at_line(line, message));
            }
        }
    }
    if columns.is_empty() {
        return Err(Failure::Error("expected an object on each line, found no line".to_string()));
    }
    let fields = columns.into_iter().map(|(name, shape)| Field::new(name, shape.data_type(), true));
    Ok(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
}

/// Passes the rows on in the types of `target`.
pub(super) fn load(mut input: impl BufRead, target: &Target, sink: &mut Sink<'_>) -> Result<()> {
    let mut batch = Batch::new(target)?;
    let (mut bytes, mut line) = (Vec::new(), 0);
    while next_line(&mut input, &mut bytes, &mut line)? {
        batch.push(&bytes, line)?;
        if batch.lines.len() == BATCH_ROWS && !sink(batch.take()?) {
            return Ok(());
        }
    }
    if !batch.lines.is_empty() {
        sink(batch.take()?);
    }
    Ok(())
}

/// Reads the next line that is not blank.
fn next_line(input: &mut impl BufRead, bytes: &mut Vec<u8>, line: &mut u64) -> Result<bool> {
    loop {
        bytes.clear();
        if input.read_until(b'\n', bytes)? == 0 {
            return Ok(false);
        }
        *line += 1;
        if *line == 1 && bytes.starts_with(b"\xEF\xBB\xBF") {
            bytes.drain(..3);
        }
        if !bytes.trim_ascii().is_empty() {
            return Ok(true);
        }
    }
}

fn bad_object(error: &serde_json::Error) -> String {
    // The parser counts lines too, but sees one at a time.
    let text = error.to_string();
    let reason = text.split(" at line ").next().unwrap_or_default();
    format!("expected one JSON object, found at column {}: {reason}", error.column())
}

/// The members of an object in their order.
struct Object(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Object;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Object(members))
    }
}

/// What the values of a column look like.
#[derive(Debug, Default)]
struct Shape {
    scalars: Kinds,
    items: Option<Box<Shape>>,
    members: Option<Vec<(String, Shape)>>,
}

/// Whether a number is whole and beyond every integer type.
fn is_huge(number: f64) -> bool {
    number.fract() == 0.0 && number.abs() >= 18_446_744_073_709_551_616.0
}

impl Shape {
    fn add(&mut self, value: &Value) {
        match value {
            Value::Null => {}
            Value::Bool(_) => self.scalars.add(Kinds::BOOLEAN),
            Value::Number(number) if number.is_i64() => self.scalars.add(Kinds::INTEGER),
            Value::Number(number) if number.is_u64() => self.scalars.add(Kinds::HUGE),
            // A whole number that large has lost digits as a float; as text it keeps them.
            Value::Number(number) if number.as_f64().is_some_and(is_huge) => {
                self.scalars.add(Kinds::HUGE);
            }
            Value::Number(_) => self.scalars.add(Kinds::FLOAT),
            Value::String(text) => self.scalars.add(text_kind(text)),
            Value::Array(values) => {
                let items = self.items.get_or_insert_default();
                values.iter().for_each(|value| items.add(value));
            }
            Value::Object(object) => {
                let members = self.members.get_or_insert_default();
                for (name, value) in object {
                    let index = match members.iter().position(|(known, _)| known == name) {
                        Some(index) => index,
                        None => {
                            members.push((name.clone(), Self::default()));
                            members.len() - 1
                        }
                    };
                    members[index].1.add(value);
                }
            }
        }
    }

    /// Whether no one type holds the values.
    fn is_mixed(&self) -> bool {
        let scalar = self.scalars != Kinds::default();
        let kinds =
            [scalar, self.items.is_some(), self.members.is_some()].iter().filter(|k| **k).count();
        kinds > 1
            || self.items.as_ref().is_some_and(|items| items.is_mixed())
            || self.members.iter().flatten().any(|(_, member)| member.is_mixed())
    }

    fn data_type(&self) -> DataType {
        if let Some(items) = &self.items {
            return DataType::new_list(items.data_type(), true);
        }
        match self.members.as_deref() {
            Some([]) | None => self.scalars.data_type(),
            Some(members) => DataType::Struct(
                members
                    .iter()
                    .map(|(name, shape)| Field::new(name, shape.data_type(), true))
                    .collect(),
            ),
        }
    }
}

/// A time counts as one only where the decoder reads it so.
fn text_kind(text: &str) -> Kinds {
    let digit = text.as_bytes().first().is_some_and(u8::is_ascii_digit);
    let complete = matches!(with_seconds(text), std::borrow::Cow::Borrowed(_));
    if digit && complete && text.len() >= 10 { time_kind(text) } else { Kinds::TEXT }
}

/// Lines on their way to a record batch.
struct Batch<'a> {
    target: &'a Target,
    decoder: Decoder,
    /// The lines' text, to find the bad one.
    texts: Vec<u8>,
    /// For each row, its line and the end of its text.
    lines: Vec<(u64, usize)>,
}

impl<'a> Batch<'a> {
    fn new(target: &'a Target) -> Result<Self> {
        let decoder = decoder(target)?;
        Ok(Self { target, decoder, texts: Vec::new(), lines: Vec::with_capacity(BATCH_ROWS) })
    }

    fn push(&mut self, bytes: &[u8], line: u64) -> Result<()> {
        // Arrow's decoder is built for speed and lets some errors pass, such as `{"a":1,}`.
        serde_json::from_slice::<IgnoredAny>(bytes)
            .map_err(|error| at_line(line, bad_object(&error)))?;
        self.lines.push((line, self.texts.len() + bytes.len()));
        self.texts.extend_from_slice(bytes);
        let rest = self.decoder.decode(bytes).map(|used| bytes[used..].trim_ascii().is_empty());
        let whole = !self.decoder.has_partial_record() && self.decoder.len() == self.lines.len();
        match rest {
            Ok(true) if whole => Ok(()),
            Ok(_) => Err(at_line(line, "expected one whole JSON object")),
            Err(error) => Err(at_line(line, plain(&error.to_string()))),
        }
    }

    /// The rows so far.
    fn take(&mut self) -> Result<RecordBatch> {
        let decoded = self.decoder.flush();
        let lines = std::mem::take(&mut self.lines);
        let texts = std::mem::take(&mut self.texts);
        let batch = match decoded {
            Ok(batch) => batch,
            Err(error) => return Err(self.find_bad_line(&texts, &lines, &error.to_string())),
        };
        let Some(batch) = batch else {
            return Ok(RecordBatch::new_empty(Arc::clone(&self.target.schema)));
        };
        for (position, field) in self.target.schema.fields().iter().enumerate() {
            let column = batch.column(position);
            if field.is_nullable() || column.null_count() == 0 {
                continue;
            }
            let row = (0..column.len()).find(|&row| column.is_null(row)).unwrap_or_default();
            let line = lines.get(row).map_or(0, |(line, _)| *line);
            return Err(at_line(line, self.target.null_refused(position)));
        }
        Ok(RecordBatch::try_new(Arc::clone(&self.target.schema), batch.columns().to_vec())?)
    }

    /// Decodes line by line to name the one that fails.
    fn find_bad_line(&self, texts: &[u8], lines: &[(u64, usize)], error: &str) -> Failure {
        let mut start = 0;
        for &(line, end) in lines {
            let outcome = decoder(self.target).and_then(|mut decoder| {
                decoder.decode(&texts[start..end])?;
                Ok(decoder.flush()?)
            });
            if let Err(Failure::Error(message)) = outcome {
                return at_line(line, plain(&message));
            }
            start = end;
        }
        Failure::Error(error.to_string())
    }
}

fn decoder(target: &Target) -> Result<Decoder> {
    let nullable = target.schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true));
    let schema = Arc::new(Schema::new(nullable.collect::<Vec<_>>()));
    Ok(ReaderBuilder::new(schema)
        .with_batch_size(BATCH_ROWS)
        .with_coerce_primitive(true)
        .with_strict_mode(true)
        .build_decoder()?)
}

fn plain(message: &str) -> &str {
    message.strip_prefix("Json error: ").unwrap_or(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::cast::AsArray;
    use arrow::datatypes::{Int64Type, TimeUnit};

    fn rows(text: &str, target: &Target) -> Result<Vec<RecordBatch>> {
        let mut batches = Vec::new();
        load(text.as_bytes(), target, &mut |batch| {
            batches.push(batch);
            true
        })?;
        Ok(batches)
    }

    fn message<T>(outcome: Result<T>) -> String {
        match outcome {
            Err(Failure::Error(message)) => message,
            _ => panic!("accepted"),
        }
    }

    #[test]
    fn types_come_from_all_lines_and_columns_keep_their_order() {
        let text = r#"{"z":1,"b":true,"at":"2013-01-01T06:00:00Z","zip":"00123","n":null}

{"z":2.5,"more":{"k":[1,null]},"b":null,"zip":5,"day":"2013-07-04","big":18446744073709551615}"#;
        let schema = infer(text.as_bytes()).unwrap();
        let found: Vec<_> =
            schema.fields().iter().map(|f| (f.name().as_str(), f.data_type().clone())).collect();
        let list = Field::new("k", DataType::new_list(DataType::Int64, true), true);
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let expected = vec![
            ("z", DataType::Float64),
            ("b", DataType::Boolean),
            ("at", utc),
            ("zip", DataType::Utf8),
            ("n", DataType::Utf8),
            ("more", DataType::Struct(vec![list].into())),
            ("day", DataType::Date32),
            ("big", DataType::Utf8),
        ];
        assert_eq!(found, expected);
        let target = Target::new_table(schema, &[]).unwrap();
        let batch = rows(text, &target).unwrap().remove(0);
        assert_eq!(batch.num_rows(), 2);
        let zips: Vec<_> = batch.column(3).as_string::<i32>().iter().flatten().collect();
        assert_eq!(zips, ["00123", "5"]);
        assert_eq!(batch.column(7).as_string::<i32>().value(1), "18446744073709551615");
        assert_eq!(batch.column(2).null_count(), 1);
    }

    #[test]
    fn bad_lines_are_named() {
        for (text, expected) in [
            ("{\"a\":1}\n\n{\"a\":\n", "line 3: expected one JSON object"),
            ("{\"a\":1}\n[1]\n", "line 2: expected one JSON object"),
            ("{\"a\":1}\n{\"a\":[1]}\n", "line 2: column \"a\" is a list or object here"),
            ("\n", "expected an object on each line"),
        ] {
            let message = message(infer(text.as_bytes()));
            assert!(message.starts_with(expected), "{message}");
        }
    }

    #[test]
    fn bad_rows_for_an_existing_table_are_named() {
        let fields = vec![
            Field::new("id", DataType::Int64, false),
            Field::new("day", DataType::Date32, true),
        ];
        let target = Target::of_table(Arc::new(Schema::new(fields)), &["id".to_string()]);
        for (text, expected) in [
            ("{\"id\":1}\n{\"id\":\"x\"}\n", "line 2: "),
            ("{\"id\":1}\n\n{\"id\":2,\"day\":\"tomorrow\"}\n", "line 3: "),
            ("{\"id\":1}\n{\"id\":2,\"other\":2}\n", "line 2: "),
            ("{\"id\":1}\n{\"day\":null}\n", "line 2: column \"id\" is NULL, but"),
            ("{\"id\":1}\n{\"id\":2}{\"id\":3}\n", "line 2: expected one JSON object"),
            ("{\"id\":1}\n{\"id\":\n2}\n", "line 2: expected one JSON object"),
            ("{\"id\":1}\n{\"id\":2,}\n", "line 2: expected one JSON object"),
            ("{\"id\":1}\n[{\"id\":2}]\n", "line 2: "),
            ("{\"id\":1}\n{\"id\":2]\n", "line 2: "),
        ] {
            let message = message(rows(text, &target));
            assert!(message.starts_with(expected), "{text}: {message}");
        }
    }

    #[test]
    fn large_files_come_in_several_batches() {
        let text = "{\"a\":7}\n".repeat(BATCH_ROWS + 1);
        let target = Target::new_table(infer(text.as_bytes()).unwrap(), &[]).unwrap();
        let batches = rows(&text, &target).unwrap();
        assert_eq!(batches.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [BATCH_ROWS, 1]);
        assert_eq!(batches[1].column(0).as_primitive::<Int64Type>().value(0), 7);
    }
}
