//! ALTER TABLE, from syntax to the engine.
//!
//! DataFusion parses it and plans none of it. Types, NOT NULL and DEFAULT of columns are planned as
//! those of a CREATE TABLE; whether rows may be so is asked by a query of its own. All actions of a
//! statement happen, or none. Called by [`super::session`].

use arrow::array::ArrayRef;
use datafusion::common::TableReference;
use datafusion::error::Result;
use datafusion::logical_expr::col;
use datafusion::sql::sqlparser::ast::{
    AlterColumnOperation, AlterTable, AlterTableOperation, ColumnDef, Ident, RenameTableNameKind,
};

use super::create_table::column_of;
use super::defaults::{check_default, default_value};
use super::edit_statements::{normalizer, target};
use super::session::{Session, taken};
use crate::error::Error;
use crate::storage::alteration::Alteration;
use crate::storage::engine::{Alone, Basis};
use crate::storage::schema::TableSchema;

/// How often a statement is tried beside others, which may alter or write its table meanwhile. Then
/// they wait for it.
const ATTEMPTS_MAX: usize = 3;

/// What a statement comes to.
#[derive(Debug, Default)]
struct Plan {
    alterations: Vec<Alteration>,
    /// Columns in which no row may have NULL.
    without_null: Vec<String>,
    /// A column that only a table without rows can get.
    of_empty_table: Option<String>,
}

impl Plan {
    fn looks_at_rows(&self) -> bool {
        !self.without_null.is_empty() || self.of_empty_table.is_some()
    }
}

/// Carries out an ALTER TABLE.
pub(super) async fn alter_table(session: &Session, statement: &AlterTable) -> Result<()> {
    let engine = session.handle().engine();
    for _ in 0..ATTEMPTS_MAX {
        let error = match carry_out(session, statement, None).await {
            Ok(()) => return Ok(()),
            Err(error) => Error::from(error),
        };
        let is_overtaken = matches!(error, Error::SerializationFailure(_));
        if !is_overtaken || session.current().get().0.is_some() {
            return Err(error.into());
        }
        engine.wait_published().await?;
    }
    carry_out(session, statement, Some(engine.alone().await?)).await
}

async fn carry_out(
    session: &Session,
    statement: &AlterTable,
    alone: Option<Alone<'_>>,
) -> Result<()> {
    let engine = session.handle().engine();
    let within = session.current().get();
    let (snapshot, since) = engine.snapshot_within(&within);
    let (reference, table) = match target(session, &statement.name).await {
        Err(error) if !statement.if_exists => return Err(error),
        Err(_) => return Ok(()),
        Ok(found) => found,
    };
    // What was found now may be newer than the snapshot: that counts.
    let table = snapshot.require(&table.table_schema().name)?;
    let plan = plan(session, table.schema(), &statement.operations).await?;
    for alteration in &plan.alterations {
        if let Alteration::RenameTable(to) = alteration {
            let to = TableReference::bare(to.as_str());
            if session.in_database(&to) == Some(true) {
                return Err(taken(&to).into());
            }
        }
    }
    check_rows(session, &reference, table.schema(), &plan).await?;
    let is_checked = plan.looks_at_rows();
    let basis = Basis { within, since, table };
    Ok(engine.alter_table(&basis, &plan.alterations, is_checked, alone).await?)
}

async fn plan(
    session: &Session,
    schema: &TableSchema,
    operations: &[AlterTableOperation],
) -> Result<Plan> {
    let names = normalizer(session);
    let name = |ident: &Ident| names.normalize(ident.clone());
    let has = |column: &str| schema.visible().column_with_name(column).is_some();
    let mut plan = Plan::default();
    for operation in operations {
        match operation {
            AlterTableOperation::AddColumn { column_position: Some(_), .. } => {
                return Err(Error::invalid(
                    "ADD COLUMN puts the column behind all others; FIRST and AFTER are not \
                     supported",
                )
                .into());
            }
            AlterTableOperation::AddColumn { if_not_exists, column_def, .. } => {
                if !(*if_not_exists && has(&name(&column_def.name))) {
                    add_column(session, column_def, &mut plan).await?;
                }
            }
            AlterTableOperation::DropColumn { column_names, if_exists, .. } => {
                let columns = column_names.iter().map(name);
                let columns = columns.filter(|column| !*if_exists || has(column));
                plan.alterations.extend(columns.map(Alteration::DropColumn));
            }
            AlterTableOperation::RenameColumn { old_column_name, new_column_name } => {
                let (from, to) = (name(old_column_name), name(new_column_name));
                plan.alterations.push(Alteration::RenameColumn { from, to });
            }
            AlterTableOperation::RenameTable {
                table_name: RenameTableNameKind::To(to) | RenameTableNameKind::As(to),
            } => match &to.0[..] {
                [part] if part.as_ident().is_some() => {
                    let to = part.as_ident().map(&name).unwrap_or_default();
                    plan.alterations.push(Alteration::RenameTable(to));
                }
                _ => {
                    return Err(Error::invalid(format!(
                        "RENAME TO {to}: the new name is one word; a table stays in its schema"
                    ))
                    .into());
                }
            },
            AlterTableOperation::AlterColumn { column_name, op } => {
                alter_column(session, schema, column_name, op, &mut plan).await?;
            }
            other => {
                return Err(Error::invalid(format!(
                    "ALTER TABLE … {other} is not supported; ADD, DROP, RENAME and ALTER COLUMN \
                     and RENAME TO are"
                ))
                .into());
            }
        }
    }
    Ok(plan)
}

