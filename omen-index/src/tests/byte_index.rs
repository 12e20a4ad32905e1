//! The index over byte strings: right for every byte string, whatever the keys have in common.

use std::sync::Arc;

use proptest::prelude::*;

use crate::key::byte_builder::Limits;
use crate::key::{ByteIndex, ByteIndexBuilder, common_prefix_len};
use crate::{Error, key};

/// The limits that are used, and such that make all that an index can hold of few keys.
const LIMITS: [Limits; 4] = [
    Limits::STANDARD,
    Limits { unlisted_max: 2, run_max: 8, held_max: 1 << 20, held_bytes_max: 1 << 20 },
    Limits { unlisted_max: 0, run_max: 1, held_max: 3, held_bytes_max: 1 << 20 },
    Limits { unlisted_max: 3, run_max: 3, held_max: 1 << 20, held_bytes_max: 40 },
];

pub(super) fn build(keys: &[Vec<u8>], prefix_len: usize, limits: Limits) -> ByteIndex {
    let mut builder = ByteIndexBuilder::with_limits(prefix_len, limits);
    keys.iter().for_each(|key| builder.push(key).unwrap());
    builder.finish().unwrap()
}

/// Holds indexes of sorted `keys` to their promise, for the keys, their neighbours and `probes`.
fn check(keys: &[Vec<u8>], probes: &[Vec<u8>]) -> ByteIndex {
    let shared = match keys {
        [first, .., last] => common_prefix_len(first, last),
        _ => 0,
    };
    let mut indexes = Vec::new();
    for limits in LIMITS {
        indexes.push(build(keys, 0, limits));
        indexes.push(build(keys, shared, limits));
    }
    indexes.iter().for_each(check_stored);
    let mut all: Vec<Vec<u8>> = probes.to_vec();
    for key in keys {
        let mut next = key.clone();
        key::successor(&mut next);
        let mut changed = key.clone();
        if let Some(last) = changed.last_mut() {
            *last = last.wrapping_sub(1);
        }
        let shorter = key[..key.len() / 2].to_vec();
        all.extend([key.clone(), next, changed, shorter]);
    }
    for probe in &all {
        let lower = keys.partition_point(|key| key < probe);
        for index in &indexes {
            let (range, hint) = index.locate(probe);
            assert!(range.start <= lower && lower <= range.end, "{probe:?}: {lower}, {range:?}");
            assert!(range.start <= hint && hint <= range.end && range.end <= keys.len());
            assert_eq!((index.search_range(probe), index.predict(probe)), (range, hint));
            assert_eq!(index.lower_bound_by(probe, |i| keys[i].as_slice().cmp(probe)), lower);
        }
    }
    for index in &indexes {
        assert_eq!(index.stats().keys, keys.len());
        assert!(index.stats().range_mean >= 0.0 && index.stats().range_max <= keys.len());
    }
    indexes.swap_remove(1)
}

/// An index comes back from its bytes, copied or where they lie.
fn check_stored(index: &ByteIndex) {
    let bytes = index.to_bytes();
    assert_eq!(index.stats().bytes, bytes.len());
    assert_eq!(ByteIndex::from_bytes(&bytes).as_ref(), Ok(index));
    let file: Arc<[u8]> = [b"before ", bytes.as_slice(), b" behind"].concat().into();
    let stored = 7..file.len() - 7;
    assert_eq!(ByteIndex::open(Arc::clone(&file), stored).as_ref(), Ok(index));
    assert!(ByteIndex::open(Arc::clone(&file), 7..file.len() - 6).is_err());
    assert!(ByteIndex::open(Arc::clone(&file), 7..file.len() + 1).is_err());
}

#[test]
fn long_runs_get_models_of_their_own() {
    let mut keys: Vec<Vec<u8>> = Vec::new();
    for site in 0..40 {
        for page in 0..600 {
            keys.push(format!("https://www.example-{site:02}.org/page/{page:05}").into_bytes());
        }
    }
    let index = check(&keys, &[vec![], b"https".to_vec(), vec![0xFF; 40]]);
    assert!(index.models() > 20, "{}", index.models());
    let longest = keys.iter().map(|key| index.search_range(key).len()).max().unwrap();
    assert!(longest <= 512, "{longest}");
    let bytes = index.to_bytes().len();
    assert!(bytes < keys.len(), "{bytes} bytes for {} keys", keys.len());
}

#[test]
fn zero_bytes_at_the_end_are_told_apart() {
    let mut keys = Vec::new();
    for stem in ["", "a", "ab", "abcdefg", "abcdefgh"] {
        for zeros in 0..200 {
            let mut key = stem.as_bytes().to_vec();
            key.resize(stem.len() + zeros, 0);
            keys.push(key);
        }
    }
    keys.sort();
    check(&keys, &[]);
}

