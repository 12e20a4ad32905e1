//! RETURNING: the rows of a statement, once it is committed.
//!
//! The sink of a statement keeps them here while it hands them to the engine; a plan above it waits
//! for the statement to end and gives them back. They count as memory of the query. Called by
//! [`super::edit_target`] and [`super::edit_statements`].

use std::fmt::{self, Formatter};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, LogicalPlan, TableType};
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

/// A statement as a table: reading it carries it out.
#[derive(Debug)]
pub(super) struct ReturningTable {
    statement: LogicalPlan,
    returned: ReturnedRows,
    schema: SchemaRef,
}

impl ReturningTable {
    /// `statement` keeps rows of `schema` in `returned`.
    pub(super) fn new(statement: LogicalPlan, returned: ReturnedRows, schema: SchemaRef) -> Self {
        Self { statement, returned, schema }
    }
}

#[async_trait]
impl TableProvider for ReturningTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let statement = state.create_physical_plan(&self.statement).await?;
        let columns = match projection {
            Some(columns) => columns.clone(),
            None => (0..self.schema.fields().len()).collect(),
        };
        let schema = Arc::new(self.schema.project(&columns)?);
        Ok(Arc::new(ReturningExec::new(statement, self.returned.clone(), columns, schema)))
    }
}

/// Carries a statement out, then gives its rows.
#[derive(Debug)]
struct ReturningExec {
    statement: Arc<dyn ExecutionPlan>,
    returned: ReturnedRows,
    columns: Vec<usize>,
    properties: Arc<PlanProperties>,
}

impl ReturningExec {
    fn new(
        statement: Arc<dyn ExecutionPlan>,
        returned: ReturnedRows,
        columns: Vec<usize>,
        schema: SchemaRef,
    ) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Self { statement, returned, columns, properties: Arc::new(properties) }
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
        let (returned, columns) = (self.returned.clone(), self.columns.clone());
        Ok(Arc::new(Self::new(statement, returned, columns, self.schema())))
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
        let (returned, columns) = (self.returned.clone(), self.columns.clone());
        let memory = MemoryConsumer::new("RETURNING").register(context.memory_pool());
        let statement = Arc::clone(&self.statement);
        let rows = async move {
            returned.begin(Some(memory));
            let counted: Vec<_> = execute_stream(statement, context)?.try_collect().await?;
            drop(counted);
            let kept = returned.take();
            returned.begin(None);
            let rows = kept.into_iter().map(move |batch| Ok(batch.project(&columns)?));
            Ok::<_, DataFusionError>(futures::stream::iter(rows))
        };
        let rows = futures::stream::once(rows).try_flatten().boxed();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }
}
