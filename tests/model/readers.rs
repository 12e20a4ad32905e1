//! Threads that read while statements are done: they take snapshots whenever they like, keep them
//! while tables are flushed, merged and dropped, and compare each with the model of its lsn.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use omen_provider::{Database, Snapshot};
use tokio::runtime::Handle;

use super::Outcome;
use super::case::same_tables;
use super::kinds::{from_batch, to_key};
use super::steps::number;
use super::world::World;
use crate::faulty_disk::Seeded;

/// How many threads read.
const THREADS: u64 = 2;
/// Snapshots that a thread keeps.
const KEPT: usize = 4;
/// Models that are kept for snapshots still to be looked up.
const MODELS: usize = 64;

/// What the threads know.
#[derive(Default)]
struct Shelf {
    models: Mutex<Models>,
    stop: AtomicBool,
}

#[derive(Default)]
struct Models {
    by_lsn: BTreeMap<u64, Arc<World>>,
    /// Lsns of statements that were done together, first and last excluded: nobody knows yet which
    /// model they have. The last is missing while they are being done.
    unknown: Vec<(u64, Option<u64>)>,
}

/// The threads.
pub struct Readers {
    shelf: Arc<Shelf>,
    threads: Vec<JoinHandle<Outcome>>,
}

enum Found {
    Model(Arc<World>),
    /// The statement is not done yet.
    NotYet,
    /// One of several that were done together.
    Unknown,
}

impl Readers {
    /// Begins reading; the model of the first lsn is still to be told.
    pub fn start(database: &Database) -> Self {
        let shelf = Arc::new(Shelf::default());
        let start = |seed: u64| {
            let (shelf, database, runtime) =
                (Arc::clone(&shelf), database.clone(), Handle::current());
            std::thread::spawn(move || {
                let reader = Reader { shelf, dice: Seeded::new(seed), kept: Vec::new(), newest: 0 };
                runtime.block_on(reader.read(database))
            })
        };
        let threads = (0..THREADS).map(start).collect();
        Self { shelf, threads }
    }

    /// What a snapshot of that lsn must hold.
    pub fn tell(&self, lsn: u64, world: &World) {
        let mut models = self.shelf.models.lock().unwrap();
        models.by_lsn.insert(lsn, Arc::new(world.clone()));
        while models.by_lsn.len() > MODELS {
            models.by_lsn.pop_first();
        }
    }

    /// From `lsn` on nobody knows.
    pub fn begin_together(&self, lsn: u64) {
        self.shelf.models.lock().unwrap().unknown.push((lsn, None));
    }

    /// Until `lsn`, of which the model is told next.
    pub fn end_together(&self, lsn: u64) {
        let mut models = self.shelf.models.lock().unwrap();
        models.unknown.last_mut().expect("a beginning").1 = Some(lsn);
    }

    /// Ends reading; what is still kept is read once more.
    pub fn finish(self) -> Outcome {
        self.shelf.stop.store(true, SeqCst);
        let mut outcome = Ok(());
        for thread in self.threads {
            let read = thread.join().unwrap_or_else(|_| Err("a reader panicked".to_string()));
            outcome = outcome.and(read);
        }
        outcome.map_err(|error| format!("reader: {error}"))
    }
}

/// One thread.
struct Reader {
    shelf: Arc<Shelf>,
    dice: Seeded,
    kept: Vec<(Snapshot, Option<Arc<World>>)>,
    newest: u64,
}

impl Reader {
    async fn read(mut self, database: Database) -> Outcome {
        while !self.shelf.stop.load(SeqCst) {
            let snapshot = database.snapshot();
            if snapshot.lsn() < self.newest {
                return Err(format!("lsn {} after {}", snapshot.lsn(), self.newest));
            }
            self.newest = snapshot.lsn();
            self.kept.push((snapshot, None));
            self.resolve(false)?;
            if self.kept.len() > KEPT {
                let which = self.dice.below(self.kept.len() as u64) as usize;
                let (snapshot, world) = self.kept.swap_remove(which);
                if let Some(world) = world {
                    self.same_table(&snapshot, &world).await?;
                }
            }
            self.glance().await?;
            std::thread::sleep(Duration::from_micros(1000 + self.dice.below(8000)));
        }
        self.resolve(true)?;
        for (number, (snapshot, world)) in std::mem::take(&mut self.kept).into_iter().enumerate() {
            match world {
                // The oldest one as a whole.
                Some(world) if number == 0 => same(&snapshot, &world).await?,
                Some(world) => self.same_table(&snapshot, &world).await?,
                None => {}
            }
        }
        Ok(())
    }

