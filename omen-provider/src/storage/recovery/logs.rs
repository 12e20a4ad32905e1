//! Reading the chain of logs that goes on from a manifest.
//!
//! Called by recovery, by who checks files, and by the engine. Reads only.
//!
//! Beside a live writer ([`Access::Follow`]) only what is durable is given back: of what is merely
//! written a power cut may still take some away. A page that is just being copied looks like
//! damage; so damage there is looked at again before it is believed.

use std::ops::RangeInclusive;
use std::time::Duration;

use bytes::BytesMut;

use super::{DroppedTail, LogCut, LogDamage};
use crate::error::{Error, Result};
use crate::storage::manifest::Manifest;
use crate::storage::medium::{Medium, epoch_of};
use crate::storage::wal::{
    LogContents, LogHeader, LogPlace, Statement, has_records, log_name, log_number, read_log,
    read_log_before_damage,
};

/// How often damage is looked at again beside a live writer, and the pause before each time.
const SECOND_LOOKS: usize = 10;
const SECOND_LOOK_PAUSE: Duration = Duration::from_millis(10);

/// Who reads a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Somebody who only wants to know what is in the file.
    Look,
    /// A reader beside a live writer.
    Follow,
    /// The next writer: nobody else may append any more.
    TakeOver,
}

/// How far a chain of logs was read.
#[derive(Debug, Clone)]
pub struct LogEnd {
    header: LogHeader,
    /// Where the last complete statement of the file ends.
    offset: u64,
    /// The lsn that follows.
    next_lsn: u64,
}

/// What the logs of a database hold.
#[derive(Debug, Default)]
pub struct Logged {
    /// The statements after the manifest, in order.
    pub statements: Vec<Statement>,
    /// The lsn that follows.
    pub next_lsn: u64,
    /// Bytes of all log files, these files, in order, and where they were given up.
    pub bytes: u64,
    pub logs: Vec<LogPlace>,
    pub cut: Option<LogCut>,
    /// What was in the last of them after its last complete statement.
    pub dropped: Option<DroppedTail>,
    /// Where the last of them ends; none if there is no log.
    pub end: Option<LogEnd>,
}

