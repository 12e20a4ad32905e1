//! The engine end to end on an object store in memory and on a directory, against a map.

mod compacting;
mod follow;
mod lifetimes;
mod may_lose;
mod repair;
mod reserved_names;
mod schemas;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use arrow::array::{ArrayRef, AsArray, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use arrow::record_batch::RecordBatch;
use futures::{StreamExt, TryStreamExt};

use crate::storage::definition::TableDefinition;
use crate::storage::store::{LogFile, LogSync, Logs, Store};
use crate::storage::wal::{LogHeader, log_name};
use crate::{Database, Error, Options, VerifyReport};

fn rows(keys: impl IntoIterator<Item = i64>, tag: &str) -> RecordBatch {
    let keys: Vec<i64> = keys.into_iter().collect();
    let text: ArrayRef =
        Arc::new(StringArray::from_iter_values(keys.iter().map(|k| format!("{tag}{k}"))));
    let key: ArrayRef = Arc::new(Int64Array::from(keys));
    RecordBatch::try_from_iter([("id", key), ("note", text)]).unwrap()
}

fn definition() -> TableDefinition {
    let schema = Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("note", DataType::Utf8, true),
    ]));
    TableDefinition::new("t", &schema).primary_key(["id"])
}

fn small() -> Options {
    Options {
        memtable_bytes_max: 60_000,
        row_group_rows: 700,
        segment_rows_max: 3000,
        ..Options::default()
    }
}

async fn contents(db: &Database) -> BTreeMap<i64, String> {
    let mut found = BTreeMap::new();
    let mut last = i64::MIN;
    let batches: Vec<RecordBatch> =
        db.table("t").unwrap().range::<i64>(..).try_collect().await.unwrap();
    for batch in batches {
        let keys = batch.column(0).as_primitive::<Int64Type>();
        let notes = batch.column(1).as_string::<i32>();
        for (key, note) in keys.values().iter().zip(notes.iter()) {
            assert!(*key > last, "rows come in key order");
            last = *key;
            found.insert(*key, note.unwrap().to_string());
        }
    }
    found
}

