//! Flushes that fail, and go on from where they were: how much there is meanwhile, who is told.

use std::time::Duration;

use futures::FutureExt;
use omen_provider::Error;

use super::{Call, Case, LIMIT, block_on, let_it_work, manifests, new_logs, segments, vectors};
use crate::harness::failing_store::Effect;
use crate::harness::rows::{Part, Parts, Shape, Values, to_batch};

/// A thousand statements while flushes fail in some way.
async fn thousand_statements(fails: fn(Call, &str) -> bool, effect: Effect) {
    let mut case = Case::new().await;
    for number in 0..40 {
        case.upsert(number, 100).await.unwrap();
    }
    case.database.checkpoint().await.unwrap();
    case.upsert(1, 1000).await.unwrap();
    let (before, bytes_before) = case.store.files().await;
    let vectors = |files: &[String]| files.iter().filter(|f| f.ends_with(".deletions")).count();
    case.store.fail(fails, effect);
    let (mut refused, mut most) = (0, 0);
    for number in 40..1040 {
        case.clock.advance(Duration::from_millis(20));
        match case.upsert(number, 20).await {
            Ok(()) => {}
            Err(Error::Exhausted { what, source }) => {
                refused += 1;
                assert!(what.contains("rows in memory") || what.contains("the log"), "{what}");
                assert!(source.to_string().contains("planned fault"), "{source}");
            }
            Err(error) => panic!("{error}"),
        }
        let (files, bytes) = case.store.files().await;
        most = most.max(files.len());
        assert!(files.len() < 40, "statement {number}: {files:?}");
        assert!(vectors(&files) <= vectors(&before) + 1, "statement {number}: {files:?}");
        assert!(bytes < bytes_before + 12 * LIMIT, "statement {number}: {bytes} bytes");
        if number % 100 == 0 {
            case.check().await;
            case.check_from_outside().await;
            let troubles = case.database.inspect().await.troubles;
            assert!(troubles.is_empty() || troubles[0].work == "flush", "{troubles:?}");
        }
    }
    assert!(refused > 500, "{refused} refused");
    // 20 seconds hold so many pauses that double from 0.1 to 10 seconds.
    let attempts = case.store.failures();
    // A manifest that is there without an answer is met by the next attempt, which asks twice.
    let most = if effect == Effect::Whole { 20 } else { 10 };
    assert!((2..=most).contains(&attempts), "{attempts} attempts");
    let troubles = case.database.inspect().await.troubles;
    assert_eq!(troubles[0].work, "flush", "{troubles:?}");
    assert!(troubles[0].error.to_string().contains("planned fault"), "{troubles:?}");
    println!("{effect:?}: {refused} refused, {attempts} attempts, {most} files");
    // Deletions go on.
    case.delete(0..100).await.unwrap();
    assert!(matches!(case.upsert(5, 20).await, Err(Error::Exhausted { .. })));
    case.check().await;

    case.store.mend();
    case.clock.advance(Duration::from_secs(10));
    case.upsert(2000, 20).await.unwrap();
    case.check().await;
    case.check_from_outside().await;
    case.assert_tidy().await;
    case.check().await;
}

#[test]
fn manifests_that_fail_leave_nothing_behind() {
    for effect in [Effect::Nothing, Effect::Whole] {
        block_on(thousand_statements(manifests, effect));
    }
}

#[test]
fn segments_that_fail_leave_nothing_behind() {
    for effect in [Effect::Nothing, Effect::Whole] {
        block_on(thousand_statements(segments, effect));
    }
}

#[test]
fn vectors_and_logs_that_fail_leave_nothing_behind() {
    for effect in [Effect::Nothing, Effect::Whole] {
        block_on(thousand_statements(vectors, effect));
        block_on(thousand_statements(new_logs, effect));
    }
}

#[test]
fn failed_flush_is_not_repeated_by_every_statement() {
    block_on(async {
        let mut case = Case::new().await;
        case.store.fail(manifests, Effect::Nothing);
        assert!(case.database.checkpoint().await.is_err());
        for number in 0..200 {
            let _ = case.upsert(number, 30).await;
            let_it_work().await;
        }
        assert_eq!(case.store.failures(), 1, "the clock stands still");
        // Who asks for it gets it at once.
        assert!(case.database.checkpoint().await.is_err());
        assert_eq!(case.store.failures(), 2);
        let (files, _) = case.store.files().await;
        assert_eq!(files.iter().filter(|name| name.starts_with("log/")).count(), 2, "{files:?}");
    });
}

/// All logs that a reopening would read count, also when few rows are in memory.
#[test]
fn chain_of_logs_is_one_length() {
    block_on(async {
        let case = Case::new().await;
        case.database.create_table(Shape::Text.definition("u"), false).await.unwrap();
        let key = |i: i64| format!("{i:01000}");
        let row = |i: i64| -> (Parts, Values) { (vec![Part::Text(key(i))], (None, None)) };
        let rows: Vec<_> = (0..1000).map(row).collect();
        let table = case.database.table("u").unwrap();
        for rows in rows.chunks(100) {
            table.insert(to_batch(Shape::Text, rows)).await.unwrap();
        }
        case.database.checkpoint().await.unwrap();
        case.store.fail(manifests, Effect::Nothing);
        let (mut deleted, mut refused) = (0, 0);
        for number in 0..900 {
            case.clock.advance(Duration::from_millis(100));
            match table.delete([key(number)]).await {
                Ok(count) => deleted += count,
                Err(Error::Exhausted { what, .. }) => {
                    refused += 1;
                    assert!(what.starts_with("the log is"), "{what}");
                }
                Err(error) => panic!("{error}"),
            }
            let_it_work().await;
        }
        assert!(deleted > 300 && refused > 300, "{deleted} deleted, {refused} refused");
        let inspection = case.database.inspect().await;
        assert!(inspection.log.bytes <= 8 * LIMIT + 2000, "{}", inspection.log.bytes);
        // But for the seal of the first one, and the last blocks.
        let bytes = case.store.log_bytes().await;
        assert!((bytes - 2 * 4096 - 100..=bytes).contains(&inspection.log.bytes), "{bytes}");
        case.store.mend();
        case.clock.advance(Duration::from_secs(10));
        assert_eq!(table.delete([key(999)]).await.unwrap(), 1);
        case.assert_tidy().await;
        assert_eq!(table.row_count().unwrap(), 999 - deleted);
    });
}

/// A caller that goes away in the middle of a flush leaves a flush that goes on with the next one.
#[test]
fn abandoned_flush_is_gone_on_with() {
    block_on(async {
        let mut case = Case::new().await;
        for number in 0..30 {
            case.upsert(number, 60).await.unwrap();
            for fails in [manifests, segments, new_logs] {
                case.store.fail(fails, Effect::Waits);
                assert!(case.database.checkpoint().now_or_never().is_none());
                assert!(case.database.checkpoint().now_or_never().is_none());
                case.store.mend();
                case.upsert(number + 100, 20).await.unwrap();
            }
            let logs = case.store.files().await.0;
            let logs = logs.iter().filter(|name| name.starts_with("log/")).count();
            assert!(logs <= 2, "{logs} logs");
        }
        case.check_from_outside().await;
        case.assert_tidy().await;
        case.check().await;
    });
}
