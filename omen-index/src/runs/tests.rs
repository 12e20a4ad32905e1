//! The inbox under many schedules: one thread adds and hands snapshots on, others read them, or go
//! on from one of them with keys of their own.

use std::sync::Arc;

use super::*;
use crate::runs::scheduled::scheduler::{chosen, explore, spawn, sync};

type Numbers = Inbox<Vec<u64>>;

/// What was handed on: the inbox, and the keys that it must hold in the order of their arrival.
type Published = Arc<sync::Mutex<(Numbers, Vec<u64>)>>;

/// Scattered keys, so that the inbox leaves order at once, which share a few slots of its table.
fn key(number: u64) -> u64 {
    let shares = |key: &u64| (<Vec<u64> as KeyList>::hash(*key) >> 32) & 127 < 4;
    let first = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 1;
    (first..).find(shares).expect("one of so many")
}

fn add(inbox: &mut Numbers, keys: &mut Vec<u64>, number: u64) {
    if !inbox.has_place() {
        inbox.grow();
    }
    inbox.push(key(number), number);
    keys.push(number);
}

fn published(count: u64) -> Published {
    let (mut inbox, mut keys) = (Numbers::default(), Vec::new());
    (0..count).for_each(|number| add(&mut inbox, &mut keys, number));
    Arc::new(sync::Mutex::new((inbox, keys)))
}

fn taken(published: &Published) -> (Numbers, Vec<u64>) {
    let published = published.lock().unwrap();
    (published.0.clone(), published.1.clone())
}

/// All that is in it is found, nothing else is.
fn check(inbox: &Numbers, keys: &[u64], all: bool) {
    assert_eq!(inbox.len(), keys.len());
    let find = |number| inbox.get(key(number), <Vec<u64> as KeyList>::hash(key(number)));
    for number in keys.iter().rev().take(if all { usize::MAX } else { 3 }) {
        assert_eq!(find(*number), Some(*number), "{number} of {keys:?}");
    }
    let absent = keys.iter().max().map_or(0, |number| number + 1);
    for number in [absent, absent + 1, 1_000_000] {
        assert_eq!(find(number), None, "{number} beside {keys:?}");
    }
    if all {
        let found: Vec<u64> = inbox.iter().map(|(_, value)| value).collect();
        assert_eq!(found, keys, "in the order of their arrival");
    }
}

#[test]
fn readers_find_what_was_handed_on_and_no_more() {
    explore(1000, || {
        // Before and after the inbox leaves order, and where its memory ends.
        let shared = published([1, 2, 5, 62][chosen(4) as usize]);
        let writer = spawn({
            let shared = Arc::clone(&shared);
            move || {
                for _ in 0..4 {
                    let (mut inbox, mut keys) = taken(&shared);
                    let number = keys.len() as u64;
                    add(&mut inbox, &mut keys, number);
                    *shared.lock().unwrap() = (inbox, keys);
                }
            }
        });
        let reader = |shared: Published| {
            spawn(move || {
                for _ in 0..3 {
                    let (inbox, keys) = taken(&shared);
                    check(&inbox, &keys, false);
                }
            })
        };
        let readers: Vec<_> = (0..2).map(|_| reader(Arc::clone(&shared))).collect();
        writer.join();
        readers.into_iter().for_each(|reader| reader.join());
        let (inbox, keys) = taken(&shared);
        check(&inbox, &keys, true);
    });
}

#[test]
fn two_that_go_on_from_one_inbox_do_not_meet() {
    explore(1000, || {
        let shared = published([2, 5, 62][chosen(3) as usize]);
        let going_on = |first: u64| {
            let shared = Arc::clone(&shared);
            spawn(move || {
                let (mut inbox, mut keys) = taken(&shared);
                for number in first..first + 3 {
                    add(&mut inbox, &mut keys, number);
                }
                check(&inbox, &keys, true);
                (inbox, keys)
            })
        };
        let threads = [going_on(1000), going_on(2000)];
        let (before, keys) = taken(&shared);
        for thread in threads {
            let (inbox, keys) = thread.join();
            check(&inbox, &keys, true);
        }
        check(&before, &keys, true);
    });
}

#[test]
fn many_at_once_are_handed_on_whole() {
    explore(500, || {
        let shared = published(chosen(4));
        let writer = spawn({
            let shared = Arc::clone(&shared);
            move || {
                for _ in 0..2 {
                    let (mut inbox, mut keys) = taken(&shared);
                    let first = keys.len() as u64;
                    let mut entries = (first..first + 5).map(|number| (key(number), number));
                    while !inbox.fill(&mut entries) {}
                    keys.extend(first..first + 5);
                    *shared.lock().unwrap() = (inbox, keys);
                }
            }
        });
        let reader = spawn({
            let shared = Arc::clone(&shared);
            move || {
                let (inbox, keys) = taken(&shared);
                check(&inbox, &keys, true);
            }
        });
        writer.join();
        reader.join();
        let (inbox, keys) = taken(&shared);
        check(&inbox, &keys, true);
    });
}
