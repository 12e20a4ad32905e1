//! A learned index over keys that are byte strings.
//!
//! A *node* sees eight bytes of each of its keys, those after what all of them begin with, through
//! a model of its own. Keys that agree in these eight bytes, as names and paths do, are a *run*. A
//! run of more than some dozens of keys is listed, so that its range is not blurred by its
//! neighbours; one of more than some hundreds gets a node of its own, which goes on with the bytes
//! that follow, down to a bounded depth.
//!
//! Made by `byte_builder`, stored and opened by `byte_codec`.
//!
//! Invariant: for every byte string, stored or not, the lower bound lies in
//! [`ByteIndex::search_range`]. For a smaller key never has a larger model key, in each model; so
//! the keys below the wanted one are, in the order of the keys, those with a smaller model key and
//! some of those with the same, and by the same argument the next model narrows the latter.

use std::cmp::Ordering;
use std::ops::Range;

use super::byte_order::model_key;
use super::gallop::gallop;
use crate::rmi::{Rmi, RmiStats};

/// Nodes that may lie below one another.
pub(super) const DEPTH_MAX: usize = 32;
/// Bytes that a model sees.
pub(super) const STEP: usize = 8;

/// A learned index over sorted byte strings, which it does not hold.
///
/// ```
/// use omen_index::key::ByteIndexBuilder;
///
/// let keys: Vec<String> = (0..5_000).map(|i| format!("/var/log/app/host-{i:06}.log")).collect();
/// let mut builder = ByteIndexBuilder::new(b"/var/log/app/host-".len());
/// keys.iter().try_for_each(|key| builder.push(key.as_bytes()))?;
/// let index = builder.finish()?;
///
/// let wanted = "/var/log/app/host-001234.log".as_bytes();
/// let position = index.lower_bound_by(wanted, |i| keys[i].as_bytes().cmp(wanted));
/// assert_eq!(position, 1_234);
/// # Ok::<(), omen_index::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByteIndex {
    pub(super) root: Node,
}

/// The index of the keys that agree in all bytes before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    /// What all keys of the node go on with, not seen by the model.
    pub(super) prefix: Vec<u8>,
    /// Of the eight bytes after that.
    pub(super) model: Rmi,
    /// The model keys of the listed runs, ascending, and these runs.
    pub(super) run_keys: Vec<u64>,
    pub(super) runs: Vec<Run>,
}

/// Keys of the same model key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// Position of the first of them in the node that lists them.
    pub(super) first: u32,
    pub(super) len: u32,
    /// The node of as many keys, if they have one.
    pub(super) node: Option<Box<Node>>,
}

impl ByteIndex {
    /// Number of keys.
    pub fn len(&self) -> usize {
        self.root.model.len()
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The positions that hold the lower bound of `key`, be it stored or not, ends included.
    pub fn search_range(&self, key: &[u8]) -> Range<usize> {
        self.locate(key).0
    }

    /// A guess at the lower bound of `key`, inside its search range, ends included.
    pub fn predict(&self, key: &[u8]) -> usize {
        self.locate(key).1
    }

    /// [`ByteIndex::search_range`] and [`ByteIndex::predict`] at the price of one.
    pub fn locate(&self, key: &[u8]) -> (Range<usize>, usize) {
        let (mut node, mut rest, mut first) = (&self.root, key, 0);
        loop {
            let Some(behind) = rest.strip_prefix(node.prefix.as_slice()) else {
                // Not one of the keys begins like this one: it is below or above all of them.
                let is_below = rest < node.prefix.as_slice();
                let position = if is_below { first } else { first + node.len() };
                return (position..position, position);
            };
            rest = behind;
            let model_key = model_key(rest, 0);
            let run = match node.run_keys.binary_search(&model_key) {
                Ok(index) => &node.runs[index],
                Err(next) => {
                    let (range, hint) = node.locate_between(model_key, next);
                    return (first + range.start..first + range.end, first + hint);
                }
            };
            let Range { start, end } = run.range();
            let Some(below) = &run.node else {
                return (first + start..first + end, first + start.midpoint(end));
            };
            (node, first) = (below, first + start);
            rest = rest.get(STEP..).unwrap_or_default();
        }
    }

    /// The first position whose key is not below `key`; `compare` compares the key at a position
    /// with it.
    ///
    /// If the keys ascend, the result is right whatever keys the index was made of, as long as
    /// they were as many; it may be slow to come by.
    pub fn lower_bound_by(&self, key: &[u8], compare: impl Fn(usize) -> Ordering) -> usize {
        let (range, hint) = self.locate(key);
        gallop(self.len(), range, hint, |position| compare(position) == Ordering::Less)
    }

    /// Number of models.
    pub fn models(&self) -> usize {
        self.root.models()
    }

    /// The byte strings at which something changes: the prefix of each node, and each listed run.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn stems(&self, found: &mut dyn FnMut(&[u8])) {
        self.root.stems(&[], found);
    }

