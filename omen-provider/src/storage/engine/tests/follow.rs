//! Readers that follow a writer which goes on at the worst moment.

use std::ops::Range;
use std::sync::Mutex;

use bytes::Bytes;
use futures::future::BoxFuture;

use super::*;
use crate::storage::store::{BlobInfo, BlobWriter, Blobs, Pin};

/// Logs of which one reading goes wrong, once something is set.
#[derive(Debug)]
struct Upset {
    logs: Arc<dyn Logs>,
    next: Mutex<Option<Event>>,
}

#[derive(Debug)]
enum Event {
    /// The writer flushes, and the log goes away piece by piece.
    Flushes(Box<Database>),
    /// A page is just being copied, so many readings long.
    HalfCopied(usize),
}

#[async_trait::async_trait]
impl Logs for Upset {
    async fn create(&self, name: &str) -> crate::Result<Box<dyn LogFile>> {
        self.logs.create(name).await
    }
    async fn read(&self, name: &str) -> crate::Result<Bytes> {
        let bytes = self.logs.read(name).await?;
        let event = self.next.lock().unwrap().take();
        match event {
            None => Ok(bytes),
            Some(Event::Flushes(writer)) => {
                writer.checkpoint().await?;
                Ok(bytes.slice(..LogHeader::BYTES))
            }
            Some(Event::HalfCopied(count)) => {
                if count > 1 {
                    *self.next.lock().unwrap() = Some(Event::HalfCopied(count - 1));
                }
                let mut half = bytes.to_vec();
                let at = half.len() - 40;
                half[at] ^= 1;
                Ok(half.into())
            }
        }
    }
    async fn take_over(&self, name: &str) -> crate::Result<Bytes> {
        self.logs.take_over(name).await
    }
    async fn list(&self) -> crate::Result<Vec<String>> {
        self.logs.list().await
    }
    async fn delete(&self, name: &str) -> crate::Result<()> {
        self.logs.delete(name).await
    }
}

async fn opened() -> (Database, Arc<Upset>, Store) {
    let store = memory();
    let db = Options::default().open_store(store.clone()).await.unwrap();
    db.create_table(definition(), false).await.unwrap();
    db.table("t").unwrap().insert(rows(0..10, "a")).await.unwrap();
    let upset = Arc::new(Upset { logs: Arc::clone(&store.logs), next: Mutex::default() });
    let store = Store { logs: Arc::clone(&upset) as _, ..store };
    (db, upset, store)
}

fn following() -> Options {
    Options { read_only: true, clock: crate::Clock::stopped(), ..Options::default() }
}

#[tokio::test]
async fn a_refresh_misses_nothing_while_the_writer_flushes() {
    let (db, upset, store) = opened().await;
    let reader = following().open_store(store).await.unwrap();
    db.table("t").unwrap().insert(rows(10..20, "b")).await.unwrap();
    *upset.next.lock().unwrap() = Some(Event::Flushes(Box::new(db)));
    reader.refresh().await.unwrap();
    assert_eq!(contents(&reader).await.len(), 20);
}

#[tokio::test]
async fn a_half_copied_page_is_no_damage() {
    let (db, upset, store) = opened().await;
    let upset_by = |count| *upset.next.lock().unwrap() = Some(Event::HalfCopied(count));
    upset_by(3);
    let reader = following().open_store(store.clone()).await.unwrap();
    assert_eq!(contents(&reader).await.len(), 10);
    db.table("t").unwrap().insert(rows(10..20, "b")).await.unwrap();
    upset_by(4);
    reader.refresh().await.unwrap();
    assert_eq!(contents(&reader).await.len(), 20);

    // What stays is damage; what was visible stays so.
    db.table("t").unwrap().insert(rows(20..30, "c")).await.unwrap();
    upset_by(usize::MAX);
    assert!(matches!(reader.refresh().await, Err(Error::Corruption { .. })));
    assert_eq!(contents(&reader).await.len(), 20);
    assert!(matches!(following().open_store(store).await, Err(Error::Corruption { .. })));
    *upset.next.lock().unwrap() = None;
    reader.refresh().await.unwrap();
    assert_eq!(contents(&reader).await.len(), 30);
}

