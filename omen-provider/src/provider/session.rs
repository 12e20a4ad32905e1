//! SQL on a database: DataFusion, with CREATE TABLE and DROP TABLE going to the engine.
//!
//! A statement is parsed and planned by DataFusion; of the plans, the definitions of tables are
//! carried out here, everything else by DataFusion's context. Every other object (temporary
//! views, external tables, functions, settings) lives in the session and ends with it.

use std::sync::Arc;

use datafusion::dataframe::DataFrame;
use datafusion::error::Result;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::{DdlStatement, DropTable, LogicalPlan, LogicalPlanBuilder};
use datafusion::optimizer::AnalyzerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::{ResetStatement, Statement as PlainStatement};
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;

use super::alter_table::alter_table;
use super::arrow_type::ArrowTypes;
use super::catalog_provider::register;
use super::column_names::give_own_names;
use super::comments;
use super::copy_from::plan_copy_from;
use super::copy_to::plan_copy_to;
use super::create_table::TableClauses;
use super::current_transaction::CurrentTransaction;
use super::deep_plans::with_room;
use super::edit_query::EditSyntax;
use super::edit_statements::plan_edit;
use super::edits::RewriteEdits;
use super::exact_counts::with_summaries;
use super::export::export;
use super::filter_places::with_filters_in_place;
use super::import::import;
use super::indexes;
use super::introspection::settings::Settings;
use super::introspection::{InformationSchema, pragma, refuse_reserved_names, settings};
use super::large_joins::with_large_joins;
use super::own_files::refuse_own_files;
use super::own_nodes::OwnPlanner;
use super::panics;
use super::refused_syntax::refuse_wrong_answers;
use super::runtime::QueryRuntime;
use super::schemas;
use super::statement::{Copy, Parsed, Statement};
use super::transactions;
use super::unordered::with_hidden_orders;
use super::upserts::{InsertSyntax, plan_insert};
use super::views::{self, create_view, drop_view};
use crate::error::Error;
use crate::expression::guard;
use crate::storage::database::Database;
use crate::storage::handle::Handle;
use crate::storage::snapshot::Snapshot;

/// Catalog and schema under which SQL names the database's tables.
const CATALOG: (&str, &str) = ("omen", "public");

/// Build sides of joins up to this many rows (or bytes) are looked up by key in the other side.
const JOIN_KEYS_MAX: (usize, usize) = (20_000, 2 << 20);

/// A SQL session. Cheap to clone; clones share settings, views, and the transaction that is open.
#[derive(Clone)]
pub struct Session {
    handle: Arc<Handle>,
    ctx: SessionContext,
    current: CurrentTransaction,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("id", &self.ctx.session_id()).finish_non_exhaustive()
    }
}

impl Database {
    /// A new SQL session. All sessions of a database share the memory of
    /// [`Options::query_bytes_max`](crate::Options::query_bytes_max).
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let session = omen_provider::Database::open("weather").await?.session();
    /// session.sql("CREATE TABLE t (id BIGINT PRIMARY KEY, note TEXT)").await?;
    /// session.sql("INSERT INTO t VALUES (1, 'hello')").await?.collect().await?;
    /// session.sql("SELECT * FROM t WHERE id = 1").await?.show().await?;
    /// # Ok(()) }
    /// ```
    pub fn session(&self) -> Session {
        self.session_with_config(Session::default_config())
    }

    /// A new SQL session with other settings; begin with [`Session::default_config`]. Of what
    /// sorts keep back for merging there is no more than the database's memory has room for.
    pub fn session_with_config(&self, config: SessionConfig) -> Session {
        Session::of(self.handle(), config)
    }
}

