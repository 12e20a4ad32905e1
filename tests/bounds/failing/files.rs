//! Files whose fate is not certain, files that cannot be read, and files that cannot be removed.

use std::time::Duration;

use arrow::array::RecordBatch;
use futures::{StreamExt, stream};
use omen_provider::{Error, Result};

use super::{
    Call, Case, batch, block_on, contents, deletions, let_it_work, manifests, new_logs, options,
    segments, text,
};
use crate::harness::assert_sound;
use crate::harness::failing_store::Effect;
use crate::harness::media::Medium;
use crate::harness::rows::Shape;

/// The manifest of an unknown outcome is there, and so is all that it names, whatever comes after.
#[test]
fn unknown_manifest_keeps_its_files() {
    block_on(async {
        let mut case = Case::new().await;
        for number in 0..12 {
            case.upsert(number, 300).await.unwrap();
            case.database.checkpoint().await.unwrap();
        }
        case.store.fail(manifests, Effect::Whole);
        for number in 12..40 {
            // Compactions, flushes, compactions after failed flushes and the reverse.
            match number % 3 {
                0 => assert!(case.database.compact().await.is_err()),
                1 => drop(case.upsert(number, 100).await),
                _ => assert!(case.database.checkpoint().await.is_err()),
            }
            case.clock.advance(Duration::from_secs(1));
            let_it_work().await;
            case.check_from_outside().await;
            let (files, _) = case.store.files().await;
            assert!(files.len() < 120, "{files:?}");
        }
        case.check().await;
        case.store.mend();
        case.assert_tidy().await;
        case.check().await;
    });
}

/// Another writer goes on from a manifest whose outcome the first one does not know.
#[test]
fn writer_that_lost_its_place_removes_nothing_of_the_next_one() {
    for compacts in [false, true] {
        block_on(async {
            let mut case = Case::on(Medium::objects()).await;
            for number in 0..5 {
                case.upsert(number, 300).await.unwrap();
                case.database.checkpoint().await.unwrap();
            }
            let rows = (0..40).map(|i| Ok(batch(i * 100 + 10_000..i * 100 + 10_100, "many")));
            let rows: Vec<Result<RecordBatch>> = rows.collect();
            case.database.table("t").unwrap().insert_stream(stream::iter(rows)).await.unwrap();
            case.model.extend((10_000..14_000).map(|id| (id, text(id, "many"))));
            if compacts {
                case.database.checkpoint().await.unwrap();
            }
            case.store.fail(manifests, Effect::Whole);
            let outcome = match compacts {
                true => case.database.compact().await,
                false => case.database.checkpoint().await,
            };
            assert!(outcome.is_err());
            case.store.mend();
            let next = options(&case.clock).open_store(case.store.store()).await.unwrap();
            assert_eq!(contents(&next, "t").await, case.model);
            assert!(matches!(case.database.checkpoint().await, Err(Error::Conflict(_))));
            assert!(matches!(case.database.close().await, Err(Error::Conflict(_))));
            let_it_work().await;
            assert_sound(&next).await;
            assert_eq!(contents(&next, "t").await, case.model);
            case.database = next;
            case.assert_tidy().await;
        });
    }
}

/// A compaction under way while a flush fails is not published: the flush names what it replaces.
#[test]
fn compaction_gives_way_to_a_pending_flush() {
    for fails in [manifests, segments] {
        block_on(compaction_and_failed_flush(fails));
    }
}

async fn compaction_and_failed_flush(fails: fn(Call, &str) -> bool) {
    let mut case = Case::new().await;
    for number in 0..3 {
        case.upsert(number, 300).await.unwrap();
        case.database.checkpoint().await.unwrap();
    }
    case.store.fail(segments, Effect::Waits);
    let compaction = {
        let database = case.database.clone();
        tokio::spawn(async move { database.compact().await })
    };
    let_it_work().await;
    assert_eq!(case.store.failures(), 1, "the compaction is under way");
    case.upsert(7, 100).await.unwrap();
    case.store.fail(fails, Effect::Nothing);
    assert!(case.database.checkpoint().await.is_err());
    case.store.mend();
    compaction.await.unwrap().unwrap();
    case.check().await;
    case.database.checkpoint().await.unwrap();
    case.check_from_outside().await;
    case.check().await;
    case.assert_tidy().await;
}

