//! One thread writes and publishes what it has; others look at what was published.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::super::*;
use crate::runs::ByteKeys;

/// Scattered keys, a different one for each count.
fn scattered(count: u64) -> u64 {
    count.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// A map and the number of keys that were added.
type Published<L> = Mutex<Arc<(RunMap<L>, u64)>>;

/// Adds `count` keys, a few more at a time, and publishes each time.
fn write<L: KeyList>(published: &Published<L>, count: u64, add: impl Fn(&mut RunMap<L>, u64, u64)) {
    let mut first = 0;
    while first < count {
        let (mut map, _) = RunMap::clone_of(published);
        let end = (first + first % 37 + 1).min(count);
        add(&mut map, first, end);
        while let Some(task) = map.merge_due() {
            map.install(task.run(|_| true));
        }
        // A statement that is given up, now and then.
        if first.is_multiple_of(5) {
            add(&mut map.clone(), end + 1_000_000, end + 1_000_010);
        }
        *published.lock().unwrap() = Arc::new((map, end));
        first = end;
    }
}

impl<L: KeyList> RunMap<L> {
    fn clone_of(published: &Published<L>) -> (Self, u64) {
        let published = Arc::clone(&published.lock().unwrap());
        (published.0.clone(), published.1)
    }
}

/// Reads as long as is written: what is there is found, what comes later is not.
fn read<L: KeyList>(
    published: &Published<L>,
    is_done: &AtomicBool,
    get: impl Fn(&RunMap<L>, u64) -> Option<u64>,
) {
    let mut turn = 0u64;
    while !is_done.load(Relaxed) {
        let snapshot = Arc::clone(&published.lock().unwrap());
        let (map, count) = &*snapshot;
        assert_eq!(map.len() as u64, *count);
        for _ in 0..50 {
            turn += 1;
            let newest = count.saturating_sub(turn % 60);
            for i in [scattered(turn) % (count + 1), newest, count + turn % 50] {
                assert_eq!(get(map, i), Some(i).filter(|i| i < count), "{i} of {count}");
            }
            assert_eq!(get(map, count + 1_000_000 + turn % 12), None);
        }
    }
}

#[test]
fn readers_find_what_was_published_and_no_more() {
    let published: Published<Vec<u64>> = Mutex::default();
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| read(&published, &is_done, |map, i| map.get(scattered(i))));
        }
        write(&published, 120_000, |map, first, end| {
            map.extend((first..end).map(|i| (scattered(i), i)), |_| true);
        });
        is_done.store(true, Relaxed);
    });
}

#[test]
fn readers_of_byte_strings_find_what_was_published_and_no_more() {
    let published: Published<ByteKeys> = Mutex::default();
    let is_done = AtomicBool::new(false);
    let key = |i: u64| format!("key {}", scattered(i));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| read(&published, &is_done, |map, i| map.get(key(i).as_bytes())));
        }
        write(&published, 60_000, |map, first, end| {
            for i in first..end {
                map.insert(key(i).as_bytes(), i);
            }
        });
        is_done.store(true, Relaxed);
    });
}