/// Statements of every kind with maintenance between them; `reopen` gives the database again.
async fn script<F: Future<Output = Database>>(reopen: impl Fn() -> F) {
    let mut db = reopen().await;
    assert!(db.create_table(definition(), false).await.unwrap());
    let mut model = BTreeMap::new();
    let mut seed = 7_u64;
    let mut next = move |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    for step in 0..160 {
        let table = db.table("t").unwrap();
        let keys: Vec<i64> = match next(3) {
            0 => (0..next(300) as i64).map(|i| 10_000 + step * 400 + i).collect(),
            _ => (0..1 + next(60)).map(|_| next(4000) as i64).collect(),
        };
        match next(6) {
            0..=2 => {
                table.upsert(rows(keys.iter().copied(), &format!("u{step}-"))).await.unwrap();
                model.extend(keys.iter().map(|k| (*k, format!("u{step}-{k}"))));
            }
            3 => {
                let result = table.insert(rows(keys.iter().copied(), "i")).await;
                let mut unique = keys.clone();
                unique.sort_unstable();
                unique.dedup();
                let clash = unique.len() < keys.len() || keys.iter().any(|k| model.contains_key(k));
                assert_eq!(matches!(result, Err(Error::DuplicateKey { .. })), clash, "{result:?}");
                if !clash {
                    model.extend(keys.iter().map(|k| (*k, format!("i{k}"))));
                }
            }
            4 => {
                let deleted = table.delete(keys.iter().copied()).await.unwrap();
                let before = model.len();
                model.retain(|k, _| !keys.contains(k));
                assert_eq!(deleted as usize, before - model.len());
            }
            _ => match next(5) {
                0 => db.compact().await.unwrap(),
                1 => db.checkpoint().await.unwrap(),
                2 => {
                    db.close().await.unwrap();
                    db = reopen().await;
                }
                3 => {
                    drop(table);
                    drop(db);
                    db = reopen().await;
                }
                _ => {
                    let batches = vec![rows(keys.iter().copied(), "s"), rows([99_999], "s")];
                    let stream = futures::stream::iter(batches.into_iter().map(Ok));
                    table.upsert_stream(stream).await.unwrap();
                    model.extend(keys.iter().chain(&[99_999]).map(|k| (*k, format!("s{k}"))));
                }
            },
        }
        if step % 10 == 0 {
            assert_eq!(contents(&db).await, model, "step {step}");
        }
        let probe = next(5000) as i64;
        let row = db.table("t").unwrap().get(probe).await.unwrap();
        let note = row.map(|r| r.column(1).as_string::<i32>().value(0).to_string());
        assert_eq!(note.as_ref(), model.get(&probe), "step {step} key {probe}");
        assert_eq!(db.table("t").unwrap().row_count().unwrap() as usize, model.len());
    }
    let many: Vec<i64> = (0..4000).step_by(7).collect();
    let found = db.table("t").unwrap().get_many(many.iter().copied()).await.unwrap();
    for (key, row) in many.iter().zip(found) {
        let note = row.map(|r| r.column(1).as_string::<i32>().value(0).to_string());
        assert_eq!(note.as_ref(), model.get(key));
    }
    let report = db.verify().await.unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    assert_eq!(report.rows as usize, model.len());
    db.compact().await.unwrap();
    let parts = &db.inspect().await.tables[0].parts;
    assert!(parts.iter().all(|p| p.kind == "segment" && p.deleted == 0), "{parts:?}");
    assert_eq!(contents(&db).await, model);
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_agree_with_a_map_on_an_object_store() {
    let objects: Arc<dyn object_store::ObjectStore> =
        Arc::new(object_store::memory::InMemory::new());
    script(|| async {
        small().open_store(Store::object_store(Arc::clone(&objects), "db")).await.unwrap()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_agree_with_a_map_in_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    script(|| async { small().open(directory.path()).await.unwrap() }).await;
}

fn memory() -> Store {
    Store::object_store(Arc::new(object_store::memory::InMemory::new()), "db")
}

/// More rows than a statement may hold in memory: they go straight to segments.
async fn load_many(db: &Database, keys: std::ops::Range<i64>) {
    let batches: Vec<_> =
        keys.clone().step_by(500).map(|k| Ok(rows(k..keys.end.min(k + 500), "b"))).collect();
    db.table("t").unwrap().insert_stream(futures::stream::iter(batches)).await.unwrap();
}

/// The log names the segments of a bulk statement also when it drops their table later. (On one
/// thread, so that no flush in the background takes them out of the log.)
#[tokio::test]
async fn dropped_bulk_load_reopens_again_and_again() {
    let store = memory();
    let options = || Options { memtable_bytes_max: 200_000, ..Options::default() };
    let db = options().open_store(store.clone()).await.unwrap();
    db.create_table(definition(), false).await.unwrap();
    load_many(&db, 0..20_000).await;
    assert!(db.inspect().await.tables[0].parts.iter().any(|part| part.kind == "segment"));
    db.drop_table("t", false).await.unwrap();
    drop(db);
    for _ in 0..3 {
        let db = options().open_store(store.clone()).await.unwrap();
        assert!(db.table_names().is_empty());
        Options { read_only: true, ..options() }.open_store(store.clone()).await.unwrap();
    }
}

/// A log is sealed before its successor is written to: if the seal is gone and the successor is not
/// empty, statements may be gone with it.
#[tokio::test]
async fn a_log_cut_short_under_its_successor_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    let log = |number: u64| folder.path().join(log_name((1 << 32) + number));
    let open = || Options::default().open(folder.path());
    let db = open().await.unwrap();
    db.create_table(definition(), false).await.unwrap();
    let table = db.table("t").unwrap();
    table.insert(rows(0..10, "a")).await.unwrap();
    let writer = db.handle().engine().writer().unwrap();
    let next = writer.log.prepare_next((1 << 32) + 77).await.unwrap();
    writer.log.rotate(next, 5).await.unwrap();
    let whole = std::fs::read(log(1)).unwrap();
    let empty = std::fs::read(log(77)).unwrap();
    table.insert(rows(10..20, "b")).await.unwrap();
    let successor = std::fs::read(log(77)).unwrap();
    drop((table, db));
    let put = |first: &[u8], second: &[u8]| {
        for name in ["log", "manifest"] {
            let _ = std::fs::create_dir(folder.path().join(name));
        }
        std::fs::write(log(1), first).unwrap();
        std::fs::write(log(77), second).unwrap();
    };
    let manifests: Vec<_> = std::fs::read_dir(folder.path().join("manifest"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (std::fs::read(&path).unwrap(), path))
        .collect();
    let header = LogHeader::decode(&empty, "").unwrap();
    let foreign = LogHeader { first_lsn: header.first_lsn + 3, ..header }.encode();
    for (first, second, expected) in [
        (&whole[..], &successor[..], Ok(20)),
        (&whole[..whole.len() - 10], &successor, Err(1)),
        (&whole[..LogHeader::BYTES], &successor, Err(1)),
        (&whole, &foreign, Err(77)),
        // Begun, and never used: the power went before the seal was durable.
        (&whole[..whole.len() - 10], &empty, Ok(10)),
        (&whole[..whole.len() - 10], &empty[..20], Ok(10)),
    ] {
        std::fs::remove_dir_all(folder.path().join("manifest")).unwrap();
        std::fs::remove_dir_all(folder.path().join("log")).unwrap();
        put(first, second);
        manifests.iter().for_each(|(bytes, path)| std::fs::write(path, bytes).unwrap());
        let read_only = Options { read_only: true, ..Options::default() };
        for opened in [read_only.open(folder.path()).await, open().await] {
            match (opened, expected) {
                (Ok(db), Ok(count)) => assert_eq!(contents(&db).await.len(), count),
                (Err(Error::Corruption { path, .. }), Err(number)) => {
                    assert_eq!(path, log_name((1 << 32) + number));
                }
                (opened, _) => panic!("{opened:?}, expected {expected:?}"),
            }
        }
    }
}

/// Logs whose writer goes on while one is read for the first time.
#[derive(Debug)]
struct Moving {
    logs: Arc<dyn Logs>,
    writer: std::sync::Mutex<Option<Database>>,
    /// Whether the writer flushes, and the log goes away piece by piece, or begins another log.
    flushes: bool,
}

#[async_trait::async_trait]
impl Logs for Moving {
    async fn create(&self, name: &str) -> crate::Result<Box<dyn LogFile>> {
        self.logs.create(name).await
    }
    async fn read(&self, name: &str) -> crate::Result<bytes::Bytes> {
        let bytes = self.logs.read(name).await?;
        let writer = self.writer.lock().unwrap().take();
        let Some(writer) = writer else { return Ok(bytes) };
        if self.flushes {
            writer.checkpoint().await?;
            return Ok(bytes.slice(..LogHeader::BYTES));
        }
        let log = &writer.handle().engine().writer()?.log;
        let next = log.prepare_next((1 << 32) + 77).await?;
        log.rotate(next, 5).await?;
        writer.table("t")?.insert(rows(10..20, "b")).await?;
        Ok(bytes)
    }
    async fn take_over(&self, name: &str) -> crate::Result<bytes::Bytes> {
        self.logs.take_over(name).await
    }
    async fn list(&self) -> crate::Result<Vec<String>> {
        self.logs.list().await
    }
    async fn delete(&self, name: &str) -> crate::Result<()> {
        self.logs.delete(name).await
    }
}

#[tokio::test]
async fn a_reader_misses_nothing_while_the_writer_goes_on() {
    for (flushes, expected) in [(true, 10), (false, 20)] {
        let store = memory();
        let db = Options::default().open_store(store.clone()).await.unwrap();
        db.create_table(definition(), false).await.unwrap();
        db.table("t").unwrap().insert(rows(0..10, "a")).await.unwrap();
        let writer = std::sync::Mutex::new(Some(db));
        let logs = Arc::new(Moving { logs: Arc::clone(&store.logs), writer, flushes });
        let read_only = Options { read_only: true, ..Options::default() };
        let reader = read_only.open_store(Store { logs, ..store }).await.unwrap();
        assert_eq!(contents(&reader).await.len(), expected);
    }
}

/// All files of a database but lock and reserve, with their contents; of a log without the space
/// behind its end, in which damage means nothing.
fn files_of(folder: &std::path::Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for kind in ["log", "manifest", "segments"] {
        for entry in std::fs::read_dir(folder.join(kind)).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("{kind}/{}", path.file_name().unwrap().to_str().unwrap());
            let mut bytes = std::fs::read(path).unwrap();
            if kind == "log" {
                bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1);
            }
            files.push((name, bytes));
        }
    }
    files
}

/// Each damaged file is named, whether the database opens or not, and one does not hide another.
#[tokio::test]
async fn a_scrub_names_every_damaged_file() {
    let folder = tempfile::tempdir().unwrap();
    let db = Options::default().open(folder.path()).await.unwrap();
    db.create_table(definition(), false).await.unwrap();
    let table = db.table("t").unwrap();
    for part in 0..3 {
        table.insert(rows(part * 1000..part * 1000 + 900, "a")).await.unwrap();
        db.checkpoint().await.unwrap();
    }
    table.delete([5, 1005, 2005]).await.unwrap();
    db.checkpoint().await.unwrap();
    table.insert(rows(5000..5300, "b")).await.unwrap();
    drop((table, db));
    let scrub = async || Options::default().verify(folder.path()).await;
    let named = |report: &VerifyReport| -> Vec<String> {
        let path = |problem: &Error| match problem {
            Error::Corruption { path, .. } => path.clone(),
            other => panic!("{other:?}"),
        };
        report.problems.iter().map(path).collect()
    };
    let clean = scrub().await;
    assert!(clean.problems.is_empty() && clean.segments == 3 && clean.bytes > 3000, "{clean:?}");

    let whole = files_of(folder.path());
    assert_eq!(whole.len(), 6, "a log, a manifest, three segments, their deletions");
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    let flip = |name: &str, bytes: &[u8]| {
        let mut damaged = bytes.to_vec();
        damaged[bytes.len() / 2] ^= 8;
        write(name, &damaged);
    };
    for (name, bytes) in &whole {
        flip(name, bytes);
        assert_eq!(named(&scrub().await), [name.as_str()]);
        write(name, &bytes[..bytes.len() - 3]);
        let found = named(&scrub().await);
        // A log that is cut short may never have been longer.
        assert!(found == [name.as_str()] || (found.is_empty() && name.starts_with("log")));
        std::fs::remove_file(folder.path().join(name)).unwrap();
        assert!(!scrub().await.problems.is_empty(), "{name}");
        write(name, bytes);
    }
    let not_manifest = || whole.iter().filter(|(name, _)| !name.starts_with("manifest"));
    not_manifest().for_each(|(name, bytes)| flip(name, bytes));
    let mut found = named(&scrub().await);
    found.sort();
    let mut expected: Vec<_> = not_manifest().map(|(name, _)| name.clone()).collect();
    expected.sort();
    assert_eq!(found, expected);

    // An open database notices what happens to its files.
    whole.iter().for_each(|(name, bytes)| write(name, bytes));
    let read_only = Options { read_only: true, ..Options::default() };
    let db = read_only.open(folder.path()).await.unwrap();
    assert!(db.verify().await.unwrap().problems.is_empty());
    for (name, bytes) in &whole {
        flip(name, bytes);
        assert!(named(&db.verify().await.unwrap()).contains(name), "{name}");
        write(name, bytes);
    }
}

/// Logs whose files cannot be synced while `broken`, and wait with it while `held`; counts their
/// syncs.
#[derive(Debug, Clone)]
struct Unsyncable {
    logs: Arc<dyn Logs>,
    broken: Arc<AtomicBool>,
    held: Arc<AtomicBool>,
    syncs: Arc<AtomicUsize>,
}

struct UnsyncableFile(Box<dyn LogFile>, Unsyncable);

#[derive(Debug)]
struct UnsyncableSync(Arc<dyn LogSync>, Unsyncable);

impl Unsyncable {
    fn new(store: &Store) -> Self {
        let logs = Arc::clone(&store.logs);
        Self { logs, broken: Arc::default(), held: Arc::default(), syncs: Arc::default() }
    }

    fn begin_sync(&self) -> crate::Result<()> {
        self.syncs.fetch_add(1, SeqCst);
        match self.broken.load(SeqCst) {
            true => Err(Error::io("log", std::io::Error::other("the disk is gone"))),
            false => Ok(()),
        }
    }
}

impl LogSync for UnsyncableSync {
    fn sync(&self) -> crate::Result<()> {
        self.1.begin_sync()?;
        self.0.sync()
    }
}

#[async_trait::async_trait]
impl LogFile for UnsyncableFile {
    async fn append(&mut self, bytes: bytes::Bytes) -> crate::Result<()> {
        self.0.append(bytes).await
    }
    async fn sync(&mut self) -> crate::Result<()> {
        self.1.begin_sync()?;
        while self.1.held.load(SeqCst) {
            tokio::task::yield_now().await;
        }
        self.0.sync().await
    }
    fn syncer(&self) -> Option<Arc<dyn LogSync>> {
        Some(Arc::new(UnsyncableSync(self.0.syncer()?, self.1.clone())))
    }
}

#[async_trait::async_trait]
impl Logs for Unsyncable {
    async fn create(&self, name: &str) -> crate::Result<Box<dyn LogFile>> {
        Ok(Box::new(UnsyncableFile(self.logs.create(name).await?, self.clone())))
    }
    fn keeps_unsynced(&self) -> bool {
        self.logs.keeps_unsynced()
    }
    async fn read(&self, name: &str) -> crate::Result<bytes::Bytes> {
        self.logs.read(name).await
    }
    async fn take_over(&self, name: &str) -> crate::Result<bytes::Bytes> {
        self.logs.take_over(name).await
    }
    async fn list(&self) -> crate::Result<Vec<String>> {
        self.logs.list().await
    }
    async fn delete(&self, name: &str) -> crate::Result<()> {
        self.logs.delete(name).await
    }
}

/// One failure is enough: what the log holds behind it nobody knows, even if the disk comes back.
#[tokio::test]
async fn after_a_failure_of_the_log_reads_go_on_and_writes_do_not() {
    let store = memory();
    let logs = Unsyncable::new(&store);
    let broken = Arc::clone(&logs.broken);
    let faulty = Store { logs: Arc::new(logs), ..store.clone() };
    let db = Options::default().open_store(faulty).await.unwrap();
    db.create_table(definition(), false).await.unwrap();
    let table = db.table("t").unwrap();
    table.insert(rows(0..10, "a")).await.unwrap();
    broken.store(true, SeqCst);
    let lost = table.insert(rows(10..20, "b")).await;
    assert!(matches!(lost, Err(Error::OutcomeUnknown(_))), "{lost:?}");
    broken.store(false, SeqCst);
    for refused in [
        table.insert(rows(20..30, "c")).await.map(drop),
        table.delete([1]).await.map(drop),
        db.drop_table("t", false).await.map(drop),
    ] {
        assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    }
    assert!(db.checkpoint().await.is_err());
    assert_eq!(contents(&db).await.len(), 10);
    assert!(table.get(3).await.unwrap().is_some() && table.get(13).await.unwrap().is_none());
    let session = db.session();
    let frame = session.sql("SELECT sum(id) FROM t").await.unwrap();
    let sum = frame.collect().await.unwrap();
    assert_eq!(sum[0].column(0).as_primitive::<Int64Type>().value(0), 45);
    drop((table, session, db));
    let db = Options::default().open_store(store).await.unwrap();
    assert!([10, 20].contains(&contents(&db).await.len()));
    db.table("t").unwrap().insert(rows(20..30, "c")).await.unwrap();
}

/// Without its learned index a segment is searched all the same, and compaction makes a new one.
#[tokio::test]
async fn a_damaged_index_costs_no_row_and_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Options { row_group_rows: 512, ..Options::default() }.open(folder.path());
    let db = open().await.unwrap();
    db.create_table(definition(), false).await.unwrap();
    db.table("t").unwrap().insert(rows((0..3000).map(|k| k * 7), "a")).await.unwrap();
    db.checkpoint().await.unwrap();
    let version = db.handle().engine().published.get();
    let record = version.tables()[0].segments[0].segment.record().clone();
    db.close().await.unwrap();
    let path = folder.path().join(record.file_name());
    let whole = std::fs::read(&path).unwrap();
    for at in [record.tail_offset + 9, record.core_offset - 1] {
        let mut damaged = whole.clone();
        damaged[at as usize] ^= 4;
        std::fs::write(&path, damaged).unwrap();
        let read_only = Options { read_only: true, ..Options::default() };
        let db = read_only.open(folder.path()).await.unwrap();
        assert_eq!(contents(&db).await.len(), 3000);
        assert!(db.table("t").unwrap().get(7 * 1234).await.unwrap().is_some());
        assert!(db.table("t").unwrap().get(7 * 1234 + 1).await.unwrap().is_none());
        assert_eq!(db.inspect().await.tables[0].parts[0].index, None);
        let problems = db.verify().await.unwrap().problems;
        let [Error::Corruption { path, offset, .. }] = &problems[..] else {
            panic!("{problems:?}")
        };
        assert_eq!((path, *offset), (&record.file_name(), record.tail_offset));
    }
    let db = open().await.unwrap();
    db.compact().await.unwrap();
    assert!(db.verify().await.unwrap().problems.is_empty());
    assert!(db.inspect().await.tables[0].parts[0].index.is_some());
    assert_eq!(contents(&db).await.len(), 3000);
}

