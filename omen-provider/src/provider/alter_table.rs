//! ALTER TABLE, from syntax to the engine.
//!
//! DataFusion parses it and plans none of it. Types, NOT NULL and DEFAULT of columns are planned as
//! those of a CREATE TABLE; whether rows may be so is asked by a query of its own. All actions of a
//! statement happen, or none. Called by [`super::session`].

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::sql::planner::IdentNormalizer;
use datafusion::sql::sqlparser::ast::{
    AlterColumnOperation, AlterTable, AlterTableOperation, ColumnDef, ColumnOption, Ident,
    ObjectName, ObjectNamePart, RenameTableNameKind, TableConstraint,
};

use super::alter_rows::{check_entries, check_rows};
use super::create_table::column_of;
use super::edit_statements::{normalizer, target};
use super::session::{Session, taken};
use super::unique::{free_name, unique_columns, unique_name};
use crate::error::Error;
use crate::expression::check::Check;
use crate::expression::default::{check_default, default_value, parse_default};
use crate::storage::alteration::Alteration;
use crate::storage::definition::TableDefinition;
use crate::storage::engine::{Alone, Basis};
use crate::storage::schema::TableSchema;

/// How often a statement is tried beside others, which may alter or write its table meanwhile. Then
/// they wait for it.
const ATTEMPTS_MAX: usize = 3;

/// What is to be altered.
#[derive(Clone, Copy)]
pub(super) enum Change<'a> {
    /// As ALTER TABLE says it.
    Operations(&'a [AlterTableOperation]),
    /// One after the other.
    Alterations(&'a [Alteration]),
}

/// Carries out an ALTER TABLE.
pub(super) async fn alter_table(session: &Session, statement: &AlterTable) -> Result<()> {
    let change = Change::Operations(&statement.operations);
    alter(session, &statement.name, statement.if_exists, change).await
}

/// Alters a table; then what indexes lack is made, unless a transaction is open.
pub(super) async fn alter(
    session: &Session,
    table: &ObjectName,
    if_exists: bool,
    change: Change<'_>,
) -> Result<()> {
    let engine = session.handle().engine();
    let statement = Statement { table, if_exists, change };
    let adds_index = statement.carry_out_alone(session).await?;
    if adds_index && !session.in_transaction() {
        engine.build_indexes(&|_, _| ()).await?;
    }
    Ok(())
}

/// A statement that alters a table.
struct Statement<'a> {
    table: &'a ObjectName,
    if_exists: bool,
    change: Change<'a>,
}

impl Statement<'_> {
    /// Carries it out, beside others or, where they always come between, alone; whether the table
    /// has a further index then.
    async fn carry_out_alone(&self, session: &Session) -> Result<bool> {
        let engine = session.handle().engine();
        for _ in 0..ATTEMPTS_MAX {
            let error = match carry_out(session, self, None).await {
                Ok(adds_index) => return Ok(adds_index),
                Err(error) => Error::from(error),
            };
            let is_overtaken = matches!(error, Error::SerializationFailure(_));
            if !is_overtaken || session.in_transaction() {
                return Err(error.into());
            }
            engine.wait_published().await?;
        }
        carry_out(session, self, Some(engine.alone().await?)).await
    }
}

