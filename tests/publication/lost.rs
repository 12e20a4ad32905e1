//! Files whose names, lengths and places are right, and whose bytes are not; and one log for two
//! tables that are flushed one after the other.

use std::fs;
use std::path::{Path, PathBuf};

use omen_provider::Error;

use super::*;
use crate::faulty_disk::files::{EIO, Failure, FaultyFiles};
use crate::harness::failing_store::{Call, Effect, Failing};
use crate::harness::media::Medium;

/// The files of a folder, in order of their names.
fn files(database: &Path, folder: &str, suffix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(database.join(folder)).unwrap();
    let mut found: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.to_str().unwrap().ends_with(suffix));
    found.sort();
    found
}

/// All files with their bytes.
fn all(database: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let folders = ["log", "manifest", "segments"];
    let names = folders.iter().flat_map(|folder| files(database, folder, ""));
    names.map(|name| (name.clone(), fs::read(name).unwrap())).collect()
}

/// Two segments, one of them with marks; closed.
async fn closed(medium: &Medium) -> Rows {
    let database = medium.open(options()).await.unwrap();
    database.create_table(Shape::Int.definition("t"), false).await.unwrap();
    let mut rows = Rows::new();
    for number in 0..2 {
        let keys = number * 100..number * 100 + 150;
        upsert(&database, keys.clone(), number).await.unwrap();
        rows.extend(keys.map(|key| (key, number)));
        database.checkpoint().await.unwrap();
    }
    database.close().await.unwrap();
    rows
}

/// A manifest that was cut short or changed refuses to open and stays as it is, though an older one
/// is there: nobody writes what is left of it under a fresh checksum.
#[test]
fn torn_slot_not_laundered() {
    block_on(async {
        let medium = Medium::disk();
        let database = medium.open(options()).await.unwrap();
        database.create_table(Shape::Int.definition("t"), false).await.unwrap();
        upsert(&database, 0..50, 1).await.unwrap();
        let folder = medium.folder();
        let older = files(folder, "manifest", "").remove(0);
        let older = (older.clone(), fs::read(older).unwrap());
        database.close().await.unwrap();
        fs::write(&older.0, &older.1).unwrap();
        let newest = files(folder, "manifest", "").pop().unwrap();
        assert_ne!(newest, older.0);
        let whole = fs::read(&newest).unwrap();
        let mut torn = vec![Vec::new(), whole[..whole.len() / 2].to_vec(), vec![0; whole.len()]];
        torn.extend((0..whole.len()).map(|at| {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            flipped
        }));
        for bytes in torn {
            fs::write(&newest, &bytes).unwrap();
            let before = all(folder);
            for read_only in [true, false] {
                let opened = medium.open(Options { read_only, ..options() }).await;
                let Err(Error::Corruption { path, .. }) = opened else {
                    panic!("{:?}", opened.map(|_| "opened"));
                };
                assert!(newest.ends_with(&path), "{path}");
                assert!(all(folder) == before, "files were changed");
            }
        }
        fs::write(&newest, &whole).unwrap();
        assert_eq!(rows_of(&medium.open(options()).await.unwrap()).await.len(), 50);
    });
}

/// The manifest's entry is whole, the file has its name and its length, and is empty of content.
#[test]
fn entry_valid_but_value_lost() {
    for suffix in [".deletions", ".parquet"] {
        block_on(async {
            let medium = Medium::disk();
            let rows = closed(&medium).await;
            for name in files(medium.folder(), "segments", suffix) {
                let whole = fs::read(&name).unwrap();
                for keep in [0, 16, whole.len() / 2] {
                    let mut lost = whole.clone();
                    lost[keep..].fill(0);
                    fs::write(&name, &lost).unwrap();
                    let damage = match medium.open(options()).await {
                        Err(error) => error,
                        Ok(_) => panic!("{} opens with {keep} bytes", name.display()),
                    };
                    let Error::Corruption { path, .. } = &damage else { panic!("{damage}") };
                    assert!(name.ends_with(path), "{path}");
                }
                fs::write(&name, &whole).unwrap();
            }
            assert_eq!(rows_of(&medium.open(options()).await.unwrap()).await, rows);
        });
    }
}

