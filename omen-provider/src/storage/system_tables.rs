//! The names under which a database tells of itself: they are read, and never written.
//!
//! Nothing that is made may have one of them. A database that has such a table since before there
//! was the system table keeps it. Called by the engine, and by the provider, which shows them.

use crate::error::{Error, Result};

/// The system tables.
pub const SYSTEM_TABLES: [&str; 5] =
    ["omen_parts", "omen_indexes", "omen_log", "omen_settings", "omen_comments"];

/// Refuses the name of a system table for something that is to be made.
///
/// # Errors
/// [`Error::InvalidInput`] if it is one.
pub fn refuse_reserved(name: &str) -> Result<()> {
    // In every schema: they are seen from each.
    let own = name.rsplit('.').next().unwrap_or(name);
    match SYSTEM_TABLES.contains(&own) {
        true => Err(Error::invalid(format!(
            "the name \"{own}\" is that of a system table; choose another one ({} are taken)",
            SYSTEM_TABLES.join(", ")
        ))),
        false => Ok(()),
    }
}

/// The error for a statement that would change a system table.
pub fn read_only(name: &str) -> Error {
    Error::invalid(format!(
        "\"{name}\" is a system table: it shows what the database is like, and can only be read \
         (SELECT)"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_system_tables_are_reserved_and_others_are_not() {
        for name in SYSTEM_TABLES {
            let refused = refuse_reserved(name).unwrap_err().to_string();
            assert!(refused.contains(name) && refused.contains("choose another"), "{refused}");
        }
        assert!(refuse_reserved("omen_part").is_ok() && refuse_reserved("OMEN_LOG").is_ok());
    }
}
