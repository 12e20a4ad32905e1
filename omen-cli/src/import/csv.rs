//! CSV with a header: types from all of its texts, then rows in these types.
//!
//! An empty field is NULL; a quoted empty field is the empty text in a text column and NULL
//! elsewhere. The texts given by `--null` are NULL, quoted or not.

use std::borrow::Cow;
use std::io::BufRead;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray, StringBuilder, new_null_array};
use arrow::compute::{CastOptions, can_cast_types, cast_with_options};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::csv_records::{Record, Records, at_line};
use super::infer::{Kinds, kind_of, with_seconds};
use super::source::Sink;
use super::target::Target;
use crate::failure::{Failure, Result};
use crate::sql_type::sql_type;

/// Rows of a batch.
const BATCH_ROWS: usize = 8192;

/// How the file is written.
#[derive(Debug, Clone)]
pub(super) struct Dialect {
    /// What parts the fields.
    pub(super) delimiter: u8,
    /// Texts that mean NULL, besides the empty field.
    pub(super) nulls: Vec<String>,
}

impl Dialect {
    fn is_null(&self, text: &str, quoted: bool, text_column: bool) -> bool {
        (text.is_empty() && !(quoted && text_column)) || self.nulls.iter().any(|null| null == text)
    }
}

/// Infers the columns.
pub(super) fn infer(input: impl BufRead, dialect: &Dialect) -> Result<SchemaRef> {
    let (mut records, names) = open(input, dialect)?;
    let mut columns = vec![Kinds::default(); names.len()];
    let mut record = Record::default();
    while records.read(&mut record)? {
        check_length(&record, names.len())?;
        for (index, kinds) in columns.iter_mut().enumerate() {
            let (text, quoted) = record.text(index)?;
            if !kinds.is_text() && !dialect.is_null(text, quoted, false) {
                kinds.add(kind_of(text));
            }
        }
    }
    let fields = names.into_iter().zip(columns);
    let fields = fields.map(|(name, kinds)| Field::new(name, kinds.data_type(), true));
    Ok(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
}

/// Passes the rows on in the types of `target`.
pub(super) fn load(
    input: impl BufRead,
    dialect: &Dialect,
    target: &Target,
    sink: &mut Sink<'_>,
) -> Result<()> {
    let (mut records, names) = open(input, dialect)?;
    let mut batch = Batch::new(target, target.positions(&names)?)?;
    let mut record = Record::default();
    while records.read(&mut record)? {
        check_length(&record, names.len())?;
        batch.push(&record, dialect)?;
        if batch.lines.len() == BATCH_ROWS && !sink(batch.take()?) {
            return Ok(());
        }
    }
    if !batch.lines.is_empty() {
        sink(batch.take()?);
    }
    Ok(())
}

/// Reads the header.
fn open<R: BufRead>(input: R, dialect: &Dialect) -> Result<(Records<R>, Vec<String>)> {
    let mut records = Records::new(input, dialect.delimiter)?;
    let mut header = Record::default();
    if !records.read(&mut header)? {
        return Err(Failure::Error("expected a header line, found an empty file".to_string()));
    }
    let mut names: Vec<String> = Vec::with_capacity(header.len());
    for index in 0..header.len() {
        let name = match header.text(index)?.0.trim() {
            "" => format!("column_{}", index + 1),
            name => name.to_string(),
        };
        if names.contains(&name) {
            return Err(at_line(header.line, format!("the header names column {name} twice")));
        }
        names.push(name);
    }
    records.keep_blank = names.len() == 1;
    Ok((records, names))
}

fn check_length(record: &Record, expected: usize) -> Result<()> {
    if record.len() == expected {
        return Ok(());
    }
    let found = record.len();
    Err(at_line(record.line, format!("expected {expected} fields as in the header, found {found}")))
}

/// Rows on their way to a record batch.
struct Batch<'a> {
    target: &'a Target,
    /// For each field of the file, its column in the target.
    positions: Vec<usize>,
    texts: Vec<StringBuilder>,
    /// The line of each row.
    lines: Vec<u64>,
}

