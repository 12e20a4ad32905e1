//! RETURNING: the rows of a statement, once it is committed.
//!
//! The sink of a statement keeps them here while it hands them to the engine; a plan above it waits
//! for the statement to end and gives them back. They count as memory of the query. Called by
//! [`super::edit_target`] and [`super::own_nodes`].

use std::fmt::{self, Formatter};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, execute_stream,
};
use futures::{StreamExt, TryStreamExt};

/// Rows of a statement that is under way.
#[derive(Debug, Clone, Default)]
pub(super) struct ReturnedRows(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    batches: Vec<RecordBatch>,
    /// Present while the statement runs.
    memory: Option<MemoryReservation>,
}

impl ReturnedRows {
    /// Keeps rows.
    ///
    /// # Errors
    /// If the query may not have so much memory.
    pub(super) fn keep(&self, batch: RecordBatch) -> Result<()> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(memory) = &mut kept.memory {
            memory.try_grow(batch.get_array_memory_size())?;
        }
        kept.batches.push(batch);
        Ok(())
    }

    /// What is kept, which is nothing then.
    pub(super) fn take(&self) -> Vec<RecordBatch> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(memory) = &mut kept.memory {
            memory.free();
        }
        std::mem::take(&mut kept.batches)
    }

    fn begin(&self, memory: Option<MemoryReservation>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).memory = memory;
    }
}

/// Carries a statement out, then gives its rows.
#[derive(Debug)]
pub(super) struct ReturningExec {
    statement: Arc<dyn ExecutionPlan>,
    returned: ReturnedRows,
    properties: Arc<PlanProperties>,
}

impl ReturningExec {
    /// `statement` keeps its rows, all visible columns of them, in `returned`.
    pub(super) fn new(
        statement: Arc<dyn ExecutionPlan>,
        returned: ReturnedRows,
        schema: SchemaRef,
    ) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Self { statement, returned, properties: Arc::new(properties) }
    }
}

impl DisplayAs for ReturningExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "ReturningExec")
    }
}

impl ExecutionPlan for ReturningExec {
    fn name(&self) -> &'static str {
        "ReturningExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.statement]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(statement) = children.pop() else { return Ok(self) };
        Ok(Arc::new(Self::new(statement, self.returned.clone(), self.schema())))
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(
        &self,
        _partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let (returned, schema) = (self.returned.clone(), self.schema());
        let memory = MemoryConsumer::new("RETURNING").register(context.memory_pool());
        let statement = Arc::clone(&self.statement);
        let rows = async move {
            returned.begin(Some(memory));
            let counted: Vec<_> = execute_stream(statement, context)?.try_collect().await?;
            drop(counted);
            let kept = returned.take();
            returned.begin(None);
            let rows = kept.into_iter().map(move |batch| {
                let columns = batch.columns().to_vec();
                Ok(RecordBatch::try_new(Arc::clone(&schema), columns)?)
            });
            Ok::<_, DataFusionError>(futures::stream::iter(rows))
        };
        let rows = futures::stream::once(rows).try_flatten().boxed();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }
}
