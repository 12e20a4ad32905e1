//! Bringing a database up: created, opened for writing, or opened read-only.
//!
//! Opening for writing, in order: claim the epoch by publishing the next manifest (of two writers
//! one wins); read manifest and log; write the surviving statements into a new log and sync it;
//! publish a manifest that names it; remove what nothing names. A crash between any two steps
//! leaves a database that opens the same way. Where there is no space for a new log, the one that
//! is there is written anew in its place, and gone on with.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::begin_log::{begin_log_with_room, remove_other_logs};
use super::follow::read_newest;
use super::recent_writes::RecentWrites;
use super::room::{give_up_reserve, lacks_space};
use super::upkeep::{Upkeep, lock as lock_of, suspects_of_log};
use super::{Durable, Engine, LogFileInspection, LogInspection, Published, Writer, random};
use crate::error::{Error, Result};
use crate::options::{Durability, Options};
use crate::storage::manifest::{self, FORMAT_VERSION, Manifest, deletions_name, manifest_name};
use crate::storage::medium::{File, Medium, Named, delete_unpinned, epoch_in};
use crate::storage::record::SegmentRecord;
use crate::storage::recovery::{Access, LogCut, LogDamage, Opener, Recovered, read_logs, recover};
use crate::storage::store::{DirectoryLock, Store};
use crate::storage::version::Version;
use crate::storage::wal::{LogWriter, Op, Statement, log_name};

/// Times the epoch is claimed anew because a handle that was dropped published meanwhile.
const CLAIM_ATTEMPTS: usize = 8;

impl Engine {
    /// Opens the database in `store`, whose directory lock (if it has one) the caller holds.
    pub async fn open(
        store: Store,
        lock: Option<DirectoryLock>,
        options: Options,
    ) -> Result<Arc<Self>> {
        if options.read_only {
            return open_for_reading(store, options).await;
        }
        check_durability(&store, &options)?;
        let claim = claim_with_room(&store, &options, lock.is_some()).await?;
        let opened = open_for_writing(store, lock, options, claim, LogDamage::Refuse).await?;
        Ok(opened.0)
    }

    /// Where the log of a database would be cut: before what is damaged; `None` if nothing is.
    /// Writes nothing.
    pub async fn find_cut(store: Store, options: Options) -> Result<Option<LogCut>> {
        let medium = Medium::new(store, options, 0);
        let manifest = newest_of(&medium.store).await?;
        Ok(recover(&Opener::unpinned(&medium), &manifest, Access::Look, LogDamage::Cut).await?.cut)
    }

    /// Opens a database and cuts its log before what is damaged, if anything is. The log files as
    /// they were stay in the folder `lost`.
    pub async fn cut_log(
        store: Store,
        lock: Option<DirectoryLock>,
        options: Options,
    ) -> Result<(Arc<Self>, Option<LogCut>)> {
        check_durability(&store, &options)?;
        let claim = claim_with_room(&store, &options, lock.is_some()).await?;
        open_for_writing(store, lock, options, claim, LogDamage::Cut).await
    }
}

/// Refuses to acknowledge before a sync what would die with the process.
fn check_durability(store: &Store, options: &Options) -> Result<()> {
    if options.durability == Durability::Sync || store.logs.keeps_unsynced() {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "option durability is {:?}, but what {} has not synced dies with the process, which would \
         lose more; leave it at Sync, or keep the database in a directory",
        options.durability, store.location
    )))
}

