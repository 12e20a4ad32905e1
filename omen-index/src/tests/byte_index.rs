//! The index over byte strings: right for every byte string, whatever the keys have in common.

use proptest::prelude::*;

use super::distributions::Random;
use crate::crc32c::crc32c;
use crate::key::{ByteIndex, ByteIndexBuilder, common_prefix_len};
use crate::{Error, key};

fn build(keys: &[Vec<u8>], prefix_len: usize) -> ByteIndex {
    let mut builder = ByteIndexBuilder::new(prefix_len);
    keys.iter().for_each(|key| builder.push(key).unwrap());
    builder.finish().unwrap()
}

/// Holds an index of sorted `keys` to its promise, for the keys, their neighbours and `probes`.
fn check(keys: &[Vec<u8>], probes: &[Vec<u8>]) -> ByteIndex {
    let shared = match keys {
        [first, .., last] => common_prefix_len(first, last),
        _ => 0,
    };
    let index = build(keys, 0);
    let stripped = build(keys, shared);
    assert_eq!(ByteIndex::from_bytes(&index.to_bytes()).as_ref(), Ok(&index));
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
        for index in [&index, &stripped] {
            let range = index.search_range(probe);
            assert!(range.start <= lower && lower <= range.end, "{probe:?}: {lower}, {range:?}");
            assert_eq!(index.lower_bound_by(probe, |i| keys[i].as_slice().cmp(probe)), lower);
        }
    }
    stripped
}

#[test]
fn long_runs_get_models_of_their_own() {
    let mut keys: Vec<Vec<u8>> = Vec::new();
    for site in 0..40 {
        for page in 0..500 {
            keys.push(format!("https://www.example-{site:02}.org/page/{page:05}").into_bytes());
        }
    }
    let index = check(&keys, &[vec![], b"https".to_vec(), vec![0xFF; 40]]);
    assert!(index.models() > 20, "{}", index.models());
    let longest = keys.iter().map(|key| index.search_range(key).len()).max().unwrap();
    assert!(longest <= 256, "{longest}");
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_byte_strings_are_found(
        mut keys in prop::collection::vec(prop::collection::vec(0u8..3, 0..30), 0..600),
        probes in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..12), 0..20),
        stem in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        keys.iter_mut().for_each(|key| { key.splice(0..0, stem.iter().copied()); });
        keys.sort();
        check(&keys, &probes);
    }
}

#[test]
fn damaged_bytes_are_refused_and_made_up_ones_harmless() {
    let keys: Vec<Vec<u8>> =
        (0..300u16).map(|i| [vec![1; 11], i.to_be_bytes().to_vec()].concat()).collect();
    let bytes = build(&keys, 3).to_bytes();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(matches!(ByteIndex::from_bytes(&flipped), Err(Error::Corrupt { .. })));
    }
    for len in 0..bytes.len() {
        assert!(ByteIndex::from_bytes(&bytes[..len]).is_err());
    }
    let mut random = Random(5);
    for _ in 0..20_000 {
        let mut made_up = bytes.clone();
        let body = made_up.len() - 4;
        for _ in 0..=random.below(3) {
            let at = random.below(body as u64) as usize;
            made_up[at] = random.next() as u8;
        }
        let checksum = crc32c(&made_up[..body]);
        made_up[body..].copy_from_slice(&checksum.to_le_bytes());
        if let Ok(index) = ByteIndex::from_bytes(&made_up) {
            for key in keys.iter().step_by(37) {
                let range = index.search_range(key);
                assert!(range.start <= range.end && range.end <= index.len());
            }
        }
    }
}
