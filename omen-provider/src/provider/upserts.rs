//! INSERT with clauses that DataFusion does not plan, in a session: ON CONFLICT, OR IGNORE,
//! RETURNING, DEFAULT VALUES, an alias, WITH.
//!
//! DataFusion plans the rows; a [`super::key_lookup`] puts the rows of equal keys beside them, a
//! projection makes the rows to be written of both. Of another statement that comes in between the
//! commit knows, as with UPDATE ([`super::edit_target`]). Called by [`super::session`].

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::common::{Column, DFSchemaRef};
use datafusion::dataframe::DataFrame;
use datafusion::error::Result;
use datafusion::logical_expr::dml::InsertOp;
use datafusion::logical_expr::expr_schema::ExprSchemable;
use datafusion::logical_expr::{
    DmlStatement, Expr, LogicalPlan, LogicalPlanBuilder, WriteOp, lit, when,
};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    self, DoUpdate, Ident, Insert, ObjectName, Query, SetExpr, SqliteOnConflict,
    Statement as SqlStatement, TableObject, With, visit_expressions_mut,
};

use super::edit_query::{assigned, default_of, is_default};
use super::edit_statements::{expression, normalizer, returned, target};
use super::edit_target::{Edit, EditTarget};
use super::identity::{refuse_given, with_numbers};
use super::insert_values::allowing_nulls;
use super::key_lookup::KeyLookup;
use super::on_conflict::{OnKey, on_key};
use super::own_nodes::OwnNode;
use super::session::Session;
use super::table_provider::OmenTable;
use crate::error::Error;
use crate::expression::guard;
use crate::storage::apply::WriteMode;

/// What DEFAULT VALUES means for one column; all others have their defaults without it.
const ALL_DEFAULT: &str = "VALUES (DEFAULT)";

/// The name by which an expression means the row that was to be inserted.
const EXCLUDED: &str = "excluded";

/// An INSERT that DataFusion does not plan.
pub(super) struct InsertSyntax {
    insert: Insert,
    with: Option<With>,
}

impl InsertSyntax {
    /// The parts of a statement; `None` if it is no INSERT, or one that DataFusion plans.
    pub(super) fn of(statement: &SqlStatement) -> Option<Self> {
        match statement {
            SqlStatement::Insert(insert) if is_beyond(insert) => {
                Some(Self { insert: insert.clone(), with: None })
            }
            SqlStatement::Query(query) => match query.body.as_ref() {
                SetExpr::Insert(SqlStatement::Insert(insert)) => {
                    Some(Self { insert: insert.clone(), with: query.with.clone() })
                }
                _ => None,
            },
            _ => None,
        }
    }
}

fn is_beyond(insert: &Insert) -> bool {
    insert.on.is_some()
        || insert.returning.is_some()
        || insert.table_alias.is_some()
        || insert.source.as_deref().is_none_or(names_default)
        || matches!(insert.or, Some(SqliteOnConflict::Ignore | SqliteOnConflict::Abort))
}

/// Whether a value of the rows is DEFAULT.
fn names_default(source: &Query) -> bool {
    match source.body.as_ref() {
        SetExpr::Values(rows) => rows.rows.iter().any(|row| row.content.iter().any(is_default)),
        _ => false,
    }
}

/// Plans an INSERT.
pub(super) async fn plan_insert(session: &Session, syntax: InsertSyntax) -> Result<DataFrame> {
    let InsertSyntax { mut insert, with } = syntax;
    let TableObject::TableName(name) = insert.table.clone() else {
        return Err(Error::invalid(format!("{} is no table of the database", insert.table)).into());
    };
    let (reference, table) = target(session, &name).await?;
    let alias = insert.table_alias.take().map(|alias| normalizer(session).normalize(alias.alias));
    let qualifier = alias.unwrap_or_else(|| table.table_schema().own_name().to_string());
    let on_key = on_key(session, &mut insert, &table)?;
    let returning = insert.returning.take();
    complete_source(session, &mut insert, &table, with)?;
    let (rows, op) = plan_rows(session, insert).await?;
    refuse_given(&table, &rows)?;
    let rows = with_numbers(&table, allowing_nulls(rows)?)?;
    let (edit, rows) = match on_key {
        OnKey::AsPlanned => {
            let mode = match op {
                InsertOp::Append => WriteMode::Insert,
                InsertOp::Replace => WriteMode::Upsert,
                InsertOp::Overwrite => {
                    return Err(Error::invalid(
                        "INSERT OVERWRITE is not supported; TRUNCATE the table, or write over \
                         single rows with INSERT OR REPLACE",
                    )
                    .into());
                }
            };
            (Edit::Insert { mode, looked_up: false }, rows)
        }
        OnKey::Nothing(uniques) => {
            let mode = WriteMode::Insert;
            (Edit::Insert { mode, looked_up: true }, new_rows(&table, rows, uniques)?)
        }
        OnKey::Update(by, update) => {
            let mode = WriteMode::Merge;
            let rows = merged_rows(session, &table, &qualifier, rows, by, *update)?;
            (Edit::Insert { mode, looked_up: true }, rows)
        }
    };
    let edit = EditTarget::new(table, reference, edit, Arc::new(rows));
    match returning {
        None => Ok(DataFrame::new(session.context().state(), edit.into_statement())),
        Some(items) => returned(session, edit, &qualifier, &items),
    }
}

