//! A backup is the database as of one statement, whoever writes meanwhile; it is replaced all at
//! once, copies what is new, and takes nothing that is damaged or another database's for its own.

mod interrupted;
mod refused;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::SeqCst};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use futures::TryStreamExt;
use omen_provider::store::Store;
use omen_provider::{Database, Options, Result};

use crate::harness::failing_store::{Call, Effect, Failing};
use crate::harness::media::{Medium, small};
use crate::harness::rows::{Part, Parts, Shape, Values, to_batch};
use crate::harness::watched::Watched;
use crate::harness::{assert_sound, block_on, block_on_without_background, drawn, run};
use crate::readers::cold::cold_store;

/// Rows by key.
type Rows = BTreeMap<i64, i64>;

/// With room for all rows of a test: what is flushed, it says.
fn options() -> Options {
    Options { memtable_bytes_max: 8 << 20, ..small() }
}

fn reading() -> Options {
    Options { read_only: true, ..options() }
}

fn batch(rows: &[(i64, i64)]) -> RecordBatch {
    let row = |&(id, number): &(i64, i64)| -> (Parts, Values) {
        (vec![Part::Int(id)], (Some(number), Some(format!("note {id}"))))
    };
    to_batch(Shape::Int, &rows.iter().map(row).collect::<Vec<_>>())
}

async fn made(medium: &Medium, options: Options) -> Database {
    let database = medium.open(options).await.unwrap();
    database.create_table(Shape::Int.definition("t"), false).await.unwrap();
    database
}

/// The rows that statement `number` writes: its number, always at the same place; new ones; one
/// that may be there.
fn statement(number: i64) -> Vec<(i64, i64)> {
    let mut rows = vec![(0, number), (number * 3, number), (number * 3 + 1, number)];
    rows.push((3 + number * 7919 % (number * 3 + 1), number));
    rows.sort_unstable();
    rows.dedup_by_key(|row| row.0);
    rows
}

async fn write(database: &Database, number: i64) -> Result<u64> {
    database.table("t")?.upsert(batch(&statement(number))).await
}

/// What the first statements leave.
fn model(statements: i64) -> Rows {
    (1..=statements).flat_map(statement).collect()
}

async fn rows_of(database: &Database) -> Rows {
    let table = database.table("t").unwrap();
    let batches: Vec<RecordBatch> = table.range::<i64>(..).try_collect().await.unwrap();
    let mut found = Rows::new();
    for batch in &batches {
        let ids = batch.column(0).as_primitive::<Int64Type>().values();
        let numbers = batch.column(1).as_primitive::<Int64Type>().values();
        found.extend(ids.iter().copied().zip(numbers.iter().copied()));
    }
    assert_eq!(table.row_count().unwrap(), found.len() as u64);
    found
}

/// The rows of the copy in a store, after every byte of it was checked.
async fn rows_in(store: Store) -> Rows {
    let copy = reading().open_store(store).await.unwrap();
    assert_sound(&copy).await;
    rows_of(&copy).await
}

fn files(directory: &Path, folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory.join(folder)).unwrap();
    let mut found: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

#[test]
fn backup_under_load_is_the_state_after_one_statement() {
    block_on(async {
        let (medium, folder) = (Medium::disk(), tempfile::tempdir().unwrap());
        let small = Options { memtable_bytes_max: 8 << 10, ..options() };
        let database = made(&medium, small).await;
        let (acknowledged, stopped) =
            (Arc::new(AtomicI64::new(0)), Arc::new(AtomicBool::new(false)));
        let writing = {
            let (database, stopped) = (database.clone(), Arc::clone(&stopped));
            let acknowledged = Arc::clone(&acknowledged);
            tokio::spawn(async move {
                let mut number = 0;
                while !stopped.load(SeqCst) {
                    number += 1;
                    write(&database, number).await.unwrap();
                    acknowledged.store(number, SeqCst);
                    if number % 100 == 0 {
                        database.compact().await.unwrap();
                    }
                }
            })
        };
        let (mut kept, mut written, mut last) = (0, 0, 0);
        for round in 0..12 {
            while acknowledged.load(SeqCst) < last + 25 {
                tokio::task::yield_now().await;
            }
            let begun = acknowledged.load(SeqCst);
            // From the writer's own handle, and from another one as another process has it.
            let reader = match round % 2 {
                0 => database.clone(),
                _ => medium.open(reading()).await.unwrap(),
            };
            let report = reader.backup(folder.path().join("copy")).await.unwrap();
            last = acknowledged.load(SeqCst);
            kept += report.kept;
            written += report.written;
            let rows = rows_in(Store::local(folder.path().join("copy"))).await;
            let state = rows[&0];
            assert!((begun..=last + 1).contains(&state), "{state} of {begun} to {last}");
            assert_eq!(rows, model(state), "round {round}, statement {state}");
        }
        stopped.store(true, SeqCst);
        writing.await.unwrap();
        assert!(kept > 0 && written > 0, "{kept} kept, {written} written");
        database.backup(folder.path().join("copy")).await.unwrap();
        let copy = Store::local(folder.path().join("copy"));
        assert_eq!(rows_in(copy).await, rows_of(&database).await);
    });
}

