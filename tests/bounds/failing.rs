//! Publishing a manifest, writing a segment, compacting or removing files fails again and again:
//! nothing grows without bound, everyone is told, and all goes on by itself when the disk does.

use std::collections::BTreeMap;
use std::time::Duration;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use omen_provider::{Clock, Database, Error, Options, Result};

use super::failing_store::{Call, Effect, Failing};
use crate::harness::assert_sound;
use crate::harness::media::Medium;
use crate::harness::rows::{Part, Parts, Shape, Values, to_batch};

const LIMIT: u64 = 64 << 10;

type Model = BTreeMap<i64, String>;

/// A database on a store that fails on demand, and a clock that stands still.
struct Case {
    store: Failing,
    clock: Clock,
    database: Database,
    model: Model,
}

/// On one thread, so that a test repeats: the background works when the test lets it.
fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(work)
}

/// Lets the background do what it can.
async fn let_it_work() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

fn options(clock: &Clock) -> Options {
    Options {
        memtable_bytes_max: LIMIT as usize,
        cache_bytes_max: 0,
        row_group_rows: 256,
        clock: clock.clone(),
        ..Options::default()
    }
}

fn batch(keys: impl IntoIterator<Item = i64>, tag: &str) -> RecordBatch {
    let row =
        |id: i64| -> (Parts, Values) { (vec![Part::Int(id)], (Some(id), Some(text(id, tag)))) };
    to_batch(Shape::Int, &keys.into_iter().map(row).collect::<Vec<_>>())
}

fn text(id: i64, tag: &str) -> String {
    format!("{tag}-{id}")
}

async fn contents(database: &Database, table: &str) -> Model {
    let rows = database.table(table).unwrap().range::<i64>(..);
    let batches: Vec<RecordBatch> = rows.try_collect().await.unwrap();
    let mut found = Model::new();
    for batch in &batches {
        let ids = batch.column(0).as_primitive::<Int64Type>();
        let notes = batch.column(2).as_string::<i32>();
        let rows = ids.values().iter().zip(notes).map(|(id, note)| (*id, note.unwrap().into()));
        found.extend(rows);
    }
    found
}

impl Case {
    async fn new() -> Self {
        Self::on(Medium::faulty()).await
    }

    async fn on(medium: Medium) -> Self {
        let (store, clock) = (Failing::new(medium.store()), Clock::stopped());
        // The directory of a medium on the disk goes away with it.
        std::mem::forget(medium);
        let database = options(&clock).open_store(store.store()).await.unwrap();
        database.create_table(Shape::Int.definition("t"), false).await.unwrap();
        Self { store, clock, database, model: Model::new() }
    }

    /// Upserts `count` rows, some of which are there.
    async fn upsert(&mut self, number: i64, count: i64) -> Result<()> {
        let keys = (0..count).map(|i| (number * 7 + i * 31) % 5000);
        let tag = number.to_string();
        let table = self.database.table("t").unwrap();
        let outcome = table.upsert(batch(keys.clone(), &tag)).await.map(drop);
        if outcome.is_ok() {
            self.model.extend(keys.map(|id| (id, text(id, &tag))));
        }
        outcome
    }

    async fn delete(&mut self, keys: std::ops::Range<i64>) -> Result<()> {
        self.database.table("t").unwrap().delete(keys.clone()).await?;
        self.model.retain(|id, _| !keys.contains(id));
        Ok(())
    }

    async fn check(&self) {
        assert_eq!(contents(&self.database, "t").await, self.model);
    }

    /// What another process sees.
    async fn check_from_outside(&self) {
        let reader = Options { read_only: true, ..Options::default() };
        let reader = reader.open_store(self.store.store()).await.unwrap();
        assert_eq!(contents(&reader, "t").await, self.model);
    }

