//! A Markdown table. Widths are not evened out, so rows are written as they come.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::Printer;
use super::cell::Cells;
use crate::failure::Result;

/// Prints a Markdown table.
pub(super) struct MarkdownPrinter {
    header: Option<String>,
}

impl MarkdownPrinter {
    pub(super) fn new(schema: &SchemaRef) -> Self {
        let mut names = String::from("|");
        let mut rule = String::from("|");
        for field in schema.fields() {
            names.push_str(&format!(" {} |", escape(field.name())));
            rule.push_str(if field.data_type().is_numeric() { " ---: |" } else { " --- |" });
        }
        Self { header: Some(format!("{names}\n{rule}\n")) }
    }
}

impl Printer for MarkdownPrinter {
    fn batch(&mut self, batch: &RecordBatch, out: &mut dyn Write) -> Result<()> {
        let mut text = self.header.take().unwrap_or_default();
        let columns = Cells::of_batch(batch)?;
        for row in 0..batch.num_rows() {
            text.push('|');
            for column in &columns {
                let value = column.text(row).unwrap_or_else(|| "NULL".to_string());
                text.push_str(&format!(" {} |", escape(&value)));
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
    value.replace('\\', "\\\\").replace('|', "\\|").replace('\r', "").replace('\n', "<br>")
}
