//! UPDATE and DELETE with clauses that DataFusion does not plan, in a session.
//!
//! [`super::edit_query`] makes a query of the statement; its rows, cast to the types of the
//! columns, go into an [`super::edit_target`]. Called by [`super::session`].

use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use datafusion::common::{Column, TableReference};
use datafusion::dataframe::DataFrame;
use datafusion::datasource::provider_as_source;
use datafusion::error::Result;
use datafusion::logical_expr::expr_schema::ExprSchemable;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Projection};
use datafusion::sql::parser::Statement;
use datafusion::sql::planner::{IdentNormalizer, object_name_to_table_reference};
use datafusion::sql::sqlparser::ast::{
    Ident, ObjectName, SelectItem, SelectItemQualifiedWildcardKind, Statement as SqlStatement,
};

use super::catalog_provider::with_row_ids_name;
use super::edit_query::EditSyntax;
use super::edit_target::EditTarget;
use super::guard;
use super::returned_rows::{ReturnedRows, ReturningTable};
use super::session::Session;
use super::table_provider::OmenTable;
use crate::error::Error;

/// Plans an UPDATE or DELETE.
pub(super) async fn plan_edit(session: &Session, syntax: EditSyntax) -> Result<DataFrame> {
    let names = normalizer(session);
    let (reference, table) = target(session, &syntax.table).await?;
    let schema = Arc::clone(table.table_schema());
    let edit = syntax.edit(&schema, &names)?;
    let renamed =
        schema.hidden_key.then(|| Ident::with_quote('"', with_row_ids_name(&schema.name)));
    let (returning, qualifier) = (syntax.returning.clone(), syntax.qualifier.clone());
    let query = syntax.query(&schema, &names, edit, renamed)?;
    let statement = Statement::Statement(Box::new(SqlStatement::Query(Box::new(query))));
    let rows = guard::planned(session.context().state().statement_to_plan(statement)).await?;
    let rows = cast(rows, &table)?;
    let edit = EditTarget::new(table, reference, edit, Arc::new(rows));
    match returning {
        None => Ok(DataFrame::new(session.context().state(), edit.into_statement())),
        Some(items) => returned(session, edit, &names.normalize(qualifier), &items),
    }
}

/// How this session takes names without quotes.
pub(super) fn normalizer(session: &Session) -> IdentNormalizer {
    let options = session.context().copied_config();
    IdentNormalizer::new(options.options().sql_parser.enable_ident_normalization)
}

/// The table that a statement names.
///
/// # Errors
/// [`Error::InvalidInput`] if it is none of the database's.
pub(super) async fn target(
    session: &Session,
    name: &ObjectName,
) -> Result<(TableReference, OmenTable)> {
    let normalizes =
        session.context().copied_config().options().sql_parser.enable_ident_normalization;
    let reference = object_name_to_table_reference(name.clone(), normalizes)?;
    let provider = session.context().table_provider(reference.clone()).await?;
    match provider.downcast_ref::<OmenTable>() {
        Some(table) => Ok((reference, table.clone())),
        None => Err(Error::invalid(format!(
            "{reference} is no table of the database; UPDATE and DELETE change those alone"
        ))
        .into()),
    }
}

/// Rows with the columns of the table cast to their types.
fn cast(rows: LogicalPlan, table: &OmenTable) -> Result<LogicalPlan> {
    let visible = table.table_schema().visible();
    let schema = Arc::clone(rows.schema());
    let value = |(qualifier, field): (Option<&TableReference>, &Arc<Field>)| {
        let value = Expr::Column(Column::from((qualifier, field)));
        match visible.column_with_name(field.name()) {
            Some((_, column)) if column.data_type() != field.data_type() => {
                Ok(value.cast_to(column.data_type(), &schema)?.alias(field.name()))
            }
            _ => Ok(value),
        }
    };
    let values = schema.iter().map(value).collect::<Result<Vec<_>>>()?;
    Ok(LogicalPlan::Projection(Projection::try_new(values, Arc::new(rows))?))
}

/// The rows that a statement returns.
pub(super) fn returned(
    session: &Session,
    edit: EditTarget,
    qualifier: &str,
    items: &[SelectItem],
) -> Result<DataFrame> {
    let state = session.context().state();
    let kept = ReturnedRows::default();
    let visible = edit.table().table_schema().visible();
    // A deletion gives rows that may have been NULL once.
    let schema = Arc::new(Schema::new(visible.fields().clone()));
    let statement = edit.returning(kept.clone()).into_statement();
    let table = ReturningTable::new(statement, kept, schema);
    let rows = LogicalPlanBuilder::scan(
        TableReference::bare(qualifier),
        provider_as_source(Arc::new(table)),
        None,
    )?;
    let columns = Arc::clone(rows.schema());
    let mut values = Vec::new();
    for item in items {
        let all = || columns.iter().map(|field| Expr::Column(Column::from(field)));
        match item {
            SelectItem::Wildcard(_) => values.extend(all()),
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(_), _) => {
                values.extend(all());
            }
            SelectItem::UnnamedExpr(value) => {
                values.push(state.create_logical_expr(&value.to_string(), &columns)?);
            }
            SelectItem::ExprWithAlias { expr, alias } => {
                let value = state.create_logical_expr(&expr.to_string(), &columns)?;
                values.push(value.alias(normalizer(session).normalize(alias.clone())));
            }
            other => {
                return Err(Error::invalid(format!("RETURNING {other} is not supported")).into());
            }
        }
    }
    Ok(DataFrame::new(state, rows.project(values)?.build()?))
}
