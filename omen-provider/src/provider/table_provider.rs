//! A table as DataFusion sees it, bound to one snapshot.
//!
//! Reads come from the snapshot; [`super::pin`] replaces the snapshot of all tables of a statement
//! by a common one before the statement is planned. Writes go to the engine, whatever the snapshot.
//!
//! `delete_from` and `update` refuse always: the filters that arrive there have lost semi-joins,
//! LIMIT and predicates folded to false, and what is left of them may be nothing, which would mean
//! every row. [`super::edits`] makes something else of these statements before.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{ScanArgs, ScanResult, Session, TableProvider};
use datafusion::common::{Constraint, Constraints, DFSchemaRef};
use datafusion::datasource::sink::DataSinkExec;
use datafusion::error::Result;
use datafusion::logical_expr::dml::{InsertOp, MergeIntoClause};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;

use super::filter::select_keys;
use super::scan::plan_scan;
use super::sink::InsertSink;
use super::table_definition::definition;
use crate::error::Error;
use crate::expression::default::parse_default;
use crate::storage::apply::WriteMode;
use crate::storage::engine::Within;
use crate::storage::handle::Handle;
use crate::storage::index_choice::FirstRows;
use crate::storage::schema::TableSchema;
use crate::storage::snapshot::TableSnapshot;

/// What to do where a table came without the rules that its statements need.
const REGISTER: &str = "register the database's tables by Database::register";

/// A table of an open database.
#[derive(Debug, Clone)]
pub(crate) struct OmenTable {
    handle: Arc<Handle>,
    snapshot: TableSnapshot,
    facts: Arc<Facts>,
    /// What a scan gives: the visible columns, and the hidden row ids where a statement asks.
    columns: SchemaRef,
    /// The transaction to which its statements belong.
    within: Within,
    /// The rows of which a scan gives at least all; none: of all of them.
    first: Option<FirstRows>,
    /// Whether an INSERT may bring values for a column that is GENERATED ALWAYS.
    takes_identity: bool,
}

/// What depends on the schema alone.
#[derive(Debug)]
struct Facts {
    constraints: Constraints,
    defaults: HashMap<String, Expr>,
    /// Made when it is asked for.
    definition: OnceLock<String>,
}

/// What the planner may rely on. It takes a UNIQUE whose columns may be NULL for one that has a
/// single NULL (DataFusion issues 23634, 23818, 23819) and so is told of the others alone; zeros
/// and NaNs of floats may be one value to it and two to an index.
fn constraints(snapshot: &TableSnapshot) -> Vec<Constraint> {
    let schema = snapshot.schema();
    let key = (!schema.hidden_key).then(|| Constraint::PrimaryKey(schema.key.clone()));
    let visible = snapshot.schema().visible();
    let unique = schema.indexes.iter().filter(|index| index.index.is_unique).filter_map(|index| {
        let place = |&stored: &usize| {
            let field = &schema.columns[stored].field;
            let is_told = !field.is_nullable() && !field.data_type().is_floating();
            visible.index_of(field.name()).ok().filter(|_| is_told)
        };
        index.places.iter().map(place).collect::<Option<Vec<usize>>>().map(Constraint::Unique)
    });
    key.into_iter().chain(unique).collect()
}

impl OmenTable {
    /// The table that `snapshot` shows.
    pub(crate) fn new(handle: Arc<Handle>, snapshot: TableSnapshot) -> Result<Self> {
        let schema = snapshot.schema();
        let mut defaults = HashMap::new();
        for column in &schema.columns {
            if let Some(sql) = &column.default {
                defaults.insert(column.field.name().clone(), parse_default(sql)?);
            }
        }
        let constraints = Constraints::new_unverified(constraints(&snapshot));
        let facts = Arc::new(Facts { constraints, defaults, definition: OnceLock::new() });
        let columns = Arc::clone(snapshot.schema().visible());
        let within = Within::default();
        Ok(Self { handle, snapshot, facts, columns, within, first: None, takes_identity: false })
    }

    /// The same table with its hidden row ids as last column.
    pub(super) fn with_row_ids(&self) -> Self {
        let columns = self.table_schema().columns.iter().map(|column| Arc::clone(&column.field));
        Self { columns: Arc::new(Schema::new(columns.collect::<Vec<_>>())), ..self.clone() }
    }

    /// The same table, of which a scan without filters need not give more than these rows.
    pub(super) fn with_first(&self, first: FirstRows) -> Self {
        Self { first: Some(first), ..self.clone() }
    }

