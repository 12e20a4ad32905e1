//! A read-only database beside a live writer: opened at the newest manifest, brought up to date as
//! often as somebody asks.
//!
//! A reader announces itself by a pin on the manifest that it stands on, which writes nothing. Its
//! segments hold that pin, and with them every snapshot, stream and plan: what was taken before a
//! refresh stays readable after it.
//!
//! As long as the manifest is the newest one, a refresh reads only what its log has grown by; else
//! it begins anew there, with the segments that are open already. After either it looks again
//! whether the manifest is still the newest: only then has it missed nothing, and only then does
//! the writer know which segments the log has led it to.
//!
//! Called by `open` and the front door.
//!
//! Invariant: readers are shown only what no crash takes back.

use std::collections::HashMap;
use std::sync::Arc;

use super::open::no_database;
use super::upkeep::lock;
use super::{Engine, LogInspection};
use crate::error::{Error, Result};
use crate::storage::manifest::{self, Manifest};
use crate::storage::medium::Medium;
use crate::storage::recovery::{Access, LogDamage, LogEnd, Opener, read_on, recover, replay};
use crate::storage::segment::Segment;
use crate::storage::store::Pin;
use crate::storage::version::Version;

/// Times the newest manifest is read again because a live writer published another one meanwhile.
const READ_ATTEMPTS: usize = 100;

/// Where a reader stands.
#[derive(Debug)]
pub(super) struct Following {
    manifest: Manifest,
    pin: Arc<Pin>,
    /// How far the log is read; none if there is no log yet.
    end: Option<LogEnd>,
    log_bytes: u64,
}

impl Following {
    pub(super) fn inspection(&self) -> LogInspection {
        LogInspection::new(&self.manifest, self.log_bytes)
    }
}

impl Engine {
    /// Brings a database that was opened read-only up to date: every statement that was
    /// acknowledged before is visible afterwards. Returns the newest visible statement. A writer
    /// always is.
    pub async fn refresh(&self) -> Result<u64> {
        self.check_open()?;
        let Some(following) = &self.following else { return Ok(self.published.get().lsn) };
        let mut following = following.lock().await;
        let version = match self.read_on(&mut following).await? {
            Some(version) => version,
            None => {
                let (newest, version) = read_newest(&self.medium, self.open_segments()).await?;
                if newest.manifest.database != following.manifest.database {
                    // File numbers, and pages in the cache, mean other files there.
                    return Err(Error::Conflict(format!(
                        "another database lies in {} now; open it anew",
                        self.location()
                    )));
                }
                *following = newest;
                version
            }
        };
        *lock(&self.opened) = following.inspection();
        let lsn = version.lsn;
        self.published.set(Arc::new(version));
        Ok(lsn)
    }

    /// The version that the log of the same manifest has come to; `None` if there is another one,
    /// or the log cannot be read on.
    async fn read_on(&self, following: &mut Following) -> Result<Option<Version>> {
        let store = &self.medium.store;
        let number = Some(following.manifest.number);
        let Some(end) = &following.end else { return Ok(None) };
        if manifest::newest_number(store).await? != number {
            return Ok(None);
        }
        let Some(logged) = read_on(&self.medium, end).await? else { return Ok(None) };
        let pin = Some(Arc::clone(&following.pin));
        let opener = Opener { pin, ..Opener::unpinned(&self.medium) };
        let mut version = Version::clone(&self.published.get());
        match replay(&opener, &mut version, &logged.statements).await {
            Ok(()) => {}
            Err(Error::Corruption { .. } | Error::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error),
        }
        if manifest::newest_number(store).await? != number {
            return Ok(None);
        }
        following.end = logged.end;
        following.log_bytes += logged.bytes;
        Ok(Some(version))
    }

    fn open_segments(&self) -> HashMap<u64, Arc<Segment>> {
        let version = self.published.get();
        let views = version.tables().iter().flat_map(|table| &table.segments);
        views.map(|view| (view.segment.record().file, Arc::clone(&view.segment))).collect()
    }
}

/// Reads the database as the newest manifest and its logs have it; `known` are segments that are
/// open already.
pub(super) async fn read_newest(
    medium: &Medium,
    mut known: HashMap<u64, Arc<Segment>>,
) -> Result<(Following, Version)> {
    let store = &medium.store;
    let mut attempt = 1;
    loop {
        let pinned = manifest::pin_newest(store).await?;
        let (manifest, pin) = pinned.ok_or_else(|| no_database(store))?;
        let pin = Arc::new(pin);
        let opener = Opener { medium, pin: Some(Arc::clone(&pin)), known };
        let recovered = recover(&opener, &manifest, Access::Follow, LogDamage::Refuse).await;
        // A writer that went on meanwhile may have removed a log that follows on this manifest's,
        // or a segment that it attaches. (On an object store a log goes piece by piece.)
        let goes_on = manifest::newest_number(store).await? != Some(manifest.number);
        match recovered {
            Ok(recovered) if !goes_on => {
                let (end, log_bytes) = (recovered.end, recovered.log_bytes);
                return Ok((Following { manifest, pin, end, log_bytes }, recovered.version));
            }
            Err(error) if !goes_on || attempt == READ_ATTEMPTS => return Err(error),
            Ok(_) if attempt == READ_ATTEMPTS => {
                return Err(Error::Conflict(format!(
                    "a writer went on each of the {READ_ATTEMPTS} times that {} was read",
                    store.location
                )));
            }
            _ => attempt += 1,
        }
        known = opener.known;
    }
}
