//! The rows of an INSERT: NULL in VALUES is refused by the engine, in its words; values for a
//! column that is GENERATED ALWAYS are refused here.
//!
//! DataFusion gives the rows of VALUES the nullability of the table's columns and so fails on a
//! NULL where none may be, naming `column2`. This analyzer rule lets such rows have NULLs; the
//! engine, which checks all rows anyway, then names the table's column.
//!
//! Installed beside [`super::pin`].

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{DmlStatement, LogicalPlan, WriteOp};
use datafusion::optimizer::AnalyzerRule;

use super::identity::refuse_given;
use super::table_provider::OmenTable;

/// Lets the VALUES of an INSERT into a table of a database have NULLs.
#[derive(Debug)]
pub(super) struct NullableValues;

impl AnalyzerRule for NullableValues {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let is_insert = |dml: &DmlStatement| {
            matches!(dml.op, WriteOp::Insert(_))
                && source_as_provider(&dml.target).is_ok_and(|p| p.is::<OmenTable>())
        };
        match plan {
            LogicalPlan::Dml(mut dml) if is_insert(&dml) => {
                if let Some(table) = source_as_provider(&dml.target)?.downcast_ref::<OmenTable>() {
                    refuse_given(table, &dml.input)?;
                }
                let input = Arc::unwrap_or_clone(dml.input);
                dml.input = Arc::new(allowing_nulls(input)?);
                Ok(LogicalPlan::Dml(dml))
            }
            other => Ok(other),
        }
    }

    fn name(&self) -> &'static str {
        "nullable_values"
    }
}

/// The rows of an INSERT, where NULL may be in VALUES.
pub(super) fn allowing_nulls(rows: LogicalPlan) -> Result<LogicalPlan> {
    Ok(rows.transform_up(allow_nulls)?.data)
}

fn allow_nulls(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    match node {
        LogicalPlan::Values(mut values) => {
            let fields = values.schema.iter().map(|(qualifier, field)| {
                (qualifier.cloned(), Arc::new(field.as_ref().clone().with_nullable(true)))
            });
            let metadata = values.schema.metadata().clone();
            values.schema =
                Arc::new(DFSchema::new_with_metadata(fields.collect::<Vec<_>>(), metadata)?);
            Ok(Transformed::yes(LogicalPlan::Values(values)))
        }
        other => Ok(Transformed::yes(other.recompute_schema()?)),
    }
}
