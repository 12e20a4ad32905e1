//! Stored forms that someone made up: what they must bear, whatever their bytes.
//!
//! In tests, and with the feature `fuzzing`, which only the package of the fuzz targets and the
//! tests ask for. Each function puts checksums that fit on the bytes it is given, as far as their
//! lengths lead to them, reads them and panics if what was read leaves its bounds. Called by
//! tests and fuzz targets; calls the public functions of the crate.

use crate::crc32c::crc32c;
use crate::fingerprints::Fingerprints;
use crate::key::{ByteIndex, successor};
use crate::rmi::Rmi;

/// Keys of an index at most that are made up to search in.
const KEYS_MAX: usize = 1 << 13;
/// Probes at most.
const PROBES_MAX: usize = 4_096;

/// A stored index of numbers, under a checksum that fits; whether it is one.
pub fn numbers(bytes: &[u8]) -> bool {
    let mut bytes = bytes.to_vec();
    seal(&mut bytes);
    check_numbers(&bytes)
}

/// A stored index of byte strings, under checksums that fit; whether it is one.
pub fn byte_strings(bytes: &[u8]) -> bool {
    let mut bytes = bytes.to_vec();
    seal_byte_strings(&mut bytes);
    check_byte_strings(&bytes)
}

/// Stored fingerprints; whether they are such.
pub fn fingerprints(bytes: &[u8]) -> bool {
    let Ok(read) = Fingerprints::decode(bytes) else { return false };
    let mut written = Vec::new();
    read.encode(&mut written);
    assert_eq!(written, bytes, "written otherwise than read");
    for key in bytes.windows(5).step_by(3).take(PROBES_MAX) {
        let _ = read.may_contain(crate::fingerprints::hash(key));
    }
    for hash in [0, 1, u64::MAX, 1 << 32, u64::from(u32::MAX)] {
        let _ = read.may_contain(hash);
    }
    true
}

/// Puts the checksum in the last four bytes.
pub fn seal(bytes: &mut [u8]) {
    if let Some((body, checksum)) = bytes.split_last_chunk_mut::<4>() {
        *checksum = crc32c(body).to_le_bytes();
    }
}

/// Makes all checksums of a stored index of byte strings fit, those of its models too.
pub fn seal_byte_strings(bytes: &mut [u8]) {
    let Some(len) = bytes.len().checked_sub(4) else { return };
    seal_node(&mut bytes[..len], &mut 12, 40);
    seal(bytes);
}

fn seal_node(bytes: &mut [u8], at: &mut usize, depth: usize) -> Option<()> {
    let number = |bytes: &[u8], at: &mut usize| {
        let number = u32::from_le_bytes(*bytes.get(*at..)?.first_chunk()?);
        *at += 4;
        Some(number as usize)
    };
    depth.checked_sub(1)?;
    *at += number(bytes, at)?;
    let len = number(bytes, at)?;
    seal(bytes.get_mut(*at..*at + len)?);
    *at += len;
    for _ in 0..number(bytes, at)? {
        *at += 17;
        if *bytes.get(*at - 1)? == 1 {
            seal_node(bytes, at, depth - 1)?;
        }
    }
    Some(())
}

/// Whatever the bytes are, what comes out of them must stay within its bounds.
pub(crate) fn check_numbers(bytes: &[u8]) -> bool {
    let Ok(index) = Rmi::from_bytes(bytes) else { return false };
    assert_eq!(index.to_bytes(), bytes);
    let len = index.len();
    let stats = index.stats();
    let mut probes = probes(&index.root.ends().take(PROBES_MAX / 4).collect::<Vec<_>>());
    for &probe in &probes {
        let range = index.search_range(probe);
        assert!(range.start <= range.end && range.end <= len);
        assert!(range.len() <= stats.range_max, "{range:?} is longer than {stats:?}");
        assert!(range.start <= index.predict(probe) && index.predict(probe) <= range.end);
    }
    probes.sort_unstable();
    let mut before = 0;
    for &probe in &probes {
        let range = index.search_range(probe);
        assert!(range.start >= before, "routing descends");
        before = range.start;
    }
    if len > KEYS_MAX {
        // More keys than there is time to make.
        return true;
    }
    let keys: Vec<u64> = (0..len as u64).collect();
    let unsorted: Vec<u64> = keys.iter().rev().copied().collect();
    for &probe in &probes {
        let lower = (probe as usize).min(len);
        assert!(probe > len as u64 || index.lower_bound(&keys, probe) == lower, "wrong answer");
        assert!(index.upper_bound(&unsorted, probe) <= len);
    }
    index.lower_bound_batch(&keys, &probes, &mut vec![0; probes.len()]);
    let _ = index.verify(&keys);
    true
}

/// Keys at the ends of an index, beside them and between them.
fn probes(ends: &[u64]) -> Vec<u64> {
    let mut probes = vec![0, 1, u64::MAX - 1, u64::MAX, 1 << 53, 1 << 63, (1 << 63) - 1];
    for &end in ends {
        probes.extend([end, end.wrapping_sub(1), end.wrapping_add(1), end.rotate_left(17)]);
    }
    probes.extend(ends.windows(2).map(|pair| pair[0].midpoint(pair[1])));
    probes
}

/// Whatever the bytes are, what comes out of them must stay within its bounds, and in order.
pub(crate) fn check_byte_strings(bytes: &[u8]) -> bool {
    let Ok(index) = ByteIndex::from_bytes(bytes) else { return false };
    assert_eq!(index.to_bytes(), bytes);
    let mut probes = vec![vec![], vec![0xFF; 40]];
    index.stems(&mut |stem| {
        if probes.len() < PROBES_MAX / 4 {
            probes.push(stem.to_vec());
        }
    });
    for probe in probes.clone() {
        let mut next = probe.clone();
        successor(&mut next);
        let mut below = probe.clone();
        if let Some(last) = below.last_mut() {
            *last = last.wrapping_sub(1);
        }
        probes.extend([next, below, [&probe, &[0xFF; 9][..]].concat()]);
    }
    probes.sort();
    let (mut start_before, mut end_before) = (0, 0);
    for probe in &probes {
        let (range, hint) = index.locate(probe);
        assert!(range.start <= hint && hint <= range.end && range.end <= index.len());
        assert!(start_before <= range.start && end_before <= range.end, "ranges descend");
        (start_before, end_before) = (range.start, range.end);
        // Positions spelled as keys: as many as there may be, and sorted.
        let found = index.lower_bound_by(probe, |i| i.to_be_bytes().as_slice().cmp(probe));
        let is_below = |i: usize| i.to_be_bytes().as_slice() < probe.as_slice();
        assert!(found == 0 || is_below(found - 1));
        assert!(found == index.len() || !is_below(found));
    }
    let _ = (index.stats(), index.models());
    true
}
