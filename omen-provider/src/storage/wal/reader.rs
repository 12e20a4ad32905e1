//! Reads a log file back: the complete statements, and what the end of the file means.
//!
//! A power cut leaves the last group of appends in pieces: sectors that never reached the medium
//! are absent or zero, which no sector of a whole frame is. (Zeros alone are space that was taken
//! and not used.) Such a tail was never acknowledged and
//! is dropped. Anything else that is not a frame is damage, and the file is refused:
//!
//! * the bad frame has all its sectors, so it was written in full and changed later. If its header
//!   cannot be read, that goes by the sectors that the header is in;
//! * a later commit frame says that this place was durable when it was written.
//!
//! Called by recovery and by read-only opens; calls `frame` and `record`.
//!
//! Invariant: a statement is given back only if all its frames and its commit frame are whole, in
//! sequence and of this file's generation. Never panics, whatever the bytes.

use bytes::Bytes;

use super::header::{LogHeader, log_name};
use super::record::{Commit, KIND_COMMIT, KIND_SEAL, Op, Seal, Statement};
use crate::error::{Error, Result};
use crate::storage::frame::{self, Frame, FrameHeader, FrameResult};

/// What a power cut loses or keeps as a whole.
const SECTOR_BYTES: usize = 512;

/// How often bytes behind a bad place may be summed up, on average.
const RESCANS_MAX: usize = 4;

/// A log file, read.
#[derive(Debug)]
pub(crate) struct LogContents {
    /// Its header.
    pub(crate) header: LogHeader,
    /// The complete statements, in order.
    pub(crate) statements: Vec<Statement>,
    /// Whether the file ends with a seal: nothing can be missing.
    pub(crate) sealed: bool,
    /// The file that goes on, if the seal names one.
    pub(crate) next_log: Option<u64>,
    /// The lsn after the last complete statement (or the seal).
    pub(crate) next_lsn: u64,
    /// The lsn after the last complete statement, and the bytes up to its end: where a writer may
    /// go on that finds no seal, or a last one.
    pub(crate) complete: (u64, u64),
    /// Where the last complete statement ends, or the seal.
    pub(crate) end: u64,
    /// Bytes of the file but for the zeros at its end: space that was not used.
    pub(crate) bytes: u64,
}

/// A log file that was read, and how a writer may go on in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogPlace {
    pub(crate) header: LogHeader,
    /// Bytes up to the end of its last statement; of a file that is followed by another up to the
    /// end of its seal.
    pub(crate) bytes: u64,
    /// The lsn that follows on these.
    pub(crate) next_lsn: u64,
}

impl LogContents {
    /// Bytes that were written and belong to no complete statement.
    pub(crate) fn dropped_tail_bytes(&self) -> u64 {
        self.bytes.saturating_sub(self.end)
    }

    /// Where a writer may go on.
    pub(crate) fn place(&self) -> LogPlace {
        let (next_lsn, bytes) = match self.next_log {
            Some(_) => (self.next_lsn, self.bytes),
            None => self.complete,
        };
        LogPlace { header: self.header, bytes, next_lsn }
    }
}

/// Reads log file `number` of `database` from its bytes.
///
/// # Errors
/// [`Error::Corruption`] naming file and offset for damage, and for a file of another database or
/// number.
pub(crate) fn read_log(number: u64, database: &[u8; 16], bytes: &Bytes) -> Result<LogContents> {
    match read_log_before_damage(number, database, bytes)? {
        (contents, None) => Ok(contents),
        (_, Some(damage)) => Err(damage),
    }
}

