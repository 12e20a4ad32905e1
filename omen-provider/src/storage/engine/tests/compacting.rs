//! Compaction beside readers and writers, cancelled, closed upon, and with rows of any width.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicUsize;

use super::*;
use crate::dice::Dice;
use crate::storage::compaction::{self, CompactionOptions, Task, pick_everything};

const WRITERS: i64 = 3;
const KEYS: u64 = 3000;
/// So many happen while writers are at work.
const COMPACTIONS: usize = 3;

fn tight() -> Options {
    Options { segment_rows_max: 400, memtable_bytes_max: 1 << 20, ..small() }
}

/// A writer's statements on keys of its own, and what the table then holds of them.
async fn write(
    db: Database,
    writer: i64,
    statements: usize,
    compactions: Arc<AtomicUsize>,
) -> BTreeMap<i64, String> {
    let (table, mut dice) = (db.table("t").unwrap(), Dice(writer as u64));
    let mut model = BTreeMap::new();
    for step in 0..10 * statements {
        if step >= statements && compactions.load(SeqCst) >= COMPACTIONS {
            break;
        }
        let first = dice.below(KEYS) as i64;
        let keys: BTreeSet<i64> =
            (0..50).map(|_| (first + dice.below(300) as i64) * WRITERS + writer).collect();
        if dice.below(3) == 0 {
            let known = keys.iter().filter(|key| model.contains_key(*key)).count();
            assert_eq!(table.delete(keys.iter().copied()).await.unwrap() as usize, known);
            keys.iter().for_each(|key| drop(model.remove(key)));
        } else {
            let tag = format!("{writer}-{step}-");
            table.upsert(rows(keys.iter().copied(), &tag)).await.unwrap();
            model.extend(keys.iter().map(|key| (*key, format!("{tag}{key}"))));
        }
        let probe = *keys.first().unwrap();
        let row = table.get(probe).await.unwrap();
        let note = row.map(|row| row.column(1).as_string::<i32>().value(0).to_string());
        assert_eq!(note.as_ref(), model.get(&probe), "writer {writer}, step {step}");
    }
    model
}

/// Whoever looks sees each key once, and as many rows as are counted.
async fn read(db: Database, done: Arc<AtomicBool>) -> usize {
    let mut looks = 0;
    while !done.load(SeqCst) {
        let snapshot = db.snapshot();
        let table = snapshot.table("t").unwrap();
        let batches: Vec<RecordBatch> = table.range::<i64>(..).try_collect().await.unwrap();
        let keys: Vec<i64> = (batches.iter())
            .flat_map(|b| b.column(0).as_primitive::<Int64Type>().values().to_vec())
            .collect();
        assert!(keys.is_sorted_by(|a, b| a < b));
        assert_eq!(keys.len() as u64, table.live_rows());
        looks += 1;
    }
    looks
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rows_written_and_deleted_during_compactions_are_as_they_should_be() {
    let db = tight().open_store(memory()).await.unwrap();
    db.create_table(definition(), false).await.unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> =
        (0..2).map(|_| tokio::spawn(read(db.clone(), Arc::clone(&done)))).collect();
    let compactions = Arc::new(AtomicUsize::new(0));
    let compactor = tokio::spawn({
        let (db, done, compactions) = (db.clone(), Arc::clone(&done), Arc::clone(&compactions));
        async move {
            while !done.load(SeqCst) {
                db.compact().await.unwrap();
                compactions.fetch_add(1, SeqCst);
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
        }
    });
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| tokio::spawn(write(db.clone(), writer, 60, Arc::clone(&compactions))))
        .collect();
    let mut model = BTreeMap::new();
    for writer in writers {
        model.extend(writer.await.unwrap());
    }
    done.store(true, SeqCst);
    compactor.await.unwrap();
    assert!(compactions.load(SeqCst) >= COMPACTIONS);
    for reader in readers {
        assert!(reader.await.unwrap() > 3);
    }
    assert_eq!(contents(&db).await, model);
    let report = db.verify().await.unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    db.compact().await.unwrap();
    assert_disjoint(&db);
    assert_eq!(contents(&db).await, model);
}

fn assert_disjoint(db: &Database) {
    let version = db.handle().engine().published.get();
    let records = version.tables()[0].segments.iter().map(|view| {
        assert!(view.dead.is_empty());
        view.segment.record()
    });
    let mut records: Vec<_> = records.collect();
    records.sort_by(|a, b| a.min_key.cmp(&b.min_key));
    assert!(records.windows(2).all(|pair| pair[0].max_key < pair[1].min_key));
}

/// A table of many overlapping segments, and what it holds.
async fn layered(options: Options, store: Store, layers: i64) -> (Database, BTreeMap<i64, String>) {
    let db = options.open_store(store).await.unwrap();
    let engine = db.handle().engine();
    let writer = engine.writer.as_ref().unwrap();
    // Nobody but the test compacts them.
    let held = writer.compacting.lock().await;
    db.create_table(definition(), false).await.unwrap();
    let mut model = BTreeMap::new();
    for layer in 0..layers {
        let (keys, tag) = ((0..200).map(|i| i * layers + layer), format!("{layer}-"));
        let keys: Vec<i64> =
            keys.chain([3, 500 + layer]).collect::<BTreeSet<_>>().into_iter().collect();
        db.table("t").unwrap().upsert(rows(keys.iter().copied(), &tag)).await.unwrap();
        model.extend(keys.into_iter().map(|key| (key, format!("{tag}{key}"))));
        let mut durable = writer.maintenance.lock().await;
        engine.flush(writer, &mut durable).await.unwrap();
    }
    writer.compaction_wanted.store(false, SeqCst);
    drop(held);
    (db, model)
}

async fn segment_names(store: &Store) -> BTreeSet<String> {
    let listed = store.blobs.list("segments").await.unwrap();
    listed.into_iter().map(|blob| blob.name).collect()
}

/// Whichever batch it is cancelled before, a task leaves everything as it was.
#[tokio::test]
async fn cancelled_task_leaves_no_trace() {
    let store = memory();
    let (db, model) =
        layered(Options { memtable_bytes_max: 1 << 20, ..tight() }, store.clone(), 7).await;
    let engine = db.handle().engine();
    let _alone = engine.writer.as_ref().unwrap().compacting.lock().await;
    let version = engine.published.get();
    let table = Arc::clone(&version.tables()[0]);
    let files: Vec<u64> = table.segments.iter().map(|v| v.segment.record().file).collect();
    let task = Task { table: table.schema.id, segments: files, bytes: 0 };
    let before = segment_names(&store).await;
    for batches in 0.. {
        let left = AtomicUsize::new(batches);
        let go_on = || match left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)) {
            Ok(_) => Ok(()),
            Err(_) => Err(Error::Unavailable("cancelled")),
        };
        match compaction::run(&engine.medium, &table, &task, &go_on).await {
            Err(error) => assert!(matches!(error, Error::Unavailable("cancelled")), "{error}"),
            Ok(segments) => {
                assert!(batches > 3, "asked {batches} times");
                engine.medium.discard_segments(segments).await;
                engine.medium.sweep().await;
                assert_eq!(segment_names(&store).await, before);
                break;
            }
        }
        assert_eq!(segment_names(&store).await, before, "cancelled at batch {batches}");
    }
    assert_eq!(contents(&db).await, model);
}

