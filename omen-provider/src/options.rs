//! How a database is opened: few options, each with its default, its cost and when to touch it.

/// When a statement is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// After its log record was flushed with fdatasync: survives power loss.
    #[default]
    Sync,
}

/// Options of [`crate::Database`]; validated once, at open.
#[derive(Debug, Clone)]
pub struct Options {
    /// Open without the writer lock and refuse every write. Default: false.
    pub read_only: bool,
    /// Create the database if the directory is missing or empty. Default: true.
    pub create: bool,
    /// When a statement is acknowledged. Default: [`Durability::Sync`].
    pub durability: Durability,
    /// Bytes of rows in memory that start a flush to segments; writers wait at twice as much.
    /// Larger: fewer, larger segments, longer recovery. Default: 64 MiB.
    pub memtable_bytes_max: usize,
    /// Bytes of verified pages kept in memory, for lookups and scans together. Default: 256 MiB.
    pub cache_bytes_max: usize,
    /// Rows of a Parquet row group. Larger: better compression, more memory while writing.
    /// Default: 131,072.
    pub row_group_rows: usize,
    /// Rows of a segment at most; compaction cuts its output there. Default: 4,194,304.
    pub segment_rows_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            read_only: false,
            create: true,
            durability: Durability::Sync,
            memtable_bytes_max: 64 << 20,
            cache_bytes_max: 256 << 20,
            row_group_rows: 128 << 10,
            segment_rows_max: 4 << 20,
        }
    }
}