/// Segments of a bulk statement meet rows that are in memory and in no segment.
#[tokio::test]
async fn bulk_loads_meet_rows_in_memory() {
    let options = Options { memtable_bytes_max: 200_000, ..Options::default() };
    let db = options.open_store(memory()).await.unwrap();
    db.create_table(definition(), false).await.unwrap();
    let table = db.table("t").unwrap();
    table.insert(rows([-5, 7_777, 30_000], "old")).await.unwrap();
    let batches = || {
        let keys = (0..20_000).step_by(500);
        futures::stream::iter(keys.map(|k| Ok(rows(k..k + 500, "b"))).collect::<Vec<_>>())
    };
    let refused = table.insert_stream(batches()).await.unwrap_err();
    assert!(refused.to_string().contains("7777"), "{refused}");
    assert_eq!(contents(&db).await.len(), 3);
    table.upsert_stream(batches()).await.unwrap();
    let found = contents(&db).await;
    assert_eq!(
        (found.len(), found[&7_777].as_str(), found[&-5].as_str()),
        (20_002, "b7777", "old-5")
    );
}

/// Sorted lists of keys that are too long to be merged within a commit.
#[tokio::test]
async fn long_lists_of_keys_are_merged_in_the_background() {
    let db = Options::default().open_store(memory()).await.unwrap();
    db.create_table(definition(), false).await.unwrap();
    let table = db.table("t").unwrap();
    for first in (0..140_000).step_by(1000) {
        let keys = (first..first + 1000).map(|i| (i * 48_611) % 140_000);
        table.insert(rows(keys, "n")).await.unwrap();
    }
    let indexed =
        async || db.inspect().await.tables[0].parts[0].index.is_some_and(|i| i.keys > 50_000);
    wait_for("the merge in the background", indexed).await;
    let kinds: Vec<_> = db.inspect().await.tables[0].parts.iter().map(|part| part.kind).collect();
    assert_eq!(kinds, ["run"]);
    assert_eq!(
        contents(&db).await.into_keys().collect::<Vec<_>>(),
        (0..140_000).collect::<Vec<_>>()
    );
}

