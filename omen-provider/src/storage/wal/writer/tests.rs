mod deferred;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use object_store::memory::InMemory;
use tokio::sync::Notify;

use super::round::FAILED;
use super::*;
use crate::storage::frame;
use crate::storage::store::Logs;
use crate::storage::wal::read_log;
use crate::storage::wal::record::{Commit, KIND_COMMIT};

const DATABASE: [u8; 16] = *b"sixteen bytes id";

fn header() -> LogHeader {
    LogHeader { database: DATABASE, epoch: 1, number: 1, generation: 77, first_lsn: 1 }
}

/// A log in memory that counts, waits at a gate before each sync, and fails on demand.
#[derive(Debug, Default)]
struct Medium {
    content: Mutex<Vec<u8>>,
    appends: AtomicUsize,
    syncs: AtomicUsize,
    gated: AtomicBool,
    gate: Notify,
    fail_append: AtomicBool,
    fail_sync: AtomicBool,
    fail_create: AtomicBool,
}

#[derive(Debug)]
struct GatedLogs(Arc<Medium>);
struct GatedFile(Arc<Medium>);

#[async_trait]
impl Logs for GatedLogs {
    async fn create(&self, name: &str) -> Result<Box<dyn LogFile>> {
        if self.0.fail_create.load(Ordering::SeqCst) {
            return Err(Error::invalid(name));
        }
        Ok(Box::new(GatedFile(Arc::clone(&self.0))))
    }
    async fn read(&self, _name: &str) -> Result<Bytes> {
        Ok(Bytes::from(lock(&self.0.content).clone()))
    }
    async fn take_over(&self, name: &str) -> Result<Bytes> {
        self.read(name).await
    }
    async fn list(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
    async fn delete(&self, _name: &str) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl LogFile for GatedFile {
    async fn append(&mut self, bytes: Bytes) -> Result<()> {
        self.0.appends.fetch_add(1, Ordering::SeqCst);
        if self.0.fail_append.load(Ordering::SeqCst) {
            return Err(Error::io("log", std::io::Error::other("no space")));
        }
        lock(&self.0.content).extend_from_slice(&bytes);
        Ok(())
    }
    async fn sync(&mut self) -> Result<()> {
        if self.0.gated.load(Ordering::SeqCst) {
            self.0.gate.notified().await;
        }
        self.0.syncs.fetch_add(1, Ordering::SeqCst);
        match self.0.fail_sync.load(Ordering::SeqCst) {
            true => Err(Error::io("log", std::io::Error::other("sync failed"))),
            false => Ok(()),
        }
    }
}

/// Encodes and queues a statement.
fn enqueue(writer: &LogWriter<u64>, ops: &[Op], accepted_ms: u64) -> Result<u64> {
    writer.enqueue(writer.encode(ops, accepted_ms)?, |lsn| lsn)
}

async fn new_writer(store: &Store, publish: Publish<u64>) -> LogWriter<u64> {
    LogWriter::create(store, &Clock::stopped(), header(), publish).await.unwrap()
}

/// A writer whose versions nobody takes.
async fn unheard(store: &Store) -> LogWriter<u64> {
    new_writer(store, Box::new(|_| {})).await
}

async fn rotate(writer: &LogWriter<u64>, number: u64, generation: u64) -> Result<LogHeader> {
    let next = writer.prepare_next(number).await?;
    writer.rotate(next, generation).await
}

struct Fixture {
    writer: Arc<LogWriter<u64>>,
    medium: Arc<Medium>,
    published: Arc<Mutex<Vec<u64>>>,
}

async fn gated() -> Fixture {
    let medium = Arc::new(Medium::default());
    let memory = Store::object_store(Arc::new(InMemory::new()), "");
    let store = Store { logs: Arc::new(GatedLogs(Arc::clone(&medium))), ..memory };
    let published = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&published);
    let publish = Box::new(move |version| lock(&seen).push(version));
    let writer = Arc::new(new_writer(&store, publish).await);
    medium.appends.store(0, Ordering::SeqCst);
    medium.syncs.store(0, Ordering::SeqCst);
    Fixture { writer, medium, published }
}

impl Fixture {
    fn enqueue(&self) -> u64 {
        enqueue(&self.writer, &[Op::DropTable(3)], 5).unwrap()
    }
    fn waiter(&self, lsn: u64) -> tokio::task::JoinHandle<Result<()>> {
        let writer = Arc::clone(&self.writer);
        tokio::spawn(async move { writer.wait_durable(lsn).await })
    }
    fn counts(&self) -> (usize, usize) {
        (self.medium.appends.load(Ordering::SeqCst), self.medium.syncs.load(Ordering::SeqCst))
    }
    fn published(&self) -> Vec<u64> {
        lock(&self.published).clone()
    }
    /// What each commit frame calls durable.
    fn durable_lsns(&self) -> Vec<u64> {
        let content = lock(&self.medium.content).clone();
        let (mut rest, mut found) = (&content[LogHeader::BYTES..], Vec::new());
        while let frame::FrameResult::Frame(frame) = frame::decode(rest) {
            if frame.header.kind == KIND_COMMIT {
                found.push(Commit::decode(&frame.payload()).unwrap().durable_lsn);
            }
            rest = &rest[frame.header.frame_bytes()..];
        }
        found
    }
    fn statements(&self) -> Vec<u64> {
        let bytes = Bytes::from(lock(&self.medium.content).clone());
        read_log(1, &DATABASE, &bytes).unwrap().statements.iter().map(|s| s.lsn).collect()
    }
}

/// Lets every spawned task run until it waits.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

fn unavailable<T>(result: Result<T>) -> bool {
    matches!(result, Err(Error::Unavailable(FAILED)))
}

fn unknown<T>(result: Result<T>) -> bool {
    matches!(result, Err(Error::OutcomeUnknown(_)))
}

#[tokio::test]
async fn statements_come_back_from_every_medium() {
    let directory = tempfile::tempdir().unwrap();
    for store in
        [Store::local(directory.path()), Store::object_store(Arc::new(InMemory::new()), "db")]
    {
        let writer = unheard(&store).await;
        let put = Op::Put { table: 1, fresh: true, rows: Bytes::from("rows") };
        let delete = Op::Delete { table: 1, keys: vec![b"k".to_vec()] };
        let first = enqueue(&writer, &[put.clone(), delete.clone()], 11).unwrap();
        let second = enqueue(&writer, &[], 12).unwrap();
        writer.wait_durable(first).await.unwrap();
        let third = enqueue(&writer, std::slice::from_ref(&delete), 13).unwrap();
        writer.wait_durable(third).await.unwrap();
        assert_eq!((first, second, third, writer.next_lsn()), (3, 4, 6, 7));
        let bytes = store.logs.take_over(&log_name(1)).await.unwrap();
        assert!(bytes[writer.bytes() as usize..].iter().all(|byte| *byte == 0));
        let read = read_log(1, &DATABASE, &bytes).unwrap();
        assert_eq!(read.header, header());
        let seen: Vec<_> = read.statements.iter().map(|s| (s.lsn, s.accepted_ms)).collect();
        assert_eq!(seen, [(3, 11), (4, 12), (6, 13)]);
        assert_eq!(read.statements[0].ops, [put, delete.clone()]);
        assert_eq!(read.statements[2].ops, [delete]);
        assert_eq!((read.next_lsn, read.dropped_tail_bytes(), read.sealed), (7, 0, false));
    }
}

#[tokio::test]
async fn one_append_and_one_sync_serve_a_group() {
    let log = gated().await;
    log.medium.gated.store(true, Ordering::SeqCst);
    let first = log.enqueue();
    let leader = log.waiter(first);
    settle().await;
    let others: Vec<_> = (0..16).map(|_| log.waiter(log.enqueue())).collect();
    settle().await;
    assert_eq!(log.counts(), (1, 0));
    assert!(log.published().is_empty(), "nothing is visible before the sync");
    assert!(!leader.is_finished());
    log.medium.gate.notify_one();
    leader.await.unwrap().unwrap();
    assert_eq!(log.published(), [first]);
    settle().await;
    log.medium.gate.notify_one();
    for other in others {
        other.await.unwrap().unwrap();
    }
    assert_eq!(log.counts(), (2, 2));
    assert_eq!(log.published(), [first, log.writer.durable_lsn()]);
    assert_eq!(log.statements().len(), 17);
    // The second group was queued before the first was durable, and written after.
    assert_eq!(log.durable_lsns(), [[0].as_slice(), [first; 16].as_slice()].concat());
}

/// Syncs for so many statements by each of so many writers, of which only the last goes on after a
/// half of them.
async fn syncs_for(writers: usize, statements: usize) -> usize {
    let log = Arc::new(gated().await);
    let tasks: Vec<_> = (1..=writers)
        .map(|number| {
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                let count = if number == writers { statements } else { statements / 2 };
                for _ in 0..count {
                    log.writer.wait_committed(log.enqueue()).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    log.counts().1
}

#[tokio::test]
async fn writers_who_take_turns_on_one_thread_share_their_syncs() {
    assert_eq!(syncs_for(1, 500).await, 500);
    // Some alone, until it is noticed that they are not; then together, until one is left.
    let syncs = syncs_for(16, 1_000).await;
    assert!((1_000..1_300).contains(&syncs), "{syncs}");
}

/// A task may keep a statement that it has begun to wait for, and wait for something else.
#[tokio::test]
async fn writer_who_is_never_polled_again_keeps_nobody_waiting() {
    let log = gated().await;
    // Groups of two come together.
    let (first, second) = (log.enqueue(), log.enqueue());
    let (first, second) = (log.waiter(first), log.waiter(second));
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();

    let kept = log.enqueue();
    let mut kept = Box::pin(log.writer.wait_committed(kept));
    assert!(futures::poll!(kept.as_mut()).is_pending(), "it gives others a turn first");
    let next = log.enqueue();
    let waiter = log.waiter(next);
    tokio::time::timeout(Duration::from_secs(5), waiter).await.unwrap().unwrap().unwrap();
    assert_eq!(log.published().last(), Some(&next));
    kept.await.unwrap();
}

/// A program may wait for a statement with another executor, on a thread of the runtime.
#[test]
fn statement_that_blocks_its_thread_is_committed() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let (done, is_done) = std::sync::mpsc::channel();
    runtime.spawn(async move {
        let log = gated().await;
        let (first, second) = (log.enqueue(), log.enqueue());
        let (first, second) = (log.waiter(first), log.waiter(second));
        first.await.unwrap().unwrap();
        second.await.unwrap().unwrap();
        let lsn = log.enqueue();
        futures::executor::block_on(log.writer.wait_committed(lsn)).unwrap();
        done.send(()).unwrap();
    });
    let outcome = is_done.recv_timeout(Duration::from_secs(10));
    runtime.shutdown_background();
    assert_eq!(outcome, Ok(()), "it waits for a turn that its thread cannot give");
}

#[tokio::test]
async fn dropped_leader_neither_hangs_others_nor_loses_bytes() {
    let log = gated().await;
    log.medium.gated.store(true, Ordering::SeqCst);
    let lsn = log.enqueue();
    let leader = log.waiter(lsn);
    settle().await;
    let follower = log.waiter(lsn);
    settle().await;
    leader.abort();
    settle().await;
    log.medium.gate.notify_one();
    tokio::time::timeout(Duration::from_secs(5), follower).await.unwrap().unwrap().unwrap();
    assert_eq!(log.counts(), (1, 1));

    // All waiters gone in the middle: the next one finishes their round.
    let lost = log.enqueue();
    let leader = log.waiter(lost);
    settle().await;
    leader.abort();
    settle().await;
    let next = log.enqueue();
    let waiter = log.waiter(next);
    settle().await;
    log.medium.gated.store(false, Ordering::SeqCst);
    log.medium.gate.notify_one();
    tokio::time::timeout(Duration::from_secs(5), waiter).await.unwrap().unwrap().unwrap();
    assert_eq!(log.statements(), [lsn, lost, next]);
    assert_eq!(log.published(), [lsn, lost, next]);
}

#[tokio::test]
async fn failed_write_or_sync_poisons_the_log() {
    for in_sync in [false, true] {
        let log = gated().await;
        let kept = log.enqueue();
        log.writer.wait_durable(kept).await.unwrap();
        let fault = if in_sync { &log.medium.fail_sync } else { &log.medium.fail_append };
        fault.store(true, Ordering::SeqCst);
        let (first, second) = (log.enqueue(), log.enqueue());
        assert!(unknown(log.writer.wait_durable(first).await));
        fault.store(false, Ordering::SeqCst);
        let counts = log.counts();
        assert!(unknown(log.writer.wait_durable(second).await));
        // What was not queued is certainly not in the log.
        assert!(unavailable(enqueue(&log.writer, &[], 0)));
        assert!(unavailable(rotate(&log.writer, 2, 2).await));
        assert!(unavailable(log.writer.close().await));
        log.writer.wait_durable(kept).await.unwrap();
        assert_eq!(log.counts(), counts, "nothing is appended or synced after a failure");
        assert_eq!(log.published(), [kept]);
    }
}

#[tokio::test]
async fn rotation_chains_files_and_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::local(directory.path());
    let writer = unheard(&store).await;
    let before = enqueue(&writer, &[Op::DropTable(1)], 1).unwrap();
    let next = rotate(&writer, 9, 88).await.unwrap();
    assert_eq!(writer.durable_lsn(), before + 1);
    assert_eq!((writer.number(), writer.bytes()), (9, LogHeader::BYTES as u64));
    let after = enqueue(&writer, &[Op::DropTable(2)], 2).unwrap();
    writer.close().await.unwrap();
    writer.close().await.unwrap();
    assert!(matches!(enqueue(&writer, &[], 0), Err(Error::Unavailable("closed"))));
    assert!(rotate(&writer, 10, 1).await.is_err());

    let read = |number| {
        let store = &store;
        async move {
            let bytes = store.logs.read(&log_name(number)).await.unwrap();
            read_log(number, &DATABASE, &bytes).unwrap()
        }
    };
    let (old, new) = (read(1).await, read(9).await);
    assert_eq!((old.sealed, old.next_log, old.next_lsn), (true, Some(9), next.first_lsn));
    assert_eq!(old.statements[0].lsn, before);
    assert_eq!(new.header, LogHeader { number: 9, generation: 88, first_lsn: 4, ..header() });
    assert_eq!((new.sealed, new.next_log), (true, None));
    assert_eq!(new.statements[0].lsn, after);
}

#[tokio::test]
async fn failed_creation_of_the_next_file_leaves_this_one_going() {
    let log = gated().await;
    log.medium.fail_create.store(true, Ordering::SeqCst);
    assert!(matches!(rotate(&log.writer, 2, 2).await, Err(Error::InvalidInput(_))));
    let lsn = log.enqueue();
    log.writer.wait_all().await.unwrap();
    assert_eq!(log.statements(), [lsn]);
}

#[tokio::test]
async fn too_long_an_operation_is_refused_whole() {
    let log = gated().await;
    let rows = Bytes::from(vec![1; frame::PAYLOAD_BYTES_MAX]);
    let ops = [Op::DropTable(1), Op::Put { table: 1, fresh: false, rows }];
    let refused = enqueue(&log.writer, &ops, 0);
    assert!(matches!(refused, Err(Error::InvalidInput(_))));
    let lsn = log.enqueue();
    log.writer.wait_durable(lsn).await.unwrap();
    assert_eq!((lsn, log.statements()), (2, vec![2]));
}

#[tokio::test]
async fn fenced_writer_learns_that_its_outcome_is_unknown() {
    let store = Store::object_store(Arc::new(InMemory::new()), "db");
    let writer = unheard(&store).await;
    store.logs.take_over(&log_name(1)).await.unwrap();
    let lsn = enqueue(&writer, &[], 0).unwrap();
    assert!(unknown(writer.wait_durable(lsn).await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_writers_on_a_real_disk_are_published_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::local(directory.path());
    let published = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&published);
    let publish = Box::new(move |version: u64| lock(&seen).push(version));
    let writer = Arc::new(new_writer(&store, publish).await);
    let commits = Arc::new(Mutex::new(()));
    let tasks: Vec<_> = (0..8u32)
        .map(|table| {
            let (writer, published) = (Arc::clone(&writer), Arc::clone(&published));
            let commits = Arc::clone(&commits);
            tokio::spawn(async move {
                for _ in 0..50 {
                    let lsn = {
                        let _one_at_a_time = lock(&commits);
                        enqueue(&writer, &[Op::DropTable(table)], 0).unwrap()
                    };
                    writer.wait_durable(lsn).await.unwrap();
                    assert!(lock(&published).last().is_some_and(|last| *last >= lsn));
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert!(lock(&published).is_sorted_by(|a, b| a < b));
    let bytes = store.logs.read(&log_name(1)).await.unwrap();
    assert_eq!(read_log(1, &DATABASE, &bytes).unwrap().statements.len(), 400);
}
