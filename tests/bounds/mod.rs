//! What grows with use stays within bounds: rows in memory, the log, the number of segments, files
//! that nobody reads any more; also while the disk fails (`failing`).

mod compaction;
mod failing;
mod loads;
mod queries;

use arrow::array::RecordBatch;
use futures::TryStreamExt;
use omen_provider::{Database, Options};
use tokio::time::{Duration, sleep};

use crate::harness::media::Medium;
use crate::harness::rows::{Part, Parts, Shape, Values, to_batch};
use crate::harness::{assert_sound, block_on};

const LIMIT: u64 = 64 << 10;
const BATCHES: u16 = 150;
const BATCH: u16 = 300;

fn options() -> Options {
    Options { memtable_bytes_max: LIMIT as usize, ..Options::default() }
}

/// Rows whose keys lie between those of other batches.
fn batch(number: u16) -> RecordBatch {
    let row = |i: u16| -> (Parts, Values) {
        let id = i64::from(i) * i64::from(BATCHES) + i64::from(number);
        let note = format!("a note of row {id}");
        (vec![Part::Int(id)], (Some(id), Some(note)))
    };
    to_batch(Shape::Int, &(0..BATCH).map(row).collect::<Vec<_>>())
}

async fn made(medium: &Medium) -> Database {
    let database = medium.open(options()).await.unwrap();
    database.create_table(Shape::Int.definition("t"), false).await.unwrap();
    database
}

/// Bytes of rows in memory, bytes of the log, and the number of segments.
async fn sizes(database: &Database) -> (u64, u64, usize) {
    let inspection = database.inspect().await;
    let parts = &inspection.tables[0].parts;
    let bytes = parts.iter().filter(|part| part.kind == "run").map(|part| part.bytes).sum();
    let segments = parts.iter().filter(|part| part.kind == "segment").count();
    (bytes, inspection.log.bytes, segments)
}

#[test]
fn writers_wait_for_memory() {
    // On one thread, where nothing runs in the background as long as nobody waits.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let medium = Medium::disk();
        let database = made(&medium).await;
        let table = database.table("t").unwrap();
        let mut one = 0;
        for number in 0..BATCHES {
            table.insert(batch(number)).await.unwrap();
            let (memory, log, _) = sizes(&database).await;
            if number == 0 {
                one = memory;
            }
            assert!(one > 0 && memory <= 2 * LIMIT + 2 * one, "{memory} bytes in memory");
            assert!(log <= 8 * LIMIT, "{log} bytes of log");
        }
        assert_eq!(table.row_count().unwrap(), u64::from(BATCHES) * u64::from(BATCH));
    });
}

#[test]
fn rows_are_flushed_and_segments_merged_without_being_asked_for() {
    block_on(async {
        let medium = Medium::disk();
        let database = made(&medium).await;
        let table = database.table("t").unwrap();
        for number in 0..BATCHES {
            table.insert(batch(number)).await.unwrap();
        }
        // The background may lag behind; it is given time.
        let mut last = (0, 0, 0);
        for _ in 0..200 {
            last = sizes(&database).await;
            // At most three segments of each of three sizes.
            if last.0 <= LIMIT && (1..=9).contains(&last.2) {
                break;
            }
            sleep(Duration::from_millis(50)).await;
        }
        assert!(last.0 <= LIMIT && (1..=9).contains(&last.2), "{last:?}");
        assert_sound(&database).await;
        assert_eq!(table.row_count().unwrap(), u64::from(BATCHES) * u64::from(BATCH));
    });
}

/// Waits for the background until there are at most three segments of each of three sizes.
async fn few_segments(database: &Database) {
    let mut last = (0, 0, 0);
    for _ in 0..200 {
        last = sizes(database).await;
        if last.2 <= 9 {
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
    panic!("{} segments are left", last.2);
}

#[test]
fn segments_of_checkpoints_are_merged_too() {
    block_on(async {
        let medium = Medium::disk();
        let mut database = medium.open(Options::default()).await.unwrap();
        database.create_table(Shape::Int.definition("t"), false).await.unwrap();
        for number in 0..60 {
            // Every other segment is made by closing.
            if number % 2 == 0 {
                database.checkpoint().await.unwrap();
            } else {
                database.close().await.unwrap();
                database = medium.open(Options::default()).await.unwrap();
            }
            database.table("t").unwrap().insert(batch(number)).await.unwrap();
        }
        few_segments(&database).await;
        assert_sound(&database).await;
        assert_eq!(database.table("t").unwrap().row_count().unwrap(), 60 * u64::from(BATCH));
    });
}

/// Whoever opens a database for one statement and closes it leaves the background no time.
#[test]
fn short_sessions_leave_few_segments() {
    block_on(async {
        let medium = Medium::disk();
        made(&medium).await.close().await.unwrap();
        for number in 0..60 {
            let database = medium.open(Options::default()).await.unwrap();
            database.table("t").unwrap().insert(batch(number)).await.unwrap();
            database.close().await.unwrap();
            assert!(segment_files(&medium).await <= 9, "after {number} sessions");
        }
        let database = medium.open(Options::default()).await.unwrap();
        assert_sound(&database).await;
        assert_eq!(database.table("t").unwrap().row_count().unwrap(), 60 * u64::from(BATCH));
    });
}

/// Segment files on the medium.
async fn segment_files(medium: &Medium) -> usize {
    medium.store().blobs.list("segments").await.unwrap().len()
}

#[test]
fn replaced_files_stay_as_long_as_they_are_read_and_no_longer() {
    for medium in Medium::all() {
        block_on(async {
            let options = Options { cache_bytes_max: 0, ..Options::default() };
            let database = medium.open(options).await.unwrap();
            database.create_table(Shape::Int.definition("t"), false).await.unwrap();
            let table = database.table("t").unwrap();
            for number in 0..2 {
                table.insert(batch(number)).await.unwrap();
                database.checkpoint().await.unwrap();
            }
            let snapshot = database.snapshot();
            for number in 0..2 {
                let keys = (0..i64::from(BATCH)).map(|i| i * i64::from(BATCHES) + number);
                assert_eq!(table.delete(keys).await.unwrap(), u64::from(BATCH));
                database.compact().await.unwrap();
            }
            let rows = snapshot.table("t").unwrap().range::<i64>(..);
            let batches: Vec<_> = rows.try_collect().await.unwrap();
            let rows = batches.iter().map(RecordBatch::num_rows).sum::<usize>();
            assert_eq!(rows, 2 * usize::from(BATCH));
            drop(snapshot);
            database.compact().await.unwrap();
            assert_eq!(segment_files(&medium).await, 0, "of a table without rows");
        });
    }
}
