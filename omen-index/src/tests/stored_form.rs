//! The stored form: it reads back as written, and nothing else is believed.

use proptest::prelude::*;

use super::distributions::{self, ALL, Distribution};
use super::law::PLANS;
use crate::crc32c::crc32c;
use crate::fit::{Fitter, Shape};
use crate::fuzzing::check_numbers;
use crate::{Error, Rmi, RmiStats};

#[test]
fn crc32c_matches_its_check_values() {
    assert_eq!(crc32c(b"123456789"), 0xE306_9283);
    assert_eq!(crc32c(b""), 0);
    assert_eq!(crc32c(&[0; 32]), 0x8A91_36AA);
    assert_eq!(crc32c(&[0xFF; 32]), 0x62A8_AB43);
}

/// Around the lengths at which three stretches are taken together, bit by bit.
#[test]
fn crc32c_of_long_inputs_is_that_of_the_definition() {
    let mut random = distributions::Random(3);
    let bytes: Vec<u8> = (0..20_000).map(|_| random.next() as u8).collect();
    for len in [7, 8, 9, 1_024, 3_071, 3_072, 3_073, 3_080, 6_144, 6_200, 20_000] {
        let mut register = u32::MAX;
        for byte in &bytes[..len] {
            register ^= u32::from(*byte);
            for _ in 0..8 {
                let low = register & 1;
                register = (register >> 1) ^ (low * 0x82F6_3B78);
            }
        }
        assert_eq!(crc32c(&bytes[..len]), !register, "{len} bytes");
    }
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
    expected.extend([3, 0]); // version
    expected.extend([0, 0]); // bytes after the knots
    expected.extend([4, 0, 0, 0]); // keys
    expected.extend([1, 0, 0, 0]); // cells
    expected.extend([1, 0, 0, 0]); // leaves
    expected.extend([0, 0, 0, 0]); // knots
    expected.extend([5, 0, 0, 0, 0, 0, 0, 0]); // cell: base
    expected.extend([9, 0, 0, 0, 0, 0, 0, 0]); // last
    expected.extend([0x33; 8]); // factor: 2^64 / 5
    expected.extend([0, 0, 0, 0]); // knots
    expected.extend([0, 0, 0, 0, 4, 0, 0, 0]); // starts
    seal(&mut expected, 64);
    assert_eq!(index.to_bytes(), expected);
    assert_eq!(expected.len(), 68);
}

/// A larger index, so that lines and knots are nailed down as well.
#[test]
fn training_and_format_do_not_drift() {
    let keys = Distribution::Doubling.keys(10_000, 42);
    let bytes = Rmi::train(&keys).unwrap().to_bytes();
    assert_eq!((bytes.len(), crc32c(&bytes[..bytes.len() - 4])), (2_096, 2_056_064_312));
}

/// An index of several cells, with leaves and with knots, in a few hundred bytes.
fn small_index() -> (Vec<u64>, Rmi) {
    let even: Vec<u64> = (0..100).map(|i| 80 * i).collect();
    let keys = [even, Distribution::Doubling.keys(300, 9)].concat();
    let keys: Vec<u64> =
        keys.iter().zip(0u64..).map(|(key, i)| (key >> 3) + ((i / 100) << 61)).collect();
    let shape = Shape { leaf_keys_max: 20, cell_keys_min: 1 << 30, ..PLANS[2].shape };
    let index = Rmi::train_with(Fitter::with_shape(shape), 100, &keys).unwrap();
    let RmiStats { cells, leaves, knots, .. } = index.stats();
    assert!(cells > 2 && leaves > cells + 2 && knots > 12, "{:?}", index.stats());
    (keys, index)
}

/// Puts the checksum of the first `len` bytes after them.
pub(super) fn seal(bytes: &mut Vec<u8>, len: usize) {
    bytes.truncate(len);
    bytes.extend(crc32c(bytes).to_le_bytes());
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
        check_numbers(&flipped);
    }
}

