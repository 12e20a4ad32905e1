//! The database's tables inside a DataFusion catalog.
//!
//! [`Database::register`] wraps the default catalog of a `SessionContext` and its default schema:
//! the database's schemas and tables come first, everything else that is or will be registered
//! there stays below. What is created later appears by itself.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{
    CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider, TableProvider,
};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::FunctionRegistry;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::TableType;
use datafusion::prelude::SessionContext;

use super::catalog_schemas::OmenCatalog;
use super::current_transaction::CurrentTransaction;
use super::edits::RewriteEdits;
use super::exact_counts::with_summaries;
use super::file_tables::file_table;
use super::filter_places::with_filters_in_place;
use super::first_rows::ReadFirstRows;
use super::functions::add_functions;
use super::insert_values::NullableValues;
use super::introspection::SystemTable;
use super::pin::PinSnapshot;
use super::subqueries::ExactSubqueries;
use super::table_provider::OmenTable;
use super::unordered::with_hidden_orders;
use super::views;
use crate::error::Error;
use crate::storage::database::Database;
use crate::storage::handle::Handle;
use crate::storage::schema_names::full_name;
use crate::storage::snapshot::Snapshot;
use crate::storage::system_tables::{SYSTEM_TABLES, refuse_reserved};

impl Database {
    /// Makes all tables of this database, those created later included, readable and writable
    /// (INSERT, UPDATE, DELETE, TRUNCATE) in `ctx`; a statement sees all of them as of one moment.
    /// Those of `public` lie in the default schema of `ctx`, those of other schemas beside it under
    /// their names (and are hidden if the default schema has the same one). Tables that `ctx` has
    /// there stay, hidden where names are equal.
    /// Functions for time series (`time_bucket`, `first`, `last`, `arg_min`, `arg_max`, `min_by`,
    /// `max_by`) are added unless `ctx` has others of their names.
    /// Statements that `ctx` holds by PREPARE are forgotten. Queries use the memory and the
    /// temporary files of the runtime of `ctx`, not those of the options of this database.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let db = omen_provider::Database::open("weather").await?;
    /// let ctx = datafusion::prelude::SessionContext::new();
    /// db.register(&ctx)?;
    /// ctx.sql("SELECT count(*) FROM readings").await?.show().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// If the tables cannot be put there.
    pub fn register(&self, ctx: &SessionContext) -> crate::Result<()> {
        register(self.handle(), ctx, None).map_err(crate::Error::from)
    }
}

/// Puts the tables of a database before those of `ctx`, which is that of a session if it has a
/// place for a transaction.
pub(super) fn register(
    handle: &Arc<Handle>,
    ctx: &SessionContext,
    session: Option<&CurrentTransaction>,
) -> Result<()> {
    let current = session.cloned().unwrap_or_default();
    let names = ctx.copied_config().options().catalog.clone();
    let catalog = match ctx.catalog(&names.default_catalog) {
        Some(catalog) => catalog,
        None => {
            let catalog: Arc<dyn CatalogProvider> = Arc::new(MemoryCatalogProvider::new());
            ctx.register_catalog(&names.default_catalog, Arc::clone(&catalog));
            catalog
        }
    };
    let inner = match catalog.schema(&names.default_schema) {
        Some(schema) => schema,
        None => Arc::new(MemorySchemaProvider::new()),
    };
    if let Some(own) = inner.downcast_ref::<OmenSchema>()
        && Arc::ptr_eq(&own.handle, handle)
    {
        return Ok(());
    }
    let public = Arc::new(OmenSchema {
        handle: Arc::clone(handle),
        schema: None,
        public: names.default_schema.into(),
        inner,
        current: current.clone(),
        opens_files: session.is_some(),
        state: StateOf::new(ctx),
    });
    let own = Arc::new(OmenCatalog::new(catalog, public));
    ctx.register_catalog(&names.default_catalog, own);
    ctx.add_analyzer_rule(Arc::new(NullableValues));
    ctx.add_analyzer_rule(Arc::new(ExactSubqueries));
    ctx.add_analyzer_rule(Arc::new(RewriteEdits));
    ctx.add_analyzer_rule(Arc::new(PinSnapshot::new(Arc::clone(handle), current)));
    ctx.add_optimizer_rule(Arc::new(ReadFirstRows));
    add_functions(&mut ctx.state_ref().write());
    add_physical_rules(ctx);
    Ok(())
}