async fn carry_out(
    session: &Session,
    statement: &Statement<'_>,
    alone: Option<Alone<'_>>,
) -> Result<bool> {
    let engine = session.handle().engine();
    let within = session.current().get();
    let (snapshot, since) = engine.snapshot_within(&within);
    let names = normalizer(session);
    let reference = session.reference(statement.table)?;
    let own = session.engine_name(&reference).filter(|own| !own.is_taken);
    let table = own.as_ref().and_then(|own| snapshot.table(&own.full));
    if table.is_none() {
        if statement.if_exists && !session.context().table_exist(reference.clone())? {
            return Ok(false);
        }
        // Says what it is instead, if anything.
        target(session, statement.table).await?;
    }
    let table = match table {
        Some(table) => table,
        None => snapshot.require(&own.map_or_else(|| reference.to_string(), |own| own.full))?,
    };
    let from = Arc::clone(table.schema());
    let mut to = TableSchema::clone(&from);
    match statement.change {
        Change::Operations(operations) => {
            for operation in operations {
                for alteration in alterations(session, &names, &to, operation).await? {
                    to = alteration.apply(&to)?;
                }
            }
        }
        Change::Alterations(alterations) => {
            for alteration in alterations {
                to = alteration.apply(&to)?;
            }
        }
    }
    let renamed = session.engine_name(&session.reference_of(&to.name));
    if to.name != from.name && renamed.is_some_and(|own| own.is_taken) {
        return Err(taken(&to.name).into());
    }
    check_entries(session, reference.clone(), &from, &to).await?;
    let is_checked = check_rows(session, reference, &from, &to).await?;
    let adds_index = to.indexes.iter().any(|index| index.index.id >= from.next_index_id);
    let basis = Basis { within, since, table };
    engine.alter_table(&basis, to, is_checked, alone).await?;
    Ok(adds_index)
}

/// What one action does to a table that is `schema` by then.
async fn alterations(
    session: &Session,
    names: &IdentNormalizer,
    schema: &TableSchema,
    operation: &AlterTableOperation,
) -> Result<Vec<Alteration>> {
    let name = |ident: &Ident| names.normalize(ident.clone());
    let has = |column: &str| schema.visible().column_with_name(column).is_some();
    let alteration = match operation {
        AlterTableOperation::AddColumn { column_position: Some(_), .. } => {
            return Err(Error::invalid(
                "ADD COLUMN puts the column behind all others; FIRST and AFTER are not supported",
            )
            .into());
        }
        AlterTableOperation::AddColumn { if_not_exists, column_def, .. } => {
            return match *if_not_exists && has(&name(&column_def.name)) {
                true => Ok(Vec::new()),
                false => add_column(session, names, schema, column_def).await,
            };
        }
        AlterTableOperation::DropColumn { column_names, if_exists, .. } => {
            let columns = column_names.iter().map(name);
            let columns = columns.filter(|column| !*if_exists || has(column));
            return Ok(columns.map(Alteration::DropColumn).collect());
        }
        AlterTableOperation::RenameColumn { old_column_name, new_column_name } => {
            Alteration::RenameColumn { from: name(old_column_name), to: name(new_column_name) }
        }
        AlterTableOperation::RenameTable {
            table_name: RenameTableNameKind::To(to) | RenameTableNameKind::As(to),
        } => match &to.0[..] {
            [ObjectNamePart::Identifier(to)] => Alteration::RenameTable(name(to)),
            _ => {
                return Err(Error::invalid(format!(
                    "RENAME TO {to}: the new name is one word; a table stays in its schema"
                ))
                .into());
            }
        },
        AlterTableOperation::AddConstraint {
            constraint: TableConstraint::Check(check),
            not_valid: false,
        } => {
            let own = match &check.name {
                Some(own) => name(own),
                None => free_constraint_name(schema, &format!("{}_check", schema.own_name())),
            };
            Alteration::AddCheck(Check::new(own, &check.expr, schema.own_name(), name))
        }
        AlterTableOperation::AddConstraint {
            constraint: TableConstraint::Unique(unique),
            not_valid: false,
        } => {
            let columns = unique_columns(unique, names)?;
            let own = match &unique.name {
                Some(own) => name(own),
                None => free_constraint_name(schema, &unique_name(schema.own_name(), &columns)),
            };
            add_unique(own, columns)
        }
        AlterTableOperation::DropConstraint { if_exists, name: own, .. } => {
            let own = name(own);
            if *if_exists && !has_own_constraint(schema, &own) {
                return Ok(Vec::new());
            }
            Alteration::DropConstraint(own)
        }
        AlterTableOperation::AlterColumn { column_name, op } => {
            alter_column(session, schema, &name(column_name), column_name, op).await?
        }
        other => {
            return Err(Error::invalid(format!(
                "ALTER TABLE … {other} is not supported; ADD, DROP, RENAME and ALTER COLUMN, ADD \
                 CONSTRAINT … CHECK or UNIQUE, DROP CONSTRAINT and RENAME TO are"
            ))
            .into());
        }
    };
    Ok(vec![alteration])
}

