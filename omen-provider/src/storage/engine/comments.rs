//! Comments on schemas and views. (Those on tables, columns and indexes are alterations.)
//!
//! Called by the provider; `change` applies what it asks for.

use std::sync::Arc;

use super::change::Change;
use super::{Engine, Within};
use crate::error::{Error, Result};
use crate::storage::comment::comment;
use crate::storage::schema_names::PUBLIC;
use crate::storage::version::Version;
use crate::storage::wal::Op;

/// What a comment is about that has no table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Commented {
    /// A schema.
    Schema(String),
    /// A view.
    View(String),
}

impl Engine {
    /// Gives something a comment, or takes it away.
    ///
    /// # Errors
    /// [`Error::NotFound`], and [`Error::InvalidInput`] for `public`, which is in every database.
    pub async fn comment(
        self: &Arc<Self>,
        within: &Within,
        on: Commented,
        text: Option<&str>,
    ) -> Result<()> {
        let text = comment(text)?;
        if on == Commented::Schema(PUBLIC.to_string()) {
            return Err(Error::invalid(format!(
                "schema \"{PUBLIC}\" is in every database and has no comment; tables, columns, \
                 views, indexes and other schemas have"
            )));
        }
        self.carry_out(within, None, vec![Change::Comment { on, text }]).await.map(drop)
    }
}

/// Applies a comment.
pub(super) fn apply(
    version: &mut Version,
    on: &Commented,
    text: Option<&String>,
    ops: &mut Vec<Op>,
) -> Result<()> {
    match on {
        Commented::Schema(name) => {
            let schema = version.schema(name).cloned();
            let mut schema = schema.ok_or_else(|| version.no_schema(name))?;
            schema.comment = text.cloned();
            version.put_schema(schema.clone());
            ops.push(Op::CreateSchema(schema));
        }
        Commented::View(name) => {
            let view = version.view(name).cloned();
            let mut view = view.ok_or_else(|| version.no_view(name))?;
            view.comment = text.cloned();
            version.put_view(view.clone());
            ops.push(Op::CreateView(view));
        }
    }
    Ok(())
}
