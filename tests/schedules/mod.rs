//! The scheduler finds what it is for: mistakes that show in few schedules only.
//!
//! What it is used for: group commit and the inbox, each beside its code (`wal/tests.rs`,
//! `runs/tests.rs`), and the engine as a whole, which changes threads wherever it uses the medium.

mod engine;
mod pausing;
#[path = "scheduler.rs"]
mod scheduler;

use std::sync::Arc;

use scheduler::sync::Mutex;
use scheduler::sync::atomic::{AtomicU64, Ordering::SeqCst};
use scheduler::{block_on, chosen, first_failure, pause, spawn, suspend};

/// Schedules in which a mistake must show.
const ENOUGH: std::ops::Range<u64> = 1..200;

#[test]
fn an_update_that_is_lost_is_found_and_repeats() {
    let lose = || {
        let count = Arc::new(AtomicU64::new(0));
        let add = |count: Arc<AtomicU64>| {
            spawn(move || {
                let seen = count.load(SeqCst);
                count.store(seen + 1, SeqCst);
            })
        };
        let threads = [add(Arc::clone(&count)), add(Arc::clone(&count))];
        threads.into_iter().for_each(|thread| thread.join());
        assert_eq!(count.load(SeqCst), 2, "lost");
    };
    let (seed, failure) = first_failure(ENOUGH, lose).expect("a failure");
    assert!(failure.contains("lost"), "{failure}");
    for _ in 0..3 {
        assert_eq!(first_failure(seed..seed + 1, lose), Some((seed, failure.clone())));
    }
}

#[test]
fn two_locks_in_two_orders_are_found() {
    let failure = first_failure(ENOUGH, || {
        let locks = Arc::new((Mutex::new(0), Mutex::new(0)));
        let other = Arc::clone(&locks);
        let thread = spawn(move || {
            let _second = other.1.lock().unwrap();
            let _first = other.0.lock().unwrap();
        });
        {
            let _first = locks.0.lock().unwrap();
            let _second = locks.1.lock().unwrap();
        }
        thread.join();
    });
    assert!(failure.expect("a failure").1.contains("wait for one another"));
}

#[test]
fn a_future_that_nobody_wakes_is_found() {
    let failure = first_failure(1..2, || block_on(std::future::pending::<()>()));
    assert!(failure.expect("a failure").1.contains("wait for one another"));
}

#[test]
fn what_never_ends_is_found() {
    let failure = first_failure(1..2, || {
        while chosen(2) < 2 {
            pause();
        }
    });
    assert!(failure.expect("a failure").1.contains("not at an end"));
}

#[test]
fn what_is_right_never_fails() {
    let failure = first_failure(ENOUGH, || {
        let count = Arc::new(Mutex::new(0));
        let add = |count: Arc<Mutex<u64>>| {
            spawn(move || {
                for _ in 0..3 {
                    block_on(suspend());
                    *count.lock().unwrap() += 1;
                }
            })
        };
        let threads: Vec<_> = (0..3).map(|_| add(Arc::clone(&count))).collect();
        threads.into_iter().for_each(|thread| thread.join());
        assert_eq!(*count.lock().unwrap(), 9);
    });
    assert_eq!(failure, None);
}
