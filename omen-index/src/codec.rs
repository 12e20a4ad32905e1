//! The stored form of an index.
//!
//! All integers are little-endian. With `c` cells and `l` leaves:
//!
//! ```text
//! offset        size     field
//! 0             8        magic, "OMENRMI" and a zero byte
//! 8             2        version, 3
//! 10            2        reserved, 0
//! 12            4        number of keys
//! 16            4        c, number of cells, at least 1
//! 20            4        l, number of leaves
//! 24            4        k, number of knots
//! 28            28 * c   cells, each: base u64, last u64, factor u64, knots u32;
//!                        base <= last, and last below the base of the next cell.
//!                        With (last - base) * factor / 2^64 = n: a cell without knots has n + 1
//!                        leaves; one with knots, at most 64, has one leaf, and n is below 2^24.
//!                        Together the cells have l leaves and k knots
//! 28 + 28c      4(l + 1) start of each leaf: 0, never descending; the last entry,
//!                        after all leaves, is the number of keys. A leaf with knots that has the
//!                        positions a..b has min(64, (b - 1) / 16 - a / 16) of them
//! 32 + 28c + 4l 3 * k    knots, those of each cell together, first the upper 16 bits of each, u16,
//!                        then the lower 8 bits of each: (key - base) * factor / 2^64 of the keys
//!                        at the positions of the cell that are multiples of 16 (but for its first
//!                        position); those of a cell never descend
//! ...           192      0, only if there are knots: they are read 192 bytes at a time
//! ...           4        CRC-32C of all bytes before
//! ```
//!
//! That is `36 + 28c + 4l` bytes, and `3k + 192` more where there are knots. An index of no keys has
//! one cell, all zeros.
//!
//! Leaves and knots are used where they lie: opening checks them and copies only the cells. Reading
//! trusts nothing: the length must fit the header before anything is allocated, the checksum must
//! match, and then each rule above is checked, so that even bytes made up by an adversary,
//! checksum and all, give an index whose lookups stay in bounds.

use std::ops::Range;
use std::sync::Arc;

use crate::crc32c::crc32c;
use crate::error::Error;
use crate::knots::{self, COORDINATES, KNOT_BYTES, READ_BYTES};
use crate::linear::Line;
use crate::rmi::Rmi;
use crate::root::{Piece, Root};
use crate::simd::{self, Isa, Kernel};

/// First bytes of every stored index.
const MAGIC: [u8; 8] = *b"OMENRMI\0";
/// The version written, and the only one read.
const VERSION: u16 = 3;
/// Bytes before the cells.
const HEADER_BYTES: usize = 28;
/// Bytes of a cell.
const CELL_BYTES: usize = 28;
/// Bytes of one start.
const START_BYTES: usize = 4;
/// Bytes after the knots, so that as many can be read from each of them.
const PADDING_BYTES: usize = READ_BYTES;
/// Bytes of the checksum.
const CHECKSUM_BYTES: usize = 4;

