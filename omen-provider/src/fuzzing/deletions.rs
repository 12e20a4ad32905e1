//! Made-up deletion vectors.
//!
//! ```text
//! head of a file, 16 bytes | rows of the part u32 | vector
//! ```

use crate::storage::deletion_vector::{DeletionVector, check_file_head, file_head};
use crate::storage::frame::le_u32;
use crate::storage::live_rows::LiveRows;
use crate::storage::row_ranges::RowRanges;

/// Bytes of a file before its vectors.
pub(super) const HEAD_BYTES: usize = 16;
/// Positions at most that are looked at one by one.
const POSITIONS_MAX: u64 = 1 << 17;

/// The head of a file of deletion vectors and one vector; see above.
pub fn deletion_vector(input: &[u8]) -> bool {
    let Some((head, rest)) = input.split_first_chunk::<HEAD_BYTES>() else { return false };
    let mut head = *head;
    let crc = crc32c::crc32c(&head[..12]);
    head[12..].copy_from_slice(&crc.to_le_bytes());
    let is_file = check_file_head("fuzzed", &head).is_ok();
    let Some((rows, bytes)) = rest.split_first_chunk::<4>() else { return false };
    let rows = u32::from_le_bytes(*rows);
    let Ok(vector) = DeletionVector::decode(bytes, rows) else { return false };
    assert!(vector.count() <= u64::from(rows), "{} of {rows} rows", vector.count());
    let mut written = Vec::new();
    vector.encode(&mut written);
    assert_eq!(DeletionVector::decode(&written, rows).as_ref(), Ok(&vector));
    if vector.count() <= POSITIONS_MAX {
        check_positions(&vector, rows);
    }
    is_file
}

fn check_positions(vector: &DeletionVector, rows: u32) {
    let all: Vec<u32> = vector.within(0..rows).collect();
    assert_eq!(all.len() as u64, vector.count());
    assert!(all.is_sorted_by(|a, b| a < b) && all.last().is_none_or(|last| *last < rows));
    let mut again = DeletionVector::default();
    for &position in &all {
        assert!(vector.contains(position) && again.insert(position));
    }
    assert_eq!(again, *vector);
    assert_eq!(vector.since(&DeletionVector::default()).count(), all.len());
    let half = rows / 2;
    let parts = vector.within(0..half).count() + vector.within(half..rows).count();
    assert_eq!(parts, all.len());
    // (What a scan decodes may have a mask of one bit per row.)
    if rows <= POSITIONS_MAX as u32 * 8 {
        let live = LiveRows::new(RowRanges::all(rows), vector);
        assert_eq!(live.count() + vector.count(), u64::from(rows));
        let decoded = live.decoded().row_count();
        assert!(decoded >= live.count() && decoded <= u64::from(rows));
    }
}

/// The input for a vector of more rows than a small database has, so of several chunks.
pub(super) fn of_chunks() -> Vec<u8> {
    let mut vector = DeletionVector::default();
    for position in [0, 1, 7, 65_535, 65_536, 65_545].into_iter().chain(196_650..196_700) {
        vector.insert(position);
    }
    let mut out = [&file_head()[..], &300_000u32.to_le_bytes()].concat();
    vector.encode(&mut out);
    out
}

/// The input for one vector of a file.
pub(super) fn input(file: &[u8], place: (u64, u32), rows: u32) -> Option<Vec<u8>> {
    let start = usize::try_from(place.0).ok()?;
    let vector = file.get(start..start.checked_add(place.1 as usize)?)?;
    let head = file.get(..HEAD_BYTES)?;
    debug_assert!(le_u32(vector) > 0, "a vector that marks nothing is not stored");
    Some([head, &rows.to_le_bytes()[..], vector].concat())
}
