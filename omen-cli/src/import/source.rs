//! The file that is imported, and which reader suits it.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::target::Target;
use super::{csv, jsonl, parquet};
use crate::args::{ImportArguments, ImportFormat};
use crate::failure::{Failure, Result};
use crate::progress::{CountingReader, Progress};

/// Bytes that are read at once.
const BUFFER_BYTES: usize = 256 << 10;

/// A regular file of a known format.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// Its size.
    pub(super) bytes: u64,
    path: PathBuf,
    format: Format,
}

#[derive(Debug, Clone)]
enum Format {
    Csv(csv::Dialect),
    JsonLines,
    Parquet,
}

/// Receives a batch; answers whether more are wanted.
pub(super) type Sink<'a> = dyn FnMut(RecordBatch) -> bool + 'a;

impl Source {
    /// Checks the file and finds its format.
    pub(super) fn open(arguments: &ImportArguments) -> Result<Self> {
        let path = &arguments.file;
        if path.as_os_str() == "-" {
            let way = "save standard input to a file first: it is read twice, once for the types";
            return Err(Failure::Usage(way.to_string()));
        }
        let metadata = std::fs::metadata(path).map_err(|error| cannot_read(path, &error))?;
        if !metadata.is_file() {
            return Err(Failure::Error(format!("{} is not a regular file", path.display())));
        }
        let format = match arguments.format.map_or_else(|| by_extension(path), Ok)? {
            ImportFormat::Csv => Format::Csv(csv::Dialect {
                delimiter: arguments.delimiter.unwrap_or_else(|| default_delimiter(path)),
                nulls: arguments.null.clone(),
            }),
            ImportFormat::Jsonl => Format::JsonLines,
            ImportFormat::Parquet => Format::Parquet,
        };
        let csv_only = !arguments.null.is_empty() || arguments.delimiter.is_some();
        if csv_only && !matches!(format, Format::Csv(_)) {
            return Err(Failure::Usage("--null and --delimiter are for CSV files".to_string()));
        }
        Ok(Self { bytes: metadata.len(), path: path.clone(), format })
    }

    /// The columns of the file, by all of its rows.
    pub(super) fn infer(&self, progress: &Progress) -> Result<SchemaRef> {
        let schema = match &self.format {
            Format::Csv(dialect) => csv::infer(self.reader(progress)?, dialect),
            Format::JsonLines => jsonl::infer(self.reader(progress)?),
            Format::Parquet => parquet::infer(self.file()?),
        };
        self.named(schema)
    }

    /// Passes all rows on, in the columns and types of `target`.
    pub(super) fn load(
        &self,
        target: &Target,
        progress: &Progress,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        self.named(match &self.format {
            Format::Csv(dialect) => csv::load(self.reader(progress)?, dialect, target, sink),
            Format::JsonLines => jsonl::load(self.reader(progress)?, target, sink),
            Format::Parquet => parquet::load(self.file()?, self.bytes, target, progress, sink),
        })
    }

    fn file(&self) -> Result<File> {
        File::open(&self.path).map_err(|error| cannot_read(&self.path, &error))
    }

    fn reader(&self, progress: &Progress) -> Result<BufReader<CountingReader<File>>> {
        Ok(BufReader::with_capacity(BUFFER_BYTES, progress.reader(self.file()?)))
    }

    /// Puts the file's name before the message; readers say the line.
    fn named<T>(&self, outcome: Result<T>) -> Result<T> {
        outcome.map_err(|failure| match failure {
            Failure::Error(message) => {
                Failure::Error(format!("{}: {message}", self.path.display()))
            }
            other => other,
        })
    }
}

fn cannot_read(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Error(format!("cannot read {}: {error}", path.display()))
}

fn extension(path: &Path) -> String {
    path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default()
}

fn by_extension(path: &Path) -> Result<ImportFormat> {
    match extension(path).as_str() {
        "csv" | "tsv" | "tab" | "txt" => Ok(ImportFormat::Csv),
        "jsonl" | "ndjson" | "json" => Ok(ImportFormat::Jsonl),
        "parquet" | "pq" => Ok(ImportFormat::Parquet),
        other => Err(Failure::Usage(format!(
            "cannot tell the format of {} by the extension \"{other}\"; \
             give --format csv, jsonl or parquet",
            path.display()
        ))),
    }
}

fn default_delimiter(path: &Path) -> u8 {
    match extension(path).as_str() {
        "tsv" | "tab" => b'\t',
        _ => b',',
    }
}
