//! Rows of a query on their way to files: what COPY … TO does when it runs.
//!
//! The rows go to a thread that writes, for writing blocks. Called by [`super::own_nodes`].

use std::fmt::{self, Formatter};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::common::{DFSchema, DFSchemaRef};
use datafusion::datasource::sink::{DataSink, DataSinkExec};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan};
use futures::StreamExt;
use tokio::sync::mpsc;

use crate::interchange::{FileOptions, FileWriter, PartitionedWriter, Place};

/// Batches that wait for the thread that writes.
const WAITING_MAX: usize = 2;

/// Where rows go, and how.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct CopyTarget {
    pub(super) place: Place,
    pub(super) options: FileOptions,
    pub(super) partition_by: Vec<String>,
}

impl CopyTarget {
    /// What the statement answers with: how many rows there were.
    pub(super) fn count_schema() -> Result<DFSchemaRef> {
        let count = Schema::new(vec![Field::new("count", DataType::UInt64, false)]);
        Ok(Arc::new(DFSchema::try_from(count)?))
    }

    /// The plan that writes the rows of `input`.
    pub(super) fn exec(&self, input: &Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        let order = input.properties().output_ordering().cloned().map(Into::into);
        let fields = input.schema();
        let nullable = fields
            .fields()
            .iter()
            .map(|field| Field::new(field.name(), field.data_type().clone(), field.is_nullable()));
        let schema = Arc::new(Schema::new(nullable.collect::<Vec<_>>()));
        let sink = CopySink { target: self.clone(), schema };
        Arc::new(DataSinkExec::new(Arc::clone(input), Arc::new(sink), order))
    }

    pub(super) fn shown(&self) -> String {
        match &self.place {
            Place::Path(path) => format!("{path} as {:?}", self.options.format),
            Place::Standard => format!("standard output as {:?}", self.options.format),
        }
    }
}

#[derive(Debug)]
struct CopySink {
    target: CopyTarget,
    schema: SchemaRef,
}

impl DisplayAs for CopySink {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "copy to {}", self.target.shown())
    }
}

/// What the thread that writes is told. Without an end nothing appears.
enum Told {
    Rows(RecordBatch),
    End,
}

#[async_trait]
impl DataSink for CopySink {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    async fn write_all(
        &self,
        mut rows: SendableRecordBatchStream,
        _context: &Arc<TaskContext>,
    ) -> Result<u64> {
        let (sender, told) = mpsc::channel(WAITING_MAX);
        let (target, schema) = (self.target.clone(), Arc::clone(&self.schema));
        let writing = tokio::task::spawn_blocking(move || write(&target, schema, told));
        let mut failure = None;
        loop {
            let told = match rows.next().await {
                Some(Ok(batch)) => Told::Rows(batch),
                Some(Err(error)) => {
                    failure = Some(error);
                    break;
                }
                None => Told::End,
            };
            let is_end = matches!(told, Told::End);
            // The thread has ended early if nobody takes it, and says why.
            if sender.send(told).await.is_err() || is_end {
                break;
            }
        }
        drop(sender);
        let written = writing.await.map_err(|error| DataFusionError::External(Box::new(error)))?;
        match failure {
            Some(error) => Err(error),
            None => Ok(written?),
        }
    }
}

enum Writer {
    File(Box<FileWriter>),
    Folder(Box<PartitionedWriter>),
}

fn write(
    target: &CopyTarget,
    schema: SchemaRef,
    mut told: mpsc::Receiver<Told>,
) -> crate::Result<u64> {
    let mut writer = match &target.place {
        Place::Path(path) if !target.partition_by.is_empty() => {
            let by = &target.partition_by;
            let folder = PartitionedWriter::create(path, &schema, &target.options, by)?;
            Writer::Folder(Box::new(folder))
        }
        place => Writer::File(Box::new(FileWriter::create(place, schema, &target.options)?)),
    };
    let mut count = 0;
    while let Some(next) = told.blocking_recv() {
        match (next, &mut writer) {
            (Told::Rows(batch), Writer::File(file)) => {
                count += batch.num_rows() as u64;
                file.write(&batch)?;
            }
            (Told::Rows(batch), Writer::Folder(folder)) => {
                count += batch.num_rows() as u64;
                folder.write(&batch)?;
            }
            (Told::End, _) => {
                match writer {
                    Writer::File(file) => file.finish()?,
                    Writer::Folder(folder) => folder.finish()?,
                }
                return Ok(count);
            }
        }
    }
    Ok(count)
}
