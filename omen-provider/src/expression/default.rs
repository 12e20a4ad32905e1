//! DEFAULT: an expression that refers to no column, parsed when a table is resolved.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, ExprSchemable};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::sql::sqlparser::dialect::GenericDialect;

use super::{FUNCTIONS, guard};
use crate::error::Error;

/// The expression of a DEFAULT; it refers to no column. The text may come from a file.
pub(crate) fn parse_default(sql: &str) -> Result<Expr> {
    guard::tokens(sql, &GenericDialect {})?;
    guard::with_stack(|| FUNCTIONS.create_logical_expr(sql, &DFSchema::empty()))
}

/// Refuses a DEFAULT that cannot be parsed or does not give a value of the column's type.
pub(crate) fn check_default(column: &str, data_type: &DataType, sql: &str) -> Result<()> {
    default_value(column, data_type, sql).map(drop)
}

/// What a DEFAULT gives now.
///
/// # Errors
/// As [`check_default`].
pub(crate) fn default_value(column: &str, data_type: &DataType, sql: &str) -> Result<ScalarValue> {
    let evaluate = || {
        let schema = DFSchema::empty();
        let value = parse_default(sql)?.cast_to(data_type, &schema)?;
        // Functions such as now() get their value here, as they do when a statement is planned.
        let context = SimplifyContext::builder().with_schema(Arc::new(schema.clone()));
        let simplifier = ExprSimplifier::new(context.with_current_time().build());
        let value = simplifier.simplify(value)?;
        let options = RecordBatchOptions::new().with_row_count(Some(1));
        let one_row =
            RecordBatch::try_new_with_options(Schema::empty().into(), Vec::new(), &options)?;
        let value = FUNCTIONS.create_physical_expr(value, &schema)?.evaluate(&one_row)?;
        ScalarValue::try_from_array(value.into_array(1)?.as_ref(), 0)
    };
    guard::with_stack(evaluate).map_err(|error| {
        let reason = error.strip_backtrace();
        Error::invalid(format!("the DEFAULT {sql} of column \"{column}\": {reason}")).into()
    })
}