/// A compaction that ends while a statement waits for its sync does not show that statement.
#[tokio::test(flavor = "multi_thread")]
async fn compaction_shows_nothing_that_waits_for_its_sync() {
    let store = memory();
    let logs = Unsyncable::new(&store);
    let (held, syncs) = (Arc::clone(&logs.held), Arc::clone(&logs.syncs));
    let logged = Store { logs: Arc::new(logs), ..store.clone() };
    let options = Options { memtable_bytes_max: 1 << 20, ..tight() };
    let (db, mut model) = layered(options, logged, 3).await;
    let engine = db.handle().engine();
    let version = engine.published.get();
    let table = Arc::clone(&version.tables()[0]);
    drop(version);
    let segments: Vec<u64> = table.segments.iter().map(|v| v.segment.record().file).collect();
    let task = Task { table: table.schema.id, segments, bytes: 0 };

    held.store(true, SeqCst);
    let before = syncs.load(SeqCst);
    let upsert = tokio::spawn({
        let db = db.clone();
        async move { db.table("t").unwrap().upsert(rows([3], "unsynced-")).await }
    });
    until(async || syncs.load(SeqCst) > before).await;
    let manifests = store.blobs.list("manifest").await.unwrap();
    let compaction = tokio::spawn({
        let engine = Arc::clone(engine);
        async move { engine.compact_task(engine.writer.as_ref().unwrap(), &task).await }
    });
    until(async || store.blobs.list("manifest").await.unwrap() != manifests).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(contents(&db).await, model);
    held.store(false, SeqCst);
    compaction.await.unwrap().unwrap().expect("it is published");
    upsert.await.unwrap().unwrap();
    model.insert(3, "unsynced-3".to_string());
    assert_eq!(contents(&db).await, model);
}

