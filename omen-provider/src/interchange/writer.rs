//! Writes rows to one file of any format.

use std::sync::Arc;

use arrow::array::new_null_array;
use arrow::datatypes::{DataType, Field, IntervalUnit, Schema, SchemaRef};
use arrow::ipc::writer::FileWriter as IpcWriter;
use arrow::json::writer::{LineDelimited, Writer as JsonWriter, WriterBuilder};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression as Codec, GzipLevel, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::compression::{Compression, Compressor};
use super::csv_writer::CsvWriter;
use super::options::{FileOptions, Format};
use super::whole_file::WholeFile;
use super::{Place, cell_text};
use crate::error::{Error, Result};

/// A file to which rows are written; there is none before [`FileWriter::finish`].
pub struct FileWriter {
    rows: Rows,
    schema: SchemaRef,
    shown: String,
}

enum Rows {
    Csv(CsvWriter<Compressor>),
    Json(JsonWriter<Compressor, LineDelimited>),
    Parquet(Box<ArrowWriter<Compressor>>),
    Arrow(Box<IpcWriter<Compressor>>),
}

/// Refuses columns that files of the format do not hold.
///
/// # Errors
/// [`Error::InvalidInput`] naming the column.
pub fn check_types(schema: &Schema, format: Format) -> Result<()> {
    let mut names: Vec<&String> = schema.fields().iter().map(|field| field.name()).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Error::invalid(format!(
            "two columns are named \"{}\"; give one another name by AS",
            twice[0]
        )));
    }
    for field in schema.fields() {
        let refused = |error: String| {
            Error::invalid(format!(
                "column \"{}\" is of type {}, which files of the format {} do not hold: {error}",
                field.name(),
                field.data_type(),
                format.extension()
            ))
        };
        match format {
            Format::Csv => cell_text::check(field.name(), field.data_type())?,
            Format::Json => {
                check_json(field).map_err(|error| refused(error.to_string()))?;
            }
            Format::Parquet | Format::Arrow => {}
        }
    }
    Ok(())
}

/// Writes a NULL of the type.
fn check_json(field: &Field) -> Result<()> {
    let year_month = DataType::Interval(IntervalUnit::YearMonth);
    if matches!(field.data_type(), DataType::Duration(_)) || *field.data_type() == year_month {
        return Err(Error::invalid("its text is not read again as it was"));
    }
    let schema = Schema::new(vec![Field::new("v", field.data_type().clone(), true)]);
    let values = vec![new_null_array(field.data_type(), 1)];
    let row = RecordBatch::try_new(Arc::new(schema), values)?;
    let mut writer = json_builder().build::<_, LineDelimited>(Vec::new());
    writer.write(&row)?;
    Ok(())
}

fn json_builder() -> WriterBuilder {
    WriterBuilder::new().with_explicit_nulls(true)
}

impl FileWriter {
    /// Begins a file.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for columns that it cannot hold, [`Error::Io`].
    pub fn create(place: &Place, schema: SchemaRef, options: &FileOptions) -> Result<Self> {
        check_types(&schema, options.format)?;
        let shown = match place {
            Place::Path(path) => path.clone(),
            Place::Standard => "standard output".to_string(),
        };
        let failed = |error| Error::io(shown.clone(), error);
        let file = WholeFile::create(place)?;
        let of_file = match options.format {
            Format::Csv | Format::Json => options.compression,
            Format::Parquet | Format::Arrow => None,
        };
        let file = Compressor::new(file, of_file).map_err(failed)?;
        let rows = match options.format {
            Format::Csv => Rows::Csv(CsvWriter::new(file, &schema, options).map_err(failed)?),
            Format::Json => Rows::Json(json_builder().build(file)),
            Format::Parquet => {
                let codec = codec(options.compression)?;
                let properties = WriterProperties::builder().set_compression(codec).build();
                let schema = Arc::clone(&schema);
                Rows::Parquet(Box::new(ArrowWriter::try_new(file, schema, Some(properties))?))
            }
            Format::Arrow => Rows::Arrow(Box::new(IpcWriter::try_new(file, &schema)?)),
        };
        Ok(Self { rows, schema, shown })
    }

    /// Adds rows.
    ///
    /// # Errors
    /// [`Error::Io`], or what the format says of a value.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), batch.columns().to_vec())?;
        match &mut self.rows {
            Rows::Csv(writer) => {
                writer.write(&batch)?.map_err(|error| Error::io(self.shown.clone(), error))?;
            }
            Rows::Json(writer) => writer.write(&batch)?,
            Rows::Parquet(writer) => writer.write(&batch)?,
            Rows::Arrow(writer) => writer.write(&batch)?,
        }
        Ok(())
    }

    /// Lets the file appear.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn finish(self) -> Result<()> {
        let file = match self.rows {
            Rows::Csv(writer) => writer.into_inner(),
            Rows::Json(mut writer) => {
                writer.finish()?;
                writer.into_inner()
            }
            Rows::Parquet(writer) => writer.into_inner()?,
            Rows::Arrow(mut writer) => {
                writer.finish()?;
                writer.into_inner()?
            }
        };
        let file = file.finish().map_err(|error| Error::io(self.shown, error))?;
        file.publish()
    }
}

fn codec(compression: Option<Compression>) -> Result<Codec> {
    Ok(match compression {
        None => Codec::ZSTD(ZstdLevel::default()),
        Some(Compression::None) => Codec::UNCOMPRESSED,
        Some(Compression::Gzip) => Codec::GZIP(GzipLevel::default()),
        Some(Compression::Zstd(level)) => Codec::ZSTD(ZstdLevel::try_new(level)?),
        Some(Compression::Snappy) => Codec::SNAPPY,
        Some(Compression::Lz4) => Codec::LZ4_RAW,
    })
}
