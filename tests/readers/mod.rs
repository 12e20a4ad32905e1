//! One process writes, any number read beside it: what a reader has in its hands stays, what was
//! acknowledged is seen, what a crash takes back is not.

pub(crate) mod cold;
mod lifetimes;
mod processes;

use std::path::Path;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use futures::{StreamExt, TryStreamExt};
use omen_provider::{Database, Options, Snapshot};

use crate::faulty_disk::files::{EIO, Failure, FaultyFiles};
use crate::harness::media::{Medium, small};
use crate::harness::{block_on, query, run};
use cold::cold_store;

/// Rows of the table.
const ROWS: i64 = 1500;

fn read_only() -> Options {
    Options { read_only: true, cache_bytes_max: 0, ..small() }
}

/// A statement that writes all rows anew.
fn rewrite(round: usize) -> String {
    format!("INSERT OR REPLACE INTO t SELECT value, {round} FROM generate_series(1, {ROWS})")
}

async fn made(database: &Database) {
    run(database, "CREATE TABLE t (id BIGINT PRIMARY KEY, round BIGINT)").await;
    run(database, &rewrite(0)).await;
    database.checkpoint().await.unwrap();
}

/// How many rows there are of which round; an error if a file is missing.
fn rounds(batches: &[RecordBatch]) -> Vec<(i64, usize)> {
    let mut rounds = Vec::new();
    for batch in batches {
        for round in batch.column(1).as_primitive::<Int64Type>().values() {
            match rounds.last_mut() {
                Some((last, count)) if last == round => *count += 1,
                _ => rounds.push((*round, 1)),
            }
        }
    }
    rounds
}

async fn read(snapshot: &Snapshot) -> omen_provider::Result<Vec<(i64, usize)>> {
    let table = snapshot.table("t").expect("the table");
    let batches: Vec<RecordBatch> = table.range::<i64>(..).try_collect().await?;
    Ok(rounds(&batches))
}

fn whole(round: usize) -> Vec<(i64, usize)> {
    vec![(round as i64, ROWS as usize)]
}

fn files(folder: &Path, kind: &str) -> usize {
    std::fs::read_dir(folder.join(kind)).unwrap().count()
}

/// Writes and removes beside readers; returns what reading an old snapshot gave at the end.
async fn old_snapshot(pins: bool, rewrites: usize) -> omen_provider::Result<Vec<(i64, usize)>> {
    let medium = Medium::disk();
    let writer = medium.open(small()).await.unwrap();
    made(&writer).await;
    let reader = read_only().open_store(cold_store(medium.folder(), pins)).await.unwrap();
    let old = reader.snapshot();
    let mut stream = reader.table("t").unwrap().range::<i64>(..);
    let first = stream.next().await.unwrap()?;
    let frame = reader.session().sql("SELECT id, round FROM t ORDER BY id").await.unwrap();
    let plan = frame.create_physical_plan().await.unwrap();
    drop(frame);
    for round in 1..=rewrites {
        run(&writer, &rewrite(round)).await;
        writer.checkpoint().await.unwrap();
        if round % 5 == 0 {
            writer.compact().await.unwrap();
        }
        if round % 3 == 0 {
            reader.refresh().await?;
            assert_eq!(read(&reader.snapshot()).await?, whole(round));
        }
    }
    let found = read(&old).await?;
    let mut rest: Vec<RecordBatch> = stream.try_collect().await?;
    rest.insert(0, first);
    assert_eq!(rounds(&rest), whole(0));
    let context = reader.session().context().task_ctx();
    let planned = datafusion::physical_plan::collect(plan, context).await.unwrap();
    assert_eq!(rounds(&planned), whole(0));
    drop((old, planned));
    // The reader still stands on some manifest; what is between goes away.
    comes_down_to(&writer, medium.folder(), 2).await;
    drop(reader);
    comes_down_to(&writer, medium.folder(), 1).await;
    writer.close().await?;
    assert_eq!(files(medium.folder(), "log"), 1);
    let parts = writer.inspect().await.tables[0].parts.len();
    assert_eq!(files(medium.folder(), "segments"), parts);
    Ok(found)
}

/// Waits until no more manifests are left, while the writer goes on.
async fn comes_down_to(writer: &Database, folder: &Path, manifests: usize) {
    for round in 1_000_000..1_000_050 {
        run(writer, &rewrite(round)).await;
        writer.compact().await.unwrap();
        if files(folder, "manifest") <= manifests {
            return;
        }
    }
    panic!("{} manifests are left", files(folder, "manifest"));
}

#[test]
fn an_old_snapshot_stays_readable_whatever_the_writer_removes() {
    let flushes = std::env::var("OMEN_FLUSHES").map_or(60, |text| text.parse().unwrap());
    assert_eq!(block_on(old_snapshot(true, flushes)).unwrap(), whole(0));
}

