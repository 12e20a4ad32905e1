//! Comments: what somebody says of a table, a column, an index, a view or a schema.
//!
//! Each is kept with what it is about, and goes with it. Called by the engine, for all that are
//! given by COMMENT ON.

use crate::error::{Error, Result};

/// Bytes of a comment: all of them are in every manifest.
const COMMENT_BYTES_MAX: usize = 64 << 10;

/// A comment as it is kept: an empty one is none, as in PostgreSQL.
///
/// # Errors
/// [`Error::InvalidInput`] if it is too long.
pub fn comment(text: Option<&str>) -> Result<Option<String>> {
    let text = text.filter(|text| !text.is_empty());
    match text.map(str::len) {
        Some(bytes) if bytes > COMMENT_BYTES_MAX => Err(Error::invalid(format!(
            "a comment has {COMMENT_BYTES_MAX} bytes at most, found {bytes}; keep longer texts in \
             a table"
        ))),
        _ => Ok(text.map(str::to_string)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_has_an_end_and_nothing_is_none() {
        assert_eq!(comment(None).unwrap(), None);
        assert_eq!(comment(Some("")).unwrap(), None);
        let longest = "x".repeat(COMMENT_BYTES_MAX);
        assert_eq!(comment(Some(&longest)).unwrap(), Some(longest.clone()));
        assert!(comment(Some(&format!("{longest}x"))).is_err());
    }
}
