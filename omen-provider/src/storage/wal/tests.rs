//! Group commit under many schedules: statements, rotation, failures, waiters that go away.

use std::collections::HashMap;

use async_trait::async_trait;
use object_store::memory::InMemory;

use super::*;
use crate::clock::Clock;
use crate::storage::frame;
use crate::storage::store::{LogSync, Logs};
use crate::storage::wal::read_log;
use crate::storage::wal::record::{Commit, KIND_COMMIT, KIND_SEAL, Seal};
use crate::storage::wal::scheduled::scheduler::{
    block_on, chosen, explore, pause, poll_once, spawn, suspend,
};

const DATABASE: [u8; 16] = *b"sixteen bytes id";

/// Threads that write, and statements of each.
const WRITERS: u64 = 3;
const STATEMENTS: u64 = 2;

/// Logs in memory, which wait whenever they like and fail on demand. The locks of `std` are held
/// between two points only.
#[derive(Debug, Default)]
struct Medium(std::sync::Mutex<Disk>);

#[derive(Debug, Default)]
struct Disk {
    /// By name: bytes, and how many of them are synced.
    files: HashMap<String, (Vec<u8>, usize)>,
    /// Appends and syncs until one fails; it and all later ones are counted.
    calls_left: Option<u64>,
    calls_after_failure: u64,
    fails: bool,
}

impl Medium {
    fn disk(&self) -> std::sync::MutexGuard<'_, Disk> {
        self.0.lock().unwrap()
    }

    /// Counts a call; an error if it is to fail.
    fn call(&self) -> Result<()> {
        let mut disk = self.disk();
        disk.calls_after_failure += u64::from(disk.fails);
        if disk.calls_left == Some(0) {
            disk.fails = true;
            return Err(Error::io("log", std::io::Error::other("as planned")));
        }
        disk.calls_left = disk.calls_left.map(|left| left - 1);
        Ok(())
    }

    /// Checks what is to be appended: frames that call durable what is, behind files that are.
    fn check_append(&self, name: &str, mut frames: &[u8]) {
        let durable = self.synced().last().map_or(1, |last| last + 1);
        while let frame::FrameResult::Frame(frame) = frame::decode(frames) {
            let payload = frame.payload();
            let claimed = match frame.header.kind {
                KIND_COMMIT => Commit::decode(&payload).unwrap().durable_lsn,
                KIND_SEAL => Seal::decode(&payload).unwrap().durable_lsn,
                _ => 0,
            };
            // (The last may be a seal.)
            assert!(claimed <= durable, "{claimed} is called durable, and {durable} is");
            frames = &frames[frame.header.frame_bytes()..];
            let has_hole =
                self.disk().files.iter().any(|(before, (bytes, synced))| {
                    before.as_str() < name && bytes.len() > *synced
                });
            assert!(!has_hole, "{name} is written to, and a file before it has a hole");
        }
    }

    /// The statements that are on the medium for certain.
    fn synced(&self) -> Vec<u64> {
        let disk = self.disk();
        let mut names: Vec<&String> = disk.files.keys().collect();
        names.sort();
        let mut statements = Vec::new();
        for (number, name) in (1..).zip(names) {
            let (bytes, synced) = &disk.files[name];
            let bytes = Bytes::from(bytes[..*synced].to_vec());
            if !bytes.is_empty() {
                let log = read_log(number, &DATABASE, &bytes).unwrap();
                statements.extend(log.statements.iter().map(|statement| statement.lsn));
            }
        }
        statements
    }
}

#[derive(Debug)]
struct Files(std::sync::Arc<Medium>);
#[derive(Debug, Clone)]
struct File(std::sync::Arc<Medium>, String);

#[async_trait]
impl Logs for Files {
    async fn create(&self, name: &str) -> Result<Box<dyn LogFile>> {
        suspend().await;
        self.0.disk().files.insert(name.to_string(), (Vec::new(), 0));
        Ok(Box::new(File(std::sync::Arc::clone(&self.0), name.to_string())))
    }
    async fn read(&self, name: &str) -> Result<Bytes> {
        Err(Error::invalid(name))
    }
    async fn take_over(&self, name: &str) -> Result<Bytes> {
        Err(Error::invalid(name))
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
        suspend().await;
        self.0.call()?;
        self.0.check_append(&self.1, &bytes);
        self.0.disk().files.get_mut(&self.1).unwrap().0.extend_from_slice(&bytes);
        Ok(())
    }
    fn syncer(&self) -> Option<std::sync::Arc<dyn LogSync>> {
        Some(std::sync::Arc::new(self.clone()))
    }
    async fn sync(&mut self) -> Result<()> {
        let length = self.0.disk().files[&self.1].0.len();
        suspend().await;
        self.0.call()?;
        self.0.disk().files.get_mut(&self.1).unwrap().1 = length;
        pause();
        Ok(())
    }
}