    /// Bytes of memory, those of the stored form.
    pub fn byte_size(&self) -> usize {
        self.stored_len()
    }

    /// Size and sharpness of the index: cells, leaves and knots of all models together, the length
    /// of the stored form, and the search ranges of the keys, which are an estimate where runs are
    /// listed: which other keys share a range with them only the keys tell.
    pub fn stats(&self) -> RmiStats {
        let mut total = Total::default();
        total.add(&self.root);
        let keys = self.len();
        RmiStats {
            keys,
            cells: total.cells,
            leaves: total.leaves,
            knots: total.knots,
            bytes: self.stored_len(),
            range_max: total.range_max,
            range_mean: if keys == 0 { 0.0 } else { total.searched.max(0.0) / keys as f64 },
        }
    }
}

impl Node {
    /// Number of keys.
    pub(super) fn len(&self) -> usize {
        self.model.len()
    }

    /// The positions for a model key whose run is not listed; `next` is the number of the first
    /// run above it.
    fn locate_between(&self, model_key: u64, next: usize) -> (Range<usize>, usize) {
        let (Range { start, end }, hint) = self.model.locate(model_key);
        // The keys of the runs beside it are below it and above it.
        let below = next.checked_sub(1).and_then(|index| self.runs.get(index));
        let start = below.map_or(start, |run| start.max(run.range().end));
        let end = self.runs.get(next).map_or(end, |run| end.min(run.range().start));
        (start..end.max(start), hint.clamp(start, end.max(start)))
    }

    /// The most keys between two neighbouring runs.
    fn between_runs_max(&self) -> usize {
        let ends = [0].into_iter().chain(self.runs.iter().map(|run| run.range().end));
        let starts = self.runs.iter().map(|run| run.range().start).chain([self.model.len()]);
        ends.zip(starts).map(|(end, start)| start.saturating_sub(end)).max().unwrap_or(0)
    }

    fn models(&self) -> usize {
        let below = self.runs.iter().filter_map(|run| run.node.as_ref());
        1 + below.map(|node| node.models()).sum::<usize>()
    }
}

#[cfg(any(test, feature = "fuzzing"))]
impl Node {
    fn stems(&self, stem: &[u8], found: &mut dyn FnMut(&[u8])) {
        let stem = [stem, self.prefix.as_slice()].concat();
        found(&stem);
        for (key, run) in self.run_keys.iter().zip(&self.runs) {
            let stem = [stem.as_slice(), &key.to_be_bytes()].concat();
            found(&stem);
            if let Some(node) = &run.node {
                node.stems(&stem, found);
            }
        }
    }
}

impl Run {
    /// The positions of its keys in the node that lists it.
    fn range(&self) -> Range<usize> {
        self.first as usize..self.first as usize + self.len as usize
    }
}

/// What nodes are together.
#[derive(Default)]
struct Total {
    cells: usize,
    leaves: usize,
    knots: usize,
    range_max: usize,
    /// Sum of the lengths of the search ranges of all keys.
    searched: f64,
}

impl Total {
    fn add(&mut self, node: &Node) {
        let stats = node.model.stats();
        self.cells += stats.cells;
        self.leaves += stats.leaves;
        self.knots += stats.knots;
        self.searched += stats.range_mean * stats.keys as f64;
        for (&key, run) in node.run_keys.iter().zip(&node.runs) {
            let len = run.range().len();
            // These keys have another range than their model says.
            self.searched -= (len * node.model.search_range(key).len()) as f64;
            match &run.node {
                Some(node) => self.add(node),
                None => {
                    self.searched += (len * len) as f64;
                    self.range_max = self.range_max.max(len);
                }
            }
        }
        self.range_max = self.range_max.max(stats.range_max.min(node.between_runs_max()));
    }
}
