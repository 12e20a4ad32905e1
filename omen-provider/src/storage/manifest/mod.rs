//! The manifest: the one commit point of the durable set of segments.
//!
//! A manifest is the whole database at one log position: every table, its segments, their deletion
//! vectors of exactly that position, and the log that goes on from there. Manifests are numbered
//! files that never change, published by put-if-absent: whoever publishes number `n` first has won
//! it, on a local disk and on an object store alike.
//!
//! ```text
//! manifest file: one frame (see `frame`): kind 32, generation = epoch, lsn = number,
//!                payload = Manifest message
//! ```
//! Invariant: the newest manifest is the truth. A damaged one is an error, never skipped.

mod record;

use bytes::Bytes;
use prost::Message;

pub use record::{DeletionsRecord, Line, Manifest, SegmentEntry, TableEntry, deletions_name};

use super::frame::{self, FrameResult};
use super::record::SegmentRecord;
use super::schema::TableSchema;
use super::store::{Pin, Store};
use crate::error::{Error, Result};

/// Frame kind of a manifest.
pub const KIND_MANIFEST: u8 = 32;
/// Version of the format that this program writes and reads: which kinds of files and records a
/// database may have. It stands in the manifest, so that a program never meets one that it does
/// not know.
pub const FORMAT_VERSION: u32 = 1;
/// Times the newest manifest is looked for while a writer publishes newer ones.
const PIN_ATTEMPTS: usize = 1000;
/// The folder of manifests.
const FOLDER: &str = "manifest";

/// The name of manifest `number`.
pub fn manifest_name(number: u64) -> String {
    format!("{FOLDER}/{number:016x}.manifest")
}

/// The number of the manifest file `name`.
fn manifest_number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(FOLDER)?.strip_prefix('/')?.strip_suffix(".manifest")?;
    u64::from_str_radix(digits, 16).ok().filter(|&number| manifest_name(number) == name)
}

/// Publishes `manifest` under its number.
///
/// # Errors
/// [`Error::Conflict`] if another manifest has that number, or another writer a later one. This
/// manifest is not the newest then, but it may have been, and the one that is may go on from it.
/// After any other error it may or may not be there, or come to be there.
pub async fn publish(store: &Store, manifest: &Manifest) -> Result<()> {
    match put(store, manifest).await? {
        // A store that repeats a request whose answer was lost meets its own file.
        Put::Stands | Put::Equal => Ok(()),
        Put::Ours | Put::Others => Err(taken(store)),
    }
}

/// Publishes `manifest` under its number or, where earlier attempts of this writer turn out to
/// have come through, under the next one. (That one is durable; what is only seen on a disk may
/// not be.) A number that has another writer's manifest is never passed over: what that writer has
/// done since would be lost.
///
/// # Errors
/// As [`publish`].
pub async fn publish_next(store: &Store, manifest: &mut Manifest) -> Result<()> {
    loop {
        match put(store, manifest).await? {
            Put::Stands => return Ok(()),
            Put::Equal | Put::Ours => manifest.number += 1,
            Put::Others => return Err(taken(store)),
        }
    }
}

fn taken(store: &Store) -> Error {
    Error::Conflict(format!(
        "another writer has opened {} and published a manifest; this one has lost the database",
        store.location
    ))
}

/// What became of a manifest.
enum Put {
    /// It is durable and the newest.
    Stands,
    /// One with the same bytes has its number.
    Equal,
    /// Another one of the same writer has its number.
    Ours,
    /// Another writer has its number, or a later one.
    Others,
}

async fn put(store: &Store, manifest: &Manifest) -> Result<Put> {
    let mut bytes = Vec::new();
    let payload = manifest.encode_to_vec();
    frame::encode(KIND_MANIFEST, manifest.epoch, manifest.number, &[&payload], &mut bytes)?;
    let name = manifest_name(manifest.number);
    let bytes = Bytes::from(bytes);
    match store.blobs.put_if_absent(&name, bytes.clone()).await {
        Ok(()) => {}
        Err(Error::AlreadyExists(_)) => {
            let found = store.blobs.read(&name).await?;
            return Ok(who_has(manifest, found == bytes, &found));
        }
        // The answer may be lost alone. An object that is read back is durable, as no name on a
        // disk is after an error; one that is not there may still be on its way.
        Err(error @ Error::ObjectStore { .. }) => match store.blobs.read(&name).await {
            Ok(found) if found == bytes => {}
            Ok(found) => return Ok(who_has(manifest, false, &found)),
            Err(_) => return Err(error),
        },
        Err(error) => return Err(error),
    }
    // The number may have been free only because a writer that went further removed its manifest.
    if newest_number(store).await? > Some(manifest.number) {
        store.blobs.delete(&name).await?;
        return Ok(Put::Others);
    }
    Ok(Put::Stands)
}

