//! The stored form of an index.
//!
//! All integers are little-endian. With `c` cells and `l` leaves:
//!
//! ```text
//! offset        size     field
//! 0             8        magic, "OMENRMI" and a zero byte
//! 8             2        version, 2
//! 10            2        reserved, 0
//! 12            4        number of keys
//! 16            4        c, number of cells, at least 1
//! 20            4        l, number of leaves
//! 24            28 * c   cells, each: base u64, last u64, factor u64, reach u32;
//!                        base <= last, and last below the base of the next cell.
//!                        A cell has (last - base) * factor / 2^64 + 1 leaves; together they have l
//! 24 + 28c      4(l + 1) start of each leaf: 0, never descending; the last entry,
//!                        after all leaves, is the number of keys
//! 28 + 28c + 4l 4        CRC-32C of all bytes before
//! ```
//!
//! That is `32 + 28c + 4l` bytes. An index of no keys has one cell, all zeros.
//!
//! The leaves are used where they lie: opening checks them and copies only the cells. Reading
//! trusts nothing: the length must fit the header before anything is allocated, the checksum must
//! match, and then each rule above is checked, so that even bytes made up by an adversary,
//! checksum and all, give an index whose lookups stay in bounds.

use std::ops::Range;
use std::sync::Arc;

use crate::crc32c::crc32c;
use crate::error::Error;
use crate::linear::Line;
use crate::rmi::Rmi;
use crate::root::{Piece, Root};
use crate::simd::{self, Isa, Kernel};

/// First bytes of every stored index.
const MAGIC: [u8; 8] = *b"OMENRMI\0";
/// The version written, and the only one read.
const VERSION: u16 = 2;
/// Bytes before the cells.
const HEADER_BYTES: usize = 24;
/// Bytes of a cell.
const CELL_BYTES: usize = 28;
/// Bytes of one start.
const START_BYTES: usize = 4;
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
        let pieces = header.pieces(cells)?;
        header.check_starts(starts)?;
        Ok(Rmi {
            root: Root::new(&pieces),
            leaves_at: stored.start + HEADER_BYTES + cells.len(),
            leaf_count: header.leaves as usize,
            len: header.keys as usize,
            bytes,
            stored,
        })
    }

    /// The index of these cells; `starts` has an entry for each of their leaves, `keys` is the
    /// number of keys.
    pub(crate) fn assemble(pieces: &[Piece], starts: &[u32], keys: u32) -> Rmi {
        let counts = (pieces.len() as u64, starts.len() as u64);
        let mut out = Vec::with_capacity(encoded_len(counts.0, counts.1) as usize);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&0u16.to_le_bytes());
        out.extend_from_slice(&keys.to_le_bytes());
        out.extend_from_slice(&(pieces.len() as u32).to_le_bytes());
        out.extend_from_slice(&(starts.len() as u32).to_le_bytes());
        for Piece { line, last, reach } in pieces {
            out.extend([line.base, *last, line.factor].iter().flat_map(|part| part.to_le_bytes()));
            out.extend_from_slice(&reach.to_le_bytes());
        }
        let leaves_at = out.len();
        out.extend(starts.iter().flat_map(|start| start.to_le_bytes()));
        out.extend_from_slice(&keys.to_le_bytes());
        let checksum = crc32c(&out);
        out.extend_from_slice(&checksum.to_le_bytes());
        Rmi {
            root: Root::new(pieces),
            stored: 0..out.len(),
            bytes: out.into(),
            leaves_at,
            leaf_count: starts.len(),
            len: keys as usize,
        }
    }
}

/// Length of the stored form, which cannot overflow for counts of at most 32 bits.
fn encoded_len(cells: u64, leaves: u64) -> u64 {
    let starts = (leaves + 1) * START_BYTES as u64;
    (HEADER_BYTES + CHECKSUM_BYTES) as u64 + cells * CELL_BYTES as u64 + starts
}

/// The fixed part of a stored index, whose counts agree with the length of the whole.
struct Header {
    keys: u32,
    cells: u32,
    leaves: u32,
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
        if u16::from_le_bytes(take_array(&mut rest)) != 0 {
            return Err(corrupt(10, "reserved bytes are not zero"));
        }
        let keys = u32::from_le_bytes(take_array(&mut rest));
        let cells = u32::from_le_bytes(take_array(&mut rest));
        let leaves = u32::from_le_bytes(take_array(&mut rest));
        if encoded_len(u64::from(cells), u64::from(leaves)) != bytes.len() as u64 {
            return Err(corrupt(bytes.len(), "length does not match the header"));
        }
        if cells == 0 {
            return Err(corrupt(16, "no cells"));
        }
        Ok(Self { keys, cells, leaves })
    }

    /// The cells, in order and with as many leaves as the header says.
    fn pieces(&self, mut cells: &[u8]) -> Result<Vec<Piece>, Error> {
        let mut pieces: Vec<Piece> = Vec::with_capacity(self.cells as usize);
        let mut leaves = 0u64;
        for c in 0..self.cells as usize {
            let [base, last, factor] = [(); 3].map(|()| u64::from_le_bytes(take_array(&mut cells)));
            let reach = u32::from_le_bytes(take_array(&mut cells));
            let offset = HEADER_BYTES + CELL_BYTES * c;
            if base > last || pieces.last().is_some_and(|below| below.last >= base) {
                return Err(corrupt(offset, "cells do not ascend"));
            }
            let piece = Piece { line: Line { base, factor }, last, reach };
            leaves = leaves.saturating_add(piece.leaves());
            if leaves > u64::from(self.leaves) {
                return Err(corrupt(offset, "cells have more leaves than there are"));
            }
            pieces.push(piece);
        }
        if leaves != u64::from(self.leaves) {
            return Err(corrupt(20, "cells have fewer leaves than there are"));
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
