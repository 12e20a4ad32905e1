//! Tab separated values with a header line, in the text format that PostgreSQL's COPY, MySQL and
//! ClickHouse share: NULL is `\N`; tab, line breaks and backslash are escaped by a backslash.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::Printer;
use super::cell::Cells;
use crate::failure::Result;

/// Prints TSV.
pub(super) struct TsvPrinter {
    header: Option<String>,
}

impl TsvPrinter {
    pub(super) fn new(schema: &SchemaRef) -> Self {
        let names: Vec<String> = schema.fields().iter().map(|f| escape(f.name())).collect();
        Self { header: Some(names.join("\t") + "\n") }
    }
}

impl Printer for TsvPrinter {
    fn batch(&mut self, batch: &RecordBatch, out: &mut dyn Write) -> Result<()> {
        let mut text = self.header.take().unwrap_or_default();
        let columns = Cells::of_batch(batch)?;
        for row in 0..batch.num_rows() {
            for (index, column) in columns.iter().enumerate() {
                if index > 0 {
                    text.push('\t');
                }
                match column.text(row) {
                    Some(value) => text.push_str(&escape(&value)),
                    None => text.push_str("\\N"),
                }
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

fn escape(value: &str) -> String {
    if !value.contains(['\\', '\t', '\n', '\r']) {
        return value.to_string();
    }
    value.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r")
}
