//! UPDATE, DELETE and TRUNCATE, written as insertions into an edit of the table.
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
    DmlStatement, EmptyRelation, Expr, LogicalPlan, Projection, WriteOp,
};
use datafusion::optimizer::AnalyzerRule;

use super::edit_target::{Edit, EditTarget};
use super::table_provider::OmenTable;
use crate::error::Error;
use crate::storage::schema::ROW_ID_COLUMN;

/// Rewrites UPDATE, DELETE and TRUNCATE of the tables of any database.
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
    if matches!(input, LogicalPlan::TableScan(_)) {
        return Ok(truncation(&input));
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
    let LogicalPlan::Projection(rows) = input else {
        let found = input.display();
        return Err(Error::invalid(format!(
            "an UPDATE is expected to be planned as a projection of the new rows, not as {found}"
        ))
        .into());
    };
    let source = with_row_ids(table, Arc::unwrap_or_clone(rows.input))?;
    let (schema, mut columns) = (table.table_schema(), rows.expr);
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

/// `input`, which reads one table below filters and limits, with the hidden row ids where they are
/// the table's key.
fn with_row_ids(table: &OmenTable, input: LogicalPlan) -> Result<LogicalPlan> {
    if !table.table_schema().hidden_key {
        return Ok(input);
    }
    let read = input.transform_up(|node| match node {
        LogicalPlan::TableScan(scan) => {
            let source = provider_as_source(Arc::new(table.with_row_ids()));
            let scan = TableScanBuilder::new(scan.table_name, source)
                .with_filters(scan.filters)
                .with_fetch(scan.fetch)
                .build()?;
            Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
        }
        other => Ok(Transformed::yes(other.recompute_schema()?)),
    })?;
    debug_assert!(read.data.schema().has_column_with_unqualified_name(ROW_ID_COLUMN));
    Ok(read.data)
}