impl Rmi {
    /// The stored form of the index.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.stored_form().to_vec()
    }

    /// The stored form of the index, where it lies.
    pub fn stored_form(&self) -> &[u8] {
        self.bytes.get(self.stored.clone()).unwrap_or_default()
    }

    /// Reads back what [`Rmi::to_bytes`] wrote; the slice must be exactly that. It is copied.
    ///
    /// # Errors
    /// As [`Rmi::open`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Rmi, Error> {
        Rmi::open(Arc::from(bytes), 0..bytes.len())
    }

    /// Uses the stored form where it lies, in the part `stored` of `bytes`. Only the cells of the
    /// root are copied.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use omen_index::Rmi;
    ///
    /// let keys: Vec<u64> = (0..100_000).map(|i| i * i).collect();
    /// let mut file = b"something else ".to_vec();
    /// file.extend(Rmi::train(&keys)?.to_bytes());
    ///
    /// let file: Arc<[u8]> = file.into();
    /// let index = Rmi::open(Arc::clone(&file), 15..file.len())?;
    /// assert_eq!(index.lower_bound(&keys, 49 * 49), 49);
    /// # Ok::<(), omen_index::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Corrupt`] if these bytes are anything but what [`Rmi::to_bytes`] wrote. What is
    /// returned obeys all rules of an index, but only [`Rmi::verify`] can tell whether it belongs
    /// to certain keys.
    pub fn open(bytes: Arc<[u8]>, stored: Range<usize>) -> Result<Rmi, Error> {
        let Some(form) = bytes.get(stored.clone()) else {
            return Err(corrupt(0, "no such part of the bytes"));
        };
        let header = Header::read(form)?;
        let (body, checksum) = form.split_at(form.len() - CHECKSUM_BYTES);
        if crc32c(body).to_le_bytes() != *checksum {
            return Err(corrupt(body.len(), "checksum does not match"));
        }
        let (cells, starts) = body[HEADER_BYTES..].split_at(CELL_BYTES * header.cells as usize);
        let (starts, knots) = starts.split_at(START_BYTES * (header.leaves as usize + 1));
        let pieces = header.pieces(cells)?;
        header.check_starts(starts)?;
        check_knot_counts(&pieces, starts)?;
        check_knots(&pieces, knots, body.len() - knots.len())?;
        if !knots.iter().skip(KNOT_BYTES * header.knots as usize).all(|&byte| byte == 0) {
            return Err(corrupt(body.len() - PADDING_BYTES, "bytes after the knots are not zero"));
        }
        let leaves_at = stored.start + HEADER_BYTES + cells.len();
        let start_of = |leaf: u32| start_in(starts, leaf);
        let root = Root::new(&pieces, start_of);
        Ok(Rmi {
            root,
            leaves_at,
            leaf_count: header.leaves as usize,
            knots_at: leaves_at + starts.len(),
            knot_count: header.knots as usize,
            len: header.keys as usize,
            bytes,
            stored,
        })
    }

    /// The index of these cells; `starts` has an entry for each of their leaves, `knots` the bytes
    /// of their knots; `keys` is the number of keys.
    pub(crate) fn assemble(pieces: &[Piece], starts: &[u32], knots: &[u8], keys: u32) -> Rmi {
        let header = Header {
            keys,
            cells: pieces.len() as u32,
            leaves: starts.len() as u32,
            knots: (knots.len() / KNOT_BYTES) as u32,
        };
        let mut out = Vec::with_capacity(header.encoded_len() as usize);
        header.put(&mut out);
        for Piece { line, last, knots } in pieces {
            out.extend([line.base, *last, line.factor].iter().flat_map(|part| part.to_le_bytes()));
            out.extend_from_slice(&knots.to_le_bytes());
        }
        let leaves_at = out.len();
        out.extend(starts.iter().flat_map(|start| start.to_le_bytes()));
        out.extend_from_slice(&keys.to_le_bytes());
        let knots_at = out.len();
        out.extend_from_slice(knots);
        if !knots.is_empty() {
            out.extend_from_slice(&[0; PADDING_BYTES]);
        }
        let checksum = crc32c(&out);
        out.extend_from_slice(&checksum.to_le_bytes());
        Rmi {
            root: Root::new(pieces, |leaf| starts.get(leaf as usize).copied().unwrap_or(keys)),
            stored: 0..out.len(),
            bytes: out.into(),
            leaves_at,
            leaf_count: starts.len(),
            knots_at,
            knot_count: knots.len() / KNOT_BYTES,
            len: keys as usize,
        }
    }
}

/// How many keys lie before a leaf, or 0 if there is no such leaf.
fn start_in(starts: &[u8], leaf: u32) -> u32 {
    let entry = starts.as_chunks::<START_BYTES>().0.get(leaf as usize);
    entry.map_or(0, |entry| u32::from_le_bytes(*entry))
}

/// Each leaf with knots must have as many as its positions call for.
fn check_knot_counts(pieces: &[Piece], starts: &[u8]) -> Result<(), Error> {
    let mut leaf = 0;
    for (c, piece) in pieces.iter().enumerate() {
        let offset = HEADER_BYTES + CELL_BYTES * c;
        if piece.knots > 0
            && piece.knots as usize
                != knots::count(&(start_in(starts, leaf)..start_in(starts, leaf + 1)))
        {
            return Err(corrupt(offset, "a cell has not as many knots as its positions need"));
        }
        leaf += piece.leaves() as u32;
    }
    Ok(())
}

/// The knots of each cell, which lie together from `offset` on, must not descend.
fn check_knots(pieces: &[Piece], mut knots: &[u8], offset: usize) -> Result<(), Error> {
    let end = offset + knots.len();
    for piece in pieces {
        let Some((row, rest)) = knots.split_at_checked(KNOT_BYTES * piece.knots as usize) else {
            return Err(corrupt(end, "fewer knots than there are"));
        };
        if !knots::ascend(row) {
            return Err(corrupt(end - knots.len(), "knots descend"));
        }
        knots = rest;
    }
    Ok(())
}

/// The fixed part of a stored index, whose counts agree with the length of the whole.
struct Header {
    keys: u32,
    cells: u32,
    leaves: u32,
    knots: u32,
}