/// Copies all logs to where nothing is ever removed.
async fn keep_logs(medium: &Medium) -> Result<()> {
    for name in medium.store.logs.list().await? {
        let bytes = medium.store.logs.read(&name).await?;
        let kept = name.replacen("log/", "lost/", 1);
        match medium.store.blobs.put_if_absent(&kept, bytes).await {
            // The number of a log is used once.
            Ok(()) | Err(Error::AlreadyExists(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// As [`claim`], also on a full disk: gives up the reserve, and what a crash left behind.
async fn claim_with_room(store: &Store, options: &Options, is_locked: bool) -> Result<Manifest> {
    let mut claimed = claim(store, options, is_locked).await;
    if lacks_space(&claimed) && give_up_reserve(store).await {
        claimed = claim(store, options, is_locked).await;
    }
    if lacks_space(&claimed)
        && is_locked
        && let Some(newest) = manifest::newest(store).await?
    {
        let medium = Medium::new(store.clone(), options.clone(), newest.epoch);
        let opener = Opener::unpinned(&medium);
        let recovered = recover(&opener, &newest, Access::Look, LogDamage::Refuse).await?;
        let spared = remove_old_manifests(&medium, &newest).await?;
        remove_unnamed(&medium, &newest, &recovered, &spared).await?;
        claimed = claim(store, options, is_locked).await;
    }
    claimed
}

/// Raises the epoch by publishing the next manifest, which it returns. Who else publishes without
/// raising it, or while the directory is locked, is the writer of before, a handle that was
/// dropped, say, and still finishes a checkpoint or a compaction: the claim then goes on from what
/// it published.
async fn claim(store: &Store, options: &Options, is_locked: bool) -> Result<Manifest> {
    let mut attempt = 1;
    loop {
        let previous = match manifest::newest(store).await? {
            Some(manifest) => manifest,
            None => first_manifest(store, options).await?,
        };
        let epoch = previous.epoch;
        let claim = raised(previous)?;
        store.blobs.clean().await?;
        let published = manifest::publish(store, &claim).await;
        if !matches!(published, Err(Error::Conflict(_))) || attempt == CLAIM_ATTEMPTS {
            return published.map(|()| claim);
        }
        // Nobody else has raised the epoch: the writer of before went on, which it cannot after
        // this claim.
        let newest = manifest::newest(store).await?;
        if !is_locked && newest.is_none_or(|newest| newest.epoch != epoch) {
            return published.map(|()| claim);
        }
        attempt += 1;
    }
}

/// The manifest by which a new writer claims the database.
fn raised(previous: Manifest) -> Result<Manifest> {
    let (epoch, number) = (previous.epoch + 1, previous.number + 1);
    let writer = u64::from_le_bytes(random()?);
    Ok(Manifest { epoch, number, writer, format: FORMAT_VERSION, backup: false, ..previous })
}

async fn open_for_reading(store: Store, options: Options) -> Result<Arc<Engine>> {
    let medium = Medium::new(store, options, 0);
    let (following, version) = read_newest(&medium, HashMap::new()).await?;
    Ok(Arc::new(Engine {
        medium,
        opened: Mutex::new(following.inspection()),
        published: Arc::new(Published::new(version)),
        writer: None,
        following: Some(tokio::sync::Mutex::new(following)),
        closed: AtomicBool::new(false),
        fenced: AtomicBool::new(false),
        lock: Mutex::new(None),
        pin: Mutex::new(None),
    }))
}

async fn newest_of(store: &Store) -> Result<Manifest> {
    manifest::newest(store).await?.ok_or_else(|| no_database(store))
}

pub(super) fn no_database(store: &Store) -> Error {
    Error::NotFound(format!("there is no database in {}", store.location))
}

/// What a new database's first manifest follows on: no table, and no log yet.
async fn first_manifest(store: &Store, options: &Options) -> Result<Manifest> {
    if !options.create {
        return Err(no_database(store));
    }
    let logs = store.logs.list().await?;
    let segments = store.blobs.list("segments").await?;
    if let Some(found) = logs.first().or(segments.first().map(|blob| &blob.name)) {
        return Err(Error::corruption(
            found,
            0,
            "the file is part of a database, but there is no manifest; was it removed?",
        ));
    }
    let database: [u8; 16] = random()?;
    Ok(Manifest { database: database.to_vec(), next_table_id: 1, ..Manifest::default() })
}

async fn open_for_writing(
    store: Store,
    lock: Option<DirectoryLock>,
    options: Options,
    mut claim: Manifest,
    on_damage: LogDamage,
) -> Result<(Arc<Engine>, Option<LogCut>)> {
    let medium = Medium::new(store, options, claim.epoch);
    let recovered =
        recover(&Opener::unpinned(&medium), &claim, Access::TakeOver, on_damage).await?;
    if recovered.cut.is_some() {
        keep_logs(&medium).await?;
    }
    claim.number += 1;
    let published = Arc::new(Published::default());
    let (log, resumed) = begin_log_with_room(&medium, &claim, &recovered, &published).await?;
    claim.log = resumed.first().map_or(log.number(), |first| first.header.number);
    let mut stands = manifest::publish(&medium.store, &claim).await;
    if lacks_space(&stands) && give_up_reserve(&medium.store).await {
        stands = manifest::publish(&medium.store, &claim).await;
    }
    stands?;
    let spared = remove_old_manifests(&medium, &claim).await?;
    remove_other_logs(&medium, &claim, &log, &resumed, &spared).await?;
    remove_unnamed(&medium, &claim, &recovered, &spared).await?;

    let before = resumed.split_last().map_or(&[][..], |(_, before)| before);
    let sealed: Vec<_> = before.iter().map(LogFileInspection::of_place).collect();
    let sealed_bytes: u64 = sealed.iter().map(|log| log.bytes).sum();
    let opened = LogInspection::new(&claim, sealed_bytes + log.bytes());
    let version = Arc::new(recovered.version);
    published.set(Arc::clone(&version));
    let mut suspects = suspects_of_log(&version, &recovered.statements);
    for later in resumed.iter().skip(1) {
        // The chain names it until it is flushed.
        suspects.add(File::named(log_name(later.header.number)), recovered.next_lsn);
    }
    let durable = Durable::new(claim, recovered.durable, recovered.saved, suspects);
    defer_syncs(&log, &medium.options)?;
    let next_table_id = AtomicU32::new(version.next_table_id.max(1));
    let recent = Mutex::new(RecentWrites::new(version.lsn));
    let writer = Writer {
        log,
        accepted: tokio::sync::Mutex::new(version),
        maintenance: tokio::sync::Mutex::new(durable),
        compacting: tokio::sync::Mutex::new(()),
        scheduled: AtomicBool::new(false),
        flush_wanted: AtomicBool::new(false),
        // What was closed before may have left some.
        compaction_wanted: AtomicBool::new(true),
        frozen_runs: AtomicU64::new(0),
        next_table_id,
        recent,
        retrying: tokio::sync::Mutex::new(()),
        held_bytes: AtomicUsize::new(0),
        dropped: recovered.dropped,
        upkeep: Upkeep::new(medium.options.clock.clone(), opened.clone()),
    };
    let engine = Engine {
        medium,
        published,
        writer: Some(writer),
        opened: Mutex::new(opened),
        following: None,
        closed: AtomicBool::new(false),
        fenced: AtomicBool::new(false),
        lock: Mutex::new(lock.map(Arc::new)),
        pin: Mutex::new(None),
    };
    engine.pin_opened().await?;
    if let Some(writer) = &engine.writer {
        *lock_of(&writer.upkeep.sealed) = sealed;
        engine.note_segments(writer, &engine.published.get());
        engine.make_room(writer).await;
    }
    Ok((Arc::new(engine), recovered.cut))
}

fn defer_syncs(log: &LogWriter<Arc<Version>>, options: &Options) -> Result<()> {
    match options.durability {
        Durability::Sync => Ok(()),
        Durability::MayLoseLastMs(milliseconds) => {
            log.defer_syncs(Duration::from_millis(milliseconds.into()))
        }
    }
}

impl Engine {
    /// Holds what was opened by a pin on the manifest that was published for it.
    async fn pin_opened(&self) -> Result<()> {
        let writer = self.writer()?;
        let mut durable = writer.maintenance.lock().await;
        let pin = self.pin_manifest(durable.manifest.number).await;
        let pinned = |version: &Arc<Version>| {
            let mut version = Version::clone(version);
            version.pin_segments(pin.as_ref());
            Arc::new(version)
        };
        durable.version = pinned(&durable.version);
        let mut accepted = writer.accepted.lock().await;
        *accepted = pinned(&accepted);
        self.published.set(Arc::clone(&accepted));
        Ok(())
    }
}

/// Removes the manifests before `manifest` that nobody has pinned. What the others name, or the
/// logs that go on from them, is returned: it must stay until nobody has.
async fn remove_old_manifests(medium: &Medium, manifest: &Manifest) -> Result<HashSet<String>> {
    let store = &medium.store;
    let mut spared = HashSet::new();
    for number in manifest::before(store, manifest.number).await? {
        if !delete_unpinned(store, &manifest_name(number)).await? {
            let pinned = named_by(medium, number).await?;
            spared.extend(pinned.files.iter().cloned());
            medium.garbage.supersede([pinned]);
        }
    }
    Ok(spared)
}

/// Removes segments and deletion vectors that a manifest and its logs do not name: an earlier
/// writer left them behind. What is to be spared becomes garbage. What has a later epoch belongs
/// to a writer that has taken the database over since (on an object store nothing keeps it out),
/// and stays.
async fn remove_unnamed(
    medium: &Medium,
    manifest: &Manifest,
    recovered: &Recovered,
    spared: &HashSet<String>,
) -> Result<()> {
    let store = &medium.store;
    let mut named: HashSet<String> =
        recovered.saved.values().map(|record| deletions_name(record.file)).collect();
    for version in [&recovered.durable, &recovered.version] {
        let views = version.tables().iter().flat_map(|table| &table.segments);
        named.extend(views.flat_map(|view| view.segment.record().file_names()));
    }
    // The log still names the bulk-loaded segments of a table that it drops later.
    named.extend(attached_segments(&recovered.statements));
    for blob in store.blobs.list("segments").await? {
        if named.contains(&blob.name) || epoch_in(&blob.name) > manifest.epoch {
            continue;
        }
        match spared.contains(&blob.name) {
            true => medium.garbage.add([File::named(blob.name)]),
            false => store.blobs.delete(&blob.name).await?,
        }
    }
    Ok(())
}

/// What an old manifest and the logs that go on from it name, as far as they can be read.
async fn named_by(medium: &Medium, number: u64) -> Result<Named> {
    let mut named = Named { manifest: manifest_name(number), files: HashSet::new() };
    let manifest = match manifest::read(&medium.store, number).await {
        Ok(manifest) => manifest,
        // Nobody who has pinned it could read it either.
        Err(Error::NotFound(_) | Error::Corruption { .. } | Error::InvalidInput(_)) => {
            return Ok(named);
        }
        Err(error) => return Err(error),
    };
    named.files.extend(manifest.files());
    named.files.insert(log_name(manifest.log));
    match read_logs(medium, &manifest, Access::Look, LogDamage::Cut).await {
        Ok(logged) => named.files.extend(attached_segments(&logged.statements)),
        // A log of another format, for one: its reader may lose what it attached, nobody else.
        Err(Error::InvalidInput(_) | Error::Corruption { .. } | Error::NotFound(_)) => {}
        Err(error) => return Err(error),
    }
    Ok(named)
}

/// The files of the segments that statements attach.
fn attached_segments(statements: &[Statement]) -> impl Iterator<Item = String> {
    let ops = statements.iter().flat_map(|statement| &statement.ops);
    let segments = ops.filter_map(|op| match op {
        Op::Attach { segments, .. } => Some(segments),
        _ => None,
    });
    segments.flatten().flat_map(SegmentRecord::file_names)
}

impl Published {
    fn new(version: Version) -> Self {
        let published = Self::default();
        published.set(Arc::new(version));
        published
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a handle does that was dropped while it flushed or compacted.
    async fn publish_some(store: Store) {
        for _ in 0..5 {
            let newest = manifest::newest(&store).await.unwrap().unwrap();
            let (number, next_table_id) = (newest.number + 1, newest.next_table_id + 1);
            let next = Manifest { number, next_table_id, ..newest };
            let _ = manifest::publish(&store, &next).await;
        }
    }

    #[tokio::test]
    async fn of_two_claims_of_one_epoch_one_wins() {
        let store = Store::object_store(Arc::new(object_store::memory::InMemory::new()), "db");
        let previous = claim(&store, &Options::default(), false).await.unwrap();
        let claims = [raised(previous.clone()).unwrap(), raised(previous).unwrap()];
        manifest::publish(&store, &claims[0]).await.unwrap();
        let lost = manifest::publish(&store, &claims[1]).await;
        assert!(matches!(lost, Err(Error::Conflict(_))), "{lost:?}");
        // The store repeats a request whose answer was lost.
        manifest::publish(&store, &claims[0]).await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn claim_goes_on_from_what_a_dropped_handle_published() {
        for round in 0..300 {
            let memory = Arc::new(object_store::memory::InMemory::new());
            let store = Store::object_store(memory, "db");
            let is_locked = round % 2 == 0;
            claim(&store, &Options::default(), is_locked).await.unwrap();
            let publishing = tokio::spawn(publish_some(store.clone()));
            claim(&store, &Options::default(), is_locked).await.unwrap();
            publishing.await.unwrap();
        }
    }
}
