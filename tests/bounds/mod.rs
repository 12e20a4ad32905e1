//! What grows with use stays within the options: rows in memory, the log, the number of segments.

use arrow::array::RecordBatch;
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
