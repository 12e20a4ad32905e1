use omen_index::{PagedKeys, Rmi};

use super::{
    ALL, Absence, Absent, MISS, Pages, Pool, draw_absent_text, draw_range, draw_stored_text, texts,
};
use crate::random::Random;

#[test]
fn every_workload_ascends_at_every_size_and_repeats_itself() {
    for workload in ALL {
        for count in [2, 1_000, 30_000] {
            // `keys` compares the count and the order.
            assert_eq!(workload.keys(count), workload.keys(count), "{}", workload.name);
        }
    }
}

#[test]
fn real_keys_are_all_different() {
    for (name, count) in super::real_sizes() {
        let workload = ALL.iter().find(|workload| workload.name == name);
        assert!(workload.is_some_and(|workload| workload.keys(count).len() == count));
    }
}

const ABSENCES: [Absence; 3] = [Absence::Near, Absence::Domain, Absence::Outside];

#[test]
fn probes_know_their_answers() {
    for workload in ALL {
        let keys = workload.keys(5_000);
        let mut random = Random::new(1);
        let mut present = Pool::present(&keys, 2_000, &mut random);
        for _ in 0..2 {
            let probes = present.fresh(1_000);
            let found = |(key, &at): (&u64, &usize)| keys.get(at) == Some(key);
            assert!(probes.keys.iter().zip(probes.positions).all(found), "{}", workload.name);
        }
        for kind in ABSENCES {
            let mut absent = Pool::absent(&Absent::of(&keys), kind, 5_000, &mut random);
            let probes = absent.fresh(5_000);
            for (&key, &at) in probes.keys.iter().zip(probes.positions) {
                let bound = keys.partition_point(|&k| k < key);
                assert_eq!(at, bound, "{}, {kind:?}: {key}", workload.name);
                assert_ne!(keys.get(at), Some(&key), "{}, {kind:?}", workload.name);
            }
        }
        assert!(keys.len() < MISS);
    }
}

/// Draws many absent keys.
fn absent_keys(keys: &[u64], kind: Absence) -> Vec<(u64, usize)> {
    let (absent, mut random) = (Absent::of(keys), Random::new(2));
    (0..2_000).map(|_| absent.draw(kind, &mut random)).collect()
}

#[test]
fn absent_keys_are_where_their_kind_says() {
    let keys: Vec<u64> = (1..1_000).map(|i| i * i * i * 8).collect();
    let (first, last) = (keys[0], keys[keys.len() - 1]);
    let near = absent_keys(&keys, Absence::Near);
    for offset in [1, -1] {
        let is_beside = |&&(key, _): &&(u64, usize)| {
            keys.binary_search(&key.wrapping_add_signed(offset)).is_ok()
        };
        assert!(near.iter().filter(is_beside).count() > 400, "{offset}");
    }
    let is_midway = |&&(key, at): &&(u64, usize)| key == keys[at - 1].midpoint(keys[at]);
    assert!(near.iter().filter(is_midway).count() > 400);
    let domain = absent_keys(&keys, Absence::Domain);
    assert!(near.iter().chain(&domain).all(|(key, _)| first < *key && *key < last));
    let upper_half = domain.iter().filter(|(key, _)| *key > last / 2).count();
    assert!((900..1_100).contains(&upper_half), "{upper_half}");
    let outside = absent_keys(&keys, Absence::Outside);
    let below = outside.iter().filter(|(key, at)| *key < first && *at == 0).count();
    let above = outside.iter().filter(|(key, at)| *key > last && *at == keys.len()).count();
    assert!(below > 800 && above > 800 && below + above == outside.len());
}

#[test]
fn absent_keys_are_found_where_there_is_little_room() {
    let to_the_end: Vec<u64> = (u64::MAX - 99..=u64::MAX).collect();
    let from_the_start: Vec<u64> = (0..100).collect();
    let both_ends = vec![0, 5, u64::MAX];
    let nearly_to_the_end = vec![0, u64::MAX - 2];
    let single = [vec![7], vec![0], vec![u64::MAX]];
    for keys in [to_the_end, from_the_start, both_ends, nearly_to_the_end].iter().chain(&single) {
        for kind in ABSENCES {
            for (key, at) in absent_keys(keys, kind) {
                assert_eq!(keys.binary_search(&key), Err(at), "{kind:?} of {}", keys.len());
            }
        }
    }
}

#[test]
fn key_ranges_know_their_positions() {
    for workload in ALL {
        let keys = workload.keys(20_000);
        let mut random = Random::new(3);
        let (mut stored, mut long) = (0, 0);
        for _ in 0..2_000 {
            let (bounds, positions) = draw_range(&keys, &mut random);
            let bound = |wanted: u64| keys.partition_point(|&key| key < wanted);
            assert_eq!(bound(bounds.start)..bound(bounds.end), positions, "{}", workload.name);
            assert!(!positions.is_empty(), "{}: {bounds:?}", workload.name);
            stored += usize::from(keys[positions.start] == bounds.start);
            long += usize::from(positions.len() > 1_000);
        }
        assert!(stored >= 800 && long > 200, "{}: {stored} {long}", workload.name);
    }
}

#[test]
fn pages_hold_the_keys_at_the_addresses_they_should() {
    for count in [1, 1_024, 1_025, 20_000] {
        let keys = ALL[0].keys(count.max(2));
        let index = Rmi::train(&keys).unwrap();
        let page_count = keys.len().div_ceil(1_024);
        let (aligned, unaligned) = (Pages::aligned(&keys), Pages::behind_headers(&keys));
        assert_eq!(aligned.alignment(), (page_count, 0));
        assert!(page_count < 10 || unaligned.alignment().1 > page_count / 2);
        for pages in [aligned.pages(), unaligned.pages()] {
            assert_eq!(pages.len(), page_count);
            let paged = PagedKeys::new(&pages);
            assert_eq!(paged.len(), keys.len());
            for (position, &key) in keys.iter().enumerate() {
                assert_eq!(index.lower_bound_paged(paged, key), position);
                assert_eq!(index.lower_bound_paged(paged, key + 1), position + 1);
            }
        }
    }
}

#[test]
fn texts_ascend_and_their_probes_know_their_answers() {
    for workload in texts::ALL {
        let packed = workload.keys(20_000);
        assert_eq!(packed, workload.keys(20_000), "{}", workload.name);
        let keys = packed.slices();
        assert!(keys.len() == 20_000 && keys.is_sorted_by(|a, b| a < b), "{}", workload.name);
        let mut random = Random::new(4);
        for _ in 0..2_000 {
            let (key, at) = draw_stored_text(&keys, &mut random);
            assert_eq!(keys[at], key, "{}", workload.name);
            let (key, at) = draw_absent_text(*workload, &keys, &mut random);
            let search = keys.binary_search(&key.as_slice());
            assert_eq!(search, Err(at), "{}: {key:?}", workload.name);
        }
    }
}
