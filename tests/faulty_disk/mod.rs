//! A disk in memory that crashes, fails and forgets on demand, the same way for the same seed.
//!
//! It implements the storage seam and keeps apart what a program sees (live) and what survives a
//! power cut (durable). It is stricter than real file systems, within what they promise:
//!
//! * Bytes appended to a log and not synced survive in pieces of 512 bytes, any subset of them;
//!   a lost piece reads as zeros if the file is longer, or the file ends before it.
//! * A name whose publication was not acknowledged may be there or not.
//! * A deleted name may come back, because deletion is not synced.
//!
//! Story of a crash test: run a script once and take [`FaultyDisk::calls`]. For each call and some
//! seeds: run it again on a new disk with [`FaultyDisk::crash_at`]; from that call on everything
//! fails. Take [`FaultyDisk::durable_image`], open it, compare with what was acknowledged.
//!
//! No clock, no threads, no randomness but the seeds.

pub mod files;
mod image;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::Bytes;
use omen_provider::store::{BlobInfo, BlobWriter, Blobs, LogFile, Logs, Store};
use omen_provider::{Error, Result};

/// What a disk keeps or loses as a whole.
pub const SECTOR_BYTES: usize = 512;

/// Splitmix64.
#[derive(Debug, Clone)]
pub struct Seeded(u64);

impl Seeded {
    /// Equal seeds give equal numbers.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    /// A number below `bound`, which is not zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
    /// True or false.
    pub fn coin(&mut self) -> bool {
        self.next() & 1 == 1
    }
}

/// How a call fails while the disk goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing happens.
    NoEffect(io::ErrorKind),
    /// It happens in part: an append writes a prefix, a sync reaches some sectors; other calls
    /// happen or not.
    Partial(io::ErrorKind, u64),
    /// It happens, and the answer is lost.
    FullEffect(io::ErrorKind),
    /// A sync fails, and the bytes it should have written are taken for clean from then on: no
    /// later sync writes them. Other calls: nothing happens.
    MarksClean,
}

/// The disk; clones are the same disk.
#[derive(Debug, Clone, Default)]
pub struct FaultyDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    blobs: BTreeMap<String, Bytes>,
    logs: BTreeMap<String, Log>,
    /// Names whose publication was not acknowledged.
    unsure: BTreeSet<String>,
    deleted_blobs: BTreeMap<String, Bytes>,
    deleted_logs: BTreeMap<String, Log>,
    calls: u64,
    crash: Option<(u64, u64)>,
    crashed: bool,
    /// From which call on (once, or for ever), and how.
    fault: Option<(u64, bool, Fault)>,
}

/// A log file.
#[derive(Debug, Clone, Default)]
struct Log {
    live: Vec<u8>,
    /// How many of the live bytes are durable, but for `holes`.
    synced: usize,
    /// Parts of the synced bytes that never reached the disk.
    holes: Vec<Range<usize>>,
    /// Parts of the unsynced bytes that reached the disk.
    kept: Vec<Range<usize>>,
}

/// How much of a call happens.
enum Extent {
    Whole,
    Nothing(Error),
    Part(Seeded, Error),
    Unanswered(Error),
    Forgotten(Error),
}