impl LogSync for File {
    fn sync(&self) -> Result<()> {
        let length = self.0.disk().files[&self.1].0.len();
        pause();
        self.0.call()?;
        let mut disk = self.0.disk();
        let synced = &mut disk.files.get_mut(&self.1).unwrap().1;
        *synced = length.max(*synced);
        drop(disk);
        pause();
        Ok(())
    }
}

/// A log, what readers see of it, and the lock that keeps statements in order.
#[derive(Clone)]
struct Case {
    writer: Arc<LogWriter<u64>>,
    medium: std::sync::Arc<Medium>,
    published: Arc<Mutex<Vec<u64>>>,
    /// The newest version that was accepted.
    accepted: Arc<Mutex<u64>>,
}

impl Case {
    fn new() -> Self {
        Self::with(false)
    }

    /// `deferring`: syncs come after acknowledgements.
    fn with(deferring: bool) -> Self {
        let medium = std::sync::Arc::new(Medium::default());
        let memory = Store::object_store(std::sync::Arc::new(InMemory::new()), "");
        let logs = std::sync::Arc::new(Files(std::sync::Arc::clone(&medium)));
        let store = Store { logs, ..memory };
        let published: Arc<Mutex<Vec<u64>>> = Arc::default();
        let (seen, disk) = (Arc::clone(&published), std::sync::Arc::clone(&medium));
        let publish = Box::new(move |lsn: u64| {
            let synced = deferring || disk.synced().contains(&lsn);
            assert!(synced, "{lsn} is published and not synced");
            let mut seen = lock(&seen);
            assert!(seen.last().is_none_or(|last| *last < lsn), "{lsn} after {:?}", *seen);
            seen.push(lsn);
        });
        let header =
            LogHeader { database: DATABASE, epoch: 1, number: 1, generation: 77, first_lsn: 1 };
        // Nobody moves this clock: where syncs come later, it is a thread of the schedule that
        // syncs.
        let clock = Clock::stopped();
        let writer = block_on(LogWriter::create(&store, &clock, header, publish)).unwrap();
        if deferring {
            writer.defer_syncs(std::time::Duration::from_millis(1)).unwrap();
        }
        let writer = Arc::new(writer);
        Self { writer, medium, published, accepted: Arc::default() }
    }

    /// Accepts a statement, under the lock that keeps them in order.
    fn accept(&self) -> Result<u64> {
        let mut accepted = lock(&self.accepted);
        let encoded = self.writer.encode(&[Op::DropTable(3)], 5)?;
        let lsn = self.writer.enqueue(encoded, |lsn| lsn)?;
        *accepted = lsn;
        Ok(lsn)
    }

    /// A statement and its acknowledgement.
    fn commit(&self) -> Result<u64> {
        let lsn = self.accept()?;
        block_on(self.writer.wait_durable(lsn))?;
        assert!(self.medium.synced().contains(&lsn), "{lsn} is acknowledged and not synced");
        let seen = lock(&self.published).last().copied();
        assert!(seen >= Some(lsn), "{lsn} is acknowledged, readers see {seen:?}");
        Ok(lsn)
    }

    /// A statement and its acknowledgement, which does not wait for a sync.
    fn commit_unsynced(&self) -> Result<u64> {
        let lsn = self.accept()?;
        block_on(self.writer.wait_committed(lsn))?;
        let seen = lock(&self.published).last().copied();
        assert!(seen >= Some(lsn), "{lsn} is acknowledged, readers see {seen:?}");
        Ok(lsn)
    }

    /// Begins another file, as a flush does.
    fn rotate(&self) -> Result<LogHeader> {
        let accepted = lock(&self.accepted);
        let header = block_on(async {
            let next = self.writer.prepare_next(2).await?;
            self.writer.rotate(next, 99).await
        })?;
        assert!(header.first_lsn > *accepted);
        Ok(header)
    }
}

#[test]
fn acknowledged_statements_are_synced_published_and_in_order() {
    explore(700, || {
        let case = Case::new();
        let threads: Vec<_> = (0..WRITERS)
            .map(|_| {
                let case = case.clone();
                spawn(move || (0..STATEMENTS).map(|_| case.commit().unwrap()).collect::<Vec<_>>())
            })
            .collect();
        let mut lsns: Vec<u64> = threads.into_iter().flat_map(|thread| thread.join()).collect();
        lsns.sort_unstable();
        assert_eq!(case.medium.synced(), lsns);
        block_on(case.writer.wait_all()).unwrap();
        block_on(case.writer.close()).unwrap();
        assert!(case.accept().is_err());
    });
}

#[test]
fn a_rotation_loses_and_repeats_no_statement() {
    explore(600, || {
        let case = Case::new();
        let writer = |case: Case| {
            spawn(move || (0..STATEMENTS).map(|_| case.commit().unwrap()).collect::<Vec<_>>())
        };
        let threads: Vec<_> = (0..WRITERS - 1).map(|_| writer(case.clone())).collect();
        let header = spawn({
            let case = case.clone();
            move || case.rotate().unwrap()
        });
        let mut lsns: Vec<u64> = threads.into_iter().flat_map(|thread| thread.join()).collect();
        let header = header.join();
        lsns.sort_unstable();
        assert_eq!(case.medium.synced(), lsns);
        assert_eq!(case.writer.number(), 2);
        assert!(lsns.iter().all(|lsn| lsn + 1 != header.first_lsn), "the seal has that number");
    });
}

