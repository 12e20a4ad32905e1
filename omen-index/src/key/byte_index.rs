//! A learned index over keys that are byte strings.
//!
//! A *node* sees eight bytes of each of its keys, those after what all of them begin with, through
//! a model of its own. Where more than a few hundred keys agree in these eight bytes, as names and
//! paths do, they get a node below, which goes on with the bytes that follow, down to a bounded
//! depth. Shorter runs of keys that no model tells apart are left to halving.
//!
//! Made by `byte_builder`, stored and opened by `byte_codec`.
//!
//! Invariant: for every byte string, stored or not, the lower bound lies in
//! [`ByteIndex::search_range`]. For a smaller key never has a larger model key, in each model; so
//! the keys below the wanted one are, in the order of the keys, those with a smaller model key and
//! some of those with the same, and by the same argument the next model narrows the latter.

use std::cmp::Ordering;
use std::ops::Range;

use super::byte_order::{common_prefix_len, model_key};
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
    /// The model keys that have a node of their own, ascending, and these nodes.
    pub(super) child_keys: Vec<u64>,
    pub(super) children: Vec<Child>,
}

/// Keys of the same model key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Child {
    /// Position of the first of them in the parent.
    pub(super) first: usize,
    pub(super) node: Node,
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
            let shared = common_prefix_len(&node.prefix, rest);
            if let Some(next) = node.prefix.get(shared) {
                // Not one of the keys begins like this one: it is below or above all of them.
                let is_below = rest.get(shared).is_none_or(|byte| byte < next);
                let position = if is_below { first } else { first + node.len() };
                return (position..position, position);
            }
            rest = &rest[shared..];
            let model_key = model_key(rest, 0);
            match node.child_keys.binary_search(&model_key) {
                Ok(index) => {
                    let child = &node.children[index];
                    (node, first) = (&child.node, first + child.first);
                    rest = rest.get(STEP..).unwrap_or_default();
                }
                Err(next) => {
                    let range = node.range_between(model_key, next);
                    let hint = node.model.predict(model_key).clamp(range.start, range.end);
                    return (first + range.start..first + range.end, first + hint);
                }
            }
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

    /// Size and sharpness of the index: cells and leaves of all models together, the length of the
    /// whole stored form, and the search ranges of the keys.
    pub fn stats(&self) -> RmiStats {
        let mut total = Total::default();
        total.add(&self.root);
        let keys = self.len();
        RmiStats {
            keys,
            cells: total.cells,
            leaves: total.leaves,
            bytes: self.stored_len(),
            range_max: total.range_max,
            range_mean: if keys == 0 { 0.0 } else { total.squares / keys as f64 },
        }
    }
}

impl Node {
    /// Number of keys.
    pub(super) fn len(&self) -> usize {
        self.model.len()
    }

    /// The positions for a model key that has no node of its own; `next` is the number of the
    /// first child above it.
    fn range_between(&self, model_key: u64, next: usize) -> Range<usize> {
        let Range { start, end } = self.model.search_range(model_key);
        // The keys of the children beside it are below it and above it.
        let below = next.checked_sub(1).and_then(|index| self.children.get(index));
        let start = below.map_or(start, |child| start.max(child.first + child.node.len()));
        let end = self.children.get(next).map_or(end, |child| end.min(child.first));
        start..end.max(start)
    }

    fn models(&self) -> usize {
        1 + self.children.iter().map(|child| child.node.models()).sum::<usize>()
    }
}

/// What nodes are together.
#[derive(Default)]
struct Total {
    cells: usize,
    leaves: usize,
    range_max: usize,
    /// Sum of the squared lengths of all search ranges: of `n` keys that share a range, each has
    /// `n` to search.
    squares: f64,
}

impl Total {
    fn add(&mut self, node: &Node) {
        let stats = node.model.stats();
        self.cells += stats.cells;
        self.leaves += stats.leaves;
        let mut children = node.children.iter().peekable();
        for leaf in 0..stats.leaves {
            let Range { start, end } = node.model.leaf_range(leaf as u32);
            let (mut start, end) = (start as usize, end as usize);
            // What lies between children has a range of its own.
            while let Some(child) = children.next_if(|child| child.first < end) {
                self.add_range(child.first.saturating_sub(start));
                self.add(&child.node);
                start = child.first + child.node.len();
            }
            self.add_range(end.saturating_sub(start));
        }
    }

    fn add_range(&mut self, len: usize) {
        self.range_max = self.range_max.max(len);
        self.squares += (len as f64) * (len as f64);
    }
}
