//! Statements on their way into the log: encoded, queued, and taken together as a group.
//!
//! Called by the writer. The last frame of a statement is made only when its group is written: it
//! says what is durable then.

use bytes::Bytes;

use super::record::{Commit, KIND_COMMIT, KIND_SEAL, Op, Seal};
use crate::error::Result;
use crate::storage::frame;
use crate::storage::store::LogFile;

/// Room for what an operation's frame holds besides rows; an estimate.
const OTHER_BYTES: usize = 64;

/// A statement as it will lie in the log, but for its commit frame.
#[derive(Debug)]
pub(crate) struct Encoded {
    frames: Vec<u8>,
    generation: u64,
    commit: Commit,
}

/// Encoded frames that wait for their group.
pub(super) struct Queued<V> {
    frames: Vec<u8>,
    generation: u64,
    lsn: u64,
    last: Last<V>,
}

enum Last<V> {
    Commit { commit: Commit, version: V },
    Seal { next: Option<(u64, Box<dyn LogFile>)> },
}

/// What a round appends and what it leaves behind.
pub(super) struct Group<V> {
    pub(super) bytes: Bytes,
    /// Of how many statements.
    pub(super) count: usize,
    pub(super) lsn: u64,
    pub(super) version: Option<V>,
    /// After a seal: the next file, if any.
    pub(super) sealed: Option<Option<Box<dyn LogFile>>>,
}

impl Encoded {
    /// Encodes a statement whose first frame gets the lsn `first_lsn`.
    pub(super) fn new(
        ops: &[Op],
        accepted_ms: u64,
        generation: u64,
        first_lsn: u64,
    ) -> Result<Self> {
        // Room for the commit frame too: it must not move the rows of a large statement.
        let rows: usize = ops.iter().map(|op| op.rows_bytes() + OTHER_BYTES).sum();
        let mut frames = Vec::with_capacity(rows + OTHER_BYTES);
        let (mut lsn, mut crc) = (first_lsn, 0);
        for op in ops {
            let (head, body) = op.payload();
            let payload_crc =
                frame::encode(op.kind(), generation, lsn, &[&head, body], &mut frames)?;
            crc = crc32c::crc32c_append(crc, &payload_crc.to_le_bytes());
            lsn += 1;
        }
        // The durable lsn is filled in when the group is written.
        let commit =
            Commit { first_lsn, frames: ops.len() as u32, crc, accepted_ms, durable_lsn: 0 };
        Ok(Self { frames, generation, commit })
    }

    pub(super) fn first_lsn(&self) -> u64 {
        self.commit.first_lsn
    }

    /// The lsn of the commit frame.
    pub(super) fn lsn(&self) -> u64 {
        self.commit.first_lsn + u64::from(self.commit.frames)
    }

    /// Bytes in the log.
    pub(super) fn bytes(&self) -> u64 {
        (self.frames.len() + frame_bytes(Commit::BYTES)) as u64
    }
}

impl<V> Queued<V> {
    /// A statement that makes `version` visible.
    pub(super) fn statement(encoded: Encoded, version: V) -> Self {
        let lsn = encoded.lsn();
        let Encoded { frames, generation, commit } = encoded;
        Self { frames, generation, lsn, last: Last::Commit { commit, version } }
    }

    /// The end of a file.
    pub(super) fn seal(generation: u64, lsn: u64, next: Option<(u64, Box<dyn LogFile>)>) -> Self {
        Self { frames: Vec::new(), generation, lsn, last: Last::Seal { next } }
    }

    /// Whether it ends a file.
    pub(super) fn is_seal(&self) -> bool {
        matches!(self.last, Last::Seal { .. })
    }

    /// Bytes in the log.
    pub(super) fn bytes(&self) -> u64 {
        match self.last {
            Last::Commit { .. } => (self.frames.len() + frame_bytes(Commit::BYTES)) as u64,
            Last::Seal { .. } => seal_bytes(),
        }
    }
}

impl<V> Group<V> {
    /// Takes what is queued, up to a seal; all that is taken goes in one append.
    pub(super) fn take(queue: &mut Vec<Queued<V>>, durable_lsn: u64) -> Self {
        let seal = queue.iter().position(|q| matches!(q.last, Last::Seal { .. }));
        let count = seal.map_or(queue.len(), |index| index + 1);
        let mut group = Self { bytes: Bytes::new(), count, lsn: 0, version: None, sealed: None };
        let mut bytes = Vec::new();
        for Queued { frames, generation, lsn, last } in queue.drain(..count) {
            // A single statement, however large, is not copied.
            if bytes.is_empty() {
                bytes = frames;
            } else {
                bytes.extend_from_slice(&frames);
            }
            group.lsn = lsn;
            let (kind, payload): (u8, &[u8]) = match last {
                Last::Commit { commit, version } => {
                    group.version = Some(version);
                    (KIND_COMMIT, &Commit { durable_lsn, ..commit }.encode())
                }
                Last::Seal { next } => {
                    let (number, file) = next.unzip();
                    group.sealed = Some(file);
                    (KIND_SEAL, &Seal { next: number, durable_lsn }.encode())
                }
            };
            // Far below the longest payload: cannot fail.
            let _ = frame::encode(kind, generation, lsn, &[payload], &mut bytes);
        }
        group.bytes = Bytes::from(bytes);
        group
    }
}

/// Bytes of a seal in the log.
pub(super) fn seal_bytes() -> u64 {
    frame_bytes(Seal::BYTES) as u64
}

fn frame_bytes(payload: usize) -> usize {
    frame::HEADER_BYTES + payload + frame::TRAILER_BYTES
}
