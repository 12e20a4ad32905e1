//! How rows are printed: one file per format.
//!
//! A printer receives the batches of one result as they come and writes them at once, so a result
//! needs no memory of its own size. Formats that line columns up measure the first rows only.
//! Nothing but rows reaches the writer: counts and times go to standard error elsewhere.
//!
//! | format | NULL | empty text |
//! |---|---|---|
//! | table, box, line, markdown | `NULL` | nothing |
//! | csv | nothing | `""` |
//! | tsv | `\N` | nothing |
//! | json, jsonl | `null` | `""` |

mod cell;
mod csv;
mod json;
mod line;
mod markdown;
mod table;
mod tsv;

use std::io::{IsTerminal, Write};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use clap::ValueEnum;

use crate::failure::Result;

/// A format of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Columns lined up between | and -.
    Table,
    /// Columns lined up in a box of lines.
    Box,
    /// Comma separated, with a header (RFC 4180).
    Csv,
    /// Tab separated, with a header; \t, \n and \\ are escaped.
    Tsv,
    /// One array of objects.
    Json,
    /// One object a line.
    Jsonl,
    /// A table for Markdown.
    Markdown,
    /// One column a line.
    Line,
}

impl Format {
    /// What is used when none was asked for: a table on a terminal, CSV elsewhere.
    pub(crate) fn default_for_stdout() -> Self {
        if std::io::stdout().is_terminal() { Self::Table } else { Self::Csv }
    }
}

/// How much of a result is shown where a person looks at it; `None` is all.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Limits {
    /// Rows of the formats `table` and `box`.
    pub(crate) rows_max: Option<u64>,
    /// Characters of a line of the formats `table` and `box`.
    pub(crate) width_max: Option<usize>,
}

impl Limits {
    /// The limits of a terminal; none if standard output is not one.
    pub(crate) fn for_stdout() -> Self {
        const ROWS_ON_TERMINAL: u64 = 500;
        let terminal = console::Term::stdout();
        if !terminal.is_term() {
            return Self::default();
        }
        let width_max = terminal.size_checked().map(|(_, columns)| usize::from(columns));
        Self { rows_max: Some(ROWS_ON_TERMINAL), width_max }
    }
}

/// Writes the rows of one result.
pub(crate) trait Printer {
    /// Writes (or, until widths are known, keeps) the rows of `batch`.
    fn batch(&mut self, batch: &RecordBatch, out: &mut dyn Write) -> Result<()>;

    /// Writes what comes after the last row. Returns the number of rows that limits left out.
    fn finish(&mut self, out: &mut dyn Write) -> Result<u64>;
}

/// The printer of a result with the columns of `schema`.
pub(crate) fn printer(format: Format, schema: &SchemaRef, limits: Limits) -> Box<dyn Printer> {
    match format {
        Format::Table => Box::new(table::TablePrinter::new(schema, table::ASCII, limits)),
        Format::Box => Box::new(table::TablePrinter::new(schema, table::LINES, limits)),
        Format::Csv => Box::new(csv::CsvPrinter::new(schema)),
        Format::Tsv => Box::new(tsv::TsvPrinter::new(schema)),
        Format::Json => Box::new(json::JsonPrinter::array(schema)),
        Format::Jsonl => Box::new(json::JsonPrinter::lines(schema)),
        Format::Markdown => Box::new(markdown::MarkdownPrinter::new(schema)),
        Format::Line => Box::new(line::LinePrinter::new(schema)),
    }
}

/// Prints batches that are already in memory.
pub(crate) fn print_all(
    format: Format,
    limits: Limits,
    schema: &SchemaRef,
    batches: &[RecordBatch],
    out: &mut dyn Write,
) -> Result<()> {
    let mut printer = printer(format, schema, limits);
    for batch in batches {
        printer.batch(batch, out)?;
    }
    printer.finish(out)?;
    out.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests;