/// A name for a constraint that has none.
fn free_constraint_name(schema: &TableSchema, usual: &str) -> String {
    free_name(usual, |name| schema.has_constraint(name))
}

/// Whether DROP CONSTRAINT may drop a constraint of this name.
fn has_own_constraint(schema: &TableSchema, name: &str) -> bool {
    let mut unique = schema.indexes.iter().filter(|index| index.index.is_constraint);
    schema.checks.iter().any(|check| check.name == name)
        || unique.any(|index| index.index.name == name)
}

fn add_unique(name: String, columns: Vec<String>) -> Alteration {
    Alteration::AddIndex { name, columns, is_unique: true, is_constraint: true }
}

async fn add_column(
    session: &Session,
    names: &IdentNormalizer,
    schema: &TableSchema,
    column: &ColumnDef,
) -> Result<Vec<Alteration>> {
    let mut column = column.clone();
    let usual = format!("{}_{}_check", schema.own_name(), names.normalize(column.name.clone()));
    let mut given: Vec<String> = Vec::new();
    for option in &mut column.options {
        if let ColumnOption::Check(check) = &mut option.option
            && check.name.is_none()
            && option.name.is_none()
        {
            let is_taken =
                |name: &str| given.iter().any(|other| other == name) || schema.has_constraint(name);
            given.push(free_name(&usual, is_taken));
            check.name = given.last().map(|name| Ident::with_quote('"', name));
        }
    }
    let TableDefinition { columns, checks, uniques, identity, .. } =
        column_of(session, schema.own_name(), &column).await?;
    if identity.is_some() {
        return Err(Error::invalid(
            "an identity column would have to number the rows that are there; CREATE TABLE with \
             it, and INSERT INTO … SELECT",
        )
        .into());
    }
    let mut alterations = Vec::with_capacity(1 + checks.len() + uniques.len());
    for (field, default) in columns {
        let missing = match &default {
            Some(sql) => value_of_earlier_rows(field.name(), field.data_type(), sql)?,
            None => None,
        };
        alterations.push(Alteration::AddColumn { field, default, missing });
    }
    let checks = checks.into_iter().map(|(name, sql)| Alteration::AddCheck(Check { name, sql }));
    alterations.extend(checks);
    alterations.extend(uniques.into_iter().map(|(name, columns)| add_unique(name, columns)));
    Ok(alterations)
}

/// What a DEFAULT gives to the rows that there are; `None`: NULL.
fn value_of_earlier_rows(column: &str, kind: &DataType, sql: &str) -> Result<Option<ArrayRef>> {
    if parse_default(sql)?.is_volatile() {
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
    name: &str,
    column: &Ident,
    operation: &AlterColumnOperation,
) -> Result<Alteration> {
    let name = name.to_string();
    match operation {
        AlterColumnOperation::SetNotNull => Ok(Alteration::SetNotNull(name)),
        AlterColumnOperation::DropNotNull => Ok(Alteration::DropNotNull(name)),
        AlterColumnOperation::SetDefault { value } => {
            let sql = value.to_string();
            if let Some((_, field)) = schema.visible().column_with_name(&name) {
                check_default(&name, field.data_type(), &sql)?;
            }
            Ok(Alteration::SetDefault { column: name, default: Some(sql) })
        }
        AlterColumnOperation::DropDefault => {
            Ok(Alteration::SetDefault { column: name, default: None })
        }
        AlterColumnOperation::SetDataType { data_type, using: None, .. } => {
            let definition =
                ColumnDef { name: column.clone(), data_type: data_type.clone(), options: vec![] };
            let column = column_of(session, schema.own_name(), &definition).await?;
            let kind = column.columns.first().map(|(field, _)| field.data_type().clone());
            Ok(Alteration::Widen { column: name, to: kind.unwrap_or(DataType::Null) })
        }
        other => Err(Error::invalid(format!(
            "ALTER COLUMN {column} {other} is not supported; SET and DROP DEFAULT, SET and DROP \
             NOT NULL and TYPE without USING are"
        ))
        .into()),
    }
}