#[test]
fn equal_keys_and_deep_prefixes_end() {
    let mut keys = vec![vec![7; 1_000]; 300];
    keys.extend((0..300u16).map(|i| [vec![7; 2_000], i.to_be_bytes().to_vec()].concat()));
    check(&keys, &[vec![7; 1_500], vec![7; 3_000]]);
    check(&[], &[vec![], vec![1]]);
    check(&[vec![]], &[vec![0]]);
}

#[test]
fn keys_out_of_order_or_of_another_prefix_are_refused() {
    let mut builder = ByteIndexBuilder::new(2);
    assert_eq!(builder.push(b"a"), Err(Error::Unsorted { position: 0 }));
    builder.push(b"abc").unwrap();
    assert_eq!(builder.push(b"abb"), Err(Error::Unsorted { position: 1 }));
    assert_eq!(builder.push(b"ac"), Err(Error::Unsorted { position: 1 }));
    builder.push(b"abc").unwrap();
    assert_eq!(builder.finish().unwrap().len(), 2);
}

/// Bytes that sit on the edge of something.
fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![4 => Just(b'a'), 2 => Just(0), 2 => Just(0xFF), 1 => any::<u8>()]
}

/// Keys that agree in so many bytes for a while: `stem` repeated, cut anywhere, and something else.
fn hostile_keys() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let stems = prop::collection::vec(prop::collection::vec(byte(), 8), 1..4);
    let key = (0usize..4, 0usize..4, 0usize..33, prop::collection::vec(byte(), 0..10));
    (stems, prop::collection::vec(key, 0..200)).prop_map(|(stems, keys)| {
        let spell = |(a, b, len, rest): (usize, usize, usize, Vec<u8>)| {
            let (a, b) = (&stems[a % stems.len()], &stems[b % stems.len()]);
            let mut key = [a, b, b, a].map(Vec::as_slice).concat();
            key.truncate(len);
            [key, rest].concat()
        };
        let mut keys: Vec<Vec<u8>> = keys.into_iter().map(spell).collect();
        keys.sort();
        keys
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_byte_strings_are_found(
        mut keys in prop::collection::vec(prop::collection::vec(0u8..3, 0..30), 0..200),
        probes in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..12), 0..20),
        stem in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        keys.iter_mut().for_each(|key| { key.splice(0..0, stem.iter().copied()); });
        keys.sort();
        check(&keys, &probes);
    }

    #[test]
    fn keys_that_share_prefixes_are_found(
        mut keys in hostile_keys(),
        probes in hostile_keys(),
        only_once: bool,
        times in 1usize..20,
    ) {
        match only_once {
            true => keys.dedup(),
            // Some of them many times.
            false => {
                let more = keys.iter().step_by(17).flat_map(|key| vec![key.clone(); times]);
                keys = keys.iter().cloned().chain(more).collect();
                keys.sort();
            }
        }
        check(&keys, &probes);
    }

    #[test]
    fn an_index_of_other_keys_misleads_nobody(
        mut keys in hostile_keys(),
        mut others in hostile_keys(),
        probes in hostile_keys(),
    ) {
        let len = keys.len().min(others.len());
        keys.truncate(len);
        others.truncate(len);
        for limits in LIMITS {
            let index = build(&others, 0, limits);
            for probe in probes.iter().chain(&keys) {
                let lower = keys.partition_point(|key| key < probe);
                let found = index.lower_bound_by(probe, |i| keys[i].as_slice().cmp(probe));
                prop_assert_eq!(found, lower);
            }
        }
    }

    #[test]
    fn a_gallop_from_anywhere_arrives(
        len in 0usize..300,
        position in 0usize..300,
        range in (0usize..400, 0usize..400),
        hint in 0usize..500,
    ) {
        let position = position.min(len);
        let compared = std::cell::Cell::new(0);
        let found = key::gallop(len, range.0..range.1, hint, |i| {
            assert!(i < len);
            compared.set(compared.get() + 1);
            i < position
        });
        prop_assert_eq!(found, position);
        prop_assert!(compared.get() < 40);
    }
}

#[test]
fn a_good_guess_spares_comparisons() {
    for (hint, compared_max) in [(5_000, 10), (5_003, 10), (4_990, 10), (9_000, 20), (1_000, 20)] {
        let compared = std::cell::Cell::new(0);
        let found = key::gallop(10_000, 0..10_000, hint, |i| {
            compared.set(compared.get() + 1);
            i < 5_001
        });
        assert_eq!(found, 5_001);
        assert!(compared.get() <= compared_max, "{} from {hint}", compared.get());
    }
}
