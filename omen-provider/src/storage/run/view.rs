//! A part in memory as one version sees it: how far it reaches, and which rows are deleted.
//!
//! Three shapes, which differ in how they grow: a run does not, a tail takes runs above its last
//! key, a buffer takes single rows in any order. A view is a snapshot: what is added to one is not
//! seen by its clones. Held by `set`, read by snapshot, flush and merge.
//!
//! Invariant: no key has two live rows; positions of a part never change while it keeps its id.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use arrow::record_batch::RecordBatch;
use omen_index::runs::{Buffer, Tail};

use super::select::select_rows;
use super::sorted::{Run, next_id};
use crate::error::Result;
use crate::storage::deletion_vector::DeletionVector;
use crate::storage::key::{KeyRange, Keys};
use crate::storage::row_ranges::RowRanges;

/// A row that waits in a buffer: one of a small statement's.
#[derive(Debug, Clone)]
struct Waiting {
    rows: Arc<Run>,
    row: u32,
}

#[derive(Debug, Clone)]
enum Shape {
    /// Sorted rows.
    Run(Arc<Run>),
    /// Sorted rows that go on.
    Tail(Tail<Arc<Run>>),
    /// Rows in the order of their arrival.
    Buffer(Buffer<Waiting>),
}

/// The smallest and the largest key of a part.
pub type Bounds<'a> = (Cow<'a, [u8]>, Cow<'a, [u8]>);

/// What a part consists of: runs, each with the position of its first row, and deleted positions.
pub(super) struct Contents<'a> {
    pub(super) runs: Vec<(Arc<Run>, u32)>,
    pub(super) dead: &'a DeletionVector,
}

/// A part in memory and its deleted positions.
#[derive(Debug, Clone)]
pub struct RunView {
    id: u64,
    shape: Shape,
    dead: DeletionVector,
    bytes: usize,
    /// The live rows of a buffer in key order, made when first asked for.
    sorted: OnceLock<Option<Arc<Run>>>,
}

impl RunView {
    /// A view of a run, the `dead` rows of which are deleted.
    pub fn new(run: Arc<Run>, dead: DeletionVector) -> Self {
        let bytes = run.byte_size();
        Self { id: run.id(), shape: Shape::Run(run), dead, bytes, sorted: OnceLock::new() }
    }

    /// An empty buffer.
    pub(super) fn buffer() -> Self {
        Self {
            id: next_id(),
            shape: Shape::Buffer(Buffer::new()),
            dead: DeletionVector::default(),
            bytes: 0,
            sorted: OnceLock::new(),
        }
    }

    /// Identifies the part in this process.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// How many positions there are, deleted ones included.
    pub fn rows(&self) -> u32 {
        match &self.shape {
            Shape::Run(run) => run.len() as u32,
            Shape::Tail(tail) => tail.len(),
            Shape::Buffer(buffer) => buffer.len() as u32,
        }
    }

    /// The deleted positions.
    pub fn dead(&self) -> &DeletionVector {
        &self.dead
    }

    /// Bytes of memory.
    pub fn byte_size(&self) -> usize {
        self.bytes
    }

