//! Readers that follow a writer which goes on at the worst moment.

use std::sync::Mutex;

use bytes::Bytes;

use super::*;

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
