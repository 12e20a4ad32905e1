//! Rows as bytes, in the log and in the catalog, in one of two forms: `plain` for columns of plain
//! types, which costs a statement of one row little more than its values, and `ipc` for all others.
//!
//! The first four bytes tell them apart: a number of rows, or the 0xFFFFFFFF that no batch has.
//! Called by the commit path, which encodes, by recovery, which decodes, and by `record`.
//!
//! Invariant: decoding never panics and takes no more memory than a few times its input, whatever
//! the bytes.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use bytes::Bytes;

use crate::error::{Error, Result};
use crate::storage::frame::le_u32;

mod ipc;
mod plain;

/// Encodes the rows of a batch.
pub(crate) fn encode_rows(batch: &RecordBatch) -> Result<Bytes> {
    match plain::encode(batch) {
        Some(bytes) => Ok(Bytes::from(bytes)),
        None => Ok(Bytes::from(ipc::encode(batch)?)),
    }
}

/// Decodes what [`encode_rows`] wrote for a batch of the same schema.
///
/// # Errors
/// [`Error::Arrow`] if the bytes are not that.
pub(crate) fn decode_rows(bytes: &Bytes, schema: &SchemaRef) -> Result<RecordBatch> {
    let decode = || match le_u32(bytes) {
        ipc::CONTINUATION => ipc::decode(bytes, schema),
        _ => plain::decode(bytes, schema),
    };
    // Arrow asserts that a buffer is long enough for its type. Bytes that pass the checksum of
    // their frame and yet break that were made by someone: refused like all others.
    let decoded = std::panic::catch_unwind(AssertUnwindSafe(decode));
    decoded.unwrap_or_else(|_| Err(damaged("the rows are not what their schema says")))
}

fn damaged(reason: &str) -> Error {
    arrow::error::ArrowError::IpcError(reason.to_string()).into()
}

fn rebuilt(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

#[cfg(test)]
mod tests;