    /// The same table, where an INSERT may bring values for a column that is GENERATED ALWAYS.
    pub(super) fn taking_identity(&self) -> Self {
        Self { takes_identity: true, ..self.clone() }
    }

    /// Whether an INSERT may.
    pub(super) fn takes_identity(&self) -> bool {
        self.takes_identity
    }

    /// The rows of which a scan gives at least all.
    pub(super) fn first(&self) -> Option<FirstRows> {
        self.first
    }

    /// What it reads.
    pub(super) fn snapshot(&self) -> &TableSnapshot {
        &self.snapshot
    }

    /// The database it belongs to.
    pub(super) fn handle(&self) -> &Arc<Handle> {
        &self.handle
    }

    pub(super) fn table_schema(&self) -> &Arc<TableSchema> {
        self.snapshot.schema()
    }

    /// The same table as of another moment, for statements of a transaction.
    pub(super) fn at(&self, snapshot: TableSnapshot, within: Within) -> Self {
        Self { snapshot, within, ..self.clone() }
    }

    /// The transaction to which its statements belong.
    pub(super) fn within(&self) -> &Within {
        &self.within
    }

    fn refuse(&self, what: &str, way: &str) -> Result<Arc<dyn ExecutionPlan>> {
        Err(Error::invalid(format!(
            "{what} of table \"{}\" is not supported here; {way}",
            self.table_schema().name
        ))
        .into())
    }
}

#[async_trait]
impl TableProvider for OmenTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.columns)
    }

    /// Every scan shows one row per key, so the planner may rely on it.
    fn constraints(&self) -> Option<&Constraints> {
        Some(&self.facts.constraints)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn get_table_definition(&self) -> Option<&str> {
        Some(self.facts.definition.get_or_init(|| definition(self.table_schema())))
    }

    fn get_column_default(&self, column: &str) -> Option<&Expr> {
        self.facts.defaults.get(column)
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let args = ScanArgs::default()
            .with_projection(projection.map(Vec::as_slice))
            .with_filters(Some(filters))
            .with_limit(limit);
        plan_scan(&self.snapshot, &self.columns, self.first, state, &args).await
    }

    async fn scan_with_args<'a>(
        &self,
        state: &dyn Session,
        args: ScanArgs<'a>,
    ) -> Result<ScanResult> {
        Ok(plan_scan(&self.snapshot, &self.columns, self.first, state, &args).await?.into())
    }

    /// Exact where the key ranges of a filter select just its rows: nothing filters above the scan
    /// then, limits reach it, and counting needs no reading. Not of a filter on several columns:
    /// DataFusion may write it in another way once it is promised, and from that the ranges may
    /// not be had exactly. (What it makes of one on a single column says the same of that column.)
    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        let schema = self.table_schema();
        let is_exact = |filter: &Expr| {
            filter.column_refs().len() <= 1
                && select_keys(std::slice::from_ref(filter), schema).exact
        };
        let support = |filter: &&Expr| match is_exact(filter) {
            true => TableProviderFilterPushDown::Exact,
            false => TableProviderFilterPushDown::Inexact,
        };
        Ok(filters.iter().map(support).collect())
    }

    async fn insert_into(
        &self,
        _state: &dyn Session,
        input: Arc<dyn ExecutionPlan>,
        insert_op: InsertOp,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mode = match insert_op {
            InsertOp::Append => WriteMode::Insert,
            InsertOp::Replace => WriteMode::Upsert,
            InsertOp::Overwrite => {
                return self.refuse(
                    "INSERT OVERWRITE",
                    "drop the table and create it again, or write over single rows with \
                     INSERT OR REPLACE",
                );
            }
        };
        let (snapshot, within) = (self.snapshot.clone(), self.within.clone());
        let sink = InsertSink::new(Arc::clone(&self.handle), snapshot, within, mode);
        Ok(Arc::new(DataSinkExec::new(input, Arc::new(sink), None)))
    }

    async fn delete_from(
        &self,
        _state: &dyn Session,
        _filters: Vec<Expr>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.refuse("DELETE", REGISTER)
    }

    async fn update(
        &self,
        _state: &dyn Session,
        _assignments: Vec<(String, Expr)>,
        _filters: Vec<Expr>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.refuse("UPDATE", REGISTER)
    }

    async fn truncate(&self, _state: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        self.refuse("TRUNCATE", REGISTER)
    }

    async fn merge_into(
        &self,
        _state: &dyn Session,
        _source: Arc<dyn ExecutionPlan>,
        _merge_schema: DFSchemaRef,
        _on: Expr,
        _clauses: Vec<MergeIntoClause>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.refuse("MERGE", REGISTER)
    }
}