/// Reads the chain of logs that begins with the manifest's.
pub async fn read_logs(
    medium: &Medium,
    manifest: &Manifest,
    access: Access,
    on_damage: LogDamage,
) -> Result<Logged> {
    let next_lsn = manifest.flushed_lsn + 1;
    let mut logged = Logged { next_lsn, ..Logged::default() };
    let mut database = [0; 16];
    database.copy_from_slice(&manifest.database);
    // A database whose creation was cut short has a manifest and no log yet.
    let mut next = (manifest.log != 0).then_some(manifest.log);
    // Of the first log any: what a reopening wrote anew got new numbers.
    let mut first_lsns = 0..=u64::MAX;
    while let Some(number) = next {
        let mut read = read_whole(medium, &database, number, access).await;
        for _ in 0..SECOND_LOOKS {
            if access != Access::Follow || !matches!(read, Err(Error::Corruption { .. })) {
                break;
            }
            medium.options.clock.pause(SECOND_LOOK_PAUSE).await;
            read = read_whole(medium, &database, number, access).await;
        }
        let read = read.map_err(|error| missing_log(&log_name(number), error));
        let read = read.and_then(|log| match first_lsns.contains(&log.header.first_lsn) {
            true => Ok((log.bytes, log)),
            false => Err(does_not_follow(number, log.header.first_lsn)),
        });
        let (bytes, log) = match read {
            Ok(read) => read,
            Err(damage @ Error::Corruption { .. }) if on_damage == LogDamage::Cut => {
                let before = read_before_damage(medium, &database, number, &first_lsns).await?;
                let bytes = before.as_ref().map_or(0, |(_, cut)| *cut);
                logged.cut = Some(LogCut { damage, statements: 0, bytes });
                let Some((log, _)) = before else { break };
                // What the seal names, if there is one, cannot be relied on.
                (bytes, LogContents { next_log: None, ..log })
            }
            Err(error) => return Err(error),
        };
        let (offset, next_lsn) = (log.end, log.next_lsn);
        logged.end = Some(LogEnd { header: log.header, offset, next_lsn });
        let tail = log.dropped_tail_bytes();
        if logged.cut.is_none() && tail > 0 {
            logged.dropped = Some(DroppedTail { file: log_name(number), offset, bytes: tail });
        }
        first_lsns = log.next_lsn..=log.next_lsn;
        logged.bytes += bytes;
        logged.logs.push(log.place());
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

/// Reads on from where an earlier reading ended, beside a live writer; `None` if only reading
/// everything anew can tell what is there now.
pub async fn read_on(medium: &Medium, from: &LogEnd) -> Result<Option<Logged>> {
    let mut end = from.clone();
    let mut logged = Logged { next_lsn: from.next_lsn, ..Logged::default() };
    loop {
        let log = match read_tail(medium, &end).await {
            Ok(log) => log,
            Err(Error::Corruption { .. } | Error::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let grown = log.end - LogHeader::BYTES as u64;
        end.offset += grown;
        end.next_lsn = log.next_lsn;
        logged.bytes += grown;
        logged.next_lsn = log.next_lsn;
        logged.statements.extend(log.statements);
        let Some(next) = log.next_log else { break };
        let first = LogHeader { number: next, first_lsn: log.next_lsn, ..end.header };
        match read_head(medium, first).await? {
            Some(header) => end = LogEnd { header, offset: LogHeader::BYTES as u64, ..end },
            None => return Ok(None),
        }
    }
    logged.end = Some(end);
    Ok(Some(logged))
}

/// What follows on `end` in its file.
async fn read_tail(medium: &Medium, end: &LogEnd) -> Result<LogContents> {
    let LogHeader { number, database, .. } = end.header;
    let tail = medium.store.logs.read_durable(&log_name(number), end.offset).await?;
    // As a log of its own, which begins there.
    let head = LogHeader { first_lsn: end.next_lsn, ..end.header }.encode();
    let mut bytes = BytesMut::with_capacity(head.len() + tail.len());
    bytes.extend_from_slice(&head);
    bytes.extend_from_slice(&tail);
    read_log(number, &database, &bytes.freeze())
}

/// The header of the log file that is expected to follow, if it does.
async fn read_head(medium: &Medium, expected: LogHeader) -> Result<Option<LogHeader>> {
    let name = log_name(expected.number);
    let bytes = match medium.store.logs.read_durable(&name, 0).await {
        Ok(bytes) => bytes,
        Err(Error::NotFound(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let Ok(header) = LogHeader::decode(&bytes, &name) else { return Ok(None) };
    let follows = LogHeader { generation: header.generation, ..expected } == header;
    Ok(follows.then_some(header))
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
        let cut = log.dropped_tail_bytes();
        (log, cut)
    }))
}

/// Reads a log and makes sure that nothing of it is missing at its end.
///
/// A log file is begun before its predecessor is sealed, but written to only when the seal is
/// durable. So a log without a seal has lost its end if a file that follows it has records.
async fn read_whole(
    medium: &Medium,
    database: &[u8; 16],
    number: u64,
    access: Access,
) -> Result<LogContents> {
    let name = log_name(number);
    let logs = &medium.store.logs;
    let bytes = match access {
        Access::Look => logs.read(&name).await?,
        Access::Follow => logs.read_durable(&name, 0).await?,
        Access::TakeOver => logs.take_over(&name).await?,
    };
    let mut log = read_log(number, database, &bytes)?;
    if !log.sealed
        && let Some(successor) = written_successor(medium, database, number).await?
    {
        // A live writer may have gone on meanwhile.
        let bytes = match access {
            Access::Follow => logs.read_durable(&name, 0).await?,
            Access::Look | Access::TakeOver => logs.read(&name).await?,
        };
        log = read_log(number, database, &bytes)?;
        if !log.sealed {
            let reason = format!("the end of the log is missing: {successor} follows it");
            return Err(Error::corruption(name, log.end, reason));
        }
    }
    Ok(log)
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
