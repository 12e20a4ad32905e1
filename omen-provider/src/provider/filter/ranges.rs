//! From boxes of key values to ranges of encoded keys.
//!
//! A box is walked column by column: while a column is a point, it becomes part of a common
//! prefix; the first column that is not ends the walk with one range per interval. What a box says
//! about later columns is then lost, and the selection is not exact.
//!
//! Each range carries the words for its ends, so that EXPLAIN can show it.

use std::ops::Bound;

use arrow::array::ArrayRef;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::RANGES_MAX;
use super::domain::{Interval, Point};
use super::predicate::KeyColumns;
use super::region::{KeyBox, Region};
use crate::storage::key::KeyRange;

/// Ranges that EXPLAIN writes out; of more it says how many.
const RANGES_SHOWN: usize = 3;

/// Characters of a text value that EXPLAIN writes out.
const VALUE_CHARS_SHOWN: usize = 40;

/// A range of encoded keys with the words for its ends.
#[derive(Debug, Clone)]
pub(super) struct LabelledRange {
    /// The keys.
    pub(super) range: KeyRange,
    /// `[5` or `(5`.
    low: String,
    /// `9]` or `9)`.
    high: String,
}

impl KeyColumns {
    /// The ranges of a region, sorted and disjoint (`None`: no restriction), and whether they
    /// hold just the rows that the predicate selects.
    pub(super) fn ranges(&self, region: &Region) -> (Option<Vec<LabelledRange>>, bool) {
        if region.boxes.iter().any(KeyBox::is_all) {
            return (None, region.exact);
        }
        let mut walk = Walk { columns: self, prefix: Vec::new(), out: Vec::new(), exact: true };
        let budget = (RANGES_MAX / region.boxes.len().max(1)).max(1);
        for key_box in &region.boxes {
            if walk.column(key_box, 0, budget).is_none() {
                return (None, false);
            }
        }
        (Some(normalize(walk.out)), region.exact && walk.exact)
    }
}

struct Walk<'a> {
    columns: &'a KeyColumns,
    /// The values of the columns walked so far.
    prefix: Vec<Point>,
    out: Vec<LabelledRange>,
    exact: bool,
}

impl Walk<'_> {
    /// Adds the ranges of `key_box` from key column `column` on, at most about `budget` of them;
    /// `None` if a value cannot be encoded.
    fn column(&mut self, key_box: &KeyBox, column: usize, budget: usize) -> Option<()> {
        let Some(Some(domain)) = key_box.columns.get(column) else {
            self.exact &= key_box.columns.iter().skip(column + 1).all(Option::is_none);
            return self.push_all();
        };
        let coarser;
        let domain = if domain.intervals().len() > budget {
            self.exact = false;
            coarser = domain.coarsened(budget);
            &coarser
        } else {
            domain
        };
        let budget = (budget / domain.intervals().len().max(1)).max(1);
        let goes_on = key_box.columns.iter().skip(column + 1).any(Option::is_some);
        for interval in domain.intervals() {
            match interval.point() {
                Some(point) if goes_on => {
                    self.prefix.push(point.clone());
                    self.column(key_box, column + 1, budget)?;
                    self.prefix.pop();
                }
                _ => {
                    self.exact &= !goes_on;
                    self.push(interval)?;
                }
            }
        }
        Some(())
    }

    /// Adds the keys that begin with the prefix.
    fn push_all(&mut self) -> Option<()> {
        let (start, end) = (self.encode(None)?, self.above(None)?);
        let (low, high) = self.words(&Interval { low: Bound::Unbounded, high: Bound::Unbounded });
        self.out.push(LabelledRange { range: KeyRange { start, end }, low, high });
        Some(())
    }

    /// Adds the keys that begin with the prefix and go on with a value of `interval`.
    fn push(&mut self, interval: &Interval) -> Option<()> {
        if matches!(interval.low, Bound::Unbounded)
            && let Some(nan) = self.columns.nan(self.prefix.len())
        {
            // DataFusion knows two of them, below and above all numbers; here they are one.
            let nan = Point { value: nan, bytes: Vec::new() };
            let range = KeyRange { start: self.encode(Some(&nan))?, end: self.above(Some(&nan))? };
            let (low, high) = ("[NaN".to_string(), "NaN]".to_string());
            self.out.push(LabelledRange { range, low, high });
        }
        let start = match &interval.low {
            Bound::Unbounded => self.encode(None)?,
            Bound::Included(point) => self.encode(Some(point))?,
            // No key lies above the last one that begins with these bytes.
            Bound::Excluded(point) => match self.above(Some(point))? {
                Some(start) => start,
                None => return Some(()),
            },
        };
        let end = match &interval.high {
            Bound::Unbounded => match self.columns.end_of_values(&self.encode(None)?) {
                Some(end) => Some(end),
                None => self.above(None)?,
            },
            Bound::Included(point) => self.above(Some(point))?,
            Bound::Excluded(point) => Some(self.encode(Some(point))?),
        };
        let range = KeyRange { start, end };
        if !range.is_empty() {
            let (low, high) = self.words(interval);
            self.out.push(LabelledRange { range, low, high });
        }
        Some(())
    }

    fn encode(&self, last: Option<&Point>) -> Option<Vec<u8>> {
        let values: Vec<ArrayRef> =
            self.prefix.iter().chain(last).map(|point| point.value.clone()).collect();
        self.columns.codec().encode_prefix(&values).ok()
    }

    /// The first byte string above all keys that begin with the prefix and `last`; the inner
    /// `None`: there is none.
    fn above(&self, last: Option<&Point>) -> Option<Option<Vec<u8>>> {
        let bytes = self.encode(last)?;
        let complete = self.columns.is_complete(self.prefix.len() + usize::from(last.is_some()));
        let range = if complete { KeyRange::one(&bytes) } else { KeyRange::prefix(&bytes) };
        Some(range.end)
    }

    fn words(&self, interval: &Interval) -> (String, String) {
        let (low_word, low) = match &interval.low {
            Bound::Unbounded => (None, '['),
            Bound::Included(point) => (Some(word(point)), '['),
            Bound::Excluded(point) => (Some(word(point)), '('),
        };
        let (high_word, high) = match &interval.high {
            Bound::Unbounded => (None, ')'),
            Bound::Included(point) => (Some(word(point)), ']'),
            Bound::Excluded(point) => (Some(word(point)), ')'),
        };
        let unbounded = low_word.is_none() && high_word.is_none();
        if unbounded && !self.prefix.is_empty() {
            let prefix = self.tuple(None);
            return (format!("[{prefix}"), format!("{prefix}]"));
        }
        let low_word = low_word.unwrap_or_else(|| "-inf".to_string());
        let high_word = high_word.unwrap_or_else(|| "inf".to_string());
        (
            format!("{low}{}", self.tuple(Some(low_word))),
            format!("{}{high}", self.tuple(Some(high_word))),
        )
    }

    /// `EWR` or `(EWR, 2013-07-04T10:00:00)`.
    fn tuple(&self, last: Option<String>) -> String {
        let words: Vec<String> = self.prefix.iter().map(word).chain(last).collect();
        if words.len() == 1 { words.concat() } else { format!("({})", words.join(", ")) }
    }
}

