//! One column a line, rows parted by an empty line: for rows too wide for a table.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use console::measure_text_width;

use super::Printer;
use super::cell::Cells;
use crate::failure::Result;
use crate::notes::visible;

/// Prints `name = value` lines.
pub(super) struct LinePrinter {
    labels: Vec<String>,
    first: bool,
}

impl LinePrinter {
    pub(super) fn new(schema: &SchemaRef) -> Self {
        let names: Vec<String> =
            schema.fields().iter().map(|field| visible(field.name().clone())).collect();
        let width = names.iter().map(|name| measure_text_width(name)).max().unwrap_or(0);
        let labels =
            names.iter().map(|name| " ".repeat(width - measure_text_width(name)) + name).collect();
        Self { labels, first: true }
    }
}

impl Printer for LinePrinter {
    fn batch(&mut self, batch: &RecordBatch, out: &mut dyn Write) -> Result<()> {
        let mut text = String::new();
        let columns = Cells::of_batch(batch)?;
        for row in 0..batch.num_rows() {
            if !std::mem::take(&mut self.first) {
                text.push('\n');
            }
            for (label, column) in self.labels.iter().zip(&columns) {
                let value = column.text(row).map_or_else(|| "NULL".to_string(), visible);
                text.push_str(&format!("{label} = {value}\n"));
            }
        }
        Ok(out.write_all(text.as_bytes())?)
    }

    fn finish(&mut self, _out: &mut dyn Write) -> Result<u64> {
        Ok(0)
    }
}
