//! The one error type of the crate, by what the caller can do about it.
//!
//! Every variant says what was expected and what was found; damage names the file and the offset.
//! Cloneable, because all waiters of one group commit receive the same failure.

use std::sync::Arc;

/// The result of every fallible operation of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, and so what to do.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The request itself is wrong (type, column, option): change it. Nothing was written.
    #[error("invalid input: {0}")]
    InvalidInput(String),
    /// A table, file or database that does not exist.
    #[error("not found: {0}")]
    NotFound(String),
    /// A table or database that exists already. Nothing was written.
    #[error("already exists: {0}")]
    AlreadyExists(String),
    /// An INSERT met a key that the table holds, or the same key twice in its input. The whole
    /// statement was refused.
    #[error(
        "duplicate key in table \"{table}\": {key} is there already, or twice in the statement \
         (constraint \"{constraint}\"); INSERT OR REPLACE (or upsert) writes over it"
    )]
    DuplicateKey {
        /// The table.
        table: String,
        /// The name of the primary key constraint.
        constraint: String,
        /// The key, as `(column, ...) = (value, ...)`.
        key: String,
    },
    /// A row with the values that another one has in the columns of a UNIQUE constraint or index.
    /// The whole statement was refused.
    #[error(
        "duplicate values in table \"{table}\": {values} are there already, or twice in the \
         statement (unique \"{constraint}\")"
    )]
    NotUnique {
        /// The table.
        table: String,
        /// The name of the constraint or index.
        constraint: String,
        /// The values, as `(column, ...) = (value, ...)`.
        values: String,
    },
    /// A row for which a CHECK is false. The whole statement was refused.
    #[error(
        "a row of table \"{table}\" violates CHECK ({condition}), constraint \"{constraint}\": \
         {row}"
    )]
    CheckViolation {
        /// The table.
        table: String,
        /// The name of the constraint.
        constraint: String,
        /// The condition as SQL text.
        condition: String,
        /// The row, as `(value, ...)`.
        row: String,
    },
    /// Another writer was first. Nothing was written; read again and retry.
    #[error("conflict: {0}")]
    Conflict(String),
    /// A statement or transaction was computed from rows that another one has written over since.
    /// Nothing of it was written; run it again.
    #[error("serialization failure: {0}; run it again")]
    SerializationFailure(String),
    /// Another process (or handle) has the database open for writing.
    #[error("database {path} is open for writing elsewhere; close it there, or open it read-only")]
    Locked {
        /// The directory of the database.
        path: String,
    },
    /// Bytes on the medium are not what was written. Nothing was answered from them.
    #[error("corruption in {path} at offset {offset}: {reason}")]
    Corruption {
        /// The file.
        path: String,
        /// The offset of the damaged structure in bytes.
        offset: u64,
        /// What was expected and what was found.
        reason: String,
    },
    /// The operating system failed an operation on a file.
    #[error("input/output error on {path}: {source}")]
    Io {
        /// The file or directory.
        path: String,
        /// The cause.
        source: Arc<std::io::Error>,
    },
    /// The object store failed an operation.
    #[error("object store error on {path}: {source}")]
    ObjectStore {
        /// The object.
        path: String,
        /// The cause.
        source: Arc<object_store::Error>,
    },
    /// A write or sync of the log failed: the statement may or may not be durable. The database
    /// takes no more writes until it is reopened; reads go on.
    #[error("outcome unknown: {0}; reopen the database to learn what became durable")]
    OutcomeUnknown(String),
    /// A limit of memory or disk space is reached. Either there is no room for a statement: the
    /// disk is full, or rows in memory or the log are to be flushed first and the flush fails.
    /// Nothing was written; repeat it when the cause is gone, there is no need to open the database
    /// again. Reads go on, and so do deletions for a while. Or a query needs more memory, or more
    /// space for spill files, than queries may use: it ended, and what it held is free again.
    #[error("no room: {what}: {source}")]
    Exhausted {
        /// What is used up, how far, and what makes room.
        what: String,
        /// What met the limit: the flush that failed, the operator of a query, the disk.
        source: Arc<Error>,
    },
    /// The handle was closed, or the database was opened read-only.
    #[error("database is {0}")]
    Unavailable(&'static str),
    /// Arrow refused a computation.
    #[error("arrow: {0}")]
    Arrow(Arc<arrow::error::ArrowError>),
    /// Parquet refused to encode or decode.
    #[error("parquet: {0}")]
    Parquet(Arc<parquet::errors::ParquetError>),
    /// DataFusion failed while it produced the rows of a statement.
    #[error("{0}")]
    DataFusion(Arc<datafusion::error::DataFusionError>),
}

impl Error {
    /// An [`Error::Io`] for `path`.
    pub(crate) fn io(path: impl Into<String>, source: std::io::Error) -> Self {
        Self::Io { path: path.into(), source: Arc::new(source) }
    }

    /// Whether the disk was full.
    pub(crate) fn lacks_space(&self) -> bool {
        match self {
            Self::Io { source, .. } => is_full(source),
            Self::Exhausted { source, .. } => source.lacks_space(),
            _ => false,
        }
    }

    /// An [`Error::Corruption`] of `path` at `offset`.
    pub(crate) fn corruption(
        path: impl Into<String>,
        offset: u64,
        reason: impl Into<String>,
    ) -> Self {
        Self::Corruption { path: path.into(), offset, reason: reason.into() }
    }

    /// An [`Error::InvalidInput`].
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::InvalidInput(message.into())
    }
}

/// Whether a disk is full, or a quota or a limit of the length of files reached.
pub(crate) fn is_full(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    [StorageFull, QuotaExceeded, FileTooLarge].contains(&error.kind())
}

impl From<arrow::error::ArrowError> for Error {
    fn from(source: arrow::error::ArrowError) -> Self {
        Self::Arrow(Arc::new(source))
    }
}

impl From<parquet::errors::ParquetError> for Error {
    fn from(source: parquet::errors::ParquetError) -> Self {
        Self::Parquet(Arc::new(source))
    }
}
