//! Writes CSV. What another reader, or ours, would take for something else is quoted: the empty
//! text among it, since without quotes it is NULL.

use std::io::Write;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

use super::cell_text::{Texts, writable};
use super::options::FileOptions;
use crate::error::Result;

/// Writes rows to a file.
pub(super) struct CsvWriter<W> {
    out: W,
    options: FileOptions,
    text: String,
}

impl<W: Write> CsvWriter<W> {
    /// A file that begins with the header, if it is to have one.
    pub(super) fn new(out: W, schema: &SchemaRef, options: &FileOptions) -> std::io::Result<Self> {
        let mut writer = Self { out, options: options.clone(), text: String::new() };
        if options.header {
            for (index, field) in schema.fields().iter().enumerate() {
                writer.push(index, Some(field.name()));
            }
            writer.text.push('\n');
            writer.pass_on()?;
        }
        Ok(writer)
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<std::io::Result<()>> {
        let columns = batch.columns().iter().map(writable).collect::<Result<Vec<_>>>()?;
        let texts = columns.iter().map(Texts::new).collect::<Result<Vec<_>>>()?;
        let mut cell = String::new();
        for row in 0..batch.num_rows() {
            for (index, column) in texts.iter().enumerate() {
                cell.clear();
                let is_some = column.write(row, &mut cell)?;
                self.push(index, is_some.then_some(cell.as_str()));
            }
            self.text.push('\n');
        }
        Ok(self.pass_on())
    }

    pub(super) fn into_inner(self) -> W {
        self.out
    }

    fn pass_on(&mut self) -> std::io::Result<()> {
        self.out.write_all(self.text.as_bytes())?;
        self.text.clear();
        Ok(())
    }

    fn push(&mut self, index: usize, cell: Option<&str>) {
        let (delimiter, quote) = (self.options.delimiter, self.options.quote);
        if index > 0 {
            self.text.push(char::from(delimiter));
        }
        let Some(cell) = cell else {
            self.text.push_str(&self.options.null);
            return;
        };
        let is_mark = |byte: u8| [delimiter, quote, b'\n', b'\r'].contains(&byte);
        let is_plain = !cell.is_empty()
            && cell != self.options.null
            && cell.trim() == cell
            && !cell.bytes().any(is_mark);
        if is_plain {
            self.text.push_str(cell);
            return;
        }
        let (quote, escape) = (char::from(quote), char::from(self.options.escape));
        self.text.push(quote);
        for c in cell.chars() {
            if c == quote || c == escape {
                self.text.push(escape);
            }
            self.text.push(c);
        }
        self.text.push(quote);
    }
}
