//! From filters to key ranges: what a query's predicates say about the primary key.
//!
//! A pure function. [`select_keys`] reads the filters that DataFusion hands to a scan and returns
//! the ranges of encoded keys that can satisfy them, a text for EXPLAIN, and whether the ranges say
//! exactly what the filters say. Called by the table provider (to tell DataFusion which filters
//! need no second look) and by the scan (to ask the index for row positions).
//!
//! Steps: each predicate becomes a set of values of one key column (`literal`, `domain`); AND, OR
//! and IN combine them into boxes over all key columns (`region`); boxes become ranges (`ranges`).
//!
//! Invariant: every row that satisfies all filters has its key inside the ranges. What is not
//! understood restricts nothing; it is never an error.

mod domain;
mod literal;
mod predicate;
mod ranges;
mod region;

#[cfg(test)]
mod tests;

use datafusion::logical_expr::Expr;

use self::predicate::KeyColumns;
use self::ranges::{LabelledRange, intersect, label};
use crate::storage::index_choice::IndexProbe;
use crate::storage::key::KeyRange;
use crate::storage::schema::{IndexSchema, TableSchema};

/// Ranges and boxes a selection consists of at most; more are merged into wider ones.
const RANGES_MAX: usize = 10_000;

/// What filters say about the key.
#[derive(Debug, Clone)]
pub(crate) struct KeySelection {
    /// Sorted, disjoint ranges that hold all matching keys; `None`: any key may match.
    pub(crate) ranges: Option<Vec<KeyRange>>,
    /// The ranges as EXPLAIN shows them.
    pub(crate) text: String,
    /// Whether every row inside the ranges satisfies the filters.
    pub(crate) exact: bool,
}

/// The keys that can satisfy all of `filters`.
pub(crate) fn select_keys(filters: &[Expr], schema: &TableSchema) -> KeySelection {
    let Some(columns) = KeyColumns::new(schema) else { return everything(filters.is_empty()) };
    let regions: Vec<_> = filters.iter().map(|filter| columns.region(filter)).collect();
    let (combined, mut exact) = columns.ranges(&region::and(regions.clone(), columns.len()));
    let Some(mut selected) = combined else { return everything(exact) };
    if !exact && filters.len() > 1 {
        // A filter that was promised as exact must stay so, however coarse the combination is.
        let mut all_exact = true;
        for region in &regions {
            match columns.ranges(region) {
                (Some(own), true) => selected = intersect(&selected, &own),
                (None, true) => {}
                _ => all_exact = false,
            }
        }
        exact = all_exact;
    }
    KeySelection { text: label(&selected), exact, ranges: Some(strip(selected)) }
}

/// The entries of each secondary index that rows which satisfy all of `filters` can have, and the
/// ranges as EXPLAIN shows them. Indexes of which that are all are left out.
pub(crate) fn select_entries(filters: &[Expr], schema: &TableSchema) -> Vec<(IndexProbe, String)> {
    let probe = |index: &IndexSchema| {
        let columns = KeyColumns::of_index(schema, index)?;
        let regions = filters.iter().map(|filter| columns.region(filter)).collect();
        let ranges = columns.ranges(&region::and(regions, columns.len())).0?;
        let text = label(&ranges);
        Some((IndexProbe { index: index.index.id, ranges: strip(ranges) }, text))
    };
    schema.indexes.iter().filter_map(probe).collect()
}

fn everything(exact: bool) -> KeySelection {
    KeySelection { ranges: None, text: "all".to_string(), exact }
}

fn strip(ranges: Vec<LabelledRange>) -> Vec<KeyRange> {
    ranges.into_iter().map(|r| r.range).collect()
}