/// Blobs that let something happen just before a manifest gets its name, or a segment is begun.
struct Halting {
    blobs: Arc<dyn Blobs>,
    next: Mutex<Option<(&'static str, BoxFuture<'static, ()>)>>,
}

impl std::fmt::Debug for Halting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Halting")
    }
}

impl Halting {
    async fn halt(&self, name: &str) {
        let event = self.next.lock().unwrap().take_if(|(folder, _)| name.starts_with(*folder));
        if let Some((_, event)) = event {
            event.await;
        }
    }
}

#[async_trait::async_trait]
impl Blobs for Halting {
    async fn put_if_absent(&self, name: &str, bytes: Bytes) -> crate::Result<()> {
        self.halt(name).await;
        self.blobs.put_if_absent(name, bytes).await
    }
    async fn create(&self, name: &str) -> crate::Result<Box<dyn BlobWriter>> {
        self.halt(name).await;
        self.blobs.create(name).await
    }
    async fn read_ranges(&self, name: &str, ranges: &[Range<u64>]) -> crate::Result<Vec<Bytes>> {
        self.blobs.read_ranges(name, ranges).await
    }
    async fn read(&self, name: &str) -> crate::Result<Bytes> {
        self.blobs.read(name).await
    }
    async fn list(&self, folder: &str) -> crate::Result<Vec<BlobInfo>> {
        self.blobs.list(folder).await
    }
    async fn delete(&self, name: &str) -> crate::Result<()> {
        self.blobs.delete(name).await
    }
    async fn clean(&self) -> crate::Result<()> {
        self.blobs.clean().await
    }
    async fn pin(&self, name: &str) -> crate::Result<Option<Pin>> {
        self.blobs.pin(name).await
    }
    async fn unpinned(&self, name: &str) -> crate::Result<Option<Pin>> {
        self.blobs.unpinned(name).await
    }
}

/// A bulk statement comes while a flush begins a segment, or is just publishing its manifest; a
/// reader finds it in the log, on the manifest before or on that one.
#[tokio::test]
async fn segments_that_the_log_leads_a_reader_to_stay() {
    for (folder, reads_at_once) in [("manifest/", true), ("manifest/", false), ("segments/", false)]
    {
        let files = files_of_a_reader(folder, reads_at_once).await;
        assert_eq!(files, Vec::<String>::new(), "gone, after {folder} {reads_at_once}");
    }
}

/// Those that are gone.
async fn files_of_a_reader(halts_at: &'static str, reads_at_once: bool) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::local(folder.path());
    let halting = Arc::new(Halting { blobs: Arc::clone(&store.blobs), next: Mutex::default() });
    let blobs = Arc::clone(&halting) as _;
    let db = small().open_store(Store { blobs, ..store }).await.unwrap();
    db.create_table(definition(), false).await.unwrap();
    db.checkpoint().await.unwrap();
    db.table("t").unwrap().insert(rows(0..10, "a")).await.unwrap();
    let (beside, path) = (db.clone(), folder.path().to_path_buf());
    let reader_options = Options { read_only: true, ..small() };
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let options = reader_options.clone();
    let event = async move {
        load_many(&beside, 100..20_000).await;
        if reads_at_once {
            sender.send(options.open(path).await.unwrap()).unwrap();
        }
    };
    *halting.next.lock().unwrap() = Some((halts_at, Box::pin(event)));
    db.checkpoint().await.unwrap();
    let reader = match reads_at_once {
        true => receiver.await.unwrap(),
        false => reader_options.open(folder.path()).await.unwrap(),
    };
    db.table("t").unwrap().delete([5_i64, 500]).await.unwrap();
    db.compact().await.unwrap();
    let parts = reader.inspect().await.tables.remove(0).parts;
    let mut files: Vec<String> = parts.into_iter().filter_map(|part| part.file).collect();
    assert!(!files.is_empty());
    files.retain(|file| !folder.path().join(file).exists());
    files
}
