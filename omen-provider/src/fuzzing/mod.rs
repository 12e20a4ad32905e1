//! The decoders behind their checksums, for made-up bytes.
//!
//! With the feature `fuzzing`, which only the package of the fuzz targets and the tests ask for. No
//! chance finds a checksum that fits, so each function here puts those on that do, reads what it
//! was given, and looks at what comes of it: it panics if that breaks a promise (what was read is
//! written and read again as the same, keys ascend, every row is found, positions lie within their
//! part). What cannot be read must be an error. Each function returns whether it was read.
//!
//! Called by the fuzz targets (`fuzz/`) and by the tests, which run them on the files of a
//! database ([`inputs`]); calls the modules of the engine.

mod deletions;
mod entries;
mod harvest;
mod log;
mod manifest;
mod rows;
mod segment;

use std::sync::Arc;

use object_store::memory::InMemory;

use crate::options::Options;
use crate::storage::medium::Medium;
use crate::storage::store::Store;

pub use deletions::deletion_vector;
pub use entries::entries;
pub use harvest::inputs;
pub use log::log;
pub use manifest::manifest;
pub use segment::segment;

/// A stored learned index behind one byte that says of what: 0 numbers, 1 byte strings, 2 not an
/// index but fingerprints.
pub fn index(input: &[u8]) -> bool {
    let Some((kind, bytes)) = input.split_first() else { return false };
    match kind % 3 {
        0 => omen_index::fuzzing::numbers(bytes),
        1 => omen_index::fuzzing::byte_strings(bytes),
        _ => omen_index::fuzzing::fingerprints(bytes),
    }
}

/// Where made-up files lie: in memory.
fn medium() -> Medium {
    let options = Options { reserve_bytes: 0, ..Options::within_memory(16 << 20) };
    Medium::new(Store::object_store(Arc::new(InMemory::new()), "db"), options, 1)
}

/// The part of an input whose length, a `u16`, stands before it; as much as there is of it.
fn part<'a>(input: &mut &'a [u8]) -> &'a [u8] {
    let Some((length, rest)) = input.split_first_chunk::<2>() else { return &[] };
    let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
    let (part, rest) = rest.split_at(length);
    *input = rest;
    part
}

/// Appends `bytes` so that [`part`] gives them back; false if they are too many.
fn push_part(bytes: &[u8], out: &mut Vec<u8>) -> bool {
    let length = u16::try_from(bytes.len());
    out.extend(length.iter().flat_map(|length| length.to_le_bytes()));
    out.extend_from_slice(bytes);
    length.is_ok()
}
