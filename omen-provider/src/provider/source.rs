//! The Parquet half of a scan: DataFusion's own Parquet source, with a line in EXPLAIN.
//!
//! Everything is passed on to DataFusion's `ParquetSource`
//! and what comes back is wrapped again, so that pushed-down projections, filters, limits, sort
//! orders and the filters that joins make while running all reach the reader. Which rows to read
//! is decided before, by `scan`, and travels with each file as its access plan and its mask.
//!
//! The boundary moves between DataFusion versions; all of it is in this file and in `masking`.

use std::fmt::{self, Formatter};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileOpener, FileScanConfig, FileSource};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::Result;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_expr::{EquivalenceProperties, LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::filter_pushdown::{FilterPushdownPropagation, PushedDown};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::{DisplayFormatType, PhysicalExpr, SortOrderPushdownResult};
use datafusion_datasource::morsel::Morselizer;
use object_store::ObjectStore;

use super::explain::ScanSummary;
use super::masking::MaskingMorselizer;

/// Reads the selected rows of segments.
#[derive(Clone)]
pub(super) struct SegmentSource {
    inner: Arc<dyn FileSource>,
    summary: Arc<ScanSummary>,
}

impl SegmentSource {
    /// `inner` is DataFusion's Parquet source.
    pub(super) fn new(inner: Arc<dyn FileSource>, summary: Arc<ScanSummary>) -> Self {
        Self { inner, summary }
    }

    /// What the scan reads.
    pub(super) fn summary(&self) -> &Arc<ScanSummary> {
        &self.summary
    }

    fn wrap(&self, inner: Arc<dyn FileSource>) -> Arc<dyn FileSource> {
        Arc::new(Self { inner, summary: Arc::clone(&self.summary) })
    }
}

impl FileSource for SegmentSource {
    fn create_file_opener(
        &self,
        store: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        partition: usize,
    ) -> Result<Arc<dyn FileOpener>> {
        self.inner.create_file_opener(store, config, partition)
    }

    fn create_morselizer(
        &self,
        store: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        partition: usize,
    ) -> Result<Box<dyn Morselizer>> {
        MaskingMorselizer::create(&self.inner, store, config, partition)
    }

    fn table_schema(&self) -> &TableSchema {
        self.inner.table_schema()
    }

    fn with_batch_size(&self, batch_size: usize) -> Arc<dyn FileSource> {
        self.wrap(self.inner.with_batch_size(batch_size))
    }

    fn filter(&self) -> Option<Arc<dyn PhysicalExpr>> {
        self.inner.filter()
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        self.inner.projection()
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        self.inner.metrics()
    }

    fn file_type(&self) -> &str {
        self.inner.file_type()
    }

    fn fmt_extra(&self, format: DisplayFormatType, f: &mut Formatter<'_>) -> fmt::Result {
        self.summary.write(format, f)?;
        self.inner.fmt_extra(format, f)
    }

    /// Partitions are cut by selected rows when the scan is planned; bytes of a file say little
    /// about the rows that are read from it.
    fn supports_repartitioning(&self) -> bool {
        false
    }

    fn repartitioned(
        &self,
        _target_partitions: usize,
        _file_min_size: usize,
        _output_ordering: Option<LexOrdering>,
        _config: &FileScanConfig,
    ) -> Result<Option<FileScanConfig>> {
        Ok(None)
    }

    fn try_pushdown_filters(
        &self,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn FileSource>>> {
        let schema = Arc::clone(self.table_schema().table_schema());
        let may_prune: Vec<bool> =
            filters.iter().map(|filter| !reads_floats(filter, &schema)).collect();
        let asked = filters.into_iter().zip(&may_prune).filter(|(_, may_prune)| **may_prune);
        let asked = asked.map(|(filter, _)| filter).collect();
        let pushed = self.inner.try_pushdown_filters(asked, config)?;
        let mut answers = pushed.filters.into_iter();
        let answer = |may_prune: bool| match may_prune {
            true => answers.next().unwrap_or(PushedDown::No),
            false => PushedDown::No,
        };
        Ok(FilterPushdownPropagation {
            filters: may_prune.into_iter().map(answer).collect(),
            updated_node: pushed.updated_node.map(|inner| self.wrap(inner)),
        })
    }

    fn try_pushdown_sort(
        &self,
        order: &[PhysicalSortExpr],
        properties: &EquivalenceProperties,
    ) -> Result<SortOrderPushdownResult<Arc<dyn FileSource>>> {
        Ok(self.inner.try_pushdown_sort(order, properties)?.map(|inner| self.wrap(inner)))
    }

    fn reorder_files(&self, files: Vec<PartitionedFile>) -> Vec<PartitionedFile> {
        self.inner.reorder_files(files)
    }

    fn try_pushdown_projection(
        &self,
        projection: &ProjectionExprs,
    ) -> Result<Option<Arc<dyn FileSource>>> {
        let pushed = self.inner.try_pushdown_projection(projection)?;
        Ok(pushed.map(|inner| self.wrap(inner)))
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.inner.apply_expressions(f)
    }
}

/// Whether a filter is about a column of floats. Parquet's statistics leave NaN out, which is above
/// all other numbers in a comparison: by them, rows would be skipped that are to be found.
fn reads_floats(filter: &Arc<dyn PhysicalExpr>, schema: &SchemaRef) -> bool {
    let mut found = false;
    // Nothing of it fails.
    let _ = filter.apply(|part| {
        let column = part.downcast_ref::<Column>();
        let field = column.and_then(|column| schema.field_with_name(column.name()).ok());
        found |= field.is_some_and(|field| field.data_type().is_floating());
        Ok(TreeNodeRecursion::Continue)
    });
    found
}
