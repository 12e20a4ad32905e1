//! From a snapshot and filters to a physical plan.
//!
//! 1. `filter` turns the filters into key ranges.
//! 2. The snapshot turns these into live row positions of segments (asking their indexes) and live
//!    rows of runs.
//! 3. Positions become Parquet access plans, cut into partitions by rows, where much is deleted
//!    with a mask beside; rows of runs are gathered into a memory source; both stand under a union.
//!
//! Live rows are disjoint by key, so a union is all it takes: every filter, limit and projection
//! may be pushed below it, and row counts are exact. Where each partition ascends by key, the
//! order is declared, and ORDER BY key costs a merge instead of a sort.
//!
//! A plan may be executed more than once. DataFusion shares a queue of files among the partitions
//! of a file scan, which the first execution would leave empty; a declared partitioning turns the
//! queue off.

use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::catalog::{ScanArgs, Session};
use datafusion::common::Statistics;
use datafusion::common::config::TableParquetOptions;
use datafusion::common::stats::Precision;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::memory::{DataSourceExec, MemorySourceConfig};
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::error::Result;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{ExecutionPlan, Partitioning};

use super::access_plan::access_plan;
use super::explain::ScanSummary;
use super::filter::{select_entries, select_keys};
use super::masking::MaskedRows;
use super::missing_columns::MissingColumns;
use super::reader_factory::{SegmentOfFile, SegmentReaderFactory};
use super::run_source::RunSource;
use super::source::SegmentSource;
use crate::storage::index_choice::FirstRows;
use crate::storage::row_ranges::RowRanges;
use crate::storage::run::RunScan;
use crate::storage::schema::TableSchema;
use crate::storage::snapshot::{ScanSet, SegmentScan, TableSnapshot};

/// Selected rows that make a partition of their own worth its cost.
const PARTITION_ROWS_MIN: u64 = 32_768;

/// Segments up to which each is read in key order by a partition of its own.
const ORDERED_PARTS_MAX: usize = 32;

/// The plan that reads the rows of `table`, of its first `columns`, that `args` asks for, and
/// possibly more rows of those filters that were not promised as exact. Without filters, no more
/// than the `first` rows are needed.
pub(super) async fn plan_scan(
    table: &TableSnapshot,
    columns: &SchemaRef,
    first: Option<FirstRows>,
    state: &dyn Session,
    args: &ScanArgs<'_>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let filters = args.filters().unwrap_or_default();
    let selection = select_keys(filters, table.schema());
    let (set, probed) = match first.filter(|_| filters.is_empty()) {
        Some(first) => {
            let text = if first.descending { "last" } else { "first" };
            let probed = vec![(first.index, format!("{text} {}", first.count))];
            (table.select_first(first).await?, probed)
        }
        None => {
            let (probes, texts): (Vec<_>, Vec<_>) =
                select_entries(filters, table.schema()).into_iter().unzip();
            let set = table.select_by(selection.ranges.as_deref(), &probes).await?;
            (set, probes.iter().map(|probe| probe.index).zip(texts).collect())
        }
    };
    let summary = Arc::new(ScanSummary::new(table.schema(), &selection, probed, &set));
    let scan = Scan { schema: table.schema(), columns, state, args, summary };
    let ScanSet { segments, runs, .. } = set;
    let has_segments = !segments.is_empty();
    let mut leaves = Vec::new();
    if has_segments {
        leaves.push(scan.segments(&segments)?);
    }
    if !runs.is_empty() || !has_segments {
        leaves.push(scan.runs(runs, has_segments)?);
    }
    match leaves.pop() {
        Some(only) if leaves.is_empty() => Ok(only),
        last => UnionExec::try_new(leaves.into_iter().chain(last).collect()),
    }
}

struct Scan<'a> {
    schema: &'a Arc<TableSchema>,
    columns: &'a SchemaRef,
    state: &'a dyn Session,
    args: &'a ScanArgs<'a>,
    summary: Arc<ScanSummary>,
}

