//! Statements acknowledged before their sync: what is synced when, and what failures say.

use std::collections::HashMap;
use std::time::Instant;

use super::*;
use crate::clock::Clock;
use crate::storage::store::LogSync;

/// What may be lost in these tests, where the clock stands still.
const LIMIT: Duration = Duration::from_millis(100);
/// Longer than anything takes on a machine with much else to do.
const PATIENCE: Duration = Duration::from_secs(60);

/// A disk in memory that knows what is synced.
#[derive(Debug, Default)]
struct Disk(Mutex<Content>);

#[derive(Debug, Default)]
struct Content {
    /// By name: bytes, and how many of them are synced.
    files: HashMap<String, (Vec<u8>, usize)>,
    syncs: usize,
    fails: bool,
}

#[derive(Debug, Clone)]
struct File(Arc<Disk>, String);

impl Disk {
    /// The lsns of the statements in a log file; those that are synced, or all that are written.
    fn statements(&self, number: u64, synced: bool) -> Vec<u64> {
        let content = lock(&self.0);
        let (bytes, count) = &content.files[&log_name(number)];
        let count = if synced { *count } else { bytes.len() };
        let bytes = Bytes::copy_from_slice(&bytes[..count]);
        read_log(number, &DATABASE, &bytes).unwrap().statements.iter().map(|s| s.lsn).collect()
    }
    fn is_sealed_and_synced(&self, number: u64) -> bool {
        let content = lock(&self.0);
        let (bytes, synced) = &content.files[&log_name(number)];
        let bytes = Bytes::copy_from_slice(&bytes[..*synced]);
        read_log(number, &DATABASE, &bytes).unwrap().sealed
    }
    fn syncs(&self) -> usize {
        lock(&self.0).syncs
    }
    /// Syncs are counted from now on.
    fn forget_syncs(&self) {
        lock(&self.0).syncs = 0;
    }
    fn fail(&self) {
        lock(&self.0).fails = true;
    }
    /// What each commit frame of the first file calls durable.
    fn durable_lsns(&self) -> Vec<u64> {
        let bytes = lock(&self.0).files[&log_name(1)].0.clone();
        let (mut rest, mut found) = (&bytes[LogHeader::BYTES..], Vec::new());
        while let frame::FrameResult::Frame(frame) = frame::decode(rest) {
            if frame.header.kind == KIND_COMMIT {
                found.push(Commit::decode(&frame.payload()).unwrap().durable_lsn);
            }
            rest = &rest[frame.header.frame_bytes()..];
        }
        found
    }
}

