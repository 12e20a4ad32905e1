//! The stored form: it reads back as written, and nothing else is believed.

use proptest::prelude::*;

use super::distributions::{self, ALL, Distribution};
use crate::crc32c::crc32c;
use crate::train::Shape;
use crate::{Error, Rmi};

#[test]
fn crc32c_matches_its_check_values() {
    assert_eq!(crc32c(b"123456789"), 0xE306_9283);
    assert_eq!(crc32c(b""), 0);
    assert_eq!(crc32c(&[0; 32]), 0x8A91_36AA);
    assert_eq!(crc32c(&[0xFF; 32]), 0x62A8_AB43);
}

#[test]
fn stored_index_reads_back_equal() {
    for distribution in ALL {
        for count in [0, 1, 2, 100, 20_000] {
            let index = Rmi::train(&distribution.keys(count, 1)).unwrap();
            let bytes = index.to_bytes();
            assert_eq!(bytes.len(), index.stats().bytes);
            assert_eq!(Rmi::from_bytes(&bytes), Ok(index));
        }
    }
}

/// The format is a promise to files already written: these bytes must be read for ever.
#[test]
fn stored_form_is_as_specified() {
    let index = Rmi::train(&[5, 6, 6, 9]).unwrap();
    let mut expected = b"OMENRMI\0".to_vec();
    expected.extend([1, 0]); // version
    expected.extend([1, 0]); // cells
    expected.extend([4, 0, 0, 0]); // keys
    expected.extend([1, 0, 0, 0]); // leaves
    expected.extend([0, 0, 0, 0]); // reserved
    expected.extend([9, 0, 0, 0, 0, 0, 0, 0]); // largest key
    expected.extend([5, 0, 0, 0, 0, 0, 0, 0]); // knot
    expected.extend([0, 0, 0, 0]); // first leaf of the cell
    expected.extend([0, 0, 0, 0, 4, 0, 0, 0]); // starts
    seal(&mut expected, 52);
    assert_eq!(index.to_bytes(), expected);
    assert_eq!(expected.len(), 56);
    assert_eq!(crc32c(&expected[..52]), 0x297B_5AB4);
}

/// A larger index, so that lines and knots are nailed down as well.
#[test]
fn training_and_format_do_not_drift() {
    let keys = Distribution::Doubling.keys(10_000, 42);
    let bytes = Rmi::train(&keys).unwrap().to_bytes();
    assert_eq!((bytes.len(), crc32c(&bytes[..bytes.len() - 4])), (4_172, 0x6D2E_2BC8));
}

/// An index of several cells and leaves, in a few hundred bytes.
fn small_index() -> (Vec<u64>, Rmi) {
    let keys = Distribution::Doubling.keys(40, 9);
    let index =
        Rmi::train_shaped(&keys, Shape { keys_per_leaf: 3, keys_per_cell_min: 10 }).unwrap();
    assert!(index.root.cell_count() > 2 && index.leaf_count() > 8);
    (keys, index)
}

/// Puts the checksum of the first `len` bytes after them.
fn seal(bytes: &mut Vec<u8>, len: usize) {
    bytes.truncate(len);
    bytes.extend(crc32c(bytes).to_le_bytes());
}

/// Whatever the bytes are, what comes out of them must stay within its bounds.
fn check_hostile(bytes: &[u8]) {
    let Ok(index) = Rmi::from_bytes(bytes) else { return };
    assert_eq!(index.to_bytes(), bytes);
    let len = index.len();
    assert!(len < 1 << 20, "tests do not make up so many keys");
    assert!(index.starts[0] == 0 && index.starts.is_sorted());
    let keys: Vec<u64> = (0..len as u64).collect();
    let unsorted: Vec<u64> = keys.iter().rev().copied().collect();
    let knots: Vec<u64> = index.root.knots().collect();
    let probes = distributions::probes(&knots, 1);
    let mut before = 0;
    let mut sorted_probes = probes.clone();
    sorted_probes.sort_unstable();
    for probe in sorted_probes {
        let range = index.search_range(probe);
        assert!(range.start <= range.end && range.end <= len);
        assert!(range.start >= before, "routing descends");
        before = range.start;
        assert!(range.start <= index.predict(probe) && index.predict(probe) <= range.end);
        assert!(index.lower_bound(&keys, probe) <= len);
        assert!(index.upper_bound(&unsorted, probe) <= len);
    }
    index.lower_bound_batch(&keys, &probes, &mut vec![0; probes.len()]);
    let _ = index.verify(&keys);
    let _ = index.stats();
}

