//! Several parts in memory as one run.
//!
//! Live rows of different parts never share a key, so any parts may be merged, in any order. The
//! batches of all parts are put in order of their first keys; those whose keys interleave are
//! copied row by row, the others are kept as they are: merging rows that arrived in order moves
//! only keys.

use std::sync::Arc;

use arrow::compute::interleave_record_batch;
use arrow::record_batch::RecordBatch;
use omen_index::runs::merge_entries;

use super::sorted::Run;
use super::view::{Contents, RunView};
use crate::error::Result;
use crate::storage::key::Keys;

/// Batches shorter than this are copied into longer ones.
const BATCH_ROWS_MIN: usize = 4096;

/// The rows of one batch of one part.
struct Piece {
    run: Arc<Run>,
    /// Which batch of the run.
    batch: usize,
    /// Position of the run in its part.
    first: u32,
    /// Which of the parts.
    part: usize,
}

/// Pieces that are copied together, or one that need not be.
#[derive(Default)]
struct Cluster {
    pieces: Vec<usize>,
    rows: usize,
    /// The piece with the highest key.
    highest: usize,
}

/// One run of the live rows of `parts`; `None` if there are none.
pub(super) fn merge(parts: &[&RunView]) -> Result<Option<Run>> {
    let parts = parts.iter().map(|view| view.contents()).collect::<Result<Vec<_>>>()?;
    let pieces = pieces(&parts);
    let Some(first) = pieces.first() else { return Ok(None) };
    let mut keys = Keys::like(first.run.keys());
    let mut batches = Vec::new();
    for cluster in clusters(&pieces) {
        match &cluster.pieces[..] {
            [only] if !pieces[*only].has_dead(&parts) => {
                let piece = &pieces[*only];
                batches.push(piece.rows().clone());
                keys.extend_from(piece.run.keys(), piece.positions());
            }
            several => {
                let members: Vec<&Piece> = several.iter().map(|&i| &pieces[i]).collect();
                batches.extend(copy_live(&members, &parts, &mut keys)?);
            }
        }
    }
    if keys.is_empty() { Ok(None) } else { Run::from_batches(batches, keys).map(Some) }
}

/// The batches of all parts, in the order of their first keys.
fn pieces(parts: &[Contents<'_>]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (part, contents) in parts.iter().enumerate() {
        for (run, first) in &contents.runs {
            let piece = |batch| Piece { run: Arc::clone(run), batch, first: *first, part };
            pieces.extend((0..run.batches().len()).map(piece));
        }
    }
    pieces.sort_by(|a, b| {
        a.run.keys().compare(a.positions().start, b.run.keys(), b.positions().start)
    });
    pieces
}

/// Neighbours grouped so that keys of different groups do not interleave.
fn clusters(pieces: &[Piece]) -> Vec<Cluster> {
    let mut clusters: Vec<Cluster> = Vec::new();
    for (i, piece) in pieces.iter().enumerate() {
        let rows = piece.positions().len();
        let joins = clusters.last().is_some_and(|cluster| {
            let short = cluster.rows < BATCH_ROWS_MIN && rows < BATCH_ROWS_MIN;
            short || !piece.is_above(&pieces[cluster.highest])
        });
        if !joins {
            clusters.push(Cluster { highest: i, ..Cluster::default() });
        }
        if let Some(cluster) = clusters.last_mut() {
            cluster.pieces.push(i);
            cluster.rows += rows;
            if piece.ends_above(&pieces[cluster.highest]) {
                cluster.highest = i;
            }
        }
    }
    clusters
}

/// The live rows of some pieces in key order, copied; their keys go behind `keys`.
fn copy_live(
    pieces: &[&Piece],
    parts: &[Contents<'_>],
    keys: &mut Keys,
) -> Result<Option<RecordBatch>> {
    let live = pieces.iter().enumerate().map(|(index, piece)| {
        let dead = parts[piece.part].dead;
        let is_live = |position: &usize| !dead.contains(piece.first + *position as u32);
        let row = |position| Row { piece: index, row: position - piece.positions().start };
        (*piece, piece.positions().filter(is_live).map(row).collect())
    });
    let sorted = sort_live(&live.collect::<Vec<_>>(), keys);
    if sorted.is_empty() {
        return Ok(None);
    }
    let batches: Vec<&RecordBatch> = pieces.iter().map(|piece| piece.rows()).collect();
    Ok(Some(interleave_record_batch(&batches, &sorted)?))
}

/// The rows of all pieces in the order of their keys, which go behind `keys`.
fn sort_live(live: &[(&Piece, Vec<Row>)], keys: &mut Keys) -> Vec<(usize, usize)> {
    if let Keys::Fixed { values, .. } = keys {
        let lists: Vec<_> = live.iter().filter_map(|(piece, rows)| piece.numbers(rows)).collect();
        let (numbers, rows) = merge_entries(&lists);
        values.extend(numbers);
        return rows.into_iter().map(|row| Row::from_number(row).into()).collect();
    }
    let mut gathered = Keys::like(keys);
    for (piece, rows) in live {
        let start = piece.positions().start;
        rows.iter().for_each(|row| gathered.push_from(piece.run.keys(), start + row.row));
    }
    // The keys are a few ascending sequences, which the stable sort finds and merges.
    let order = gathered.sorted_order();
    order.iter().for_each(|&i| keys.push_from(&gathered, i as usize));
    let rows: Vec<Row> = live.iter().flat_map(|(_, rows)| rows).copied().collect();
    order.iter().map(|&i| rows[i as usize].into()).collect()
}

/// A row of one of the pieces that are copied together.
#[derive(Clone, Copy)]
struct Row {
    piece: usize,
    /// Position in the batch.
    row: usize,
}

impl Row {
    /// As a number: a batch has fewer than 2^32 rows.
    fn number(self) -> u64 {
        (self.piece as u64) << 32 | self.row as u64
    }

    fn from_number(number: u64) -> Self {
        Self { piece: (number >> 32) as usize, row: number as u32 as usize }
    }
}

impl From<Row> for (usize, usize) {
    fn from(row: Row) -> Self {
        (row.piece, row.row)
    }
}

impl Piece {
    /// The keys of some of its rows as numbers, if that is what they are, and the rows.
    fn numbers(&self, rows: &[Row]) -> Option<(Vec<u64>, Vec<u64>)> {
        let Keys::Fixed { values, .. } = self.run.keys() else { return None };
        let start = self.positions().start;
        Some(rows.iter().map(|row| (values[start + row.row], row.number())).unzip())
    }

    fn rows(&self) -> &RecordBatch {
        &self.run.batches()[self.batch].1
    }

    /// The piece's positions in its run.
    fn positions(&self) -> std::ops::Range<usize> {
        let (first, batch) = &self.run.batches()[self.batch];
        *first as usize..*first as usize + batch.num_rows()
    }

    fn has_dead(&self, parts: &[Contents<'_>]) -> bool {
        let dead = parts[self.part].dead;
        !dead.is_empty()
            && self.positions().any(|position| dead.contains(self.first + position as u32))
    }

    /// Whether all keys are above those of `other`.
    fn is_above(&self, other: &Self) -> bool {
        let (start, last) = (self.positions().start, other.positions().end - 1);
        self.run.keys().compare(start, other.run.keys(), last).is_gt()
    }

    /// Whether the last key is above that of `other`.
    fn ends_above(&self, other: &Self) -> bool {
        let (last, other_last) = (self.positions().end - 1, other.positions().end - 1);
        self.run.keys().compare(last, other.run.keys(), other_last).is_gt()
    }
}