/// Lets EXPLAIN show what was counted, and keeps filters to their columns. Physical rules can only
/// be set where a state is built, so the state of `ctx` is built again from itself.
fn add_physical_rules(ctx: &SessionContext) {
    let state = ctx.state_ref();
    let mut state = state.write();
    let rules = state.physical_optimizers().to_vec();
    let rules = with_filters_in_place(with_summaries(&rules).unwrap_or(rules));
    let rules = with_hidden_orders(rules);
    let creates_default = state.config().options().catalog.create_default_catalog_and_schema;
    let mut rebuilt = SessionStateBuilder::new_from_existing(state.clone())
        .with_session_id(state.session_id().to_string())
        .with_physical_optimizer_rules(rules)
        .build();
    keep_functions(&state, &mut rebuilt);
    // Which the builder turned off, not to create the catalog again.
    let catalog = &mut rebuilt.config_mut().options_mut().catalog;
    catalog.create_default_catalog_and_schema = creates_default;
    *state = rebuilt;
}

/// Gives the functions of `old` their names again. The builder registers functions under all their
/// names in no particular order, so one that took the name of another may have lost it.
fn keep_functions(old: &SessionState, new: &mut SessionState) {
    for (name, function) in old.scalar_functions() {
        if name == function.name() && new.scalar_functions().get(name) != Some(function) {
            let _ = new.register_udf(Arc::clone(function));
        }
    }
    for (name, function) in old.aggregate_functions() {
        if name == function.name() && new.aggregate_functions().get(name) != Some(function) {
            let _ = new.register_udaf(Arc::clone(function));
        }
    }
    for (name, function) in old.window_functions() {
        if name == function.name() && new.window_functions().get(name) != Some(function) {
            let _ = new.register_udwf(Arc::clone(function));
        }
    }
}

/// Ends the names under which tables show their hidden row ids.
const ROW_IDS: &str = "\u{1}";

/// The name under which a table shows its hidden row ids, to statements that a session makes.
pub(super) fn with_row_ids_name(table: &str) -> String {
    format!("{table}{ROW_IDS}")
}

/// The tables of a schema of the database in front of another schema.
#[derive(Debug)]
pub(super) struct OmenSchema {
    handle: Arc<Handle>,
    /// Its name; none: `public`.
    schema: Option<String>,
    /// What `public` is called in the catalog.
    public: Arc<str>,
    /// What else is registered.
    inner: Arc<dyn SchemaProvider>,
    current: CurrentTransaction,
    /// Whether names of files are tables, and those of system tables, as in a session.
    opens_files: bool,
    /// Plans views.
    state: StateOf,
}

/// The state of a context, as long as there is one: the context holds the schema.
#[derive(Clone)]
pub(super) struct StateOf(Arc<dyn Fn() -> Option<SessionState> + Send + Sync>);

impl StateOf {
    /// What the context is, if it is still there.
    pub(super) fn get(&self) -> Option<SessionState> {
        (self.0)()
    }

    pub(super) fn new(ctx: &SessionContext) -> Self {
        let state = ctx.state_weak_ref();
        Self(Arc::new(move || state.upgrade().map(|state| state.read().clone())))
    }
}

impl std::fmt::Debug for StateOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StateOf")
    }
}

impl OmenSchema {
    /// Whether these are the tables of `handle`.
    pub(super) fn is_of(&self, handle: &Arc<Handle>) -> bool {
        Arc::ptr_eq(&self.handle, handle)
    }

    /// Another schema of the database, before what is registered under its name.
    pub(super) fn beside(&self, name: &str, inner: Arc<dyn SchemaProvider>) -> Self {
        Self {
            handle: Arc::clone(&self.handle),
            schema: Some(name.to_string()),
            public: Arc::clone(&self.public),
            inner,
            current: self.current.clone(),
            opens_files: self.opens_files,
            state: self.state.clone(),
        }
    }