#[test]
fn only_what_is_new_is_copied() {
    block_on_without_background(async {
        let (medium, target) = (Medium::disk(), Medium::disk());
        let database = made(&medium, options()).await;
        let watched = Watched::new(target.store());
        let created = |before: usize| -> Vec<String> {
            let writes = watched.writes().split_off(before);
            writes.into_iter().filter(|w| w.contains(".parquet") || w.contains(".dele")).collect()
        };
        let back_up = || database.backup_to_store(watched.store(), &|_, _| {});
        let mut number = 0;
        for _ in 0..3 {
            for _ in 0..50 {
                number += 1;
                write(&database, number).await.unwrap();
            }
            database.checkpoint().await.unwrap();
        }
        let first = back_up().await.unwrap();
        assert_eq!((first.copied, first.kept, first.written), (3, 0, 0), "{first:?}");
        assert!(created(0).iter().any(|write| write.contains(".deletions")), "no marks");

        let before = watched.writes().len();
        let again = back_up().await.unwrap();
        assert_eq!((again.copied, again.kept, again.written), (0, 3, 0), "{again:?}");
        assert_eq!(created(before), Vec::<String>::new());

        // Rows in memory, marks on one segment.
        write(&database, number + 1).await.unwrap();
        let before = watched.writes().len();
        let third = back_up().await.unwrap();
        assert_eq!((third.copied, third.kept, third.written), (0, 3, 1), "{third:?}");
        let vectors = |write: &&String| write.ends_with(".deletions");
        assert_eq!(created(before).iter().filter(vectors).count(), 1, "{:?}", created(before));
        assert_eq!(rows_in(target.store()).await, model(number + 1));

        // The flush makes another segment of these rows.
        database.checkpoint().await.unwrap();
        let fourth = back_up().await.unwrap();
        assert_eq!((fourth.copied, fourth.kept, fourth.written), (1, 3, 0), "{fourth:?}");
        database.compact().await.unwrap();
        let compacted = back_up().await.unwrap();
        assert_eq!((compacted.copied, compacted.kept), (1, 0), "{compacted:?}");
        // The four segments, and the vectors of some.
        assert!(compacted.removed > 4, "{compacted:?}");
        assert_eq!(rows_in(target.store()).await, model(number + 1));
        assert_eq!(target.store().blobs.list("segments").await.unwrap().len(), 1);
        assert_eq!(target.store().blobs.list("manifest").await.unwrap().len(), 1);
    });
}

/// What is copied stays as long as it is copied, though the database has done without it since.
#[test]
fn compaction_beside_a_backup() {
    block_on(async {
        let (medium, target) = (Medium::disk(), Medium::disk());
        let database = made(&medium, options()).await;
        for number in 1..=200 {
            write(&database, number).await.unwrap();
            if number % 50 == 0 {
                database.checkpoint().await.unwrap();
            }
        }
        let failing = Failing::new(target.store());
        failing.fail(|call, name| call == Call::Finish && name.contains(".parq"), Effect::Waits);
        let backup = {
            let (database, store) = (database.clone(), failing.store());
            tokio::spawn(async move { database.backup_to_store(store, &|_, _| {}).await })
        };
        while failing.failures() == 0 {
            tokio::task::yield_now().await;
        }
        let before = files(medium.folder(), "segments");
        for number in 201..=300 {
            write(&database, number).await.unwrap();
        }
        database.compact().await.unwrap();
        let merged = files(medium.folder(), "segments");
        assert!(before.iter().all(|file| merged.contains(file) || is_vector(file)), "{merged:?}");
        failing.mend();
        backup.await.unwrap().unwrap();
        assert_eq!(rows_in(target.store()).await, model(200));
        database.compact().await.unwrap();
        assert_eq!(files(medium.folder(), "segments").len(), 1, "they are kept for ever");
        assert_eq!(rows_of(&database).await, model(300));
    });
}