/// A call of a flush fails once and the flush is tried again. A manifest that the first attempt
/// gave a name, and did not make durable, is seen by the second, and gone after a power cut.
#[test]
fn manifest_that_is_only_seen_is_not_relied_on() {
    let prepared = |disk: FaultyFiles| async move {
        let database = made(disk.store()).await;
        upsert(&database, 0..40, 1).await.unwrap();
        database.checkpoint().await.unwrap();
        upsert(&database, 20..60, 2).await.unwrap();
        database
    };
    block_on(async {
        let disk = FaultyFiles::new();
        let database = prepared(disk.clone()).await;
        let begin = disk.calls();
        database.checkpoint().await.unwrap();
        let (end, rows) = (disk.calls(), rows_of(&database).await);
        let mut repeated = 0;
        for call in begin + 1..=end {
            for failure in [Failure::NoEffect(EIO), Failure::FullEffect(EIO)] {
                let disk = FaultyFiles::new();
                let database = prepared(disk.clone()).await;
                disk.fail_call(call, false, failure);
                let failed = database.checkpoint().await.is_err();
                let again = database.checkpoint().await;
                repeated += u32::from(failed && again.is_ok());
                for seed in 0..64 {
                    let left = disk.after_power_cut(seed);
                    let reopened = options().open_store(left.store()).await;
                    let story = format!("{failure:?} at call {call}, seed {seed}");
                    let reopened = reopened.unwrap_or_else(|e| panic!("{story}: {e}"));
                    assert_eq!(rows_of(&reopened).await, rows, "{story}");
                }
            }
        }
        assert!(repeated > 20, "only {repeated} were repeated");
    });
}

/// The log goes when the rows of both tables are in segments, not when those of one are.
#[test]
fn two_tables_one_log() {
    block_on(async {
        let disk = FaultyFiles::new();
        let failing = Failing::new(disk.store());
        let database = made(failing.store()).await;
        database.create_table(Shape::Int.definition("u"), false).await.unwrap();
        disk.record();
        let mut written = vec![(0, 0)];
        let mut acknowledged = Vec::new();
        for number in 1..=30 {
            let table = if number % 2 == 0 { "t" } else { "u" };
            let rows = batch([number], number);
            database.table(table).unwrap().insert(rows).await.unwrap();
            let (t, u) = written[written.len() - 1];
            written.push(if number % 2 == 0 { (t + 1, u) } else { (t, u + 1) });
            acknowledged.push(disk.changes());
            if number % 10 == 0 {
                // One table's rows get into a segment, the other's do not.
                let before = failing.inner_segments().await.len();
                failing.fail(second_segment, Effect::Nothing);
                SEGMENTS.with(|count| count.set(0));
                assert!(database.checkpoint().await.is_err());
                assert!(failing.inner_segments().await.len() > before, "none was written");
                failing.mend();
            }
            if number == 20 {
                database.checkpoint().await.unwrap();
            }
        }
        for (change, snapshot) in disk.snapshots().iter().enumerate() {
            let done = acknowledged.partition_point(|changes| *changes <= change);
            let reopened = snapshot.after_power_cut(change as u64).store();
            let reopened = options().open_store(reopened).await.unwrap();
            let count = |name| reopened.table(name).unwrap().row_count().unwrap();
            let found = (count("t"), count("u"));
            let allowed = &written[done..written.len().min(done + 2)];
            assert!(allowed.contains(&found), "before change {change}: {found:?}, {allowed:?}");
        }
    });
}

thread_local! {
    static SEGMENTS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

fn second_segment(call: Call, name: &str) -> bool {
    let is_segment = call == Call::Finish && name.ends_with(".parquet");
    is_segment && SEGMENTS.with(|count| count.replace(count.get() + 1)) > 0
}
