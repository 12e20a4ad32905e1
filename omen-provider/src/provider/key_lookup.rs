//! Rows beside the rows of a table that have their keys: what ON CONFLICT looks at.
//!
//! Each row of the input, which has all columns of the table, with the row of the same key behind
//! it, or NULLs if there is none. Rows are looked up by key, batch by batch: the cost depends on
//! the input, not on the table. Made by [`super::upserts`], a node of the plan by
//! [`super::own_nodes`].

use std::collections::HashSet;
use std::fmt::{self, Formatter};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::compute::filter_record_batch;
use arrow::datatypes::{Field, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DFSchema, TableReference};
use datafusion::error::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, Distribution, ExecutionPlan, ExecutionPlanProperties,
    InputDistributionRequirements, PlanProperties,
};
use futures::{StreamExt, TryStreamExt};

use super::table_provider::OmenTable;

/// What a key that was seen takes beside its bytes, roughly.
const SEEN_BYTES: usize = 48;

/// What is looked up.
#[derive(Debug, Clone)]
pub(super) struct KeyLookup {
    table: OmenTable,
    /// Whether of rows that share a key the first one alone is taken.
    is_distinct: bool,
}

impl KeyLookup {
    /// All rows of the input.
    pub(super) fn new(table: OmenTable) -> Self {
        Self { table, is_distinct: false }
    }

    /// Of rows that share a key the first one alone.
    pub(super) fn distinct(table: OmenTable) -> Self {
        Self { table, is_distinct: true }
    }

    pub(super) fn table(&self) -> &OmenTable {
        &self.table
    }

    /// The same in the table of another moment.
    pub(super) fn at(&self, table: OmenTable) -> Self {
        Self { table, is_distinct: self.is_distinct }
    }

    /// The columns of `input`, qualified as `given`, and those of the table, qualified as `found`.
    ///
    /// # Errors
    /// If two have one name.
    pub(super) fn schema(&self, input: &DFSchema, given: &str, found: &str) -> Result<DFSchema> {
        let (given, found) = (TableReference::bare(given), TableReference::bare(found));
        let nullable = |field: &Arc<Field>| Arc::new(field.as_ref().clone().with_nullable(true));
        let ours = input.fields().iter().map(|f| (Some(given.clone()), nullable(f)));
        let visible = self.table.table_schema().visible();
        let theirs = visible.fields().iter().map(|f| (Some(found.clone()), nullable(f)));
        DFSchema::new_with_metadata(ours.chain(theirs).collect(), Default::default())
    }

    fn identity(&self) -> (u32, bool) {
        (self.table.table_schema().id, self.is_distinct)
    }
}

impl PartialEq for KeyLookup {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for KeyLookup {}

impl Hash for KeyLookup {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

/// Looks up the rows of each batch.
#[derive(Debug)]
pub(super) struct KeyLookupExec {
    input: Arc<dyn ExecutionPlan>,
    lookup: KeyLookup,
    properties: Arc<PlanProperties>,
}

impl KeyLookupExec {
    /// `schema` is that of [`KeyLookup::schema`].
    pub(super) fn new(input: Arc<dyn ExecutionPlan>, lookup: KeyLookup, schema: SchemaRef) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            input.output_partitioning().clone(),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        Self { input, lookup, properties: Arc::new(properties) }
    }
}

impl DisplayAs for KeyLookupExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "KeyLookupExec: table={}", self.lookup.table.table_schema().name)
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
        Ok(Arc::new(Self::new(input, self.lookup.clone(), self.schema())))
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        self.input_distribution_requirements().into_per_child()
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        let one = match self.lookup.is_distinct {
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
        let (table, schema) = (self.lookup.table.clone(), self.schema());
        let memory = MemoryConsumer::new("KeyLookup").register(context.memory_pool());
        let mut seen = self.lookup.is_distinct.then(|| SeenKeys { keys: HashSet::new(), memory });
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
