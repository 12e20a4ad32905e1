//! UPDATE and DELETE with clauses that DataFusion does not plan, in a session.
//!
//! [`super::edit_query`] makes a query of the statement; its rows, cast to the types of the
//! columns, go into an [`super::edit_target`]. Called by [`super::session`].

use std::sync::Arc;

use arrow::datatypes::Field;
use datafusion::common::{Column, DFSchema, DFSchemaRef, TableReference};
use datafusion::dataframe::DataFrame;
use datafusion::error::Result;
use datafusion::logical_expr::expr_schema::ExprSchemable;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Projection};
use datafusion::sql::parser::Statement;
use datafusion::sql::planner::IdentNormalizer;
use datafusion::sql::sqlparser::ast::{
    self, Ident, ObjectName, SelectItem, SelectItemQualifiedWildcardKind, Statement as SqlStatement,
};

use super::catalog_provider::with_row_ids_name;
use super::edit_query::{EditSyntax, column_of};
use super::edit_target::EditTarget;
use super::introspection::SystemTable;
use super::own_nodes::OwnNode;
use super::session::Session;
use super::table_provider::OmenTable;
use crate::error::Error;
use crate::expression::{guard, has_subquery};
use crate::storage::system_tables::read_only;

/// Plans an UPDATE or DELETE.
pub(super) async fn plan_edit(session: &Session, syntax: EditSyntax) -> Result<DataFrame> {
    let names = normalizer(session);
    let (reference, table) = target(session, &syntax.table).await?;
    let schema = Arc::clone(table.table_schema());
    let edit = syntax.edit(&schema, &names)?;
    // A name that no table of WITH has.
    let renamed = (schema.hidden_key || syntax.has_tables_of_its_own())
        .then(|| Ident::with_quote('"', with_row_ids_name(schema.own_name())));
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
    let reference = session.reference(name)?;
    let provider = session.context().table_provider(reference.clone()).await?;
    match provider.downcast_ref::<OmenTable>() {
        Some(table) => Ok((reference, table.clone())),
        None if provider.downcast_ref::<SystemTable>().is_some() => {
            Err(read_only(reference.table()).into())
        }
        None => Err(Error::invalid(format!(
            "{reference} is no table of the database, whose tables alone can be changed"
        ))
        .into()),
    }
}

/// Rows with the columns of the table cast to their types.
fn cast(rows: LogicalPlan, table: &OmenTable) -> Result<LogicalPlan> {
    let visible = table.table_schema().visible();
    let schema = Arc::clone(rows.schema());
    let value = |(qualifier, field): (Option<&TableReference>, &Arc<Field>)| {
        let (value, name) =
            (Expr::Column(Column::from((qualifier, field))), column_of(field.name()));
        match visible.column_with_name(name) {
            Some((_, column)) if column.data_type() != field.data_type() => {
                Ok(value.cast_to(column.data_type(), &schema)?.alias(name))
            }
            _ => Ok(value.alias(name)),
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
    let name = edit.table().table_schema().own_name().to_string();
    let visible = Arc::clone(edit.table().table_schema().visible());
    let schema = DFSchema::try_from_qualified_schema(TableReference::bare(qualifier), &visible)?;
    let rows = OwnNode::returning(edit.into_statement(), Arc::new(schema));
    let rows = LogicalPlanBuilder::from(rows);
    let columns = Arc::clone(rows.schema());
    let mut values = Vec::new();
    for item in items {
        let all = || columns.iter().map(|field| Expr::Column(Column::from(field)));
        match item {
            SelectItem::Wildcard(_) => values.extend(all()),
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(of), _)
                if is_named(session, of, &[qualifier, &name]) =>
            {
                values.extend(all());
            }
            SelectItem::UnnamedExpr(value) => {
                values.push(expression(session, value, &columns, "RETURNING")?);
            }
            SelectItem::ExprWithAlias { expr, alias } => {
                let value = expression(session, expr, &columns, "RETURNING")?;
                values.push(value.alias(normalizer(session).normalize(alias.clone())));
            }
            other => {
                return Err(Error::invalid(format!(
                    "RETURNING {other} is not supported; it gives columns of \"{qualifier}\""
                ))
                .into());
            }
        }
    }
    Ok(DataFrame::new(state, rows.project(values)?.build()?))
}

/// Whether a name, its last part, is one of `names`.
fn is_named(session: &Session, name: &ObjectName, names: &[&str]) -> bool {
    let last = name.0.last().and_then(|part| part.as_ident());
    last.is_some_and(|last| names.contains(&&*normalizer(session).normalize(last.clone())))
}

/// An expression over columns.
///
/// # Errors
/// [`Error::InvalidInput`] for subqueries, which `clause` cannot have.
pub(super) fn expression(
    session: &Session,
    syntax: &ast::Expr,
    columns: &DFSchemaRef,
    clause: &str,
) -> Result<Expr> {
    if has_subquery(syntax) {
        return Err(Error::invalid(format!("a subquery in {clause} is not supported")).into());
    }
    session.context().state().create_logical_expr(&syntax.to_string(), columns)
}