async fn until(happened: impl AsyncFn() -> bool) {
    for _ in 0..5_000 {
        if happened().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("it does not happen");
}

/// Closing ends a compaction at its next batch; the next open finds all rows and only named files.
#[tokio::test(flavor = "multi_thread")]
async fn closing_ends_a_compaction() {
    let store = slow();
    let (mut db, model) =
        layered(Options { memtable_bytes_max: 1 << 20, ..tight() }, store.clone(), 12).await;
    let mut ended = 0;
    for round in 0..6 {
        let compaction = tokio::spawn({
            let db = db.clone();
            async move { db.compact().await }
        });
        tokio::time::sleep(Duration::from_millis(50 * round)).await;
        let closing = std::time::Instant::now();
        db.close().await.unwrap();
        assert!(closing.elapsed() < Duration::from_secs(5), "{:?}", closing.elapsed());
        match compaction.await.unwrap() {
            Ok(()) => {}
            Err(Error::Unavailable(_)) => ended += 1,
            Err(error) => panic!("{error}"),
        }
        db = tight().open_store(store.clone()).await.unwrap();
        let version = db.handle().engine().published.get();
        let named = version.tables()[0].segments.len();
        let parquet = segment_names(&store).await;
        let parquet = parquet.iter().filter(|name| name.contains(".parquet")).count();
        assert_eq!(parquet, named, "round {round}");
        assert_eq!(contents(&db).await, model, "round {round}");
    }
    assert!(ended > 0);
}

/// Each task of a compaction stands by itself, has few inputs, and is not done twice.
#[tokio::test]
async fn compaction_is_many_small_tasks() {
    let store = memory();
    let (db, model) = layered(Options { memtable_bytes_max: 1 << 20, ..tight() }, store, 40).await;
    let engine = db.handle().engine();
    let writer = engine.writer.as_ref().unwrap();
    let alone = writer.compacting.lock().await;
    let mut tasks = 0;
    loop {
        let version = engine.published.get();
        let table = &version.tables()[0];
        let there: Vec<u64> = table.segments.iter().map(|v| v.segment.record().file).collect();
        let options = CompactionOptions {
            segment_rows_max: 400,
            segment_bytes_max: 1 << 20,
            set_aside: Vec::new(),
            last: None,
        };
        let Some(task) = pick_everything(table, &options, &there) else { break };
        assert!(task.segments.len() <= 8);
        assert!(engine.compact_task(writer, &task).await.unwrap().is_some());
        // What is done is done.
        assert!(engine.compact_task(writer, &task).await.unwrap().is_none());
        tasks += 1;
        assert!(tasks < 200, "tasks go on and on");
        assert_eq!(contents(&db).await.len(), model.len());
    }
    drop(alone);
    assert!(tasks > 5, "{tasks}");
    assert_disjoint(&db);
    assert_eq!(contents(&db).await, model);
    db.compact().await.unwrap();
    assert_eq!(contents(&db).await, model);
}

/// Text that does not compress.
fn noise(bytes: usize, dice: &mut Dice) -> String {
    (0..bytes).map(|_| char::from(33 + dice.below(90) as u8)).collect()
}

fn wide(keys: std::ops::Range<i64>, bytes: usize, dice: &mut Dice) -> RecordBatch {
    let notes = StringArray::from_iter_values(keys.clone().map(|_| noise(bytes, dice)));
    let key: ArrayRef = Arc::new(Int64Array::from_iter_values(keys));
    RecordBatch::try_from_iter([("id", key), ("note", Arc::new(notes) as ArrayRef)]).unwrap()
}

/// Wide rows make many small row groups and segments, however many rows would be allowed; rows that
/// are wider than those at the beginning of a segment end it.
#[tokio::test]
async fn rows_of_any_width_are_cut_by_bytes() {
    let options = || Options {
        memtable_bytes_max: 256 << 20,
        segment_bytes_max: 12 << 20,
        cache_bytes_max: 1 << 20,
        ..Options::default()
    };
    let store = memory();
    let db = options().open_store(store.clone()).await.unwrap();
    db.create_table(definition(), false).await.unwrap();
    let mut dice = Dice(1);
    let table = db.table("t").unwrap();
    table.insert(wide(0..20_000, 10, &mut dice)).await.unwrap();
    // A page of them would take gigabytes.
    table.insert(wide(20_000..20_120, 300_000, &mut dice)).await.unwrap();
    table.insert(wide(20_120..20_130, 10, &mut dice)).await.unwrap();
    let model = contents(&db).await;
    assert_eq!(model.len(), 20_130);
    {
        db.compact().await.unwrap();
        let version = db.handle().engine().published.get();
        let views = &version.tables()[0].segments;
        assert!(views.len() >= 3, "{}", views.len());
        for view in views {
            let record = view.segment.record();
            assert!(record.bytes < 20 << 20, "{record:?}");
            let groups = view.segment.parquet_metadata().row_groups();
            assert!(groups.iter().all(|group| group.compressed_size() < 80 << 20));
            let is_wide = record.bytes / u64::from(record.rows) > 200_000;
            assert!(!is_wide || record.page_rows <= 16, "{record:?}");
        }
        assert!(db.verify().await.unwrap().problems.is_empty());
        assert!(contents(&db).await == model);
    }
    table.upsert(wide(20_050..20_051, 10, &mut dice)).await.unwrap();
    db.compact().await.unwrap();
    assert_disjoint(&db);
    db.close().await.unwrap();
    let db = options().open_store(store).await.unwrap();
    assert_eq!(contents(&db).await.len(), 20_130);
}
