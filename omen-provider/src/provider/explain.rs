//! The line by which EXPLAIN shows what the index did for a scan.

use std::fmt::{self, Display, Formatter};

use datafusion::physical_plan::DisplayFormatType;

use super::filter::KeySelection;
use crate::storage::schema::TableSchema;
use crate::storage::snapshot::ScanSet;

/// What a scan reads, and of how much: `key=[5, 9) parts=1/4 rows=63/336776`; between key and
/// parts, where parts are read by an index: `index=by_device(EWR) in 3`.
#[derive(Debug, Clone)]
pub(super) struct ScanSummary {
    key: String,
    /// Name, ranges, and how many parts.
    indexes: Vec<(String, String, usize)>,
    parts_kept: usize,
    parts: usize,
    rows: u64,
    rows_total: u64,
}

impl ScanSummary {
    /// `probed`: the ids of indexes that could be used, and the ranges of their entries.
    pub(super) fn new(
        schema: &TableSchema,
        selection: &KeySelection,
        probed: Vec<(u32, String)>,
        set: &ScanSet,
    ) -> Self {
        let used = |(id, text): (u32, String)| {
            let (_, parts) = set.indexes.iter().find(|(used, _)| *used == id)?;
            let index = schema.indexes.iter().find(|index| index.index.id == id)?;
            Some((index.index.name.clone(), text, *parts))
        };
        Self {
            key: selection.text.clone(),
            indexes: probed.into_iter().filter_map(used).collect(),
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
                for (name, text, parts) in &self.indexes {
                    writeln!(f, "index={name}({text}) in {parts}")?;
                }
                writeln!(f, "parts={}/{}", self.parts_kept, self.parts)?;
                writeln!(f, "rows={}/{}", self.rows, self.rows_total)
            }
        }
    }
}

impl Display for ScanSummary {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { key, indexes, parts_kept, parts, rows, rows_total } = self;
        write!(f, "key={key} ")?;
        for (name, text, parts) in indexes {
            write!(f, "index={name}({text}) in {parts} ")?;
        }
        write!(f, "parts={parts_kept}/{parts} rows={rows}/{rows_total}")
    }
}
