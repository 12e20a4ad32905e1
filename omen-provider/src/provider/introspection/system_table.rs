//! A system table as the planner meets it: rows that are computed when it is scanned, from the
//! snapshot to which [`super::super::pin`] binds all tables of the statement, and never written.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{MemTable, Session, TableProvider};
use datafusion::common::DFSchemaRef;
use datafusion::error::Result;
use datafusion::logical_expr::dml::{InsertOp, MergeIntoClause};
use datafusion::logical_expr::{DdlStatement, Expr, LogicalPlan, TableType};
use datafusion::physical_plan::ExecutionPlan;

use super::constraints::{self, Names};
use super::rows::{Cell, Column, batch, schema};
use super::{comments, parts, settings};
use crate::provider::catalog_schemas::public_name;
use crate::provider::session::Session as OmenSession;
use crate::storage::handle::Handle;
use crate::storage::snapshot::Snapshot;
use crate::storage::system_tables::{read_only, refuse_reserved};

/// What a system table shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Parts,
    Indexes,
    Log,
    Settings,
    Comments,
    TableConstraints,
    KeyColumnUsage,
    CheckConstraints,
    Statistics,
}

/// All system tables: those of `information_schema`, then those that have plain names too.
pub(super) const KINDS: [(&str, Kind); 9] = [
    ("table_constraints", Kind::TableConstraints),
    ("key_column_usage", Kind::KeyColumnUsage),
    ("check_constraints", Kind::CheckConstraints),
    ("statistics", Kind::Statistics),
    ("omen_parts", Kind::Parts),
    ("omen_indexes", Kind::Indexes),
    ("omen_log", Kind::Log),
    ("omen_settings", Kind::Settings),
    ("omen_comments", Kind::Comments),
];

/// A system table of a database, as of one snapshot.
#[derive(Clone)]
pub(in crate::provider) struct SystemTable {
    handle: Arc<Handle>,
    snapshot: Snapshot,
    name: &'static str,
    kind: Kind,
}

/// Refuses a statement that gives the name of a system table to an object of the session, which
/// DataFusion would say is there already.
///
/// # Errors
/// [`crate::Error::InvalidInput`], unless the database has such a table since before.
pub(in crate::provider) fn refuse_reserved_names(
    session: &OmenSession,
    plan: &LogicalPlan,
) -> Result<()> {
    let name = match plan {
        LogicalPlan::Ddl(DdlStatement::CreateView(view)) => &view.name,
        LogicalPlan::Ddl(DdlStatement::CreateExternalTable(table)) => &table.name,
        LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(table)) => &table.name,
        _ => return Ok(()),
    };
    let snapshot = session.snapshot();
    let is_there = |name: &str| snapshot.table(name).is_some() || snapshot.view(name).is_some();
    match session.engine_name(name) {
        Some(own) if !is_there(&own.full) => Ok(refuse_reserved(name.table())?),
        _ => Ok(()),
    }
}

impl SystemTable {
    /// The system table of that name, if there is one, as `information_schema` has it.
    pub(in crate::provider) fn named(
        handle: &Arc<Handle>,
        snapshot: Snapshot,
        name: &str,
    ) -> Option<Self> {
        let &(name, kind) = KINDS.iter().find(|(known, _)| *known == name)?;
        Some(Self { handle: Arc::clone(handle), snapshot, name, kind })
    }

    /// The same table as of another moment, if it is of that database.
    pub(in crate::provider) fn at(
        &self,
        handle: &Arc<Handle>,
        snapshot: &Snapshot,
    ) -> Option<Self> {
        let is_own = Arc::ptr_eq(&self.handle, handle);
        is_own.then(|| Self { snapshot: snapshot.clone(), ..self.clone() })
    }

    fn columns(&self) -> &'static [Column] {
        match self.kind {
            Kind::Parts => parts::PARTS,
            Kind::Indexes => parts::INDEXES,
            Kind::Log => parts::LOG,
            Kind::Settings => settings::COLUMNS,
            Kind::Comments => comments::COMMENTS,
            Kind::TableConstraints => constraints::TABLE_CONSTRAINTS,
            Kind::KeyColumnUsage => constraints::KEY_COLUMN_USAGE,
            Kind::CheckConstraints => constraints::CHECK_CONSTRAINTS,
            Kind::Statistics => constraints::STATISTICS,
        }
    }

    fn rows(&self, state: &dyn Session) -> Result<RecordBatch> {
        let snapshot = &self.snapshot;
        let names = names(state);
        let rows: Vec<Vec<Cell>> = match self.kind {
            Kind::Parts => parts::parts(snapshot, &names),
            Kind::Indexes => parts::indexes(snapshot, &names),
            Kind::Log => parts::log(self.handle.engine().log_files()),
            Kind::Settings => settings::rows(&self.handle),
            Kind::Comments => comments::comments(snapshot, &names),
            Kind::TableConstraints => constraints::table_constraints(snapshot, &names),
            Kind::KeyColumnUsage => constraints::key_column_usage(snapshot, &names),
            Kind::CheckConstraints => constraints::check_constraints(snapshot, &names),
            Kind::Statistics => constraints::statistics(snapshot, &names),
        };
        Ok(batch(self.columns(), &rows)?)
    }

    fn refuse(&self) -> Result<Arc<dyn ExecutionPlan>> {
        Err(read_only(self.name).into())
    }
}

/// How the session names the catalog and the schema `public`.
pub(super) fn names(state: &dyn Session) -> Names {
    let catalog = state.config_options().catalog.default_catalog.clone();
    Names { catalog, public: public_name(state) }
}

impl fmt::Debug for SystemTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SystemTable").field(&self.name).finish()
    }
}

#[async_trait]
impl TableProvider for SystemTable {
    fn schema(&self) -> SchemaRef {
        schema(self.columns())
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let rows = MemTable::try_new(self.schema(), vec![vec![self.rows(state)?]])?;
        rows.scan(state, projection, filters, limit).await
    }

    async fn insert_into(
        &self,
        _state: &dyn Session,
        _input: Arc<dyn ExecutionPlan>,
        _insert_op: InsertOp,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.refuse()
    }

    async fn delete_from(
        &self,
        _state: &dyn Session,
        _filters: Vec<Expr>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.refuse()
    }

    async fn update(
        &self,
        _state: &dyn Session,
        _assignments: Vec<(String, Expr)>,
        _filters: Vec<Expr>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.refuse()
    }

    async fn truncate(&self, _state: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        self.refuse()
    }

    async fn merge_into(
        &self,
        _state: &dyn Session,
        _source: Arc<dyn ExecutionPlan>,
        _merge_schema: DFSchemaRef,
        _on: Expr,
        _clauses: Vec<MergeIntoClause>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.refuse()
    }
}
