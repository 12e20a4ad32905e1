//! Building a [`ByteIndex`] from keys that arrive in order, in one pass.
//!
//! Each node that is open holds the last run: keys that agree in the eight bytes its model sees.
//! When a run of enough keys ends, a node is made of it, whose prefix is exactly what the rest of
//! its keys have in common. A run too long to be held becomes a node that grows with it; what its
//! keys have in common is then not known, so its model begins with the very next byte, and runs in
//! it are gathered in turn.
//!
//! Invariants: of the nodes that are open, only the innermost holds keys; each of its keys was
//! pushed to all models above it.

use super::byte_index::{ByteIndex, DEPTH_MAX, Node, Run, STEP};
use super::byte_order::{common_prefix_len, model_key};
use crate::error::Error;
use crate::train::RmiBuilder;

/// When nodes are made. It decides the size and the sharpness of an index, never whether it is
/// right.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Keys of the same model key that are not listed: a listed run takes 17 bytes.
    pub(crate) unlisted_max: usize,
    /// Keys of the same model key that get no node of their own: one takes about a hundred bytes.
    pub(crate) run_max: usize,
    /// Distinct keys of a run that are held, before a node grows with it.
    pub(crate) held_max: usize,
    /// Bytes of keys that are held, roughly.
    pub(crate) held_bytes_max: usize,
}

impl Limits {
    /// The limits chosen by measurement.
    pub(crate) const STANDARD: Limits =
        Limits { unlisted_max: 64, run_max: 512, held_max: 4096, held_bytes_max: 1 << 20 };
}

/// Builds a [`ByteIndex`] from keys that arrive in order. Besides the index to be, it holds a few
/// thousand keys, at most about a megabyte of them, and as many model keys for each of the at most
/// 32 nodes that are open.
#[derive(Clone, Debug)]
pub struct ByteIndexBuilder {
    prefix_len: usize,
    prefix: Vec<u8>,
    root: NodeBuilder,
    last: Vec<u8>,
}

impl ByteIndexBuilder {
    /// A builder for keys that all begin with the same `prefix_len` bytes; 0 is always right.
    pub fn new(prefix_len: usize) -> Self {
        Self::with_limits(prefix_len, Limits::STANDARD)
    }

    /// A builder with other limits.
    pub(crate) fn with_limits(prefix_len: usize, limits: Limits) -> Self {
        let root = NodeBuilder::new(limits, 1, Vec::new());
        Self { prefix_len, prefix: Vec::new(), root, last: Vec::new() }
    }

    /// Adds the next key, which must not be below the one before.
    ///
    /// # Errors
    /// [`Error::Unsorted`] if it is, or if it does not begin like the others;
    /// [`Error::TooManyKeys`] beyond `u32::MAX`. The refused key is not added.
    pub fn push(&mut self, key: &[u8]) -> Result<(), Error> {
        let unsorted = Error::Unsorted { position: self.root.len };
        let Some((prefix, rest)) = key.split_at_checked(self.prefix_len) else {
            return Err(unsorted);
        };
        if self.root.len == 0 {
            self.prefix = prefix.to_vec();
        } else if prefix != self.prefix || rest < self.last.as_slice() {
            return Err(unsorted);
        }
        self.root.push(rest, 1)?;
        self.last.clear();
        self.last.extend_from_slice(rest);
        Ok(())
    }

    /// The index over all keys pushed.
    ///
    /// # Errors
    /// None today; the signature leaves room for them.
    pub fn finish(self) -> Result<ByteIndex, Error> {
        let mut root = self.root.finish()?;
        root.prefix.splice(0..0, self.prefix);
        Ok(ByteIndex { root })
    }
}

#[derive(Clone, Debug)]
struct NodeBuilder {
    limits: Limits,
    depth: usize,
    prefix: Vec<u8>,
    model: RmiBuilder,
    len: usize,
    /// Whether all keys have the eight bytes that the model sees.
    is_long: bool,
    run_keys: Vec<u64>,
    runs: Vec<Run>,
    last_run: Held,
    /// The node of the last run, if that is too long to be held.
    last_node: Option<Box<NodeBuilder>>,
}

impl NodeBuilder {
    /// For keys that all begin with `prefix`.
    fn new(limits: Limits, depth: usize, prefix: Vec<u8>) -> Self {
        Self {
            limits,
            depth,
            prefix,
            model: RmiBuilder::new(),
            len: 0,
            is_long: true,
            run_keys: Vec::new(),
            runs: Vec::new(),
            last_run: Held::default(),
            last_node: None,
        }
    }

