//! CSV (RFC 4180) with a header line.
//!
//! Quoted where a reader needs it, and where the text is empty: an unquoted empty field is NULL.
//! (The writers of the `csv` and `arrow-csv` crates cannot tell the two apart.)

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::Printer;
use super::cell::Cells;
use crate::failure::Result;

/// Prints CSV.
pub(super) struct CsvPrinter {
    header: Option<String>,
}

impl CsvPrinter {
    pub(super) fn new(schema: &SchemaRef) -> Self {
        let mut header = String::new();
        for (index, field) in schema.fields().iter().enumerate() {
            push_field(&mut header, index, Some(field.name()));
        }
        header.push('\n');
        Self { header: Some(header) }
    }
}

impl Printer for CsvPrinter {
    fn batch(&mut self, batch: &RecordBatch, out: &mut dyn Write) -> Result<()> {
        let mut text = self.header.take().unwrap_or_default();
        let columns = Cells::of_batch(batch)?;
        for row in 0..batch.num_rows() {
            for (index, column) in columns.iter().enumerate() {
                push_field(&mut text, index, column.text(row).as_deref());
            }
            text.push('\n');
        }
        Ok(out.write_all(text.as_bytes())?)
    }

    fn finish(&mut self, out: &mut dyn Write) -> Result<u64> {
        out.write_all(self.header.take().unwrap_or_default().as_bytes())?;
        Ok(0)
    }
}

fn push_field(line: &mut String, index: usize, value: Option<&str>) {
    if index > 0 {
        line.push(',');
    }
    let Some(value) = value else { return };
    let edge_blank = value.starts_with(' ') || value.ends_with(' ');
    if value.is_empty() || edge_blank || value.contains([',', '"', '\n', '\r']) {
        line.push('"');
        line.push_str(&value.replace('"', "\"\""));
        line.push('"');
    } else {
        line.push_str(value);
    }
}
