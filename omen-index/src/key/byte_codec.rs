//! The stored form of an index over byte strings.
//!
//! All integers are little-endian.
//!
//! ```text
//! magic, "OMENBYT" and a zero byte | version u16, 1 | reserved u16, 0
//! node: prefix length u32 | prefix | length of the model u32 | model (see `codec`)
//!       | number of runs u32 | for each run: model key u64, first position u32, length u32,
//!         whether it has a node u8, 0 or 1 | its node
//! CRC-32C of all bytes before, u32
//! ```
//!
//! Runs ascend by model key and by position, and each lies in the search range of its model key. A
//! run is as long as its node has keys. No node lies below more than 31 others.
//!
//! Models are used where they lie; prefixes and the lists of runs are copied. Reading
//! trusts nothing: the checksum must match, each part must lie within the bytes that are left,
//! nothing is allocated that no bytes were read for, and then each rule above is checked, so that
//! even bytes made up by an adversary give an index whose ranges stay in bounds.

use std::ops::Range;
use std::sync::Arc;

use super::byte_index::{ByteIndex, DEPTH_MAX, Node, Run};
use crate::crc32c::crc32c;
use crate::error::Error;
use crate::rmi::Rmi;

/// First bytes of every stored index.
const MAGIC: [u8; 8] = *b"OMENBYT\0";
/// The version written, and the only one read.
const VERSION: u16 = 1;
/// Bytes before the root.
const HEADER_BYTES: usize = 12;
/// Bytes of the checksum.
const CHECKSUM_BYTES: usize = 4;
/// Bytes of a node besides prefix, model and runs: three numbers.
const NODE_BYTES: usize = 12;
/// Bytes of a run besides its node.
const RUN_BYTES: usize = 17;

impl ByteIndex {
    /// The stored form.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.stored_len());
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&0u16.to_le_bytes());
        self.root.encode(&mut out);
        let checksum = crc32c(&out);
        out.extend_from_slice(&checksum.to_le_bytes());
        out
    }

    /// Reads back what [`ByteIndex::to_bytes`] wrote; the slice must be exactly that. It is copied.
    ///
    /// # Errors
    /// As [`ByteIndex::open`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        Self::open(Arc::from(bytes), 0..bytes.len())
    }

    /// Uses the stored form where it lies, in the part `stored` of `bytes`: all models stay there.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if these bytes are anything but what [`ByteIndex::to_bytes`] wrote. What
    /// is returned obeys all rules of an index, but nothing tells whether it belongs to certain
    /// keys.
    pub fn open(bytes: Arc<[u8]>, stored: Range<usize>) -> Result<Self, Error> {
        let Some(form) = bytes.get(stored.clone()) else {
            return Err(corrupt(0, "no such part of the bytes"));
        };
        let Some((body, checksum)) = form.split_last_chunk::<CHECKSUM_BYTES>() else {
            return Err(corrupt(form.len(), "shorter than its checksum"));
        };
        if crc32c(body).to_le_bytes() != *checksum {
            return Err(corrupt(body.len(), "checksum does not match"));
        }
        let end = stored.start + body.len();
        let mut input = Input { bytes: &bytes, start: stored.start, at: stored.start, end };
        if input.array()? != MAGIC {
            return Err(corrupt(0, "not a stored index of byte strings"));
        }
        if u16::from_le_bytes(input.array()?) != VERSION {
            return Err(corrupt(8, "unknown version"));
        }
        if u16::from_le_bytes(input.array()?) != 0 {
            return Err(corrupt(10, "reserved bytes are not zero"));
        }
        let root = Node::decode(&mut input, DEPTH_MAX)?;
        match input.at == input.end {
            true => Ok(Self { root }),
            false => Err(input.corrupt("bytes are left over")),
        }
    }

    /// Length of the stored form.
    pub(super) fn stored_len(&self) -> usize {
        HEADER_BYTES + self.root.stored_len() + CHECKSUM_BYTES
    }
}

