//! Reads files of any format, one after the other, in the types of columns.

use std::fs::File;
use std::io::{Read, Seek};
use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray, new_null_array};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::reader::{FileReader, StreamReader};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::cell_text::values_of;
use super::compression::{Compression, decompressed};
use super::csv_reader::{CsvReader, header};
use super::json_lines::JsonReader;
use super::listing::DataFile;
use super::options::{FileOptions, Format};
use super::strict_cast::strict_cast;
use crate::error::{Error, Result};

/// Rows of a batch, at most.
pub(super) const BATCH_ROWS: usize = 8192;

/// The name of the column that tells whether a row of JSON has a key.
pub fn present_name(column: &str) -> String {
    format!("\u{1}has {column}")
}

/// The column of a name: exactly, or but for upper and lower case.
pub(super) fn place_of_name(schema: &Schema, name: &str) -> Option<usize> {
    let exact = schema.fields().iter().position(|field| field.name() == name);
    exact.or_else(|| {
        let lower = name.to_lowercase();
        let fields = schema.fields().iter();
        let mut like = fields.enumerate().filter(|(_, f)| f.name().to_lowercase() == lower);
        match (like.next(), like.next()) {
            (Some((place, _)), None) => Some(place),
            _ => None,
        }
    })
}

/// What files have of the columns that a statement takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileColumns {
    /// Places in what it takes, in this order.
    pub places: Vec<usize>,
    /// Whether a row may lack any of them.
    pub may_lack: bool,
}

/// Which of the columns `taken` the files have; all of them have the same.
///
/// # Errors
/// [`Error::InvalidInput`] naming a column that is not taken, or that one file alone has.
pub fn columns_of(
    files: &[DataFile],
    options: &FileOptions,
    taken: &Schema,
) -> Result<FileColumns> {
    let mut first: Option<Vec<usize>> = None;
    for file in files {
        let mut places = Vec::new();
        let names = names_in(file, options)?;
        let told = file.partitions.iter().map(|(name, _)| name.clone());
        let by_position = (0..taken.fields().len()).map(|at| taken.field(at).name().clone());
        let of_rows: Vec<String> = match names {
            Some(names) => names,
            None => {
                let is_told = |name: &String| file.partitions.iter().any(|(told, _)| told == name);
                by_position.filter(|name| !is_told(name)).collect()
            }
        };
        for name in of_rows.into_iter().chain(told) {
            let Some(place) = place_of_name(taken, &name) else {
                return Err(Error::invalid(format!(
                    "{} has a column \"{name}\", for which there is none; columns are {}",
                    file.shown,
                    listed(taken, 0..taken.fields().len())
                )));
            };
            if places.contains(&place) {
                return Err(Error::invalid(format!(
                    "{} has the column \"{}\" twice",
                    file.shown,
                    taken.field(place).name()
                )));
            }
            places.push(place);
        }
        places.sort_unstable();
        match &first {
            Some(first) if *first != places => {
                return Err(Error::invalid(format!(
                    "the files differ: {} has the columns {}, {} has {}",
                    files[0].shown,
                    listed(taken, first.iter().copied()),
                    file.shown,
                    listed(taken, places)
                )));
            }
            _ => first = Some(places),
        }
    }
    let may_lack = options.format == Format::Json;
    Ok(FileColumns { places: first.unwrap_or_default(), may_lack })
}

fn listed(schema: &Schema, places: impl IntoIterator<Item = usize>) -> String {
    let names = places.into_iter().map(|place| schema.field(place).name().as_str());
    names.collect::<Vec<_>>().join(", ")
}

/// The names of the columns in a file; `None` if it has none, but goes by position.
fn names_in(file: &DataFile, options: &FileOptions) -> Result<Option<Vec<String>>> {
    let names = |schema: &Schema| schema.fields().iter().map(|f| f.name().clone()).collect();
    match options.format {
        // What is read once cannot be looked into before.
        Format::Csv if options.header && is_seekable(file) => {
            header(text_of(file, options)?, &file.shown, options)
        }
        Format::Csv | Format::Json => Ok(None),
        Format::Parquet => Ok(Some(names(parquet(file)?.schema()))),
        Format::Arrow => Ok(Some(names(&arrow(file)?.schema()))),
    }
}

fn is_seekable(file: &DataFile) -> bool {
    file.path.as_ref().is_some_and(|path| path.is_file())
}

fn open(file: &DataFile) -> Result<File> {
    match &file.path {
        Some(path) => File::open(path).map_err(|error| Error::io(file.shown.clone(), error)),
        None => Err(Error::invalid("standard input gives csv and json alone, no other format")),
    }
}

type Text = std::io::BufReader<Box<dyn Read + Send>>;

fn text_of(file: &DataFile, options: &FileOptions) -> Result<Text> {
    let of_name = Compression::split(&file.shown).1;
    let compression = options.compression.or(of_name);
    let text = match &file.path {
        Some(_) => decompressed(open(file)?, compression),
        None => decompressed(std::io::stdin(), compression),
    };
    text.map_err(|error| Error::io(file.shown.clone(), error))
}

fn in_file(file: &DataFile, error: impl std::fmt::Display) -> Error {
    Error::invalid(format!("{}: {error}", file.shown))
}

fn parquet(file: &DataFile) -> Result<ParquetRecordBatchReaderBuilder<File>> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(open(file)?);
    builder.map_err(|error| in_file(file, error))
}

