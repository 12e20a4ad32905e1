//! Views of the database: their text is kept, and planned anew wherever a statement names one.
//!
//! So a view shows its tables as they are, and the statement's snapshot of them. Views may name
//! views: which are being planned, and how many were, goes along with the task that plans, for a
//! few lines of text could name a table a billion times, or a view itself. Called by
//! [`super::catalog_provider`] and [`super::session`].

use std::cell::Cell;
use std::future::Future;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{TableReference, not_impl_err};
use datafusion::config::Dialect;
use datafusion::dataframe::DataFrame;
use datafusion::datasource::ViewTable;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{DdlStatement, DropView, Expr, LogicalPlan, TableType};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::analyzer::type_coercion::TypeCoercion;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::{CreateView, Statement as SqlStatement};
use datafusion::sql::sqlparser::dialect::GenericDialect;

use super::session::{Session, taken};
use super::view_text::qualified;
use crate::error::Error;
use crate::expression::guard;

/// How many views one may come to.
const QUERIES_MAX: u64 = 200;
/// How deep views are nested.
const DEPTH_MAX: usize = 40;
/// Joins, unions, windows and views of a view: one may read the other, and what runs them recurses.
const JOINS_MAX: usize = 40;

/// Creates a view that outlasts the session.
pub(super) async fn create_view(session: &Session, statement: CreateView) -> Result<DataFrame> {
    let (or_replace, if_not_exists) = (statement.or_replace, statement.if_not_exists);
    let plain = CreateView { or_replace: false, if_not_exists: false, ..statement };
    let state = session.context().state();
    let options = &state.config_options().sql_parser;
    if options.dialect != Dialect::Generic || !options.enable_ident_normalization {
        return Err(Error::invalid(
            "a view is kept as text, which means the same in every session: SET \
             datafusion.sql_parser.dialect = 'generic' and enable_ident_normalization = true \
             before CREATE VIEW, or CREATE TEMPORARY VIEW",
        )
        .into());
    }
    let own = session.require_engine_name(&session.reference(&plain.name)?, "view")?;
    if own.is_taken {
        return Err(taken(&own.full).into());
    }
    let (name, in_schema) = (own.full.clone(), own.in_schema());
    let plain = kept(session, plain, &name).await?;
    let text = SqlStatement::CreateView(plain).to_string();
    let public = session.public_name();
    let state = as_of_public(state, &public);
    let own = Expansion { path: vec![name.clone()], planned: Cell::new(0) };
    // As it will be planned.
    let planning = guard::planned(state.statement_to_plan(parsed(&text)?));
    let plan = EXPANSION.scope(own, planning).await?;
    let LogicalPlan::Ddl(DdlStatement::CreateView(view)) = plan else {
        return Err(Error::invalid(format!("{text} is no view")).into());
    };
    let (engine, within) = (session.handle().engine(), session.current().get());
    let snapshot = engine.snapshot_within(&within).0;
    if if_not_exists && (snapshot.view(&name).is_some() || snapshot.table(&name).is_some()) {
        return session.no_rows();
    }
    refuse_passing(session, &text, &public)?;
    view_table(&state, &name, &text, view.input.as_ref().clone())?;
    engine.create_view(&within, name, in_schema, text, or_replace).await?;
    session.no_rows()
}

/// The statement as it is kept, of the view that the engine calls `full`.
async fn kept(session: &Session, view: CreateView, full: &str) -> Result<CreateView> {
    let schema = session.default_schema();
    if schema == session.public_name() {
        return Ok(view);
    }
    // As it is meant: what makes no sense so is not to get another one.
    let own = Expansion { path: vec![full.to_string()], planned: Cell::new(0) };
    let meant = Statement::Statement(Box::new(SqlStatement::CreateView(view.clone())));
    let state = session.context().state();
    EXPANSION.scope(own, guard::planned(state.statement_to_plan(meant))).await?;
    let there = session.snapshot().names_in(Some(&schema));
    Ok(qualified(view, &schema, |name| there.iter().any(|there| there == name))?)
}

/// A state in which names without a schema lie in `public`, as the texts of views have them.
pub(super) fn as_of_public(mut state: SessionState, public: &str) -> SessionState {
    if state.config_options().catalog.default_schema != public {
        state.config_mut().options_mut().catalog.default_schema = public.to_string();
    }
    state
}

