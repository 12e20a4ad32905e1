//! Texts of statements, carried out by a session: rows or a typed error.
//!
//! Any text may come: it must not panic, overflow the stack, or take for ever. A query whose answer
//! does not depend on chance is also put to DataFusion over tables in memory with the same rows,
//! and must be answered alike. After a statement that may have changed something the database is
//! opened anew, as it was.
//!
//! Called by the target, and by the repository's tests, which compile this file too; calls the
//! public interface alone.

use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::datasource::MemTable;
use datafusion::error::{DataFusionError, Result};
use datafusion::prelude::{DataFrame, SessionContext};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::Statement as Ast;
use futures::StreamExt;
use object_store::memory::InMemory;
use omen_provider::store::Store;
use omen_provider::{Database, Error, Options, Session};
use tokio::runtime::Runtime;

/// The tables: part of the rows in segments, part in memory, some deleted.
const TABLES: &[&str] = &[
    "CREATE TABLE n (id BIGINT PRIMARY KEY, v INT, s TEXT)",
    "CREATE TABLE t (k TEXT PRIMARY KEY, b BOOLEAN)",
    "CREATE TABLE c (a INT, b TEXT, x DECIMAL(10, 2) DEFAULT 1.5, PRIMARY KEY (a, b))",
    "CREATE TABLE d (at TIMESTAMP PRIMARY KEY, day DATE)",
    "CREATE TABLE h (v BIGINT, l BIGINT[])",
    "INSERT INTO n SELECT value, NULLIF(value % 5, 0), 'row ' || value \
     FROM generate_series(1, 40) AS g(value)",
    "INSERT INTO t VALUES ('', true), ('a', NULL), ('ab', false), ('b', true), ('row 7', NULL)",
    "INSERT INTO c VALUES (1, 'x', 1.25), (1, 'y', NULL), (-3, '', 9), (4, 'x', -7.5)",
    "INSERT INTO d VALUES ('2020-02-29T12:00:00', '2020-02-29'), ('1969-12-31T23:59:59', NULL)",
    "INSERT INTO h VALUES (1, [1, 2]), (2, NULL), (NULL, [])",
    "",
    "INSERT OR REPLACE INTO n VALUES (3, 1, 'new'), (4, NULL, NULL), (900, 1, 'far')",
    "INSERT INTO c VALUES (2, 'z', 0)",
];
/// Their names.
const NAMES: [&str; 5] = ["n", "t", "c", "d", "h"];

/// Rows of an answer that are looked at.
const ROWS_MAX: usize = 2_000;
/// The stack of the thread: three quarters of what a thread has if nobody asks for more.
const STACK_BYTES: usize = 3 << 19;

/// Words of queries whose answers depend on chance, on time, on an order that was not asked for, or
/// on how they are carried out.
const NOT_COMPARED: &str = "limit fetch offset random uuid now current today first last nth agg \
     row_number rank ntile lag lead over explain show describe information_schema distinct version \
     approx arrow_ top array recursive sample median";

/// What became of a text.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has rows, or has done what it says.
    Answered,
    /// The same, and DataFusion says so too.
    Compared,
    /// A typed error.
    Refused(String),
    /// It takes longer than it is given.
    GivenUp,
    /// It was parsed; it might touch files of the machine.
    Parsed,
}

/// Who answers: a database, and DataFusion with the same rows.
pub struct Answering {
    runtime: Runtime,
    made: Arc<InMemory>,
    database: Option<Database>,
    reference: SessionContext,
    time_max: Duration,
}

/// What a text asks for.
#[derive(PartialEq, Eq)]
enum Kind {
    Query,
    Change,
    Unsafe,
}

impl Answering {
    /// Makes the tables. A statement that takes longer than `time_max` is given up, which is no
    /// defect.
    pub fn begin(time_max: Duration) -> Self {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().build().expect("a runtime");
        let made = Arc::new(InMemory::new());
        let reference = runtime.block_on(async {
            let database = open(&made).await;
            for sql in TABLES {
                match *sql {
                    "" => database.checkpoint().await.expect("a checkpoint"),
                    sql => {
                        let frame = database.session().sql(sql).await.expect(sql);
                        rows(frame).await.expect(sql);
                    }
                }
            }
            let deleted = database.table("t").expect("a table").delete(["b"]).await;
            assert_eq!(deleted.expect("to delete"), 1);
            let reference = SessionContext::new_with_config(Session::default_config());
            for name in NAMES {
                let frame = database.session().sql(&format!("SELECT * FROM {name}")).await;
                let frame = frame.expect(name);
                let schema = Arc::new(frame.schema().as_arrow().clone());
                let batches = frame.collect().await.expect(name);
                let table = MemTable::try_new(schema, vec![batches]).expect(name);
                reference.register_table(name, Arc::new(table)).expect(name);
            }
            database.close().await.expect("to close");
            reference
        });
        Self { runtime, made, database: None, reference, time_max }
    }

