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

use super::defaults::check_default;
use super::guard;
use super::session::{Session, taken};
use crate::error::Error;
use crate::storage::definition::TableDefinition;

/// What the plan of CREATE TABLE leaves out.
#[derive(Debug, Default)]
pub(super) struct TableClauses {
    /// By column: the SQL text of its DEFAULT.
    defaults: HashMap<String, String>,
    /// Columns declared NOT NULL.
    not_null: HashSet<String>,
}

impl TableClauses {
    /// The clauses of a CREATE TABLE; none for other statements. `normalize_names`: whether names
    /// without quotes are taken in lower case.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for constraints that would not be enforced.
    pub(super) fn of(statement: &Statement, normalize_names: bool) -> Result<Self> {
        let mut clauses = Self::default();
        let Statement::Statement(statement) = statement else { return Ok(clauses) };
        let SqlStatement::CreateTable(create) = statement.as_ref() else { return Ok(clauses) };
        refuse_unenforced(create)?;
        let normalizer = IdentNormalizer::new(normalize_names);
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

fn refuse_unenforced(create: &CreateTable) -> Result<()> {
    let columns = create.columns.iter().flat_map(|c| &c.options).map(|o| match &o.option {
        ColumnOption::Unique(_) => Some("UNIQUE"),
        ColumnOption::ForeignKey(_) => Some("REFERENCES"),
        ColumnOption::Check(_) => Some("CHECK"),
        ColumnOption::Generated { .. } => Some("GENERATED"),
        ColumnOption::DialectSpecific(_) => Some("AUTOINCREMENT"),
        ColumnOption::Collation(_) => Some("COLLATE"),
        ColumnOption::OnUpdate(_) => Some("ON UPDATE"),
        _ => None,
    });
    let table = create.constraints.iter().map(|constraint| match constraint {
        TableConstraint::PrimaryKey(_) => None,
        TableConstraint::Unique(_) => Some("UNIQUE"),
        TableConstraint::ForeignKey(_) => Some("FOREIGN KEY"),
        TableConstraint::Check(_) => Some("CHECK"),
        _ => Some("this kind of constraint"),
    });
    match columns.chain(table).flatten().next() {
        Some(what) => Err(Error::invalid(format!(
            "{what} in CREATE TABLE is not supported: it would not be enforced. PRIMARY KEY, NOT \
             NULL and DEFAULT are supported"
        ))
        .into()),
        None => Ok(()),
    }
}

/// A column by itself, with the SQL text of its DEFAULT, as a CREATE TABLE would have it.
///
/// # Errors
/// As CREATE TABLE; [`Error::InvalidInput`] for a PRIMARY KEY.
pub(super) async fn column_of(
    session: &Session,
    column: &ColumnDef,
) -> Result<(Field, Option<String>)> {
    let name = ObjectName::from(vec![Ident::new("t")]);
    let create = CreateTableBuilder::new(name).columns(vec![column.clone()]).build();
    let statement = Statement::Statement(Box::new(SqlStatement::CreateTable(create)));
    let state = session.context().state();
    let normalize_names = state.config_options().sql_parser.enable_ident_normalization;
    let clauses = TableClauses::of(&statement, normalize_names)?;
    let plan = guard::planned(state.statement_to_plan(statement)).await?;
    let LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(command)) = plan else {
        return Err(Error::invalid(format!("the column {column} is none")).into());
    };
    let definition = definition(&command, &clauses)?;
    match (definition.key.is_empty(), definition.columns.into_iter().next()) {
        (true, Some(column)) => Ok(column),
        _ => Err(Error::invalid(
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
    if command.or_replace {
        let hint = "drop the table first, or use CREATE TABLE IF NOT EXISTS";
        return Err(
            Error::invalid(format!("CREATE OR REPLACE TABLE is not supported; {hint}")).into()
        );
    }
    match session.in_database(&command.name) {
        None => return Err(outside(&command).into()),
        Some(true) if command.if_not_exists => return session.no_rows(),
        Some(true) => return Err(taken(&command.name).into()),
        Some(false) => {}
    }
    let definition = definition(&command, &clauses)?;
    let (engine, within) = (session.handle().engine(), session.current().get());
    match command.input.as_ref() {
        LogicalPlan::EmptyRelation(empty) if !empty.produce_one_row => {
            engine.create_table(&within, definition, command.if_not_exists).await?;
        }
        query => {
            let rows = DataFrame::new(session.context().state(), query.clone());
            let rows = rows.execute_stream().await?;
            let rows = rows.map(|batch| batch.map_err(Error::from)).boxed();
            engine.create_table_as(&within, definition, command.if_not_exists, rows).await?;
        }
    }
    session.no_rows()
}

fn outside(command: &CreateMemoryTable) -> Error {
    Error::invalid(format!(
        "table {} would lie outside of the database, whose tables are all in the default schema",
        command.name
    ))
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
