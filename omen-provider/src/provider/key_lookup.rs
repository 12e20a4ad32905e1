//! Rows beside the rows of a table that have their keys: what ON CONFLICT looks at.
//!
//! A node of the plan, made by [`super::upserts`]: each row of its input, which has all columns of
//! the table, with the row of the same key behind it, or NULLs if there is none. Rows are looked up
//! by key, batch by batch: the cost depends on the input, not on the table. [`super::pin`] says of
//! which moment the table is; `KeyLookupPlanner`, which every session has, makes the physical plan.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt::{self, Formatter};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::compute::filter_record_batch;
use arrow::datatypes::{Field, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DFSchema, DFSchemaRef, TableReference};
use datafusion::error::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, Distribution, ExecutionPlan, ExecutionPlanProperties,
    InputDistributionRequirements, PlanProperties,
};
use futures::{StreamExt, TryStreamExt};

use super::table_provider::OmenTable;
use crate::error::Error;

/// What a key that was seen takes beside its bytes, roughly.
const SEEN_BYTES: usize = 48;

/// The node.
#[derive(Debug, Clone)]
pub(super) struct KeyLookup {
    input: LogicalPlan,
    table: OmenTable,
    /// Whether of rows that share a key the first one alone is taken.
    is_distinct: bool,
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
        Ok(Self { input, table, is_distinct: false, schema: Arc::new(schema) })
    }

    /// The same, taking of rows that share a key the first one alone.
    pub(super) fn distinct(self) -> Self {
        Self { is_distinct: true, ..self }
    }

    pub(super) fn into_plan(self) -> LogicalPlan {
        LogicalPlan::Extension(Extension { node: Arc::new(self) })
    }

    pub(super) fn table(&self) -> &OmenTable {
        &self.table
    }

    /// The physical plan over that of its input.
    pub(super) fn exec(&self, input: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        let schema = Arc::clone(self.schema.inner());
        Arc::new(KeyLookupExec::new(input, self.table.clone(), self.is_distinct, schema))
    }

    /// The same with the table of another moment.
    pub(super) fn at(&self, table: OmenTable) -> Self {
        Self { table, ..self.clone() }
    }

    fn identity(&self) -> (&LogicalPlan, u32, bool, &DFSchemaRef) {
        (&self.input, self.table.table_schema().id, self.is_distinct, &self.schema)
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

/// Looks up the rows of each batch.
#[derive(Debug)]
struct KeyLookupExec {
    input: Arc<dyn ExecutionPlan>,
    table: OmenTable,
    is_distinct: bool,
    properties: Arc<PlanProperties>,
}

impl KeyLookupExec {
    fn new(
        input: Arc<dyn ExecutionPlan>,
        table: OmenTable,
        is_distinct: bool,
        schema: SchemaRef,
    ) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            input.output_partitioning().clone(),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        Self { input, table, is_distinct, properties: Arc::new(properties) }
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
        Ok(Arc::new(Self::new(input, self.table.clone(), self.is_distinct, self.schema())))
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        self.input_distribution_requirements().into_per_child()
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        let one = match self.is_distinct {
            true => Distribution::SinglePartition,
            false => Distribution::UnspecifiedDistribution,
        };
        InputDistributionRequirements::new(vec![one])
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
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
        let memory = MemoryConsumer::new("KeyLookup").register(context.memory_pool());
        let mut seen = self.is_distinct.then(|| SeenKeys { keys: HashSet::new(), memory });
        let input = self.input.execute(partition, context)?;
        let rows = input
            .map(move |batch| match &mut seen {
                Some(seen) => seen.first_ones(&table, &batch?).map(|batch| (table.clone(), batch)),
                None => Ok((table.clone(), batch?)),
            })
            .and_then(move |(table, batch)| {
                let schema = Arc::clone(&schema);
                async move { beside(&table, &batch, schema).await }
            });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows.boxed())))
    }
}

/// The keys of rows that have come.
struct SeenKeys {
    keys: HashSet<Vec<u8>>,
    memory: MemoryReservation,
}

impl SeenKeys {
    /// The rows of `batch` whose keys have not come before.
    fn first_ones(&mut self, table: &OmenTable, batch: &RecordBatch) -> Result<RecordBatch> {
        let schema = table.table_schema();
        let key: Vec<_> = schema.key.iter().map(|&i| Arc::clone(batch.column(i))).collect();
        let keys = schema.codec().encode(&key)?;
        self.memory.try_grow(keys.byte_size() + keys.len() * SEEN_BYTES)?;
        let is_first = (0..keys.len()).map(|i| self.keys.insert(keys.get(i).into_owned()));
        Ok(filter_record_batch(batch, &is_first.collect::<Vec<_>>().into())?)
    }
}

/// The rows of `batch`, each with the row of its key.
async fn beside(table: &OmenTable, batch: &RecordBatch, schema: SchemaRef) -> Result<RecordBatch> {
    let found = table.snapshot().rows_of(batch).await?;
    let columns = batch.columns().iter().cloned().chain(found).collect();
    Ok(RecordBatch::try_new(schema, columns)?)
}
