//! What has to be read of a table, for key ranges and for what secondary indexes say.
//!
//! Called by the provider, by range reads and by verification.

use std::sync::Arc;

use super::TableSnapshot;
use crate::error::Result;
use crate::storage::index_choice::{
    FirstRows, IndexProbe, choose_in_run, choose_in_segment, first_in_run, first_in_segment,
};
use crate::storage::key::KeyRange;
use crate::storage::live_rows::LiveRows;
use crate::storage::merge_scan::Source;
use crate::storage::row_ranges::RowRanges;
use crate::storage::run::{Run, RunScan};
use crate::storage::segment::{ReadStats, Segment};

/// A run of no more rows is read in key order even where any order will do: that costs little, and
/// may save a sort.
const ORDERED_ROWS_MAX: u32 = 4096;

/// What to read for a set of key ranges: live rows only, each exactly once.
#[derive(Debug)]
pub struct ScanSet {
    /// Parts on disk that hold selected rows.
    pub segments: Vec<SegmentScan>,
    /// Runs that hold selected rows, and these.
    pub runs: Vec<RunScan>,
    /// All parts of the table.
    pub parts: usize,
    /// Parts that hold selected rows.
    pub parts_kept: usize,
    /// Selected rows.
    pub rows: u64,
    /// Live rows of the table.
    pub rows_total: u64,
    /// The indexes by which parts are read, and how many parts.
    pub indexes: Vec<(u32, usize)>,
}

/// A segment and the rows to read from it.
#[derive(Debug, Clone)]
pub struct SegmentScan {
    /// The segment.
    pub segment: Arc<Segment>,
    /// Those that are selected and live.
    pub rows: LiveRows,
}

impl TableSnapshot {
    /// What to read for the rows whose keys lie in `ranges` (disjoint, ascending; `None`: all).
    /// Each part gives its rows in key order.
    pub(crate) async fn select(&self, ranges: Option<&[KeyRange]>) -> Result<ScanSet> {
        let run_rows = |run: &Run| run.select(ranges);
        self.select_parts(ranges, run_rows, &[]).await
    }

    /// As [`TableSnapshot::select`], but at least those rows that have an entry in each of `probes`
    /// too. Runs give their rows in key order only if that takes no longer.
    pub(crate) async fn select_by(
        &self,
        ranges: Option<&[KeyRange]>,
        probes: &[IndexProbe],
    ) -> Result<ScanSet> {
        let run_rows = |run: &Run| match ranges {
            None if run.rows() > ORDERED_ROWS_MAX => run.select_all(),
            ranges => run.select(ranges),
        };
        self.select_parts(ranges, run_rows, probes).await
    }

    /// What to read for the rows that come first by an index: those, and whatever is read sooner
    /// than it is left out.
    pub(crate) async fn select_first(&self, first: FirstRows) -> Result<ScanSet> {
        let mut set = self.nothing();
        for run in self.table.runs.iter() {
            let rows = match first_in_run(run, first) {
                Some(positions) => {
                    set.note(vec![first.index]);
                    run.select_among(None, positions)
                }
                None => run.select_all(),
            };
            set.add_run(rows);
        }
        let stats = ReadStats::default();
        for view in &self.table.segments {
            let rows = match first_in_segment(&view.segment, &view.dead, first, &stats).await? {
                Some(positions) => {
                    set.note(vec![first.index]);
                    of_positions(positions)
                }
                None => RowRanges::all(view.segment.rows()),
            };
            set.add_segment(&view.segment, LiveRows::new(rows, &view.dead));
        }
        set.parts_kept = set.segments.len() + set.runs.len();
        Ok(set)
    }

    /// Nothing of the table.
    fn nothing(&self) -> ScanSet {
        ScanSet {
            segments: Vec::new(),
            runs: Vec::new(),
            parts: self.part_count(),
            parts_kept: 0,
            rows: 0,
            rows_total: self.live_rows(),
            indexes: Vec::new(),
        }
    }

    async fn select_parts(
        &self,
        ranges: Option<&[KeyRange]>,
        run_rows: impl Fn(&Run) -> RunScan,
        probes: &[IndexProbe],
    ) -> Result<ScanSet> {
        let mut set = self.nothing();
        for run in self.table.runs.iter() {
            let rows = match choose_in_run(run, probes) {
                Some(chosen) => {
                    set.note(chosen.indexes);
                    run.select_among(ranges, chosen.positions)
                }
                None => run_rows(run),
            };
            set.add_run(rows);
        }
        let stats = ReadStats::default();
        for view in &self.table.segments {
            let mut rows = segment_rows(&view.segment, ranges, &stats).await?;
            if let Some(chosen) = choose_in_segment(&view.segment, &rows, probes, &stats).await? {
                set.note(chosen.indexes);
                rows = rows.intersect(&of_positions(chosen.positions));
            }
            set.add_segment(&view.segment, LiveRows::new(rows, &view.dead));
        }
        set.parts_kept = set.segments.len() + set.runs.len();
        Ok(set)
    }
}

impl ScanSet {
    /// The selected rows as sources that each ascend by key.
    pub(crate) fn into_sources(self) -> Vec<Source> {
        let runs = self.runs.into_iter().map(Source::Run);
        let segments = self.segments.into_iter().map(|s| Source::Segment(s.segment, s.rows));
        runs.chain(segments).collect()
    }

    fn add_run(&mut self, rows: RunScan) {
        if rows.count() > 0 {
            self.rows += rows.count() as u64;
            self.runs.push(rows);
        }
    }

    fn add_segment(&mut self, segment: &Arc<Segment>, rows: LiveRows) {
        if rows.count() > 0 {
            self.rows += rows.count();
            self.segments.push(SegmentScan { segment: Arc::clone(segment), rows });
        }
    }

    /// Notes by which indexes a part is read.
    fn note(&mut self, indexes: Vec<u32>) {
        for index in indexes {
            match self.indexes.iter_mut().find(|(other, _)| *other == index) {
                Some((_, parts)) => *parts += 1,
                None => self.indexes.push((index, 1)),
            }
        }
    }
}

/// The positions of `segment` whose keys lie in `ranges`.
async fn segment_rows(
    segment: &Arc<Segment>,
    ranges: Option<&[KeyRange]>,
    stats: &ReadStats,
) -> Result<RowRanges> {
    let Some(ranges) = ranges else { return Ok(RowRanges::all(segment.rows())) };
    let (min, max) = (&segment.record().min_key, &segment.record().max_key);
    let mut rows = Vec::new();
    for range in ranges {
        if range.overlaps(min, max) {
            rows.push(segment.row_range(range, stats).await?);
        }
    }
    Ok(rows.into_iter().collect())
}

/// Positions, ascending, as ranges.
fn of_positions(positions: Vec<u32>) -> RowRanges {
    positions.into_iter().map(|position| position..position + 1).collect()
}
