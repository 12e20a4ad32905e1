//! Syntax that DataFusion 55.2 takes and answers wrongly: refused, with what to write instead.
//!
//! * `INTERSECT ALL` and `EXCEPT ALL` do not heed how often a row is there (apache's issues 12955,
//!   12956).
//! * The one column that `RIGHT` and `FULL JOIN ... USING`, or `NATURAL`, make of two is that of
//!   the left side, NULL where only the right side has a row (issue 22881).
//!
//! Pure. Called by [`super::session`] before a statement is planned.

use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    JoinConstraint, JoinOperator, Query, SetExpr, SetOperator, SetQuantifier, TableFactor,
    TableWithJoins, Visit, Visitor,
};

use crate::error::{Error, Result};

/// Refuses a statement that has such syntax.
///
/// # Errors
/// [`Error::InvalidInput`] saying what to write instead.
pub(super) fn refuse_wrong_answers(statement: &Statement) -> Result<()> {
    match statement {
        Statement::Statement(statement) => match statement.visit(&mut WrongAnswers) {
            ControlFlow::Break(reason) => Err(Error::invalid(reason)),
            ControlFlow::Continue(()) => Ok(()),
        },
        Statement::Explain(explain) => refuse_wrong_answers(&explain.statement),
        _ => Ok(()),
    }
}

struct WrongAnswers;

impl Visitor for WrongAnswers {
    type Break = &'static str;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Self::Break> {
        body(&query.body)
    }
}

/// The queries that a body connects; those within them are visited by themselves.
fn body(expr: &SetExpr) -> ControlFlow<&'static str> {
    match expr {
        SetExpr::SetOperation {
            op: SetOperator::Intersect | SetOperator::Except | SetOperator::Minus,
            set_quantifier: SetQuantifier::All,
            ..
        } => ControlFlow::Break(
            "INTERSECT ALL and EXCEPT ALL are not supported; number the rows that are alike with \
             row_number() OVER (PARTITION BY ...) on both sides, and use INTERSECT or EXCEPT",
        ),
        SetExpr::SetOperation { left, right, .. } => {
            body(left)?;
            body(right)
        }
        SetExpr::Select(select) => select.from.iter().try_for_each(tables),
        _ => ControlFlow::Continue(()),
    }
}

fn tables(from: &TableWithJoins) -> ControlFlow<&'static str> {
    factor(&from.relation)?;
    from.joins.iter().try_for_each(|join| {
        let constraint = match &join.join_operator {
            JoinOperator::Right(constraint)
            | JoinOperator::RightOuter(constraint)
            | JoinOperator::FullOuter(constraint) => Some(constraint),
            _ => None,
        };
        if let Some(JoinConstraint::Using(_) | JoinConstraint::Natural) = constraint {
            return ControlFlow::Break(
                "RIGHT and FULL JOIN with USING, or NATURAL, are not supported; write \
                 ON a.k = b.k, and coalesce(a.k, b.k) for the column of both",
            );
        }
        factor(&join.relation)
    })
}

fn factor(relation: &TableFactor) -> ControlFlow<&'static str> {
    match relation {
        TableFactor::NestedJoin { table_with_joins, .. } => tables(table_with_joins),
        _ => ControlFlow::Continue(()),
    }
}