    /// Nothing is left but what the database needs: a log, a manifest, segments and their vectors.
    async fn assert_tidy(&self) {
        self.database.compact().await.unwrap();
        let inspection = self.database.inspect().await;
        let parts = inspection.tables.iter().flat_map(|table| &table.parts);
        let mut needed: Vec<String> = parts.map(|part| part.file.clone().unwrap()).collect();
        needed.push(format!("log/{:016x}.log", inspection.log.file));
        needed.push(format!("manifest/{:016x}.manifest", inspection.log.manifest));
        needed.sort();
        let (mut files, _) = self.store.files().await;
        files.sort();
        assert_eq!(files, needed);
        assert!(inspection.troubles.is_empty(), "{:?}", inspection.troubles);
        assert_sound(&self.database).await;
    }
}

fn manifests(call: Call, name: &str) -> bool {
    call == Call::Put && name.starts_with("manifest/")
}

fn segments(call: Call, name: &str) -> bool {
    call == Call::Finish && name.ends_with(".parquet")
}

fn vectors(call: Call, name: &str) -> bool {
    call == Call::Put && name.ends_with(".deletions")
}

fn new_logs(call: Call, _: &str) -> bool {
    call == Call::CreateLog
}

fn deletions(call: Call, _: &str) -> bool {
    call == Call::Delete
}

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
    assert!((2..=10).contains(&attempts), "{attempts} attempts");
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
        // But for the seal of the first one.
        let bytes = case.store.log_bytes().await;
        assert!((bytes - 100..=bytes).contains(&inspection.log.bytes), "{bytes}");
        case.store.mend();
        case.clock.advance(Duration::from_secs(10));
        assert_eq!(table.delete([key(999)]).await.unwrap(), 1);
        case.assert_tidy().await;
        assert_eq!(table.row_count().unwrap(), 999 - deleted);
    });
}

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

#[test]
fn closing_on_a_failed_disk_loses_nothing() {
    type Fails = fn(Call, &str) -> bool;
    let cases: [Fails; 5] =
        [manifests, segments, new_logs, |_, _| true, |call, _| call == Call::Append];
    for (fails, effect) in cases.iter().flat_map(|f| [(*f, Effect::Nothing), (*f, Effect::Whole)]) {
        block_on(async {
            let mut case = Case::new().await;
            for number in 0..5 {
                case.upsert(number, 200).await.unwrap();
            }
            case.store.fail(fails, effect);
            assert!(case.database.close().await.is_err());
            let closed = case.upsert(9, 10).await;
            assert!(matches!(closed, Err(Error::Unavailable(_))), "{closed:?}");
            case.database.close().await.unwrap();
            case.store.mend();
            case.check_from_outside().await;
            case.database = options(&case.clock).open_store(case.store.store()).await.unwrap();
            case.check().await;
            case.assert_tidy().await;
        });
    }
}

#[test]
fn closing_in_vain_frees_the_directory() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let database = Options::default().open(folder.path()).await.unwrap();
        database.create_table(Shape::Int.definition("t"), false).await.unwrap();
        database.table("t").unwrap().insert(batch(0..100, "a")).await.unwrap();
        let (here, away) = (folder.path().join("manifest"), folder.path().join("away"));
        std::fs::rename(&here, &away).unwrap();
        assert!(database.close().await.is_err());
        std::fs::rename(&away, &here).unwrap();
        let again = Options::default().open(folder.path()).await.unwrap();
        assert_eq!(contents(&again, "t").await.len(), 100);
        drop(database);
        again.close().await.unwrap();
    });
}

#[test]
fn inspection_waits_for_no_flush() {
    block_on(async {
        let mut case = Case::new().await;
        case.upsert(1, 100).await.unwrap();
        case.store.fail(manifests, Effect::Waits);
        let flush = {
            let database = case.database.clone();
            tokio::spawn(async move { database.checkpoint().await })
        };
        let_it_work().await;
        assert_eq!(case.store.failures(), 1, "the flush is under way");
        let inspection = case.database.inspect().now_or_never().expect("no waiting");
        assert_eq!(inspection.tables[0].rows, 100);
        case.store.mend();
        flush.await.unwrap().unwrap();
        let manifest = case.database.inspect().await.log.manifest;
        assert_eq!(manifest, inspection.log.manifest + 1);
        case.assert_tidy().await;
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