/// A writer that another one has displaced must not publish, delete or acknowledge anything.
#[tokio::test(flavor = "multi_thread")]
async fn displaced_writer_can_do_no_harm() {
    let store = memory();
    let first = small().open_store(store.clone()).await.unwrap();
    first.create_table(definition(), false).await.unwrap();
    for part in 0..3 {
        let keys = part * 100..part * 100 + 100;
        first.table("t").unwrap().insert(rows(keys, "a")).await.unwrap();
        first.checkpoint().await.unwrap();
    }
    let second = small().open_store(store.clone()).await.unwrap();
    second.table("t").unwrap().insert(rows([1000], "b")).await.unwrap();

    assert!(matches!(first.compact().await, Err(Error::Conflict(_))));
    assert!(first.table("t").unwrap().insert(rows([2000], "a")).await.is_err());
    assert!(first.compact().await.is_err());
    assert!(first.checkpoint().await.is_err());
    drop(first);

    second.table("t").unwrap().insert(rows([1001], "b")).await.unwrap();
    assert_eq!(contents(&second).await.len(), 302);
    drop(second);
    let third = small().open_store(store).await.unwrap();
    assert_eq!(contents(&third).await.len(), 302);
    assert!(third.verify().await.unwrap().problems.is_empty());
}

/// Full segments that one small segment spans are left alone: rewriting them alone changes
/// nothing, and must not be tried for ever.
#[tokio::test(flavor = "multi_thread")]
async fn compaction_comes_to_an_end() {
    let options = Options { segment_rows_max: 20_000, ..Options::default() };
    let db = options.open_store(memory()).await.unwrap();
    db.create_table(definition(), false).await.unwrap();
    for first in (0..100_000).step_by(10_000) {
        db.table("t").unwrap().insert(rows(first..first + 10_000, "a")).await.unwrap();
    }
    db.compact().await.unwrap();
    for round in 0..3 {
        let ends = rows([0, 99_999, 200_000 + round], "e");
        db.table("t").unwrap().upsert(ends).await.unwrap();
        db.checkpoint().await.unwrap();
    }
    let all_due = db.handle().engine().maintain();
    tokio::time::timeout(Duration::from_secs(60), all_due).await.unwrap().unwrap();
    db.compact().await.unwrap();
    assert_eq!(contents(&db).await.len(), 100_003);
}

