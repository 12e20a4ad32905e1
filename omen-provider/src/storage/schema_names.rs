//! The names of schemas, and of what is in them.
//!
//! A table t of schema a is called `a.t`, one of `public` just `t`. No name of a schema, and no own
//! name of a table or view in one, holds a dot; no table or view of `public` has a name that begins
//! with that of a schema and a dot. So one name means one thing. Called by `version`, the engine
//! and the provider.

use crate::error::{Error, Result};

/// The schema that is always there: names in it have no schema before them.
pub const PUBLIC: &str = "public";

/// The schema in which a database tells of itself.
pub const INFORMATION_SCHEMA: &str = "information_schema";

/// What a table or view of a schema is called; `None`: of `public`.
pub fn full_name(schema: Option<&str>, name: &str) -> String {
    match schema {
        Some(schema) => format!("{schema}.{name}"),
        None => name.to_string(),
    }
}

/// Refuses the name of a schema that is to be made.
///
/// # Errors
/// [`Error::InvalidInput`] saying why it can be none, [`Error::AlreadyExists`] for `public`.
pub fn check_schema_name(name: &str) -> Result<()> {
    let lower = name.to_ascii_lowercase();
    if name.is_empty() || name.contains('.') {
        return Err(Error::invalid(format!(
            "\"{name}\" is no name for a schema: it has at least one letter, and no dot"
        )));
    }
    if name == PUBLIC {
        return Err(Error::AlreadyExists(format!("schema \"{PUBLIC}\", as in every database")));
    }
    if lower == INFORMATION_SCHEMA || lower.starts_with("pg_") || lower.starts_with("omen_") {
        return Err(Error::invalid(format!(
            "the name \"{name}\" is reserved: {INFORMATION_SCHEMA} and names that begin with pg_ \
             or omen_ are for what databases tell of themselves; choose another one"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_and_ambiguous_names_are_refused() {
        for name in ["", "a.b", "public", "information_schema", "PG_x", "omen_parts"] {
            assert!(check_schema_name(name).is_err(), "{name}");
        }
        for name in ["a", "pg", "omen", "Public", "b c", "main"] {
            assert!(check_schema_name(name).is_ok(), "{name}");
        }
    }
}
