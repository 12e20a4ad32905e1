//! Writes rows to a folder of files, one folder `column=value` for each value of some columns.
//!
//! Rows come sorted by these columns, so that one file is open at a time. The columns themselves
//! are not in the files. The whole folder appears at the end.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use super::cell_text::{self, Texts, writable};
use super::listing::encoded;
use super::options::FileOptions;
use super::whole_file::WholeFolder;
use super::writer::{FileWriter, check_types};
use super::{NULL_PARTITION, Place};
use crate::error::{Error, Result};

/// A folder to which rows are written.
pub struct PartitionedWriter {
    folder: WholeFolder,
    options: FileOptions,
    /// The columns by which rows are told apart, and the others.
    by: Vec<usize>,
    others: Vec<usize>,
    names: Vec<String>,
    schema: SchemaRef,
    open: Option<(PathBuf, FileWriter)>,
}

impl PartitionedWriter {
    /// Begins a folder.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for a folder with something in it, or columns that cannot be
    /// written so.
    pub fn create(
        path: &str,
        schema: &SchemaRef,
        options: &FileOptions,
        by: &[String],
    ) -> Result<Self> {
        let columns: Vec<usize> = by
            .iter()
            .map(|name| schema.index_of(name))
            .collect::<Result<_, arrow::error::ArrowError>>()?;
        for (name, column) in by.iter().zip(&columns) {
            cell_text::check(name, schema.field(*column).data_type())?;
        }
        let others: Vec<usize> =
            (0..schema.fields().len()).filter(|column| !columns.contains(column)).collect();
        if others.is_empty() {
            return Err(Error::invalid("PARTITION_BY leaves no column for the files"));
        }
        let schema: SchemaRef = Arc::new(Schema::clone(schema).project(&others)?);
        check_types(&schema, options.format)?;
        let folder = WholeFolder::create(path)?;
        let (options, names) = (options.clone(), by.to_vec());
        Ok(Self { folder, options, by: columns, others, names, schema, open: None })
    }

    /// Adds rows, which go on in the order of the columns.
    ///
    /// # Errors
    /// As [`FileWriter::write`].
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let columns: Vec<ArrayRef> =
            self.by.iter().map(|column| writable(batch.column(*column))).collect::<Result<_>>()?;
        let texts = columns.iter().map(Texts::new).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let values = self.others.iter().map(|column| Arc::clone(batch.column(*column))).collect();
        let schema = Arc::clone(&self.schema);
        let rows = RecordBatch::try_new_with_options(schema, values, &options)?;
        let mut start = 0;
        while start < rows.num_rows() {
            let place = self.place(&texts, start)?;
            let mut end = start + 1;
            while end < rows.num_rows() && self.place(&texts, end)? == place {
                end += 1;
            }
            self.file(place)?.write(&rows.slice(start, end - start))?;
            start = end;
        }
        Ok(())
    }

    /// Lets the folder appear.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn finish(mut self) -> Result<()> {
        self.close()?;
        self.folder.publish()
    }

    /// The folder of a row.
    fn place(&self, texts: &[Texts<'_>], row: usize) -> Result<PathBuf> {
        let mut place = PathBuf::new();
        for (name, text) in self.names.iter().zip(texts) {
            let mut value = String::new();
            let value = match text.write(row, &mut value)? {
                true => encoded(&value),
                false => NULL_PARTITION.to_string(),
            };
            place.push(format!("{}={value}", encoded(name)));
        }
        Ok(place)
    }

    fn file(&mut self, place: PathBuf) -> Result<&mut FileWriter> {
        if self.open.as_ref().is_none_or(|(open, _)| *open != place) {
            self.close()?;
            let folder = self.folder.path().join(&place);
            std::fs::create_dir_all(&folder)
                .map_err(|error| Error::io(folder.display().to_string(), error))?;
            let name = free_name(&folder, self.options.format.extension());
            let schema = Arc::clone(&self.schema);
            let file = FileWriter::create(&Place::Path(name), schema, &self.options)?;
            self.open = Some((place, file));
        }
        match &mut self.open {
            Some((_, file)) => Ok(file),
            None => Err(Error::invalid("no file is open")),
        }
    }

    fn close(&mut self) -> Result<()> {
        self.open.take().map_or(Ok(()), |(_, file)| file.finish())
    }
}

/// The name of a file that is not there.
fn free_name(folder: &Path, extension: &str) -> String {
    let mut number = 0;
    loop {
        let path = folder.join(format!("data_{number}.{extension}"));
        if !path.exists() {
            return path.display().to_string();
        }
        number += 1;
    }
}
