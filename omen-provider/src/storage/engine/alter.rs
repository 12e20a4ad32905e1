//! Altering a table: a statement that changes its schema and no row.
//!
//! Statements that were prepared for the old schema are refused when they are applied
//! ([`super::change`]). Called by the provider.

use std::sync::Arc;

use super::change::Change;
use super::{Alone, Basis, Engine};
use crate::error::Result;
use crate::storage::schema::TableSchema;

impl Engine {
    /// Changes the table of `basis` to `to`. `is_checked`: whether its rows were looked at,
    /// to see that they may be so; `alone`: the right to be the next statement, if it was taken
    /// before that.
    ///
    /// # Errors
    /// [`crate::Error::SerializationFailure`] if the table was altered since, or its rows, if they
    /// were looked at, were written.
    pub async fn alter_table(
        self: &Arc<Self>,
        basis: &Basis,
        to: TableSchema,
        is_checked: bool,
        alone: Option<Alone<'_>>,
    ) -> Result<()> {
        let from = Arc::clone(basis.table.schema());
        let to = Arc::new(to);
        let (since, changes) = (Some(basis.since), vec![Change::Alter { from, to, is_checked }]);
        let done = match alone {
            Some(alone) => self.commit_here(since, changes, Some(alone)).await,
            None => self.carry_out(&basis.within, since, changes).await,
        };
        done.map(drop)
    }
}
