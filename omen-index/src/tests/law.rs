//! The law of the search range: for every possible key, stored or not, the lower and the upper
//! bound lie inside it. And what follows from it, for single lookups and for batches.

use proptest::prelude::*;

use super::distributions::{self, ALL};
use crate::train::{Shape, checked_count};
use crate::{Error, Rmi, RmiBuilder};

/// From one leaf and one cell per key to the standard shape.
const SHAPES: [Shape; 4] = [
    Shape { keys_per_leaf: 1, keys_per_cell_min: 1 },
    Shape { keys_per_leaf: 1, keys_per_cell_min: 1 << 30 },
    Shape { keys_per_leaf: 3, keys_per_cell_min: 5 },
    Shape::STANDARD,
];

/// Holds an index of `keys` to every promise, for all probes.
fn check(keys: &[u64], probes: &[u64], shape: Shape) {
    let index = Rmi::train_shaped(keys, shape).unwrap();
    assert_eq!(index.len(), keys.len());
    assert_eq!(index.is_empty(), keys.is_empty());
    assert_eq!(index.verify(keys), Ok(()));

    let mut expected = Vec::with_capacity(probes.len());
    for &probe in probes {
        let lower = keys.partition_point(|&key| key < probe);
        let upper = keys.partition_point(|&key| key <= probe);
        let range = index.search_range(probe);
        assert!(range.start <= lower && upper <= range.end, "{probe} not in {range:?} of {keys:?}");
        assert!(range.end <= keys.len());
        let guess = index.predict(probe);
        assert!(range.start <= guess && guess <= range.end, "{guess} not in {range:?}");
        assert_eq!(index.lower_bound(keys, probe), lower, "lower bound of {probe} in {keys:?}");
        assert_eq!(index.upper_bound(keys, probe), upper, "upper bound of {probe} in {keys:?}");
        expected.push(lower);
    }
    let mut positions = vec![usize::MAX; probes.len()];
    index.lower_bound_batch(keys, probes, &mut positions);
    assert_eq!(positions, expected);
}

#[test]
fn law_holds_for_every_small_multiset() {
    const DOMAIN: [u64; 12] = [
        0,
        1,
        2,
        3,
        7,
        1 << 53,
        (1 << 53) + 1,
        (1 << 63) - 1,
        1 << 63,
        u64::MAX - 2,
        u64::MAX - 1,
        u64::MAX,
    ];
    let mut probes: Vec<u64> =
        DOMAIN.iter().flat_map(|&key| [key.wrapping_sub(1), key, key.wrapping_add(1)]).collect();
    probes.extend([5, 1 << 20, 1 << 62, 3 << 62]);
    probes.sort_unstable();
    probes.dedup();

    let mut checked = 0;
    for_each_multiset(&DOMAIN, 5, &mut Vec::new(), &mut |keys| {
        for shape in &SHAPES[..3] {
            check(keys, &probes, *shape);
        }
        checked += 1;
    });
    assert_eq!(checked, 6_188);
}

/// Calls `visit` with every ascending sequence of at most `len_max` values of the domain.
fn for_each_multiset(
    domain: &[u64],
    len_max: usize,
    keys: &mut Vec<u64>,
    visit: &mut impl FnMut(&[u64]),
) {
    visit(keys);
    if keys.len() == len_max {
        return;
    }
    for (i, &key) in domain.iter().enumerate() {
        keys.push(key);
        for_each_multiset(&domain[i..], len_max, keys, visit);
        keys.pop();
    }
}

#[test]
fn law_holds_for_every_subset_of_a_small_range() {
    for bits in 0u32..1 << 12 {
        let keys: Vec<u64> = (0..12).filter(|bit| bits >> bit & 1 == 1).collect();
        let probes: Vec<u64> = (0..14).collect();
        check(&keys, &probes, SHAPES[0]);
        check(&keys, &probes, SHAPES[2]);
    }
}

#[test]
fn law_holds_on_every_distribution() {
    for (seed, distribution) in ALL.into_iter().enumerate() {
        let seed = 0xC0FFEE + seed as u64;
        let keys = distribution.keys(20_000, seed);
        let probes = distributions::probes(&keys, seed);
        check(&keys, &probes, Shape::STANDARD);
    }
}

