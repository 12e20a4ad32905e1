//! CREATE TABLE and CREATE TABLE AS, from DataFusion's plan to the engine.
//!
//! The plan has names, types and constraints; what it does not keep (the text of DEFAULT, NOT NULL
//! in CREATE TABLE AS, constraints that are not enforced) is taken from the statement as parsed.

use std::collections::{HashMap, HashSet};

use arrow::datatypes::Field;
use datafusion::common::{Constraint, Constraints};
use datafusion::dataframe::DataFrame;
use datafusion::error::Result;
use datafusion::logical_expr::{CreateMemoryTable, DdlStatement, LogicalPlan};
use datafusion::sql::parser::Statement;
use datafusion::sql::planner::IdentNormalizer;
use datafusion::sql::sqlparser::ast::helpers::stmt_create_table::CreateTableBuilder;
use datafusion::sql::sqlparser::ast::{
    ColumnDef, ColumnOption, CreateTable, Ident, ObjectName, Statement as SqlStatement,
    TableConstraint,
};
use futures::StreamExt;

use super::identity::take_identity;
use super::session::{Session, taken};
use super::unique::{free_name, take_uniques};
use crate::error::Error;
use crate::expression::check::Check;
use crate::expression::default::check_default;
use crate::expression::guard;
use crate::storage::definition::{IdentityColumn, TableDefinition};
use crate::storage::engine::Existing;

/// What the plan of CREATE TABLE leaves out.
#[derive(Debug, Default)]
pub(super) struct TableClauses {
    /// By column: the SQL text of its DEFAULT.
    defaults: HashMap<String, String>,
    /// Columns declared NOT NULL.
    not_null: HashSet<String>,
    /// Names of constraints and conditions.
    checks: Vec<(String, String)>,
    /// Names and columns of UNIQUE constraints.
    uniques: Vec<(String, Vec<String>)>,
    /// The column whose values the table gives.
    identity: Option<IdentityColumn>,
}

impl TableClauses {
    /// Takes the clauses of a CREATE TABLE; none of other statements. `normalize_names`: whether
    /// names without quotes are taken in lower case.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for constraints that would not be enforced.
    pub(super) fn take(statement: &mut Statement, normalize_names: bool) -> Result<Self> {
        let mut clauses = Self::default();
        let Statement::Statement(statement) = statement else { return Ok(clauses) };
        let SqlStatement::CreateTable(create) = statement.as_mut() else { return Ok(clauses) };
        let normalizer = IdentNormalizer::new(normalize_names);
        clauses.identity = take_identity(create, &normalizer)?;
        refuse_unenforced(create)?;
        let table = create.name.0.last().and_then(|part| part.as_ident()).cloned();
        let table = table.map(|ident| normalizer.normalize(ident)).unwrap_or_default();
        clauses.checks = take_checks(create, &table, &normalizer);
        clauses.uniques = take_uniques(create, &table, &normalizer)?;
        for column in &create.columns {
            let name = normalizer.normalize(column.name.clone());
            for option in &column.options {
                match &option.option {
                    ColumnOption::Default(expr) => {
                        clauses.defaults.insert(name.clone(), expr.to_string());
                    }
                    ColumnOption::NotNull => {
                        clauses.not_null.insert(name.clone());
                    }
                    _ => {}
                }
            }
        }
        Ok(clauses)
    }
}

/// The conditions of a CREATE TABLE, which DataFusion does not plan. Those without a name get one
/// as PostgreSQL gives it.
fn take_checks(
    create: &mut CreateTable,
    table: &str,
    names: &IdentNormalizer,
) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for column in &mut create.columns {
        let of = format!("{table}_{}_check", names.normalize(column.name.clone()));
        for option in column.options.extract_if(.., |o| matches!(o.option, ColumnOption::Check(_)))
        {
            if let ColumnOption::Check(check) = option.option {
                found.push((check.name.or(option.name), of.clone(), check.expr));
            }
        }
    }
    let is_check =
        |constraint: &mut TableConstraint| matches!(constraint, TableConstraint::Check(_));
    for constraint in create.constraints.extract_if(.., is_check) {
        if let TableConstraint::Check(check) = constraint {
            found.push((check.name, format!("{table}_check"), check.expr));
        }
    }
    let mut checks: Vec<(String, String)> = Vec::with_capacity(found.len());
    for (name, usual, condition) in found {
        let name = match name {
            Some(name) => names.normalize(name),
            None => free_name(&usual, |name| checks.iter().any(|(taken, _)| taken == name)),
        };
        let check = Check::new(name, &condition, table, |ident| names.normalize(ident.clone()));
        checks.push((check.name, check.sql));
    }
    checks
}

