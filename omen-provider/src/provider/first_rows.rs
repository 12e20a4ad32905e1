//! ORDER BY … LIMIT by a secondary index: of each part of the table only the rows are read that
//! come first in it.
//!
//! An optimiser rule. It finds a sort with a limit whose input is a whole table, in an order that
//! an index has, and binds the scan to the first rows by that index ([`OmenTable::with_first`]).
//! The sort stays: the scan may give more rows than it needs, never fewer. Installed by `register`
//! and by every session.

use std::sync::Arc;

use datafusion::common::Column;
use datafusion::common::tree_node::Transformed;
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, Sort, SortExpr, TableScan};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

use super::table_provider::OmenTable;
use crate::storage::index_choice::FirstRows;
use crate::storage::schema::{IndexSchema, TableSchema};

/// More rows than these are sorted.
const ROWS_MAX: usize = 10_000;

/// Lets limits of sorts reach the scans below them.
#[derive(Debug)]
pub(super) struct ReadFirstRows;

impl OptimizerRule for ReadFirstRows {
    fn name(&self) -> &'static str {
        "read_first_rows"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        _config: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Sort(sort) = plan else { return Ok(Transformed::no(plan)) };
        let count = sort.fetch.filter(|count| *count <= ROWS_MAX);
        let columns: Option<Vec<(Column, bool)>> = sort.expr.iter().map(order_of).collect();
        let (Some(count), Some(columns)) = (count, columns) else {
            return Ok(Transformed::no(LogicalPlan::Sort(sort)));
        };
        match with_first(&sort.input, columns, count)? {
            Some(input) => {
                let sort = Sort { input: Arc::new(input), ..sort };
                Ok(Transformed::yes(LogicalPlan::Sort(sort)))
            }
            None => Ok(Transformed::no(LogicalPlan::Sort(sort))),
        }
    }
}

/// The column of a sort, and whether it descends; `None` if NULL is not where indexes have it.
fn order_of(sort: &SortExpr) -> Option<(Column, bool)> {
    let Expr::Column(column) = &sort.expr else { return None };
    (sort.nulls_first != sort.asc).then(|| (column.clone(), !sort.asc))
}

/// `plan`, its scan bound to the rows that come first by `columns`; `None` if that cannot be.
fn with_first(
    plan: &LogicalPlan,
    mut columns: Vec<(Column, bool)>,
    count: usize,
) -> Result<Option<LogicalPlan>> {
    match plan {
        LogicalPlan::TableScan(scan) => Ok(scan_first(scan, &columns, count)),
        LogicalPlan::Projection(projection) => {
            for (column, _) in &mut columns {
                let place = projection.schema.maybe_index_of_column(column);
                match place.map(|place| bare(&projection.expr[place])) {
                    Some(Some(inner)) => *column = inner,
                    _ => return Ok(None),
                }
            }
            with_new_input(plan, with_first(&projection.input, columns, count)?)
        }
        LogicalPlan::SubqueryAlias(alias) => {
            for (column, _) in &mut columns {
                let Some(place) = alias.schema.maybe_index_of_column(column) else {
                    return Ok(None);
                };
                *column = Column::from(alias.input.schema().qualified_field(place));
            }
            with_new_input(plan, with_first(&alias.input, columns, count)?)
        }
        _ => Ok(None),
    }
}

/// The column that an expression is, under names given to it.
fn bare(expr: &Expr) -> Option<Column> {
    match expr {
        Expr::Column(column) => Some(column.clone()),
        Expr::Alias(alias) => bare(&alias.expr),
        _ => None,
    }
}

fn with_new_input(plan: &LogicalPlan, input: Option<LogicalPlan>) -> Result<Option<LogicalPlan>> {
    input.map(|input| plan.with_new_exprs(plan.expressions(), vec![input])).transpose()
}

fn scan_first(scan: &TableScan, columns: &[(Column, bool)], count: usize) -> Option<LogicalPlan> {
    if !scan.filters.is_empty() || scan.fetch.is_some() {
        return None;
    }
    let provider = source_as_provider(&scan.source).ok()?;
    let table = provider.downcast_ref::<OmenTable>().filter(|table| table.first().is_none())?;
    let schema = table.table_schema();
    let descending = columns.first()?.1;
    let is_one_way = columns.iter().all(|(_, other)| *other == descending);
    let index = schema.indexes.iter().find(|index| is_order_of(index, schema, columns))?;
    if !is_one_way {
        return None;
    }
    let first = FirstRows { index: index.index.id, count, descending };
    let source = provider_as_source(Arc::new(table.with_first(first)));
    Some(LogicalPlan::TableScan(TableScan { source, ..scan.clone() }))
}

/// Whether the first columns of an index are these, and ordered as they are. (Of floats DataFusion
/// knows more than the index: two zeros, and what is not a number below and above all others.)
fn is_order_of(index: &IndexSchema, schema: &TableSchema, columns: &[(Column, bool)]) -> bool {
    let is_same = |(&place, (column, _)): (&usize, &(Column, bool))| {
        let field = &schema.columns[place].field;
        *field.name() == column.name && !field.data_type().is_floating()
    };
    columns.len() <= index.places.len() && index.places.iter().zip(columns).all(is_same)
}
