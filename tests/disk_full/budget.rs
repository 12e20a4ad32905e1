//! The disk has so many bytes and no more.

use std::time::Duration;

use omen_provider::{Clock, Options};

use super::{Case, Model, block_on, contents, is_exhausted, let_it_work, open, options};
use crate::faulty_disk::SECTOR_BYTES;
use crate::faulty_disk::files::{Failure, FaultyFiles};
use crate::harness::rows::Shape;

/// A database that has filled its disk.
async fn full(room: u64, flushed: bool, yields: bool) -> Case {
    let mut case = Case::new(FaultyFiles::new()).await.unwrap();
    for number in 0..5 {
        case.upsert(number).await.unwrap();
    }
    if flushed {
        case.database.checkpoint().await.unwrap();
        case.upsert(5).await.unwrap();
    }
    let_it_work().await;
    case.disk.limit_bytes(Some(case.disk.bytes_used() + room));
    let mut number = 6;
    loop {
        let outcome = case.upsert(number).await;
        if outcome.is_err() {
            assert!(is_exhausted(&outcome), "{outcome:?}");
            break;
        }
        number += 1;
        if yields {
            let_it_work().await;
        }
    }
    case.check().await;
    case
}

/// All ways to fill a disk.
fn fillings() -> impl Iterator<Item = (u64, bool, bool)> {
    let rooms = [0, 512, 5_000, 70_000, 300_000, 700_000, 3_000_000];
    rooms.into_iter().flat_map(|room| {
        [(room, false, false), (room, false, true), (room, true, false), (room, true, true)]
    })
}

#[test]
fn disk_full_leaves_an_openable_store() {
    for (room, flushed, yields) in fillings() {
        println!("{room} bytes, flushed {flushed}, yields {yields}");
        block_on(async {
            let mut case = full(room, flushed, yields).await;
            // Whatever frees goes on.
            for start in [0, 7, 30] {
                case.delete(start..start + 5).await.unwrap();
                let_it_work().await;
                // Rows never take what the reserve gave up.
                for number in 900..1000 {
                    let outcome = case.upsert(number).await;
                    assert!(outcome.is_ok() || is_exhausted(&outcome), "{outcome:?}");
                }
                case.check().await;
            }
            // The process is killed, and the next one finds the disk as full.
            case.reopen().await.unwrap();
            case.check().await;
            case.delete(40..50).await.unwrap();
            case.check().await;
            let flushed = case.database.checkpoint().await;
            assert!(flushed.is_ok() || is_exhausted(&flushed), "{flushed:?}");
            case.check().await;
            case.delete(50..60).await.unwrap();
            case.database.close().await.unwrap();
            case.reopen().await.unwrap();
            case.check().await;
            case.check_after_power_cut(0..1).await;
            // There is space again.
            case.disk.limit_bytes(None);
            case.upsert(1000).await.unwrap();
            case.check().await;
            case.check_after_power_cut(1..2).await;
        });
    }
}

/// What a deletion found in the reserve is for deletions: rows, however short, take none of it.
#[test]
fn rows_take_nothing_that_the_reserve_gave_up() {
    for (room, flushed, yields) in fillings() {
        println!("{room} bytes, flushed {flushed}, yields {yields}");
        block_on(async {
            let mut case = full(room, flushed, yields).await;
            for round in 0..3 {
                case.delete(round * 10..round * 10 + 1).await.unwrap();
                let mut row = 10_000 * (round + 1);
                while case.upsert_rows(row..row + 1, 1, 100).await.is_ok() {
                    row += 1;
                }
                for key in 40 * (round + 1)..40 * (round + 2) {
                    case.delete(key..key + 1).await.unwrap();
                }
            }
            case.check().await;
        });
    }
}

/// Nobody has to open the database again when there is space, whatever was refused meanwhile.
#[test]
fn statements_are_taken_again_when_there_is_space() {
    for (room, flushed, yields) in fillings() {
        block_on(async {
            let mut case = full(room, flushed, yields).await;
            for number in 2000..2003 {
                // A flush may have made room.
                let outcome = case.upsert(number).await;
                assert!(outcome.is_ok() || is_exhausted(&outcome), "{outcome:?}");
                let _ = case.database.checkpoint().await;
                let _ = case.database.compact().await;
            }
            case.disk.limit_bytes(None);
            case.clock.advance(Duration::from_secs(20));
            case.upsert(3000).await.unwrap();
            case.database.checkpoint().await.unwrap();
            case.check().await;
            case.check_after_power_cut(0..2).await;
        });
    }
}

