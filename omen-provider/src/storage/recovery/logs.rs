//! Reading the chain of logs that goes on from a manifest.
//!
//! Called by recovery, by who checks files, and by the engine. Reads only.

use std::ops::RangeInclusive;

use super::{LogCut, LogDamage};
use crate::error::{Error, Result};
use crate::storage::manifest::Manifest;
use crate::storage::medium::{Medium, epoch_of};
use crate::storage::wal::{
    LogContents, Statement, has_records, log_name, log_number, read_log, read_log_before_damage,
};

/// What the logs of a database hold.
#[derive(Debug)]
pub struct Logged {
    /// The statements after the manifest, in order.
    pub statements: Vec<Statement>,
    /// The lsn that follows.
    pub next_lsn: u64,
    /// Bytes of all log files.
    pub bytes: u64,
    /// Where it was given up.
    pub cut: Option<LogCut>,
}

/// Reads the chain of logs that begins with the manifest's.
pub async fn read_logs(
    medium: &Medium,
    manifest: &Manifest,
    take_over: bool,
    on_damage: LogDamage,
) -> Result<Logged> {
    let next_lsn = manifest.flushed_lsn + 1;
    let mut logged = Logged { statements: Vec::new(), next_lsn, bytes: 0, cut: None };
    let mut database = [0; 16];
    database.copy_from_slice(&manifest.database);
    // A database whose creation was cut short has a manifest and no log yet.
    let mut next = (manifest.log != 0).then_some(manifest.log);
    // Of the first log any: what a reopening wrote anew got new numbers.
    let mut first_lsns = 0..=u64::MAX;
    while let Some(number) = next {
        let read = read_whole(medium, &database, number, take_over).await;
        let read = read.and_then(|(log, bytes)| match first_lsns.contains(&log.header.first_lsn) {
            true => Ok((log, bytes)),
            false => Err(does_not_follow(number, log.header.first_lsn)),
        });
        let (log, bytes) = match read {
            Ok(read) => read,
            Err(damage @ Error::Corruption { .. }) if on_damage == LogDamage::Cut => {
                let before = read_before_damage(medium, &database, number, &first_lsns).await?;
                let bytes = before.as_ref().map_or(0, |(_, cut)| *cut);
                logged.cut = Some(LogCut { damage, statements: 0, bytes });
                let Some((log, _)) = before else { break };
                // What the seal names, if there is one, cannot be relied on.
                (LogContents { next_log: None, ..log }, bytes)
            }
            Err(error) => return Err(error),
        };
        first_lsns = log.next_lsn..=log.next_lsn;
        logged.bytes += bytes;
        logged.next_lsn = logged.next_lsn.max(log.next_lsn);
        let later = log.statements.into_iter().filter(|s| s.lsn > manifest.flushed_lsn);
        logged.statements.extend(later);
        next = log.next_log;
    }
    if let Some(cut) = &mut logged.cut {
        cut.statements = logged.statements.len() as u64;
    }
    Ok(logged)
}

fn does_not_follow(number: u64, first_lsn: u64) -> Error {
    let reason = format!(
        "the log begins at statement {first_lsn}, which does not follow on what comes before it"
    );
    Error::corruption(log_name(number), 0, reason)
}

/// What stands in a damaged log before the damage, and how many bytes follow; `None` if there is no
/// such file, or not even its header can be relied on.
async fn read_before_damage(
    medium: &Medium,
    database: &[u8; 16],
    number: u64,
    first_lsns: &RangeInclusive<u64>,
) -> Result<Option<(LogContents, u64)>> {
    let bytes = match medium.store.logs.read(&log_name(number)).await {
        Ok(bytes) => bytes,
        Err(Error::NotFound(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let Ok((log, _)) = read_log_before_damage(number, database, &bytes) else { return Ok(None) };
    let follows = first_lsns.contains(&log.header.first_lsn);
    Ok(follows.then(|| {
        let cut = log.dropped_tail_bytes;
        (log, cut)
    }))
}

/// Reads a log, which has so many bytes, and makes sure that nothing of it is missing at its end.
///
/// A log file is begun before its predecessor is sealed, but written to only when the seal is
/// durable. So a log without a seal has lost its end if a file that follows it has records.
async fn read_whole(
    medium: &Medium,
    database: &[u8; 16],
    number: u64,
    take_over: bool,
) -> Result<(LogContents, u64)> {
    let name = log_name(number);
    let logs = &medium.store.logs;
    let read = if take_over { logs.take_over(&name).await } else { logs.read(&name).await };
    let mut bytes = read.map_err(|error| missing_log(&name, error))?;
    let mut log = read_log(number, database, &bytes)?;
    if !log.sealed
        && let Some(successor) = written_successor(medium, database, number).await?
    {
        // A live writer may have gone on meanwhile.
        bytes = logs.read(&name).await.map_err(|error| missing_log(&name, error))?;
        log = read_log(number, database, &bytes)?;
        if !log.sealed {
            let end = bytes.len() as u64 - log.dropped_tail_bytes;
            let reason = format!("the end of the log is missing: {successor} follows it");
            return Err(Error::corruption(name, end, reason));
        }
    }
    Ok((log, bytes.len() as u64))
}

fn missing_log(name: &str, error: Error) -> Error {
    match error {
        Error::NotFound(_) => Error::corruption(
            name,
            0,
            "the log is missing; the manifest or the log before it names it, and acknowledged \
             statements may be in it",
        ),
        other => other,
    }
}

/// The first log of the same writer after `number` that has records in it.
async fn written_successor(
    medium: &Medium,
    database: &[u8; 16],
    number: u64,
) -> Result<Option<String>> {
    for name in medium.store.logs.list().await? {
        let Some(other) = log_number(&name) else { continue };
        if other <= number || epoch_of(other) != epoch_of(number) {
            continue;
        }
        match medium.store.logs.read(&name).await {
            Ok(bytes) if has_records(other, database, &bytes) => return Ok(Some(name)),
            Ok(_) | Err(Error::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}