impl Node {
    fn stored_len(&self) -> usize {
        let nodes = self.runs.iter().filter_map(|run| run.node.as_ref());
        let own = NODE_BYTES + self.prefix.len() + self.model.stored_form().len();
        own + RUN_BYTES * self.runs.len() + nodes.map(|node| node.stored_len()).sum::<usize>()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        for part in [&self.prefix, self.model.stored_form()] {
            out.extend_from_slice(&(part.len() as u32).to_le_bytes());
            out.extend_from_slice(part);
        }
        out.extend_from_slice(&(self.runs.len() as u32).to_le_bytes());
        for (key, Run { first, len, node }) in self.run_keys.iter().zip(&self.runs) {
            out.extend_from_slice(&key.to_le_bytes());
            out.extend([first, len].iter().flat_map(|number| number.to_le_bytes()));
            out.push(u8::from(node.is_some()));
            if let Some(node) = node {
                node.encode(out);
            }
        }
    }

    fn decode(input: &mut Input<'_>, depth: usize) -> Result<Self, Error> {
        if depth == 0 {
            return Err(input.corrupt("too many nodes below one another"));
        }
        let prefix = input.part()?;
        let prefix = input.bytes.get(prefix).unwrap_or_default().to_vec();
        let stored = input.part()?;
        let base = stored.start - input.start;
        let model = Rmi::open(Arc::clone(input.bytes), stored).map_err(|error| match error {
            Error::Corrupt { offset, reason } => corrupt(base + offset, reason),
            other => other,
        })?;
        let (mut run_keys, mut runs): (Vec<u64>, Vec<Run>) = (Vec::new(), Vec::new());
        let mut before = 0;
        for _ in 0..input.u32()? {
            let key = u64::from_le_bytes(input.array()?);
            let (first, len) = (input.u32()?, input.u32()?);
            if run_keys.last().is_some_and(|&last| last >= key) || u64::from(first) < before {
                return Err(input.corrupt("runs do not ascend"));
            }
            let range = model.search_range(key);
            before = u64::from(first) + u64::from(len);
            if (first as usize) < range.start || (range.end as u64) < before {
                return Err(input.corrupt("a run lies outside the range of its model key"));
            }
            let node = match input.array()? {
                [0] => None,
                [1] => Some(Box::new(Node::decode(input, depth - 1)?)),
                [_] => return Err(input.corrupt("a flag is neither 0 nor 1")),
            };
            if node.as_ref().is_some_and(|node| node.len() != len as usize) {
                return Err(input.corrupt("a run and its node differ in length"));
            }
            run_keys.push(key);
            runs.push(Run { first, len, node });
        }
        Ok(Self { prefix, model, run_keys, runs })
    }
}

/// The stored form while it is read: `bytes[start..end]`, of which all before `at` was taken.
struct Input<'a> {
    bytes: &'a Arc<[u8]>,
    start: usize,
    at: usize,
    end: usize,
}

impl Input<'_> {
    /// Where the next `len` bytes lie.
    fn take(&mut self, len: usize) -> Result<Range<usize>, Error> {
        if self.end - self.at < len {
            return Err(self.corrupt("shorter than it says"));
        }
        let range = self.at..self.at + len;
        self.at = range.end;
        Ok(range)
    }

    /// Where the next part lies, whose length stands before it.
    fn part(&mut self) -> Result<Range<usize>, Error> {
        let len = self.u32()? as usize;
        self.take(len)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let range = self.take(N)?;
        let bytes = self.bytes.get(range).and_then(|bytes| bytes.first_chunk());
        Ok(bytes.copied().unwrap_or([0; N]))
    }

    fn u32(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_le_bytes)
    }

    fn corrupt(&self, reason: &'static str) -> Error {
        corrupt(self.at - self.start, reason)
    }
}

fn corrupt(offset: usize, reason: &'static str) -> Error {
    Error::Corrupt { offset, reason }
}
