//! The stored form of an index.
//!
//! All integers are little-endian. With `c` cells and `l` leaves:
//!
//! ```text
//! offset        size     field
//! 0             8        magic, "OMENRMI" and a zero byte
//! 8             2        version, 1
//! 10            2        c, number of cells, 1 to 256
//! 12            4        number of keys
//! 16            4        l, number of leaves, at least c
//! 20            4        reserved, 0
//! 24            8        largest key (0 without keys)
//! 32            8 * c    knots: first key value of each cell, strictly ascending,
//!                        none above the largest key
//! 32 +  8c      4 * c    first leaf of each cell: 0, then strictly ascending, below l
//! 32 + 12c      4(l + 1) start of each leaf: 0, never descending; the last entry,
//!                        after all leaves, is the number of keys
//! 36 + 12c + 4l 4        CRC-32C of all bytes before
//! ```
//!
//! That is `40 + 12c + 4l` bytes. The factors of the lines are not stored but worked out from the
//! knots (see `linear`); how they are worked out is therefore part of the format.
//!
//! Reading trusts nothing: the length must fit the header before anything is allocated, the
//! checksum must match, and then each rule above is checked, so that even bytes made up by an
//! adversary, checksum and all, give an index whose lookups stay in bounds.

use crate::crc32c::crc32c;
use crate::error::Error;
use crate::rmi::Rmi;
use crate::root::{CELLS_MAX, Root};

/// First bytes of every stored index.
const MAGIC: [u8; 8] = *b"OMENRMI\0";
/// The version written, and the only one read.
const VERSION: u16 = 1;
/// Bytes before the knots.
const HEADER_BYTES: usize = 32;
/// Bytes of knot and first leaf.
const CELL_BYTES: usize = 12;
/// Bytes of one start.
const START_BYTES: usize = 4;
/// Bytes of the checksum.
const CHECKSUM_BYTES: usize = 4;

impl Rmi {
    /// The stored form of the index.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.encoded_len());
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&(self.root.cell_count() as u16).to_le_bytes());
        out.extend_from_slice(&(self.len() as u32).to_le_bytes());
        out.extend_from_slice(&(self.leaf_count() as u32).to_le_bytes());
        out.extend_from_slice(&0u32.to_le_bytes());
        out.extend_from_slice(&self.root.last().to_le_bytes());
        out.extend(self.root.knots().flat_map(u64::to_le_bytes));
        out.extend(self.root.first_leaves().flat_map(u32::to_le_bytes));
        out.extend(self.starts.iter().flat_map(|start| start.to_le_bytes()));
        let checksum = crc32c(&out);
        out.extend_from_slice(&checksum.to_le_bytes());
        out
    }

    /// Reads back what [`Rmi::to_bytes`] wrote; the slice must be exactly that.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for anything else. What is returned obeys all rules of an index, but
    /// only [`Rmi::verify`] can tell whether it belongs to certain keys.
    pub fn from_bytes(bytes: &[u8]) -> Result<Rmi, Error> {
        let header = Header::read(bytes)?;
        let (body, checksum) = bytes.split_at(bytes.len() - CHECKSUM_BYTES);
        if crc32c(body).to_le_bytes() != *checksum {
            return Err(corrupt(body.len(), "checksum does not match"));
        }

        let mut rest = &body[HEADER_BYTES..];
        let knots = take_numbers(&mut rest, header.cells, u64::from_le_bytes);
        let first_leaves = take_numbers(&mut rest, header.cells, u32::from_le_bytes);
        let starts = take_numbers(&mut rest, header.leaves as usize + 1, u32::from_le_bytes);

        header.check_knots(&knots)?;
        header.check_first_leaves(&first_leaves)?;
        header.check_starts(&starts)?;
        let root = Root::new(&knots, header.last, &first_leaves, header.leaves);
        Ok(Rmi { root, starts })
    }

    /// Length of the stored form.
    pub(crate) fn encoded_len(&self) -> usize {
        encoded_len(self.root.cell_count() as u64, self.leaf_count() as u64) as usize
    }
}