impl<'a> Batch<'a> {
    fn new(target: &'a Target, positions: Vec<usize>) -> Result<Self> {
        for &position in &positions {
            let field = target.schema.field(position);
            if !can_cast_types(&DataType::Utf8, field.data_type()) {
                return Err(Failure::Error(format!(
                    "column \"{}\" of type {} cannot be read from CSV",
                    field.name(),
                    sql_type(field.data_type())
                )));
            }
        }
        let texts = positions.iter().map(|_| StringBuilder::new()).collect();
        Ok(Self { target, positions, texts, lines: Vec::with_capacity(BATCH_ROWS) })
    }

    fn push(&mut self, record: &Record, dialect: &Dialect) -> Result<()> {
        for (index, (builder, &position)) in self.texts.iter_mut().zip(&self.positions).enumerate()
        {
            let field = self.target.schema.field(position);
            let (text, quoted) = record.text(index)?;
            if dialect.is_null(text, quoted, is_text(field.data_type())) {
                if !field.is_nullable() {
                    return Err(at_line(record.line, self.target.null_refused(position)));
                }
                builder.append_null();
            } else {
                builder.append_value(prepared(text, field.data_type()));
            }
        }
        self.lines.push(record.line);
        Ok(())
    }

    /// The rows so far, in the target's types.
    fn take(&mut self) -> Result<RecordBatch> {
        let lines = std::mem::take(&mut self.lines);
        let schema = &self.target.schema;
        let mut columns: Vec<Option<ArrayRef>> = vec![None; schema.fields().len()];
        for (builder, &position) in self.texts.iter_mut().zip(&self.positions) {
            columns[position] = Some(convert(builder.finish(), schema.field(position), &lines)?);
        }
        let columns = columns.into_iter().zip(schema.fields()).map(|(column, field)| {
            column.unwrap_or_else(|| new_null_array(field.data_type(), lines.len()))
        });
        Ok(RecordBatch::try_new(Arc::clone(schema), columns.collect())?)
    }
}

fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => is_text(values),
        other => other.is_string() || other.is_binary(),
    }
}

/// The text as the conversion wants it.
fn prepared<'t>(text: &'t str, data_type: &DataType) -> Cow<'t, str> {
    match data_type {
        data_type if is_text(data_type) => Cow::Borrowed(text),
        DataType::Timestamp(_, _) => with_seconds(text.trim()),
        _ => Cow::Borrowed(text.trim()),
    }
}