impl Scan<'_> {
    fn projection(&self) -> Option<Vec<usize>> {
        self.args.projection().map(<[usize]>::to_vec)
    }

    /// Ascending by key, up to a float before the last key column: the encoding takes minus zero
    /// for zero, DataFusion orders one before the other. `None` if the key is hidden. Columns are
    /// those of the visible schema.
    fn key_order(&self) -> Option<LexOrdering> {
        if self.schema.hidden_key {
            return None;
        }
        let options = SortOptions { descending: false, nulls_first: false };
        let key = &self.schema.key;
        let is_float = |index: usize| self.schema.columns[index].field.data_type().is_floating();
        let float = key[..key.len() - 1].iter().position(|&index| is_float(index));
        LexOrdering::new(key[..float.unwrap_or(key.len())].iter().map(|&index| {
            let name = self.schema.columns[index].field.name();
            PhysicalSortExpr::new(Arc::new(Column::new(name, index)), options)
        }))
    }

    fn segments(&self, segments: &[SegmentScan]) -> Result<Arc<dyn ExecutionPlan>> {
        let global = self.state.config_options().execution.parquet.clone();
        let options = TableParquetOptions { global, ..Default::default() };
        let parquet = ParquetSource::new(Arc::clone(self.columns))
            .with_table_parquet_options(options)
            .with_enable_page_index(true)
            .with_bloom_filter_on_read(false)
            .with_parquet_file_reader_factory(Arc::new(SegmentReaderFactory));
        let source = SegmentSource::new(Arc::new(parquet), Arc::clone(&self.summary));
        let partitions = self.state.config_options().execution.target_partitions;
        let (groups, is_ordered) = file_groups(segments, partitions);
        let rows: u64 = segments.iter().map(|s| s.rows.count()).sum();
        let mut config =
            FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), Arc::new(source))
                .with_limit(self.args.limit())
                .with_statistics(self.statistics(rows, segments))
                .with_output_partitioning(Some(Partitioning::UnknownPartitioning(groups.len())))
                .with_file_groups(groups)
                .with_projection_indices(self.projection())?;
        if let Some(adapter) = MissingColumns::of(self.schema)? {
            config = config.with_expr_adapter(Some(Arc::new(adapter)));
        }
        if let (true, Some(order)) = (is_ordered, self.key_order()) {
            config = config.with_output_ordering(vec![order]);
        }
        Ok(DataSourceExec::from_data_source(config.build()))
    }

    fn statistics(&self, rows: u64, segments: &[SegmentScan]) -> Statistics {
        let mut statistics = Statistics::new_unknown(self.columns);
        statistics.num_rows = Precision::Exact(to_usize(rows));
        let stored: u64 = segments.iter().map(|s| s.segment.record().bytes).sum();
        let all: u64 = segments.iter().map(|s| u64::from(s.segment.rows())).sum();
        let share = u128::from(stored) * u128::from(rows) / u128::from(all.max(1));
        statistics.total_byte_size = Precision::Inexact(usize::try_from(share).unwrap_or(0));
        statistics
    }

    /// Only what the query needs is gathered: of the selected rows the projected columns, and no
    /// more rows than the limit.
    fn runs(&self, runs: Vec<RunScan>, beside_segments: bool) -> Result<Arc<dyn ExecutionPlan>> {
        let all = self.columns;
        let columns = self.projection().unwrap_or_else(|| (0..all.fields().len()).collect());
        let schema = Arc::new(all.project(&columns)?);
        let mut partitions = Vec::with_capacity(runs.len());
        let is_ordered = runs.iter().all(RunScan::is_in_key_order);
        for run in runs {
            let wanted = run.first(self.args.limit().unwrap_or(usize::MAX));
            let batches = wanted.into_batches(Some(columns.clone()));
            partitions.push(batches.map(|b| as_visible(&b?, &schema)).collect::<Result<Vec<_>>>()?);
        }
        if partitions.is_empty() {
            partitions.push(Vec::new());
        }
        let mut source =
            MemorySourceConfig::try_new(&partitions, schema, None)?.with_limit(self.args.limit());
        if let Some(order) = self.key_order().and_then(|order| projected(order, &columns))
            && is_ordered
        {
            source = source.try_with_sort_information(vec![order])?;
        }
        let summary = (!beside_segments).then(|| Arc::clone(&self.summary));
        Ok(DataSourceExec::from_data_source(RunSource::new(source, summary)))
    }
}

