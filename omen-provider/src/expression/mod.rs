//! The expressions of a table's definition: DEFAULT and CHECK, kept as SQL text.
//!
//! Knows DataFusion's parser, planner and expressions, and rows as Arrow has them; nothing of files
//! or tables. So the engine, which does not know DataFusion, can have its rows checked. Called by
//! the engine and the provider.

pub(crate) mod guard;

pub(crate) mod default;

pub(crate) mod check;

use std::ops::ControlFlow;
use std::sync::LazyLock;

use datafusion::execution::SessionState;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::sql::sqlparser::ast::{Expr, visit_expressions};

/// DataFusion's own functions: what an expression may call in every session.
static FUNCTIONS: LazyLock<SessionState> =
    LazyLock::new(|| SessionStateBuilder::new_with_default_features().build());

/// Whether an expression looks at rows of a query of its own.
pub(crate) fn has_subquery(expression: &Expr) -> bool {
    let found = visit_expressions(expression, |part| match part {
        Expr::Subquery(_) | Expr::InSubquery { .. } | Expr::Exists { .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}
