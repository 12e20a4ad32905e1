//! What outlives a database that is dropped or closed, and what the next one finds.

use std::path::Path;

use arrow::array::RecordBatch;
use futures::{StreamExt, TryStreamExt};
use omen_provider::{Database, Options};

use super::cold::cold_store;
use super::{ROWS, comes_down_to, files, made, read, rewrite, rounds};
use crate::harness::block_on;
use crate::harness::media::{Medium, small};
use crate::harness::run;

/// Reads on from a database that is gone while the next one replaces everything; returns what a
/// snapshot gave.
async fn read_after(pins: bool, closes: bool) -> omen_provider::Result<Vec<(i64, usize)>> {
    let medium = Medium::disk();
    let options = Options { cache_bytes_max: 0, ..small() };
    let database = options.open_store(cold_store(medium.folder(), pins)).await?;
    made(&database).await;
    // Named by the log alone.
    let bulk = format!("INSERT INTO t SELECT value, 0 FROM generate_series({}, 20000)", ROWS + 1);
    run(&database, &bulk).await;
    let old = database.snapshot();
    let mut stream = database.table("t")?.range::<i64>(..);
    let first = stream.next().await.unwrap()?;
    let session = database.session();
    let frame = session.sql("SELECT id, round FROM t ORDER BY id").await.unwrap();
    let plan = frame.create_physical_plan().await.unwrap();
    let context = session.context().task_ctx();
    drop((session, frame));
    if closes {
        database.close().await?;
    }
    drop(database);
    for round in 1..4 {
        let next = medium.open(small()).await?;
        run(&next, &rewrite(round)).await;
        next.compact().await?;
    }
    let found = read(&old).await?;
    let mut rest: Vec<RecordBatch> = stream.try_collect().await?;
    rest.insert(0, first);
    assert_eq!(rounds(&rest), found);
    let planned = datafusion::physical_plan::collect(plan, context).await.unwrap();
    assert_eq!(rounds(&planned), found);
    drop((old, planned));
    let last = medium.open(small()).await?;
    comes_down_to(&last, medium.folder(), 1).await;
    Ok(found)
}

#[test]
fn what_was_read_of_a_database_outlives_it() {
    for closes in [false, true] {
        let found = block_on(read_after(true, closes)).unwrap();
        assert_eq!(found, [(0, 20_000)], "closes {closes}");
    }
}

#[test]
fn without_pins_the_next_database_removes_what_is_read() {
    assert!(block_on(read_after(false, false)).is_err());
}

fn number_of_files(folder: &Path) -> [usize; 4] {
    ["log", "manifest", "segments", "tmp"].map(|kind| files(folder, kind))
}

#[test]
fn recovered_log_keeps_its_name() {
    block_on(async {
        let medium = Medium::disk();
        made(&medium.open(small()).await.unwrap()).await;
        for round in 1..6 {
            // Each time the log of the one before is recovered, and more is written to a new one.
            let database = medium.open(small()).await.unwrap();
            let sql = format!("INSERT INTO t VALUES ({}, {round})", ROWS + round);
            run(&database, &sql).await;
            let file = database.inspect().await.log.file;
            drop(database);
            let logs = std::fs::read_dir(medium.folder().join("log")).unwrap();
            let names: Vec<_> = logs.map(|entry| entry.unwrap().file_name()).collect();
            assert_eq!(names, [format!("{file:016x}.log").as_str()]);
            let reader = Options { read_only: true, ..small() };
            let reader = medium.open(reader).await.unwrap();
            let rows = reader.table("t").unwrap().row_count().unwrap();
            assert_eq!(rows, (ROWS + round) as u64);
        }
    });
}

#[test]
fn half_written_temp_ignored_at_open() {
    block_on(async {
        let medium = Medium::disk();
        let database = medium.open(small()).await.unwrap();
        made(&database).await;
        run(&database, &format!("INSERT INTO t VALUES ({}, 0)", ROWS + 1)).await;
        drop(database);
        let folder = medium.folder();
        let before = number_of_files(folder);
        // What a process leaves that dies while it writes: a part of a file of each kind.
        let kinds = ["log", "manifest", "segments"].into_iter().enumerate();
        for (number, kind) in kinds {
            let file = std::fs::read_dir(folder.join(kind)).unwrap().next().unwrap().unwrap();
            let bytes = std::fs::read(file.path()).unwrap();
            let temp = folder.join(format!("tmp/{number:016x}.tmp"));
            std::fs::write(temp, &bytes[..bytes.len() / 2]).unwrap();
        }
        for read_only in [true, false] {
            let options = Options { read_only, ..small() };
            let database: Database = medium.open(options).await.unwrap();
            let rows = database.table("t").unwrap().row_count().unwrap();
            assert_eq!(rows, (ROWS + 1) as u64);
            assert!(database.verify().await.unwrap().problems.is_empty());
        }
        assert_eq!(number_of_files(folder), before);
    });
}
