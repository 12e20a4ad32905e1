//! Sets of values of one key column, as sorted disjoint intervals.
//!
//! Made from comparisons by `literal`, combined by `region`.
//!
//! Invariant: the intervals are not empty, ascend, and neither overlap nor touch.

use std::cmp::Ordering;
use std::ops::Bound;

use arrow::array::ArrayRef;

/// A value of a key column.
#[derive(Debug, Clone)]
pub(super) struct Point {
    /// The value, an array of one row of the column's type.
    pub(super) value: ArrayRef,
    /// Its encoding as a key of this column alone: what it is compared by.
    pub(super) bytes: Vec<u8>,
}

/// All values between two bounds.
#[derive(Debug, Clone)]
pub(super) struct Interval {
    /// The lower bound.
    pub(super) low: Bound<Point>,
    /// The upper bound.
    pub(super) high: Bound<Point>,
}

/// Compares two bounds of the same side; `unbounded` and `excluded` say how an open bound lies
/// towards a closed one at the same value.
fn compare(a: &Bound<Point>, b: &Bound<Point>, open: Ordering) -> Ordering {
    let parts = |bound: &Bound<Point>| match bound {
        Bound::Unbounded => None,
        Bound::Included(_) => Some(Ordering::Equal),
        Bound::Excluded(_) => Some(open),
    };
    match (value(a), value(b)) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => open.reverse(),
        (Some(_), None) => open,
        (Some(x), Some(y)) => x.bytes.cmp(&y.bytes).then(parts(a).cmp(&parts(b))),
    }
}

fn compare_low(a: &Bound<Point>, b: &Bound<Point>) -> Ordering {
    compare(a, b, Ordering::Greater)
}

fn compare_high(a: &Bound<Point>, b: &Bound<Point>) -> Ordering {
    compare(a, b, Ordering::Less)
}

fn value(bound: &Bound<Point>) -> Option<&Point> {
    match bound {
        Bound::Unbounded => None,
        Bound::Included(point) | Bound::Excluded(point) => Some(point),
    }
}

impl Interval {
    /// The one value of an interval that holds exactly one.
    pub(super) fn point(&self) -> Option<&Point> {
        match (&self.low, &self.high) {
            (Bound::Included(low), Bound::Included(high)) if low.bytes == high.bytes => Some(low),
            _ => None,
        }
    }

    fn is_empty(&self) -> bool {
        let (Some(low), Some(high)) = (value(&self.low), value(&self.high)) else { return false };
        match low.bytes.cmp(&high.bytes) {
            Ordering::Less => false,
            Ordering::Equal => self.point().is_none(),
            Ordering::Greater => true,
        }
    }

    /// Whether `next`, which does not begin before this one, leaves no gap after it.
    fn reaches(&self, next: &Self) -> bool {
        let (Some(high), Some(low)) = (value(&self.high), value(&next.low)) else { return true };
        match low.bytes.cmp(&high.bytes) {
            Ordering::Less => true,
            Ordering::Equal => {
                !matches!((&self.high, &next.low), (Bound::Excluded(_), Bound::Excluded(_)))
            }
            Ordering::Greater => false,
        }
    }
}

/// A set of values of one key column.
#[derive(Debug, Clone, Default)]
pub(super) struct Domain {
    intervals: Vec<Interval>,
}

impl Domain {
    /// No value.
    pub(super) fn empty() -> Self {
        Self::default()
    }

    /// The values between two bounds.
    pub(super) fn between(low: Bound<Point>, high: Bound<Point>) -> Self {
        let interval = Interval { low, high };
        let intervals = if interval.is_empty() { Vec::new() } else { vec![interval] };
        Self { intervals }
    }

    /// Every value.
    pub(super) fn all() -> Self {
        Self::between(Bound::Unbounded, Bound::Unbounded)
    }

    /// Whether every value is inside.
    pub(super) fn is_all(&self) -> bool {
        matches!(&self.intervals[..], [Interval { low: Bound::Unbounded, high: Bound::Unbounded }])
    }

    /// The intervals, ascending.
    pub(super) fn intervals(&self) -> &[Interval] {
        &self.intervals
    }

    /// Whether there is no value.
    pub(super) fn is_empty(&self) -> bool {
        self.intervals.is_empty()
    }

    /// The values in any of `domains`.
    pub(super) fn union(domains: impl IntoIterator<Item = Self>) -> Self {
        let mut sorted: Vec<Interval> = domains.into_iter().flat_map(|d| d.intervals).collect();
        sorted.sort_by(|a, b| compare_low(&a.low, &b.low));
        let mut intervals: Vec<Interval> = Vec::with_capacity(sorted.len());
        for next in sorted {
            match intervals.last_mut() {
                Some(last) if last.reaches(&next) => {
                    if compare_high(&next.high, &last.high) == Ordering::Greater {
                        last.high = next.high;
                    }
                }
                _ => intervals.push(next),
            }
        }
        Self { intervals }
    }

    /// The values in both.
    pub(super) fn intersect(&self, other: &Self) -> Self {
        let mut intervals = Vec::new();
        let (mut left, mut right) = (self.intervals.iter(), other.intervals.iter());
        let (mut a, mut b) = (left.next(), right.next());
        while let (Some(x), Some(y)) = (a, b) {
            let low = if compare_low(&x.low, &y.low) == Ordering::Less { &y.low } else { &x.low };
            let x_ends_first = compare_high(&x.high, &y.high) == Ordering::Less;
            let high = if x_ends_first { &x.high } else { &y.high };
            let both = Interval { low: low.clone(), high: high.clone() };
            if !both.is_empty() {
                intervals.push(both);
            }
            if x_ends_first {
                a = left.next();
            } else {
                b = right.next();
            }
        }
        Self { intervals }
    }

    /// A superset of at most `count` intervals: neighbours are joined, gaps included.
    pub(super) fn coarsened(&self, count: usize) -> Self {
        let chunk = self.intervals.len().div_ceil(count.max(1)).max(1);
        let intervals = self
            .intervals
            .chunks(chunk)
            .filter_map(|c| match (c.first(), c.last()) {
                (Some(first), Some(last)) => {
                    Some(Interval { low: first.low.clone(), high: last.high.clone() })
                }
                _ => None,
            })
            .collect();
        Self { intervals }
    }
}
