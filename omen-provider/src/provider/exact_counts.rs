//! EXPLAIN's line for scans that are answered without reading.
//!
//! DataFusion answers `count(*)` from a scan's exact row count and puts a row of nothing in the
//! place of the scan. This physical optimizer rule goes around DataFusion's own: where that does so
//! for scans of ours, the row of nothing says what was counted.
//!
//! Installed by `register` and by every session.

use std::fmt::{self, Formatter};
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::placeholder_row::PlaceholderRowExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr,
    PlanProperties, ReplaceChildrenOptions,
};

use super::explain::ScanSummary;
use super::run_source::RunSource;
use super::source::SegmentSource;

/// The rules of a session.
type Rules = Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>>;

/// The name of DataFusion's rule.
const AGGREGATE_STATISTICS: &str = "aggregate_statistics";

/// `rules` with DataFusion's rule wrapped; `None` if that is not among them, or wrapped already.
pub(super) fn with_summaries(rules: &Rules) -> Option<Rules> {
    let index = rules.iter().position(|rule| rule.name() == AGGREGATE_STATISTICS)?;
    let mut rules = rules.clone();
    let inner = Arc::clone(&rules[index]);
    rules[index] = Arc::new(SummarizedStatistics { inner });
    Some(rules)
}

/// DataFusion's rule, and what it counted.
#[derive(Debug)]
struct SummarizedStatistics {
    inner: Arc<dyn PhysicalOptimizerRule + Send + Sync>,
}

impl PhysicalOptimizerRule for SummarizedStatistics {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if plan.is::<AggregateExec>() {
            let answered = self.inner.optimize(Arc::clone(&plan), config)?;
            if let Some(projection) = answered.downcast_ref::<ProjectionExec>()
                && projection.input().is::<PlaceholderRowExec>()
            {
                let mut summaries = Vec::new();
                collect(&plan, &mut summaries);
                if summaries.is_empty() {
                    return Ok(answered);
                }
                let inner = Arc::clone(projection.input());
                let counted = vec![Arc::new(CountedExec { inner, summaries }) as Arc<_>];
                let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
                return answered.replace_children(counted, options);
            }
        }
        plan.map_children(|child| self.optimize(child, config).map(Transformed::yes)).data()
    }

    fn name(&self) -> &'static str {
        "summarized_statistics"
    }

    /// As DataFusion's rule, which turns counts into literals.
    fn schema_check(&self) -> bool {
        false
    }
}

/// The summaries of all scans in `plan`.
fn collect(plan: &Arc<dyn ExecutionPlan>, summaries: &mut Vec<Arc<ScanSummary>>) {
    if let Some(scan) = plan.downcast_ref::<DataSourceExec>() {
        let segments = scan.downcast_to_file_source::<SegmentSource>().map(|(_, s)| s.summary());
        let runs = scan.data_source().downcast_ref::<RunSource>();
        let runs = || runs.and_then(RunSource::summary);
        summaries.extend(segments.or_else(runs).cloned());
    }
    plan.children().into_iter().for_each(|child| collect(child, summaries));
}

/// One row without values, in the place of scans that need not be read.
#[derive(Debug)]
struct CountedExec {
    inner: Arc<dyn ExecutionPlan>,
    summaries: Vec<Arc<ScanSummary>>,
}

impl DisplayAs for CountedExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut Formatter<'_>) -> fmt::Result {
        if !matches!(format, DisplayFormatType::TreeRender) {
            write!(f, "CountedExec: nothing to read")?;
        }
        self.summaries.iter().try_for_each(|summary| summary.write(format, f))
    }
}

impl ExecutionPlan for CountedExec {
    fn name(&self) -> &'static str {
        "CountedExec"
    }

    /// For everyone else it is the row that DataFusion put there.
    fn downcast_delegate(&self) -> Option<&dyn ExecutionPlan> {
        Some(self.inner.as_ref())
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.inner.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn replace_children(
        self: Arc<Self>,
        _children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(
        self: Arc<Self>,
        _children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        self.inner.execute(partition, context)
    }
}
