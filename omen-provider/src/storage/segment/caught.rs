//! Panics of the `parquet` crate as errors.
//!
//! It relies on what a file says of itself in places where it does not check it. Bytes that pass
//! their checksums and yet are not what a writer writes were made by someone; they are refused like
//! all others. Called wherever this layer has that crate decode; what DataFusion decodes of a file
//! for SQL is not guarded like this. Calls nothing.

use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What `decode` returns; the error says what is wrong, also if it panics. What it worked on must
/// not be used again then.
pub(super) fn caught<T, E: Display>(decode: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(decode)) {
        Ok(decoded) => decoded.map_err(|error| error.to_string()),
        Err(_) => Err("it contradicts itself, and cannot be decoded".to_string()),
    }
}
