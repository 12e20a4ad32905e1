//! Reads CSV in the types of columns. Cells that are no such value are named by line and column.

use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;

use arrow::array::{ArrayRef, StringBuilder};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use super::cell_text::values_of;
use super::csv_records::{Marks, Record, Records, Wrong};
use super::options::FileOptions;
use super::reader::{BATCH_ROWS, place_of_name};
use crate::error::{Error, Result};

/// Text of a batch, at most.
const BATCH_BYTES: usize = 4 << 20;

type Input = BufReader<Box<dyn Read + Send>>;

/// A file from which rows are read.
pub(super) struct CsvReader {
    records: Records<Input>,
    record: Record,
    options: FileOptions,
    shown: String,
    schema: SchemaRef,
    /// For each field of a record, the column it is.
    places: Vec<usize>,
    is_ended: bool,
}

fn marks(options: &FileOptions) -> Marks {
    let FileOptions { delimiter, quote, escape, .. } = *options;
    Marks { delimiter, quote, escape }
}

/// The names in the first record; `None` if there is no record.
pub(super) fn header(
    input: Input,
    shown: &str,
    options: &FileOptions,
) -> Result<Option<Vec<String>>> {
    let mut records = Records::new(input, marks(options)).map_err(|w| wrong(shown, w))?;
    read_header(&mut records, shown)
}

fn read_header<R: BufRead>(records: &mut Records<R>, shown: &str) -> Result<Option<Vec<String>>> {
    let mut record = Record::default();
    if !records.read(&mut record).map_err(|w| wrong(shown, w))? {
        return Ok(None);
    }
    let name = |index| record.text(index).map(|(text, _)| text.to_string());
    let names = (0..record.len()).map(name).collect::<Result<_, _>>();
    names.map(Some).map_err(|text| wrong(shown, (record.line, text)))
}

fn wrong(shown: &str, (line, text): Wrong) -> Error {
    Error::invalid(format!("{shown}, line {line}: {text}"))
}

/// The column of each name; every column is there.
fn in_header(names: &[String], schema: &SchemaRef) -> Result<Vec<usize>, String> {
    let mut places = Vec::with_capacity(names.len());
    for name in names {
        match place_of_name(schema, name) {
            Some(place) if !places.contains(&place) => places.push(place),
            _ => return Err(format!("there is no column \"{name}\", or it is there twice")),
        }
    }
    match (0..schema.fields().len()).find(|place| !places.contains(place)) {
        Some(missing) => Err(format!(
            "the header lacks the column \"{}\"; COPY t (a, b, …) FROM names those that are there",
            schema.field(missing).name()
        )),
        None => Ok(places),
    }
}

impl CsvReader {
    /// Reads rows of `schema`: in this order, or as the header has it.
    pub(super) fn new(
        input: Input,
        shown: &str,
        options: &FileOptions,
        schema: SchemaRef,
    ) -> Result<Self> {
        let failed = |w| wrong(shown, w);
        let mut records = Records::new(input, marks(options)).map_err(failed)?;
        let mut places: Vec<usize> = (0..schema.fields().len()).collect();
        if options.header
            && let Some(names) = read_header(&mut records, shown)?
        {
            places = in_header(&names, &schema).map_err(|text| wrong(shown, (1, text)))?;
        }
        if places.len() == 1 {
            records.keep_blank();
        }
        let (shown, options) = (shown.to_string(), options.clone());
        let record = Record::default();
        Ok(Self { records, record, options, shown, schema, places, is_ended: false })
    }

    /// The next rows; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<RecordBatch>> {
        let mut texts: Vec<StringBuilder> =
            self.places.iter().map(|_| StringBuilder::new()).collect();
        let (mut lines, mut bytes) = (Vec::new(), 0);
        while !self.is_ended && lines.len() < BATCH_ROWS && bytes < BATCH_BYTES {
            let read = self.records.read(&mut self.record);
            if !read.map_err(|w| wrong(&self.shown, w))? {
                self.is_ended = true;
                break;
            }
            lines.push(self.record.line);
            bytes += self.take_record(&mut texts)?;
        }
        if lines.is_empty() {
            return Ok(None);
        }
        let mut columns: Vec<Option<ArrayRef>> = vec![None; self.schema.fields().len()];
        for (mut text, place) in texts.into_iter().zip(&self.places) {
            let text: ArrayRef = Arc::new(text.finish());
            columns[*place] = Some(self.column(&text, *place, &lines)?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(lines.len()));
        let columns = columns.into_iter().flatten().collect();
        Ok(Some(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?))
    }

    /// Adds the fields of the record; returns their bytes.
    fn take_record(&self, texts: &mut [StringBuilder]) -> Result<usize> {
        let (line, found) = (self.record.line, self.record.len());
        if found != texts.len() {
            let text = format!("{found} fields; {} are expected", texts.len());
            return Err(wrong(&self.shown, (line, text)));
        }
        let mut bytes = 0;
        for (index, builder) in texts.iter_mut().enumerate() {
            let field = self.record.text(index).map_err(|text| wrong(&self.shown, (line, text)))?;
            match field {
                (text, false) if text == self.options.null => builder.append_null(),
                (text, _) => {
                    bytes += text.len();
                    builder.append_value(text);
                }
            }
        }
        Ok(bytes)
    }

    fn column(&self, texts: &ArrayRef, place: usize, lines: &[u64]) -> Result<ArrayRef> {
        let field = self.schema.field(place);
        values_of(texts, field.data_type()).map_err(|error| {
            let is_wrong = |row: &usize| values_of(&texts.slice(*row, 1), field.data_type()).err();
            let first = (0..lines.len()).find_map(|row| Some((row, is_wrong(&row)?)));
            let (row, error) = first.unwrap_or((0, error));
            let text = format!("column \"{}\": {error}", field.name());
            wrong(&self.shown, (lines[row], text))
        })
    }
}
