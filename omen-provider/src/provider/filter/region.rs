//! Sets of composite keys, as unions of boxes.
//!
//! A box restricts each key column on its own; AND intersects boxes pairwise, OR lists them. Boxes
//! may overlap: the ranges made from them are joined in the end.
//!
//! Invariant: combining never loses a key. When a combination would grow beyond all bounds, it is
//! replaced by a superset and is no longer exact.

use super::RANGES_MAX;
use super::domain::Domain;

/// A set of keys: every column's value lies in its domain; `None` allows every value.
#[derive(Debug, Clone)]
pub(super) struct KeyBox {
    /// One entry per key column.
    pub(super) columns: Vec<Option<Domain>>,
}

/// A union of boxes.
#[derive(Debug, Clone)]
pub(super) struct Region {
    /// The boxes; none: no key.
    pub(super) boxes: Vec<KeyBox>,
    /// Whether the region holds only rows that satisfy the predicate it was made from.
    pub(super) exact: bool,
}

impl Region {
    /// Every key of a table with `columns` key columns.
    pub(super) fn all(columns: usize, exact: bool) -> Self {
        Self { boxes: vec![KeyBox { columns: vec![None; columns] }], exact }
    }

    /// No key.
    pub(super) fn none() -> Self {
        Self { boxes: Vec::new(), exact: true }
    }

    /// The keys whose column `column` lies in `domain`.
    pub(super) fn of_column(columns: usize, column: usize, domain: Domain, exact: bool) -> Self {
        if domain.is_empty() {
            return Self { boxes: Vec::new(), exact };
        }
        let mut restricted = vec![None; columns];
        if let Some(entry) = restricted.get_mut(column)
            && !domain.is_all()
        {
            *entry = Some(domain);
        }
        Self { boxes: vec![KeyBox { columns: restricted }], exact }
    }
}

impl KeyBox {
    /// Whether no column is restricted.
    pub(super) fn is_all(&self) -> bool {
        self.columns.iter().all(Option::is_none)
    }

    fn intersect(&self, other: &Self) -> Option<Self> {
        let mut columns = Vec::with_capacity(self.columns.len());
        for pair in self.columns.iter().zip(&other.columns) {
            let domain = match pair {
                (Some(a), Some(b)) => Some(a.intersect(b)),
                (Some(one), None) | (None, Some(one)) => Some(one.clone()),
                (None, None) => None,
            };
            if domain.as_ref().is_some_and(Domain::is_empty) {
                return None;
            }
            columns.push(domain);
        }
        Some(Self { columns })
    }

    /// The column that alone is restricted.
    fn only_column(&self) -> Option<usize> {
        let mut restricted =
            self.columns.iter().enumerate().filter(|(_, d)| d.is_some()).map(|(i, _)| i);
        let first = restricted.next()?;
        restricted.next().is_none().then_some(first)
    }
}

/// The keys in all of `regions`.
pub(super) fn and(regions: Vec<Region>, columns: usize) -> Region {
    let mut result = Region::all(columns, true);
    for region in regions {
        let exact = result.exact && region.exact;
        result = if result.boxes.len().saturating_mul(region.boxes.len()) > RANGES_MAX {
            let fewer = if region.boxes.len() < result.boxes.len() { region } else { result };
            Region { boxes: fewer.boxes, exact: false }
        } else {
            let pairs = result.boxes.iter().flat_map(|a| region.boxes.iter().map(move |b| (a, b)));
            Region { boxes: pairs.filter_map(|(a, b)| a.intersect(b)).collect(), exact }
        };
    }
    result
}

/// The keys in any of `regions`.
pub(super) fn or(regions: Vec<Region>, columns: usize) -> Region {
    let exact = regions.iter().all(|r| r.exact);
    let boxes: Vec<KeyBox> = regions.into_iter().flat_map(|r| r.boxes).collect();
    if boxes.iter().any(KeyBox::is_all) {
        return Region::all(columns, exact);
    }
    let Some(first) = boxes.first() else { return Region { boxes, exact } };
    if let Some(column) = first.only_column()
        && boxes.iter().all(|b| b.only_column() == Some(column))
    {
        return Region::of_column(columns, column, column_union(boxes, column), exact);
    }
    if boxes.len() > RANGES_MAX {
        return Region::of_column(columns, 0, column_union(boxes, 0), false);
    }
    Region { boxes, exact }
}

/// All values that column `column` takes in any of `boxes`.
fn column_union(boxes: Vec<KeyBox>, column: usize) -> Domain {
    Domain::union(
        boxes.into_iter().map(|mut b| {
            b.columns.get_mut(column).and_then(Option::take).unwrap_or_else(Domain::all)
        }),
    )
}
