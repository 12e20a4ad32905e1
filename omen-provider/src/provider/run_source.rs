//! The in-memory half of a scan: the selected rows of runs.
//!
//! DataFusion's memory source, with a line in EXPLAIN when no segment is read beside it. Not
//! divided further: runs are small, and dividing would lose limit and order.

use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;

use datafusion::common::Statistics;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::source::DataSource;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_plan::execution_plan::SchedulingType;
use datafusion::physical_plan::{DisplayFormatType, Partitioning, PhysicalExpr};

use super::explain::ScanSummary;

/// Reads the selected rows of runs.
#[derive(Debug, Clone)]
pub(super) struct RunSource {
    inner: MemorySourceConfig,
    summary: Option<Arc<ScanSummary>>,
}

impl RunSource {
    /// `summary` if this is the scan's only source.
    pub(super) fn new(inner: MemorySourceConfig, summary: Option<Arc<ScanSummary>>) -> Self {
        Self { inner, summary }
    }

    /// What the scan reads, if this is its only source.
    pub(super) fn summary(&self) -> Option<&Arc<ScanSummary>> {
        self.summary.as_ref()
    }

    /// The same source around what `inner` became.
    fn wrap(&self, inner: Arc<dyn DataSource>) -> Option<Arc<dyn DataSource>> {
        let inner = inner.downcast_ref::<MemorySourceConfig>()?.clone();
        Some(Arc::new(Self { inner, summary: self.summary.clone() }))
    }
}

impl DataSource for RunSource {
    fn open(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        self.inner.open(partition, context)
    }

    fn fmt_as(&self, format: DisplayFormatType, f: &mut Formatter<'_>) -> fmt::Result {
        if !matches!(format, DisplayFormatType::TreeRender) {
            write!(f, "runs, ")?;
        }
        self.inner.fmt_as(format, f)?;
        self.summary.as_ref().map_or(Ok(()), |summary| summary.write(format, f))
    }

    fn output_partitioning(&self) -> Partitioning {
        self.inner.output_partitioning()
    }

    fn eq_properties(&self) -> EquivalenceProperties {
        self.inner.eq_properties()
    }

    fn scheduling_type(&self) -> SchedulingType {
        self.inner.scheduling_type()
    }

    fn partition_statistics(&self, partition: Option<usize>) -> Result<Arc<Statistics>> {
        self.inner.partition_statistics(partition)
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn DataSource>> {
        self.inner.with_fetch(limit).and_then(|inner| self.wrap(inner))
    }

    fn fetch(&self) -> Option<usize> {
        self.inner.fetch()
    }

    fn try_swapping_with_projection(
        &self,
        projection: &ProjectionExprs,
    ) -> Result<Option<Arc<dyn DataSource>>> {
        let swapped = self.inner.try_swapping_with_projection(projection)?;
        Ok(swapped.and_then(|inner| self.wrap(inner)))
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.inner.apply_expressions(f)
    }
}