/// Reads a backup while it is brought on to a state that shares no segment with it.
async fn read_meanwhile(pins: bool) -> Result<Vec<RecordBatch>> {
    let (medium, folder) = (Medium::disk(), tempfile::tempdir().unwrap());
    let copy = folder.path().join("copy");
    let database = made(&medium, options()).await;
    for number in 1..=80 {
        write(&database, number).await?;
    }
    database.checkpoint().await?;
    database.backup(&copy).await?;
    let reader = reading().open_store(cold_store(&copy, pins)).await?;
    write(&database, 81).await?;
    database.compact().await?;
    let report = database.backup(&copy).await?;
    assert_eq!((report.kept, report.removed > 0), (0, !pins));
    assert_eq!(rows_in(Store::local(&copy)).await, model(81));
    let found = reader.table("t")?.range::<i64>(..).try_collect().await;
    drop(reader);
    // What was spared for the reader goes with the next one.
    assert_eq!(database.backup(&copy).await?.removed > 0, pins);
    found
}

#[test]
fn reader_of_a_backup_keeps_what_it_reads() {
    let found = block_on(read_meanwhile(true)).unwrap();
    assert_eq!(found.iter().map(RecordBatch::num_rows).sum::<usize>(), model(80).len());
    assert!(block_on(read_meanwhile(false)).is_err());
}

fn is_vector(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "deletions")
}

/// Tables of all sorts: without a key, empty, dropped; and a database that lies elsewhere.
#[test]
fn restored_database_goes_on_by_itself() {
    for medium in Medium::all() {
        block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let (copy, restored) = (folder.path().join("copy"), folder.path().join("restored"));
            let database = made(&medium, options()).await;
            run(&database, "CREATE TABLE log (line TEXT)").await;
            run(&database, "CREATE TABLE empty (id BIGINT PRIMARY KEY)").await;
            run(&database, "CREATE TABLE gone (id BIGINT PRIMARY KEY)").await;
            run(&database, "INSERT INTO log VALUES ('a'), ('b')").await;
            run(&database, "DROP TABLE gone").await;
            for number in 1..=100 {
                write(&database, number).await.unwrap();
            }
            let report = database.backup(&copy).await.unwrap();
            assert_eq!(report.lsn, database.inspect().await.lsn);
            run(&database, "INSERT INTO log VALUES ('later')").await;

            let restoring = options().restore(&copy, &restored, &|_, _| {}).await.unwrap();
            assert_eq!((restoring.lsn, restoring.written), (report.lsn, 0));
            let again = options().open(&restored).await.unwrap();
            assert_eq!(again.table_names(), ["empty", "log", "t"]);
            assert_eq!(rows_of(&again).await, model(100));
            run(&again, "INSERT INTO log VALUES ('none')").await;
            run(&again, "CREATE TABLE gone (id BIGINT PRIMARY KEY)").await;
            write(&again, 101).await.unwrap();
            again.compact().await.unwrap();
            assert_sound(&again).await;
            assert_eq!(rows_of(&again).await, model(101));
            let lines = drawn(&again, "SELECT line FROM log ORDER BY line").await;
            let lines: Vec<_> = lines.lines().skip(3).map(|l| l.trim_matches(['|', ' '])).collect();
            assert_eq!(lines[..3], ["a", "b", "none"], "{lines:?}");

            // Each goes into a directory of its own.
            let [old, new] = [&database, &again].map(Database::inspect);
            assert_ne!(old.await.log.database, new.await.log.database);
            let refused = again.backup(&copy).await.unwrap_err();
            assert!(refused.to_string().contains("holds another database"), "{refused}");
            database.backup(&copy).await.unwrap();
            again.backup(folder.path().join("copy of restored")).await.unwrap();
            assert_eq!(rows_in(Store::local(&copy)).await, model(100));
        });
    }
}