fn refuse_unenforced(create: &CreateTable) -> Result<()> {
    let columns = create.columns.iter().flat_map(|c| &c.options).map(|o| match &o.option {
        ColumnOption::ForeignKey(_) => Some("REFERENCES"),
        ColumnOption::Generated { .. } => Some("GENERATED … AS (an expression)"),
        ColumnOption::Collation(_) => Some("COLLATE"),
        ColumnOption::OnUpdate(_) => Some("ON UPDATE"),
        _ => None,
    });
    let table = create.constraints.iter().map(|constraint| match constraint {
        TableConstraint::PrimaryKey(_) | TableConstraint::Check(_) | TableConstraint::Unique(_) => {
            None
        }
        TableConstraint::ForeignKey(_) => Some("FOREIGN KEY"),
        _ => Some("this kind of constraint"),
    });
    match columns.chain(table).flatten().next() {
        Some(what) => Err(Error::invalid(format!(
            "{what} is not supported: it would not be enforced. PRIMARY KEY, UNIQUE, NOT \
             NULL, CHECK and DEFAULT are supported"
        ))
        .into()),
        None => Ok(()),
    }
}

/// A column by itself, as a CREATE TABLE of that table would have it.
///
/// # Errors
/// As CREATE TABLE; [`Error::InvalidInput`] for a PRIMARY KEY.
pub(super) async fn column_of(
    session: &Session,
    table: &str,
    column: &ColumnDef,
) -> Result<TableDefinition> {
    let name = ObjectName::from(vec![Ident::with_quote('"', table)]);
    let create = CreateTableBuilder::new(name).columns(vec![column.clone()]).build();
    let mut statement = Statement::Statement(Box::new(SqlStatement::CreateTable(create)));
    let state = session.context().state();
    let normalize_names = state.config_options().sql_parser.enable_ident_normalization;
    let clauses = TableClauses::take(&mut statement, normalize_names)?;
    let plan = guard::planned(state.statement_to_plan(statement)).await?;
    let LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(command)) = plan else {
        return Err(Error::invalid(format!("the column {column} is none")).into());
    };
    let definition = definition(&command, &clauses)?;
    match definition.key.is_empty() {
        true => Ok(definition),
        false => Err(Error::invalid(
            "a table keeps its PRIMARY KEY; for another, CREATE TABLE … AS SELECT",
        )
        .into()),
    }
}

/// Carries out a CREATE TABLE or CREATE TABLE AS.
pub(super) async fn create_table(
    session: &Session,
    command: CreateMemoryTable,
    clauses: TableClauses,
) -> Result<DataFrame> {
    let existing = match (command.or_replace, command.if_not_exists) {
        (true, true) => {
            let what = "OR REPLACE and IF NOT EXISTS: a table that is there can but do one of them";
            return Err(Error::invalid(what).into());
        }
        (true, false) => Existing::Replace,
        (false, true) => Existing::Keep,
        (false, false) => Existing::Refuse,
    };
    let own = session.require_engine_name(&command.name, "table")?;
    match own.is_taken {
        true if command.if_not_exists => return session.no_rows(),
        true => return Err(taken(&own.full).into()),
        false => {}
    }
    let in_schema = own.in_schema();
    let definition = TableDefinition { name: own.full, ..definition(&command, &clauses)? };
    let (engine, within) = (session.handle().engine(), session.current().get());
    match command.input.as_ref() {
        LogicalPlan::EmptyRelation(empty) if !empty.produce_one_row => {
            engine.create_table(&within, definition, in_schema, existing).await?;
        }
        query => {
            let rows = DataFrame::new(session.context().state(), query.clone());
            let rows = rows.execute_stream().await?;
            let rows = rows.map(|batch| batch.map_err(Error::from)).boxed();
            engine.create_table_as(&within, definition, in_schema, existing, rows).await?;
        }
    }
    session.no_rows()
}

fn definition(command: &CreateMemoryTable, clauses: &TableClauses) -> Result<TableDefinition> {
    let schema = command.input.schema();
    let is_query = !matches!(command.input.as_ref(), LogicalPlan::EmptyRelation(_));
    let mut columns = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        // A query says whether its own rows have NULLs, not whether the table may.
        let nullable = match is_query {
            true => !clauses.not_null.contains(field.name()),
            false => field.is_nullable(),
        };
        let default = clauses.defaults.get(field.name()).cloned();
        if let Some(sql) = &default {
            check_default(field.name(), field.data_type(), sql)?;
        }
        let field = Field::new(field.name(), field.data_type().clone(), nullable);
        columns.push((field, default));
    }
    let key = primary_key(&command.constraints)?;
    let name_of = |index: &usize| schema.field(*index).name().clone();
    Ok(TableDefinition {
        name: command.name.table().to_string(),
        columns,
        key: key.iter().map(name_of).collect(),
        checks: clauses.checks.clone(),
        uniques: clauses.uniques.clone(),
        identity: clauses.identity.clone(),
    })
}

fn primary_key(constraints: &Constraints) -> Result<Vec<usize>> {
    let mut keys = constraints.iter().filter_map(|constraint| match constraint {
        Constraint::PrimaryKey(columns) => Some(columns),
        Constraint::Unique(_) => None,
    });
    let key = keys.next().cloned().unwrap_or_default();
    if keys.next().is_some() {
        return Err(Error::invalid("a table has one PRIMARY KEY; declare it once").into());
    }
    Ok(key)
}
