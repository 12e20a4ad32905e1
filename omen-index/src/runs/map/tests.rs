use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Insert(u16),
    Extend(Vec<u32>),
    Append(u16),
    MergeBegins,
    MergeEnds,
    /// Keys that are added to a clone and given up.
    Abandon(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1u16..900).prop_map(Step::Insert),
        3 => prop::collection::vec(0u32..1 << 20, 1..4000).prop_map(Step::Extend),
        3 => (1u16..3000).prop_map(Step::Append),
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
            if snapshots.len() < 5 {
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
    assert_eq!((map.runs.len(), map.tail.iter().len(), map.len()), (0, 200, 200_000));
}
