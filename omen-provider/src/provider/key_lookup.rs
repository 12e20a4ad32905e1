//! Rows beside the rows of a table that have their keys: what ON CONFLICT looks at.
//!
//! A node of the plan, made by [`super::upserts`]: each row of its input, which has all columns of
//! the table, with the row of the same key behind it, or NULLs if there is none. Rows are looked up
//! by key, batch by batch: the cost depends on the input, not on the table. [`super::pin`] says of
//! which moment the table is; `KeyLookupPlanner`, which every session has, makes the physical plan.

use std::cmp::Ordering;
use std::fmt::{self, Formatter};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{Field, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DFSchema, DFSchemaRef, TableReference};
use datafusion::error::Result;
use datafusion::execution::context::QueryPlanner;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{
    Expr, Extension, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore,
};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
};
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};
use futures::{StreamExt, TryStreamExt};

use super::table_provider::OmenTable;
use crate::error::Error;

/// The node.
#[derive(Debug, Clone)]
pub(super) struct KeyLookup {
    input: LogicalPlan,
    table: OmenTable,
    schema: DFSchemaRef,
}

impl KeyLookup {
    /// The rows of `input`, qualified as `given`, beside those of `table`, qualified as `found`.
    pub(super) fn new(
        input: LogicalPlan,
        given: &TableReference,
        table: OmenTable,
        found: &TableReference,
    ) -> Result<Self> {
        let nullable = |field: &Arc<Field>| Arc::new(field.as_ref().clone().with_nullable(true));
        let ours = input.schema().fields().iter().map(|f| (Some(given.clone()), nullable(f)));
        let visible = table.table_schema().visible();
        let theirs = visible.fields().iter().map(|f| (Some(found.clone()), nullable(f)));
        let schema = DFSchema::new_with_metadata(ours.chain(theirs).collect(), Default::default())?;
        Ok(Self { input, table, schema: Arc::new(schema) })
    }

    pub(super) fn into_plan(self) -> LogicalPlan {
        LogicalPlan::Extension(Extension { node: Arc::new(self) })
    }

    pub(super) fn table(&self) -> &OmenTable {
        &self.table
    }

    /// The same with the table of another moment.
    pub(super) fn at(&self, table: OmenTable) -> Self {
        Self { table, ..self.clone() }
    }

    fn identity(&self) -> (&LogicalPlan, u32, &DFSchemaRef) {
        (&self.input, self.table.table_schema().id, &self.schema)
    }
}

impl PartialEq for KeyLookup {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for KeyLookup {}

impl PartialOrd for KeyLookup {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl Hash for KeyLookup {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

impl UserDefinedLogicalNodeCore for KeyLookup {
    fn name(&self) -> &'static str {
        "KeyLookup"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "KeyLookup: {}", self.table.table_schema().name)
    }

    fn with_exprs_and_inputs(&self, _exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let mut inputs = inputs.into_iter();
        match (inputs.next(), inputs.next()) {
            (Some(input), None) => Ok(Self { input, ..self.clone() }),
            _ => Err(Error::invalid("a key lookup has one input").into()),
        }
    }
}

/// Plans as DataFusion does, and key lookups.
#[derive(Debug)]
pub(super) struct KeyLookupPlanner;

#[async_trait]
impl QueryPlanner for KeyLookupPlanner {
    async fn create_physical_plan(
        &self,
        plan: &LogicalPlan,
        session: &dyn Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let planner = DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(Self)]);
        planner.create_physical_plan(plan, session).await
    }
}

#[async_trait]
impl ExtensionPlanner for KeyLookupPlanner {
    async fn plan_extension(
        &self,
        _planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        _session: &dyn Session,
        _context: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let (Some(lookup), [input]) = (node.as_any().downcast_ref::<KeyLookup>(), physical_inputs)
        else {
            return Ok(None);
        };
        let schema = Arc::clone(lookup.schema.inner());
        Ok(Some(Arc::new(KeyLookupExec::new(Arc::clone(input), lookup.table.clone(), schema))))
    }
}

/// Looks up the rows of each batch.
#[derive(Debug)]
struct KeyLookupExec {
    input: Arc<dyn ExecutionPlan>,
    table: OmenTable,
    properties: Arc<PlanProperties>,
}

impl KeyLookupExec {
    fn new(input: Arc<dyn ExecutionPlan>, table: OmenTable, schema: SchemaRef) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            input.output_partitioning().clone(),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        Self { input, table, properties: Arc::new(properties) }
    }
}

impl DisplayAs for KeyLookupExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "KeyLookupExec: table={}", self.table.table_schema().name)
    }
}

impl ExecutionPlan for KeyLookupExec {
    fn name(&self) -> &'static str {
        "KeyLookupExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(input) = children.pop() else { return Ok(self) };
        Ok(Arc::new(Self::new(input, self.table.clone(), self.schema())))
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
        let (table, schema) = (self.table.clone(), self.schema());
        let rows = self.input.execute(partition, context)?.and_then(move |batch| {
            let (table, schema) = (table.clone(), Arc::clone(&schema));
            async move { beside(&table, &batch, schema).await }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows.boxed())))
    }
}

/// The rows of `batch`, each with the row of its key.
async fn beside(table: &OmenTable, batch: &RecordBatch, schema: SchemaRef) -> Result<RecordBatch> {
    let found = table.snapshot().rows_of(batch).await?;
    let columns = batch.columns().iter().cloned().chain(found).collect();
    Ok(RecordBatch::try_new(schema, columns)?)
}