    /// Adds a key that occurs `count` times.
    fn push(&mut self, key: &[u8], count: usize) -> Result<(), Error> {
        let key = key.get(self.prefix.len()..).unwrap_or_default();
        let model_key = model_key(key, 0);
        (0..count).try_for_each(|_| self.model.push(model_key))?;
        if self.last_run.key != Some(model_key) {
            self.close_run()?;
            self.last_run.begin(model_key, self.len);
        }
        self.len += count;
        self.is_long &= key.len() >= STEP;
        let rest = key.get(STEP..).unwrap_or_default();
        if let Some(node) = &mut self.last_node {
            return node.push(rest, count);
        }
        if self.depth < DEPTH_MAX {
            self.last_run.push(rest, count);
            if self.last_run.is_full(self.limits) {
                let node = NodeBuilder::new(self.limits, self.depth + 1, Vec::new());
                self.last_node = Some(Box::new(self.last_run.fill(node)?));
                // The node may hold as much, and so on: the memory is given back.
                let Held { key, first, .. } = self.last_run;
                self.last_run = Held { key, first, ..Held::default() };
            }
        }
        Ok(())
    }

    /// Lists the last run, if it was long.
    fn close_run(&mut self) -> Result<(), Error> {
        let node = self.node_of_last_run()?;
        let Held { key, first, .. } = self.last_run;
        if let Some(key) = key
            && self.len - first > self.limits.unlisted_max
        {
            let node = node.map(|node| node.finish().map(Box::new)).transpose()?;
            self.run_keys.push(key);
            // There are at most `u32::MAX` keys.
            self.runs.push(Run { first: first as u32, len: (self.len - first) as u32, node });
        }
        self.last_run.forget();
        Ok(())
    }

    /// A node of the last run, if it was long enough and there is something to tell apart.
    fn node_of_last_run(&mut self) -> Result<Option<NodeBuilder>, Error> {
        if self.len - self.last_run.first <= self.limits.run_max {
            self.last_node = None;
        } else if let Some(node) = self.last_node.take() {
            return Ok(Some(*node));
        } else if let Some((first, last)) = self.last_run.ends()
            && first != last
        {
            let prefix = first[..common_prefix_len(first, last)].to_vec();
            let node = NodeBuilder::new(self.limits, self.depth + 1, prefix);
            return self.last_run.fill(node).map(Some);
        }
        Ok(None)
    }

    fn finish(mut self) -> Result<Node, Error> {
        self.close_run()?;
        if let ([key], [Run { len, node: Some(_), .. }]) = (&self.run_keys[..], &self.runs[..])
            && *len as usize == self.len
            && self.is_long
        {
            // All keys agree in these bytes: they are prefix, and the model tells nothing.
            let stem = [&self.prefix, &key.to_be_bytes()[..]].concat();
            if let Some(mut node) = self.runs.pop().and_then(|run| run.node) {
                node.prefix.splice(0..0, stem);
                return Ok(*node);
            }
        }
        let Self { prefix, model, run_keys, runs, .. } = self;
        Ok(Node { prefix, model: model.finish()?, run_keys, runs })
    }
}

/// The keys of the last model key: where they begin, and what follows the eight bytes of each.
#[derive(Clone, Debug, Default)]
struct Held {
    key: Option<u64>,
    first: usize,
    /// Of the rests held, one behind the other: all bytes, and for each distinct one its end and
    /// how many keys have it.
    bytes: Vec<u8>,
    rests: Vec<(usize, usize)>,
}

impl Held {
    fn begin(&mut self, key: u64, first: usize) {
        (self.key, self.first) = (Some(key), first);
    }

    fn forget(&mut self) {
        self.bytes.clear();
        self.rests.clear();
    }

    fn push(&mut self, rest: &[u8], count: usize) {
        let is_same = self.ends().is_some_and(|(_, last)| last == rest);
        match self.rests.last_mut() {
            Some((_, same)) if is_same => *same += count,
            _ => {
                self.bytes.extend_from_slice(rest);
                self.rests.push((self.bytes.len(), count));
            }
        }
    }

    fn is_full(&self, limits: Limits) -> bool {
        let is_large = self.bytes.len() > limits.held_bytes_max && self.rests.len() > 1;
        is_large || self.rests.len() > limits.held_max
    }

    /// The first and the last rest.
    fn ends(&self) -> Option<(&[u8], &[u8])> {
        let first = self.rests.first()?.0;
        let last = self.rests.len().checked_sub(2).map_or(0, |before| self.rests[before].0);
        Some((&self.bytes[..first], &self.bytes[last..]))
    }

    /// Adds what is held to a node.
    fn fill(&self, mut node: NodeBuilder) -> Result<NodeBuilder, Error> {
        let mut start = 0;
        for &(end, count) in &self.rests {
            node.push(&self.bytes[start..end], count)?;
            start = end;
        }
        Ok(node)
    }
}
