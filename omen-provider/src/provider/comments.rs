//! COMMENT ON, from syntax to the engine.
//!
//! What is said of a table, a column or an index is part of the table's schema, and so an
//! alteration of it, which looks at no row. Called by [`super::session`].

use datafusion::error::Result;
use datafusion::sql::sqlparser::ast::{CommentObject, ObjectName, Statement};

use super::alter_table::{Change, alter};
use super::edit_statements::normalizer;
use super::session::Session;
use crate::error::Error;
use crate::storage::alteration::{Alteration, Commented};
use crate::storage::engine;

/// Whether it is such a statement.
pub(super) fn is_one(statement: &Statement) -> bool {
    matches!(statement, Statement::Comment { .. })
}

/// Carries out a COMMENT ON; others do nothing.
///
/// # Errors
/// [`Error::NotFound`] if there is no such thing and the statement has no IF EXISTS.
pub(super) async fn carry_out(session: &Session, statement: &Statement) -> Result<()> {
    let Statement::Comment { object_type, object_name, comment, if_exists } = statement else {
        return Ok(());
    };
    let done = match object_type {
        CommentObject::Schema => on_schema(session, object_name, comment.as_deref()).await,
        CommentObject::View => on_view(session, object_name, comment.as_deref()).await,
        CommentObject::Table => {
            refuse_view(session, object_name, "COMMENT ON VIEW is about views")?;
            alter_comment(session, object_name, Commented::Table, comment).await
        }
        CommentObject::Column => on_column(session, object_name, comment).await,
        CommentObject::Index => on_index(session, object_name, comment).await,
        other => Err(Error::invalid(format!(
            "COMMENT ON {other} is not supported; TABLE, COLUMN, VIEW, INDEX and SCHEMA are"
        ))
        .into()),
    };
    match done.map_err(Error::from) {
        Err(Error::NotFound(_)) if *if_exists => Ok(()),
        done => Ok(done?),
    }
}

async fn alter_comment(
    session: &Session,
    table: &ObjectName,
    on: Commented,
    text: &Option<String>,
) -> Result<()> {
    let reference = session.reference(table)?;
    let own = session.require_engine_name(&reference, "table")?;
    if !own.is_taken {
        session.snapshot().require(&own.full)?;
    }
    let comment = Alteration::Comment { on, text: text.clone() };
    alter(session, table, false, Change::Alterations(&[comment])).await
}

async fn on_column(session: &Session, name: &ObjectName, text: &Option<String>) -> Result<()> {
    let (column, table) = match name.0.split_last() {
        Some((column, table)) if !table.is_empty() => (column.as_ident(), table.to_vec()),
        _ => {
            return Err(Error::invalid(format!(
                "COMMENT ON COLUMN {name}: a column is named with its table (t.{name})"
            ))
            .into());
        }
    };
    let table = ObjectName(table);
    refuse_view(session, &table, "what is said of the columns of a view is part of the view")?;
    let column = column.map(|column| normalizer(session).normalize(column.clone()));
    let on = Commented::Column(column.unwrap_or_default());
    alter_comment(session, &table, on, text).await
}

async fn on_index(session: &Session, name: &ObjectName, text: &Option<String>) -> Result<()> {
    let reference = session.reference(name)?;
    let own = session.require_engine_name(&reference, "index")?;
    let (snapshot, schema) = (session.snapshot(), own.schema.as_deref());
    let index = reference.table().to_string();
    let Some(table) = snapshot.table_of_index(schema, &index) else {
        let names = snapshot.index_names(schema).join(", ");
        let have = if names.is_empty() { "none".to_string() } else { names };
        return Err(Error::NotFound(format!(
            "index \"{index}\"; indexes there are: {have} (that of a primary key has no comment of \
             its own; COMMENT ON TABLE)"
        ))
        .into());
    };
    let table = session.object_name(table);
    alter_comment(session, &table, Commented::Index(index), text).await
}

async fn on_view(session: &Session, name: &ObjectName, text: Option<&str>) -> Result<()> {
    let own = session.require_engine_name(&session.reference(name)?, "view")?;
    if own.is_taken {
        return Err(Error::invalid(format!(
            "\"{}\" ends with the session, and has no comment",
            own.full
        ))
        .into());
    }
    if session.snapshot().table(&own.full).is_some() {
        let what = format!("\"{}\" is a table; COMMENT ON TABLE is about tables", own.full);
        return Err(Error::invalid(what).into());
    }
    let (engine, within) = (session.handle().engine(), session.current().get());
    Ok(engine.comment(&within, engine::Commented::View(own.full), text).await?)
}

async fn on_schema(session: &Session, name: &ObjectName, text: Option<&str>) -> Result<()> {
    let own = super::schemas::require_name(session, name)?;
    let (engine, within) = (session.handle().engine(), session.current().get());
    Ok(engine.comment(&within, engine::Commented::Schema(own), text).await?)
}

/// Refuses the name of a view where a table is expected.
fn refuse_view(session: &Session, name: &ObjectName, why: &str) -> Result<()> {
    let own = session.engine_name(&session.reference(name)?);
    match own.filter(|own| session.snapshot().view(&own.full).is_some()) {
        Some(own) => {
            Err(Error::invalid(format!("\"{}\" is a view, not a table; {why}", own.full)).into())
        }
        None => Ok(()),
    }
}
