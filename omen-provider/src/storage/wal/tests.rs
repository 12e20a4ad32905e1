//! Group commit under many schedules: statements, rotation, failures, waiters that go away.

use std::collections::HashMap;

use async_trait::async_trait;
use object_store::memory::InMemory;

use super::*;
use crate::storage::store::Logs;
use crate::storage::wal::read_log;
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
        self.0.disk().files.get_mut(&self.1).unwrap().0.extend_from_slice(&bytes);
        Ok(())
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
        let medium = std::sync::Arc::new(Medium::default());
        let memory = Store::object_store(std::sync::Arc::new(InMemory::new()), "");
        let logs = std::sync::Arc::new(Files(std::sync::Arc::clone(&medium)));
        let store = Store { logs, ..memory };
        let published: Arc<Mutex<Vec<u64>>> = Arc::default();
        let (seen, disk) = (Arc::clone(&published), std::sync::Arc::clone(&medium));
        let publish = Box::new(move |lsn: u64| {
            assert!(disk.synced().contains(&lsn), "{lsn} is published and not synced");
            let mut seen = lock(&seen);
            assert!(seen.last().is_none_or(|last| *last < lsn), "{lsn} after {:?}", *seen);
            seen.push(lsn);
        });
        let header =
            LogHeader { database: DATABASE, epoch: 1, number: 1, generation: 77, first_lsn: 1 };
        let writer = Arc::new(block_on(LogWriter::create(&store, header, publish)).unwrap());
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
        let writer = |case: Case| spawn(move || (0..STATEMENTS).map(|_| case.commit()).count());
        let staying: Vec<_> = (0..WRITERS - 1).map(|_| writer(case.clone())).collect();
        leaving.join();
        staying.into_iter().for_each(|thread| assert_eq!(thread.join(), STATEMENTS as usize));
        block_on(case.writer.wait_all()).unwrap();
        assert_eq!(case.medium.synced().len() as u64, WRITERS * STATEMENTS);
        assert_eq!(lock(&case.published).last(), case.medium.synced().last());
    });
}
