//! Databases that may lose their last milliseconds with the power: what is synced when, what is
//! refused, and what a failed sync leaves.

use super::*;
use crate::Durability;
use crate::clock::Clock;

/// What may be lost, in milliseconds; the clock stands still.
const LIMIT: u32 = 50;

/// Opens a directory whose logs are watched, on a clock of the test's.
async fn open(folder: &std::path::Path, clock: &Clock) -> (Database, Unsyncable) {
    let store = Store::local(folder);
    let watched = Unsyncable::new(&store);
    let store = Store { logs: Arc::new(watched.clone()), ..store };
    let options = Options { clock: clock.clone(), ..small() }.may_lose_last_ms(LIMIT);
    (options.open_files(folder, store).await.unwrap(), watched)
}

fn unsynced(db: &Database) -> u64 {
    let log = &db.handle().engine().writer().unwrap().log;
    log.next_lsn() - 1 - log.durable_lsn()
}

#[tokio::test]
async fn small_statements_wait_for_no_sync_and_large_ones_do() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::stopped();
    let (db, logs) = open(folder.path(), &clock).await;
    let opened = logs.syncs.load(SeqCst);
    db.create_table(definition(), false).await.unwrap();
    let table = db.table("t").unwrap();
    for number in 0..5 {
        table.insert(rows([number], "a")).await.unwrap();
    }
    assert_eq!((logs.syncs.load(SeqCst), table.row_count().unwrap()), (opened, 5));
    assert!(unsynced(&db) > 0);
    // The time is over.
    clock.advance(Duration::from_millis(LIMIT.into()));
    table.delete([4]).await.unwrap();
    assert_eq!((logs.syncs.load(SeqCst), unsynced(&db)), (opened + 1, 0));
    // Rows that are segments by then.
    table.insert(rows([5], "a")).await.unwrap();
    let batches = (0..20).map(|k| Ok(rows(100 + k * 500..600 + k * 500, "bulk")));
    let batches = futures::stream::iter(batches.collect::<Vec<_>>());
    table.insert_stream(batches).await.unwrap();
    assert_eq!(unsynced(&db), 0);
    for finish in [true, false] {
        table.insert(rows([6 + i64::from(finish)], "a")).await.unwrap();
        match finish {
            true => db.checkpoint().await.unwrap(),
            false => db.handle().engine().shut_down(),
        }
        let log = &db.handle().engine().writer.as_ref().unwrap().log;
        assert_eq!(log.next_lsn() - 1, log.durable_lsn());
    }
    // Nobody syncs any more, and nothing is to be synced.
    let ended = logs.syncs.load(SeqCst);
    drop((table, db));
    assert_eq!(logs.syncs.load(SeqCst), ended);
}

#[tokio::test]
async fn closed_or_dropped_it_leaves_no_thread_and_the_directory_free() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options::default().may_lose_last_ms(3_600_000);
    let path = |number: u32| folder.path().join(number.to_string());
    for turn in 0..3_i64 {
        let mut databases = Vec::new();
        for number in 0..12 {
            let db = options.clone().open(path(number)).await.unwrap();
            db.create_table(definition(), true).await.unwrap();
            assert_eq!(contents(&db).await.len() as i64, turn);
            db.table("t").unwrap().insert(rows([turn], "a")).await.unwrap();
            assert!(db.handle().engine().writer().unwrap().log.has_sync_thread());
            databases.push(db);
        }
        for (number, db) in databases.into_iter().enumerate() {
            if number % 2 == 0 {
                db.close().await.unwrap();
                let writer = db.handle().engine().writer.as_ref().unwrap();
                assert!(!writer.log.has_sync_thread());
            }
        }
    }
}

/// Else it would be ahead of what it is a copy of, after a power cut.
#[tokio::test]
async fn backup_has_nothing_that_may_be_lost() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options::default().may_lose_last_ms(3_600_000);
    let db = options.open(folder.path().join("db")).await.unwrap();
    db.create_table(definition(), false).await.unwrap();
    db.table("t").unwrap().insert(rows(0..10, "a")).await.unwrap();
    let engine = db.handle().engine();
    let log = &engine.writer().unwrap().log;
    assert!(log.durable_lsn() < engine.published.get().lsn);
    let report = db.backup(folder.path().join("copy")).await.unwrap();
    assert_eq!(log.durable_lsn(), report.lsn);
}