#[test]
fn each_rule_is_checked() {
    let (keys, index) = small_index();
    let bytes = index.to_bytes();
    let RmiStats { cells, leaves, knots, .. } = index.stats();
    let starts = 28 + 28 * cells;
    let last_start = starts + 4 * leaves;
    let (knots_at, padding) = (last_start + 4, last_start + 4 + 3 * knots);
    let padded = bytes.len() - 4 - padding;
    // The last cell with knots: where it lies, and how many it has.
    let count_of = |cell: usize| bytes[28 + 28 * cell + 24];
    let bent = (0..cells).rfind(|&cell| count_of(cell) > 1).unwrap();
    let (bent_at, count) = (28 + 28 * bent, count_of(bent));
    let count_at = bent_at + 24;
    let len = keys.len() as u8 + 1;
    let damage: [(usize, &[u8], &str); 20] = [
        (0, b"P", "not a stored index"),
        (8, &[2], "unknown version"),
        (8, &[4], "unknown version"),
        (10, &[1], "length does not match the header"),
        (16, &[0, 0], "length does not match the header"),
        (16, &[0xFF; 4], "length does not match the header"),
        (20, &[0xFF; 4], "length does not match the header"),
        (24, &[0xFF; 4], "length does not match the header"),
        (28, &[0xFF; 8], "cells do not ascend"),
        (28 + 28, &[0; 8], "cells do not ascend"),
        (bent_at + 16, &[0xFF; 8], "a cell with knots has too many coordinates"),
        (count_at, &[count + 1], "cells have not as many knots as there are"),
        (count_at, &[0xFF; 4], "cells have not as many knots as there are"),
        (starts, &[1], "the first leaf does not start at position 0"),
        (starts + 4, &[0xFF; 4], "leaf starts descend"),
        (12, &[len], "the last leaf does not end at the number of keys"),
        (last_start, &[len], "the last leaf does not end at the number of keys"),
        (knots_at, &[0xFF; 2], "knots descend"),
        (padding, &[1], "bytes after the knots are not zero"),
        (padding + padded - 1, &[1], "bytes after the knots are not zero"),
    ];
    for (offset, patch, reason) in damage {
        let mut damaged = bytes.clone();
        damaged[offset..offset + patch.len()].copy_from_slice(patch);
        seal(&mut damaged, bytes.len() - 4);
        match Rmi::from_bytes(&damaged) {
            Err(Error::Corrupt { reason: found, .. }) => assert_eq!(found, reason, "at {offset}"),
            other => panic!("{reason} at {offset}: {other:?}"),
        }
    }
    // One knot more in one cell and one fewer in another.
    let mut damaged = bytes.clone();
    let mut others = (0..bent).filter(|&cell| count_of(cell) > 1);
    let (more, fewer) = (others.next().unwrap(), others.next().unwrap());
    damaged[28 + 28 * more + 24] += 1;
    damaged[28 + 28 * fewer + 24] -= 1;
    seal(&mut damaged, bytes.len() - 4);
    let reason = "a cell has not as many knots as its positions need";
    let offset = 28 + 28 * more;
    assert_eq!(Rmi::from_bytes(&damaged), Err(Error::Corrupt { offset, reason }));

    // A byte more, and said to be there.
    let mut damaged = bytes.clone();
    damaged[10] += 1;
    damaged.push(0);
    seal(&mut damaged, bytes.len() - 3);
    let reason = "not as many bytes after the knots as are read";
    assert_eq!(Rmi::from_bytes(&damaged), Err(Error::Corrupt { offset: 10, reason }));

    let mut damaged = bytes.clone();
    let offset = bytes.len() - 4;
    damaged[offset] ^= 1;
    assert_eq!(
        Rmi::from_bytes(&damaged),
        Err(Error::Corrupt { offset, reason: "checksum does not match" })
    );
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        check_numbers(&bytes);
    }

    #[test]
    fn random_fields_under_a_valid_checksum_stay_in_bounds(
        cells in 1usize..20,
        mut ends in prop::collection::vec(any::<u64>(), 40),
        factors in prop::collection::vec(any::<u64>(), 20),
        wide in any::<bool>(),
        mut coordinates in prop::collection::vec(0u32..1 << 24, 200),
        bent in any::<u32>(),
        mut starts in prop::collection::vec(0u32..10_000, 1..80),
        valid in any::<bool>(),
    ) {
        if valid {
            ends.sort_unstable();
            starts.sort_unstable();
            coordinates.sort_unstable();
            starts[0] = 0;
        }
        let is_bent = |cell: usize| bent >> cell & 1 == 1;
        let width = |cell: usize| u128::from(ends[2 * cell + 1].saturating_sub(ends[2 * cell])) + 1;
        let factor = |cell: usize| if wide { factors[cell] } else { factors[cell] >> 60 };
        let leaves_of = |cell: usize| match is_bent(cell) {
            true => 1,
            false => (((width(cell) - 1) * u128::from(factor(cell))) >> 64) as u64 + 1,
        };
        let leaves = (0..cells).map(leaves_of).fold(0, u64::saturating_add);
        if valid && leaves < 400 {
            let last = starts[starts.len() - 1];
            starts.resize(leaves as usize + 1, last);
            starts[leaves as usize] = starts[..leaves as usize].last().copied().unwrap_or(0);
        }
        let (mut body, mut knots, mut first_leaf, mut padding) = (Vec::new(), Vec::new(), 0, 0);
        for cell in 0..cells {
            let start = |leaf: u64| starts.get(leaf as usize).copied().unwrap_or(0);
            let positions = start(first_leaf)..start(first_leaf.saturating_add(1));
            first_leaf = first_leaf.saturating_add(leaves_of(cell));
            let count = if is_bent(cell) { crate::knots::count(&positions) } else { 0 };
            let factor = match (is_bent(cell), count) {
                (false, _) => factor(cell),
                (true, 0) => 0,
                (true, _) => ((1u128 << 88) / width(cell)).min(u64::MAX.into()) as u64,
            };
            let ends = [ends[2 * cell], ends[2 * cell + 1], factor];
            body.extend(ends.iter().flat_map(|part| part.to_le_bytes()));
            body.extend((count as u32).to_le_bytes());
            let row = &coordinates[cell..cell + count];
            knots.extend(row.iter().flat_map(|knot| ((knot >> 8) as u16).to_le_bytes()));
            knots.extend(row.iter().map(|knot| *knot as u8));
            padding = if count > 0 { 192 - 3 * count as u16 } else { padding };
        }
        let mut bytes = b"OMENRMI\0\x03\0".to_vec();
        bytes.extend(padding.to_le_bytes());
        bytes.extend(starts[starts.len() - 1].to_le_bytes());
        bytes.extend((cells as u32).to_le_bytes());
        bytes.extend((starts.len() as u32 - 1).to_le_bytes());
        bytes.extend((knots.len() as u32 / 3).to_le_bytes());
        bytes.extend(body);
        bytes.extend(starts.iter().flat_map(|start| start.to_le_bytes()));
        bytes.extend(knots);
        bytes.extend((0..padding).map(|_| 0));
        let len = bytes.len();
        seal(&mut bytes, len);
        let distinct = ends[..2 * cells].windows(2).all(|pair| pair[0] < pair[1]);
        if valid && distinct && leaves < 400 {
            prop_assert!(Rmi::from_bytes(&bytes).is_ok());
        }
        check_numbers(&bytes);
    }
}