/// Statements that leave few rows behind fill the log all the same.
#[tokio::test(flavor = "multi_thread")]
async fn log_is_flushed_however_few_rows_stay() {
    let options = Options { memtable_bytes_max: 100_000, ..Options::default() };
    let db = options.open_store(memory()).await.unwrap();
    db.create_table(definition(), false).await.unwrap();
    let mut longest = 0;
    for step in 0..600 {
        db.table("t").unwrap().upsert(rows(0..50, &format!("{step}-"))).await.unwrap();
        tokio::task::yield_now().await;
        longest = longest.max(db.inspect().await.log.bytes);
    }
    assert!(longest < 600_000, "the log grew to {longest} bytes");
    assert_eq!(contents(&db).await.len(), 50);
}

/// A store whose every write takes its time.
fn slow() -> Store {
    let config = object_store::throttle::ThrottleConfig {
        wait_put_per_call: Duration::from_millis(100),
        ..Default::default()
    };
    let memory = object_store::memory::InMemory::new();
    let slow = object_store::throttle::ThrottledStore::new(memory, config);
    Store::object_store(Arc::new(slow), "db")
}

/// A caller that stops waiting does not leave its statement in the queue until the next one comes.
#[tokio::test(flavor = "multi_thread")]
async fn abandoned_statement_is_carried_through() {
    let db = small().open_store(slow()).await.unwrap();
    db.create_table(definition(), false).await.unwrap();
    let table = db.table("t").unwrap();
    for key in 0..5 {
        let insert = table.insert(rows([key], "a"));
        assert!(tokio::time::timeout(Duration::from_millis(2), insert).await.is_err());
    }
    for _ in 0..100 {
        if contents(&db).await.len() == 5 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("only {:?} became visible", contents(&db).await);
}

async fn wait_for(what: &str, mut there: impl AsyncFnMut() -> bool) {
    for _ in 0..1000 {
        if there().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never came: {what}");
}

/// Statements on a runtime that ends under them: what has begun is carried through, what it makes
/// due is done, what has not begun never begins.
#[tokio::test(flavor = "multi_thread")]
async fn statement_may_lose_its_runtime() {
    let runtime = Some(tokio::runtime::Handle::current());
    let db = Options { runtime, ..small() }.open_store(slow()).await.unwrap();
    db.create_table(definition(), false).await.unwrap();
    for (key, polls) in [(1, 1), (2, 2), (3, 3)] {
        // Without timers, which the slow store needs: nothing of a commit can run there.
        let statements = tokio::runtime::Builder::new_multi_thread().build().unwrap();
        let table = db.table("t").unwrap();
        let part = statements.spawn(async move {
            // More than may stay in memory.
            let note = "x".repeat(70_000);
            let mut insert = Box::pin(table.insert(rows([key], &note)));
            for _ in 0..polls {
                assert!(futures::future::poll_immediate(&mut insert).await.is_none());
            }
        });
        part.await.unwrap();
        statements.shutdown_background();
    }
    let keys = async || contents(&db).await.into_keys().collect::<Vec<_>>();
    wait_for("statements that had begun", async || keys().await.len() > 1).await;
    assert_eq!(keys().await, [2, 3]);
    let flushed = async || db.inspect().await.tables[0].parts.iter().all(|p| p.kind == "segment");
    wait_for("the flush in the background", flushed).await;
    db.close().await.unwrap();
}

/// Segments that a bulk statement has written are removed when its caller goes away.
#[tokio::test(flavor = "multi_thread")]
async fn abandoned_load_leaves_no_files() {
    let store = memory();
    let db = small().open_store(store.clone()).await.unwrap();
    db.create_table(definition(), false).await.unwrap();
    let table = db.table("t").unwrap();
    let batches: Vec<_> = (0..20_000).step_by(500).map(|k| Ok(rows(k..k + 500, "b"))).collect();
    let endless = futures::stream::iter(batches).chain(futures::stream::pending());
    let load = tokio::spawn(async move { table.insert_stream(endless).await });
    let files = async || store.blobs.list("segments").await.unwrap().len();
    wait_for("segments", async || files().await > 1).await;
    load.abort();
    assert!(load.await.unwrap_err().is_cancelled());
    wait_for("their removal", async || files().await == 0).await;
    assert_eq!(contents(&db).await.len(), 0);
}