/// Whose the bytes are that have the number of `manifest`.
fn who_has(manifest: &Manifest, equal: bool, found: &[u8]) -> Put {
    let name = manifest_name(manifest.number);
    match decode(&name, manifest.number, found) {
        _ if equal => Put::Equal,
        Ok(found) if found.line() == manifest.line() => Put::Ours,
        _ => Put::Others,
    }
}

/// The newest manifest, if there is any.
///
/// # Errors
/// [`Error::Corruption`] if it is damaged or a file in the folder is none of ours.
pub async fn newest(store: &Store) -> Result<Option<Manifest>> {
    loop {
        let Some(number) = newest_number(store).await? else { return Ok(None) };
        match read(store, number).await {
            // A live writer has published a newer one and removed this one in between.
            Err(Error::NotFound(_)) => {}
            other => return other.map(Some),
        }
    }
}

/// The newest manifest, if there is any, pinned: what it names stays while the pin lives, but for
/// the logs that follow on its own. (Who needs those reads them and then sees whether the manifest
/// is still the newest.) On a store without pins nothing is certain to stay.
///
/// # Errors
/// As [`newest`].
pub async fn pin_newest(store: &Store) -> Result<Option<(Manifest, Pin)>> {
    for _ in 0..PIN_ATTEMPTS {
        let Some(number) = newest_number(store).await? else { return Ok(None) };
        let Some(pin) = store.blobs.pin(&manifest_name(number)).await? else { continue };
        // Whoever deletes it may have begun before it was pinned.
        if newest_number(store).await? != Some(number) {
            continue;
        }
        match read(store, number).await {
            Err(Error::NotFound(_)) => {}
            other => return other.map(|manifest| Some((manifest, pin))),
        }
    }
    Err(Error::Conflict(format!(
        "the newest manifest of {} was another one each of the {PIN_ATTEMPTS} times it was read, \
         or another program has locked it",
        store.location
    )))
}

/// The number of the newest manifest.
///
/// # Errors
/// [`Error::Corruption`] if a file in the folder is none of ours.
pub async fn newest_number(store: &Store) -> Result<Option<u64>> {
    let mut newest = None;
    for blob in store.blobs.list(FOLDER).await? {
        let Some(number) = manifest_number(&blob.name) else {
            let reason = "a foreign file lies among the manifests; move it away";
            return Err(Error::corruption(&blob.name, 0, reason));
        };
        newest = newest.max(Some(number));
    }
    Ok(newest)
}

/// The numbers of the manifests below `number`.
pub async fn before(store: &Store, number: u64) -> Result<Vec<u64>> {
    let blobs = store.blobs.list(FOLDER).await?;
    let numbers = blobs.iter().filter_map(|blob| manifest_number(&blob.name));
    Ok(numbers.filter(|&n| n < number).collect())
}

impl Manifest {
    /// Who wrote it.
    pub fn line(&self) -> Line {
        Line { database: self.database.clone(), epoch: self.epoch, writer: self.writer }
    }

    /// The schema of one of its tables.
    ///
    /// # Errors
    /// [`Error::Corruption`] if no table is made like that.
    pub fn schema(&self, entry: &TableEntry) -> Result<TableSchema> {
        let damaged = |reason| Error::corruption(manifest_name(self.number), 0, reason);
        let record = entry.table.clone().ok_or_else(|| damaged("a table has no schema".into()))?;
        TableSchema::try_from(record).map_err(|error| damaged(error.to_string()))
    }

    /// The names of the files that it names, but for the log.
    pub fn files(&self) -> impl Iterator<Item = String> {
        self.tables.iter().flat_map(|table| &table.segments).flat_map(|entry| {
            let segment = entry.segment.iter().flat_map(SegmentRecord::file_names);
            segment.chain(entry.deletions.iter().map(DeletionsRecord::file_name))
        })
    }

    /// The record of one of its segments.
    ///
    /// # Errors
    /// [`Error::Corruption`] if there is none.
    pub fn segment<'a>(&self, entry: &'a SegmentEntry) -> Result<&'a SegmentRecord> {
        let none = || Error::corruption(manifest_name(self.number), 0, "a segment has no record");
        entry.segment.as_ref().ok_or_else(none)
    }
}