    /// All rows of one of the tables.
    async fn same_table(&mut self, snapshot: &Snapshot, world: &World) -> Outcome {
        let mut one = world.clone();
        let which = self.dice.below(one.tables.len().max(1) as u64) as usize;
        let chosen = one.tables.keys().nth(which).cloned();
        one.tables.retain(|name, _| Some(name) == chosen.as_ref());
        same(snapshot, &one).await
    }

    /// Finds the models of snapshots; `all`: there must be one, since nothing is being done.
    fn resolve(&mut self, all: bool) -> Outcome {
        let models = self.shelf.models.lock().unwrap();
        let mut kept = Vec::new();
        for (snapshot, world) in std::mem::take(&mut self.kept) {
            let found = match world {
                Some(world) => Found::Model(world),
                None => models.find(snapshot.lsn())?,
            };
            match found {
                Found::Model(world) => kept.push((snapshot, Some(world))),
                Found::Unknown => {}
                Found::NotYet if all => {
                    return Err(format!("lsn {} is of no statement", snapshot.lsn()));
                }
                Found::NotYet => kept.push((snapshot, None)),
            }
        }
        self.kept = kept;
        Ok(())
    }

    /// A few keys of one snapshot.
    async fn glance(&mut self) -> Outcome {
        let known: Vec<_> = self.kept.iter().filter_map(|(s, w)| Some((s, w.clone()?))).collect();
        if known.is_empty() {
            return Ok(());
        }
        let (snapshot, world) = &known[self.dice.below(known.len() as u64) as usize];
        for (name, content) in &world.tables {
            let missing = || format!("{name} is not in lsn {}", snapshot.lsn());
            let table = snapshot.table(name).ok_or_else(missing)?;
            let key = content.kind.key(number(&mut self.dice));
            let row = table.get(to_key(&key)).await.map_err(|e| e.to_string())?;
            let found = row.map_or(Ok(Vec::new()), |row| from_batch(content.kind, &row))?;
            let found = found.first().map(|(_, values)| values);
            let expected = content.rows.get(&key).map(|values| &**values);
            if found != expected || table.live_rows() != content.rows.len() as u64 {
                let lsn = snapshot.lsn();
                return Err(format!("lsn {lsn}, {name} {key:?}: {found:?}, not {expected:?}"));
            }
        }
        Ok(())
    }
}

async fn same(snapshot: &Snapshot, world: &World) -> Outcome {
    let outcome = same_tables(snapshot, world).await;
    outcome.map_err(|error| format!("lsn {}: {error}", snapshot.lsn()))
}

impl Models {
    fn find(&self, lsn: u64) -> Result<Found, String> {
        if let Some(world) = self.by_lsn.get(&lsn) {
            return Ok(Found::Model(Arc::clone(world)));
        }
        let together = |(first, last): &(u64, Option<u64>)| match last {
            Some(last) => (first + 1..*last).contains(&lsn),
            None => *first < lsn,
        };
        if self.unknown.iter().any(together) {
            return Ok(Found::Unknown);
        }
        let newest = self.by_lsn.last_key_value().map_or(0, |(lsn, _)| *lsn);
        let oldest = self.by_lsn.first_key_value().map_or(0, |(lsn, _)| *lsn);
        match lsn {
            _ if lsn > newest || newest == 0 => Ok(Found::NotYet),
            // Looked up too late; its model is gone.
            _ if lsn < oldest => Ok(Found::Unknown),
            _ => Err(format!("lsn {lsn} was seen, which is of no statement")),
        }
    }
}
