//! Which rows of a part a query needs, by what secondary indexes say of it; and whether that is
//! worth asking.
//!
//! Called by the snapshot for each part of a table by itself. What an index gives are positions
//! all over the part: to read a row is to fetch a page of each column and to skip the others in it,
//! so an index pays where its rows lie in few of the pages that would be read without it, or are
//! few of their rows.
//!
//! Invariant: no row that the query needs is left out.

use std::ops::Range;
use std::sync::Arc;

use super::deletion_vector::DeletionVector;
use super::key::KeyRange;
use super::row_ranges::RowRanges;
use super::run::Run;
use super::segment::{ReadStats, Segment};
use crate::error::Result;

/// Entries are read at all if they are at most one for so many rows that would be read without
/// them.
const ROWS_PER_ENTRY_MIN: u64 = 8;

/// Rows are read by an index if they lie in at most one of so many pages, ...
const PAGES_PER_PAGE_MIN: u64 = 2;

/// ... or if they are at most one of so many rows: of a page most is skipped then, not decoded.
const ROWS_PER_ROW_MIN: u64 = 64;

/// A further index is asked if it has at most so many entries for each row that is left.
const ENTRIES_PER_ROW_MAX: u64 = 16;

/// Entries that are read at once, at least, to find the first live rows.
const ENTRIES_STEP_MIN: u32 = 256;

/// The entries of an index that a query can need: all rows that it needs have one among them.
#[derive(Debug, Clone)]
pub struct IndexProbe {
    /// The id of the index.
    pub index: u32,
    /// Where they lie: disjoint, ascending.
    pub ranges: Vec<KeyRange>,
}

/// Positions that a query can need, and the indexes that say so.
#[derive(Debug)]
pub struct Chosen {
    /// The positions, ascending.
    pub positions: Vec<u32>,
    /// The ids of the indexes.
    pub indexes: Vec<u32>,
}

/// The positions of a segment to be read, of those in `rows`; `None`: all of these.
pub async fn choose_in_segment(
    segment: &Arc<Segment>,
    rows: &RowRanges,
    probes: &[IndexProbe],
    stats: &ReadStats,
) -> Result<Option<Chosen>> {
    let mut found = Vec::new();
    for probe in probes {
        if let Some(entries) = segment.entry_ranges(probe.index, &probe.ranges, stats).await? {
            let count: u64 = entries.iter().map(|range| range.len() as u64).sum();
            found.push((count, probe.index, entries));
        }
    }
    found.sort_unstable_by_key(|(count, index, _)| (*count, *index));
    let mut chosen: Option<Chosen> = None;
    for (count, index, entries) in found {
        let worth = match &chosen {
            None => rows.row_count() / ROWS_PER_ENTRY_MIN,
            Some(chosen) => chosen.positions.len() as u64 * ENTRIES_PER_ROW_MAX,
        };
        if count > worth.max(1) {
            break;
        }
        let Some(mut positions) = segment.entry_positions(index, entries, stats).await? else {
            continue;
        };
        positions.sort_unstable();
        match &mut chosen {
            None => chosen = Some(Chosen { positions, indexes: vec![index] }),
            Some(chosen) => {
                chosen.positions.retain(|position| positions.binary_search(position).is_ok());
                chosen.indexes.push(index);
            }
        }
    }
    Ok(chosen.filter(|chosen| saves_reading(&chosen.positions, rows, segment.record().page_rows)))
}

/// Whether the positions, ascending, are worth being read by themselves, instead of `rows`.
fn saves_reading(positions: &[u32], rows: &RowRanges, page_rows: u32) -> bool {
    if positions.len() as u64 * ROWS_PER_ROW_MIN <= rows.row_count() {
        return true;
    }
    let page = |position: &u32| position / page_rows.max(1);
    let pages = positions.chunk_by(|a, b| page(a) == page(b)).count() as u64;
    let page_count = |range: Range<u32>| u64::from(page(&(range.end - 1)) - page(&range.start) + 1);
    pages * PAGES_PER_PAGE_MIN <= rows.iter().map(page_count).sum()
}

/// The positions of a run to be read; `None`: all.
pub fn choose_in_run(run: &Run, probes: &[IndexProbe]) -> Option<Chosen> {
    let mut chosen: Option<Chosen> = None;
    for probe in probes {
        let Some(mut positions) = run.positions(probe.index, &probe.ranges) else { continue };
        if positions.len() as u64 > u64::from(run.rows()) / ROWS_PER_ENTRY_MIN + 1 {
            continue;
        }
        positions.sort_unstable();
        match &mut chosen {
            None => chosen = Some(Chosen { positions, indexes: vec![probe.index] }),
            Some(chosen) => {
                chosen.positions.retain(|position| positions.binary_search(position).is_ok());
                chosen.indexes.push(probe.index);
            }
        }
    }
    chosen
}

/// The rows that come first by an index: its first columns, ascending with NULL last, or the other
/// way round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FirstRows {
    /// The id of the index.
    pub index: u32,
    /// How many.
    pub count: usize,
    /// Whether the last ones are the first.
    pub descending: bool,
}

/// The positions of the live rows of a segment that come first; `None`: all are to be read.
pub async fn first_in_segment(
    segment: &Arc<Segment>,
    dead: &DeletionVector,
    first: FirstRows,
    stats: &ReadStats,
) -> Result<Option<Vec<u32>>> {
    let rows = segment.rows();
    // So many entries are read at most, those of deleted rows too.
    let most = u64::from(rows) / ROWS_PER_ENTRY_MIN;
    let step = u32::try_from(first.count).unwrap_or(u32::MAX).max(ENTRIES_STEP_MIN);
    let (mut positions, mut read) = (Vec::new(), 0u32);
    while positions.len() < first.count && read < rows {
        let until = read.saturating_add(step).min(rows);
        if u64::from(until) > most.max(u64::from(ENTRIES_STEP_MIN)) {
            return Ok(None);
        }
        let entries = match first.descending {
            true => rows - until..rows - read,
            false => read..until,
        };
        let found = segment.entry_positions(first.index, vec![entries], stats).await?;
        let Some(mut found) = found else { return Ok(None) };
        if first.descending {
            found.reverse();
        }
        positions.extend(found.into_iter().filter(|position| !dead.contains(*position)));
        read = until;
    }
    positions.truncate(first.count);
    positions.sort_unstable();
    let page_rows = segment.record().page_rows;
    Ok(Some(positions).filter(|all| saves_reading(all, &RowRanges::all(rows), page_rows)))
}

/// The positions of the live rows of a run that come first; `None`: all are to be read.
pub fn first_in_run(run: &Run, first: FirstRows) -> Option<Vec<u32>> {
    let mut positions = run.positions(first.index, &[KeyRange::default()])?;
    if first.descending {
        positions.reverse();
    }
    positions.truncate(first.count);
    positions.sort_unstable();
    Some(positions)
}
