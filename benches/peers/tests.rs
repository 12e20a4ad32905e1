use super::{BinarySearch, Contender, Eytzinger, Omen, STree, Spline, Tree};
use crate::workload::{MISS, Probes};

/// Asks for every key and its neighbours, in all ways.
fn assert_finds_all(keys: &[u64], contender: &dyn Contender) {
    let near = |&key: &u64| [key.wrapping_sub(1), key, key.wrapping_add(1)];
    let probes: Vec<u64> = keys.iter().flat_map(near).chain([0, u64::MAX]).collect();
    let positions: Vec<usize> =
        probes.iter().map(|probe| keys.partition_point(|key| key < probe)).collect();
    let got: Vec<usize> = (probes.iter().zip(&positions))
        .map(|(probe, &at)| if keys.get(at) == Some(probe) { at } else { MISS })
        .collect();
    let asked = Probes { keys: &probes, positions: &positions };
    let mut answers = vec![0; probes.len()];
    let context = format!("{} of {} keys", contender.name(), keys.len());
    contender.independent(asked, &mut answers);
    assert_eq!(answers, got, "{context}");
    contender.dependent(asked, &mut answers);
    assert_eq!(answers, got, "{context}");
    let found: Vec<usize> = probes.iter().map(|&probe| contender.find(probe)).collect();
    assert_eq!(found, got, "{context}");
    if contender.batched(asked, &mut answers) {
        assert_eq!(answers, positions, "{context}");
    }
}

fn assert_all_find_all(keys: &[u64]) {
    assert_finds_all(keys, &Tree::new(keys));
    assert_finds_all(keys, &BinarySearch(keys));
    assert_finds_all(keys, &Eytzinger::new(keys));
    assert_finds_all(keys, &STree::new(keys));
    assert_finds_all(keys, &Omen::new(keys));
    if keys.len() > 1 {
        assert_finds_all(keys, &Spline::new(keys));
    }
}

#[test]
fn peers_find_every_key_at_every_size() {
    for count in 1..400 {
        let keys: Vec<u64> = (0..count).map(|i| 10 + 3 * i).collect();
        assert_all_find_all(&keys);
    }
    // Around the sizes at which the search tree gets another layer.
    for count in [4_623, 4_624, 4_625, 78_607, 78_608, 78_609] {
        let keys: Vec<u64> = (0..count).map(|i| 10 + 3 * i).collect();
        assert_all_find_all(&keys);
    }
}

#[test]
fn the_largest_key_of_all_is_found_only_if_it_is_stored() {
    for count in [1, 15, 16, 17, 272, 273] {
        let mut keys: Vec<u64> = (0..count).map(|i| 10 + 3 * i).collect();
        assert_all_find_all(&keys);
        keys.pop();
        keys.push(u64::MAX);
        assert_all_find_all(&keys);
    }
}

#[test]
fn the_search_tree_is_the_same_with_and_without_simd() {
    for count in [1, 16, 17, 300, 5_000] {
        let keys: Vec<u64> = (0..count).map(|i| i * i).collect();
        let tree = STree::new(&keys);
        let plain = tree.clone().without_avx512();
        assert_finds_all(&keys, &tree);
        assert_finds_all(&keys, &plain);
    }
}
