//! What the picker knows of the segments of one table: sizes, key ranges, and how many rows of one
//! lie within the range of another.
//!
//! Made from a version by `picker`, which asks it. The rows within a range come from the segment's
//! learned index, which says so without reading anything; they need not be exact, since only how
//! well a task pays depends on them.
//!
//! Invariant: parts are in order of their smallest keys.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::storage::segment::Segment;
use crate::storage::version::{SegmentView, TableVersion};

/// About how many live rows of a part lie below a key.
type Rank<'a> = Box<dyn Fn(&[u8]) -> u64 + 'a>;

/// A segment as the picker sees it.
pub(super) struct Part<'a> {
    pub(super) file: u64,
    pub(super) min: &'a [u8],
    pub(super) max: &'a [u8],
    /// Rows that are not deleted, and deleted ones.
    pub(super) live: u64,
    pub(super) dead: u64,
    pub(super) bytes: u64,
    /// Whether its learned index is damaged.
    pub(super) impaired: bool,
    /// Whether the table was altered since it was written.
    pub(super) outdated: bool,
    pub(super) rank: Rank<'a>,
}

/// The segments of a table.
pub(super) struct Parts<'a> {
    parts: Vec<Part<'a>>,
    /// Rows of one part within the range of another, as far as anybody asked.
    within: RefCell<HashMap<(usize, usize), u64>>,
}

impl<'a> Part<'a> {
    fn of(view: &'a SegmentView) -> Self {
        let (segment, record) = (&*view.segment, view.segment.record());
        let (rows, dead) = (u64::from(segment.rows()), view.dead.count());
        let live = rows.saturating_sub(dead);
        Self {
            file: record.file,
            min: &record.min_key,
            max: &record.max_key,
            live,
            dead,
            bytes: record.bytes,
            impaired: segment.is_impaired(),
            outdated: segment.is_outdated(),
            rank: Box::new(move |key| live_rank(segment, key, live)),
        }
    }

    /// Whether their key ranges have a key in common.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        self.min <= other.max && other.min <= self.max
    }

    /// Whether the key range of `other` lies within its own.
    pub(super) fn contains(&self, other: &Self) -> bool {
        self.min <= other.min && other.max <= self.max
    }

    /// Encoded bytes of the live rows, if all rows are alike.
    pub(super) fn live_bytes(&self) -> u64 {
        let rows = u128::from(self.live + self.dead).max(1);
        (u128::from(self.bytes) * u128::from(self.live) / rows) as u64
    }
}

/// Live rows below `key`, taken that deleted ones are spread evenly.
fn live_rank(segment: &Segment, key: &[u8], live: u64) -> u64 {
    u64::from(segment.rank(key)) * live / u64::from(segment.rows()).max(1)
}

impl<'a> Parts<'a> {
    /// The segments of `table`, without those of `set_aside`.
    pub(super) fn of(table: &'a TableVersion, set_aside: &[u64]) -> Self {
        let views = table.segments.iter();
        let seen = views.filter(|view| !set_aside.contains(&view.segment.record().file));
        Self::new(seen.map(Part::of).collect())
    }

    pub(super) fn new(mut parts: Vec<Part<'a>>) -> Self {
        parts.sort_by(|a, b| (a.min, a.max, a.file).cmp(&(b.min, b.max, b.file)));
        Self { parts, within: RefCell::default() }
    }

    pub(super) fn all(&self) -> &[Part<'a>] {
        &self.parts
    }

    /// For each part, those that hold its smallest key: itself and some before it. Every two parts
    /// that overlap are together in one of these stacks.
    pub(super) fn stacks(&self) -> Vec<Vec<usize>> {
        let mut open: Vec<usize> = Vec::new();
        let stack = |at: usize| {
            open.retain(|&before| self.parts[before].max >= self.parts[at].min);
            open.push(at);
            open.clone()
        };
        (0..self.parts.len()).map(stack).collect()
    }

    /// About how many live rows of `part` lie within the key range of `range`.
    pub(super) fn rows_within(&self, part: usize, range: usize) -> u64 {
        if let Some(&rows) = self.within.borrow().get(&(part, range)) {
            return rows;
        }
        let (one, other) = (&self.parts[part], &self.parts[range]);
        let rows = match one.overlaps(other) {
            false => 0,
            true => {
                let start = if other.min <= one.min { 0 } else { (one.rank)(other.min) };
                let end = if other.max >= one.max { one.live } else { (one.rank)(other.max) };
                end.saturating_sub(start)
            }
        };
        self.within.borrow_mut().insert((part, range), rows);
        rows
    }
}