async fn add_column(session: &Session, definition: &ColumnDef, plan: &mut Plan) -> Result<()> {
    let (field, default) = column_of(session, definition).await?;
    let missing = match &default {
        Some(sql) => value_of_earlier_rows(field.name(), field.data_type(), sql)?,
        None => None,
    };
    if missing.is_none() && !field.is_nullable() {
        plan.of_empty_table = Some(field.name().clone());
    }
    plan.alterations.push(Alteration::AddColumn { field, default, missing });
    Ok(())
}

/// What a DEFAULT gives to the rows that there are; `None`: NULL.
fn value_of_earlier_rows(
    column: &str,
    kind: &arrow::datatypes::DataType,
    sql: &str,
) -> Result<Option<ArrayRef>> {
    if super::defaults::parse_default(sql)?.is_volatile() {
        return Err(Error::invalid(format!(
            "the DEFAULT {sql} of column \"{column}\" has another value for each row; ADD COLUMN \
             without it, UPDATE the rows, then ALTER COLUMN … SET DEFAULT"
        ))
        .into());
    }
    let value = default_value(column, kind, sql)?;
    Ok(if value.is_null() { None } else { Some(value.to_array()?) })
}

async fn alter_column(
    session: &Session,
    schema: &TableSchema,
    column: &Ident,
    operation: &AlterColumnOperation,
    plan: &mut Plan,
) -> Result<()> {
    let name = normalizer(session).normalize(column.clone());
    let alteration = match operation {
        AlterColumnOperation::SetNotNull => {
            plan.without_null.push(name.clone());
            Alteration::SetNotNull(name)
        }
        AlterColumnOperation::DropNotNull => Alteration::DropNotNull(name),
        AlterColumnOperation::SetDefault { value } => {
            let sql = value.to_string();
            if let Some((_, field)) = schema.visible().column_with_name(&name) {
                check_default(&name, field.data_type(), &sql)?;
            }
            Alteration::SetDefault { column: name, default: Some(sql) }
        }
        AlterColumnOperation::DropDefault => Alteration::SetDefault { column: name, default: None },
        AlterColumnOperation::SetDataType { data_type, using: None, .. } => {
            let definition =
                ColumnDef { name: column.clone(), data_type: data_type.clone(), options: vec![] };
            let (field, _) = column_of(session, &definition).await?;
            Alteration::Widen { column: name, to: field.data_type().clone() }
        }
        other => {
            return Err(Error::invalid(format!(
                "ALTER COLUMN {column} {other} is not supported; SET and DROP DEFAULT, SET and \
                 DROP NOT NULL and TYPE without USING are"
            ))
            .into());
        }
    };
    plan.alterations.push(alteration);
    Ok(())
}

/// Refuses what a row of the table is in the way of.
async fn check_rows(
    session: &Session,
    table: &TableReference,
    schema: &TableSchema,
    plan: &Plan,
) -> Result<()> {
    if let Some(column) = &plan.of_empty_table {
        let any = session.context().table(table.clone()).await?.limit(0, Some(1))?;
        if any.count().await? > 0 {
            return Err(Error::invalid(format!(
                "table \"{}\" has rows, which would have NULL in the new column \"{column}\"; give \
                 it a DEFAULT, or add it without NOT NULL",
                schema.name
            ))
            .into());
        }
    }
    for column in &plan.without_null {
        // Of a column that is new, or has a new name, the earlier actions know.
        if schema.visible().column_with_name(column).is_none() {
            continue;
        }
        let rows = session.context().table(table.clone()).await?;
        let nulls = rows.filter(col(datafusion::common::Column::from_name(column)).is_null())?;
        let count = nulls.count().await?;
        if count > 0 {
            return Err(Error::invalid(format!(
                "{count} rows of table \"{}\" have NULL in column \"{column}\"; UPDATE them first",
                schema.name
            ))
            .into());
        }
    }
    Ok(())
}
