//! What UPDATE and DELETE, and INSERT where it looks at what is there, insert into: an edit of a
//! table, computed from one snapshot.
//!
//! Made by [`super::edits`], [`super::edit_statements`] and [`super::upserts`]; [`super::pin`]
//! says of which moment the rows are; the sink hands them to the engine. If another statement came
//! first and wrote one of the rows, the engine refuses, and the sink plans the statement anew, on
//! the newest snapshot: what it returns is as if it had run at once, alone.

use std::fmt::{self, Formatter};
use std::sync::Arc;

use arrow::array::Array;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::TableReference;
use datafusion::datasource::provider_as_source;
use datafusion::datasource::sink::{DataSink, DataSinkExec};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::logical_expr::dml::InsertOp;
use datafusion::logical_expr::{DmlStatement, Expr, LogicalPlan, TableType, WriteOp};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, execute_stream,
};
use futures::StreamExt;

use super::returned_rows::ReturnedRows;
use super::sink::in_types_of;
use super::table_provider::OmenTable;
use crate::error::Error;
use crate::expression::guard::{planned, polled_with_stack};
use crate::storage::apply::WriteMode;
use crate::storage::engine::{Basis, Within};
use crate::storage::schema::TableSchema;

/// How often a statement that others have overtaken is computed.
const ATTEMPTS_MAX: usize = 20;

/// What is done with the rows that come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edit {
    /// Keys, whose rows are deleted.
    Delete,
    /// Rows to be written over; with `moves`, behind their old keys.
    Update {
        /// Whether keys may change.
        moves: bool,
    },
    /// None come: all rows are deleted.
    Truncate,
    /// Old keys, if any; whether there is a new row; this.
    Merge,
    /// Rows to be added.
    Insert {
        /// What happens to a row whose key is there.
        mode: WriteMode,
        /// Whether the rows depend on what was there.
        looked_up: bool,
    },
}

/// An edit of a table.
#[derive(Debug, Clone)]
pub(super) struct EditTarget {
    table: OmenTable,
    name: TableReference,
    edit: Edit,
    /// Of which moment the rows are, see [`Basis`]; none before the statement is pinned.
    since: Option<u64>,
    /// What gives the rows, of whatever snapshot.
    rows: Arc<LogicalPlan>,
}

impl EditTarget {
    pub(super) fn new(
        table: OmenTable,
        name: TableReference,
        edit: Edit,
        rows: Arc<LogicalPlan>,
    ) -> Self {
        Self { table, name, edit, since: None, rows }
    }

    /// The statement that inserts the rows.
    pub(super) fn into_statement(self) -> LogicalPlan {
        let (name, rows) = (self.name.clone(), Arc::clone(&self.rows));
        let target = provider_as_source(Arc::new(self));
        let op = WriteOp::Insert(InsertOp::Append);
        LogicalPlan::Dml(DmlStatement::new(name, target, op, rows))
    }

    /// The transaction that it was planned in, if any; `None` before it is planned.
    pub(super) fn planned_within(&self) -> Option<&Within> {
        self.since.map(|_| self.table.within())
    }

    /// The table as of the moment when the statement was planned.
    pub(super) fn table(&self) -> &OmenTable {
        &self.table
    }

    /// The same for rows of the snapshot that `table` is of; `rows` gives them, with the values of
    /// parameters.
    pub(super) fn at(&self, since: u64, table: OmenTable, rows: Arc<LogicalPlan>) -> Self {
        Self { table, since: Some(since), rows, ..self.clone() }
    }
}

#[async_trait]
impl TableProvider for EditTarget {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.rows.schema().inner())
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        _projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Err(Error::invalid("the edit of a table is written to, not read").into())
    }

    async fn insert_into(
        &self,
        state: &dyn Session,
        input: Arc<dyn ExecutionPlan>,
        _insert_op: InsertOp,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let state = state.as_any().downcast_ref::<SessionState>().cloned();
        let schema = input.schema();
        let state = state.map(Arc::new);
        let sink = EditSink { target: self.clone(), state, schema, returned: None };
        Ok(Arc::new(DataSinkExec::new(input, Arc::new(sink), None)))
    }
}

/// Hands rows to the engine.
#[derive(Debug)]
struct EditSink {
    target: EditTarget,
    /// What plans the statement anew; none if the state is not DataFusion's own.
    state: Option<Arc<SessionState>>,
    schema: SchemaRef,
    /// Keeps what RETURNING gives, where that is asked for.
    returned: Option<ReturnedRows>,
}

/// The same statement, keeping the visible columns of its rows; `None` if it is no edit.
pub(super) fn keeping_rows(
    statement: &DataSinkExec,
    returned: ReturnedRows,
) -> Option<Arc<dyn ExecutionPlan>> {
    let sink = statement.sink().downcast_ref::<EditSink>()?;
    let (target, state) = (sink.target.clone(), sink.state.clone());
    let schema = Arc::clone(&sink.schema);
    let sink = EditSink { target, state, schema, returned: Some(returned) };
    Some(Arc::new(DataSinkExec::new(Arc::clone(statement.input()), Arc::new(sink), None)))
}

