//! Which keys statements wrote lately.
//!
//! A statement that was computed from a version, an UPDATE say, must not write over what another
//! one wrote since: that would be lost. So commits note what they wrote, and such a statement is
//! refused if any of it was written after its version (first committer wins). Notes are bounded: a
//! statement whose version is older than they reach is refused too.
//!
//! Called by `commit` under its lock. Invariant: whatever was written after `known_from` is noted.

use std::collections::VecDeque;
use std::sync::Arc;

use super::change::Change;
use super::upkeep::lock;
use super::{Engine, Writer};
use crate::error::{Error, Result};
use crate::storage::apply::WriteMode;
use crate::storage::key::Keys;
use crate::storage::schema::TableId;
use crate::storage::segment::{ReadStats, Segment};
use crate::storage::version::Version;

/// Bytes of all notes.
const BYTES_MAX: usize = 16 << 20;
/// The same while there are transactions.
const WATCHED_BYTES_MAX: usize = 64 << 20;
/// Bytes of keys of one note; of more only the outermost are kept.
const KEYS_BYTES_MAX: usize = 1 << 20;
/// What a note takes beside its keys.
const NOTE_BYTES: usize = 128;

/// What one statement wrote of one table.
#[derive(Debug)]
pub(super) enum Written {
    /// Rows of these keys, which ascend.
    Keys(Keys),
    /// Rows of some keys, none outside of these two.
    Between(Vec<u8>, Vec<u8>),
    /// All rows there were.
    All,
}

#[derive(Debug)]
struct Note {
    lsn: u64,
    table: TableId,
    written: Arc<Written>,
}

/// What statements wrote, oldest first.
#[derive(Debug)]
pub(super) struct RecentWrites {
    notes: VecDeque<Note>,
    bytes: usize,
    known_from: u64,
    watches: usize,
}

/// Held by a transaction, for which more notes are kept.
#[derive(Debug)]
pub(super) struct Watch(Arc<Engine>);

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(writer) = &self.0.writer {
            lock(&writer.recent).watches -= 1;
        }
    }
}

impl Engine {
    /// Keeps more notes while what this returns is held.
    pub(super) fn watch(self: &Arc<Self>) -> Result<Watch> {
        self.check_open()?;
        if let Some(writer) = &self.writer {
            lock(&writer.recent).watches += 1;
        }
        Ok(Watch(Arc::clone(self)))
    }
}

impl Written {
    /// Rows of keys, at least one, that ascend.
    pub(super) fn keys(keys: Keys) -> Self {
        match keys.len().checked_sub(1) {
            Some(last) if keys.byte_size() > KEYS_BYTES_MAX => {
                Self::Between(keys.get(0).into_owned(), keys.get(last).into_owned())
            }
            _ => Self::Keys(keys),
        }
    }

    /// All rows of segments; none if there are no segments.
    pub(super) fn segments(segments: &[Arc<Segment>]) -> Option<Self> {
        let min = segments.iter().map(|segment| &segment.record().min_key).min()?;
        let max = segments.iter().map(|segment| &segment.record().max_key).max()?;
        Some(Self::Between(min.clone(), max.clone()))
    }

    fn bytes(&self) -> usize {
        let keys = match self {
            Self::Keys(keys) => keys.byte_size(),
            Self::Between(min, max) => min.len() + max.len(),
            Self::All => 0,
        };
        NOTE_BYTES + keys
    }

    /// One of the keys that were written and are among `keys`, which ascend; perhaps one of a bulk
    /// statement that only may have been written.
    fn among(&self, keys: &Keys) -> Option<Vec<u8>> {
        let index = match self {
            Self::Keys(written) if written.len() <= keys.len() => {
                let index = (0..written.len()).find(|&i| holds(keys, &written.get(i)))?;
                return Some(written.get(index).into_owned());
            }
            Self::Keys(written) => (0..keys.len()).find(|&i| holds(written, &keys.get(i)))?,
            Self::Between(min, max) => {
                let first = keys.lower_bound_in(0..keys.len(), min);
                (first < keys.len() && *keys.get(first) <= **max).then_some(first)?
            }
            Self::All => (!keys.is_empty()).then_some(0)?,
        };
        Some(keys.get(index).into_owned())
    }

    /// As [`Written::among`], for the keys of a segment.
    async fn in_segment(&self, segment: &Segment) -> Result<Option<Vec<u8>>> {
        let (min, max) = (&segment.record().min_key, &segment.record().max_key);
        match self {
            Self::Keys(written) => {
                let wanted: Vec<u32> = (0..written.len() as u32).collect();
                let found = segment.find_many(written, &wanted, &ReadStats::default()).await?;
                Ok(found.first().map(|(index, _)| written.get(*index as usize).into_owned()))
            }
            Self::Between(low, high) => Ok((min <= high && low <= max).then(|| min.clone())),
            Self::All => Ok(Some(min.clone())),
        }
    }
}

