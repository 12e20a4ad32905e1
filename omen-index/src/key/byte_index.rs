//! A learned index over keys that are byte strings.
//!
//! One model sees eight bytes of each key, those after what all keys begin with. Where more than
//! 64 keys agree in these eight bytes, as names and paths do, a model of the next eight bytes is
//! made for them, and so on, down to a bounded depth. Keys that no model tells apart are left to
//! halving.
//!
//! Invariant: for every byte string, stored or not, the lower bound lies in
//! [`ByteIndex::search_range`]. For a smaller key never has a larger model key, in each model; so
//! the keys below the wanted one are, in the order of the keys, those with a smaller model key and
//! some of those with the same, and by the same argument the next model narrows the latter.
//!
//! ```text
//! magic, "OMENBYT" and a zero byte | version u16, 1 | reserved u16, 0
//! node: prefix length u32 | prefix | length of the model u32 | model (see `codec`)
//!       | number of children u32 | for each child: model key u64, first position u32, node
//! CRC-32C of all bytes before, u32
//! ```
//! (All integers little-endian; children in the order of their model keys.)

use std::cmp::Ordering;
use std::ops::Range;

use super::byte_order::{common_prefix_len, model_key};
use crate::crc32c::crc32c;
use crate::error::Error;
use crate::rmi::Rmi;
use crate::train::RmiBuilder;

/// Keys of the same model key that get no model of their own.
const RUN_MAX: usize = 64;
/// Models that may lie below one another.
const DEPTH_MAX: usize = 32;
/// First bytes of every stored index.
const MAGIC: [u8; 12] = *b"OMENBYT\0\x01\0\0\0";
/// Bytes that a model sees.
const STEP: usize = 8;

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
    root: Node,
}

/// The index of the keys that agree in all bytes before.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Node {
    /// What all keys of the node go on with, not seen by the model.
    prefix: Vec<u8>,
    /// Of the eight bytes after that.
    model: Rmi,
    children: Vec<Child>,
}

/// Keys of the same model key.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Child {
    key: u64,
    /// Position of the first of them in the node.
    first: usize,
    node: Node,
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
        let (mut node, mut rest, mut first) = (&self.root, key, 0);
        loop {
            let len = node.model.len();
            let shared = common_prefix_len(&node.prefix, rest);
            if let Some(next) = node.prefix.get(shared) {
                // Not one of the keys begins like this one: it is below or above all of them.
                let is_below = rest.get(shared).is_none_or(|byte| byte < next);
                let position = if is_below { first } else { first + len };
                return position..position;
            }
            rest = &rest[shared..];
            let model_key = model_key(rest, 0);
            let child = node.children.binary_search_by_key(&model_key, |child| child.key);
            let Ok(child) = child.map(|index| &node.children[index]) else {
                let range = node.model.search_range(model_key);
                return first + range.start..first + range.end;
            };
            (node, first) = (&child.node, first + child.first);
            rest = rest.get(STEP..).unwrap_or_default();
        }
    }

    /// The first position whose key is not below `key`; `compare` compares the key at a position
    /// with it.
    pub fn lower_bound_by(&self, key: &[u8], compare: impl Fn(usize) -> Ordering) -> usize {
        let Range { mut start, mut end } = self.search_range(key);
        while start < end {
            let middle = start.midpoint(end);
            match compare(middle) {
                Ordering::Less => start = middle + 1,
                _ => end = middle,
            }
        }
        start
    }

    /// Number of models.
    pub fn models(&self) -> usize {
        self.root.models()
    }

    /// The stored form.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        self.root.encode(&mut out);
        let checksum = crc32c(&out);
        out.extend_from_slice(&checksum.to_le_bytes());
        out
    }

    /// Reads back what [`ByteIndex::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let corrupt = |offset, reason| Error::Corrupt { offset, reason };
        let Some((body, checksum)) = bytes.split_last_chunk::<4>() else {
            return Err(corrupt(bytes.len(), "shorter than its checksum"));
        };
        if crc32c(body).to_le_bytes() != *checksum {
            return Err(corrupt(body.len(), "checksum does not match"));
        }
        let Some(rest) = body.strip_prefix(&MAGIC) else {
            return Err(corrupt(0, "not a stored index of byte strings, or of unknown version"));
        };
        let mut input = Input { rest, len: body.len() };
        let root = Node::decode(&mut input, DEPTH_MAX)?;
        match input.rest {
            [] => Ok(Self { root }),
            _ => Err(input.corrupt("bytes are left over")),
        }
    }
}

impl Node {
    fn models(&self) -> usize {
        1 + self.children.iter().map(|child| child.node.models()).sum::<usize>()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let model = self.model.stored_form();
        for part in [self.prefix.as_slice(), model] {
            out.extend_from_slice(&(part.len() as u32).to_le_bytes());
            out.extend_from_slice(part);
        }
        out.extend_from_slice(&(self.children.len() as u32).to_le_bytes());
        for child in &self.children {
            out.extend_from_slice(&child.key.to_le_bytes());
            out.extend_from_slice(&(child.first as u32).to_le_bytes());
            child.node.encode(out);
        }
    }

