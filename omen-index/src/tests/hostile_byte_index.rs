//! Stored indexes over byte strings that someone made up: mutations of real ones, most with
//! checksums that fit, those of the models inside included.
//!
//! Run like `hostile_bytes`, with the same variables of the environment; the folder of inputs is
//! `corpus_byte_index`.

use super::byte_index::build;
use super::distributions::Random;
use super::hostile_bytes::{Target, fuzz, replay};
use super::stored_form::seal;
use crate::Error;
use crate::fuzzing::{check_byte_strings, seal_byte_strings};
use crate::key::ByteIndex;
use crate::key::byte_builder::Limits;

const BYTE_INDEX: Target = Target {
    mutations: 4,
    seal: seal_byte_strings,
    check: check_byte_strings,
    refusal: |bytes| ByteIndex::from_bytes(bytes).err(),
};

#[test]
fn made_up_bytes_are_refused_or_harmless() {
    let kinds = fuzz(&BYTE_INDEX, originals());
    assert!(kinds.contains("accepted") && kinds.len() > 10, "{kinds:?}");
}

#[test]
fn corpus_stays_harmless() {
    replay("corpus_byte_index", check_byte_strings);
}

#[test]
fn every_flipped_bit_and_every_truncation_is_noticed() {
    for bytes in originals().iter().filter(|bytes| bytes.len() < 1_500) {
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(ByteIndex::from_bytes(&flipped), Err(Error::Corrupt { .. })));
            seal_byte_strings(&mut flipped);
            check_byte_strings(&flipped);
        }
        for len in 0..bytes.len() {
            assert!(ByteIndex::from_bytes(&bytes[..len]).is_err());
            let mut sealed = bytes.clone();
            seal(&mut sealed, len);
            assert!(len == bytes.len() - 4 || ByteIndex::from_bytes(&sealed).is_err(), "{len}");
        }
    }
}

#[test]
fn nodes_that_lie_too_deep_are_refused() {
    // A node of one key, in a run of one key, in a node of one key ...
    let model = crate::Rmi::train(&[0]).unwrap().to_bytes();
    for (depth, is_accepted) in [(1, true), (32, true), (33, false), (100_000, false)] {
        let mut bytes = b"OMENBYT\0\x01\0\0\0".to_vec();
        for below in (0..depth).rev() {
            bytes.extend(0u32.to_le_bytes());
            bytes.extend((model.len() as u32).to_le_bytes());
            bytes.extend(&model);
            bytes.extend(u32::from(below > 0).to_le_bytes());
            if below > 0 {
                bytes.extend([0; 8]);
                bytes.extend([0, 0, 0, 0, 1, 0, 0, 0, 1]);
            }
        }
        let len = bytes.len();
        seal(&mut bytes, len);
        assert_eq!(ByteIndex::from_bytes(&bytes).is_ok(), is_accepted, "{depth}");
        check_byte_strings(&bytes);
    }
}

#[test]
fn a_run_must_lie_where_its_model_key_does() {
    let mut keys: Vec<Vec<u8>> = Vec::new();
    for stem in 0..40u8 {
        keys.extend((0..9u8).map(|i| [vec![stem; 9], vec![i]].concat()));
    }
    let limits = Limits { unlisted_max: 2, run_max: 1 << 20, ..Limits::STANDARD };
    let bytes = build(&keys, 0, limits).to_bytes();
    // The last 40 times 17 bytes before the checksum are the runs.
    let run = bytes.len() - 4 - 17 * 20;
    let first = u32::from_le_bytes(*bytes[run + 8..].first_chunk().unwrap());
    assert_eq!(first, 9 * 20);
    for (at, value, is_accepted) in [
        (run + 8, first, true),
        (run + 8, first - 1, false),
        (run + 8, 1 << 31, false),
        (run + 8, u32::MAX, false),
        (run + 12, 8, true),
        (run + 12, 10, false),
        (run + 12, u32::MAX, false),
    ] {
        let mut changed = bytes.clone();
        changed[at..at + 4].copy_from_slice(&value.to_le_bytes());
        seal_byte_strings(&mut changed);
        let index = ByteIndex::from_bytes(&changed);
        assert_eq!(index.is_ok(), is_accepted, "{at} {value}: {index:?}");
    }
    let mut flag = bytes.clone();
    flag[run + 16] = 2;
    seal_byte_strings(&mut flag);
    assert!(ByteIndex::from_bytes(&flag).is_err());
}

/// Small indexes of every shape.
fn originals() -> Vec<Vec<u8>> {
    let small = Limits { unlisted_max: 2, run_max: 6, held_max: 50, held_bytes_max: 500 };
    let mut pool = Vec::new();
    for (limits, count) in
        [(Limits::STANDARD, 30), (small, 60), (small, 9), (Limits::STANDARD, 2_000)]
    {
        let mut random = Random(count);
        let stems = ["", "a", "/srv/first/", "/srv/second/and/third/", "zz\0\0\0\0\0\0\0\0\0"];
        let mut keys: Vec<Vec<u8>> = (0..count)
            .map(|_| {
                let stem = stems[random.below(5) as usize];
                let number = random.below(count * 3);
                match random.below(3) {
                    0 => format!("{stem}{number:06}").into_bytes(),
                    1 => [stem.as_bytes(), &number.to_be_bytes()].concat(),
                    _ => format!("{stem}/folder/{:02}/{number}", number % 7).into_bytes(),
                }
            })
            .collect();
        keys.sort();
        pool.push(build(&keys, 0, limits).to_bytes());
    }
    pool.push(build(&[], 0, small).to_bytes());
    pool
}
