//! The power fails at every change that a backup makes to its medium.

use omen_provider::Error;

use super::*;
use crate::faulty_disk::files::{EIO, Failure, FaultyFiles};

/// Power cuts at each point.
const SEEDS: u64 = 3;

/// What is there: nothing, or the state after so many statements.
async fn found(disk: &FaultyFiles) -> Option<i64> {
    match reading().open_store(disk.store()).await {
        Err(Error::NotFound(_)) => None,
        Err(error) => panic!("{error}"),
        Ok(copy) => {
            let rows = rows_of(&copy).await;
            let state = rows[&0];
            assert_eq!(rows, model(state));
            Some(state)
        }
    }
}

#[test]
fn crash_leaves_the_old_backup_or_the_new_one() {
    block_on_without_background(async {
        let medium = Medium::disk();
        let database = made(&medium, options()).await;
        let disk = FaultyFiles::new();
        let mut number = 0;
        let mut before = None;
        // Segments and marks; rows in memory besides; less files; nothing new.
        for (count, compacts) in [(120, false), (70, false), (30, true), (0, false)] {
            for _ in 0..count {
                number += 1;
                write(&database, number).await.unwrap();
                if number % 40 == 0 {
                    database.checkpoint().await.unwrap();
                }
            }
            if compacts {
                database.compact().await.unwrap();
            }
            disk.record();
            let already = disk.changes();
            database.backup_to_store(disk.store(), &|_, _| {}).await.unwrap();
            let snapshots = disk.snapshots().split_off(already);
            let (mut old, mut new) = (0, 0);
            for (change, snapshot) in snapshots.iter().enumerate() {
                for seed in 0..SEEDS {
                    let left = snapshot.after_power_cut(seed * 1000 + change as u64);
                    let state = found(&left).await;
                    let story = format!("{number} statements, before change {change}");
                    assert!(state == before || state == Some(number), "{story}: {state:?}");
                    match state == Some(number) {
                        true => new += 1,
                        false => old += 1,
                    }
                    // What is left takes the next backup as if nothing had happened.
                    database.backup_to_store(left.store(), &|_, _| {}).await.unwrap();
                    assert_eq!(found(&left).await, Some(number), "{story}");
                    let segments = left.store().blobs.list("segments").await.unwrap().len();
                    let expected = disk.store().blobs.list("segments").await.unwrap().len();
                    assert_eq!(segments, expected, "{story}: something is left over");
                }
            }
            assert!(new > 0 && (old > 0 || before == Some(number)), "{old} old, {new} new");
            let last = snapshots.last().unwrap().after_power_cut(number as u64);
            assert_eq!(found(&last).await, Some(number), "a backup that was made is lost");
            before = Some(number);
        }
    });
}

/// A call fails once and the backup is made again: what the first attempt has left is seen, and is
/// relied on only when its name is durable.
#[test]
fn repeated_backup_survives_a_power_cut() {
    // With one segment alone no other file comes after it whose name would take its along.
    for segments in [1, 3] {
        block_on(repeated_backups(segments));
    }
}

async fn repeated_backups(segments: i64) {
    let medium = Medium::disk();
    let database = made(&medium, options()).await;
    for number in 1..=60 {
        write(&database, number).await.unwrap();
        if number % (60 / segments) == 0 {
            database.checkpoint().await.unwrap();
        }
    }
    let whole = FaultyFiles::new();
    database.backup_to_store(whole.store(), &|_, _| {}).await.unwrap();
    let mut repeated = 0;
    for call in 1..=whole.calls() {
        for failure in [Failure::NoEffect(EIO), Failure::FullEffect(EIO)] {
            let disk = FaultyFiles::new();
            disk.fail_call(call, false, failure);
            if database.backup_to_store(disk.store(), &|_, _| {}).await.is_ok() {
                continue;
            }
            repeated += 1;
            database.backup_to_store(disk.store(), &|_, _| {}).await.unwrap();
            for seed in 0..16 {
                let left = disk.after_power_cut(seed);
                let story = format!("{failure:?} at call {call}, seed {seed}");
                assert_eq!(found(&left).await, Some(60), "{story}");
            }
        }
    }
    assert!(repeated > 20, "only {repeated} were repeated");
}

/// A disk that fails, and goes on.
#[test]
fn failed_backup_leaves_the_one_before() {
    block_on(async {
        let (medium, target) = (Medium::disk(), Medium::disk());
        let database = made(&medium, options()).await;
        let failing = Failing::new(target.store());
        let back_up = || database.backup_to_store(failing.store(), &|_, _| {});
        let mut number = 0;
        let rules: [fn(Call, &str) -> bool; 4] = [
            |call, name| call == Call::Finish && name.ends_with(".parquet"),
            |call, name| call == Call::Put && name.ends_with(".deletions"),
            |call, name| call == Call::Put && name.starts_with("manifest/"),
            |call, _| call == Call::Delete,
        ];
        for (fails, effect) in
            rules.iter().flat_map(|rule| [(*rule, Effect::Nothing), (*rule, Effect::Whole)])
        {
            let before = number;
            for count in 0..60 {
                number += 1;
                write(&database, number).await.unwrap();
                if count == 30 {
                    database.checkpoint().await.unwrap();
                }
            }
            failing.fail(fails, effect);
            let outcome = back_up().await;
            assert!(outcome.is_err() || before == 0, "{effect:?} at {number}: {outcome:?}");
            failing.mend();
            if before > 0 {
                let state = rows_in(target.store()).await[&0];
                assert!(state == before || state == number, "{state}: {before} or {number}");
            }
            back_up().await.unwrap();
            assert_eq!(rows_in(target.store()).await, model(number));
        }
    });
}