/// As much of an order as the projected columns have, which they are the indices of.
fn projected(order: LexOrdering, columns: &[usize]) -> Option<LexOrdering> {
    let place = |sort: PhysicalSortExpr| {
        let column = sort.expr.downcast_ref::<Column>()?;
        let index = columns.iter().position(|&index| index == column.index())?;
        Some(PhysicalSortExpr::new(Arc::new(Column::new(column.name(), index)), sort.options))
    };
    LexOrdering::new(order.into_iter().map_while(place))
}

/// Rows of a run as SQL sees them: without stored metadata.
fn as_visible(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let columns = batch.columns().to_vec();
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

/// Segments cut into partitions of about equally many rows to decode; whether every partition
/// ascends by key.
fn file_groups(segments: &[SegmentScan], partitions: usize) -> (Vec<FileGroup>, bool) {
    let rows: u64 = segments.iter().map(|s| s.rows.decoded().row_count()).sum();
    let partitions = (rows / PARTITION_ROWS_MIN).clamp(1, partitions.max(1) as u64);
    let quota = rows.div_ceil(partitions);
    let files: Vec<(u64, PartitionedFile)> =
        segments.iter().flat_map(|scan| segment_files(scan, quota)).collect();
    if segments.len() <= ORDERED_PARTS_MAX {
        return (files.into_iter().map(|(_, file)| FileGroup::new(vec![file])).collect(), true);
    }
    let mut groups = Vec::new();
    let (mut group, mut group_rows) = (Vec::new(), 0);
    for (rows, file) in files {
        group_rows += rows;
        group.push(file);
        if group_rows >= quota {
            groups.push(FileGroup::new(std::mem::take(&mut group)));
            group_rows = 0;
        }
    }
    if !group.is_empty() {
        groups.push(FileGroup::new(group));
    }
    (groups, false)
}

/// One segment as files of about `quota` rows to decode, each with its access plan.
fn segment_files(scan: &SegmentScan, quota: u64) -> Vec<(u64, PartitionedFile)> {
    let decoded = scan.rows.decoded();
    let pieces = (decoded.row_count() + quota / 2) / quota.max(1);
    let page_rows = scan.segment.record().page_rows;
    cut(decoded, pieces.max(1), page_rows)
        .into_iter()
        .map(|rows| {
            let record = scan.segment.record();
            let mut file = PartitionedFile::new(record.file_name(), record.bytes)
                .with_extension(access_plan(&scan.segment, &rows))
                .with_extension(SegmentOfFile(Arc::clone(&scan.segment)));
            let row_count = rows.row_count();
            if let Some(mask) = scan.rows.mask() {
                file = file.with_extension(MaskedRows { rows, mask: mask.clone() });
            }
            (row_count, file)
        })
        .collect()
}

/// Cuts positions into `pieces` of about equal size, at page boundaries.
fn cut(rows: &RowRanges, pieces: u64, page_rows: u32) -> Vec<RowRanges> {
    if pieces <= 1 {
        return vec![rows.clone()];
    }
    let quota = rows.row_count().div_ceil(pieces);
    let page = page_rows.max(1);
    let (mut out, mut piece, mut piece_rows) = (Vec::new(), Vec::new(), 0u64);
    for mut range in rows.iter() {
        while range.start < range.end {
            let wanted = u32::try_from(quota - piece_rows).unwrap_or(u32::MAX);
            let end = range.start.saturating_add(wanted).div_ceil(page).saturating_mul(page);
            let end = end.min(range.end);
            piece_rows += u64::from(end - range.start);
            piece.push(range.start..end);
            range.start = end;
            if piece_rows >= quota {
                out.push(std::mem::take(&mut piece).into_iter().collect());
                piece_rows = 0;
            }
        }
    }
    if !piece.is_empty() {
        out.push(piece.into_iter().collect());
    }
    out
}

fn to_usize(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