/// Drops a view, of the database or of the session.
pub(super) async fn drop_view(session: &Session, command: DropView) -> Result<DataFrame> {
    let engine = session.handle().engine();
    let within = session.current().get();
    match session.engine_name(&command.name).filter(|own| !own.is_taken) {
        Some(own) if session.snapshot().table(&own.full).is_some() => {
            Err(Error::invalid(format!("\"{}\" is a table; DROP TABLE drops it", own.full)).into())
        }
        Some(own) => {
            engine.drop_view(&within, &own.full, command.if_exists).await?;
            session.no_rows()
        }
        _ => {
            let plan = LogicalPlan::Ddl(DdlStatement::DropView(command));
            session.context().execute_logical_plan(plan).await
        }
    }
}

/// Refuses what is gone when the session ends.
fn refuse_passing(session: &Session, text: &str, public: &str) -> Result<()> {
    let named = session.context().state().resolve_table_references(&parsed(text)?)?;
    let is_passing = |name: &&TableReference| {
        session.engine_name_from(name, public).is_some_and(|own| own.is_taken)
    };
    match named.iter().find(is_passing) {
        Some(name) => Err(Error::invalid(format!(
            "\"{}\" ends with the session, and the view would not; CREATE TEMPORARY VIEW",
            name.table()
        ))
        .into()),
        None => Ok(()),
    }
}

/// The views that a task is planning, each named by the one before, and how many it has planned
/// for the outermost.
struct Expansion {
    path: Vec<String>,
    planned: Cell<u64>,
}

tokio::task_local! {
    static EXPANSION: Expansion;
    /// Set while the names of a statement are looked up.
    static STATEMENT: ();
}

/// Plans a statement: the views that it names must make sense.
pub(super) async fn named<T>(planning: impl Future<Output = T>) -> T {
    STATEMENT.scope((), planning).await
}

/// A view as a table; where nobody asked for it by its name, also one that makes no sense any more,
/// so that it can be listed.
pub(super) async fn listed(
    state: &SessionState,
    name: &str,
    text: &str,
) -> Result<Arc<dyn TableProvider>> {
    let is_named = STATEMENT.try_with(|()| ()).is_ok() || EXPANSION.try_with(|_| ()).is_ok();
    match planned(state, name, text).await {
        Err(error) if !is_named => {
            let (definition, error) = (text.to_string(), error.strip_backtrace());
            Ok(Arc::new(BrokenView { definition, error }))
        }
        planned => planned,
    }
}

/// A view that cannot be planned.
#[derive(Debug)]
struct BrokenView {
    definition: String,
    error: String,
}

#[async_trait]
impl TableProvider for BrokenView {
    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::empty())
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn get_table_definition(&self) -> Option<&str> {
        Some(&self.definition)
    }

    async fn scan(
        &self,
        _state: &dyn datafusion::catalog::Session,
        _projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Err(Error::invalid(format!("{}: {}", self.definition, self.error)).into())
    }
}

/// What a statement reads that names a view.
///
/// # Errors
/// [`Error::InvalidInput`] for a view that comes to itself, or to more than can be planned.
async fn planned(state: &SessionState, name: &str, text: &str) -> Result<Arc<dyn TableProvider>> {
    let (path, count) = EXPANSION
        .try_with(|above| {
            above.planned.set(above.planned.get() + 1);
            (above.path.clone(), above.planned.get())
        })
        .unwrap_or_default();
    if path.iter().any(|above| above == name) {
        return Err(Error::invalid(format!("view \"{name}\" is made of itself")).into());
    }
    if path.len() >= DEPTH_MAX || count > QUERIES_MAX {
        return Err(Error::invalid(format!(
            "view \"{name}\": views are nested {DEPTH_MAX} deep at most, and come to {QUERIES_MAX} \
             others; make a table of one of them (CREATE TABLE … AS)"
        ))
        .into());
    }
    let own =
        Expansion { path: [path, vec![name.to_string()]].concat(), planned: Cell::new(count) };
    let planning = async {
        let plan = guard::planned(state.statement_to_plan(parsed(text)?)).await?;
        let planned = EXPANSION.try_with(|own| own.planned.get()).unwrap_or_default();
        Ok::<_, DataFusionError>((plan, planned))
    };
    let (plan, planned) = guard::polled_with_stack(EXPANSION.scope(own, planning)).await?;
    // Those that were planned for this one count for the ones above.
    let _ = EXPANSION.try_with(|above| above.planned.set(planned));
    let LogicalPlan::Ddl(DdlStatement::CreateView(view)) = plan else {
        return not_impl_err!("the view {name} is {text}");
    };
    view_table(state, name, text, Arc::unwrap_or_clone(view.input))
}

