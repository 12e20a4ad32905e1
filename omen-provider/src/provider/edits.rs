//! UPDATE, DELETE, TRUNCATE and MERGE, written as insertions into an edit of the table.
//!
//! What reaches `delete_from` and `update` of a table has been optimised: semi-joins, LIMIT and
//! predicates folded to false are gone from it, and what is left may mean every row. So this
//! analyzer rule, which sees the statement before, makes a query of it that gives just the keys to
//! delete, or the new rows, and a target that takes them ([`super::edit_target`]). What the
//! optimiser then does to a query, it may do to this one.
//!
//! Installed by `register`, and so by every session, before [`super::pin`].

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, Result};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::logical_expr::logical_plan::TableScanBuilder;
use datafusion::logical_expr::{
    DmlStatement, EmptyRelation, Expr, LogicalPlan, LogicalPlanBuilder, Projection, WriteOp, lit,
};
use datafusion::optimizer::AnalyzerRule;

use super::edit_target::{Edit, EditTarget};
use super::identity::{changed, is_always};
use super::merge::merge;
use super::table_provider::OmenTable;
use crate::error::Error;

/// Rewrites UPDATE, DELETE, TRUNCATE and MERGE of the tables of any database.
#[derive(Debug)]
pub(super) struct RewriteEdits;

impl AnalyzerRule for RewriteEdits {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let rewritten = plan.transform_down(|node| match node {
            LogicalPlan::Dml(dml) => rewrite(dml),
            other => Ok(Transformed::no(other)),
        })?;
        Ok(rewritten.data)
    }

    fn name(&self) -> &'static str {
        "rewrite_edits"
    }
}

fn rewrite(dml: DmlStatement) -> Result<Transformed<LogicalPlan>> {
    let Ok(provider) = source_as_provider(&dml.target) else {
        return Ok(Transformed::no(LogicalPlan::Dml(dml)));
    };
    let Some(table) = provider.downcast_ref::<OmenTable>() else {
        return Ok(Transformed::no(LogicalPlan::Dml(dml)));
    };
    let input = Arc::unwrap_or_clone(dml.input);
    let (edit, input) = match dml.op {
        WriteOp::Delete => deletion(table, input)?,
        WriteOp::Update => update(table, input)?,
        WriteOp::Truncate => truncation(&input),
        WriteOp::MergeInto(ref op) => (Edit::Merge, merge(table, &dml.table_name, input, op)?),
        op => {
            let dml = DmlStatement::new(dml.table_name, dml.target, op, Arc::new(input));
            return Ok(Transformed::no(LogicalPlan::Dml(dml)));
        }
    };
    let target = EditTarget::new(table.clone(), dml.table_name, edit, Arc::new(input));
    Ok(Transformed::yes(target.into_statement()))
}

/// The keys of the rows that `input` gives.
fn deletion(table: &OmenTable, input: LogicalPlan) -> Result<(Edit, LogicalPlan)> {
    match input {
        LogicalPlan::TableScan(ref scan) if scan.filters.is_empty() && scan.fetch.is_none() => {
            return Ok(truncation(&input));
        }
        // Of a statement that was optimised when it was prepared.
        LogicalPlan::EmptyRelation(_) => return nothing(table),
        _ => {}
    }
    let input = with_row_ids(table, input)?;
    let keys = key_columns(table, &input)?;
    let keys = Projection::try_new(keys, Arc::new(input))?;
    Ok((Edit::Delete, LogicalPlan::Projection(keys)))
}

/// No rows, of whatever columns.
fn truncation(input: &LogicalPlan) -> (Edit, LogicalPlan) {
    let schema = Arc::clone(input.schema());
    let nothing = EmptyRelation { produce_one_row: false, schema };
    (Edit::Truncate, LogicalPlan::EmptyRelation(nothing))
}