impl RecentWrites {
    /// No notes yet, with all statements up to `lsn` written before.
    pub(super) fn new(lsn: u64) -> Self {
        Self { notes: VecDeque::new(), bytes: 0, known_from: lsn, watches: 0 }
    }

    /// Notes what the statement with `lsn`, newer than all before, wrote.
    pub(super) fn note(&mut self, lsn: u64, written: Vec<(TableId, Written)>) {
        for (table, written) in written {
            self.bytes += written.bytes();
            self.notes.push_back(Note { lsn, table, written: Arc::new(written) });
        }
        let most = if self.watches > 0 { WATCHED_BYTES_MAX } else { BYTES_MAX };
        while self.bytes > most
            && let Some(oldest) = self.notes.pop_front()
        {
            self.bytes -= oldest.written.bytes();
            self.known_from = oldest.lsn;
        }
    }

    /// What was written of a table after `lsn`, newest first; `None` if that is not known.
    fn since(&self, lsn: u64, table: TableId) -> Option<Vec<Arc<Written>>> {
        if lsn < self.known_from {
            return None;
        }
        let since = self.notes.iter().rev().take_while(|note| note.lsn > lsn);
        let of_table = since.filter(|note| note.table == table);
        Some(of_table.map(|note| Arc::clone(&note.written)).collect())
    }
}

impl Writer {
    /// Refuses a statement that was computed from the version at `basis` if something that it
    /// writes has been written since. `newest` is the version that it is to be applied to.
    pub(super) async fn refuse_overtaken(
        &self,
        basis: u64,
        newest: &Version,
        changes: &[Change],
    ) -> Result<()> {
        let is_created = |id: TableId| {
            changes.iter().any(|change| matches!(change, Change::Create(new) if new.id == id))
        };
        for change in changes {
            let Some(id) = change.table().filter(|id| !is_created(*id)) else { continue };
            let table = newest.table(id).ok_or_else(|| {
                Error::SerializationFailure("the table was dropped meanwhile".to_string())
            })?;
            let since = lock(&self.recent).since(basis, id).ok_or_else(|| {
                Error::SerializationFailure(format!(
                    "so much was written meanwhile that it is not known any more whether rows of \
                     table \"{}\" were changed",
                    table.schema.name
                ))
            })?;
            if change.is_of_all_rows() && !since.is_empty() {
                return Err(Error::SerializationFailure(format!(
                    "rows of table \"{}\" were written by another statement meanwhile",
                    table.schema.name
                )));
            }
            if change.is_fresh() && table.schema.hidden_key {
                // Nobody else has these keys.
                continue;
            }
            for written in since {
                if let Some(key) = change.overtaken_by(&written).await? {
                    return Err(Error::SerializationFailure(format!(
                        "the row of {} in table \"{}\" was, or may have been, written by another \
                         statement meanwhile",
                        table.schema.codec().describe(&key),
                        table.schema.name
                    )));
                }
            }
        }
        Ok(())
    }
}

impl Change {
    /// The table that must be there, and be as it was as far as the change goes.
    fn table(&self) -> Option<TableId> {
        match self {
            Self::Put { schema, .. } => Some(schema.id),
            Self::Attach { table, .. } | Self::Delete { table, .. } => Some(*table),
            Self::Drop(table) | Self::Truncate(table) => Some(*table),
            Self::Alter { from, .. } => Some(from.id),
            Self::Create(_)
            | Self::CreateView { .. }
            | Self::DropView(_)
            | Self::CreateSchema(_)
            | Self::Comment { .. }
            | Self::DropSchema { .. } => None,
        }
    }

    fn is_of_all_rows(&self) -> bool {
        matches!(self, Self::Drop(_) | Self::Truncate(_) | Self::Alter { is_checked: true, .. })
    }

    /// Whether hidden row ids were given to its rows just now.
    fn is_fresh(&self) -> bool {
        match self {
            Self::Put { mode, .. } | Self::Attach { mode, .. } => *mode == WriteMode::Insert,
            _ => false,
        }
    }

    async fn overtaken_by(&self, written: &Written) -> Result<Option<Vec<u8>>> {
        match self {
            Self::Put { batch, .. } => Ok(written.among(batch.keys())),
            Self::Delete { keys, .. } => Ok(written.among(keys)),
            Self::Attach { segments, .. } => {
                for segment in segments {
                    if let Some(key) = written.in_segment(segment).await? {
                        return Ok(Some(key));
                    }
                }
                Ok(None)
            }
            Self::Create(_)
            | Self::Drop(_)
            | Self::Truncate(_)
            | Self::Alter { .. }
            | Self::CreateView { .. }
            | Self::DropView(_)
            | Self::CreateSchema(_)
            | Self::Comment { .. }
            | Self::DropSchema { .. } => Ok(None),
        }
    }
}

/// Whether `keys`, which ascend, hold `key`.
fn holds(keys: &Keys, key: &[u8]) -> bool {
    let place = keys.lower_bound_in(0..keys.len(), key);
    place < keys.len() && keys.compare_bytes(place, key).is_eq()
}

#[cfg(test)]
mod tests;