/// Length of the stored form, which cannot overflow for counts of at most 32 bits.
fn encoded_len(cells: u64, leaves: u64) -> u64 {
    let starts = (leaves + 1) * START_BYTES as u64;
    (HEADER_BYTES + CHECKSUM_BYTES) as u64 + cells * CELL_BYTES as u64 + starts
}

/// The fixed part of a stored index, whose counts agree with the length of the whole.
struct Header {
    cells: usize,
    keys: u32,
    leaves: u32,
    last: u64,
}

impl Header {
    fn read(bytes: &[u8]) -> Result<Self, Error> {
        let Some((header, _)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
            return Err(corrupt(bytes.len(), "shorter than its header"));
        };
        let mut rest: &[u8] = header;
        if take_array(&mut rest) != MAGIC {
            return Err(corrupt(0, "not a stored index"));
        }
        if u16::from_le_bytes(take_array(&mut rest)) != VERSION {
            return Err(corrupt(8, "unknown version"));
        }
        let cells = usize::from(u16::from_le_bytes(take_array(&mut rest)));
        let keys = u32::from_le_bytes(take_array(&mut rest));
        let leaves = u32::from_le_bytes(take_array(&mut rest));
        let reserved = u32::from_le_bytes(take_array(&mut rest));
        let last = u64::from_le_bytes(take_array(&mut rest));

        if cells == 0 || cells > CELLS_MAX {
            return Err(corrupt(10, "number of cells out of bounds"));
        }
        if reserved != 0 {
            return Err(corrupt(20, "reserved bytes are not zero"));
        }
        if encoded_len(cells as u64, u64::from(leaves)) != bytes.len() as u64 {
            return Err(corrupt(bytes.len(), "length does not match the header"));
        }
        Ok(Self { cells, keys, leaves, last })
    }

    fn check_knots(&self, knots: &[u64]) -> Result<(), Error> {
        let above = knots.iter().chain([&self.last]);
        for (c, (knot, above)) in knots.iter().zip(above.skip(1)).enumerate() {
            let is_last = c + 1 == knots.len();
            if knot > above || (knot == above && !is_last) {
                return Err(corrupt(HEADER_BYTES + 8 * c, "knots do not ascend"));
            }
        }
        Ok(())
    }

    fn check_first_leaves(&self, first_leaves: &[u32]) -> Result<(), Error> {
        let base = HEADER_BYTES + 8 * self.cells;
        if first_leaves.first() != Some(&0) {
            return Err(corrupt(base, "the first cell does not begin at the first leaf"));
        }
        let above = first_leaves.iter().chain([&self.leaves]).skip(1);
        match first_leaves.iter().zip(above).position(|(leaf, above)| leaf >= above) {
            Some(c) => Err(corrupt(base + 4 * c, "cells without leaves")),
            None => Ok(()),
        }
    }

    fn check_starts(&self, starts: &[u32]) -> Result<(), Error> {
        let base = HEADER_BYTES + CELL_BYTES * self.cells;
        if starts.first() != Some(&0) {
            return Err(corrupt(base, "the first leaf does not start at position 0"));
        }
        if let Some(leaf) = starts.windows(2).position(|pair| pair[0] > pair[1]) {
            return Err(corrupt(base + START_BYTES * (leaf + 1), "leaf starts descend"));
        }
        if starts.last() != Some(&self.keys) {
            let end = base + START_BYTES * (starts.len() - 1);
            return Err(corrupt(end, "the last leaf does not end at the number of keys"));
        }
        Ok(())
    }
}

/// Takes `N` bytes off the front of a slice whose length was checked before.
fn take_array<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    match rest.split_first_chunk::<N>() {
        Some((array, after)) => {
            *rest = after;
            *array
        }
        None => [0; N],
    }
}

/// Takes `count` numbers off the front of a slice whose length was checked before.
fn take_numbers<T, const N: usize>(
    rest: &mut &[u8],
    count: usize,
    read: impl Fn([u8; N]) -> T,
) -> Vec<T> {
    let (numbers, after) = rest.split_at(count * N);
    *rest = after;
    numbers.as_chunks::<N>().0.iter().map(|&number| read(number)).collect()
}

fn corrupt(offset: usize, reason: &'static str) -> Error {
    Error::Corrupt { offset, reason }
}
