//! IN and EXISTS with subqueries, written so that DataFusion answers them as SQL means them.
//!
//! DataFusion 55.2 makes joins of them. For NOT IN that is right where the whole condition is
//! `column NOT IN (query)` with a query that stands alone; elsewhere (within OR, CASE or IS NULL,
//! of an expression, or with a query that reads the outer row) NULL is taken for FALSE (apache's
//! issues 8241, 25336, 25340, 25347, 25473, 25474). And in a query that reads the outer row it
//! counts, skips and pads rows as if it read none (issues 24960, 25283, 25507, 25519).
//!
//! This analyzer rule writes the first as EXISTS, which is right, and the second as what they are
//! equal to, if there is such a thing; else it refuses them. Installed by `register` and by every
//! session. Invariant: what it writes has the same value for every row.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchemaRef, ExprSchema, JoinType, Spans};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{Exists, InSubquery};
use datafusion::logical_expr::{
    BinaryExpr, Expr, LogicalPlan, LogicalPlanBuilder, Operator, Subquery, lit, when,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::scalar::ScalarValue;

use crate::error::Error;

/// What the column of a subquery is called, beside those of any table.
const VALUE: &str = "\u{1}value";

/// The rule.
#[derive(Debug)]
pub(super) struct ExactSubqueries;

impl AnalyzerRule for ExactSubqueries {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| {
            let exact = node.map_expressions(|expr| {
                // Most have none.
                match has_subquery(&expr)? {
                    true => expr.transform_up(exact),
                    false => Ok(Transformed::no(expr)),
                }
            })?;
            let LogicalPlan::Filter(mut filter) = exact.data else { return Ok(exact) };
            if !has_subquery(&filter.predicate)? {
                return Ok(Transformed::new_transformed(
                    LogicalPlan::Filter(filter),
                    exact.transformed,
                ));
            }
            let outer = Outer(Arc::clone(filter.input.schema()));
            filter.predicate = outer.truth(filter.predicate, true)?;
            Ok(Transformed::yes(LogicalPlan::Filter(filter)))
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "exact_subqueries"
    }
}

fn has_subquery(expr: &Expr) -> Result<bool> {
    expr.exists(|part| Ok(matches!(part, Expr::InSubquery(_) | Expr::Exists(_))))
}

/// A subquery with an aggregate over all rows as what it is equal to.
///
/// # Errors
/// [`Error::InvalidInput`] for a subquery that DataFusion would answer wrongly.
fn exact(expr: Expr) -> Result<Transformed<Expr>> {
    match expr {
        Expr::Exists(Exists { subquery, negated }) => {
            if !is_correlated(&subquery) {
                return Ok(Transformed::no(Expr::Exists(Exists { subquery, negated })));
            }
            if gives_one_row(&subquery.subquery) {
                return Ok(Transformed::yes(lit(!negated)));
            }
            check(&subquery.subquery)?;
            Ok(Transformed::no(Expr::Exists(Exists { subquery, negated })))
        }
        Expr::InSubquery(InSubquery { expr, subquery, negated }) => {
            if !is_correlated(&subquery) {
                let same = InSubquery { expr, subquery, negated };
                return Ok(Transformed::no(Expr::InSubquery(same)));
            }
            if gives_one_row(&subquery.subquery) {
                let op = if negated { Operator::NotEq } else { Operator::Eq };
                let value = Box::new(Expr::ScalarSubquery(subquery));
                return Ok(Transformed::yes(Expr::BinaryExpr(BinaryExpr::new(expr, op, value))));
            }
            check(&subquery.subquery)?;
            Ok(Transformed::no(Expr::InSubquery(InSubquery { expr, subquery, negated })))
        }
        other => Ok(Transformed::no(other)),
    }
}

fn is_correlated(subquery: &Subquery) -> bool {
    !subquery.outer_ref_columns.is_empty()
}

/// Whether a query is an aggregate over all its rows, which gives one row whatever they are.
fn gives_one_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => gives_one_row(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => gives_one_row(&alias.input),
        LogicalPlan::Sort(sort) => gives_one_row(&sort.input),
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        _ => false,
    }
}

/// Refuses what counts, skips or pads rows that depend on the outer row. Whether the plan reads it.
fn check(plan: &LogicalPlan) -> Result<bool> {
    let mut reads: Vec<bool> = Vec::new();
    for input in plan.inputs() {
        reads.push(check(input)?);
    }
    let any = reads.contains(&true);
    let refused = match plan {
        LogicalPlan::Aggregate(aggregate) if any => {
            let sets = |expr: &Expr| matches!(expr, Expr::GroupingSet(_));
            let counts = aggregate.group_expr.is_empty() || aggregate.group_expr.iter().any(sets);
            counts.then_some("an aggregate over all rows, or GROUPING SETS")
        }
        LogicalPlan::Limit(limit) if any => {
            let skips = limit.skip.as_ref().is_some_and(|skip| **skip != lit(0i64));
            skips.then_some("OFFSET")
        }
        LogicalPlan::Join(join) => {
            let padded = match join.join_type {
                JoinType::Left => reads.get(1) == Some(&true),
                JoinType::Right => reads.first() == Some(&true),
                JoinType::Full => any,
                _ => false,
            };
            padded.then_some("an outer join")
        }
        _ => None,
    };
    if let Some(what) = refused {
        return Err(Error::invalid(format!(
            "an IN or EXISTS whose subquery has {what} over rows that depend on the outer row is \
             not supported; compare with a subquery that gives one value: \
             (SELECT count(*) ...) > 0"
        ))
        .into());
    }
    Ok(any || plan.contains_outer_reference())
}