/// As [`read_log`], but what comes before damage is given back with it.
///
/// # Errors
/// As [`read_log`], if the file's header is damaged.
pub(crate) fn read_log_before_damage(
    number: u64,
    database: &[u8; 16],
    bytes: &Bytes,
) -> Result<(LogContents, Option<Error>)> {
    let path = log_name(number);
    let header = LogHeader::decode(bytes, &path)?;
    if header.database != *database || header.number != number {
        return Err(Error::corruption(
            path,
            0,
            format!("the file is log {:016x} of another database or place", header.number),
        ));
    }
    let zeros = bytes.iter().rev().take_while(|byte| **byte == 0).count();
    let mut reader = Reader {
        path,
        bytes,
        end: (bytes.len() - zeros).max(LogHeader::BYTES),
        generation: header.generation,
        at: LogHeader::BYTES,
        lsn: header.first_lsn,
        open: OpenStatement::default(),
    };
    reader.open.restart(reader.lsn);
    let mut contents = LogContents {
        header,
        statements: Vec::new(),
        sealed: false,
        next_log: None,
        next_lsn: header.first_lsn,
        complete: (header.first_lsn, LogHeader::BYTES as u64),
        end: LogHeader::BYTES as u64,
        bytes: reader.end as u64,
    };
    let mut complete = reader.at;
    let damage = loop {
        match reader.read_frame(&mut contents) {
            Ok(Some(KIND_COMMIT)) => {}
            Ok(Some(KIND_SEAL) | None) => break None,
            Ok(Some(_)) => continue,
            Err(damage) => break Some(damage),
        }
        complete = reader.at;
        contents.next_lsn = reader.lsn;
    };
    contents.complete = (contents.next_lsn, complete as u64);
    if contents.sealed {
        complete = reader.at;
        contents.next_lsn = reader.lsn;
    }
    contents.end = complete as u64;
    Ok((contents, damage))
}

/// Whether these bytes are log file `number` of `database` with at least one whole record.
pub(crate) fn has_records(number: u64, database: &[u8; 16], bytes: &[u8]) -> bool {
    let Ok(header) = LogHeader::decode(bytes, "") else { return false };
    if header.database != *database || header.number != number {
        return false;
    }
    let first = frame::decode(&bytes[LogHeader::BYTES..]);
    matches!(first, FrameResult::Frame(frame) if frame.header.generation == header.generation)
}

struct Reader<'a> {
    path: String,
    bytes: &'a Bytes,
    /// Where the zeros begin that the file ends with. No frame ends with zero.
    end: usize,
    generation: u64,
    at: usize,
    /// The lsn expected at `at`.
    lsn: u64,
    open: OpenStatement,
}

/// The frames since the last commit frame.
#[derive(Default)]
struct OpenStatement {
    first_lsn: u64,
    crc: u32,
    ops: Vec<Op>,
}

impl OpenStatement {
    fn restart(&mut self, first_lsn: u64) -> Vec<Op> {
        self.first_lsn = first_lsn;
        self.crc = 0;
        std::mem::take(&mut self.ops)
    }
}

impl<'a> Reader<'a> {
    /// Takes in the next frame and returns its kind; `None` at the end of what was written.
    fn read_frame(&mut self, contents: &mut LogContents) -> Result<Option<u8>> {
        let Some(frame) = self.next_frame()? else { return Ok(None) };
        let next_lsn = self.lsn.checked_add(1);
        let next_lsn = next_lsn.ok_or_else(|| self.damaged("no lsn follows on this record's"))?;
        match frame.header.kind {
            KIND_COMMIT => contents.statements.push(self.commit(&frame, next_lsn)?),
            KIND_SEAL => {
                contents.next_log = self.seal(&frame)?;
                contents.sealed = true;
            }
            _ => self.operation(&frame)?,
        }
        self.at += frame.header.frame_bytes();
        self.lsn = next_lsn;
        Ok(Some(frame.header.kind))
    }