/// The new rows of a projection of all columns, with the old keys where they may change.
fn update(table: &OmenTable, input: LogicalPlan) -> Result<(Edit, LogicalPlan)> {
    let rows = match input {
        LogicalPlan::Projection(rows) => rows,
        LogicalPlan::EmptyRelation(_) => return nothing(table),
        other => {
            let found = other.display();
            return Err(Error::invalid(format!(
                "an UPDATE is expected to be planned as a projection of the new rows, not as \
                 {found}; prepare it in a session of the database"
            ))
            .into());
        }
    };
    let source = with_row_ids(table, Arc::unwrap_or_clone(rows.input))?;
    let (schema, mut columns) = (table.table_schema(), rows.expr);
    let is_changed = |place: usize| !is_column(&columns[place], schema.columns[place].field.name());
    if schema.identity_place().is_some_and(|place| is_always(schema, place) && is_changed(place)) {
        return Err(changed(schema).into());
    }
    let keys = key_columns(table, &source)?;
    if schema.hidden_key {
        columns.extend(keys);
    } else {
        let assigned =
            |&column: &usize| !is_column(&columns[column], schema.columns[column].field.name());
        if schema.key.iter().any(assigned) {
            // No column of a table is called so.
            let old = keys.into_iter().enumerate().map(|(i, key)| key.alias(format!("\u{1}{i}")));
            let columns = old.chain(columns).collect();
            let moved = Projection::try_new(columns, Arc::new(source))?;
            return Ok((Edit::Update { moves: true }, LogicalPlan::Projection(moved)));
        }
    }
    let rows = Projection::try_new(columns, Arc::new(source))?;
    Ok((Edit::Update { moves: false }, LogicalPlan::Projection(rows)))
}

/// Whether the value of a column is what it was.
fn is_column(value: &Expr, name: &str) -> bool {
    matches!(value.clone().unalias(), Expr::Column(column) if column.name == name)
}

/// The key columns of the table's rows in `input`, in key order.
fn key_columns(table: &OmenTable, input: &LogicalPlan) -> Result<Vec<Expr>> {
    let schema = table.table_schema();
    let column = |name: &str| {
        let field = input.schema().qualified_field_with_unqualified_name(name)?;
        Ok(Expr::Column(Column::from(field)))
    };
    schema.key_names().into_iter().map(column).collect()
}

/// No keys.
fn nothing(table: &OmenTable) -> Result<(Edit, LogicalPlan)> {
    let source = provider_as_source(Arc::new(table.with_row_ids()));
    let name = table.table_schema().name.clone();
    let rows = LogicalPlanBuilder::scan(name, source, None)?.build()?;
    let keys = key_columns(table, &rows)?;
    let none = LogicalPlanBuilder::from(rows).filter(lit(false))?.project(keys)?.build()?;
    Ok((Edit::Delete, none))
}

/// `input`, which reads one table below filters and limits, with the hidden row ids where they are
/// the table's key.
fn with_row_ids(table: &OmenTable, input: LogicalPlan) -> Result<LogicalPlan> {
    if !table.table_schema().hidden_key {
        return Ok(input);
    }
    match input {
        LogicalPlan::TableScan(scan) => {
            let source = provider_as_source(Arc::new(table.with_row_ids()));
            let scan = TableScanBuilder::new(scan.table_name, source)
                .with_filters(scan.filters)
                .with_fetch(scan.fetch)
                .build()?;
            Ok(LogicalPlan::TableScan(scan))
        }
        node @ (LogicalPlan::Filter(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::SubqueryAlias(_)) => {
            let below = node.inputs().into_iter().cloned().collect::<Vec<_>>();
            let below = below.into_iter().map(|input| with_row_ids(table, input));
            node.with_new_exprs(node.expressions(), below.collect::<Result<_>>()?)?
                .recompute_schema()
        }
        // Which of several tables is meant is not to be seen any more.
        other => Err(Error::invalid(format!(
            "UPDATE and DELETE of table \"{}\", which has no key of its own, cannot be prepared \
             here ({}); prepare it in a session of the database",
            table.table_schema().name,
            other.display()
        ))
        .into()),
    }
}