#[test]
fn without_pins_the_files_of_a_reader_are_removed() {
    assert!(block_on(old_snapshot(false, 10)).is_err());
}

#[test]
fn the_next_writer_spares_what_a_reader_has_pinned() {
    block_on(async {
        let medium = Medium::disk();
        let writer = medium.open(small()).await.unwrap();
        made(&writer).await;
        // Attached by the log alone, when the reader comes.
        let bulk = "INSERT INTO t SELECT value, 7 FROM generate_series(100000, 120000)";
        run(&writer, bulk).await;
        let reader = read_only().open_store(cold_store(medium.folder(), true)).await.unwrap();
        let old = reader.snapshot();
        let before = read(&old).await.unwrap();
        for round in 1..4 {
            run(&writer, &rewrite(round)).await;
            writer.compact().await.unwrap();
        }
        drop(writer);
        let writer = medium.open(small()).await.unwrap();
        run(&writer, &rewrite(4)).await;
        writer.compact().await.unwrap();
        assert_eq!(read(&old).await.unwrap(), before);
        drop((old, reader));
        drop(writer);
        let writer = medium.open(small()).await.unwrap();
        assert_eq!(files(medium.folder(), "manifest"), 1);
        writer.close().await.unwrap();
    });
}

#[test]
fn a_refresh_shows_what_was_acknowledged_before() {
    for medium in Medium::all() {
        block_on(async {
            let writer = medium.open(small()).await.unwrap();
            made(&writer).await;
            let reader = medium.open(read_only()).await.unwrap();
            let mut seen = reader.refresh().await.unwrap();
            for round in 1..30 {
                run(&writer, &format!("INSERT INTO t VALUES ({}, {round})", ROWS + round)).await;
                match round % 6 {
                    0 => writer.checkpoint().await.unwrap(),
                    3 => {
                        writer.table("t").unwrap().delete([round]).await.unwrap();
                    }
                    5 => writer.compact().await.unwrap(),
                    _ => {}
                }
                let old = reader.snapshot();
                let lsn = reader.refresh().await.unwrap();
                assert!(lsn > seen, "{lsn} after {seen}");
                assert_eq!(reader.refresh().await.unwrap(), lsn);
                assert_eq!(old.lsn(), seen);
                seen = lsn;
                let sql = "SELECT count(*), sum(id), max(round) FROM t";
                let expected = format!("{:?}", query(&writer, sql).await);
                assert_eq!(format!("{:?}", query(&reader, sql).await), expected);
            }
            run(&writer, "CREATE TABLE u (id BIGINT PRIMARY KEY)").await;
            run(&writer, "DROP TABLE t").await;
            reader.refresh().await.unwrap();
            assert_eq!(reader.table_names(), ["u"]);
            writer.close().await.unwrap();
            reader.refresh().await.unwrap();
            assert_eq!(reader.table_names(), ["u"]);
        });
    }
}

/// A statement of which nobody knows the outcome, since the `call`th call from its begin failed; a
/// reader looks, then the power goes. Returns how many of the cuts took back what it has seen.
async fn taken_back(call: u64, reopens: bool) -> usize {
    let disk = FaultyFiles::new();
    let writer = Options::default().open_store(disk.store()).await.unwrap();
    run(&writer, "CREATE TABLE t (id BIGINT PRIMARY KEY, round BIGINT)").await;
    let reader = read_only().open_store(disk.store()).await.unwrap();
    disk.fail_call(disk.calls() + call, false, Failure::NoEffect(EIO));
    let session = writer.session();
    let insert = "INSERT INTO t SELECT value, 1 FROM generate_series(1, 200)";
    if let Ok(frame) = session.sql(insert).await {
        let _ = frame.collect().await;
    }
    disk.heal();
    let reader = match reopens {
        true => read_only().open_store(disk.store()).await.unwrap(),
        false => {
            reader.refresh().await.unwrap();
            reader
        }
    };
    let seen = reader.table("t").unwrap().row_count().unwrap();
    let mut lost = 0;
    for seed in 0..20 {
        let left = disk.after_power_cut(seed);
        let database = Options::default().open_store(left.store()).await.unwrap();
        lost += usize::from(database.table("t").unwrap().row_count().unwrap() < seen);
    }
    lost
}

#[test]
fn a_reader_shows_nothing_that_a_power_cut_takes_back() {
    block_on(async {
        for call in 1..=4 {
            for reopens in [false, true] {
                assert_eq!(taken_back(call, reopens).await, 0, "call {call}, reopens {reopens}");
            }
        }
    });
}