#[test]
fn a_failure_reaches_every_waiter() {
    explore(600, || {
        let case = Case::new();
        case.medium.disk().calls_left = Some(chosen(6));
        let writer = |case: Case| {
            spawn(move || {
                let outcome = |_| match case.commit() {
                    Ok(lsn) => Some(lsn),
                    // Accepted, and nobody knows; or refused.
                    Err(Error::OutcomeUnknown(_) | Error::Unavailable(_)) => None,
                    Err(other) => panic!("{other}"),
                };
                (0..STATEMENTS).map(outcome).collect::<Vec<_>>()
            })
        };
        let threads: Vec<_> = (0..WRITERS).map(|_| writer(case.clone())).collect();
        let rotating = spawn({
            let case = case.clone();
            move || case.rotate().is_ok()
        });
        let known: Vec<_> = threads.into_iter().flat_map(|thread| thread.join()).collect();
        rotating.join();
        let synced = case.medium.synced();
        assert!(known.iter().flatten().all(|lsn| synced.contains(lsn)));
        let failed = case.medium.disk().fails;
        if failed && case.writer.failure().is_some() {
            // Nothing but the file that was to follow may be written then.
            assert!(matches!(case.accept(), Err(Error::Unavailable(_))));
            assert!(case.medium.disk().calls_after_failure <= 1, "written after a failure");
        }
        assert!(failed || known.iter().all(Option::is_some));
    });
}

#[test]
fn a_waiter_that_goes_away_holds_nobody_up() {
    explore(500, || {
        let case = Case::new();
        let leaving = spawn({
            let case = case.clone();
            move || {
                for _ in 0..STATEMENTS {
                    let lsn = case.accept().unwrap();
                    let _ = poll_once(case.writer.wait_durable(lsn));
                }
            }
        });
        let writer =
            |case: Case| spawn(move || (0..STATEMENTS).filter(|_| case.commit().is_ok()).count());
        let staying: Vec<_> = (0..WRITERS - 1).map(|_| writer(case.clone())).collect();
        leaving.join();
        staying.into_iter().for_each(|thread| assert_eq!(thread.join(), STATEMENTS as usize));
        block_on(case.writer.wait_all()).unwrap();
        assert_eq!(case.medium.synced().len() as u64, WRITERS * STATEMENTS);
        assert_eq!(lock(&case.published).last(), case.medium.synced().last());
    });
}

#[test]
fn deferred_syncs_call_nothing_durable_that_is_not_and_leave_nothing() {
    explore(900, || {
        let case = Case::with(true);
        let writer = |case: Case| {
            spawn(move || {
                (0..STATEMENTS).map(|_| case.commit_unsynced().unwrap()).collect::<Vec<_>>()
            })
        };
        let threads: Vec<_> = (0..WRITERS - 1).map(|_| writer(case.clone())).collect();
        let syncing = spawn({
            let case = case.clone();
            move || {
                for _ in 0..3 {
                    case.writer.shared.sync_now().unwrap();
                    pause();
                }
            }
        });
        let rotating = spawn({
            let case = case.clone();
            move || case.rotate().unwrap()
        });
        let mut lsns: Vec<u64> = threads.into_iter().flat_map(|thread| thread.join()).collect();
        syncing.join();
        rotating.join();
        lsns.sort_unstable();
        assert_eq!(lock(&case.published).last(), lsns.last());
        case.writer.stop_deferring();
        assert_eq!(case.medium.synced(), lsns);
    });
}

#[test]
fn a_failed_deferred_sync_ends_the_log() {
    explore(600, || {
        let case = Case::with(true);
        case.medium.disk().calls_left = Some(chosen(8));
        let writer = |case: Case| {
            spawn(move || {
                for _ in 0..STATEMENTS {
                    match case.commit_unsynced() {
                        Ok(_) | Err(Error::OutcomeUnknown(_) | Error::Unavailable(_)) => {}
                        Err(other) => panic!("{other}"),
                    }
                }
            })
        };
        let threads: Vec<_> = (0..WRITERS - 1).map(|_| writer(case.clone())).collect();
        let syncing = spawn({
            let case = case.clone();
            move || (0..3).any(|_| case.writer.shared.sync_now().is_err())
        });
        threads.into_iter().for_each(|thread| thread.join());
        let reported = syncing.join();
        case.writer.stop_deferring();
        let (fails, late) = {
            let disk = case.medium.disk();
            (disk.fails, disk.calls_after_failure)
        };
        assert!(fails || !reported);
        if fails {
            assert!(matches!(case.accept(), Err(Error::Unavailable(_))));
            // A statement that was being appended when the sync failed.
            assert!(late <= 1, "{late} calls after a failure");
        }
    });
}
