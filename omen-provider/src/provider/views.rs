//! Views of the database: their text is kept, and planned anew wherever a statement names one.
//!
//! So a view shows its tables as they are, and the statement's snapshot of them. Views may name
//! views: what that comes to is counted before anything is planned, for a few lines of text could
//! name a table a billion times, or a view itself. Called by [`super::catalog_provider`] and
//! [`super::session`].

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::not_impl_err;
use datafusion::dataframe::DataFrame;
use datafusion::datasource::ViewTable;
use datafusion::error::Result;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{DdlStatement, DropView, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::analyzer::type_coercion::TypeCoercion;
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::{
    CreateView, ObjectName, Statement as SqlStatement, visit_relations,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;

use super::session::{Session, taken};
use crate::error::Error;
use crate::expression::guard;
use crate::storage::snapshot::Snapshot;

/// How many queries one view may come to.
const QUERIES_MAX: u64 = 1_000;

/// Creates a view that outlasts the session.
pub(super) async fn create_view(session: &Session, statement: CreateView) -> Result<DataFrame> {
    let (or_replace, if_not_exists) = (statement.or_replace, statement.if_not_exists);
    let plain = CreateView { or_replace: false, if_not_exists: false, ..statement };
    let statement = SqlStatement::CreateView(plain);
    let text = statement.to_string();
    let state = session.context().state();
    let statement = Statement::Statement(Box::new(statement));
    let plan = guard::planned(state.statement_to_plan(statement)).await?;
    let LogicalPlan::Ddl(DdlStatement::CreateView(view)) = plan else {
        return Err(Error::invalid(format!("{text} is no view")).into());
    };
    let name = view.name.table().to_string();
    match session.in_database(&view.name) {
        None => {
            return Err(Error::invalid(format!(
                "view {} would lie outside of the database, whose views are all in the default \
                 schema; CREATE TEMPORARY VIEW makes one for this session",
                view.name
            ))
            .into());
        }
        Some(true) => return Err(taken(&view.name).into()),
        Some(false) => {}
    }
    let (engine, within) = (session.handle().engine(), session.current().get());
    let snapshot = engine.snapshot_within(&within).0;
    if if_not_exists && (snapshot.view(&name).is_some() || snapshot.table(&name).is_some()) {
        return session.no_rows();
    }
    // As it would be planned.
    view_table(&state, &snapshot, &name, &text, view.input.as_ref().clone())?;
    engine.create_view(&within, name, text, or_replace).await?;
    session.no_rows()
}

/// Drops a view, of the database or of the session.
pub(super) async fn drop_view(session: &Session, command: DropView) -> Result<DataFrame> {
    let engine = session.handle().engine();
    let within = session.current().get();
    let name = command.name.table();
    match session.in_database(&command.name) {
        Some(false) if engine.snapshot_within(&within).0.table(name).is_some() => {
            Err(Error::invalid(format!("\"{name}\" is a table; DROP TABLE drops it")).into())
        }
        Some(false) => {
            engine.drop_view(&within, name, command.if_exists).await?;
            session.no_rows()
        }
        _ => {
            let plan = LogicalPlan::Ddl(DdlStatement::DropView(command));
            session.context().execute_logical_plan(plan).await
        }
    }
}

/// What a statement reads that names a view.
pub(super) async fn planned(
    state: &SessionState,
    snapshot: &Snapshot,
    name: &str,
    text: &str,
) -> Result<Arc<dyn TableProvider>> {
    check_size(snapshot, name, text)?;
    let statement = parsed(text)?;
    let plan = guard::planned(state.statement_to_plan(statement));
    let plan = guard::polled_with_stack(plan).await?;
    let LogicalPlan::Ddl(DdlStatement::CreateView(view)) = plan else {
        return not_impl_err!("the view {name} is {text}");
    };
    view_table(state, snapshot, name, text, Arc::unwrap_or_clone(view.input))
}

fn view_table(
    state: &SessionState,
    snapshot: &Snapshot,
    name: &str,
    text: &str,
    input: LogicalPlan,
) -> Result<Arc<dyn TableProvider>> {
    check_size(snapshot, name, text)?;
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

/// Refuses a view that comes to more queries than are planned for one statement, or to itself.
fn check_size(snapshot: &Snapshot, name: &str, text: &str) -> Result<()> {
    let mut sizes = Sizes { snapshot, known: HashMap::new(), path: Vec::new() };
    sizes.of(name, text).map(drop)
}

struct Sizes<'a> {
    snapshot: &'a Snapshot,
    known: HashMap<String, u64>,
    /// The views that are being looked at, each named by the one before.
    path: Vec<String>,
}

impl Sizes<'_> {
    fn of(&mut self, name: &str, text: &str) -> Result<u64> {
        if self.path.iter().any(|above| above == name) {
            return Err(Error::invalid(format!("view \"{name}\" is made of itself")).into());
        }
        if let Some(known) = self.known.get(name) {
            return Ok(*known);
        }
        self.path.push(name.to_string());
        let mut size = 1u64;
        for named in named_relations(text)? {
            let text = self.snapshot.view(&named).map(str::to_string);
            if let Some(text) = text {
                size = size.saturating_add(self.of(&named, &text)?);
            }
            if size > QUERIES_MAX {
                return Err(Error::invalid(format!(
                    "view \"{name}\" comes to more than {QUERIES_MAX} queries, with the views that \
                     it names; make a table of one of them (CREATE TABLE … AS)"
                ))
                .into());
            }
        }
        self.path.pop();
        self.known.insert(name.to_string(), size);
        Ok(size)
    }
}

/// The last parts of the names of what a view reads, as often as it does.
fn named_relations(text: &str) -> Result<Vec<String>> {
    let mut names = Vec::new();
    if let Statement::Statement(statement) = parsed(text)?
        && let SqlStatement::CreateView(view) = *statement
    {
        let _: std::ops::ControlFlow<()> = visit_relations(&view.query, |name: &ObjectName| {
            if let Some(last) = name.0.last().and_then(|part| part.as_ident()) {
                names.push(match last.quote_style {
                    Some(_) => last.value.clone(),
                    None => last.value.to_lowercase(),
                });
            }
            std::ops::ControlFlow::Continue(())
        });
    }
    Ok(names)
}

/// Whether a statement makes a view that outlasts the session.
pub(super) fn of_database(statement: &SqlStatement) -> Option<&CreateView> {
    match statement {
        SqlStatement::CreateView(view) if !view.temporary && !view.materialized => Some(view),
        _ => None,
    }
}