    /// Carries a text out, on a stack of bounded size.
    ///
    /// # Panics
    /// If it breaks a promise.
    pub fn answer(&mut self, text: &str) -> Outcome {
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
            let work = || self.carry_out(text);
            let joined = thread.spawn_scoped(scope, work).map(|thread| thread.join());
            match joined.expect("a thread") {
                Ok(outcome) => outcome,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    fn carry_out(&mut self, text: &str) -> Outcome {
        let made = &self.made;
        let database = match self.database.take() {
            Some(database) => database,
            None => self.runtime.block_on(async { open(&Arc::new(made.fork())).await }),
        };
        let session = database.session();
        let parsed = session.parse(text).map(|parsed| parsed.as_datafusion().cloned());
        let kind = match &parsed {
            Ok(Some(statement)) => kind(statement, text),
            // COPY, EXPORT, IMPORT.
            Ok(None) => Kind::Unsafe,
            Err(_) => Kind::Query,
        };
        let outcome = match parsed {
            Err(error) => Outcome::Refused(Error::from(error).to_string()),
            Ok(None) => Outcome::Parsed,
            Ok(_) if kind == Kind::Unsafe => Outcome::Parsed,
            Ok(Some(statement)) => self.runtime.block_on(self.compared(&session, statement, text)),
        };
        let mut names = database.table_names();
        names.retain(|name| !NAMES.contains(&name.as_str()));
        if kind != Kind::Change && names.is_empty() && outcome != Outcome::GivenUp {
            self.database = Some(database);
        }
        outcome
    }

    async fn compared(&self, session: &Session, statement: Statement, text: &str) -> Outcome {
        let ours = async { rows(session.execute(statement.clone()).await?).await };
        let ours = match tokio::time::timeout(self.time_max, ours).await {
            Err(_) => return Outcome::GivenUp,
            Ok(Err(error)) => return Outcome::Refused(Error::from(error).to_string()),
            Ok(Ok(rows)) => rows,
        };
        let lower = text.to_ascii_lowercase();
        let compares = kind(&statement, text) == Kind::Query
            && !NOT_COMPARED.split_whitespace().any(|word| lower.contains(word));
        let Some(ours) = ours.filter(|_| compares) else { return Outcome::Answered };
        let theirs = async {
            let plan = self.reference.state().statement_to_plan(statement).await?;
            rows(self.reference.execute_logical_plan(plan).await?).await
        };
        match tokio::time::timeout(self.time_max, theirs).await {
            Ok(Ok(Some(theirs))) => {
                assert_eq!(ours, theirs, "other rows than DataFusion's: {text}");
                Outcome::Compared
            }
            _ => Outcome::Answered,
        }
    }
}

async fn open(objects: &Arc<InMemory>) -> Database {
    let options = Options { reserve_bytes: 0, spill_bytes_max: 1 << 20, ..limits() };
    let store = Store::object_store(Arc::clone(objects) as _, "db");
    options.open_store(store).await.expect("a database")
}

fn limits() -> Options {
    Options::within_memory(64 << 20)
}

/// The rows, drawn and sorted; `None` if there are more than are looked at.
async fn rows(frame: DataFrame) -> Result<Option<Vec<String>>> {
    let mut stream = frame.execute_stream().await?;
    let mut drawn = Vec::new();
    while let Some(batch) = stream.next().await {
        draw(&batch?, &mut drawn)?;
        if drawn.len() > ROWS_MAX {
            return Ok(None);
        }
    }
    drawn.sort_unstable();
    Ok(Some(drawn))
}

fn draw(batch: &RecordBatch, drawn: &mut Vec<String>) -> Result<()> {
    let options = FormatOptions::new().with_null("NULL").with_display_error(true);
    let is_float = |kind: &DataType| matches!(kind, DataType::Float32 | DataType::Float64);
    let columns = batch.columns().iter().filter(|column| !is_float(column.data_type()));
    let columns = columns.map(|column| ArrayFormatter::try_new(column.as_ref(), &options));
    let columns: Vec<_> = columns.collect::<std::result::Result<_, _>>()?;
    for row in 0..batch.num_rows().min(ROWS_MAX + 1) {
        let cells = columns.iter().map(|column| column.value(row).try_to_string());
        let cells: std::result::Result<Vec<_>, _> = cells.collect();
        drawn.push(cells.map_err(DataFusionError::from)?.join("|"));
    }
    Ok(())
}

/// What may be carried out here: nothing that names files of the machine.
fn kind(statement: &Statement, text: &str) -> Kind {
    match statement {
        Statement::Statement(ast) => match ast.as_ref() {
            Ast::Query(_) | Ast::ShowTables { .. } | Ast::ShowColumns { .. } => Kind::Query,
            Ast::ExplainTable { .. } => Kind::Query,
            Ast::Set(_) if !text.to_ascii_lowercase().contains("runtime") => Kind::Change,
            Ast::Insert(_) | Ast::Update(_) | Ast::Delete(_) | Ast::Drop { .. } => Kind::Change,
            Ast::CreateTable(_) | Ast::CreateView(_) => Kind::Change,
            _ => Kind::Unsafe,
        },
        Statement::Explain(explain) => match explain.statement.as_ref() {
            Statement::Statement(ast) if matches!(ast.as_ref(), Ast::Query(_)) => Kind::Query,
            _ => Kind::Unsafe,
        },
        _ => Kind::Unsafe,
    }
}
