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
use crate::error::Error;
use crate::storage::schema::IndexSchema;

/// What a key that was seen takes beside its bytes, roughly.
const SEEN_BYTES: usize = 48;

/// What is looked up.
#[derive(Debug, Clone)]
pub(super) struct KeyLookup {
    table: OmenTable,
    /// The UNIQUE index by which rows are the same; `None`: the key.
    index: Option<u32>,
    /// The UNIQUE indexes (`None`: the key) in which rows must differ: of those that do not the
    /// first one alone is taken. Of none, all are.
    distinct: Vec<Option<u32>>,
    /// Whether a row that finds nothing must not have the key of another row.
    or_new: bool,
}

impl KeyLookup {
    /// All rows of the input.
    pub(super) fn new(table: OmenTable, index: Option<u32>) -> Self {
        Self { table, index, distinct: Vec::new(), or_new: false }
    }

    /// All rows of the input; where they are looked up by an index, one that finds nothing must not
    /// have the key of another row.
    pub(super) fn or_new(table: OmenTable, index: Option<u32>) -> Self {
        Self { or_new: true, ..Self::new(table, index) }
    }

    /// Of rows that share the key, or the values of one of the indexes, the first one alone.
    pub(super) fn distinct(table: OmenTable, distinct: Vec<Option<u32>>) -> Self {
        Self { table, index: distinct.first().copied().flatten(), distinct, or_new: false }
    }

    pub(super) fn table(&self) -> &OmenTable {
        &self.table
    }

    /// The same in the table of another moment.
    pub(super) fn at(&self, table: OmenTable) -> Self {
        Self { table, ..self.clone() }
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

    fn identity(&self) -> (u32, Option<u32>, &[Option<u32>]) {
        (self.table.table_schema().id, self.index, &self.distinct)
    }

    /// An index as the table has it.
    ///
    /// # Errors
    /// [`Error::SerializationFailure`] if it was dropped.
    fn index(&self, id: Option<u32>) -> Result<Option<&IndexSchema>> {
        let Some(id) = id else { return Ok(None) };
        let schema = self.table.table_schema();
        match schema.indexes.iter().find(|index| index.index.id == id) {
            Some(index) => Ok(Some(index)),
            None => {
                let what = format!("a UNIQUE of table \"{}\" was dropped meanwhile", schema.name);
                Err(Error::SerializationFailure(what).into())
            }
        }
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
        let one = match self.lookup.distinct.is_empty() {
            true => Distribution::UnspecifiedDistribution,
            false => Distribution::SinglePartition,
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
        let (lookup, schema) = (self.lookup.clone(), self.schema());
        let memory = MemoryConsumer::new("KeyLookup").register(context.memory_pool());
        let sets = vec![HashSet::new(); lookup.distinct.len()];
        let mut seen = SeenKeys { sets, memory };
        let input = self.input.execute(partition, context)?;
        let rows = input
            .map(move |batch| match lookup.distinct.is_empty() {
                true => Ok((lookup.clone(), batch?)),
                false => Ok((lookup.clone(), seen.first_ones(&lookup, &batch?)?)),
            })
            .and_then(move |(lookup, batch)| {
                let schema = Arc::clone(&schema);
                async move { beside(&lookup, &batch, schema).await }
            });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows.boxed())))
    }
}

/// The keys of rows that were taken, and their values in indexes.
struct SeenKeys {
    sets: Vec<HashSet<Vec<u8>>>,
    memory: MemoryReservation,
}

impl SeenKeys {
    /// The rows of `batch` that share nothing with one that was taken before.
    fn first_ones(&mut self, lookup: &KeyLookup, batch: &RecordBatch) -> Result<RecordBatch> {
        let mut keys = Vec::with_capacity(self.sets.len());
        for id in &lookup.distinct {
            keys.push(match lookup.index(*id)? {
                Some(index) => values_of(index, batch)?,
                None => keys_of(&lookup.table, batch)?,
            });
        }
        let bytes = keys.iter().flatten().flatten().map(|key| key.len() + SEEN_BYTES);
        self.memory.try_grow(bytes.sum())?;
        let mut is_first = Vec::with_capacity(batch.num_rows());
        for row in 0..batch.num_rows() {
            // NULL is like nothing.
            let own = || self.sets.iter().zip(&keys).map(|(set, keys)| (set, &keys[row]));
            let is_new = own().all(|(set, key)| key.as_ref().is_none_or(|key| !set.contains(key)));
            is_first.push(is_new);
            if is_new {
                for (set, keys) in self.sets.iter_mut().zip(&mut keys) {
                    set.extend(keys[row].take());
                }
            }
        }
        Ok(filter_record_batch(batch, &is_first.into())?)
    }
}

/// The encoded keys of rows.
fn keys_of(table: &OmenTable, batch: &RecordBatch) -> Result<Vec<Option<Vec<u8>>>> {
    let schema = table.table_schema();
    let key: Vec<_> = schema.key.iter().map(|&i| Arc::clone(batch.column(i))).collect();
    let keys = schema.codec().encode(&key)?;
    Ok((0..keys.len()).map(|row| Some(keys.get(row).into_owned())).collect())
}

/// For each row its encoded values in an index; `None` if one is NULL.
fn values_of(index: &IndexSchema, batch: &RecordBatch) -> Result<Vec<Option<Vec<u8>>>> {
    let ranges = index.value_ranges(batch)?;
    Ok(ranges.into_iter().map(|range| range.map(|range| range.start)).collect())
}

/// The rows of `batch`, each with the row of its key.
async fn beside(lookup: &KeyLookup, batch: &RecordBatch, schema: SchemaRef) -> Result<RecordBatch> {
    let snapshot = lookup.table.snapshot();
    let found = match lookup.index(lookup.index)? {
        Some(index) => snapshot.rows_by(index, batch, lookup.or_new).await?,
        None => snapshot.rows_of(batch).await?,
    };
    let columns = batch.columns().iter().cloned().chain(found).collect();
    Ok(RecordBatch::try_new(schema, columns)?)
}
