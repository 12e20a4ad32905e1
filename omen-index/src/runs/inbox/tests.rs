use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};

use super::*;
use crate::runs::ByteKeys;

type Numbers = Inbox<Vec<u64>>;

fn filled(keys: &[u64]) -> Numbers {
    let mut inbox = Inbox::default();
    for &key in keys {
        assert!(inbox.room() > 0);
        push(&mut inbox, key, key + 1);
    }
    inbox
}

fn push<L: KeyList>(inbox: &mut Inbox<L>, key: L::Key<'_>, value: u64) {
    if !inbox.has_place() {
        inbox.grow();
    }
    inbox.push(key, value);
}

fn get(inbox: &Numbers, key: u64) -> Option<u64> {
    inbox.get(key, <Vec<u64> as KeyList>::hash(key))
}

/// Scattered keys, a different one for each count.
fn scattered(count: u64) -> u64 {
    count.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 1
}

#[test]
fn keys_are_found_in_order_and_out_of_order() {
    let count = Numbers::CAPACITY as u64;
    let ascending: Vec<u64> = (0..count).map(|i| 10 + 2 * i).collect();
    let descending: Vec<u64> = ascending.iter().rev().copied().collect();
    let mut late = ascending.clone();
    late[count as usize - 1] = 3;
    for (keys, is_sorted) in [(ascending, true), (descending, false), (late, false)] {
        let mut batch = Inbox::default();
        let mut entries = keys.iter().map(|&key| (key, key + 1));
        while batch.room() > 0 {
            assert!(!batch.fill(&mut entries));
        }
        for inbox in [filled(&keys), batch] {
            assert!(inbox.room() == 0 && inbox.is_sorted() == is_sorted);
            for &key in &keys {
                assert_eq!((get(&inbox, key), get(&inbox, key + 1)), (Some(key + 1), None));
            }
            assert_eq!((get(&inbox, 0), get(&inbox, u64::MAX)), (None, None));
            let values = keys.iter().map(|key| key + 1).collect();
            assert_eq!(inbox.to_lists(), (keys.clone(), values));
            assert!(inbox.iter().eq(keys.iter().map(|&key| (key, key + 1))));
        }
    }
}

#[test]
fn a_repeated_key_is_not_in_order_and_the_newest_entry_counts() {
    let mut inbox = filled(&[1, 5]);
    assert!(inbox.is_sorted());
    push(&mut inbox, 5, 77);
    let snapshot = inbox.clone();
    push(&mut inbox, 5, 78);
    assert!(!inbox.is_sorted());
    assert_eq!((get(&inbox, 5), get(&snapshot, 5), get(&inbox, 1)), (Some(78), Some(77), Some(2)));
    assert_eq!((get(&Inbox::default(), 0), Numbers::default().len()), (None, 0));
}

#[test]
fn clones_that_part_do_not_see_each_other() {
    for len in [0, 1, 63, 64, 65, 1_000] {
        for is_in_order in [true, false] {
            let key = |i: u64| if is_in_order { 3 * i } else { scattered(i) };
            let trunk = filled(&(0..len).map(key).collect::<Vec<u64>>());
            let (mut one, mut two) = (trunk.clone(), trunk.clone());
            for i in len..len + 70 {
                push(&mut one, key(i), 1);
                push(&mut two, key(i), 2);
                push(&mut two, key(i + 1_000), 3);
            }
            for i in 0..len + 70 {
                let is_old = i < len;
                let value = |value| Some(if is_old { key(i) + 1 } else { value });
                assert_eq!((get(&one, key(i)), get(&two, key(i))), (value(1), value(2)));
                assert_eq!(get(&trunk, key(i)), is_old.then(|| key(i) + 1));
            }
            assert_eq!((get(&one, key(len + 1_000)), get(&two, key(len + 1_000))), (None, Some(3)));
        }
    }
}

#[test]
fn one_line_of_descent_shares_its_memory() {
    let mut inbox = filled(&[9]);
    for i in 1..64 {
        let next = inbox.clone();
        push(&mut inbox, scattered(i), i);
        assert!(Arc::ptr_eq(&inbox.memory, &next.memory));
        // What a batch did not need is given back.
        let mut few = [].into_iter().chain((0..0).map(|i| (i, i)));
        assert!(inbox.fill(&mut few));
    }
    let before = inbox.byte_size();
    push(&mut inbox, 4, 4);
    assert!(inbox.byte_size() > before && inbox.room() == Numbers::CAPACITY - 65);
}

