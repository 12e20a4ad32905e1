mod model;
mod threads;

use super::placing::{SORTED_TOGETHER, TAIL_KEYS_MAX};
use super::*;

/// Scattered keys, a different one for each count.
fn scattered(count: u64) -> u64 {
    count.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

#[test]
fn keys_in_order_are_not_merged() {
    let mut map = RunMap::<Vec<u64>>::new();
    for batch in 0..200u64 {
        let entries: Vec<(u64, u64)> = (batch * 1000..(batch + 1) * 1000).map(|k| (k, k)).collect();
        map.extend(entries.into_iter(), |_| true);
    }
    assert_eq!((map.runs().len(), map.behind.full.len(), map.len()), (0, 0, 200_000));
    assert_eq!((map.ended.len(), map.tail.len()), (TAIL_KEYS_MAX, 65_536));
    assert!((0..200_000).all(|key| map.get(key) == Some(key)) && map.get(200_000).is_none());
}

#[test]
fn keys_below_the_last_ones_do_not_end_what_is_in_order() {
    let mut map = RunMap::<Vec<u64>>::new();
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
    let mut map = RunMap::<Vec<u64>>::new();
    for value in [1, 2] {
        for key in 0..70_000 {
            map.insert(scattered(key), value);
        }
    }
    while let Some(task) = map.merge_due() {
        map.install(task.run(|_| true));
    }
    assert!((0..70_000).all(|key| matches!(map.get(scattered(key)), Some(1 | 2))));
    assert_eq!((map.len(), map.get(1)), (140_000, None));
}

#[test]
fn a_snapshot_is_as_it_was_whatever_the_map_goes_through() {
    let mut map = RunMap::<Vec<u64>>::new();
    let mut snapshots = Vec::new();
    for key in 0..150_000u64 {
        if key.is_multiple_of(9_973) {
            snapshots.push((key, map.clone()));
        }
        map.insert(scattered(key), key);
    }
    while let Some(task) = map.merge_due() {
        map.install(task.run(|_| true));
    }
    assert!(map.behind.full.len() < SORTED_TOGETHER && map.runs().len() < 8);
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
    let mut map = RunMap::<Vec<u64>>::new();
    for key in 0..150u64 {
        let run = KeyRun::new((vec![scattered(key)], vec![key])).unwrap().with_fingerprints();
        Arc::make_mut(&mut map.behind).runs.push(Arc::new(run));
    }
    assert!((0..150).all(|key| map.get(scattered(key)) == Some(key)));
    assert!((150..900).all(|key| map.get(scattered(key)).is_none()));
}

#[test]
fn keys_that_are_written_over_leave_little_behind() {
    let mut map = RunMap::<Vec<u64>>::new();
    let (keys, mut newest) = (500u64, 0);
    for round in 0..2_000 {
        // Of each key the entry of the last round is live, and what is added in this one.
        newest = round;
        let entries = (0..keys).map(|key| (scattered(key), round * keys + key));
        map.extend(entries, |value| value / keys >= newest);
        while let Some(task) = map.merge_due() {
            map.install(task.run(|value| value / keys >= newest));
        }
        assert!(map.len() < SORTED_TOGETHER * 4096 + 8 * keys as usize, "round {round}");
    }
    let is_live = |value| value / keys == newest;
    assert!((0..keys).all(|key| map.find(scattered(key), is_live) == Some(newest * keys + key)));
    assert_eq!(map.find(scattered(keys), is_live), None);
}

#[test]
fn a_queue_leaves_little_behind() {
    for queued in [100u64, 300_000] {
        let mut map = RunMap::<Vec<u64>>::new();
        let count = 4_000_000;
        for first in (0..count).step_by(1_000) {
            let end = first + 1_000;
            map.extend((first..end).map(|key| (key, key)), |value| value + queued >= end);
            let most = 3 * queued as usize + 4 * TAIL_KEYS_MAX as usize;
            assert!(map.len() < most, "{} of {end}, {queued} live", map.len());
        }
        let is_live = |value| value + queued >= count;
        assert_eq!(map.find(count - queued, is_live), Some(count - queued));
        assert_eq!(map.find(count - queued - 1, is_live), None);
    }
}

#[test]
fn what_lives_on_among_the_dead_stays() {
    let mut map = RunMap::<Vec<u64>>::new();
    let (count, newest) = (1_500_000, 200_000);
    for first in (0..count).step_by(1_000) {
        let end = first + 1_000;
        let is_live = |value| value % 10 == 0 || value + newest >= end;
        map.extend((first..end).map(|key| (key, key)), is_live);
    }
    let is_live = |value: u64| value.is_multiple_of(10) || value + newest >= count;
    assert!((0..count).all(|key| map.find(key, is_live) == Some(key).filter(|_| is_live(key))));
    assert!(map.len() < 800_000, "{} entries", map.len());
}

#[test]
fn nothing_live_leaves_no_run() {
    let mut map = RunMap::<Vec<u64>>::new();
    map.extend((0..40_000).map(|key| (scattered(key), key)), |_| true);
    map.extend((50_000..70_000).map(|key| (scattered(key), key)), |_| false);
    while let Some(task) = map.merge_due() {
        map.install(task.run(|_| false));
    }
    let runs = Arc::make_mut(&mut map.behind).runs.clone();
    assert!(map.install(MergeTask { runs }.run(|_| false)));
    assert!(map.runs().is_empty() && map.len() < 4 * 4096);
}

#[test]
fn a_map_of_one_entry_is_small() {
    let mut map = RunMap::<Vec<u64>>::new();
    map.insert(7, 7);
    map.insert(3, 3);
    assert!(map.byte_size() < 2_000, "{} bytes", map.byte_size());
    assert_eq!((map.bounds(), map.range(0, None)), (Some((3, 7)), vec![3, 7]));
    assert_eq!(RunMap::<Vec<u64>>::new().bounds(), None);
}

#[test]
fn the_longest_run_is_shown_with_its_index() {
    let mut map = RunMap::<Vec<u64>>::new();
    assert!(map.longest_run().is_none());
    map.extend((0..200_000).map(|key| (key * 3, key)), |_| true);
    let (keys, values, index) = map.longest_run().unwrap();
    assert_eq!((keys.len(), values.len(), index.len()), (131_072, 131_072, 131_072));
    assert_eq!(index.lower_bound(keys, 300), 100);
}

#[test]
fn a_run_in_order_may_be_newer_than_an_inbox_that_waits() {
    let mut map = RunMap::<Vec<u64>>::new();
    let is_live = |value| value >= 4096 || value != 17;
    map.extend((0..4096).rev().map(|key| (key, key)), is_live);
    // Key 17 is added again, with others in order.
    map.extend((4096..8192).map(|value| (value - 4096 + 17, value)), |_| true);
    map.extend([(9_000, 9_000)].into_iter(), is_live);
    assert_eq!((map.behind.full.len(), map.runs().len()), (1, 1));
    let mut found = [None];
    map.find_many(&[17], is_live, &mut found);
    assert_eq!((map.find(17, is_live), found[0]), (Some(4096), Some(4096)));
}