/// Puts the defaults of columns where DEFAULT stands for them, and before the rows the tables of
/// WITH.
fn complete_source(
    session: &Session,
    insert: &mut Insert,
    table: &OmenTable,
    with: Option<With>,
) -> Result<()> {
    if insert.source.is_none() && insert.assignments.is_empty() {
        let parsed = session.parse(ALL_DEFAULT)?;
        let Some(Statement::Statement(defaults)) = parsed.as_datafusion() else { return Ok(()) };
        if let SqlStatement::Query(rows) = defaults.as_ref() {
            insert.source = Some(rows.clone());
        }
        let visible = table.table_schema().visible();
        let names = visible.fields().iter().map(|field| Ident::with_quote('"', field.name()));
        insert.columns = names.take(1).map(|name| ObjectName::from(vec![name])).collect();
    }
    give_defaults(session, insert, table)?;
    let Some(with) = with else { return Ok(()) };
    match insert.source.as_deref_mut() {
        Some(Query { with: inner @ None, .. }) => {
            *inner = Some(with);
            Ok(())
        }
        _ => Err(Error::invalid("WITH twice; give all its tables in one list").into()),
    }
}

/// Replaces DEFAULT in VALUES.
fn give_defaults(session: &Session, insert: &mut Insert, table: &OmenTable) -> Result<()> {
    let schema = table.table_schema();
    let names = normalizer(session);
    let place = |name: &ObjectName| {
        let ident = name.0.last()?.as_ident()?;
        Some(schema.visible().column_with_name(&names.normalize(ident.clone()))?.0)
    };
    let columns: Vec<Option<usize>> = match &insert.columns[..] {
        [] => (0..schema.visible().fields().len()).map(Some).collect(),
        columns => columns.iter().map(place).collect(),
    };
    let Some(source) = insert.source.as_deref_mut() else { return Ok(()) };
    let SetExpr::Values(rows) = source.body.as_mut() else { return Ok(()) };
    for row in &mut rows.rows {
        for (value, column) in row.content.iter_mut().zip(&columns) {
            if is_default(value)
                && let Some(column) = column
            {
                *value = default_of(schema, *column)?;
            }
        }
    }
    Ok(())
}

/// The rows of an INSERT, with all columns of the table, and what is done with them.
async fn plan_rows(session: &Session, insert: Insert) -> Result<(LogicalPlan, InsertOp)> {
    let statement = Statement::Statement(Box::new(SqlStatement::Insert(insert)));
    let plan = guard::planned(session.context().state().statement_to_plan(statement)).await?;
    match plan {
        LogicalPlan::Dml(DmlStatement { op: WriteOp::Insert(op), input, .. }) => {
            Ok((Arc::unwrap_or_clone(input), op))
        }
        other => {
            let found = other.display().to_string();
            Err(Error::invalid(format!("an INSERT was planned as {found}")).into())
        }
    }
}

/// The rows that share nothing of `uniques` with a row that is there; of those that share something
/// with one another, the first.
fn new_rows(
    table: &OmenTable,
    mut rows: LogicalPlan,
    uniques: Vec<Option<u32>>,
) -> Result<LogicalPlan> {
    if let [_, _, ..] = uniques[..] {
        for by in &uniques {
            rows = without_found(table, rows, KeyLookup::new(table.clone(), *by))?;
        }
    }
    match uniques.is_empty() {
        true => Ok(rows),
        false => without_found(table, rows, KeyLookup::distinct(table.clone(), uniques)),
    }
}