#[test]
fn every_truncation_is_noticed() {
    let bytes = small_index().1.to_bytes();
    for len in 0..bytes.len() {
        assert!(matches!(Rmi::from_bytes(&bytes[..len]), Err(Error::Corrupt { .. })), "{len}");
        // Nor does a checksum that fits make up for missing bytes.
        let mut sealed = bytes.clone();
        seal(&mut sealed, len);
        assert!(len == bytes.len() - 4 || Rmi::from_bytes(&sealed).is_err(), "{len}");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(Rmi::from_bytes(&longer).is_err());
    seal(&mut longer, bytes.len());
    assert!(Rmi::from_bytes(&longer).is_err());
}

#[test]
fn every_flipped_bit_is_noticed() {
    let bytes = small_index().1.to_bytes();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(matches!(Rmi::from_bytes(&flipped), Err(Error::Corrupt { .. })), "bit {bit}");
    }
}

#[test]
fn flipped_bits_under_a_valid_checksum_stay_in_bounds() {
    let bytes = small_index().1.to_bytes();
    let body = bytes.len() - 4;
    for bit in 0..body * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        seal(&mut flipped, body);
        check_hostile(&flipped);
    }
}

#[test]
fn each_rule_is_checked() {
    let (_, index) = small_index();
    let bytes = index.to_bytes();
    let cells = index.root.cell_count();
    let first_leaves = 32 + 8 * cells;
    let starts = 32 + 12 * cells;
    let last_start = bytes.len() - 8;
    let damage: [(usize, &[u8], &str); 11] = [
        (0, b"P", "not a stored index"),
        (8, &[2], "unknown version"),
        (10, &[0, 0], "number of cells out of bounds"),
        (10, &[1, 1], "number of cells out of bounds"),
        (16, &[0xFF; 4], "length does not match the header"),
        (20, &[1], "reserved bytes are not zero"),
        (24, &[0; 8], "knots do not ascend"),
        (40, &[0; 8], "knots do not ascend"),
        (first_leaves, &[1], "the first cell does not begin at the first leaf"),
        (first_leaves + 4, &[0; 4], "cells without leaves"),
        (starts, &[1], "the first leaf does not start at position 0"),
    ];
    let more: [(usize, &[u8], &str); 3] = [
        (starts + 4, &[0xFF; 4], "leaf starts descend"),
        (12, &[41], "the last leaf does not end at the number of keys"),
        (last_start, &[41], "the last leaf does not end at the number of keys"),
    ];
    for (offset, patch, reason) in damage.into_iter().chain(more) {
        let mut damaged = bytes.clone();
        damaged[offset..offset + patch.len()].copy_from_slice(patch);
        seal(&mut damaged, bytes.len() - 4);
        match Rmi::from_bytes(&damaged) {
            Err(Error::Corrupt { reason: found, .. }) => assert_eq!(found, reason, "at {offset}"),
            other => panic!("{reason} at {offset}: {other:?}"),
        }
    }
    let mut damaged = bytes.clone();
    damaged[last_start + 4] ^= 1;
    let offset = last_start + 4;
    assert_eq!(
        Rmi::from_bytes(&damaged),
        Err(Error::Corrupt { offset, reason: "checksum does not match" })
    );
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        check_hostile(&bytes);
    }

    #[test]
    fn random_fields_under_a_valid_checksum_stay_in_bounds(
        cells in 1u16..20,
        mut knots in prop::collection::vec(any::<u64>(), 21),
        mut starts in prop::collection::vec(0u32..10_000, 1..80),
        steps in prop::collection::vec(1u32..4, 20),
        valid in any::<bool>(),
    ) {
        if valid {
            knots.sort_unstable();
            starts.sort_unstable();
            starts[0] = 0;
        }
        let leaves = starts.len() as u32 - 1;
        let mut bytes = b"OMENRMI\0\x01\0".to_vec();
        bytes.extend(cells.to_le_bytes());
        bytes.extend(starts[starts.len() - 1].to_le_bytes());
        bytes.extend(leaves.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(knots[20].to_le_bytes());
        bytes.extend(knots[..cells.into()].iter().flat_map(|knot| knot.to_le_bytes()));
        let mut first_leaf = 0u32;
        for step in &steps[..cells.into()] {
            bytes.extend(first_leaf.to_le_bytes());
            first_leaf += step;
        }
        bytes.extend(starts.iter().flat_map(|start| start.to_le_bytes()));
        let len = bytes.len();
        seal(&mut bytes, len);
        if valid && u32::from(cells) * 3 <= leaves {
            prop_assert!(Rmi::from_bytes(&bytes).is_ok());
        }
        check_hostile(&bytes);
    }
}
