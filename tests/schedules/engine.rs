//! A database under many schedules: statements beside a flush, a compaction and readers. What was
//! acknowledged is seen from then on, what is seen is durable, no deletion is lost on the way from
//! part to part, and nobody waits for ever.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::TryStreamExt;
use omen_provider::{Database, Key, Options, Snapshot};

use super::pausing::pausing;
use super::scheduler::sync::Mutex;
use super::scheduler::{block_on, chosen, explore, spawn};
use crate::faulty_disk::FaultyDisk;
use crate::harness::media::small;
use crate::harness::rows::{Part, Parts, Shape, Values, to_batch};

/// Threads that write; each counts its statements in a row of its own.
const WRITERS: i64 = 2;
/// Statements that count, of each; after each one a row is deleted.
const COUNTS: i64 = 3;

/// Numbers by key.
type Seen = BTreeMap<i64, i64>;

#[derive(Clone)]
struct Case {
    disk: FaultyDisk,
    database: Database,
    /// What was acknowledged of each writer: counts and deletions.
    acknowledged: Arc<Mutex<Vec<(i64, i64)>>>,
}

fn options() -> Options {
    Options { memtable_bytes_max: 64 << 10, row_group_rows: 16, ..small() }
}

/// The row that a writer deletes after it has counted so far.
fn doomed(writer: i64, count: i64) -> i64 {
    100 + writer * 10 + count
}

fn row(key: i64, number: i64) -> (Parts, Values) {
    (vec![Part::Int(key)], (Some(number), None))
}

impl Case {
    /// A row of each writer, and those to be deleted: some in a segment, some in memory.
    fn new() -> Self {
        let disk = FaultyDisk::new();
        let database = block_on(options().open_store(pausing(disk.store()))).unwrap();
        block_on(database.create_table(Shape::Int.definition("t"), false)).unwrap();
        let counters = (0..WRITERS).map(|writer| row(writer, 0));
        let doomed = (0..WRITERS).flat_map(|w| (1..=COUNTS).map(move |c| row(doomed(w, c), 0)));
        let rows: Vec<_> = counters.chain(doomed).collect();
        let (first, rest) = rows.split_at(chosen(rows.len() as u64) as usize);
        let table = database.table("t").unwrap();
        block_on(table.insert(to_batch(Shape::Int, first))).unwrap();
        block_on(database.checkpoint()).unwrap();
        block_on(table.insert(to_batch(Shape::Int, rest))).unwrap();
        let acknowledged = Arc::new(Mutex::new(vec![(0, 0); WRITERS as usize]));
        Self { disk, database, acknowledged }
    }

    fn write(&self, writer: i64) {
        let table = self.database.table("t").unwrap();
        for count in 1..=COUNTS {
            let rows = to_batch(Shape::Int, &[row(writer, count)]);
            block_on(table.upsert(rows)).unwrap();
            self.acknowledged.lock().unwrap()[writer as usize].0 = count;
            assert_eq!(block_on(table.delete([doomed(writer, count)])).unwrap(), 1);
            self.acknowledged.lock().unwrap()[writer as usize].1 = count;
        }
    }

    /// Reads as often; what a power cut leaves at the end is returned with what was seen before.
    fn read(&self, times: u64) -> (FaultyDisk, Seen) {
        let (mut newest, mut last) = (0, Seen::new());
        for _ in 0..times {
            let acknowledged = self.acknowledged.lock().unwrap().clone();
            let snapshot = self.database.snapshot();
            assert!(snapshot.lsn() >= newest, "lsn {} after {newest}", snapshot.lsn());
            newest = snapshot.lsn();
            let seen = rows_of(&snapshot);
            for (writer, (counted, deleted)) in (0..).zip(acknowledged) {
                let count = *seen.get(&writer).expect("a row that is only written over");
                assert!(count >= counted, "{counted} is acknowledged, {count} is seen");
                let gone = |c: i64| !seen.contains_key(&doomed(writer, c));
                assert!((1..=deleted).all(gone), "a deletion is not seen: {seen:?}");
                // A row is deleted after its statement was counted.
                assert!((count + 1..=COUNTS).all(|c| !gone(c)), "a row is missing: {seen:?}");
            }
            last = seen;
        }
        (self.disk.durable_image(chosen(1000)), last)
    }
}

fn rows_of(snapshot: &Snapshot) -> Seen {
    let table = snapshot.table("t").unwrap();
    let batches: Vec<_> = block_on(table.range::<Key>(..).try_collect()).unwrap();
    let mut seen = Seen::new();
    for batch in &batches {
        use arrow::array::AsArray;
        use arrow::datatypes::Int64Type;
        let column = |i: usize| batch.column(i).as_primitive::<Int64Type>().values().to_vec();
        for (key, number) in column(0).into_iter().zip(column(1)) {
            assert_eq!(seen.insert(key, number), None, "{key} is there twice");
        }
    }
    assert_eq!(seen.len() as u64, table.live_rows());
    seen
}

#[test]
fn statements_flush_compaction_and_readers() {
    explore(200, || {
        let case = Case::new();
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let case = case.clone();
                spawn(move || case.write(writer))
            })
            .collect();
        let flushing = spawn({
            let case = case.clone();
            move || (0..2).for_each(|_| block_on(case.database.checkpoint()).unwrap())
        });
        let compacting = spawn({
            let case = case.clone();
            move || block_on(case.database.compact()).unwrap()
        });
        let reading = spawn({
            let case = case.clone();
            move || case.read(4)
        });
        writers.into_iter().for_each(|thread| thread.join());
        let (image, seen) = reading.join();
        flushing.join();
        compacting.join();
        let counters: Seen = (0..WRITERS).map(|writer| (writer, COUNTS)).collect();
        assert_eq!(rows_of(&case.database.snapshot()), counters);
        let report = block_on(case.database.verify()).unwrap();
        assert!(report.problems.is_empty(), "{:?}", report.problems);
        // What was seen is there after a power cut.
        let left = block_on(options().open_store(image.store())).unwrap();
        let left = rows_of(&left.snapshot());
        for writer in 0..WRITERS {
            assert!(left[&writer] >= seen[&writer], "seen {seen:?}, left {left:?}");
        }
        let kept = |key: &i64| seen.contains_key(key);
        assert!(left.keys().all(kept), "a deletion was seen and is not left: {seen:?}, {left:?}");
    });
}
