//! Statements of many rows share their memory: a batch of any length, and many streams at once.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use futures::{StreamExt, stream};
use omen_provider::{Database, Error, Options, TableDefinition};
use tokio::runtime::{Builder, Runtime};

use crate::harness::assert_sound;

const MIB: usize = 1 << 20;
const VALUE_BYTES: usize = 2000;
const BATCH_ROWS: i64 = 32;

/// Portions of 8 MiB, two of them at once.
fn options() -> Options {
    Options {
        memtable_bytes_max: 16 * MIB,
        load_bytes_max: 32 * MIB,
        cache_bytes_max: MIB,
        ..Options::default()
    }
}

fn schema() -> SchemaRef {
    let fields = [("id", DataType::Int64), ("note", DataType::Utf8)];
    Arc::new(Schema::new(fields.map(|(name, kind)| Field::new(name, kind, false)).to_vec()))
}

fn definition(name: &str) -> TableDefinition {
    TableDefinition::new(name, &schema()).primary_key(["id"])
}

/// Rows of about 2 kB each.
fn batch(ids: impl Iterator<Item = i64>) -> RecordBatch {
    let ids: Vec<i64> = ids.collect();
    let notes = ids.iter().map(|id| format!("{id:0VALUE_BYTES$}"));
    let notes = StringArray::from_iter_values(notes);
    RecordBatch::try_new(schema(), vec![Arc::new(Int64Array::from(ids)), Arc::new(notes)]).unwrap()
}

fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn two_threads() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Bytes of rows in memory and of the log.
async fn sizes(database: &Database) -> (u64, u64) {
    let inspection = database.inspect().await;
    let parts = inspection.tables.iter().flat_map(|table| &table.parts);
    let runs = parts.filter(|part| part.kind == "run").map(|part| part.bytes).sum();
    (runs, inspection.log.bytes)
}

#[test]
fn a_batch_of_any_length_is_written_without_being_held_whole() {
    // On one thread, where nothing is flushed in the background.
    one_thread().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { memtable_bytes_max: MIB, ..options() };
        let database = options.open(folder.path()).await.unwrap();
        database.create_table(definition("t"), false).await.unwrap();
        let table = database.table("t").unwrap();
        let count = 5000;
        let rows = batch((0..count).rev());
        assert_eq!(table.insert(rows).await.unwrap(), count as u64);
        let (runs, log) = sizes(&database).await;
        assert!(runs == 0 && log < MIB as u64, "{runs} bytes of rows, {log} of log");
        // The second time they are duplicates, and so are two of one batch far apart.
        let again = table.insert(batch(0..count)).await;
        assert!(matches!(again, Err(Error::DuplicateKey { .. })), "{again:?}");
        let twice = table.insert(batch((count..2 * count).chain([count]))).await;
        assert!(matches!(twice, Err(Error::DuplicateKey { .. })), "{twice:?}");
        assert_eq!(table.row_count().unwrap(), count as u64);
        assert_eq!(table.upsert(batch((0..count).chain([3, 3]))).await.unwrap(), count as u64 + 2);
        assert_eq!(table.row_count().unwrap(), count as u64);
        assert_sound(&database).await;
    });
}

#[test]
fn streams_that_come_from_one_source_do_not_wait_for_each_other() {
    two_threads().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        // Of all streams one may hold a portion.
        let options = Options { memtable_bytes_max: MIB, load_bytes_max: MIB, ..options() };
        let database = options.open(folder.path()).await.unwrap();
        let (mut senders, mut loads) = (Vec::new(), Vec::new());
        for number in 0..6 {
            let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
            let rows = stream::poll_fn(move |context| receiver.poll_recv(context));
            senders.push(sender);
            let (database, table) = (database.clone(), definition(&format!("t{number}")));
            let load = async move { database.create_table_from(table, rows).await };
            loads.push(tokio::spawn(load));
        }
        let feeding = async {
            for first in (0..640).step_by(BATCH_ROWS as usize) {
                for sender in &senders {
                    sender.send(Ok(batch(first..first + BATCH_ROWS))).await.unwrap();
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(120), feeding).await.expect("they wait for ever");
        drop(senders);
        for load in loads {
            assert_eq!(load.await.unwrap().unwrap(), 640);
        }
        assert_sound(&database).await;
    });
}

/// By this the child is told what to do.
const TASK: &str = "OMEN_BOUNDS_LOADS";

/// The most memory that this process ever had.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse::<usize>().unwrap() << 10
}

#[cfg(target_os = "linux")]
#[test]
fn sixteen_streams_at_once_hold_what_is_allowed() {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["bounds::loads::loads_when_it_is_told", "--exact", "--nocapture"])
        .env(TASK, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let grown = text.lines().find_map(|line| line.strip_prefix("grown by ")).unwrap();
    println!("grown by {grown}");
    // Besides the 32 MiB of portions: what is not counted of each stream, and the writers of two.
    assert!(grown.parse::<usize>().unwrap() < 80 * MIB, "{grown}");
}

/// Runs in a process of its own, whose memory nobody else uses.
#[test]
fn loads_when_it_is_told() {
    if std::env::var_os(TASK).is_none() {
        return;
    }
    two_threads().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let database = options().open(folder.path()).await.unwrap();
        let load = |name: String, rows: i64| {
            let batches = stream::iter((0..rows).step_by(BATCH_ROWS as usize));
            // As rows come from a network: everybody's turn after each batch.
            let batches = batches.then(|first| async move {
                tokio::task::yield_now().await;
                Ok(batch(first..first + BATCH_ROWS))
            });
            let database = database.clone();
            let load = async move { database.create_table_from(definition(&name), batches).await };
            tokio::spawn(load)
        };
        let rows = 6400;
        load("first".to_string(), rows).await.unwrap().unwrap();
        let before = peak();
        let loads: Vec<_> = (0..16).map(|number| load(format!("t{number}"), rows)).collect();
        for load in loads {
            assert_eq!(load.await.unwrap().unwrap(), rows as u64);
        }
        println!("grown by {}", peak() - before);
    });
}