    /// The frame at the current place; none at the end of what was written.
    fn next_frame(&self) -> Result<Option<Frame<'a>>> {
        if self.at >= self.end {
            return Ok(None);
        }
        let rest = &self.bytes[self.at..];
        let mut cut_short = false;
        let (header, reason) = match frame::decode(rest) {
            FrameResult::Frame(frame) if frame.header.generation == self.generation => {
                if frame.header.lsn == self.lsn {
                    return Ok(Some(frame));
                }
                let found = frame.header.lsn;
                return Err(self.damaged(format!("lsn {} expected, found {found}", self.lsn)));
            }
            FrameResult::Frame(frame) => (Some(frame.header), "a frame of another log file"),
            FrameResult::Torn { header } => {
                cut_short = true;
                (header, "the file ends within a record")
            }
            FrameResult::Bad { header, reason } => (header, reason),
        };
        self.check_tail(header, cut_short, reason)?;
        Ok(None)
    }

    /// Whether what begins here, not a frame, can be the end of the log; an error if it is damage.
    fn check_tail(&self, header: Option<FrameHeader>, cut_short: bool, reason: &str) -> Result<()> {
        let (later, was_durable) = self.later_frames()?;
        if was_durable {
            return Err(self.damaged(format!(
                "{reason}, but a later statement says that lsn {} was durable before it",
                self.lsn
            )));
        }
        let own = header.filter(|header| header.generation == self.generation);
        let foreign = header.is_some() && own.is_none();
        let known = own.map_or(frame::HEADER_BYTES, |header| header.frame_bytes());
        if cut_short || (foreign && !later) || self.has_missing_sector(self.at + known) {
            return Ok(());
        }
        Err(self.damaged(format!("{reason}, and no part of the record is missing")))
    }

    /// Whether a later place holds a frame header of this file with a later lsn, and whether a
    /// commit or seal frame behind here says that the place here was durable before it.
    ///
    /// However the bytes were made, each is summed up a few times at most: a frame that is not
    /// whole uses up what it claims to be long.
    fn later_frames(&self) -> Result<(bool, bool)> {
        let magic = frame::MAGIC.to_le_bytes();
        let mut found = false;
        let mut at = self.at + 1;
        let mut affordable = RESCANS_MAX * (self.bytes.len() - self.at);
        let written = &self.bytes[..self.end];
        while let Some(skip) = written.get(at..).and_then(|rest| find(rest, magic)) {
            at += skip;
            let rest = &self.bytes[at..];
            if let Ok(header) = frame::decode_header(rest)
                && header.generation == self.generation
                && header.lsn > self.lsn
            {
                found = true;
                let length = header.frame_bytes().min(rest.len());
                if length > affordable {
                    // What is left of such a file is not worth hours.
                    return Err(self.damaged("records behind it reach into each other"));
                }
                affordable -= length;
                if let FrameResult::Frame(frame) = frame::decode(rest) {
                    if durable_lsn(&frame).is_some_and(|durable| durable >= self.lsn) {
                        return Ok((found, true));
                    }
                    at += header.frame_bytes();
                    continue;
                }
            }
            at += 1;
        }
        Ok((found, false))
    }

    /// Whether one of the sectors from here to `end` never reached the medium: what lies in it
    /// from here on is zero.
    fn has_missing_sector(&self, end: usize) -> bool {
        let mut at = self.at;
        while at < end.min(self.bytes.len()) {
            let next = (at / SECTOR_BYTES + 1) * SECTOR_BYTES;
            let sector = &self.bytes[at..next.min(self.bytes.len())];
            if sector.iter().all(|byte| *byte == 0) {
                return true;
            }
            at = next;
        }
        false
    }

    fn operation(&mut self, frame: &Frame<'_>) -> Result<()> {
        let op = Op::decode(frame.header.kind, frame.payload().into());
        let op = op.map_err(|reason| self.damaged(reason))?;
        self.open.ops.push(op);
        self.open.crc = crc32c::crc32c_append(self.open.crc, &frame.payload_crc.to_le_bytes());
        Ok(())
    }

    fn commit(&mut self, frame: &Frame<'_>, next_lsn: u64) -> Result<Statement> {
        let commit = Commit::decode(&frame.payload());
        let fits = commit.filter(|commit| {
            commit.first_lsn == self.open.first_lsn
                && commit.frames as usize == self.open.ops.len()
                && commit.crc == self.open.crc
                && commit.durable_lsn < self.lsn
        });
        let Some(commit) = fits else {
            return Err(self.damaged("the commit record does not fit the records before it"));
        };
        let ops = self.open.restart(next_lsn);
        Ok(Statement { lsn: self.lsn, accepted_ms: commit.accepted_ms, ops })
    }

    fn seal(&mut self, frame: &Frame<'_>) -> Result<Option<u64>> {
        let seal = Seal::decode(&frame.payload()).filter(|_| self.open.ops.is_empty());
        let last = self.at + frame.header.frame_bytes() == self.end;
        match seal {
            Some(seal) if last => Ok(seal.next),
            Some(_) => Err(self.damaged("bytes follow the seal of the log file")),
            None => Err(self.damaged("the seal of the log file does not fit")),
        }
    }

    fn damaged(&self, reason: impl Into<String>) -> Error {
        Error::corruption(&self.path, self.at as u64, reason)
    }
}

fn durable_lsn(frame: &Frame<'_>) -> Option<u64> {
    match frame.header.kind {
        KIND_COMMIT => Commit::decode(&frame.payload()).map(|commit| commit.durable_lsn),
        KIND_SEAL => Seal::decode(&frame.payload()).map(|seal| seal.durable_lsn),
        _ => None,
    }
}

fn find(bytes: &[u8], magic: [u8; 2]) -> Option<usize> {
    bytes.windows(2).position(|pair| pair == magic)
}

#[cfg(test)]
mod tests;
