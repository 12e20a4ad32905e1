//! Joins whose smaller side does not fit into memory.
//!
//! A hash join keeps the whole of its left side in memory and cannot spill. Where that side is
//! expected to take more than a part of what queries may hold, this physical optimizer rule puts a
//! sort-merge join in its place, which reads both sides in order: sorted, with spill files if need
//! be, or as they are, where a table is joined by its key.
//!
//! Installed by every session, right behind DataFusion's choice of sides, when neither order nor
//! partitioning is arranged yet. Invariant: the plan gives the same rows.

use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::Schema;
use datafusion::common::Statistics;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::{HashJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};

use super::query_pool::QueryPool;

/// The rules of a session.
type Rules = Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>>;

/// The rule behind which this one stands.
const JOIN_SELECTION: &str = "join_selection";

/// A hash join may be expected to take this part of the memory of queries.
const HASH_SHARE: usize = 4;

/// What a row costs in a hash table, and a value of unknown length.
const ROW_BYTES: usize = 24;
const VALUE_BYTES: usize = 32;

/// `rules` with this one, for queries that share `pool`.
pub(super) fn with_large_joins(mut rules: Rules, pool: Arc<QueryPool>) -> Rules {
    let found = rules.iter().position(|rule| rule.name() == JOIN_SELECTION);
    if let Some(index) = found {
        rules.insert(index + 1, Arc::new(LargeJoins { pool }));
    }
    rules
}

#[derive(Debug)]
struct LargeJoins {
    pool: Arc<QueryPool>,
}

impl PhysicalOptimizerRule for LargeJoins {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let most = self.pool.limit() / HASH_SHARE;
        let change = |plan: Arc<dyn ExecutionPlan>| match plan.downcast_ref::<HashJoinExec>() {
            Some(join) if is_larger(join.left(), most) && !join.null_aware => {
                Ok(merging(join)?.map_or_else(|| Transformed::no(plan), Transformed::yes))
            }
            _ => Ok(Transformed::no(plan)),
        };
        plan.transform_up(change).data()
    }

    fn name(&self) -> &'static str {
        "large_joins"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The same join by merging; `None` if it has come to choose its columns too.
fn merging(join: &HashJoinExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if join.contains_projection() {
        return Ok(None);
    }
    let merge = SortMergeJoinExec::try_new(
        Arc::clone(join.left()),
        Arc::clone(join.right()),
        join.on().to_vec(),
        join.filter().cloned(),
        *join.join_type(),
        vec![SortOptions::default(); join.on().len()],
        join.null_equality(),
    )?;
    Ok(Some(Arc::new(merge)))
}

/// Whether the rows of a plan are expected to take more than `most` bytes in a hash table.
fn is_larger(plan: &Arc<dyn ExecutionPlan>, most: usize) -> bool {
    let computed = StatisticsContext::new().compute(plan.as_ref(), &StatisticsArgs::new());
    computed.is_ok_and(|statistics| bytes_expected(&statistics, &plan.schema()) > most)
}

fn bytes_expected(statistics: &Statistics, schema: &Schema) -> usize {
    let width = |field: &Arc<_>| {
        let field: &arrow::datatypes::Field = field;
        field.data_type().primitive_width().unwrap_or(VALUE_BYTES)
    };
    let row: usize = schema.fields().iter().map(width).sum::<usize>() + ROW_BYTES;
    let rows = statistics.num_rows.get_value().copied().unwrap_or(0);
    let stored = statistics.total_byte_size.get_value().copied().unwrap_or(0);
    stored.max(rows.saturating_mul(row))
}