fn view_table(
    state: &SessionState,
    name: &str,
    text: &str,
    input: LogicalPlan,
) -> Result<Arc<dyn TableProvider>> {
    if joins(&input)? > JOINS_MAX {
        return Err(Error::invalid(format!(
            "view \"{name}\" comes to more than {JOINS_MAX} joins and unions with the views that \
             it names; make a table of one of them (CREATE TABLE … AS)"
        ))
        .into());
    }
    let input = TypeCoercion::new().analyze(input, state.config_options())?;
    let mut columns: Vec<&String> = input.schema().fields().iter().map(|f| f.name()).collect();
    columns.sort_unstable();
    if let Some(twice) = columns.windows(2).find(|pair| pair[0] == pair[1]) {
        let twice = twice[0];
        return Err(Error::invalid(format!(
            "view \"{name}\" has two columns named \"{twice}\"; give one another name by AS"
        ))
        .into());
    }
    Ok(Arc::new(ViewTable::new(input, Some(text.to_string()))))
}

fn parsed(text: &str) -> Result<Statement> {
    let Some(tokens) = guard::tokens(text, &GenericDialect {})? else {
        return Err(Error::invalid(format!("the text of a view is none: {text}")).into());
    };
    let parser = DFParserBuilder::new(tokens).with_dialect(&GenericDialect {});
    let mut statements = guard::with_stack(|| parser.build()?.parse_statements())?;
    let one = statements.pop_front().filter(|_| statements.is_empty());
    one.ok_or_else(|| Error::invalid(format!("the text of a view is no statement: {text}")).into())
}

/// Joins, unions and windows of a plan, with those of the views that it names.
pub(super) fn joins(plan: &LogicalPlan) -> Result<usize> {
    let mut count = 0;
    plan.apply_with_subqueries(|node| {
        match node {
            LogicalPlan::Join(_) | LogicalPlan::Union(_) | LogicalPlan::Window(_) => count += 1,
            LogicalPlan::TableScan(scan) => {
                if let Some(view) = scan.source.get_logical_plan() {
                    count += 1 + joins(&view)?;
                }
            }
            _ => {}
        }
        Ok(if count > JOINS_MAX { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(count)
}

/// What the engine calls the tables and views that a view reads.
pub(super) fn names_in(session: &Session, text: &str) -> Result<Vec<String>> {
    let named = session.context().state().resolve_table_references(&parsed(text)?)?;
    let public = session.public_name();
    let own = named.iter().filter_map(|name| session.engine_name_from(name, &public));
    Ok(own.map(|own| own.full).collect())
}

/// Whether a statement names views of the database.
pub(super) fn are_named(session: &Session, statement: &Statement) -> bool {
    let snapshot = session.snapshot();
    if snapshot.view_names().is_empty() {
        return false;
    }
    let named = session.context().state().resolve_table_references(statement);
    let is_view = |name: &TableReference| {
        session.engine_name(name).is_some_and(|own| snapshot.view(&own.full).is_some())
    };
    named.is_ok_and(|named| named.iter().any(is_view))
}

/// Refuses a statement that comes to more with its views than one may.
pub(super) fn check_statement(plan: &LogicalPlan) -> Result<()> {
    if joins(plan)? <= JOINS_MAX {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "the statement comes to more than {JOINS_MAX} joins and unions with the views that it \
         names; make a table of one of them (CREATE TABLE … AS)"
    ))
    .into())
}

/// Whether a statement makes a view that outlasts the session.
pub(super) fn of_database(statement: &SqlStatement) -> Option<&CreateView> {
    match statement {
        SqlStatement::CreateView(view) if !view.temporary && !view.materialized => Some(view),
        _ => None,
    }
}
