//! Views: queries with a name. The engine keeps their text and knows nothing of what it means.
//!
//! Called by the provider.

use std::sync::Arc;

use super::change::Change;
use super::{Engine, Within};
use crate::error::{Error, Result};
use crate::storage::system_tables::refuse_reserved;

impl Engine {
    /// Creates a view, in the place of one of the same name if `replaces`. `in_schema`: whether it
    /// is in the schema that its name begins with.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] if a table has the name, or a view that is not to be replaced.
    pub async fn create_view(
        self: &Arc<Self>,
        within: &Within,
        name: String,
        in_schema: bool,
        sql: String,
        replaces: bool,
    ) -> Result<()> {
        if !self.sees_name(within, &name) {
            refuse_reserved(&name)?;
        }
        let change = Change::CreateView { name, in_schema, sql, replaces };
        self.carry_out(within, None, vec![change]).await.map(drop)
    }

    /// Drops a view; false if there was none and `if_exists`.
    pub async fn drop_view(
        self: &Arc<Self>,
        within: &Within,
        name: &str,
        if_exists: bool,
    ) -> Result<bool> {
        match self.carry_out(within, None, vec![Change::DropView(name.to_string())]).await {
            Err(Error::NotFound(_)) if if_exists => Ok(false),
            other => other.map(|_| true),
        }
    }
}