/// Conditions on rows of this kind.
struct Outer(DFSchemaRef);

impl Outer {
    /// A condition that is TRUE for the same rows; FALSE and NULL are one. `whole`: it is one of
    /// the conditions that must all hold.
    fn truth(&self, expr: Expr, whole: bool) -> Result<Expr> {
        match expr {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
                Ok(self.truth(*left, whole)?.and(self.truth(*right, whole)?))
            }
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
                Ok(self.truth(*left, false)?.or(self.truth(*right, false)?))
            }
            Expr::Not(inner) if has_subquery(&inner)? => self.untruth(*inner, whole),
            Expr::InSubquery(not_in) if not_in.negated => self.none_equal(not_in, whole),
            Expr::InSubquery(_) | Expr::Exists(_) => Ok(expr),
            other => self.value(other),
        }
    }

    /// A condition that is TRUE where the given one is FALSE.
    fn untruth(&self, expr: Expr, whole: bool) -> Result<Expr> {
        match expr {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
                Ok(self.untruth(*left, false)?.or(self.untruth(*right, false)?))
            }
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
                Ok(self.untruth(*left, whole)?.and(self.untruth(*right, whole)?))
            }
            Expr::Not(inner) => self.truth(*inner, whole),
            Expr::InSubquery(inside) => {
                let negated = !inside.negated;
                self.truth(Expr::InSubquery(InSubquery { negated, ..inside }), whole)
            }
            Expr::Exists(Exists { subquery, negated }) => {
                Ok(Expr::Exists(Exists { subquery, negated: !negated }))
            }
            other => Ok(Expr::Not(Box::new(self.value(other)?))),
        }
    }

    /// `x NOT IN (query)` where TRUE is all that counts.
    fn none_equal(&self, not_in: InSubquery, whole: bool) -> Result<Expr> {
        if whole && !is_correlated(&not_in.subquery) && is_column(&not_in.expr) {
            return Ok(Expr::InSubquery(not_in));
        }
        self.some(&not_in, |equal| Expr::IsNotFalse(Box::new(equal)), true)
    }

    /// An expression in which every IN has its value, NULL among them.
    fn value(&self, expr: Expr) -> Result<Expr> {
        let exact = |part| match part {
            Expr::InSubquery(inside) => {
                let equal = self.some(&inside, |equal| equal, false)?;
                let is_unknown = |equal| Expr::IsNull(Box::new(equal));
                let unknown = self.some(&inside, is_unknown, false)?;
                let is_in = when(equal, lit(!inside.negated))
                    .when(unknown, lit(ScalarValue::Boolean(None)))
                    .otherwise(lit(inside.negated))?;
                Ok(Transformed::new(is_in, true, TreeNodeRecursion::Jump))
            }
            other => Ok(Transformed::no(other)),
        };
        expr.transform_down(exact).data()
    }

    /// Whether some row of the query is as `condition` makes of its being equal to the value.
    fn some(
        &self,
        inside: &InSubquery,
        condition: impl Fn(Expr) -> Expr,
        negated: bool,
    ) -> Result<Expr> {
        let InSubquery { expr, subquery, .. } = inside;
        let rows = &subquery.subquery;
        let column = Expr::Column(Column::from(rows.schema().qualified_field(0)));
        // Not an alias of the whole: DataFusion pulls conditions through what lists its columns.
        let rows = LogicalPlanBuilder::from(Arc::clone(rows)).project([column.alias(VALUE)])?;
        let (value, mut outer_ref_columns) = self.read_within(expr.as_ref().clone())?;
        outer_ref_columns.extend(subquery.outer_ref_columns.iter().cloned());
        let column = Expr::Column(Column::new_unqualified(VALUE));
        let plan = rows.filter(condition(value.eq(column)))?.build()?;
        let spans = Spans::new();
        let subquery = Subquery { subquery: Arc::new(plan), outer_ref_columns, spans };
        Ok(Expr::Exists(Exists { subquery, negated }))
    }

    /// An expression as a subquery reads it, and the columns that it reads.
    fn read_within(&self, expr: Expr) -> Result<(Expr, Vec<Expr>)> {
        let mut columns = Vec::new();
        let read = expr.transform_up(|part| match part {
            Expr::Column(column) => {
                let field = Arc::clone(self.0.field_from_column(&column)?);
                let outer = Expr::OuterReferenceColumn(field, column);
                columns.push(outer.clone());
                Ok(Transformed::yes(outer))
            }
            other => Ok(Transformed::no(other)),
        })?;
        Ok((read.data, columns))
    }
}

fn is_column(expr: &Expr) -> bool {
    match expr {
        Expr::Column(_) => true,
        Expr::Cast(cast) => is_column(&cast.expr),
        _ => false,
    }
}