    /// What a reader may be told this is.
    pub fn kind(&self) -> &'static str {
        match &self.shape {
            Shape::Run(_) => "run",
            Shape::Tail(_) => "tail",
            Shape::Buffer(_) => "buffer",
        }
    }

    /// Figures of the learned index, if there is one for the whole part.
    pub fn index_stats(&self) -> Option<omen_index::RmiStats> {
        match &self.shape {
            Shape::Run(run) => run.index_stats(),
            Shape::Tail(_) | Shape::Buffer(_) => None,
        }
    }

    /// Marks a position as deleted; false if it was already.
    pub fn mark(&mut self, position: u32) -> bool {
        self.sorted = OnceLock::new();
        self.dead.insert(position)
    }

    /// The position of the live row of `key`, whose hash is `hash`.
    pub fn find(&self, key: &[u8], hash: u64) -> Option<u32> {
        let found = match &self.shape {
            Shape::Run(run) => run.find(key, hash),
            Shape::Tail(tail) => {
                let (run, first) = tail.search(|run| run.max_key() < key)?;
                run.find(key, hash).map(|position| first + position)
            }
            // A key that was deleted and came back is here more than once.
            Shape::Buffer(buffer) => buffer
                .find(hash)
                .map(|(position, waiting)| (position as u32, waiting))
                .find(|(position, waiting)| {
                    !self.dead.contains(*position)
                        && waiting.rows.keys().compare_bytes(waiting.row as usize, key).is_eq()
                })
                .map(|(position, _)| position),
        };
        found.filter(|&position| !self.dead.contains(position))
    }

    /// The key at `position`, which must be one of the part's.
    pub fn key(&self, position: u32) -> Option<Cow<'_, [u8]>> {
        let (run, row) = self.run_at(position)?;
        Some(run.keys().get(row as usize))
    }

    /// The row at `position`, as a batch of one row in the stored schema.
    pub fn row(&self, position: u32) -> Option<RecordBatch> {
        let (run, row) = self.run_at(position)?;
        let (batch, first) = run.batch_at(row);
        Some(batch.slice((row - first) as usize, 1))
    }

    /// The smallest and the largest key of the part, live or not; `None` if it has no rows.
    pub fn bounds(&self) -> Option<Bounds<'_>> {
        match &self.shape {
            Shape::Run(run) => Some((run.min_key().into(), run.max_key().into())),
            Shape::Tail(tail) => {
                let (first, _) = tail.iter().next()?;
                Some((first.min_key().into(), tail.last()?.max_key().into()))
            }
            Shape::Buffer(buffer) => {
                let keys = || buffer.iter().map(|w| w.rows.keys().get(w.row as usize));
                Some((keys().min()?, keys().max()?))
            }
        }
    }

    /// Whether some key of the part, live or not, may lie between `min` and `max`, both included.
    pub fn overlaps(&self, min: &[u8], max: &[u8]) -> bool {
        match &self.shape {
            // Comparing with each key would cost more than asking for each.
            Shape::Buffer(buffer) => !buffer.is_empty(),
            _ => self.bounds().is_some_and(|(low, high)| *low <= *max && *high >= *min),
        }
    }

    /// The live rows whose keys lie in `ranges` (disjoint, ascending; `None`: all), as batches in
    /// the stored schema that ascend by key, within and across.
    pub fn select(&self, ranges: Option<&[KeyRange]>) -> Result<Vec<RecordBatch>> {
        if matches!(self.shape, Shape::Buffer(_)) {
            return match self.sorted()? {
                Some(run) => RunView::new(run, DeletionVector::default()).select(ranges),
                None => Ok(Vec::new()),
            };
        }
        let rows = match ranges {
            None => RowRanges::all(self.rows()),
            Some(ranges) => ranges.iter().map(|range| self.row_range(range)).collect(),
        };
        let live = if self.dead.is_empty() { rows } else { rows.without(self.dead.iter()) };
        select_rows(&live, |position| self.batch_at(position))
    }

    /// The runs that the part consists of; a buffer as one run of its live rows.
    pub(super) fn contents(&self) -> Result<Contents<'_>> {
        static NONE_DEAD: DeletionVector = DeletionVector::new();
        let (runs, dead) = match &self.shape {
            Shape::Run(run) => (vec![(Arc::clone(run), 0)], &self.dead),
            Shape::Tail(tail) => {
                (tail.iter().map(|(run, first)| (Arc::clone(run), first)).collect(), &self.dead)
            }
            Shape::Buffer(_) => {
                (self.sorted()?.into_iter().map(|run| (run, 0)).collect(), &NONE_DEAD)
            }
        };
        Ok(Contents { runs, dead })
    }

    /// The run that this is, if it does not grow.
    pub(super) fn as_run(&self) -> Option<&Run> {
        match &self.shape {
            Shape::Run(run) => Some(run),
            Shape::Tail(_) | Shape::Buffer(_) => None,
        }
    }

    /// Whether this is a run that does not grow.
    pub(super) fn is_run(&self) -> bool {
        matches!(self.shape, Shape::Run(_))
    }

    /// Whether this is a tail.
    pub(super) fn is_tail(&self) -> bool {
        matches!(self.shape, Shape::Tail(_))
    }

    /// Whether this is a buffer.
    pub(super) fn is_buffer(&self) -> bool {
        matches!(self.shape, Shape::Buffer(_))
    }

    /// How many more rows fit, if this is a buffer.
    pub(super) fn room(&self) -> usize {
        match &self.shape {
            Shape::Buffer(buffer) => buffer.room(),
            Shape::Run(_) | Shape::Tail(_) => 0,
        }
    }

    /// Adds the rows of a small run to a buffer that has room for them.
    pub(super) fn push_rows(&mut self, rows: &Arc<Run>) {
        let Shape::Buffer(buffer) = &mut self.shape else { return };
        self.sorted = OnceLock::new();
        self.bytes += rows.byte_size();
        for row in 0..rows.len() {
            let waiting = Waiting { rows: Arc::clone(rows), row: row as u32 };
            let pushed = buffer.push(rows.keys().hash(row), waiting);
            debug_assert!(pushed.is_ok(), "the caller has looked for room");
        }
    }

    /// Puts `run` behind a sorted part, which becomes a tail.
    ///
    /// # Errors
    /// Gives the run back if its keys are not above those of the part, or there is no room.
    pub(super) fn push_run(&mut self, run: Arc<Run>) -> Result<(), Arc<Run>> {
        let fits = self.bounds().is_some_and(|(_, max)| run.min_key() > &*max);
        if !fits {
            return Err(run);
        }
        let (rows, bytes) = (run.len() as u32, run.byte_size());
        match &mut self.shape {
            Shape::Buffer(_) => return Err(run),
            Shape::Tail(tail) => tail.push(run, rows)?,
            Shape::Run(first) => {
                let mut tail = Tail::new();
                // An empty tail takes any two runs whose rows it can count.
                tail.push(Arc::clone(first), first.len() as u32)?;
                tail.push(run, rows)?;
                self.shape = Shape::Tail(tail);
            }
        }
        self.bytes += bytes;
        Ok(())
    }

    /// The live rows of a buffer as a run; `None` if there are none.
    pub(super) fn sorted(&self) -> Result<Option<Arc<Run>>> {
        if let Some(sorted) = self.sorted.get() {
            return Ok(sorted.clone());
        }
        let sorted = self.sort()?;
        Ok(self.sorted.get_or_init(|| sorted).clone())
    }

    fn sort(&self) -> Result<Option<Arc<Run>>> {
        let Shape::Buffer(buffer) = &self.shape else { return Ok(None) };
        let live: Vec<&Waiting> = buffer
            .iter()
            .enumerate()
            .filter(|(position, _)| !self.dead.contains(*position as u32))
            .map(|(_, waiting)| waiting)
            .collect();
        let Some(first) = live.first() else { return Ok(None) };
        let mut keys = Keys::like(first.rows.keys());
        for waiting in &live {
            keys.push_from(waiting.rows.keys(), waiting.row as usize);
        }
        let order = keys.sorted_order();
        // The rows of a statement are neighbours: each of its batches is named once.
        let mut batches: Vec<&RecordBatch> = Vec::new();
        let mut places = Vec::with_capacity(live.len());
        for Waiting { rows, row } in &live {
            let (batch, first) = rows.batch_at(*row);
            if !batches.last().is_some_and(|last| std::ptr::eq(*last, batch)) {
                batches.push(batch);
            }
            places.push((batches.len() - 1, (row - first) as usize));
        }
        let places: Vec<(usize, usize)> = order.iter().map(|&i| places[i as usize]).collect();
        let rows = arrow::compute::interleave_record_batch(&batches, &places)?;
        Ok(Some(Arc::new(Run::new(rows, keys.take(&order))?)))
    }

    /// The run that holds `position`, and the row of it.
    fn run_at(&self, position: u32) -> Option<(&Arc<Run>, u32)> {
        match &self.shape {
            Shape::Run(run) => ((position as usize) < run.len()).then_some((run, position)),
            Shape::Tail(tail) => tail.at(position),
            Shape::Buffer(buffer) => {
                buffer.get(position as usize).map(|waiting| (&waiting.rows, waiting.row))
            }
        }
    }

    /// The batch that holds `position` of a sorted part, and the position of its first row.
    fn batch_at(&self, position: u32) -> Option<(&RecordBatch, u32)> {
        let (run, row) = self.run_at(position)?;
        let (batch, first) = run.batch_at(row);
        Some((batch, position - row + first))
    }

    /// The positions of a sorted part whose keys lie in `range`.
    fn row_range(&self, range: &KeyRange) -> Range<u32> {
        let start = self.lower_bound(&range.start);
        let end = range.end.as_ref().map_or(self.rows(), |end| self.lower_bound(end));
        start..end.max(start)
    }

    /// The first position of a sorted part whose key is not below `probe`.
    fn lower_bound(&self, probe: &[u8]) -> u32 {
        match &self.shape {
            Shape::Run(run) => run.lower_bound(probe),
            Shape::Tail(tail) => tail
                .search(|run| run.max_key() < probe)
                .map_or(tail.len(), |(run, first)| first + run.lower_bound(probe)),
            Shape::Buffer(_) => 0,
        }
    }
}
