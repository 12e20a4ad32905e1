use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Insert(u16),
    Extend(Vec<u32>),
    Append(u16),
    /// The largest and the smallest key.
    Extremes,
    MergeBegins,
    MergeEnds,
    /// Keys that are added to a clone and given up.
    Abandon(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1u16..6000).prop_map(Step::Insert),
        3 => prop::collection::vec(0u32..1 << 20, 1..4000).prop_map(Step::Extend),
        3 => (1u16..9000).prop_map(Step::Append),
        1 => Just(Step::Extremes),
        2 => Just(Step::MergeBegins),
        2 => Just(Step::MergeEnds),
        1 => (1u16..300).prop_map(Step::Abandon),
    ]
}

/// Scattered keys, a different one for each count.
fn scattered(count: u64) -> u64 {
    count.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

fn check(map: &RunMap, model: &BTreeMap<u64, u64>) {
    assert_eq!(map.len(), model.len());
    assert!(map.iter().eq(model.iter().map(|(k, v)| (*k, *v))));
    let present = model.keys().copied().step_by(7);
    let probes: Vec<u64> =
        present.flat_map(|k| [k, k.wrapping_add(1)]).chain([0, u64::MAX]).collect();
    let mut values = vec![Some(7); probes.len()];
    map.get_many(&probes, &mut values);
    for (probe, value) in probes.iter().zip(values) {
        assert_eq!(map.get(*probe), model.get(probe).copied());
        assert_eq!(value, model.get(probe).copied());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn holds_what_a_map_holds(steps in prop::collection::vec(step(), 1..40)) {
        let (mut map, mut model, mut count) = (RunMap::new(), BTreeMap::new(), 0u64);
        let (mut task, mut snapshots) = (None, Vec::new());
        for step in steps {
            match step {
                Step::Insert(keys) => for _ in 0..keys {
                    count += 1;
                    if model.insert(scattered(count), count).is_none() {
                        map.insert(scattered(count), count);
                    }
                },
                Step::Extend(keys) => {
                    let mut new = Vec::new();
                    for key in keys.into_iter().map(u64::from) {
                        count += 1;
                        // Only new keys may be added.
                        model.entry(key).or_insert_with(|| {
                            new.push((key, count));
                            count
                        });
                    }
                    map.extend(&new);
                }
                Step::Append(keys) => {
                    let top = model.keys().next_back().map_or(0, |k| k.saturating_add(1));
                    let new: Vec<(u64, u64)> = (0..u64::from(keys))
                        .filter_map(|i| Some((top.checked_add(i * 3)?, i)))
                        .filter(|(k, _)| !model.contains_key(k))
                        .collect();
                    model.extend(new.iter().copied());
                    map.extend(&new);
                }
                Step::Extremes => for key in [u64::MAX, 0] {
                    model.entry(key).or_insert_with(|| {
                        map.insert(key, 5);
                        5
                    });
                }
                Step::MergeBegins => task = task.or_else(|| map.merge_due()),
                Step::MergeEnds => if let Some(task) = task.take() {
                    map.install(task.run());
                },
                Step::Abandon(keys) => {
                    let mut other = map.clone();
                    for i in 0..u64::from(keys) {
                        other.insert(u64::MAX - 1 - i, i);
                    }
                }
            }
            if snapshots.len() < 6 {
                snapshots.push((map.clone(), model.clone()));
            }
        }
        while let Some(task) = map.merge_due() {
            map.install(task.run());
        }
        check(&map, &model);
        for (map, model) in &snapshots {
            check(map, model);
        }
    }
}

#[test]
fn keys_in_order_are_not_merged() {
    let mut map = RunMap::new();
    for batch in 0..200u64 {
        let entries: Vec<(u64, u64)> = (batch * 1000..(batch + 1) * 1000).map(|k| (k, k)).collect();
        map.extend(&entries);
    }
    assert_eq!((map.runs.len(), map.full.len(), map.len()), (0, 0, 200_000));
    assert_eq!((map.ended.len(), map.tail.len()), (TAIL_KEYS_MAX, 65_536));
    assert!((0..200_000).all(|key| map.get(key) == Some(key)) && map.get(200_000).is_none());
}

#[test]
fn keys_below_the_last_ones_do_not_end_what_is_in_order() {
    let mut map = RunMap::new();
    map.insert(u64::MAX, 0);
    for key in 1..=100_000u64 {
        // Each key in order, and now and then one from long ago.
        map.insert(key << 20, key);
        if key % 10_000 == 0 {
            map.insert(key << 10 | 1, key);
        }
    }
    assert!(map.merge_due().is_none());
    assert!((1..=100_000).all(|key| map.get(key << 20) == Some(key)));
    assert!((1..=10).all(|key| map.get((key * 10_000) << 10 | 1) == Some(key * 10_000)));
    assert_eq!((map.get(u64::MAX), map.len()), (Some(0), 100_011));
}

#[test]
fn a_key_that_was_added_twice_is_found() {
    let mut map = RunMap::new();
    for value in [1, 2] {
        for key in 0..70_000 {
            map.insert(scattered(key), value);
        }
    }
    while let Some(task) = map.merge_due() {
        map.install(task.run());
    }
    assert!((0..70_000).all(|key| matches!(map.get(scattered(key)), Some(1 | 2))));
    assert_eq!((map.len(), map.get(1)), (140_000, None));
}

#[test]
fn a_snapshot_is_as_it_was_whatever_the_map_goes_through() {
    let mut map = RunMap::new();
    let mut snapshots = Vec::new();
    for key in 0..150_000u64 {
        if key.is_multiple_of(9_973) {
            snapshots.push((key, map.clone()));
        }
        map.insert(scattered(key), key);
    }
    while let Some(task) = map.merge_due() {
        map.install(task.run());
    }
    assert!(map.full.len() < SORTED_TOGETHER && map.runs.len() < 8);
    for (count, snapshot) in snapshots {
        assert_eq!(snapshot.len() as u64, count);
        let seen = (0..150_000)
            .step_by(13)
            .all(|key| snapshot.get(scattered(key)) == (key < count).then_some(key));
        assert!(seen, "a snapshot of {count} keys");
    }
}

#[test]
fn a_key_is_found_in_any_of_many_runs() {
    let mut map = RunMap::new();
    for key in 0..150u64 {
        let list = Entries { keys: &[scattered(key)], values: &[key] };
        map.runs.push(Arc::new(KeyRun::sort(&[list]).with_fingerprints()));
    }
    assert!((0..150).all(|key| map.get(scattered(key)) == Some(key)));
    assert!((150..900).all(|key| map.get(scattered(key)).is_none()));
}