impl FaultyDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// The seam of the engine.
    pub fn store(&self) -> Store {
        Store {
            blobs: Arc::new(self.clone()),
            logs: Arc::new(self.clone()),
            location: "faulty disk".to_string(),
        }
    }

    /// How many calls the disk has seen, failed ones included.
    pub fn calls(&self) -> u64 {
        self.lock().calls
    }

    /// Loses power within call number `call` (the first is 1): it happens in part or not at all,
    /// as `seed` says, and every later call fails.
    pub fn crash_at(&self, call: u64, seed: u64) {
        self.lock().crash = Some((call, seed));
    }

    /// Whether power is lost.
    pub fn has_crashed(&self) -> bool {
        self.lock().crashed
    }

    /// Fails call number `call` (the first is 1) and, if `lasting`, every later one.
    pub fn fail_call(&self, call: u64, lasting: bool, fault: Fault) {
        self.lock().fault = Some((call, lasting, fault));
    }

    /// A new disk with what survives if power is lost now.
    pub fn durable_image(&self, seed: u64) -> Self {
        let state = image::after_power_cut(&self.lock(), &mut Seeded::new(seed));
        Self { state: Arc::new(Mutex::new(state)) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Runs a call that happens or does not.
    fn run<T>(&self, path: &str, apply: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        let mut state = self.lock();
        match state.begin(path) {
            Extent::Whole => apply(&mut state),
            Extent::Nothing(error) | Extent::Forgotten(error) => Err(error),
            Extent::Part(mut seeded, error) => {
                if seeded.coin() {
                    let _ = apply(&mut state);
                }
                Err(error)
            }
            Extent::Unanswered(error) => {
                let _ = apply(&mut state);
                Err(error)
            }
        }
    }

    /// Runs a call that publishes `name`; if it fails, nobody can be sure of the name.
    fn publish(&self, name: &str, apply: impl FnOnce(&mut State) -> Result<()>) -> Result<()> {
        let taken = self.lock().has(name);
        let result = self.run(name, apply);
        let mut state = self.lock();
        if result.is_err() && !taken && state.has(name) {
            state.unsure.insert(name.to_string());
        }
        result
    }

    fn put(&self, name: &str, bytes: Bytes) -> Result<()> {
        self.publish(name, |state| {
            if state.blobs.contains_key(name) {
                return Err(Error::AlreadyExists(name.to_string()));
            }
            state.blobs.insert(name.to_string(), bytes);
            Ok(())
        })
    }

    fn read_blob(&self, name: &str) -> Result<Bytes> {
        self.run(name, |state| {
            state.blobs.get(name).cloned().ok_or_else(|| Error::NotFound(name.to_string()))
        })
    }
}

impl State {
    fn has(&self, name: &str) -> bool {
        self.blobs.contains_key(name) || self.logs.contains_key(name)
    }

    /// Counts a call and says how much of it happens.
    fn begin(&mut self, path: &str) -> Extent {
        self.calls += 1;
        let call = self.calls;
        if self.crashed {
            return Extent::Nothing(failed(path, io::ErrorKind::BrokenPipe, "the power is off"));
        }
        if let Some((crash, seed)) = self.crash
            && call >= crash
        {
            self.crashed = true;
            let error = failed(path, io::ErrorKind::BrokenPipe, "the power went off");
            return Extent::Part(Seeded::new(seed), error);
        }
        let Some((from, lasting, fault)) = self.fault else { return Extent::Whole };
        if call != from && !(lasting && call > from) {
            return Extent::Whole;
        }
        let planned = |kind| failed(path, kind, "planned fault");
        match fault {
            Fault::NoEffect(kind) => Extent::Nothing(planned(kind)),
            Fault::Partial(kind, seed) => Extent::Part(Seeded::new(seed), planned(kind)),
            Fault::FullEffect(kind) => Extent::Unanswered(planned(kind)),
            Fault::MarksClean => Extent::Forgotten(planned(io::ErrorKind::Other)),
        }
    }

    fn log(&mut self, name: &str) -> Result<&mut Log> {
        self.logs.get_mut(name).ok_or_else(|| Error::NotFound(name.to_string()))
    }
}

impl Log {
    fn sync(&mut self) {
        self.synced = self.live.len();
        self.kept.clear();
    }

    /// The unsynced bytes, cut at the borders of sectors.
    fn unsynced_pieces(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let (mut at, end) = (self.synced, self.live.len());
        std::iter::from_fn(move || {
            let start = at;
            at = ((start / SECTOR_BYTES + 1) * SECTOR_BYTES).min(end);
            (start < end).then_some(start..at)
        })
    }
}

fn failed(path: &str, kind: io::ErrorKind, what: &str) -> Error {
    Error::Io { path: path.to_string(), source: Arc::new(io::Error::new(kind, what)) }
}

#[async_trait]
impl Blobs for FaultyDisk {
    async fn put_if_absent(&self, name: &str, bytes: Bytes) -> Result<()> {
        self.put(name, bytes)
    }

    async fn create(&self, name: &str) -> Result<Box<dyn BlobWriter>> {
        self.run(name, |_| Ok(()))?;
        let writer = Unfinished { disk: self.clone(), name: name.to_string(), bytes: Vec::new() };
        Ok(Box::new(writer))
    }

    async fn read_ranges(&self, name: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let blob = self.read_blob(name)?;
        let read = |range: &Range<u64>| {
            if range.start > range.end || range.end > blob.len() as u64 {
                return Err(Error::Corruption {
                    path: name.to_string(),
                    offset: range.start,
                    reason: format!("the file has {} bytes", blob.len()),
                });
            }
            Ok(blob.slice(range.start as usize..range.end as usize))
        };
        ranges.iter().map(read).collect()
    }

    async fn read(&self, name: &str) -> Result<Bytes> {
        self.read_blob(name)
    }

    async fn list(&self, folder: &str) -> Result<Vec<BlobInfo>> {
        let prefix = format!("{folder}/");
        self.run(folder, |state| {
            let inside = state.blobs.iter().filter(|(name, _)| name.starts_with(&prefix));
            let info = |(name, bytes): (&String, &Bytes)| BlobInfo {
                name: name.clone(),
                bytes: bytes.len() as u64,
            };
            Ok(inside.map(info).collect())
        })
    }

    async fn delete(&self, name: &str) -> Result<()> {
        self.run(name, |state| {
            if let Some((name, bytes)) = state.blobs.remove_entry(name) {
                state.deleted_blobs.insert(name, bytes);
            }
            Ok(())
        })
    }

    async fn clean(&self) -> Result<()> {
        self.run("tmp", |_| Ok(()))
    }
}

/// A blob being written; it never survives without a name.
struct Unfinished {
    disk: FaultyDisk,
    name: String,
    bytes: Vec<u8>,
}

#[async_trait]
impl BlobWriter for Unfinished {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.disk.run(&self.name, |_| Ok(()))?;
        self.bytes.extend_from_slice(&bytes);
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<()> {
        self.disk.put(&self.name, Bytes::from(self.bytes))
    }
}

#[async_trait]
impl Logs for FaultyDisk {
    async fn create(&self, name: &str) -> Result<Box<dyn LogFile>> {
        self.publish(name, |state| {
            if state.logs.contains_key(name) {
                return Err(Error::AlreadyExists(name.to_string()));
            }
            state.logs.insert(name.to_string(), Log::default());
            Ok(())
        })?;
        Ok(Box::new(Writing { disk: self.clone(), name: name.to_string() }))
    }

    async fn read(&self, name: &str) -> Result<Bytes> {
        self.run(name, |state| Ok(Bytes::from(state.log(name)?.live.clone())))
    }

    async fn take_over(&self, name: &str) -> Result<Bytes> {
        Logs::read(self, name).await
    }

    async fn list(&self) -> Result<Vec<String>> {
        self.run("log", |state| Ok(state.logs.keys().cloned().collect()))
    }

    async fn delete(&self, name: &str) -> Result<()> {
        self.run(name, |state| {
            if let Some((name, log)) = state.logs.remove_entry(name) {
                state.deleted_logs.insert(name, log);
            }
            Ok(())
        })
    }
}

/// A log being written.
struct Writing {
    disk: FaultyDisk,
    name: String,
}

#[async_trait]
impl LogFile for Writing {
    async fn append(&mut self, bytes: Bytes) -> Result<()> {
        let mut state = self.disk.lock();
        let (written, result) = match state.begin(&self.name) {
            Extent::Whole => (bytes.len(), Ok(())),
            Extent::Nothing(error) | Extent::Forgotten(error) => (0, Err(error)),
            Extent::Part(mut seeded, error) => {
                (seeded.below(bytes.len() as u64 + 1) as usize, Err(error))
            }
            Extent::Unanswered(error) => (bytes.len(), Err(error)),
        };
        state.log(&self.name)?.live.extend_from_slice(&bytes[..written]);
        result
    }

    async fn sync(&mut self) -> Result<()> {
        let mut state = self.disk.lock();
        let extent = state.begin(&self.name);
        let log = state.log(&self.name)?;
        match extent {
            Extent::Whole => {
                log.sync();
                Ok(())
            }
            Extent::Nothing(error) => Err(error),
            Extent::Part(mut seeded, error) => {
                let kept: Vec<_> = log.unsynced_pieces().filter(|_| seeded.coin()).collect();
                log.kept.extend(kept);
                Err(error)
            }
            Extent::Unanswered(error) => {
                log.sync();
                Err(error)
            }
            Extent::Forgotten(error) => {
                log.holes.push(log.synced..log.live.len());
                log.sync();
                Err(error)
            }
        }
    }
}