/// The rows for which `lookup` finds nothing.
fn without_found(table: &OmenTable, rows: LogicalPlan, lookup: KeyLookup) -> Result<LogicalPlan> {
    let names = names(&rows);
    let looked_up = OwnNode::key_lookup(rows, EXCLUDED, lookup, "\u{1}")?;
    let all = columns(looked_up.schema());
    let is_new = is_missing(table, &all[names.len()..]);
    let given = all.into_iter().zip(&names).map(|(column, name)| column.alias(name));
    LogicalPlanBuilder::from(looked_up).filter(is_new)?.project(given.collect::<Vec<_>>())?.build()
}

/// Whether no row was found: its key is never NULL. Of a table without a key a row may be all NULL,
/// but not one that has values in a UNIQUE index.
fn is_missing(table: &OmenTable, found: &[Expr]) -> Expr {
    let schema = table.table_schema();
    match schema.hidden_key {
        false => found[schema.key[0]].clone().is_null(),
        true => {
            let nothing = found.iter().map(|column| column.clone().is_null());
            nothing.reduce(Expr::and).unwrap_or_else(|| lit(true))
        }
    }
}

/// The rows whose keys are not there, and those that are as the assignments make them.
fn merged_rows(
    session: &Session,
    table: &OmenTable,
    qualifier: &str,
    rows: LogicalPlan,
    by: Option<u32>,
    update: DoUpdate,
) -> Result<LogicalPlan> {
    let schema = table.table_schema();
    if schema.hidden_key {
        return Err(Error::invalid(format!(
            "ON CONFLICT DO UPDATE needs a table with a PRIMARY KEY, which \"{}\" has not; DO \
             NOTHING, or UPDATE and INSERT in a transaction, are ways",
            schema.name
        ))
        .into());
    }
    let mut values = assigned(&update.assignments, schema, &normalizer(session))?;
    if schema.key.iter().any(|&column| values[column].is_some()) {
        return Err(Error::invalid(format!(
            "ON CONFLICT DO UPDATE cannot change the key of table \"{}\"; UPDATE can",
            schema.name
        ))
        .into());
    }
    let names = names(&rows);
    // Columns without a qualifier mean the row that is there.
    let hidden = columns(rows.schema()).into_iter().zip(&names);
    let hidden = hidden.map(|(column, name)| column.alias(excluded_name(name)));
    let rows = LogicalPlanBuilder::from(rows).project(hidden.collect::<Vec<_>>())?.build()?;
    let lookup = KeyLookup::or_new(table.clone(), by);
    let looked_up = OwnNode::key_lookup(rows, EXCLUDED, lookup, qualifier)?;
    let columns_of_both = Arc::clone(looked_up.schema());
    let all = columns(&columns_of_both);
    let is_new = is_missing(table, &all[names.len()..]);
    let mut merged = Vec::with_capacity(names.len());
    for (index, name) in names.iter().enumerate() {
        let (given, there) = (all[index].clone(), all[names.len() + index].clone());
        let value = match values[index].take() {
            Some(value) => {
                let kind = schema.visible().field(index).data_type();
                over_both(session, value, &columns_of_both)?.cast_to(kind, &columns_of_both)?
            }
            None => there,
        };
        merged.push(when(is_new.clone(), given).otherwise(value)?.alias(name));
    }
    let mut plan = LogicalPlanBuilder::from(looked_up);
    if let Some(selection) = update.selection {
        plan = plan.filter(is_new.or(over_both(session, selection, &columns_of_both)?))?;
    }
    plan.project(merged)?.build()
}

/// An expression over both rows.
fn over_both(session: &Session, mut syntax: ast::Expr, columns: &DFSchemaRef) -> Result<Expr> {
    let _: ControlFlow<()> = visit_expressions_mut(&mut syntax, |part| {
        if let ast::Expr::CompoundIdentifier(idents) = part
            && let [qualifier, column] = &mut idents[..]
            && normalizer(session).normalize(qualifier.clone()) == EXCLUDED
        {
            let name = normalizer(session).normalize(column.clone());
            *column = Ident::with_quote('"', excluded_name(&name));
        }
        ControlFlow::Continue(())
    });
    expression(session, &syntax, columns, "ON CONFLICT DO UPDATE")
}

/// What a column of the row to be inserted is called: as none of a table.
fn excluded_name(column: &str) -> String {
    format!("\u{1}{column}")
}

fn columns(schema: &DFSchemaRef) -> Vec<Expr> {
    schema.iter().map(|field| Expr::Column(Column::from(field))).collect()
}

fn names(plan: &LogicalPlan) -> Vec<String> {
    plan.schema().fields().iter().map(|field| field.name().clone()).collect()
}
