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
    DmlStatement, Expr, LogicalPlan, LogicalPlanBuilder, WriteOp, when,
};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    self, ConflictTarget, DoUpdate, Ident, Insert, ObjectName, OnConflict, OnConflictAction,
    OnInsert, Query, SetExpr, SqliteOnConflict, Statement as SqlStatement, TableObject, With,
    visit_expressions_mut,
};

use super::edit_query::{assigned, default_of, is_default};
use super::edit_statements::{expression, normalizer, returned, target};
use super::edit_target::{Edit, EditTarget};
use super::key_lookup::KeyLookup;
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

/// What happens to a row whose key is there.
enum OnKey {
    /// The statement fails, or, with INSERT OR REPLACE, the row is written over.
    AsPlanned,
    Nothing,
    Update(Box<DoUpdate>),
}

/// Plans an INSERT.
pub(super) async fn plan_insert(session: &Session, syntax: InsertSyntax) -> Result<DataFrame> {
    let InsertSyntax { mut insert, with } = syntax;
    let TableObject::TableName(name) = insert.table.clone() else {
        return Err(Error::invalid(format!("{} is no table of the database", insert.table)).into());
    };
    let (reference, table) = target(session, &name).await?;
    let alias = insert.table_alias.take().map(|alias| normalizer(session).normalize(alias.alias));
    let qualifier = alias.unwrap_or_else(|| table.table_schema().name.clone());
    let on_key = on_key(session, &mut insert, &table)?;
    let returning = insert.returning.take();
    complete_source(session, &mut insert, &table, with)?;
    let (rows, op) = plan_rows(session, insert).await?;
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
        OnKey::Nothing => {
            let mode = WriteMode::Insert;
            (Edit::Insert { mode, looked_up: true }, new_rows(&table, rows)?)
        }
        OnKey::Update(update) => {
            let mode = WriteMode::Merge;
            let rows = merged_rows(session, &table, &qualifier, rows, *update)?;
            (Edit::Insert { mode, looked_up: true }, rows)
        }
    };
    let edit = EditTarget::new(table, reference, edit, Arc::new(rows));
    match returning {
        None => Ok(DataFrame::new(session.context().state(), edit.into_statement())),
        Some(items) => returned(session, edit, &qualifier, &items),
    }
}

/// Takes ON CONFLICT and the like out of the statement.
fn on_key(session: &Session, insert: &mut Insert, table: &OmenTable) -> Result<OnKey> {
    let or = insert.or;
    if matches!(or, Some(SqliteOnConflict::Ignore | SqliteOnConflict::Abort)) {
        insert.or = None;
    }
    let on = match (insert.on.take(), or) {
        (None, Some(SqliteOnConflict::Ignore)) => return Ok(OnKey::Nothing),
        (None, _) => return Ok(OnKey::AsPlanned),
        (Some(OnInsert::OnConflict(on)), None) if !insert.replace_into => on,
        (Some(on), _) => {
            return Err(Error::invalid(format!(
                "{on} is not supported here; write INSERT INTO ... ON CONFLICT (key) DO UPDATE SET \
                 ..., without OR"
            ))
            .into());
        }
    };
    check_target(session, &on, table)?;
    match on.action {
        OnConflictAction::DoNothing => Ok(OnKey::Nothing),
        OnConflictAction::DoUpdate(update) => Ok(OnKey::Update(Box::new(update))),
    }
}

/// Refuses a conflict that no constraint of the table makes.
fn check_target(session: &Session, on: &OnConflict, table: &OmenTable) -> Result<()> {
    let schema = table.table_schema();
    let names = normalizer(session);
    let has = match schema.hidden_key {
        true => "it has no unique key".to_string(),
        false => format!("its unique key is ({})", schema.key_names().join(", ")),
    };
    let is_met = match &on.conflict_target {
        None => !schema.hidden_key || matches!(on.action, OnConflictAction::DoNothing),
        Some(ConflictTarget::OnConstraint(name)) => {
            !schema.hidden_key && name.to_string() == schema.constraint_name()
        }
        Some(ConflictTarget::Columns(columns)) => {
            let mut given: Vec<String> =
                columns.iter().map(|column| names.normalize(column.clone())).collect();
            let mut key = schema.key_names();
            given.sort_unstable();
            key.sort_unstable();
            !schema.hidden_key && given == key
        }
    };
    if is_met {
        return Ok(());
    }
    let name = &schema.name;
    Err(Error::invalid(format!(
        "ON CONFLICT does not name a unique key of table \"{name}\"; {has}"
    ))
    .into())
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

/// The rows whose keys are not there; of those that share one, the first.
fn new_rows(table: &OmenTable, rows: LogicalPlan) -> Result<LogicalPlan> {
    let schema = table.table_schema();
    if schema.hidden_key {
        return Ok(rows);
    }
    let names = names(&rows);
    let lookup = KeyLookup::distinct(table.clone());
    let looked_up = OwnNode::key_lookup(rows, EXCLUDED, lookup, "\u{1}")?;
    let all = columns(looked_up.schema());
    let is_new = all[names.len() + schema.key[0]].clone().is_null();
    let given = all.into_iter().zip(&names).map(|(column, name)| column.alias(name));
    LogicalPlanBuilder::from(looked_up).filter(is_new)?.project(given.collect::<Vec<_>>())?.build()
}

/// The rows whose keys are not there, and those that are as the assignments make them.
fn merged_rows(
    session: &Session,
    table: &OmenTable,
    qualifier: &str,
    rows: LogicalPlan,
    update: DoUpdate,
) -> Result<LogicalPlan> {
    let schema = table.table_schema();
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
    let lookup = KeyLookup::new(table.clone());
    let looked_up = OwnNode::key_lookup(rows, EXCLUDED, lookup, qualifier)?;
    let columns_of_both = Arc::clone(looked_up.schema());
    let all = columns(&columns_of_both);
    let is_new = all[names.len() + schema.key[0]].clone().is_null();
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
