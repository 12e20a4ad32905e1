//! What a statement is made of in the log.

use bytes::Bytes;

use crate::storage::record::{SegmentRecord, TableRecord};
use crate::storage::schema::TableId;

/// One operation of a statement. Rows are named by key, never by position.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// Rows of a table; each replaces the row of its key if there is one.
    Put {
        /// The table.
        table: TableId,
        /// True if none of the keys was there before: replay need not look for old rows.
        fresh: bool,
        /// The rows: Arrow IPC messages without schema, see [`super::encode_rows`].
        rows: Bytes,
    },
    /// Keys whose rows are gone.
    Delete {
        /// The table.
        table: TableId,
        /// The encoded keys.
        keys: Vec<Vec<u8>>,
    },
    /// Segments written before the statement was logged; their rows replace those of equal keys.
    Attach {
        /// The table.
        table: TableId,
        /// See [`Op::Put`].
        fresh: bool,
        /// The segments, to be applied in order.
        segments: Vec<SegmentRecord>,
    },
    /// A new table.
    CreateTable(TableRecord),
    /// A table is gone.
    DropTable(TableId),
}

/// A committed statement as the reader gives it back.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// Sequence number of its commit frame.
    pub lsn: u64,
    /// Milliseconds since the Unix epoch when it was accepted; for display only.
    pub accepted_ms: u64,
    /// Its operations, in order.
    pub ops: Vec<Op>,
}