impl DisplayAs for EditSink {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut Formatter<'_>) -> fmt::Result {
        let verb = match self.target.edit {
            Edit::Delete => "delete from",
            Edit::Update { .. } => "update",
            Edit::Truncate => "truncate",
            Edit::Merge => "merge into",
            Edit::Insert { mode: WriteMode::Insert, .. } => "insert into",
            Edit::Insert { .. } => "upsert into",
        };
        write!(f, "{verb} {}", self.target.table.table_schema().name)
    }
}

#[async_trait]
impl DataSink for EditSink {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    async fn write_all(
        &self,
        rows: SendableRecordBatchStream,
        context: &Arc<TaskContext>,
    ) -> Result<u64> {
        let returned = self.returned.as_ref();
        let mut outcome = self.target.write(rows, returned).await;
        let Some(state) = &self.state else { return Ok(outcome?) };
        let engine = self.target.table.handle().engine();
        let mut turn = None;
        for _ in 1..ATTEMPTS_MAX {
            if !matches!(outcome, Err(Error::SerializationFailure(_))) {
                break;
            }
            // Those that were overtaken go on one by one, and see what overtook them.
            if turn.is_none() {
                turn = Some(engine.turn_to_retry().await?);
            }
            engine.wait_published().await?;
            outcome = again(&self.target, state, context, returned).await?;
        }
        Ok(outcome?)
    }
}

/// The statement once more, of the newest snapshot.
async fn again(
    target: &EditTarget,
    state: &SessionState,
    context: &Arc<TaskContext>,
    returned: Option<&ReturnedRows>,
) -> Result<crate::Result<u64>> {
    let statement = target.clone().into_statement();
    let plan = polled_with_stack(planned(state.create_physical_plan(&statement))).await?;
    let sink = plan.downcast_ref::<DataSinkExec>();
    let edit = sink.and_then(|exec| Some((exec, exec.sink().downcast_ref::<EditSink>()?)));
    let Some((exec, sink)) = edit else {
        return Err(Error::invalid("an edit of a table was planned as something else").into());
    };
    debug_assert_eq!(exec.input().output_partitioning().partition_count(), 1);
    let rows = execute_stream(Arc::clone(exec.input()), Arc::clone(context))?;
    Ok(sink.target.write(rows, returned).await)
}

/// Refuses NULL in the identity column of rows that are written over: new ones would be numbered.
fn refuse_numberless(schema: &TableSchema, rows: &RecordBatch, begin: usize) -> crate::Result<()> {
    match schema.identity_place() {
        Some(place) if rows.column(begin + place).null_count() > 0 => Err(Error::invalid(format!(
            "NULL in column \"{}\" of table \"{}\", which is NOT NULL",
            schema.columns[place].field.name(),
            schema.name
        ))),
        _ => Ok(()),
    }
}

impl EditTarget {
    async fn write(
        &self,
        rows: SendableRecordBatchStream,
        returned: Option<&ReturnedRows>,
    ) -> crate::Result<u64> {
        let engine = self.table.handle().engine();
        let schema = self.table.table_schema();
        let (keys, visible) = (schema.key.len(), schema.visible().fields().len());
        let begin = match self.edit {
            Edit::Delete | Edit::Update { moves: true } => keys,
            Edit::Merge => keys + 1,
            Edit::Update { moves: false } | Edit::Truncate | Edit::Insert { .. } => 0,
        };
        let kept: Vec<usize> = (begin..begin + visible).collect();
        let (returned, is_deletion) = (returned.cloned(), self.edit == Edit::Delete);
        if let Some(returned) = &returned {
            // Of an attempt before.
            returned.take();
        }
        let table_schema = Arc::clone(schema);
        let is_update = matches!(self.edit, Edit::Update { .. });
        let rows = rows.map(move |batch| {
            let batch = match is_deletion {
                // Keys, and what RETURNING shows of their rows.
                true => batch?,
                false => in_types_of(&table_schema, &batch?, begin)?,
            };
            if is_update {
                refuse_numberless(&table_schema, &batch, begin)?;
            }
            if let Some(returned) = &returned {
                returned.keep(batch.project(&kept)?)?;
            }
            match is_deletion {
                true => Ok(batch.project(&(0..keys).collect::<Vec<_>>())?),
                false => Ok(batch),
            }
        });
        let rows = rows.boxed();
        let since = self.since.ok_or_else(|| {
            Error::invalid("the statement was not bound to a snapshot: its analyzer rules are gone")
        })?;
        let (within, table) = (self.table.within().clone(), self.table.snapshot().clone());
        let basis = Basis { within, since, table };
        match self.edit {
            Edit::Delete => engine.delete_rows(&basis, rows).await,
            Edit::Update { moves } => engine.update_rows(&basis, rows, moves).await,
            Edit::Truncate => engine.truncate(&basis).await,
            Edit::Merge => engine.merge_rows(&basis, rows).await,
            Edit::Insert { mode, looked_up } => {
                engine.insert_rows(&basis, rows, mode, looked_up).await
            }
        }
    }
}
