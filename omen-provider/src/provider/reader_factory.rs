//! How DataFusion's Parquet reader gets at a segment: through [`Segment::read_bytes`].
//!
//! The file that DataFusion opens carries its segment as an extension; metadata and page index are
//! the segment's, read and verified once. DataFusion therefore always knows the pages and asks
//! for no byte that the row selection does not need. What is asked for is counted in the scan's
//! metrics `pages_read` and `bytes_read`.
//!
//! Called by the Parquet opener, once per file and partition.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use datafusion::common::internal_datafusion_err;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{ParquetFileMetrics, ParquetFileReaderFactory};
use datafusion::error::Result;
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder};
use futures::FutureExt;
use futures::future::BoxFuture;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;

use crate::storage::segment::{ReadStats, Segment};

/// The segment behind a [`PartitionedFile`], kept as its extension.
#[derive(Debug)]
pub(super) struct SegmentOfFile(pub(super) Arc<Segment>);

/// Opens segments for DataFusion.
#[derive(Debug)]
pub(super) struct SegmentReaderFactory;

impl ParquetFileReaderFactory for SegmentReaderFactory {
    fn create_reader(
        &self,
        partition_index: usize,
        file: PartitionedFile,
        _metadata_size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let segment = file.extension::<SegmentOfFile>().ok_or_else(|| {
            internal_datafusion_err!("the file {} is no segment", file.object_meta.location)
        })?;
        let path = file.object_meta.location.as_ref();
        Ok(Box::new(SegmentReader {
            segment: Arc::clone(&segment.0),
            scanned: ParquetFileMetrics::new(partition_index, path, metrics).bytes_scanned,
            pages: MetricBuilder::new(metrics).counter("pages_read", partition_index),
            bytes: MetricBuilder::new(metrics).counter("bytes_read", partition_index),
        }))
    }
}

struct SegmentReader {
    segment: Arc<Segment>,
    pages: Count,
    bytes: Count,
    /// DataFusion's own name for the bytes.
    scanned: Count,
}

impl SegmentReader {
    async fn read(&self, ranges: &[Range<u64>]) -> parquet::errors::Result<Vec<Bytes>> {
        let stats = ReadStats::default();
        let read = self.segment.read_bytes(ranges, &stats).await;
        self.pages.add(usize::try_from(stats.pages.load(Relaxed)).unwrap_or(usize::MAX));
        let bytes = usize::try_from(stats.bytes.load(Relaxed)).unwrap_or(usize::MAX);
        self.bytes.add(bytes);
        self.scanned.add(bytes);
        read.map_err(|error| ParquetError::External(Box::new(error)))
    }
}

impl AsyncFileReader for SegmentReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, parquet::errors::Result<Bytes>> {
        async move {
            let read = self.read(std::slice::from_ref(&range)).await?;
            read.into_iter()
                .next()
                .ok_or_else(|| ParquetError::General("a segment gave no bytes".to_string()))
        }
        .boxed()
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, parquet::errors::Result<Vec<Bytes>>> {
        async move { self.read(&ranges).await }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, parquet::errors::Result<Arc<ParquetMetaData>>> {
        let metadata = Arc::clone(self.segment.parquet_metadata());
        async move { Ok(metadata) }.boxed()
    }
}