impl Header {
    /// Length of the stored form, which cannot overflow for counts of 32 bits.
    fn encoded_len(&self) -> u64 {
        let cells = u64::from(self.cells) * CELL_BYTES as u64;
        let starts = (u64::from(self.leaves) + 1) * START_BYTES as u64;
        let padding = if self.knots > 0 { PADDING_BYTES as u64 } else { 0 };
        let knots = u64::from(self.knots) * KNOT_BYTES as u64 + padding;
        (HEADER_BYTES + CHECKSUM_BYTES) as u64 + cells + starts + knots
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&0u16.to_le_bytes());
        let counts = [self.keys, self.cells, self.leaves, self.knots];
        out.extend(counts.iter().flat_map(|count| count.to_le_bytes()));
    }

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
        if u16::from_le_bytes(take_array(&mut rest)) != 0 {
            return Err(corrupt(10, "reserved bytes are not zero"));
        }
        let [keys, cells, leaves, knots] =
            [(); 4].map(|()| u32::from_le_bytes(take_array(&mut rest)));
        let header = Self { keys, cells, leaves, knots };
        if header.encoded_len() != bytes.len() as u64 {
            return Err(corrupt(bytes.len(), "length does not match the header"));
        }
        if cells == 0 {
            return Err(corrupt(16, "no cells"));
        }
        Ok(header)
    }

    /// The cells, in order and with as many leaves as the header says.
    fn pieces(&self, mut cells: &[u8]) -> Result<Vec<Piece>, Error> {
        let mut pieces: Vec<Piece> = Vec::with_capacity(self.cells as usize);
        let (mut leaves, mut knots_in_all) = (0u64, 0u64);
        for c in 0..self.cells as usize {
            let [base, last, factor] = [(); 3].map(|()| u64::from_le_bytes(take_array(&mut cells)));
            let knots = u32::from_le_bytes(take_array(&mut cells));
            let offset = HEADER_BYTES + CELL_BYTES * c;
            if base > last || pieces.last().is_some_and(|below| below.last >= base) {
                return Err(corrupt(offset, "cells do not ascend"));
            }
            let piece = Piece { line: Line { base, factor }, last, knots };
            if knots > 0 && piece.line.at(last).0 >= COORDINATES {
                return Err(corrupt(offset, "a cell with knots has too many coordinates"));
            }
            knots_in_all += u64::from(knots);
            leaves = leaves.saturating_add(piece.leaves());
            if leaves > u64::from(self.leaves) {
                return Err(corrupt(offset, "cells have more leaves than there are"));
            }
            pieces.push(piece);
        }
        if leaves != u64::from(self.leaves) {
            return Err(corrupt(20, "cells have fewer leaves than there are"));
        }
        if knots_in_all != u64::from(self.knots) {
            return Err(corrupt(24, "cells have not as many knots as there are"));
        }
        Ok(pieces)
    }

    fn check_starts(&self, starts: &[u8]) -> Result<(), Error> {
        let base = HEADER_BYTES + CELL_BYTES * self.cells as usize;
        let starts = starts.as_chunks::<START_BYTES>().0;
        let start = |entry: &[u8; START_BYTES]| u32::from_le_bytes(*entry);
        if starts.first().map(start) != Some(0) {
            return Err(corrupt(base, "the first leaf does not start at position 0"));
        }
        let pairs = starts.iter().zip(&starts[1..]);
        if simd::dispatch::<Descents, _, _, _>(starts, (), ()) > 0 {
            let leaf = pairs.clone().take_while(|(a, b)| start(a) <= start(b)).count();
            return Err(corrupt(base + START_BYTES * (leaf + 1), "leaf starts descend"));
        }
        if starts.last().map(start) != Some(self.keys) {
            let end = base + START_BYTES * (starts.len() - 1);
            return Err(corrupt(end, "the last leaf does not end at the number of keys"));
        }
        Ok(())
    }
}

/// How many numbers are below the one before. There is no way out of the loop, so that it is done
/// many at a time.
struct Descents;

impl Kernel<&[[u8; START_BYTES]], (), ()> for Descents {
    type Output = u32;

    #[inline(always)]
    fn run<I: Isa>(_isa: I, starts: &[[u8; START_BYTES]], (): (), (): ()) -> u32 {
        let start = |entry: &[u8; START_BYTES]| u32::from_le_bytes(*entry);
        starts.iter().zip(&starts[1..]).map(|(a, b)| u32::from(start(a) > start(b))).sum()
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

fn corrupt(offset: usize, reason: &'static str) -> Error {
    Error::Corrupt { offset, reason }
}