#[test]
fn law_holds_around_the_window_and_cell_counts() {
    for distribution in ALL {
        for count in [0, 1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 127, 128, 255, 256, 257, 1_024] {
            let keys = distribution.keys(count, count as u64);
            let probes = distributions::probes(&keys, 7);
            for shape in SHAPES {
                check(&keys, &probes, shape);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn law_holds_for_random_mixtures(
        parts in prop::collection::vec((0..ALL.len(), 0usize..700, any::<u64>()), 1..4),
        shape in prop::sample::select(SHAPES.to_vec()),
        seed in any::<u64>(),
    ) {
        let mut keys: Vec<u64> = parts
            .into_iter()
            .flat_map(|(which, count, seed)| ALL[which].keys(count, seed >> 1))
            .collect();
        keys.sort_unstable();
        check(&keys, &distributions::probes(&keys, seed), shape);
    }

    #[test]
    fn law_holds_for_arbitrary_keys(
        mut keys in prop::collection::vec(any::<u64>(), 0..200),
        copies in prop::collection::vec(any::<prop::sample::Index>(), 0..50),
        shape in prop::sample::select(SHAPES.to_vec()),
    ) {
        if !keys.is_empty() {
            let copies: Vec<u64> = copies.iter().map(|copy| *copy.get(&keys)).collect();
            keys.extend(copies);
        }
        keys.sort_unstable();
        check(&keys, &distributions::probes(&keys, 3), shape);
    }
}

#[test]
fn equal_keys_share_a_leaf() {
    let mut keys: Vec<u64> = (0..3_000).map(|i| i * 10).collect();
    keys.extend([15_000; 5_000]);
    keys.sort_unstable();
    let index = Rmi::train(&keys).unwrap();
    let range = index.search_range(15_000);
    assert!(range.start <= 1_500 && range.end >= 6_501, "{range:?}");
    check(&keys, &distributions::probes(&keys, 1), Shape::STANDARD);
}

#[test]
fn smooth_keys_get_short_ranges() {
    let dense: Vec<u64> = (0..100_000).collect();
    let stats = Rmi::train(&dense).unwrap().stats();
    assert_eq!(stats.keys, 100_000);
    assert!(stats.range_max <= 17, "{stats:?}");
    assert!(stats.bytes < 32_000, "{stats:?}");

    let uniform = distributions::Distribution::Uniform.keys(100_000, 5);
    let stats = Rmi::train(&uniform).unwrap().stats();
    assert!(stats.range_mean < 20.0 && stats.range_max < 50, "{stats:?}");
}

#[test]
fn outliers_do_not_spoil_the_rest() {
    let mut keys: Vec<u64> = (0..100_000).collect();
    keys.extend((0..20).map(|i| u64::MAX - (1 << 50) * i));
    keys.sort_unstable();
    let stats = Rmi::train(&keys).unwrap().stats();
    assert!(stats.range_mean < 25.0, "{stats:?}");
}

#[test]
fn index_of_nothing_answers_zero() {
    let index = Rmi::train(&[]).unwrap();
    assert!(index.is_empty());
    for key in [0, 1, u64::MAX] {
        assert_eq!(index.search_range(key), 0..0);
        assert_eq!(index.predict(key), 0);
        assert_eq!(index.lower_bound(&[], key), 0);
        assert_eq!(index.upper_bound(&[], key), 0);
    }
    let stats = index.stats();
    assert_eq!((stats.keys, stats.leaves, stats.range_max, stats.range_mean), (0, 1, 0, 0.0));
}

#[test]
fn builder_makes_the_same_index() {
    for distribution in ALL {
        let keys = distribution.keys(5_000, 11);
        let mut builder = RmiBuilder::new();
        for &key in &keys {
            builder.push(key).unwrap();
        }
        assert_eq!(builder.finish().unwrap(), Rmi::train(&keys).unwrap());
    }
    assert_eq!(RmiBuilder::new().finish().unwrap(), Rmi::train(&[]).unwrap());
}

#[test]
fn unsorted_keys_are_refused_with_their_position() {
    assert_eq!(Rmi::train(&[1, 2, 2, 1, 0]), Err(Error::Unsorted { position: 3 }));
    assert_eq!(Rmi::train(&[1, 0]), Err(Error::Unsorted { position: 1 }));

    let mut builder = RmiBuilder::new();
    builder.push(7).unwrap();
    builder.push(7).unwrap();
    assert_eq!(builder.push(6), Err(Error::Unsorted { position: 2 }));
    builder.push(8).unwrap();
    assert_eq!(builder.finish().unwrap(), Rmi::train(&[7, 7, 8]).unwrap());
}

#[test]
fn more_keys_than_positions_are_refused() {
    assert_eq!(checked_count(u32::MAX as usize), Ok(u32::MAX));
    assert_eq!(checked_count(u32::MAX as usize + 1), Err(Error::TooManyKeys));
}

#[test]
fn verify_names_the_first_position_in_question() {
    let keys: Vec<u64> = (0..1_000).map(|i| i * 3).collect();
    let index = Rmi::train(&keys).unwrap();

    let mut moved = keys.clone();
    for key in &mut moved[500..] {
        *key += 1_000_000;
    }
    let Err(Error::Mismatch { position }) = index.verify(&moved) else { panic!("not noticed") };
    assert!((500..600).contains(&position), "{position}");
    assert_eq!(index.verify(&keys[..999]), Err(Error::Mismatch { position: 999 }));
    assert_eq!(index.verify(&[5, 4]), Err(Error::Unsorted { position: 1 }));

    let mut longer = keys.clone();
    longer.push(3_000);
    assert_eq!(index.verify(&longer), Err(Error::Mismatch { position: 1_000 }));
}

#[test]
#[should_panic(expected = "not the keys this index was trained on")]
fn lookup_in_fewer_keys_panics() {
    Rmi::train(&[1, 2, 3]).unwrap().lower_bound(&[1, 2], 2);
}

#[test]
#[should_panic(expected = "one position is needed per probe")]
fn batch_of_uneven_lengths_panics() {
    Rmi::train(&[1]).unwrap().lower_bound_batch(&[1], &[1, 2], &mut [0]);
}

#[test]
fn errors_say_what_is_wrong() {
    let message = Error::Unsorted { position: 3 }.to_string();
    assert_eq!(message, "keys must ascend, but the key at position 3 is below the one before it");
    let message = Error::Corrupt { offset: 8, reason: "unknown version" }.to_string();
    assert_eq!(message, "damaged index: unknown version (at byte 8)");
}
