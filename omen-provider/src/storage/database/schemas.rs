//! Schemas, as programs use them: groups of tables, whose names begin with that of the schema.

use super::Database;
use crate::error::Result;
use crate::storage::engine::Within;

impl Database {
    /// The names of all schemas but `public`, which is always there, sorted.
    pub fn schema_names(&self) -> Vec<String> {
        self.snapshot().schema_names()
    }

    /// Creates a schema; false if it existed and `if_not_exists`. A table of the name `a.t` is the
    /// table t of schema a from then on.
    ///
    /// # Errors
    /// [`crate::Error::AlreadyExists`], or [`crate::Error::InvalidInput`] for a name that is
    /// reserved, or with which the name of a table or view in `public` begins.
    pub async fn create_schema(&self, name: &str, if_not_exists: bool) -> Result<bool> {
        self.handle().engine().create_schema(&Within::default(), name, if_not_exists).await
    }

    /// Drops a schema, with `cascade` all tables and views that are in it too, as one statement;
    /// nothing is done if there was none and `if_exists`.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] naming the schemas there are, [`crate::Error::InvalidInput`] for
    /// `public`, and without `cascade` for one that is not empty.
    pub async fn drop_schema(&self, name: &str, if_exists: bool, cascade: bool) -> Result<()> {
        let names = [name.to_string()];
        self.handle().engine().drop_schemas(&Within::default(), &names, if_exists, cascade).await
    }
}