/// Manifest `number`.
///
/// # Errors
/// As [`newest`], and [`Error::NotFound`] if there is none.
pub async fn read(store: &Store, number: u64) -> Result<Manifest> {
    let name = manifest_name(number);
    decode(&name, number, &store.blobs.read(&name).await?)
}

fn decode(name: &str, number: u64, bytes: &[u8]) -> Result<Manifest> {
    let damaged = |reason: &str| Error::corruption(name, 0, reason);
    let frame = match frame::decode(bytes) {
        FrameResult::Frame(frame) => frame,
        FrameResult::Torn { .. } => return Err(damaged("the manifest is cut short")),
        FrameResult::Bad { reason, .. } => return Err(damaged(reason)),
    };
    if frame.header.frame_bytes() != bytes.len() {
        return Err(damaged("bytes follow the manifest"));
    }
    if frame.header.kind != KIND_MANIFEST || frame.header.lsn != number {
        return Err(damaged("the file is another manifest, or none"));
    }
    let manifest = Manifest::decode(frame.payload().as_slice())
        .map_err(|e| damaged(&format!("the manifest does not decode: {e}")))?;
    if manifest.format != FORMAT_VERSION {
        return Err(Error::invalid(format!(
            "{name} has format version {}; this program reads version {FORMAT_VERSION}",
            manifest.format
        )));
    }
    if manifest.number != number || manifest.epoch != frame.header.generation {
        return Err(damaged("the manifest contradicts its frame"));
    }
    // File numbers have 32 bits of the epoch.
    let is_last = [number, manifest.flushed_lsn].contains(&u64::MAX);
    if is_last || manifest.epoch >= u64::from(u32::MAX) {
        return Err(damaged("no writer can go on from the numbers in the manifest"));
    }
    if manifest.database.len() != 16 {
        return Err(damaged("the database id is not 16 bytes long"));
    }
    Ok(manifest)
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::super::record::{ColumnRecord, TableRecord};
    use super::*;

    async fn put(store: &Store, manifest: &Manifest) {
        let mut bytes = Vec::new();
        let payload = manifest.encode_to_vec();
        frame::encode(KIND_MANIFEST, manifest.epoch, manifest.number, &[&payload], &mut bytes)
            .unwrap();
        store.blobs.put_if_absent(&manifest_name(manifest.number), bytes.into()).await.unwrap();
    }

    #[tokio::test]
    async fn other_versions_are_named() {
        for format in [0, FORMAT_VERSION + 1] {
            let store = Store::object_store(std::sync::Arc::new(InMemory::new()), "db");
            let (database, number) = (vec![1; 16], 1);
            put(&store, &Manifest { database, number, format, ..Manifest::default() }).await;
            let error = newest(&store).await.unwrap_err();
            let refused = format!("version {format}; this program reads version {FORMAT_VERSION}");
            assert!(error.to_string().contains(&refused), "{error}");
        }
    }

    #[tokio::test]
    async fn numbers_that_nothing_can_follow_on_are_damage() {
        let whole = Manifest {
            database: vec![1; 16],
            number: 7,
            epoch: 3,
            format: FORMAT_VERSION,
            ..Manifest::default()
        };
        let last_epoch = u64::from(u32::MAX);
        for (manifest, is_whole) in [
            (whole.clone(), true),
            (Manifest { flushed_lsn: u64::MAX, ..whole.clone() }, false),
            (Manifest { number: u64::MAX, ..whole.clone() }, false),
            (Manifest { epoch: last_epoch, ..whole.clone() }, false),
            (Manifest { epoch: last_epoch - 1, ..whole.clone() }, true),
        ] {
            let store = Store::object_store(std::sync::Arc::new(InMemory::new()), "db");
            put(&store, &manifest).await;
            let read = newest(&store).await;
            let is_damage = matches!(read, Err(Error::Corruption { .. }));
            assert_eq!((read.is_ok(), is_damage), (is_whole, !is_whole), "{manifest:?}");
        }
    }

    #[test]
    fn what_makes_no_table_is_damage() {
        let manifest = Manifest { number: 7, ..Manifest::default() };
        let columns = vec![ColumnRecord { id: 1, field: vec![0; 64], ..Default::default() }];
        let record = TableRecord { id: 1, key: vec![0], columns, ..TableRecord::default() };
        for table in [None, Some(TableRecord::default()), Some(record)] {
            let error = manifest.schema(&TableEntry { table, ..TableEntry::default() });
            let path = match error.unwrap_err() {
                Error::Corruption { path, .. } => path,
                other => panic!("{other}"),
            };
            assert_eq!(path, manifest_name(7));
        }
        assert!(manifest.segment(&SegmentEntry::default()).is_err());
    }
}