/// The words of one value, cut if long.
fn word(point: &Point) -> String {
    let options = FormatOptions::default();
    let text = ArrayFormatter::try_new(point.value.as_ref(), &options)
        .and_then(|formatter| formatter.value(0).try_to_string())
        .unwrap_or_else(|_| "?".to_string());
    if text.chars().count() <= VALUE_CHARS_SHOWN {
        return text;
    }
    text.chars().take(VALUE_CHARS_SHOWN).chain(std::iter::once('…')).collect()
}

/// The ranges as EXPLAIN shows them.
pub(super) fn label(ranges: &[LabelledRange]) -> String {
    let show = |range: &LabelledRange| {
        let (low, high) = (&range.low[1..], &range.high[..range.high.len() - 1]);
        if low == high { low.to_string() } else { format!("{}, {}", range.low, range.high) }
    };
    match ranges.len() {
        0 => "none".to_string(),
        count if count <= RANGES_SHOWN => ranges.iter().map(show).collect::<Vec<_>>().join(" | "),
        count => {
            let shown: Vec<String> = ranges.iter().take(RANGES_SHOWN).map(show).collect();
            format!("{} | … {count} ranges", shown.join(" | "))
        }
    }
}

/// Sorted, overlapping and touching ranges joined.
fn normalize(mut ranges: Vec<LabelledRange>) -> Vec<LabelledRange> {
    ranges.sort_by(|a, b| a.range.start.cmp(&b.range.start));
    let mut out: Vec<LabelledRange> = Vec::with_capacity(ranges.len());
    for next in ranges {
        match out.last_mut() {
            Some(last) if last.range.end.as_ref().is_none_or(|end| next.range.start <= *end) => {
                if ends_later(&next.range, &last.range) {
                    last.range.end = next.range.end;
                    last.high = next.high;
                }
            }
            _ => out.push(next),
        }
    }
    out
}

fn ends_later(a: &KeyRange, b: &KeyRange) -> bool {
    match (&a.end, &b.end) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(a), Some(b)) => a > b,
    }
}

/// The keys in both of two sorted lists of disjoint ranges.
pub(super) fn intersect(left: &[LabelledRange], right: &[LabelledRange]) -> Vec<LabelledRange> {
    let (mut left, mut right) = (left.iter().peekable(), right.iter().peekable());
    let mut out = Vec::new();
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        let a_ends_later = ends_later(&a.range, &b.range);
        let low = if a.range.start < b.range.start { &b.low } else { &a.low };
        let high = if a_ends_later { &b.high } else { &a.high };
        let range = a.range.intersect(&b.range);
        if !range.is_empty() {
            out.push(LabelledRange { range, low: low.clone(), high: high.clone() });
        }
        if a_ends_later {
            right.next();
        } else {
            left.next();
        }
    }
    out
}
