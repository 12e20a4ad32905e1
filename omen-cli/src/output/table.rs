//! Columns lined up, between ASCII signs (`table`) or box-drawing lines (`box`).
//!
//! Widths come from the first rows; later rows that are wider push their line out. On a terminal
//! long results end early and wide text columns are cut with `…`, so that a line fits; plans of
//! EXPLAIN are never cut. Line breaks inside a value continue it on the next line.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use console::measure_text_width;

use super::cell::Cells;
use super::{Limits, Printer};
use crate::failure::Result;
use crate::notes::visible;

/// Rows that are kept to measure widths before the first is written.
const MEASURED_ROWS: usize = 1000;
/// A column is not cut below this width.
const CUT_WIDTH_MIN: usize = 12;

/// The signs that part columns and rows: left, middle, right of each kind of line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    top: [&'static str; 3],
    middle: [&'static str; 3],
    bottom: [&'static str; 3],
    horizontal: &'static str,
    vertical: &'static str,
}

/// `+`, `-` and `|`.
pub(super) const ASCII: Frame = Frame {
    top: ["+", "+", "+"],
    middle: ["+", "+", "+"],
    bottom: ["+", "+", "+"],
    horizontal: "-",
    vertical: "|",
};

/// Box-drawing lines.
pub(super) const LINES: Frame = Frame {
    top: ["┌", "┬", "┐"],
    middle: ["├", "┼", "┤"],
    bottom: ["└", "┴", "┘"],
    horizontal: "─",
    vertical: "│",
};

/// Prints lined-up columns.
pub(super) struct TablePrinter {
    frame: Frame,
    limits: Limits,
    names: Vec<String>,
    right: Vec<bool>,
    cuttable: Vec<bool>,
    waiting: Vec<Vec<String>>,
    widths: Option<Vec<usize>>,
    rows_kept: u64,
    rows_left_out: u64,
}

impl TablePrinter {
    pub(super) fn new(schema: &SchemaRef, frame: Frame, limits: Limits) -> Self {
        let fields = schema.fields();
        let plan = fields.iter().any(|f| f.name() == "plan") && fields.len() == 2;
        let text = |t: &DataType| t.is_string() || t.is_nested();
        Self {
            frame,
            limits,
            names: fields.iter().map(|f| visible(f.name().clone())).collect(),
            right: fields.iter().map(|f| f.data_type().is_numeric()).collect(),
            cuttable: fields.iter().map(|f| text(f.data_type()) && !plan).collect(),
            waiting: Vec::new(),
            widths: None,
            rows_kept: 0,
            rows_left_out: 0,
        }
    }

    /// Fixes the widths and writes the header, once.
    fn begin(&mut self, out: &mut dyn Write) -> Result<()> {
        if self.widths.is_some() {
            return Ok(());
        }
        let mut widths: Vec<usize> = self.names.iter().map(|name| line_width(name)).collect();
        for row in &self.waiting {
            for (width, value) in widths.iter_mut().zip(row) {
                *width = (*width).max(line_width(value));
            }
        }
        self.cut(&mut widths);
        let mut text = String::new();
        rule(&mut text, &widths, self.frame, self.frame.top);
        self.row(&mut text, &widths, &self.names);
        rule(&mut text, &widths, self.frame, self.frame.middle);
        self.widths = Some(widths);
        Ok(out.write_all(text.as_bytes())?)
    }

    /// Takes width from the widest text columns until a line fits the terminal.
    fn cut(&self, widths: &mut [usize]) {
        let Some(width_max) = self.limits.width_max else { return };
        let frame_width = 3 * widths.len() + 1;
        while widths.iter().sum::<usize>() + frame_width > width_max {
            let widest = widths
                .iter_mut()
                .zip(&self.cuttable)
                .filter(|(width, cuttable)| **cuttable && **width > CUT_WIDTH_MIN)
                .map(|(width, _)| width)
                .max();
            let Some(width) = widest else { return };
            *width -= 1;
        }
    }

    fn write_waiting(&mut self, out: &mut dyn Write) -> Result<()> {
        self.begin(out)?;
        let rows = std::mem::take(&mut self.waiting);
        let widths = self.widths.as_deref().unwrap_or_default();
        let mut text = String::new();
        for row in &rows {
            self.row(&mut text, widths, row);
        }
        Ok(out.write_all(text.as_bytes())?)
    }

    /// One row, on as many lines as its tallest value has.
    fn row(&self, text: &mut String, widths: &[usize], values: &[String]) {
        let height = values.iter().map(|value| value.lines().count()).max().unwrap_or(1).max(1);
        let mut lines: Vec<_> = values.iter().map(|value| value.lines()).collect();
        for _ in 0..height {
            for ((lines, &width), (&right, &cuttable)) in
                lines.iter_mut().zip(widths).zip(self.right.iter().zip(&self.cuttable))
            {
                let part = lines.next().unwrap_or_default();
                let part = if cuttable && self.limits.width_max.is_some() {
                    shorten(part, width)
                } else {
                    part.to_string()
                };
                let blank = " ".repeat(width.saturating_sub(measure_text_width(&part)));
                let (before, after) = if right { (blank.as_str(), "") } else { ("", &*blank) };
                text.push_str(&format!("{} {before}{part}{after} ", self.frame.vertical));
            }
            text.push_str(self.frame.vertical);
            text.push('\n');
        }
    }
}

impl Printer for TablePrinter {
    fn batch(&mut self, batch: &RecordBatch, out: &mut dyn Write) -> Result<()> {
        let room = self.limits.rows_max.map_or(u64::MAX, |rows| rows - self.rows_kept);
        let kept = usize::try_from(room).unwrap_or(usize::MAX).min(batch.num_rows());
        self.rows_kept += kept as u64;
        self.rows_left_out += (batch.num_rows() - kept) as u64;
        let columns = Cells::of_batch(batch)?;
        for row in 0..kept {
            let value =
                |cells: &Cells<'_>| cells.text(row).map_or_else(|| "NULL".to_string(), visible);
            self.waiting.push(columns.iter().map(value).collect());
        }
        if self.widths.is_some() || self.waiting.len() >= MEASURED_ROWS {
            self.write_waiting(out)?;
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut dyn Write) -> Result<u64> {
        self.write_waiting(out)?;
        let mut text = String::new();
        let widths = self.widths.as_deref().unwrap_or_default();
        rule(&mut text, widths, self.frame, self.frame.bottom);
        out.write_all(text.as_bytes())?;
        Ok(self.rows_left_out)
    }
}

fn rule(text: &mut String, widths: &[usize], frame: Frame, ends: [&str; 3]) {
    let [left, middle, right] = ends;
    for (index, width) in widths.iter().enumerate() {
        text.push_str(if index == 0 { left } else { middle });
        text.push_str(&frame.horizontal.repeat(width + 2));
    }
    text.push_str(right);
    text.push('\n');
}

fn line_width(value: &str) -> usize {
    value.lines().map(measure_text_width).max().unwrap_or(0)
}

fn shorten(line: &str, width: usize) -> String {
    console::truncate_str(line, width, "…").into_owned()
}
