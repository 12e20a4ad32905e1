//! The law of the search range: for every possible key, stored or not, the lower and the upper
//! bound lie inside it. And what follows from it, for single lookups and for batches.

use proptest::prelude::*;

use super::distributions::{self, ALL};
use crate::batch::LowerBounds;
use crate::fit::{Fitter, Shape};
use crate::rmi::LowerBound;
use crate::train::checked_count;
use crate::{Error, LeKeys, PagedKeys, Rmi, RmiBuilder, simd};

/// How finely keys are divided, and how many are looked at together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) shape: Shape,
    pub(super) chunk: usize,
}

const fn plan(leaf_keys: (usize, usize), cell_keys_min: usize, cost: u64, chunk: usize) -> Plan {
    let (leaf_keys_min, leaf_keys_max) = leaf_keys;
    let shape = Shape {
        leaf_keys_min,
        leaf_keys_max,
        cell_keys_min,
        cost_good: cost,
        cost_part: cost / 2,
        cost_continue: cost,
    };
    Plan { shape, chunk }
}

pub(super) const STANDARD: Plan = Plan { shape: Shape::STANDARD, chunk: crate::train::CHUNK };

/// From a leaf for each key to a leaf for all, from many cells to one, and what is used.
pub(super) const PLANS: [Plan; 5] = [
    plan((1, 1), 1, 0, 3),
    plan((1, 2), 1 << 30, 0, 1 << 30),
    plan((3, 9), 5, 1, 64),
    plan((1 << 30, 1 << 30), 1 << 30, 1 << 30, 7),
    STANDARD,
];

/// Holds an index of `keys` to every promise, for all probes.
fn check(keys: &[u64], probes: &[u64], plan: Plan) {
    let fitter = Fitter::with_shape(plan.shape);
    let index = Rmi::train_with(fitter, plan.chunk, keys).unwrap();
    assert_eq!(index.len(), keys.len());
    assert_eq!(index.is_empty(), keys.is_empty());
    assert_eq!(index.verify(keys), Ok(()));

    let range_max = index.stats().range_max;
    let mut expected = Vec::with_capacity(probes.len());
    for &probe in probes {
        let lower = keys.partition_point(|&key| key < probe);
        let upper = keys.partition_point(|&key| key <= probe);
        let range = index.search_range(probe);
        assert!(range.start <= lower && upper <= range.end, "{probe} not in {range:?} of {keys:?}");
        assert!(range.end <= keys.len() && range.len() <= range_max, "{range:?}, {range_max}");
        let guess = index.predict(probe);
        assert!(range.start <= guess && guess <= range.end, "{guess} not in {range:?}");
        assert_eq!(index.lower_bound(keys, probe), lower, "lower bound of {probe} in {keys:?}");
        assert_eq!(index.upper_bound(keys, probe), upper, "upper bound of {probe} in {keys:?}");
        expected.push(lower);
    }
    let mut positions = vec![usize::MAX; probes.len()];
    index.lower_bound_batch(keys, probes, &mut positions);
    assert_eq!(positions, expected);
    check_each_isa(&index, keys, probes, &expected);
    check_paged(&index, keys, probes, &expected);
    let bounds: Vec<_> = probes.windows(2).map(|pair| pair[0]..pair[1]).collect();
    let mut ranges = vec![0..0; bounds.len()];
    index.range_batch(keys, &bounds, &mut ranges);
    for (range, pair) in ranges.iter().zip(expected.windows(2)) {
        assert_eq!(*range, pair[0]..pair[1].max(pair[0]));
    }
}

/// Every set of instructions gives the same answers.
fn check_each_isa(index: &Rmi, keys: &[u64], probes: &[u64], expected: &[usize]) {
    for (&probe, &lower) in probes.iter().zip(expected) {
        let each = simd::run_on_each::<LowerBound, _, _, _>(index, keys, probe);
        assert!(each.iter().all(|&position| position == lower), "{each:?} for {probe}, {lower}");
    }
    for rank in 0..3 {
        let mut positions = vec![usize::MAX; probes.len()];
        simd::run_on::<LowerBounds, _, _, _>(rank, index, keys, (probes, &mut positions[..]));
        assert_eq!(positions, expected);
    }
}

/// Pages give the answers of one slice, whatever their length, as numbers and as bytes.
fn check_paged(index: &Rmi, keys: &[u64], probes: &[u64], expected: &[usize]) {
    let bytes: Vec<u8> =
        [7].into_iter().chain(keys.iter().flat_map(|key| key.to_le_bytes())).collect();
    for page_len in [1, 5, 8, 16, 19, 100, 1_024] {
        let pages: Vec<&[u64]> = keys.chunks(page_len).collect();
        let le_pages: Vec<LeKeys> = bytes[1..].chunks(8 * page_len).map(LeKeys::new).collect();
        let (paged, le_paged) = (PagedKeys::new(&pages), PagedKeys::new(&le_pages));
        let mut positions = vec![usize::MAX; probes.len()];
        index.lower_bound_paged_batch(paged, probes, &mut positions);
        assert_eq!(positions, expected, "pages of {page_len}");
        positions.fill(usize::MAX);
        index.lower_bound_paged_batch(le_paged, probes, &mut positions);
        assert_eq!(positions, expected, "bytes in pages of {page_len}");
        for (&probe, &lower) in probes.iter().zip(expected) {
            assert_eq!(index.lower_bound_paged(paged, probe), lower, "pages of {page_len}");
            assert_eq!(index.lower_bound_paged(le_paged, probe), lower, "pages of {page_len}");
            let number = (index.predict(probe) / page_len).min(pages.len().saturating_sub(1));
            let first = number * page_len;
            if let (Some(&page), Some(&le_page)) = (pages.get(number), le_pages.get(number)) {
                let within = page.partition_point(|&key| key < probe);
                assert_eq!(index.lower_bound_in_page(page, first, probe), within);
                assert_eq!(index.lower_bound_in_page(le_page, first, probe), within);
            }
        }
    }
}

