//! Deleted rows thrown away as soon as they are decoded.
//!
//! Where much of a segment is deleted in short gaps, its file carries a mask. Such a file is opened
//! by a Parquet source that gives one more column, each row's position in the file; the mask is
//! applied by these positions, whatever pages, row groups and rows the reader left out, and the
//! column is dropped. Row counts, limits and filters above see live rows only.
//!
//! The Parquet reader below must not stop at the limit, which counts live rows; so that a small
//! limit still reads little, the rows to decode are cut where the mask has enough of them.
//!
//! Called by `source`, once per partition and per file.

use std::fmt;
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::Int64Type;
use arrow::record_batch::RecordBatch;
use datafusion::common::internal_datafusion_err;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileScanConfig, FileSource};
use datafusion::error::Result;
use datafusion::functions::core::file_row_index;
use datafusion::physical_expr::ScalarFunctionExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::projection::{ProjectionExpr, ProjectionExprs};
use datafusion_datasource::morsel::{Morsel, MorselPlan, MorselPlanner, Morselizer};
use futures::stream::{BoxStream, StreamExt};
use object_store::ObjectStore;

use super::access_plan::access_plan;
use super::reader_factory::SegmentOfFile;
use crate::storage::live_rows::RowMask;
use crate::storage::row_ranges::RowRanges;

/// The rows to decode of a file and which of them are live, kept as the file's extension.
#[derive(Debug, Clone)]
pub(super) struct MaskedRows {
    pub(super) rows: RowRanges,
    pub(super) mask: RowMask,
}

/// Opens files with and without masks.
pub(super) struct MaskingMorselizer {
    /// For files without.
    plain: Box<dyn Morselizer>,
    /// For files with a mask: gives the position of each row behind its columns.
    positioned: Box<dyn Morselizer>,
    /// Live rows of a file that are enough.
    limit: Option<usize>,
}

impl MaskingMorselizer {
    /// `source`, DataFusion's Parquet source, for the files of `config`.
    pub(super) fn create(
        source: &Arc<dyn FileSource>,
        store: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        partition: usize,
    ) -> Result<Box<dyn Morselizer>> {
        let plain = source.create_morselizer(Arc::clone(&store), config, partition)?;
        let mut files = config.file_groups.iter().flat_map(|group| group.files());
        if !files.any(|file| file.extension::<MaskedRows>().is_some()) {
            return Ok(plain);
        }
        let mut unlimited = config.clone();
        unlimited.limit = None;
        let positioned = with_positions(source)?.create_morselizer(store, &unlimited, partition)?;
        // Rows that a filter of the source lets through cannot be counted here.
        let limit = config.limit.filter(|_| source.filter().is_none());
        Ok(Box::new(Self { plain, positioned, limit }))
    }
}

/// `source` with one more column: the position of the row in its file.
fn with_positions(source: &Arc<dyn FileSource>) -> Result<Arc<dyn FileSource>> {
    let unable = || internal_datafusion_err!("a Parquet source gives no row positions");
    let projection = source.projection().ok_or_else(unable)?;
    let column = |(index, projected): (usize, &ProjectionExpr)| {
        let name = projected.alias.clone();
        ProjectionExpr::new(Arc::new(Column::new(&name, index)), name)
    };
    let mut columns: Vec<_> = projection.iter().enumerate().map(column).collect();
    let position = ScalarFunctionExpr::try_new(
        file_row_index(),
        Vec::new(),
        source.table_schema().table_schema(),
        Arc::default(),
    )?;
    columns.push(ProjectionExpr::new(Arc::new(position), "file_row_index"));
    source.try_pushdown_projection(&ProjectionExprs::new(columns))?.ok_or_else(unable)
}

impl fmt::Debug for MaskingMorselizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MaskingMorselizer").field("plain", &self.plain).finish_non_exhaustive()
    }
}

impl Morselizer for MaskingMorselizer {
    fn plan_file(&self, file: PartitionedFile) -> Result<Box<dyn MorselPlanner>> {
        let Some(MaskedRows { rows, mask }) = file.extension::<MaskedRows>() else {
            return self.plain.plan_file(file);
        };
        let mask = mask.clone();
        let shortened = match (self.limit, file.extension::<SegmentOfFile>()) {
            (Some(limit), Some(segment)) => Some(access_plan(&segment.0, &mask.first(rows, limit))),
            _ => None,
        };
        let file = match shortened {
            Some(plan) => file.with_extension(plan),
            None => file,
        };
        Ok(Box::new(Masked { inner: self.positioned.plan_file(file)?, mask }))
    }
}

/// A planner or a morsel of a file with a mask.
#[derive(Debug)]
struct Masked<T> {
    inner: T,
    mask: RowMask,
}

impl Masked<Box<dyn MorselPlanner>> {
    fn planner(inner: Box<dyn MorselPlanner>, mask: RowMask) -> Box<dyn MorselPlanner> {
        Box::new(Self { inner, mask })
    }
}

impl MorselPlanner for Masked<Box<dyn MorselPlanner>> {
    fn plan(self: Box<Self>) -> Result<Option<MorselPlan>> {
        let mask = self.mask;
        let Some(mut plan) = self.inner.plan()? else { return Ok(None) };
        let morsels = plan.take_morsels().into_iter();
        let planners = plan.take_ready_planners().into_iter();
        let masked = |inner| -> Box<dyn Morsel> { Box::new(Masked { inner, mask: mask.clone() }) };
        let planner = |inner| Masked::planner(inner, mask.clone());
        let mut masked = MorselPlan::new()
            .with_morsels(morsels.map(masked).collect())
            .with_planners(planners.map(planner).collect());
        if let Some(pending) = plan.take_pending_planner() {
            masked.set_pending_planner(async move { Ok(Masked::planner(pending.await?, mask)) });
        }
        Ok(Some(masked))
    }
}

impl Morsel for Masked<Box<dyn Morsel>> {
    fn into_stream(self: Box<Self>) -> BoxStream<'static, Result<RecordBatch>> {
        let mask = self.mask;
        self.inner.into_stream().map(move |batch| live_rows(&batch?, &mask)).boxed()
    }
}

/// The rows of `batch` that `mask` keeps, without the last column, their positions.
fn live_rows(batch: &RecordBatch, mask: &RowMask) -> Result<RecordBatch> {
    let positions =
        batch.columns().last().and_then(|column| column.as_primitive_opt::<Int64Type>());
    let live = positions.and_then(|positions| mask.at(positions.values())).ok_or_else(|| {
        internal_datafusion_err!("rows of a segment came without their positions")
    })?;
    let columns: Vec<usize> = (0..batch.num_columns() - 1).collect();
    Ok(filter_record_batch(&batch.project(&columns)?, &BooleanArray::new(live, None))?)
}