    fn decode(input: &mut Input<'_>, depth: usize) -> Result<Self, Error> {
        if depth == 0 {
            return Err(input.corrupt("too many models below one another"));
        }
        let prefix_len = input.u32()? as usize;
        let prefix = input.take(prefix_len)?.to_vec();
        let model_len = input.u32()? as usize;
        let model = Rmi::from_bytes(input.take(model_len)?)?;
        let count = input.u32()?;
        let mut children: Vec<Child> = Vec::new();
        let mut end = 0;
        for _ in 0..count {
            let key = input.u64()?;
            let first = input.u32()? as usize;
            let node = Node::decode(input, depth - 1)?;
            let ascends = children.last().is_none_or(|before| before.key < key);
            if !ascends || first < end || first + node.model.len() > model.len() {
                return Err(input.corrupt("children do not ascend within their parent"));
            }
            end = first + node.model.len();
            children.push(Child { key, first, node });
        }
        Ok(Self { prefix, model, children })
    }
}

/// Bytes that are being read.
struct Input<'a> {
    rest: &'a [u8],
    len: usize,
}

impl<'a> Input<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], Error> {
        let Some((taken, rest)) = self.rest.split_at_checked(len) else {
            return Err(self.corrupt("shorter than it says"));
        };
        self.rest = rest;
        Ok(taken)
    }

    fn u32(&mut self) -> Result<u32, Error> {
        let bytes = self.take(4)?.first_chunk().copied().unwrap_or_default();
        Ok(u32::from_le_bytes(bytes))
    }

    fn u64(&mut self) -> Result<u64, Error> {
        let bytes = self.take(8)?.first_chunk().copied().unwrap_or_default();
        Ok(u64::from_le_bytes(bytes))
    }

    fn corrupt(&self, reason: &'static str) -> Error {
        Error::Corrupt { offset: self.len - self.rest.len(), reason }
    }
}

/// Builds a [`ByteIndex`] from keys that arrive in order. It holds the index to be, and a few
/// thousand model keys and 64 keys for each of the models that are open.
#[derive(Clone, Debug)]
pub struct ByteIndexBuilder {
    prefix_len: usize,
    prefix: Vec<u8>,
    root: NodeBuilder,
    last: Vec<u8>,
}

#[derive(Clone, Debug)]
struct NodeBuilder {
    depth: usize,
    model: RmiBuilder,
    len: usize,
    /// Whether all keys have the eight bytes that the model sees.
    is_long: bool,
    children: Vec<Child>,
    /// The keys of the last model key: it, the position of the first of them, and what follows
    /// the eight bytes of each.
    run_key: Option<u64>,
    run_first: usize,
    run: Vec<Vec<u8>>,
    run_node: Option<Box<NodeBuilder>>,
}

impl ByteIndexBuilder {
    /// A builder for keys that all begin with the same `prefix_len` bytes; 0 is always right.
    pub fn new(prefix_len: usize) -> Self {
        let root = NodeBuilder::new(1);
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
        self.root.push(rest)?;
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

impl NodeBuilder {
    fn new(depth: usize) -> Self {
        Self {
            depth,
            model: RmiBuilder::new(),
            len: 0,
            is_long: true,
            children: Vec::new(),
            run_key: None,
            run_first: 0,
            run: Vec::new(),
            run_node: None,
        }
    }

    fn push(&mut self, key: &[u8]) -> Result<(), Error> {
        let model_key = model_key(key, 0);
        self.model.push(model_key)?;
        if self.run_key != Some(model_key) {
            self.close_run()?;
            (self.run_key, self.run_first) = (Some(model_key), self.len);
        }
        self.len += 1;
        self.is_long &= key.len() >= STEP;
        let rest = key.get(STEP..).unwrap_or_default();
        if let Some(node) = &mut self.run_node {
            return node.push(rest);
        }
        if self.depth < DEPTH_MAX {
            self.run.push(rest.to_vec());
        }
        if self.run.len() > RUN_MAX {
            let mut node = Box::new(NodeBuilder::new(self.depth + 1));
            self.run.drain(..).try_for_each(|rest| node.push(&rest))?;
            self.run_node = Some(node);
        }
        Ok(())
    }

    /// Makes a child of the last run, if it was long.
    fn close_run(&mut self) -> Result<(), Error> {
        self.run.clear();
        if let (Some(key), Some(node)) = (self.run_key, self.run_node.take()) {
            self.children.push(Child { key, first: self.run_first, node: node.finish()? });
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Node, Error> {
        self.close_run()?;
        if let [child] = self.children.as_mut_slice()
            && child.node.model.len() == self.len
            && self.is_long
        {
            // All keys agree in these bytes: they are prefix, and the model tells nothing.
            child.node.prefix.splice(0..0, child.key.to_be_bytes());
            if let Some(child) = self.children.pop() {
                return Ok(child.node);
            }
        }
        Ok(Node { prefix: Vec::new(), model: self.model.finish()?, children: self.children })
    }
}