type Batches = Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>> + Send>;

/// An Arrow file, of either of its two formats.
struct ArrowFile {
    batches: Batches,
    schema: SchemaRef,
}

impl ArrowFile {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

fn arrow(file: &DataFile) -> Result<ArrowFile> {
    let mut input = open(file)?;
    let mut magic = [0; 6];
    let is_stream = input.read_exact(&mut magic).is_err() || &magic != b"ARROW1";
    input.rewind().map_err(|error| Error::io(file.shown.clone(), error))?;
    let input = std::io::BufReader::new(input);
    let failed = |error| in_file(file, error);
    Ok(match is_stream {
        true => {
            let reader = StreamReader::try_new(input, None).map_err(failed)?;
            ArrowFile { schema: reader.schema(), batches: Box::new(reader) }
        }
        false => {
            let reader = FileReader::try_new(input, None).map_err(failed)?;
            ArrowFile { schema: reader.schema(), batches: Box::new(reader) }
        }
    })
}

/// Rows as they are read.
pub struct Reading {
    files: std::vec::IntoIter<DataFile>,
    options: FileOptions,
    schema: SchemaRef,
    flags: Vec<usize>,
    open: Option<(DataFile, Open)>,
}

enum Open {
    Csv(Box<CsvReader>),
    Json(Box<JsonReader>),
    Batches(Batches),
}

/// Reads the files, all of which have the columns of `schema`; of JSON with whether the keys
/// of the columns `flags` are there, as further columns ([`present_name`]).
pub fn read(
    files: Vec<DataFile>,
    options: FileOptions,
    schema: SchemaRef,
    flags: Vec<usize>,
) -> Reading {
    Reading { files: files.into_iter(), options, schema, flags, open: None }
}

impl Reading {
    /// The next rows; `None` at the end.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] naming the file, and the line where it has lines.
    pub fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if self.open.is_none() {
                let Some(file) = self.files.next() else { return Ok(None) };
                let rows = self.open_file(&file)?;
                self.open = Some((file, rows));
            }
            let Some((file, rows)) = &mut self.open else { return Ok(None) };
            let batch = match rows {
                Open::Csv(reader) => reader.next()?,
                Open::Json(reader) => reader.next()?,
                Open::Batches(batches) => {
                    batches.next().transpose().map_err(|error| in_file(file, error))?
                }
            };
            match batch {
                Some(batch) => return completed(&batch, file, &self.schema).map(Some),
                None => self.open = None,
            }
        }
    }

    fn open_file(&self, file: &DataFile) -> Result<Open> {
        let is_told =
            |name: &str| file.partitions.iter().any(|(told, _)| told.eq_ignore_ascii_case(name));
        let fields = self.schema.fields().iter().filter(|field| !is_told(field.name()));
        let of_rows = Arc::new(Schema::new(fields.cloned().collect::<Vec<_>>()));
        Ok(match self.options.format {
            Format::Csv => {
                let text = text_of(file, &self.options)?;
                let reader = CsvReader::new(text, &file.shown, &self.options, of_rows)?;
                Open::Csv(Box::new(reader))
            }
            Format::Json => {
                let flags = self.flags.iter().filter_map(|flag| {
                    let name = self.schema.field(*flag).name();
                    of_rows.fields().iter().position(|field| field.name() == name)
                });
                let (flags, text) = (flags.collect(), text_of(file, &self.options)?);
                Open::Json(Box::new(JsonReader::new(text, &file.shown, of_rows, flags)))
            }
            Format::Parquet => {
                let builder = parquet(file)?.with_batch_size(BATCH_ROWS);
                let mask = ProjectionMask::all();
                let reader = builder.with_projection(mask).build();
                Open::Batches(Box::new(reader.map_err(|error| in_file(file, error))?))
            }
            Format::Arrow => Open::Batches(arrow(file)?.batches),
        })
    }
}

/// The columns of `schema`, in its types, with those that the folders of the file tell; then those
/// of the batch that are not in it.
fn completed(batch: &RecordBatch, file: &DataFile, schema: &SchemaRef) -> Result<RecordBatch> {
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(batch.num_columns());
    let mut fields = Vec::with_capacity(batch.num_columns());
    let rows = batch.schema();
    for field in schema.fields() {
        let told = file.partitions.iter().find(|(name, _)| name.eq_ignore_ascii_case(field.name()));
        let place = schema.index_of(field.name()).ok();
        let is_it = |at: &usize| place_of_name(schema, rows.field(*at).name()) == place;
        let in_rows = (0..rows.fields().len()).find(is_it);
        let values = match (in_rows, told) {
            (Some(at), _) => strict_cast(batch.column(at), field.data_type()),
            (None, Some((_, Some(text)))) => {
                let texts = StringArray::from(vec![text.as_str(); batch.num_rows()]);
                values_of(&(Arc::new(texts) as ArrayRef), field.data_type())
            }
            (None, _) => Ok(new_null_array(field.data_type(), batch.num_rows())),
        };
        let values = values
            .map_err(|error| in_file(file, format!("column \"{}\": {error}", field.name())))?;
        columns.push(values);
        fields.push(field.as_ref().clone().with_nullable(true));
    }
    for (at, field) in rows.fields().iter().enumerate() {
        if place_of_name(schema, field.name()).is_none() {
            columns.push(Arc::clone(batch.column(at)));
            fields.push(field.as_ref().clone());
        }
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?)
}
