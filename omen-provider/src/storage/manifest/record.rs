//! What a manifest says, as Protocol Buffers messages. FORMAT.md lists the same fields.
//!
//! Called by `manifest` (file), flush, compaction and recovery (content).

use crate::storage::record::{SchemaRecord, SegmentRecord, TableRecord, ViewRecord};

/// The whole database at one log position.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Manifest {
    /// Random id of the database, 16 bytes; every log file repeats it.
    #[prost(bytes = "vec", tag = "1")]
    pub database: Vec<u8>,
    /// Times the database was opened for writing: who wrote this.
    #[prost(uint64, tag = "2")]
    pub epoch: u64,
    /// Number of this manifest.
    #[prost(uint64, tag = "3")]
    pub number: u64,
    /// All statements up to this sequence number are in the segments.
    #[prost(uint64, tag = "4")]
    pub flushed_lsn: u64,
    /// Number of the log file that goes on from there; it must exist. 0: none yet.
    #[prost(fixed64, tag = "5")]
    pub log: u64,
    /// The id that the next table gets.
    #[prost(uint32, tag = "6")]
    pub next_table_id: u32,
    /// All tables.
    #[prost(message, repeated, tag = "7")]
    pub tables: Vec<TableEntry>,
    /// Random number of the writer: of two that raise the epoch at once, neither takes the other's
    /// manifest for its own.
    #[prost(fixed64, tag = "8")]
    pub writer: u64,
    /// Version of the format of the database, [`super::FORMAT_VERSION`].
    #[prost(uint32, tag = "9")]
    pub format: u32,
    /// Whether a backup wrote it, with epoch and writer of the database that it is of. The first
    /// writer that opens the copy ends this.
    #[prost(bool, tag = "10")]
    pub backup: bool,
    /// All views, by name.
    #[prost(message, repeated, tag = "11")]
    pub views: Vec<ViewRecord>,
    /// All schemas but `public`, by name.
    #[prost(message, repeated, tag = "12")]
    pub schemas: Vec<SchemaRecord>,
}

/// What tells databases apart that were one: manifests of one line follow on one another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Id of the database.
    pub database: Vec<u8>,
    /// Epoch of its writer.
    pub epoch: u64,
    /// Random number of its writer.
    pub writer: u64,
}

impl Line {
    /// A manifest of this line that says nothing else.
    pub fn manifest(&self, number: u64, backup: bool) -> Manifest {
        let Self { database, epoch, writer } = self.clone();
        Manifest { database, epoch, writer, number, backup, ..Manifest::default() }
    }
}

/// A table in a manifest.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TableEntry {
    /// Its schema.
    #[prost(message, optional, tag = "1")]
    pub table: Option<TableRecord>,
    /// Its segments.
    #[prost(message, repeated, tag = "2")]
    pub segments: Vec<SegmentEntry>,
    /// The next hidden row id.
    #[prost(int64, tag = "3")]
    pub next_row_id: i64,
    /// The next number of the identity column, if there is one.
    #[prost(int64, tag = "4")]
    pub next_number: i64,
}

/// A segment in a manifest.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SegmentEntry {
    /// The segment.
    #[prost(message, optional, tag = "1")]
    pub segment: Option<SegmentRecord>,
    /// Where its deletion vector is; none if no row is deleted.
    #[prost(message, optional, tag = "2")]
    pub deletions: Option<DeletionsRecord>,
}

/// A deletion vector: a piece of a file that may hold several.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct DeletionsRecord {
    /// Number of the file.
    #[prost(fixed64, tag = "1")]
    pub file: u64,
    /// Where the vector begins.
    #[prost(uint64, tag = "2")]
    pub offset: u64,
    /// Its length in bytes.
    #[prost(uint32, tag = "3")]
    pub length: u32,
    /// CRC32C of its bytes.
    #[prost(fixed32, tag = "4")]
    pub crc: u32,
    /// How many rows it marks.
    #[prost(uint64, tag = "5")]
    pub count: u64,
}

impl DeletionsRecord {
    /// The name of the vector's file.
    pub fn file_name(&self) -> String {
        deletions_name(self.file)
    }
}

/// The name of deletion-vector file `number`.
pub fn deletions_name(number: u64) -> String {
    format!("segments/{number:016x}.deletions")
}
