//! The log that a writer begins with when it opens a database: a new one into which it writes the
//! statements that are in the log alone, or, where there is no space for that, the old one.
//!
//! Either way every byte of them is written anew: what the old log's pages in the system's cache
//! promise may not be on the medium.
//!
//! Called by `open`, after recovery and before the manifest that names the log.

use std::collections::HashSet;
use std::sync::Arc;

use super::room::{give_up_reserve, lacks_space};
use super::{Published, random};
use crate::error::Result;
use crate::storage::manifest::Manifest;
use crate::storage::medium::{File, Medium, epoch_in};
use crate::storage::recovery::Recovered;
use crate::storage::version::Version;
use crate::storage::wal::{LogHeader, LogPlace, LogWriter, log_name};

/// Bytes of surviving statements that are written to the new log at once.
const REWRITE_BYTES: u64 = 8 << 20;

/// As [`begin_log`], also on a full disk: goes on in the logs that are there, which are then
/// returned too, or gives up the reserve.
pub(super) async fn begin_log_with_room(
    medium: &Medium,
    manifest: &Manifest,
    recovered: &Recovered,
    published: &Arc<Published>,
) -> Result<(LogWriter<Arc<Version>>, Vec<LogPlace>)> {
    let number = medium.next_file();
    let mut begun = begin_log(medium, manifest, recovered, published, number).await;
    if lacks_space(&begun) {
        medium.store.logs.delete(&log_name(number)).await?;
        if recovered.cut.is_none() {
            // What is written in its place may need space too: for the rest of a block.
            let resumed = resume_log(medium, manifest, recovered, published).await;
            if !lacks_space(&resumed)
                && let Some(log) = resumed?
            {
                return Ok((log, recovered.logs.clone()));
            }
        }
        if give_up_reserve(&medium.store).await {
            let number = medium.next_file();
            begun = begin_log(medium, manifest, recovered, published, number).await;
        }
    }
    Ok((begun?, Vec::new()))
}

/// Goes on in the log that is there, if there is one. Its bytes, and those of the logs before it,
/// are written anew in their place, for the reason for which they are copied where there is space.
async fn resume_log(
    medium: &Medium,
    manifest: &Manifest,
    recovered: &Recovered,
    published: &Arc<Published>,
) -> Result<Option<LogWriter<Arc<Version>>>> {
    let Some((last, before)) = recovered.logs.split_last() else { return Ok(None) };
    let store = &medium.store;
    for log in before {
        store.logs.resume(&log_name(log.header.number), log.bytes).await?;
    }
    let (header, end) = (last.header, (last.next_lsn, last.bytes));
    let (clock, publish) = (&medium.options.clock, publish_to(published));
    let log = LogWriter::resume(store, clock, header, end, manifest.epoch, publish).await?;
    Ok(Some(log))
}

/// Makes versions visible to readers.
fn publish_to(published: &Arc<Published>) -> Box<dyn Fn(Arc<Version>) + Send + Sync> {
    let target = Arc::clone(published);
    Box::new(move |version| target.set(version))
}

/// A new log that holds the surviving statements, durable: what the old log's pages in the
/// system's cache promise may not be on the medium.
async fn begin_log(
    medium: &Medium,
    manifest: &Manifest,
    recovered: &Recovered,
    published: &Arc<Published>,
    number: u64,
) -> Result<LogWriter<Arc<Version>>> {
    let mut database = [0; 16];
    database.copy_from_slice(&manifest.database);
    let header = LogHeader {
        database,
        epoch: manifest.epoch,
        number,
        generation: u64::from_le_bytes(random()?),
        first_lsn: recovered.next_lsn,
    };
    let clock = &medium.options.clock;
    let log = LogWriter::create(&medium.store, clock, header, publish_to(published)).await?;
    let version = Arc::new(recovered.version.clone());
    let mut written = log.bytes();
    for statement in &recovered.statements {
        let encoded = log.encode(&statement.ops, statement.accepted_ms)?;
        log.take_space(&encoded).await?;
        log.enqueue(encoded, |_| Arc::clone(&version))?;
        if log.bytes() - written > REWRITE_BYTES {
            log.wait_all().await?;
            written = log.bytes();
        }
    }
    log.wait_all().await?;
    Ok(log)
}

/// Removes all logs but the one that is written and those that it goes on from. One of a later
/// epoch belongs to a writer that has taken the database over since, and stays; what is to be
/// spared becomes garbage.
pub(super) async fn remove_other_logs(
    medium: &Medium,
    manifest: &Manifest,
    log: &LogWriter<Arc<Version>>,
    resumed: &[LogPlace],
    spared: &HashSet<String>,
) -> Result<()> {
    let logs = &medium.store.logs;
    let mut kept: Vec<String> = resumed.iter().map(|log| log_name(log.header.number)).collect();
    kept.push(log_name(log.number()));
    for name in logs.list().await? {
        if kept.contains(&name) || epoch_in(&name) > manifest.epoch {
            continue;
        }
        match spared.contains(&name) {
            true => medium.garbage.add([File::named(name)]),
            false => logs.delete(&name).await?,
        }
    }
    Ok(())
}