impl Session {
    fn of(handle: &Arc<Handle>, config: SessionConfig) -> Self {
        let runtime = QueryRuntime::of(handle);
        let mut config = runtime.fitted(config);
        let has_information_schema = config.information_schema();
        config.options_mut().catalog.information_schema = false;
        config.options_mut().extensions.insert(Settings::of(handle));
        let rules = PhysicalOptimizer::new().rules;
        let rules = with_filters_in_place(with_summaries(&rules).unwrap_or(rules));
        let rules = with_large_joins(with_hidden_orders(rules), Arc::clone(runtime.pool()));
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime.env())
            .with_default_features()
            .with_analyzer_rules(panics::analyzer_rules())
            .with_optimizer_rules(panics::optimizer_rules())
            .with_physical_optimizer_rules(rules)
            .with_query_planner(Arc::new(OwnPlanner))
            .with_type_planner(Arc::new(ArrowTypes))
            .build();
        let ctx = SessionContext::new_with_state(state);
        let current = CurrentTransaction::default();
        let registered = register(handle, &ctx, Some(&current)).and_then(|()| {
            InformationSchema::register(handle, &ctx, &current, has_information_schema)
        });
        debug_assert!(registered.is_ok(), "a session's own catalog takes every schema");
        Self { handle: Arc::clone(handle), ctx, current }
    }

    /// A session that sees the database as it is at this moment for this one, and stays there.
    pub(super) fn at_one_moment(&self) -> Result<Self> {
        if self.in_transaction() {
            return Ok(self.clone());
        }
        let session = Self::of(&self.handle, Self::default_config());
        session.current.open(self.handle.engine().begin(true)?)?;
        Ok(session)
    }

    /// The settings of [`Database::session`].
    pub fn default_config() -> SessionConfig {
        let mut config = SessionConfig::new()
            .with_information_schema(true)
            .with_default_catalog_and_schema(CATALOG.0, CATALOG.1);
        let options = config.options_mut();
        options.sql_parser.map_string_types_to_utf8view = false;
        // Where a column of a UNION takes no NULL on one side, plan and query differ in that.
        options.execution.skip_physical_aggregate_schema_check = true;
        options.execution.use_row_number_estimates_to_optimize_partitioning = true;
        options.optimizer.hash_join_inlist_pushdown_max_distinct_values = JOIN_KEYS_MAX.0;
        options.optimizer.hash_join_inlist_pushdown_max_size = JOIN_KEYS_MAX.1;
        config
    }

    /// Plans one SQL statement. Definitions of tables are carried out at once; everything else,
    /// INSERT included, when the rows of the result are asked for.
    ///
    /// # Errors
    /// DataFusion's; those of the engine inside convert back to [`crate::Error`].
    pub async fn sql(&self, sql: &str) -> Result<DataFrame> {
        let statement = self.parse(sql)?;
        self.execute(statement).await
    }

    /// Like [`Session::sql`], for a statement that is parsed already. [`Session::parse`] is what
    /// keeps statements so flat that any thread can carry them out. EXPORT and IMPORT DATABASE are
    /// carried out at once.
    ///
    /// # Errors
    /// As [`Session::sql`].
    pub async fn execute(&self, statement: impl Into<Statement>) -> Result<DataFrame> {
        let statement = statement.into();
        guard::polled_with_stack(async { with_room(self.plan_any(statement).await?) }).await
    }

    async fn plan_any(&self, statement: Statement) -> Result<DataFrame> {
        match statement.0 {
            Parsed::Plain(statement) => self.plan(*statement).await,
            Parsed::Copy(copy) => Box::pin(self.plan_copy(*copy)).await,
            Parsed::Export(folder, options) => {
                Box::pin(export(self, &folder, &options)).await?;
                self.no_rows()
            }
            Parsed::Pragma(asked) => Box::pin(pragma::carry_out(self, asked)).await,
            Parsed::Import(folder) => {
                Box::pin(import(self, &folder)).await?;
                self.no_rows()
            }
        }
    }

    async fn plan_copy(&self, copy: Copy) -> Result<DataFrame> {
        let explain = copy.explain;
        let frame = match copy.is_from {
            true => plan_copy_from(self, copy).await?,
            false => plan_copy_to(self, copy).await?,
        };
        match explain {
            Some((analyze, verbose)) => frame.explain(verbose, analyze),
            None => Ok(frame),
        }
    }

    /// Plans a query that is part of another statement.
    pub(super) async fn planned_query(&self, mut statement: PlainStatement) -> Result<LogicalPlan> {
        let state = self.ctx.state();
        let normalize_names = state.config_options().sql_parser.enable_ident_normalization;
        give_own_names(&mut statement, normalize_names);
        self.planned(statement).await
    }

    async fn planned(&self, statement: PlainStatement) -> Result<LogicalPlan> {
        let names_views = views::are_named(self, &statement);
        let state = self.ctx.state();
        let plan = views::named(guard::planned(state.statement_to_plan(statement))).await?;
        refuse_own_files(self.handle.engine().location(), &plan)?;
        if names_views {
            views::check_statement(&plan)?;
        }
        Ok(plan)
    }

    pub(super) async fn plan(&self, mut statement: PlainStatement) -> Result<DataFrame> {
        let state = self.ctx.state();
        let normalize_names = state.config_options().sql_parser.enable_ident_normalization;
        refuse_wrong_answers(&statement)?;
        give_own_names(&mut statement, normalize_names);
        schemas::give_setting_shown(&mut statement);
        let clauses = TableClauses::take(&mut statement, normalize_names)?;
        if let Some(frame) = self.plan_own(&statement).await? {
            return Ok(frame);
        }
        let plan = self.planned(statement).await?;
        // What is prepared is optimised before the analyzer sees it.
        let plan = RewriteEdits.analyze(plan, state.config_options())?;
        refuse_reserved_names(self, &plan)?;
        match plan {
            LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(command)) if !command.temporary => {
                super::create_table::create_table(self, command, clauses).await
            }
            LogicalPlan::Ddl(DdlStatement::DropTable(command)) => self.drop_table(command).await,
            LogicalPlan::Ddl(DdlStatement::DropView(command)) => {
                Box::pin(drop_view(self, command)).await
            }
            LogicalPlan::Ddl(DdlStatement::CreateView(mut view)) => {
                // Of this session alone.
                view.temporary = false;
                let plan = LogicalPlan::Ddl(DdlStatement::CreateView(view));
                self.ctx.execute_logical_plan(plan).await
            }
            plan if QueryRuntime::of(&self.handle).set(&plan)? => self.no_rows(),
            plan if settings::set(&self.handle, &self.ctx, &plan)? => self.no_rows(),
            plan => guard::planned(self.ctx.execute_logical_plan(plan)).await,
        }
    }

    /// A statement that DataFusion does not plan.
    async fn plan_own(&self, statement: &PlainStatement) -> Result<Option<DataFrame>> {
        match statement {
            PlainStatement::Statement(statement) => {
                settings::check_shown(statement)?;
                if transactions::carry_out(self, statement).await? {
                    return self.no_rows().map(Some);
                }
                if let SqlStatement::AlterTable(alteration) = statement.as_ref() {
                    // Such futures are large; every statement would carry them.
                    Box::pin(alter_table(self, alteration)).await?;
                    return self.no_rows().map(Some);
                }
                if indexes::is_one(statement) {
                    Box::pin(indexes::carry_out(self, statement)).await?;
                    return self.no_rows().map(Some);
                }
                if comments::is_one(statement) {
                    Box::pin(comments::carry_out(self, statement)).await?;
                    return self.no_rows().map(Some);
                }
                if Box::pin(schemas::carry_out(self, statement)).await? {
                    return self.no_rows().map(Some);
                }
                if let Some(view) = views::of_database(statement) {
                    return Box::pin(create_view(self, view.clone())).await.map(Some);
                }
                if let Some(syntax) = InsertSyntax::of(statement) {
                    return plan_insert(self, syntax).await.map(Some);
                }
                match EditSyntax::of(statement)? {
                    Some(syntax) => plan_edit(self, syntax).await.map(Some),
                    None => Ok(None),
                }
            }
            PlainStatement::Explain(explain) => {
                if let PlainStatement::Statement(statement) = explain.statement.as_ref()
                    && (transactions::is_one(statement)
                        || matches!(statement.as_ref(), SqlStatement::AlterTable(_))
                        || indexes::is_one(statement)
                        || schemas::is_one(statement)
                        || comments::is_one(statement)
                        || views::of_database(statement).is_some())
                {
                    return Err(Error::invalid("there is nothing to explain about it").into());
                }
                let explained = Box::pin(self.plan_own(&explain.statement)).await?;
                explained
                    .map(|frame| frame.explain(explain.options.verbose, explain.options.analyze))
                    .transpose()
            }
            PlainStatement::Reset(ResetStatement::Variable(variable)) => {
                match schemas::reset(self, variable)? {
                    true => self.no_rows().map(Some),
                    false => Ok(None),
                }
            }
            _ => Ok(None),
        }
    }

    /// Whether a transaction has begun that has not ended.
    pub fn in_transaction(&self) -> bool {
        self.current.get().0.is_some()
    }

    /// DataFusion's context of this session: for settings, functions and further tables. SQL that
    /// it is given itself is not checked for its depth, and `SET datafusion.runtime.…` would give
    /// it memory of its own.
    pub fn context(&self) -> &SessionContext {
        &self.ctx
    }

    pub(super) fn handle(&self) -> &Arc<Handle> {
        &self.handle
    }

    /// What its statements see.
    pub(super) fn snapshot(&self) -> Snapshot {
        self.handle.engine().snapshot_within(&self.current.get()).0
    }

    /// Where its open transaction is.
    pub(super) fn current(&self) -> &CurrentTransaction {
        &self.current
    }

    /// The result of a statement without rows.
    pub(super) fn no_rows(&self) -> Result<DataFrame> {
        Ok(DataFrame::new(self.ctx.state(), LogicalPlanBuilder::empty(false).build()?))
    }

    async fn drop_table(&self, command: DropTable) -> Result<DataFrame> {
        match self.engine_name(&command.name).filter(|own| !own.is_taken) {
            Some(own) => {
                let (engine, name) = (self.handle.engine(), &own.full);
                if self.snapshot().view(name).is_some() {
                    return Err(Error::invalid(format!(
                        "\"{name}\" is a view; DROP VIEW drops it"
                    ))
                    .into());
                }
                engine.drop_table(&self.current.get(), name, command.if_exists).await?;
                self.no_rows()
            }
            _ => {
                let plan = LogicalPlan::Ddl(DdlStatement::DropTable(command));
                self.ctx.execute_logical_plan(plan).await
            }
        }
    }
}

/// An object of the session is in the way of a table.
pub(super) fn taken(name: &str) -> Error {
    Error::AlreadyExists(format!("\"{name}\", as a view or another table of this session"))
}
