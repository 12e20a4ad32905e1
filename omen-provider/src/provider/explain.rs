//! The line by which EXPLAIN shows what the index did for a scan.

use std::fmt::{self, Display, Formatter};

use datafusion::physical_plan::DisplayFormatType;

use super::filter::KeySelection;
use crate::storage::snapshot::ScanSet;

/// What a scan reads, and of how much: `key=[5, 9) parts=1/4 rows=63/336776`.
#[derive(Debug, Clone)]
pub(super) struct ScanSummary {
    key: String,
    parts_kept: usize,
    parts: usize,
    rows: u64,
    rows_total: u64,
}

impl ScanSummary {
    pub(super) fn new(selection: &KeySelection, set: &ScanSet) -> Self {
        Self {
            key: selection.text.clone(),
            parts_kept: set.parts_kept,
            parts: set.parts,
            rows: set.rows,
            rows_total: set.rows_total,
        }
    }

    /// Writes the line in the style of the format: after a comma, or one fact a line.
    pub(super) fn write(&self, format: DisplayFormatType, f: &mut Formatter<'_>) -> fmt::Result {
        match format {
            DisplayFormatType::Default | DisplayFormatType::Verbose => write!(f, ", {self}"),
            DisplayFormatType::TreeRender => {
                writeln!(f, "key={}", self.key)?;
                writeln!(f, "parts={}/{}", self.parts_kept, self.parts)?;
                writeln!(f, "rows={}/{}", self.rows, self.rows_total)
            }
        }
    }
}

impl Display for ScanSummary {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { key, parts_kept, parts, rows, rows_total } = self;
        write!(f, "key={key} parts={parts_kept}/{parts} rows={rows}/{rows_total}")
    }
}
