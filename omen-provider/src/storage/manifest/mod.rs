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

pub use record::{DeletionsRecord, Manifest, SegmentEntry, TableEntry, deletions_name};

use super::frame::{self, FrameResult};
use super::store::{Pin, Store};
use crate::error::{Error, Result};

/// Frame kind of a manifest.
pub const KIND_MANIFEST: u8 = 32;
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

/// Publishes `manifest`.
///
/// # Errors
/// [`Error::Conflict`] if another writer published that number.
pub async fn publish(store: &Store, manifest: &Manifest) -> Result<()> {
    let mut bytes = Vec::new();
    let payload = manifest.encode_to_vec();
    frame::encode(KIND_MANIFEST, manifest.epoch, manifest.number, &[&payload], &mut bytes)?;
    let name = manifest_name(manifest.number);
    let bytes = Bytes::from(bytes);
    let taken = || {
        Error::Conflict(format!(
            "another writer has opened {} and published a manifest; this one has lost the \
             database",
            store.location
        ))
    };
    match store.blobs.put_if_absent(&name, bytes.clone()).await {
        // A store that repeats a request whose answer was lost meets its own file.
        Err(Error::AlreadyExists(_)) if store.blobs.read(&name).await? == bytes => {}
        Err(Error::AlreadyExists(_)) => return Err(taken()),
        other => other?,
    }
    // The number may have been free only because a writer that went further removed its manifest.
    if newest_number(store).await? > Some(manifest.number) {
        store.blobs.delete(&name).await?;
        return Err(taken());
    }
    Ok(())
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

/// Manifest `number`.
///
/// # Errors
/// As [`newest`], and [`Error::NotFound`] if there is none.
pub async fn read(store: &Store, number: u64) -> Result<Manifest> {
    let name = manifest_name(number);
    let bytes = store.blobs.read(&name).await?;
    let damaged = |reason: &str| Error::corruption(&name, 0, reason);
    let frame = match frame::decode(&bytes) {
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
    if manifest.number != number || manifest.epoch != frame.header.generation {
        return Err(damaged("the manifest contradicts its frame"));
    }
    if manifest.database.len() != 16 {
        return Err(damaged("the database id is not 16 bytes long"));
    }
    Ok(manifest)
}