/// Deleting is the way out of a full disk: the disk stays as small as it is.
#[test]
fn deleting_rows_makes_room_for_others() {
    for (room, flushed, yields) in fillings() {
        println!("{room} bytes, flushed {flushed}, yields {yields}");
        block_on(async {
            let mut case = full(room, flushed, yields).await;
            case.delete(0..100_000).await.unwrap();
            case.database.checkpoint().await.unwrap();
            case.database.compact().await.unwrap();
            case.clock.advance(Duration::from_secs(20));
            case.upsert(1).await.unwrap();
            case.upsert(2).await.unwrap();
            case.check().await;
            // Or drop the table.
            case.database.drop_table("t", false).await.unwrap();
            case.database.checkpoint().await.unwrap();
            case.database.create_table(Shape::Int.definition("t"), false).await.unwrap();
            case.model.clear();
            case.upsert(1).await.unwrap();
            case.check_after_power_cut(0..1).await;
        });
    }
}

/// The reserve is a file of the database like others: it is not made twice, and comes back.
#[test]
fn the_reserve_is_made_again() {
    block_on(async {
        let mut case = full(1_000_000, true, true).await;
        let reserve = || case.disk.store();
        assert!(reserve().blobs.give_up_reserve().await.unwrap(), "there is one");
        assert!(!reserve().blobs.give_up_reserve().await.unwrap());
        case.disk.limit_bytes(None);
        case.reopen().await.unwrap();
        let used = case.disk.bytes_used();
        assert!(case.disk.store().blobs.give_up_reserve().await.unwrap());
        assert!(case.disk.bytes_used() + (256 << 10) <= used);
        // Without one nothing is refused while there is space.
        let options = Options { reserve_bytes: 0, ..Options::default() };
        let database = options.open_store(case.disk.store()).await.unwrap();
        database.create_table(Shape::Int.definition("u"), false).await.unwrap();
        assert!(!case.disk.store().blobs.give_up_reserve().await.unwrap());
        drop(database);
        drop(open(&case.disk, &case.clock).await.unwrap());
        assert!(case.disk.store().blobs.give_up_reserve().await.unwrap());
    });
}

/// Where there is no space to copy the statements of the log, the old one is gone on with; and what
/// only the system's cache has of it is on the medium then.
#[test]
fn without_room_the_old_log_is_gone_on_with() {
    for closed in [false, true] {
        block_on(async {
            let (disk, clock) = (FaultyFiles::new(), Clock::stopped());
            let small = || Options { reserve_bytes: 0, ..options(&clock) };
            let database = small().open_store(disk.store()).await.unwrap();
            database.create_table(Shape::Int.definition("t"), false).await.unwrap();
            let model = Model::new();
            let mut case = Case { disk, clock: clock.clone(), database, model };
            for number in 0..5 {
                case.upsert_rows(number * 10..number * 10 + 10, 1, 300).await.unwrap();
            }
            if closed {
                case.disk.limit_bytes(Some(case.disk.bytes_used()));
                case.database.close().await.unwrap();
            } else {
                let sync = case.disk.calls() + 2;
                case.disk.fail_call(sync, false, Failure::MarksClean);
                case.upsert_rows(50..55, 1, 300).await.unwrap_err();
            }
            case.disk.heal();
            let logs = case.disk.store().logs.list().await.unwrap();
            for round in 0..3 {
                // For two manifests and a log without statements.
                let room = 8 * SECTOR_BYTES as u64;
                case.disk.limit_bytes(Some(case.disk.bytes_used() + room));
                case.database = small().open_store(case.disk.store()).await.unwrap();
                assert_eq!(case.disk.store().logs.list().await.unwrap(), logs, "no new log");
                let found = contents(&case.database).await;
                assert!(closed || round > 0 || found.len() == 55, "the cache shows them");
                assert!(round == 0 || found == case.model);
                case.model = found;
                case.check_after_power_cut(round..round + 1).await;
                let more = 100 + round as i64 * 5;
                let outcome = case.upsert_rows(more..more + 5, 2, 20).await;
                assert!(outcome.is_ok() || closed && is_exhausted(&outcome), "{outcome:?}");
                case.check_after_power_cut(round..round + 2).await;
            }
            case.disk.heal();
            case.upsert(100).await.unwrap();
            case.database.checkpoint().await.unwrap();
            case.check().await;
            assert_eq!(case.disk.store().logs.list().await.unwrap().len(), 1);
            case.check_after_power_cut(5..8).await;
        });
    }
}