    /// Its name, if it is another schema than `public`.
    pub(super) fn schema_name(&self) -> Option<&str> {
        self.schema.as_deref()
    }

    /// What `public` is called in the catalog.
    pub(super) fn public_name(&self) -> &str {
        &self.public
    }

    /// Whether something has that name that is not of the database.
    pub(super) fn is_taken(&self, name: &str) -> bool {
        !self.has(name) && self.inner.table_exist(name)
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        self.handle.engine().snapshot_within(&self.current.get()).0
    }

    /// Whether the database has a table or a view of that name here.
    fn has(&self, name: &str) -> bool {
        let snapshot = self.snapshot();
        let full = self.full_name(&snapshot, name);
        full.is_some_and(|full| snapshot.table(&full).is_some() || snapshot.view(&full).is_some())
    }

    /// What the engine calls a table of this schema; `None` if such a name would be that of another
    /// one.
    fn full_name(&self, snapshot: &Snapshot, name: &str) -> Option<String> {
        let full = full_name(self.schema_name(), name);
        (snapshot.schema_of(&full) == self.schema_name()).then_some(full)
    }

    /// What is not of the database.
    async fn other(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        match (self.inner.table(name).await?, (self.state.0)()) {
            (None, Some(state)) if self.opens_files => file_table(&state, name).await,
            (table, _) => Ok(table),
        }
    }
}

#[async_trait]
impl SchemaProvider for OmenSchema {
    fn table_names(&self) -> Vec<String> {
        let mut names = self.snapshot().names_in(self.schema_name());
        names.extend(self.inner.table_names());
        names.sort_unstable();
        names.dedup();
        names
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        if self.opens_files
            && SYSTEM_TABLES.contains(&name)
            && !self.table_exist(name)
            && let Some(table) = SystemTable::named(&self.handle, self.snapshot(), name)
        {
            return Ok(Some(Arc::new(table)));
        }
        let (shown, with_row_ids) = match name.strip_suffix(ROW_IDS) {
            Some(shown) => (shown, true),
            None => (name, false),
        };
        let all = self.snapshot();
        let Some(full) = self.full_name(&all, shown) else { return self.other(name).await };
        let Some(snapshot) = all.table(&full) else {
            let view = all.view(&full).and_then(|text| Some((text, (self.state.0)()?)));
            return match view {
                Some((text, state)) => {
                    let state = views::as_of_public(state, &self.public);
                    views::listed(&state, &full, text).await.map(Some)
                }
                None => self.other(name).await,
            };
        };
        let table = OmenTable::new(Arc::clone(&self.handle), snapshot)?;
        let with_row_ids = with_row_ids && table.table_schema().hidden_key;
        Ok(Some(Arc::new(if with_row_ids { table.with_row_ids() } else { table })))
    }

    async fn table_type(&self, name: &str) -> Result<Option<TableType>> {
        let snapshot = self.snapshot();
        let full = self.full_name(&snapshot, name).unwrap_or_default();
        match (snapshot.table(&full), snapshot.view(&full)) {
            (Some(_), _) => Ok(Some(TableType::Base)),
            // Which need not be planned for that.
            (None, Some(_)) => Ok(Some(TableType::View)),
            (None, None) => self.inner.table_type(name).await,
        }
    }

    fn register_table(
        &self,
        name: String,
        table: Arc<dyn TableProvider>,
    ) -> Result<Option<Arc<dyn TableProvider>>> {
        if self.has(&name) {
            return Err(Error::AlreadyExists(format!("table \"{name}\" in the database")).into());
        }
        if self.opens_files {
            refuse_reserved(&name)?;
        }
        self.inner.register_table(name, table)
    }

    fn deregister_table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if self.has(name) {
            return Err(Error::invalid(format!(
                "\"{name}\" belongs to the database; drop it there (Database::drop_table, or DROP \
                 TABLE or DROP VIEW in Database::session)"
            ))
            .into());
        }
        self.inner.deregister_table(name)
    }

    fn table_exist(&self, name: &str) -> bool {
        self.has(name) || self.is_taken(name)
    }
}
