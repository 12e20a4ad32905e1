//! Whether the rows of a table may be as an ALTER TABLE wants them: a query of its own asks.
//!
//! Called by [`super::alter_table`].

use datafusion::common::{DFSchema, ScalarValue, TableReference};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, ExprSchemable, ident, lit};
use futures::TryStreamExt;

use super::session::Session;
use super::unique::refuse_duplicates;
use crate::error::Error;
use crate::expression::check::{Check, Checks};
use crate::storage::schema::{Column, IndexSchema, TableSchema};

/// Refuses what a row of the table is in the way of; whether any was looked for.
pub(super) async fn check_rows(
    session: &Session,
    table: TableReference,
    from: &TableSchema,
    to: &TableSchema,
) -> Result<bool> {
    let not_null: Vec<&str> = new_not_null(from, to).collect();
    let checks = new_checks(from, to)?;
    let uniques: Vec<_> = new_uniques(from, to).collect();
    if not_null.is_empty() && checks.is_empty() && uniques.is_empty() {
        return Ok(false);
    }
    let rows = session.context().table(table).await?;
    let visible = &to.columns[..to.visible().fields().len()];
    let columns = visible.iter().map(|column| as_altered(from, column, rows.schema()));
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let rows = rows.select(columns)?;
    for name in not_null {
        let nulls = rows.clone().filter(ident(name).is_null())?.count().await?;
        if nulls > 0 {
            return Err(Error::invalid(format!(
                "{nulls} rows of table \"{}\" have NULL in column \"{name}\"; UPDATE them first, \
                 or give a new column a DEFAULT",
                from.name
            ))
            .into());
        }
    }
    for index in uniques {
        let (name, columns) = (&index.index.name, index.names(to));
        refuse_duplicates(rows.clone(), &from.name, name, &columns).await?;
    }
    if checks.is_empty() {
        return Ok(true);
    }
    let conditions = Checks::compile(&checks, to.visible())?;
    let mut batches = rows.execute_stream().await?;
    while let Some(batch) = batches.try_next().await? {
        conditions.check(&from.name, to.visible().fields().len(), &batch)?;
    }
    Ok(true)
}

/// Refuses a new index of which a row cannot have an entry, since its values are too long. (Those
/// that come meanwhile may; they are read without entries then.)
pub(super) async fn check_entries(
    session: &Session,
    table: TableReference,
    from: &TableSchema,
    to: &TableSchema,
) -> Result<()> {
    let is_new = |index: &&IndexSchema| index.index.id >= from.next_index_id;
    for index in to.indexes.iter().filter(is_new) {
        let rows = session.context().table(table.clone()).await?;
        let columns = index.places.iter().map(|&place| &to.columns[place]);
        let columns = columns.map(|column| as_altered(from, column, rows.schema()));
        let values = rows.clone().select(columns.collect::<Result<Vec<_>>>()?)?;
        let mut batches = values.execute_stream().await?;
        while let Some(batch) = batches.try_next().await? {
            index.encode(&index.columns(batch.columns(), 0)?)?;
        }
    }
    Ok(())
}

/// Columns that take no NULL any more, or are new and take none.
fn new_not_null<'a>(
    from: &'a TableSchema,
    to: &'a TableSchema,
) -> impl Iterator<Item = &'a str> + 'a {
    let had_none = |column: &Column| match from.columns.iter().find(|old| old.id == column.id) {
        Some(old) => !old.takes_null(),
        None => column.missing.is_some(),
    };
    let new = to.columns.iter().filter(move |column| !column.takes_null() && !had_none(column));
    new.map(|column| column.field.name().as_str())
}

/// Indexes that rows were not held to before.
fn new_uniques<'a>(
    from: &'a TableSchema,
    to: &'a TableSchema,
) -> impl Iterator<Item = &'a IndexSchema> + 'a {
    let was = |id: u32| from.indexes.iter().any(|old| old.index.id == id && old.index.is_unique);
    to.indexes.iter().filter(move |index| index.index.is_unique && !was(index.index.id))
}

/// Conditions that rows were not held to before.
fn new_checks(from: &TableSchema, to: &TableSchema) -> Result<Vec<Check>> {
    let is_named = |column: &&Column, name: &str| column.field.name() == name;
    let column = |table: &TableSchema, name: &str| {
        let found = table.columns.iter().find(|column| is_named(column, name));
        found.map(|column| (column.id, column.field.data_type().clone()))
    };
    let mut new = Vec::new();
    for check in &to.checks {
        let is_same = |name: &String| column(from, name) == column(to, name);
        if !(from.checks.contains(check) && check.columns()?.iter().all(is_same)) {
            new.push(check.clone());
        }
    }
    Ok(new)
}

/// A column of the altered table in rows of the table as it is.
fn as_altered(from: &TableSchema, column: &Column, rows: &DFSchema) -> Result<Expr> {
    let (name, kind) = (column.field.name(), column.field.data_type());
    let old = from.columns.iter().find(|old| old.id == column.id);
    let value = match (old, &column.missing) {
        (Some(old), _) => {
            Expr::Column(rows.qualified_field_with_unqualified_name(old.field.name())?.into())
        }
        (None, Some(value)) => lit(ScalarValue::try_from_array(value, 0)?),
        (None, None) => lit(ScalarValue::Null),
    };
    Ok(value.cast_to(kind, rows)?.alias(name))
}