/// The last key of a cell with knots may be repeated in the chunks that follow, so often that the
/// cell has no room for the knots of all blocks.
#[test]
fn law_holds_where_the_last_key_of_a_bent_cell_is_repeated() {
    let bent: Vec<u64> = (1..120u64).map(|i| i.pow(8)).collect();
    let last = bent[bent.len() - 1];
    for repeated in [1, 7, 8, 9, 100, 900, 1_000, 1_100, 3_000] {
        let mut keys = bent.clone();
        keys.extend((0..repeated).map(|_| last));
        keys.extend((1..50).map(|i| last + i * i));
        let probes = [last - 1, last, last + 1, last + 4, 0, u64::MAX, 2, 50u64.pow(8)];
        for plan in PLANS {
            check(&keys, &probes, plan);
        }
        let knots = Rmi::train_with(Fitter::with_shape(PLANS[2].shape), 60, &keys).unwrap();
        assert!(knots.stats().knots > 3, "{:?}", knots.stats());
    }
}

/// An index of other keys costs time, not answers.
#[test]
fn index_of_other_keys_finds_the_right_positions() {
    for (seed, distribution) in (1..).zip(ALL) {
        let keys = distribution.keys(3_000, seed);
        let probes = distributions::probes(&keys, seed);
        for other in ALL {
            let index = Rmi::train(&other.keys(3_000, seed + 100)).unwrap();
            let expected: Vec<usize> =
                probes.iter().map(|&probe| keys.partition_point(|&key| key < probe)).collect();
            let mut positions = vec![0; probes.len()];
            index.lower_bound_batch(&keys, &probes, &mut positions);
            assert_eq!(positions, expected, "{distribution:?} with an index of {other:?}");
            for (&probe, &lower) in probes.iter().zip(&expected).step_by(7) {
                assert_eq!(index.lower_bound(&keys, probe), lower);
            }
        }
    }
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
        for plan in &PLANS[..3] {
            check(keys, &probes, *plan);
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
        check(&keys, &probes, PLANS[0]);
        check(&keys, &probes, PLANS[2]);
    }
}

#[test]
fn law_holds_on_every_distribution() {
    for (seed, distribution) in ALL.into_iter().enumerate() {
        let seed = 0xC0FFEE + seed as u64;
        let keys = distribution.keys(20_000, seed);
        let probes = distributions::probes(&keys, seed);
        check(&keys, &probes, STANDARD);
    }
}

#[test]
fn law_holds_around_the_window_and_cell_counts() {
    for distribution in ALL {
        for count in [0, 1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 127, 128, 255, 256, 257, 1_024] {
            let keys = distribution.keys(count, count as u64);
            let probes = distributions::probes(&keys, 7);
            for plan in PLANS {
                check(&keys, &probes, plan);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn law_holds_for_random_mixtures(
        parts in prop::collection::vec((0..ALL.len(), 0usize..700, any::<u64>()), 1..4),
        plan in prop::sample::select(PLANS.to_vec()),
        seed in any::<u64>(),
    ) {
        let mut keys: Vec<u64> = parts
            .into_iter()
            .flat_map(|(which, count, seed)| ALL[which].keys(count, seed >> 1))
            .collect();
        keys.sort_unstable();
        check(&keys, &distributions::probes(&keys, seed), plan);
    }

    #[test]
    fn law_holds_for_arbitrary_keys(
        mut keys in prop::collection::vec(any::<u64>(), 0..200),
        copies in prop::collection::vec(any::<prop::sample::Index>(), 0..50),
        plan in prop::sample::select(PLANS.to_vec()),
    ) {
        if !keys.is_empty() {
            let copies: Vec<u64> = copies.iter().map(|copy| *copy.get(&keys)).collect();
            keys.extend(copies);
        }
        keys.sort_unstable();
        check(&keys, &distributions::probes(&keys, 3), plan);
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
    check(&keys, &distributions::probes(&keys, 1), STANDARD);
}

#[test]
fn smooth_keys_get_short_ranges() {
    let dense: Vec<u64> = (0..100_000).collect();
    let stats = Rmi::train(&dense).unwrap().stats();
    assert_eq!(stats.keys, 100_000);
    assert!(stats.range_max <= 512 && stats.cells <= 3, "{stats:?}");
    assert!(stats.bytes < 3_000, "{stats:?}");

    let uniform = distributions::Distribution::Uniform.keys(100_000, 5);
    let stats = Rmi::train(&uniform).unwrap().stats();
    assert!(stats.range_mean < 50.0 && stats.range_max < 100 && stats.bytes < 13_000, "{stats:?}");
}

#[test]
fn outliers_do_not_spoil_the_rest() {
    let mut keys: Vec<u64> = (0..100_000).collect();
    keys.extend((0..20).map(|i| u64::MAX - (1 << 50) * i));
    keys.sort_unstable();
    let stats = Rmi::train(&keys).unwrap().stats();
    assert!(stats.range_mean < 512.0 && stats.bytes < 5_000, "{stats:?}");
    // One outlier at either end, wherever samples are taken.
    for count in 996..1_005 {
        let even = || (0..count).map(|i| (1 << 60) + 10 * i);
        let keys: [Vec<u64>; 2] =
            [even().chain([u64::MAX]).collect(), [0].into_iter().chain(even()).collect()];
        for keys in keys {
            let stats = Rmi::train(&keys).unwrap().stats();
            assert!(stats.range_mean < 270.0, "{count}: {stats:?}");
        }
    }
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