#[async_trait]
impl Logs for File {
    async fn create(&self, name: &str) -> Result<Box<dyn LogFile>> {
        lock(&self.0.0).files.insert(name.to_string(), (Vec::new(), 0));
        Ok(Box::new(File(Arc::clone(&self.0), name.to_string())))
    }
    async fn read(&self, name: &str) -> Result<Bytes> {
        Err(Error::invalid(name))
    }
    async fn take_over(&self, name: &str) -> Result<Bytes> {
        Err(Error::invalid(name))
    }
    fn keeps_unsynced(&self) -> bool {
        true
    }
    async fn list(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
    async fn delete(&self, _name: &str) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl LogFile for File {
    async fn append(&mut self, bytes: Bytes) -> Result<()> {
        let mut content = lock(&self.0.0);
        content.files.get_mut(&self.1).unwrap().0.extend_from_slice(&bytes);
        Ok(())
    }
    async fn sync(&mut self) -> Result<()> {
        LogSync::sync(self)
    }
    fn syncer(&self) -> Option<Arc<dyn LogSync>> {
        Some(Arc::new(self.clone()))
    }
}

impl LogSync for File {
    fn sync(&self) -> Result<()> {
        let mut content = lock(&self.0.0);
        content.syncs += 1;
        if content.fails {
            return Err(Error::io("log", std::io::Error::other("the cable is loose")));
        }
        let (bytes, synced) = content.files.get_mut(&self.1).unwrap();
        *synced = bytes.len();
        Ok(())
    }
}

struct Log {
    writer: LogWriter<u64>,
    disk: Arc<Disk>,
    published: Arc<Mutex<Vec<u64>>>,
}

impl Log {
    async fn new(limit: Duration, clock: &Clock) -> Self {
        let disk = Arc::new(Disk::default());
        let memory = Store::object_store(Arc::new(InMemory::new()), "");
        let logs = Arc::new(File(Arc::clone(&disk), String::new()));
        let store = Store { logs, ..memory };
        let published = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&published);
        let publish = Box::new(move |version| lock(&seen).push(version));
        let writer = LogWriter::create(&store, clock, header(), publish).await.unwrap();
        writer.defer_syncs(limit).unwrap();
        disk.forget_syncs();
        Self { writer, disk, published }
    }

    /// A statement up to its acknowledgement.
    async fn commit(&self) -> Result<u64> {
        let lsn = enqueue(&self.writer, &[Op::DropTable(3)], 5)?;
        self.writer.wait_committed(lsn).await?;
        assert_eq!(lock(&self.published).last(), Some(&lsn));
        Ok(lsn)
    }

    /// Waits for something that the thread does.
    fn wait_until(&self, what: &str, holds: impl Fn() -> bool) {
        let start = Instant::now();
        while !holds() {
            assert!(start.elapsed() < PATIENCE, "{what} does not come");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

#[tokio::test]
async fn acknowledged_statements_are_written_and_synced_when_the_time_is_over() {
    let clock = Clock::stopped();
    let log = Log::new(LIMIT, &clock).await;
    let first = log.commit().await.unwrap();
    clock.advance(LIMIT / 2);
    let second = log.commit().await.unwrap();
    clock.advance(LIMIT / 2 - Duration::from_millis(1));
    let third = log.commit().await.unwrap();
    assert_eq!(log.disk.syncs(), 0);
    assert_eq!(log.disk.statements(1, false), [first, second, third]);
    assert!(log.disk.statements(1, true).is_empty());
    // The first of them is now older than what may be lost.
    clock.advance(Duration::from_millis(1));
    let fourth = log.commit().await.unwrap();
    assert_eq!(log.disk.syncs(), 1);
    assert_eq!(log.disk.statements(1, true), [first, second, third, fourth]);
    // The time counts anew from the first one that is not synced.
    clock.advance(10 * LIMIT);
    let fifth = log.commit().await.unwrap();
    clock.advance(LIMIT);
    let sixth = log.commit().await.unwrap();
    assert_eq!((log.disk.syncs(), log.disk.statements(1, true).len()), (2, 6));
    log.commit().await.unwrap();
    // A frame calls durable what was synced when it was appended, not what was acknowledged.
    assert_eq!(log.disk.durable_lsns(), [0, 0, 0, 0, fourth, fourth, sixth]);
    assert!(fifth < sixth);
}

#[tokio::test]
async fn idle_statements_are_synced_once_and_nothing_else_is() {
    let limit = Duration::from_millis(20);
    let log = Log::new(limit, &Clock::default()).await;
    std::thread::sleep(3 * limit);
    assert_eq!(log.disk.syncs(), 0, "there is nothing to sync");
    for syncs in 1..4 {
        let before = Instant::now();
        let lsn = log.commit().await.unwrap();
        log.wait_until("the sync", || log.disk.statements(1, true).last() == Some(&lsn));
        assert!(before.elapsed() >= limit / 2, "it was to wait for others");
        std::thread::sleep(3 * limit);
        assert_eq!(log.disk.syncs(), syncs);
    }
    log.writer.stop_deferring();
    assert_eq!(log.disk.syncs(), 3, "there is nothing to sync");
}

#[tokio::test]
async fn files_are_finished_by_a_sync_before_the_next_one_takes_statements() {
    let log = Log::new(LIMIT, &Clock::stopped()).await;
    let first = log.commit().await.unwrap();
    rotate(&log.writer, 2, 88).await.unwrap();
    assert_eq!(log.disk.statements(1, true), [first]);
    assert!(log.disk.is_sealed_and_synced(1));
    let syncs = log.disk.syncs();
    let second = log.commit().await.unwrap();
    assert_eq!((log.disk.syncs(), log.disk.statements(2, true).len()), (syncs, 0));
    log.writer.wait_durable(second).await.unwrap();
    assert_eq!((log.disk.syncs(), log.disk.statements(2, true).len()), (syncs + 1, 1));
    log.writer.wait_all().await.unwrap();
    assert_eq!(log.disk.syncs(), syncs + 1, "all is synced");
    log.commit().await.unwrap();
    log.writer.close().await.unwrap();
    assert!(log.disk.is_sealed_and_synced(2));
}

#[tokio::test]
async fn nothing_is_left_unsynced_when_the_writer_stops_or_goes() {
    let log = Log::new(LIMIT, &Clock::stopped()).await;
    log.commit().await.unwrap();
    log.writer.stop_deferring();
    assert_eq!(log.disk.statements(1, true).len(), 1);
    // Who had begun by then syncs before it is acknowledged.
    log.commit().await.unwrap();
    assert_eq!((log.disk.syncs(), log.disk.statements(1, true).len()), (2, 2));

    // A thread that is not due for an hour.
    let log = Log::new(Duration::from_secs(7200), &Clock::default()).await;
    log.commit().await.unwrap();
    let Log { writer, disk, .. } = log;
    drop(writer);
    assert_eq!((disk.syncs(), disk.statements(1, true).len()), (1, 1));
}

#[tokio::test]
async fn failed_sync_in_the_background_poisons_the_log_and_says_what_may_be_gone() {
    for in_background in [true, false] {
        let clock = if in_background { Clock::default() } else { Clock::stopped() };
        let limit = Duration::from_millis(1000);
        let log = Log::new(limit, &clock).await;
        let kept = log.commit().await.unwrap();
        log.writer.wait_durable(kept).await.unwrap();
        log.disk.fail();
        let lost = log.commit().await.unwrap();
        if in_background {
            log.wait_until("the failure", || log.writer.failure().is_some());
        } else {
            clock.advance(limit);
            // Written, and nobody knows whether it is durable.
            assert!(unknown(log.commit().await));
        }
        let error = log.writer.failure().unwrap().to_string();
        assert!(error.contains("1000 ms") && error.contains("the cable is loose"), "{error}");
        let syncs = log.disk.syncs();
        // Statements that come now are certainly not written.
        let refused = log.commit().await.unwrap_err();
        assert!(matches!(refused, Error::Unavailable(_)), "{refused}");
        assert!(refused.to_string().contains("in the background"), "{refused}");
        assert!(log.writer.close().await.is_err() && rotate(&log.writer, 2, 2).await.is_err());
        assert!(unknown(log.writer.wait_durable(lost).await));
        log.writer.wait_durable(kept).await.unwrap();
        log.writer.wait_committed(lost).await.unwrap();
        log.writer.stop_deferring();
        assert_eq!(log.disk.syncs(), syncs, "nothing is synced after a failure");
        assert_eq!(log.disk.statements(1, true), [kept]);
    }
}

#[tokio::test]
async fn a_log_that_cannot_be_synced_later_is_refused() {
    let store = Store::object_store(Arc::new(InMemory::new()), "db");
    let publish = Box::new(|_: u64| {});
    let writer = LogWriter::create(&store, &Clock::default(), header(), publish).await.unwrap();
    let refused = writer.defer_syncs(LIMIT);
    assert!(matches!(refused, Err(Error::InvalidInput(_))));
}