fn convert(texts: StringArray, field: &Field, lines: &[u64]) -> Result<ArrayRef> {
    let texts: ArrayRef = Arc::new(texts);
    let lenient = CastOptions { safe: true, ..CastOptions::default() };
    let column = cast_with_options(&texts, field.data_type(), &lenient)?;
    if column.null_count() == texts.null_count() {
        return Ok(column);
    }
    let bad = (0..texts.len()).find(|&row| column.is_null(row) && texts.is_valid(row));
    let row = bad.unwrap_or_default();
    let text = arrow::array::cast::AsArray::as_string::<i32>(&texts).value(row);
    Err(at_line(
        lines.get(row).copied().unwrap_or_default(),
        format!(
            "column \"{}\": expected {}, found \"{text}\"",
            field.name(),
            sql_type(field.data_type())
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::cast::AsArray;
    use arrow::datatypes::{Int64Type, TimeUnit};

    fn dialect() -> Dialect {
        Dialect { delimiter: b',', nulls: vec!["NA".to_string()] }
    }

    fn types(text: &str) -> Vec<DataType> {
        let schema = infer(text.as_bytes(), &dialect()).unwrap();
        schema.fields().iter().map(|field| field.data_type().clone()).collect()
    }

    fn rows(text: &str, target: &Target) -> Result<Vec<RecordBatch>> {
        let mut batches = Vec::new();
        load(text.as_bytes(), &dialect(), target, &mut |batch| {
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
    fn last_row_decides_as_much_as_the_first() {
        let numbers = "a,b\n".to_string() + &"1,1\n".repeat(20_000);
        assert_eq!(types(&numbers), [DataType::Int64, DataType::Int64]);
        assert_eq!(types(&(numbers + "2,x\n")), [DataType::Int64, DataType::Utf8]);
        assert_eq!(types("a,b\nNA,\n,NA\n"), [DataType::Utf8, DataType::Utf8]);
        assert_eq!(types("a,b\n\"\",\"5\"\n1,NA\n"), [DataType::Int64, DataType::Int64]);
    }

    #[test]
    fn rows_arrive_in_the_inferred_types() {
        let text = "id,name,at\n1,\"\",2013-01-01T06:00:00Z\n 2,,NA\n3,NA,2013-01-01 06:00Z\n";
        let schema = infer(text.as_bytes(), &dialect()).unwrap();
        let target = Target::new_table(schema, &["id".to_string()]).unwrap();
        let batch = rows(text, &target).unwrap().remove(0);
        assert_eq!(batch.column(0).as_primitive::<Int64Type>().values(), &[1, 2, 3]);
        let names: Vec<_> = batch.column(1).as_string::<i32>().iter().collect();
        assert_eq!(names, [Some(""), None, None]);
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        assert_eq!(batch.schema().field(2).data_type(), &utc);
        assert_eq!(batch.column(2).null_count(), 1);
    }

    #[test]
    fn bad_rows_are_named_with_their_line() {
        let fields = vec![
            Field::new("id", DataType::Int32, false),
            Field::new("x", DataType::Float64, true),
        ];
        let target = Target::of_table(Arc::new(Schema::new(fields)), &["id".to_string()]);
        for (text, expected) in [
            ("id,x\n1,2\n3\n", "line 3: expected 2 fields as in the header, found 1"),
            ("id,x\n1,\"2\n\"\n3,4,5\n", "line 4: expected 2 fields"),
            ("x,id\n1,2\n1,99999999999\n", "line 3: column \"id\": expected INT, found \"999"),
            ("id,x\n\n1,y\n", "line 3: column \"x\": expected DOUBLE, found \"y\""),
            ("id,x\n1,2\n,2\n", "line 3: column \"id\" is NULL, but it is part of the key"),
            ("id,id\n", "line 1: the header names column id twice"),
            ("", "expected a header line"),
            ("x\n1\n", "column \"id\" of the table is missing"),
            ("id,y\n1,2\n", "column \"y\" is not in the table"),
        ] {
            let message = message(rows(text, &target));
            assert!(message.starts_with(expected), "{message}");
        }
        let latin = b"id,x\n1,\xe9\n";
        let message = message(infer(latin.as_slice(), &dialect()));
        assert_eq!(message, "line 2: field 2 is not UTF-8 text");
    }

    #[test]
    fn columns_of_an_existing_table_are_found_by_name() {
        let fields = vec![
            Field::new("a", DataType::Utf8View, true),
            Field::new("b", DataType::Decimal128(9, 2), true),
            Field::new("c", DataType::Date32, true),
        ];
        let target = Target::of_table(Arc::new(Schema::new(fields)), &[]);
        let batch = rows("C,a\n2013-07-04,x\n", &target).unwrap().remove(0);
        assert_eq!(batch.schema(), target.schema);
        assert_eq!(batch.column(1).null_count(), 1);
        assert_eq!(batch.column(0).as_string_view().value(0), "x");
    }

    #[test]
    fn large_files_come_in_several_batches() {
        let text = "a\n".to_string() + &"1\n".repeat(BATCH_ROWS * 2 + 1);
        let target = Target::new_table(infer(text.as_bytes(), &dialect()).unwrap(), &[]).unwrap();
        let sizes: Vec<_> = rows(&text, &target).unwrap().iter().map(|b| b.num_rows()).collect();
        assert_eq!(sizes, [BATCH_ROWS, BATCH_ROWS, 1]);
    }
}