/// The first error is told by closing too, and whoever opens the directory again goes on.
#[tokio::test]
async fn close_after_a_failure_of_the_log_tells_it_and_frees_the_directory() {
    for durability in [Durability::Sync, Durability::MayLoseLastMs(LIMIT)] {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::stopped();
        let store = Store::local(folder.path());
        let watched = Unsyncable::new(&store);
        let store = Store { logs: Arc::new(watched.clone()), ..store };
        let options = Options { clock: clock.clone(), durability, ..small() };
        let db = options.clone().open_files(folder.path(), store).await.unwrap();
        db.create_table(definition(), false).await.unwrap();
        let table = db.table("t").unwrap();
        table.insert(rows(0..10, "a")).await.unwrap();
        assert!(db.inspect().await.troubles.is_empty());
        watched.broken.store(true, SeqCst);
        clock.advance(Duration::from_millis(LIMIT.into()));
        let lost = table.insert(rows(10..20, "b")).await.unwrap_err();
        assert!(matches!(lost, Error::OutcomeUnknown(_)), "{lost}");
        watched.broken.store(false, SeqCst);
        let refused = table.insert(rows(20..30, "c")).await.unwrap_err();
        assert!(matches!(refused, Error::Unavailable(_)), "{refused}");
        assert_eq!(db.inspect().await.troubles[0].error.to_string(), lost.to_string());
        let closed = db.close().await.unwrap_err();
        assert_eq!(closed.to_string(), lost.to_string());
        // The handle is still there.
        let again = options.open(folder.path()).await.unwrap();
        assert!([10, 20].contains(&contents(&again).await.len()));
        again.table("t").unwrap().insert(rows(20..30, "c")).await.unwrap();
        again.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_failed_sync_in_the_background_is_seen_without_a_statement() {
    let folder = tempfile::tempdir().unwrap();
    let (db, logs) = open(folder.path(), &Clock::default()).await;
    db.create_table(definition(), false).await.unwrap();
    db.checkpoint().await.unwrap();
    logs.broken.store(true, SeqCst);
    // (On a machine with much else to do the sync may come before the acknowledgement.)
    let written = db.table("t").unwrap().insert(rows([1], "a")).await;
    assert!(matches!(written, Ok(_) | Err(Error::OutcomeUnknown(_))), "{written:?}");
    let start = std::time::Instant::now();
    let troubles = loop {
        let troubles = db.inspect().await.troubles;
        if !troubles.is_empty() {
            break troubles;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "the thread does not sync");
        std::thread::sleep(Duration::from_millis(1));
    };
    assert_eq!((troubles.len(), troubles[0].work.as_str()), (1, "log"));
    assert!(troubles[0].error.to_string().contains("50 ms"), "{}", troubles[0].error);
    let refused = db.table("t").unwrap().insert(rows([2], "a")).await.unwrap_err();
    assert!(refused.to_string().contains("in the background"), "{refused}");
    assert!(written.is_err() || contents(&db).await.len() == 1);
}

#[tokio::test]
async fn where_it_cannot_be_kept_the_option_is_refused_before_anything_is_written() {
    let store = memory();
    let options = Options::default().may_lose_last_ms(LIMIT);
    let refused = options.clone().open_store(store.clone()).await.unwrap_err();
    assert!(matches!(&refused, Error::InvalidInput(m) if m.contains("dies with the process")));
    assert!(store.blobs.list("manifest").await.unwrap().is_empty());
    let folder = tempfile::tempdir().unwrap();
    let nothing = Options::default().may_lose_last_ms(0).open(folder.path()).await.unwrap_err();
    assert!(matches!(&nothing, Error::InvalidInput(m) if m.contains("0 ms")), "{nothing}");
    assert!(folder.path().read_dir().unwrap().next().is_none());
    // Who only reads writes nothing that could be lost.
    Options::default().open_store(store.clone()).await.unwrap();
    Options { read_only: true, ..options }.open_store(store).await.unwrap();
}