#[test]
fn a_batch_that_is_shorter_than_it_says_leaves_no_gap() {
    /// Says that there are many more.
    struct Boastful(std::ops::Range<u64>);
    impl Iterator for Boastful {
        type Item = (u64, u64);
        fn next(&mut self) -> Option<(u64, u64)> {
            self.0.next().map(|i| (scattered(i), i))
        }
        fn size_hint(&self) -> (usize, Option<usize>) {
            (usize::MAX, None)
        }
    }
    let mut inbox = Numbers::default();
    assert!(inbox.fill(&mut Boastful(0..20)));
    let memory = Arc::clone(&inbox.memory);
    assert!(inbox.fill(&mut Boastful(20..50)));
    assert!(Arc::ptr_eq(&inbox.memory, &memory), "the places were given back");
    assert!((0..50).all(|i| get(&inbox, scattered(i)) == Some(i)) && inbox.len() == 50);
}

#[test]
fn memory_that_is_used_again_has_nothing_of_what_was_there() {
    let full = filled(&(0..4096).map(scattered).collect::<Vec<u64>>());
    let snapshot = full.clone();
    let fresh = Inbox::large(Some(full));
    assert!(!Arc::ptr_eq(&fresh.memory, &snapshot.memory));
    let old = Arc::as_ptr(&snapshot.memory);
    let mut again = Inbox::large(Some(snapshot));
    assert!(std::ptr::eq(Arc::as_ptr(&again.memory), old));
    assert!((0..4096).all(|i| get(&again, scattered(i)).is_none()));
    (0..100).rev().for_each(|i| push(&mut again, i, i));
    assert!((0..100).all(|i| get(&again, i) == Some(i)));
    assert!((0..4096).all(|i| get(&again, scattered(i)).is_none() || scattered(i) < 100));
    assert!(!again.is_sorted());
}

#[test]
fn byte_strings_of_any_length_are_held() {
    let keys: Vec<Vec<u8>> = (0..300u64).map(|i| vec![i as u8; (i * 7 % 90) as usize]).collect();
    let mut inbox = Inbox::<ByteKeys>::default();
    for (value, key) in (0..).zip(&keys).skip(90) {
        push(&mut inbox, key, value);
    }
    for (value, key) in (0..).zip(&keys).skip(90) {
        let newest = (0..).zip(&keys).filter(|(_, other)| *other == key).last();
        let found = inbox.get(key, ByteKeys::hash(key));
        assert_eq!(found, newest.map(|(newest, _)| newest).max(Some(value)));
    }
    let bytes: usize = keys.iter().skip(90).map(Vec::len).sum();
    assert!(inbox.byte_size() >= bytes + 210 * 24);
}

#[test]
fn lines_that_part_on_two_threads_lose_nothing() {
    let start = std::sync::Barrier::new(2);
    for round in 0..300 {
        let trunk = filled(&(0..round).map(scattered).collect::<Vec<u64>>());
        let grow = |mut branch: Numbers, first: u64| {
            start.wait();
            (first..first + 50).for_each(|i| push(&mut branch, scattered(i), i));
            branch
        };
        let (one, two) = std::thread::scope(|scope| {
            let (a, b) = (trunk.clone(), trunk.clone());
            let a = scope.spawn(|| grow(a, 1_000));
            let b = scope.spawn(|| grow(b, 5_000));
            (a.join().unwrap(), b.join().unwrap())
        });
        for (branch, first) in [(one, 1_000), (two, 5_000)] {
            assert!((0..round).all(|i| get(&branch, scattered(i)) == Some(scattered(i) + 1)));
            assert!((first..first + 50).all(|i| get(&branch, scattered(i)) == Some(i)));
            assert!(get(&branch, scattered(6_000 - first)).is_none());
        }
    }
}

#[test]
fn a_reader_always_finds_what_its_snapshot_has() {
    // All in one chain, so that each new entry is where the reader is on its way.
    let slot = |key: u64| (<Vec<u64> as KeyList>::hash(key) >> 32) % (2 * 4096);
    let chained: Vec<u64> = (0..).map(scattered).filter(|&key| slot(key) == 77).take(200).collect();
    let (old, new) = chained.split_at(4);
    for _ in 0..200 {
        let mut inbox = Numbers::large(None);
        old.iter().rev().chain([&1, &0]).for_each(|&key| push(&mut inbox, key, key));
        let (snapshot, is_done) = (inbox.clone(), AtomicBool::new(false));
        let is_reading = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                while !is_done.load(Acquire) {
                    let found = |key: &u64| get(&snapshot, *key) == Some(*key);
                    let is_right = old.iter().all(found) && !found(&new[0]);
                    is_reading.store(true, Release);
                    assert!(is_right);
                }
            });
            while !is_reading.load(Acquire) && !reader.is_finished() {
                std::hint::spin_loop();
            }
            new.iter().for_each(|&key| push(&mut inbox, key, key));
            is_done.store(true, Release);
            reader.join().unwrap();
        });
    }
}
