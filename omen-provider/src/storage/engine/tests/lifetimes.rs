//! Databases that are dropped while they work, and opened again at once.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Mutex;

use bytes::Bytes;
use futures::FutureExt;

use super::*;
use crate::Durability;
use crate::storage::store::{BlobInfo, BlobWriter, Blobs, LogSpace, Pin};

/// What one database changes in a directory; whether another had the lock by then is noted.
#[derive(Debug, Clone)]
struct Noted {
    store: Store,
    /// Counts the databases.
    number: usize,
    newest: Arc<AtomicUsize>,
    late: Arc<Mutex<Vec<String>>>,
}

impl Noted {
    fn store(&self) -> Store {
        let noted = Arc::new(self.clone());
        Store { blobs: Arc::clone(&noted) as _, logs: noted, location: String::new() }
    }

    /// Whoever asks for anything has the lock.
    fn begin(&self) {
        self.newest.fetch_max(self.number, SeqCst);
    }

    async fn changes<T>(
        &self,
        call: &str,
        work: impl Future<Output = crate::Result<T>>,
    ) -> crate::Result<T> {
        // So that a task is in the middle of something when its database is dropped.
        std::thread::sleep(Duration::from_micros(300));
        let result = work.await;
        if self.newest.load(SeqCst) != self.number {
            self.late.lock().unwrap().push(format!("{call} by {}", self.number));
        }
        result
    }
}

struct NotedWriter(Box<dyn BlobWriter>, Noted);

#[async_trait::async_trait]
impl BlobWriter for NotedWriter {
    async fn write(&mut self, bytes: Bytes) -> crate::Result<()> {
        self.1.changes("write", self.0.write(bytes)).await
    }
    async fn finish(self: Box<Self>) -> crate::Result<()> {
        self.1.changes("finish", self.0.finish()).await
    }
}

#[derive(Debug)]
struct NotedSpace {
    space: Arc<dyn LogSpace>,
    noted: Noted,
}

#[async_trait::async_trait]
impl LogSpace for NotedSpace {
    async fn take(&self, bytes: u64) -> crate::Result<()> {
        self.noted.changes("take space", self.space.take(bytes)).await
    }
    fn taken(&self) -> u64 {
        self.space.taken()
    }
}

struct NotedLog(Box<dyn LogFile>, Noted);

#[async_trait::async_trait]
impl LogFile for NotedLog {
    async fn append(&mut self, bytes: Bytes) -> crate::Result<()> {
        self.1.changes("append", self.0.append(bytes)).await
    }
    async fn sync(&mut self) -> crate::Result<()> {
        self.1.changes("sync", self.0.sync()).await
    }
    fn space(&self) -> Option<Arc<dyn LogSpace>> {
        let (space, noted) = (self.0.space()?, self.1.clone());
        Some(Arc::new(NotedSpace { space, noted }))
    }
    fn syncer(&self) -> Option<Arc<dyn LogSync>> {
        Some(Arc::new(NotedSync(self.0.syncer()?, self.1.clone())))
    }
    async fn trim(&mut self) -> crate::Result<()> {
        self.1.changes("trim", self.0.trim()).await
    }
}

#[derive(Debug)]
struct NotedSync(Arc<dyn LogSync>, Noted);

impl LogSync for NotedSync {
    fn sync(&self) -> crate::Result<()> {
        let work = std::future::ready(self.0.sync());
        self.1.changes("sync later", work).now_or_never().unwrap()
    }
}

#[async_trait::async_trait]
impl Blobs for Noted {
    async fn put_if_absent(&self, name: &str, bytes: Bytes) -> crate::Result<()> {
        self.changes(name, self.store.blobs.put_if_absent(name, bytes)).await
    }
    async fn create(&self, name: &str) -> crate::Result<Box<dyn BlobWriter>> {
        let writer = self.changes(name, self.store.blobs.create(name)).await?;
        Ok(Box::new(NotedWriter(writer, self.clone())))
    }
    async fn read_ranges(&self, name: &str, ranges: &[Range<u64>]) -> crate::Result<Vec<Bytes>> {
        self.store.blobs.read_ranges(name, ranges).await
    }
    async fn read(&self, name: &str) -> crate::Result<Bytes> {
        self.store.blobs.read(name).await
    }
    async fn list(&self, folder: &str) -> crate::Result<Vec<BlobInfo>> {
        self.begin();
        self.store.blobs.list(folder).await
    }
    async fn delete(&self, name: &str) -> crate::Result<()> {
        self.changes(name, self.store.blobs.delete(name)).await
    }
    async fn clean(&self) -> crate::Result<()> {
        self.changes("clean", self.store.blobs.clean()).await
    }
    async fn pin(&self, name: &str) -> crate::Result<Option<Pin>> {
        self.store.blobs.pin(name).await
    }
    async fn unpinned(&self, name: &str) -> crate::Result<Option<Pin>> {
        self.store.blobs.unpinned(name).await
    }
    async fn hold_reserve(&self, bytes: u64) -> crate::Result<()> {
        self.changes("reserve", self.store.blobs.hold_reserve(bytes)).await
    }
    async fn give_up_reserve(&self) -> crate::Result<bool> {
        self.changes("reserve", self.store.blobs.give_up_reserve()).await
    }
    fn spill_folder(&self) -> crate::Result<Option<PathBuf>> {
        self.store.blobs.spill_folder()
    }
}