#[test]
fn failed_deletions_are_tried_again() {
    block_on(async {
        let mut case = Case::new().await;
        case.store.fail(deletions, Effect::Nothing);
        for number in 0..6 {
            case.upsert(number, 300).await.unwrap();
            case.database.checkpoint().await.unwrap();
        }
        case.database.compact().await.unwrap();
        assert!(case.store.files().await.0.len() > 10);
        case.store.mend();
        case.assert_tidy().await;
        case.check().await;
    });
}

/// Segments that only the log ever named, of a table that is there no more.
#[test]
fn segments_of_a_dropped_table_are_removed() {
    for reopens in [false, true] {
        block_on(async {
            let mut case = Case::new().await;
            // No flush comes between.
            case.store.fail(new_logs, Effect::Nothing);
            case.database.create_table(Shape::Int.definition("u"), false).await.unwrap();
            let rows = stream::iter((0..40).map(|i| Ok(batch(i * 100..i * 100 + 100, "u"))));
            case.database.table("u").unwrap().insert_stream(rows).await.unwrap();
            let reading = case.database.snapshot().table("u").unwrap();
            case.database.drop_table("u", false).await.unwrap();
            assert!(!case.store.inner_segments().await.is_empty());
            case.store.mend();
            if reopens {
                drop((reading, case.database));
                // A task of that one holds it, and its manifest, until it has had its turn.
                let_it_work().await;
                case.database = options(&case.clock).open_store(case.store.store()).await.unwrap();
            } else {
                case.database.checkpoint().await.unwrap();
                let rows = reading.range::<i64>(..).map(|batch| batch.unwrap().num_rows());
                assert_eq!(rows.fold(0, |sum, rows| async move { sum + rows }).await, 4000);
                drop(reading);
            }
            case.assert_tidy().await;
        });
    }
}

/// One damaged segment of one table stops neither the other table nor the rest of its own.
#[test]
fn damaged_page_does_not_stop_compaction() {
    block_on(async {
        let mut case = Case::new().await;
        case.database.create_table(Shape::Int.definition("u"), false).await.unwrap();
        case.upsert(0, 300).await.unwrap();
        case.database.checkpoint().await.unwrap();
        let damaged = case.store.inner_segments().await.remove(0);
        case.store.damage(&damaged);
        let mut reads = 0;
        for number in 1..30 {
            let keys = 10_000 + number * 1000..10_400 + number * 1000;
            for name in ["t", "u"] {
                let table = case.database.table(name).unwrap();
                table.insert(batch(keys.clone(), "new")).await.unwrap();
            }
            let_it_work().await;
            let troubles = case.database.inspect().await.troubles;
            if let [trouble] = &troubles[..] {
                assert!(trouble.work.contains(&damaged), "{trouble:?}");
                assert!(matches!(trouble.error, Error::Corruption { .. }), "{trouble:?}");
                if reads == 0 {
                    reads = case.store.reads_of(&damaged);
                }
                assert_eq!(case.store.reads_of(&damaged), reads, "it is read again");
            }
            assert!(troubles.len() < 2, "{troubles:?}");
            case.clock.advance(Duration::from_secs(1));
        }
        assert!(reads > 0, "nobody is told");
        for table in case.database.inspect().await.tables {
            let segments = table.parts.iter().filter(|part| part.kind == "segment").count();
            assert!(segments <= 10, "{} has {segments} segments", table.name);
        }
        assert_eq!(contents(&case.database, "u").await.len(), 29 * 400);
        // Who asks for all of it is told, and the other table is done.
        let error = case.database.compact().await.unwrap_err();
        assert!(matches!(error, Error::Corruption { .. }), "{error}");
        let tables = case.database.inspect().await.tables;
        assert_eq!(tables.iter().find(|table| table.name == "u").unwrap().parts.len(), 1);
        // The disk reads it again: a reopened database does too.
        case.store.heal(&damaged);
        drop(case.database);
        case.database = options(&case.clock).open_store(case.store.store()).await.unwrap();
        case.assert_tidy().await;
    });
}