#[async_trait::async_trait]
impl Logs for Noted {
    async fn create(&self, name: &str) -> crate::Result<Box<dyn LogFile>> {
        let log = self.changes(name, self.store.logs.create(name)).await?;
        Ok(Box::new(NotedLog(log, self.clone())))
    }
    async fn read(&self, name: &str) -> crate::Result<Bytes> {
        self.store.logs.read(name).await
    }
    async fn read_durable(&self, name: &str, from: u64) -> crate::Result<Bytes> {
        self.store.logs.read_durable(name, from).await
    }
    async fn take_over(&self, name: &str) -> crate::Result<Bytes> {
        self.store.logs.take_over(name).await
    }
    fn keeps_unsynced(&self) -> bool {
        true
    }
    async fn resume(&self, name: &str, bytes: u64) -> crate::Result<Box<dyn LogFile>> {
        let log = self.changes(name, self.store.logs.resume(name, bytes)).await?;
        Ok(Box::new(NotedLog(log, self.clone())))
    }
    async fn list(&self) -> crate::Result<Vec<String>> {
        self.store.logs.list().await
    }
    async fn delete(&self, name: &str) -> crate::Result<()> {
        self.changes(name, self.store.logs.delete(name)).await
    }
}

/// Opens a directory again and again, each time dropping the database, or closing it, in the
/// middle of flushes and compactions; returns what was changed behind the next one's back.
async fn reopened(times: usize, durability: Durability) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let newest = Arc::new(AtomicUsize::new(0));
    let late = Arc::new(Mutex::new(Vec::new()));
    let mut expected = BTreeMap::new();
    let options = Options {
        memtable_bytes_max: 10_000,
        row_group_rows: 200,
        segment_rows_max: 500,
        durability,
        ..Options::default()
    };
    for number in 1..=times {
        let store = Store::local(folder.path());
        let (newest, late) = (Arc::clone(&newest), Arc::clone(&late));
        let noted = Noted { store, number, newest, late };
        let db = options.clone().open_files(folder.path(), noted.store()).await.unwrap();
        db.create_table(definition(), true).await.unwrap();
        assert_eq!(contents(&db).await, expected, "database {number}");
        let table = db.table("t").unwrap();
        for step in 0..(1 + number % 5) as i64 {
            let keys = (0..300).map(|k| (k * 7 + number as i64 * 31 + step * 13) % 3000);
            let tag = format!("{number}.{step}.");
            table.upsert(rows(keys.clone(), &tag)).await.unwrap();
            expected.extend(keys.map(|key| (key, format!("{tag}{key}"))));
        }
        if number % 4 == 0 {
            // Somebody asks for it, and goes away in the middle.
            let _ = tokio::time::timeout(Duration::from_millis(3), db.compact()).await;
        }
        if number % 7 == 0 {
            db.close().await.unwrap();
        }
    }
    std::mem::take(&mut *late.lock().unwrap())
}

/// How often, unless `OMEN_REOPENS` says something else.
fn times(usual: usize) -> usize {
    let wanted = std::env::var("OMEN_REOPENS").ok();
    wanted.and_then(|times| times.parse().ok()).unwrap_or(usual)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_database_changes_nothing_under_the_next_one() {
    assert_eq!(reopened(times(40), Durability::Sync).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_it_is_when_syncs_come_later() {
    // Soon, so that one is under way when a database is dropped; and never by themselves.
    for milliseconds in [1, 3_600_000] {
        let durability = Durability::MayLoseLastMs(milliseconds);
        assert_eq!(reopened(times(15), durability).await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn so_it_is_on_one_thread() {
    assert_eq!(reopened(times(10), Durability::Sync).await, Vec::<String>::new());
}
