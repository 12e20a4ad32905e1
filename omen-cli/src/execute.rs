//! Runs single statements: rows to standard output as they come, counts and times to standard
//! error.
//!
//! A statement is planned and carried out on threads of its own (`workers`) and sends what it has
//! to say to the prompt's thread, which prints. Ctrl-C leaves the statement behind with its
//! threads, whatever they do. Invariant: standard output is flushed when a statement ends, before
//! anything is said about it.

use std::io::{BufWriter, Stdout, Write, stdout};
use std::time::Instant;

use arrow::array::{Array, RecordBatch, UInt64Array};
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::{LogicalPlan, WriteOp, dml::InsertOp};
use datafusion::sql::parser::Statement as PlainStatement;
use datafusion::sql::sqlparser::ast::OnConflictAction::DoUpdate;
use datafusion::sql::sqlparser::ast::{OnConflict, OnInsert, SetExpr, Statement as SqlStatement};
use futures::StreamExt;
use omen_provider::{Database, Session, Statement};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::failure::{Failure, Result};
use crate::interrupt::interruptible;
use crate::notes;
use crate::output::{self, Format, Limits};
use crate::workers::Workers;

/// How results are presented.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    /// The format of rows.
    pub(crate) format: Format,
    /// Whether a person is at the prompt.
    pub(crate) interactive: bool,
    /// Whether times are printed.
    pub(crate) timing: bool,
}

/// Runs statements in one session.
pub(crate) struct Executor {
    /// The database, for commands that list what it holds.
    pub(crate) database: Database,
    /// How results are presented.
    pub(crate) settings: Settings,
    /// Files of statements being read, one within the other.
    pub(crate) files_open: usize,
    /// Whether standard input brings the statements, and so no rows.
    pub(crate) stdin_taken: bool,
    /// Whether the statement that runs writes.
    writing: bool,
    session: Session,
    workers: Workers,
    out: BufWriter<Stdout>,
}

impl Executor {
    /// An executor with a session of its own.
    pub(crate) fn new(database: Database, settings: Settings) -> Self {
        let session = database.session();
        Self {
            database,
            settings,
            files_open: 0,
            stdin_taken: settings.interactive,
            writing: false,
            session,
            workers: Workers::default(),
            out: BufWriter::new(stdout()),
        }
    }

    /// Runs one statement.
    pub(crate) async fn run(&mut self, sql: &str) -> Result<()> {
        let started = Instant::now();
        self.writing = false;
        let outcome = interruptible(self.run_to_end(sql)).await;
        self.out.flush()?;
        if matches!(outcome, Err(Failure::Interrupted)) {
            self.leave_behind().await;
        }
        let mut said = outcome.map_err(|failure| self.with_hint(failure))?;
        if self.settings.timing {
            let time = notes::time(started.elapsed());
            said = Some(said.map_or_else(|| time.clone(), |said| format!("{said} in {time}")));
        }
        if let Some(said) = said {
            notes::note(said);
        }
        Ok(())
    }

    /// The schema of names without one.
    pub(crate) fn default_schema(&self) -> String {
        self.session.context().copied_config().options().catalog.default_schema.clone()
    }

    /// Names the table that was probably meant.
    fn with_hint(&self, failure: Failure) -> Failure {
        let Failure::Error(message) = failure else { return failure };
        let own = message.strip_prefix("table 'omen.");
        let Some(name) = own.and_then(|rest| rest.strip_suffix("' not found")) else {
            return Failure::Error(message);
        };
        // As the database calls it: with its schema, unless that is public.
        let name = name.strip_prefix("public.").unwrap_or(name);
        let tables = self.database.table_names();
        let hint = match notes::nearest(name, tables.iter().map(String::as_str)) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None if tables.is_empty() => "the database has no tables yet".to_string(),
            None => "\\dt lists the tables".to_string(),
        };
        Failure::Error(format!("there is no table \"{name}\"; {hint}"))
    }

    /// Gives what a statement that failed has left a moment to end: it removes its files then. Says
    /// so if a transaction ends with it.
    pub(crate) async fn end(mut self) {
        if self.session.in_transaction() {
            notes::note("the open transaction is undone: COMMIT would have kept what it did");
        }
        if let Some(left) = self.workers.leave_behind() {
            left.ends_soon().await;
        }
    }

    async fn leave_behind(&mut self) {
        let left = self.workers.leave_behind();
        if self.writing {
            notes::note("the statement may have been carried out; look before you repeat it");
        }
        if self.settings.interactive
            && let Some(left) = left
            && !left.ends_soon().await
        {
            notes::note(
                "one of its steps does not stop and uses a processor until it ends or you leave",
            );
        }
    }

    /// Makes visible what another process has written, if the database is open read-only.
    pub(crate) async fn refresh(&self) -> Result<()> {
        self.database.refresh().await?;
        Ok(())
    }

    /// The rows of a short query about the database.
    pub(crate) async fn rows(&self, sql: &str) -> Result<RecordBatch> {
        let frame = self.session.sql(sql).await?;
        let schema: SchemaRef = frame.schema().inner().clone();
        Ok(concat_batches(&schema, &frame.collect().await?)?)
    }

    /// The columns that a query would have.
    pub(crate) async fn columns(&self, sql: &str) -> Result<SchemaRef> {
        Ok(self.session.sql(sql).await?.schema().inner().clone())
    }

    /// Prints rows that need no statement.
    pub(crate) fn print(&mut self, schema: &SchemaRef, batches: &[RecordBatch]) -> Result<()> {
        output::print_all(
            self.settings.format,
            Limits::for_stdout(),
            schema,
            batches,
            &mut self.out,
        )
    }

    /// Returns what is to be said of the statement.
    async fn run_to_end(&mut self, sql: &str) -> Result<Option<String>> {
        const WAITING_MAX: usize = 2;
        self.refresh().await?;
        let (sender, mut arriving) = mpsc::channel(WAITING_MAX);
        let (session, stdin_taken) = (self.session.clone(), self.stdin_taken);
        let statement = carry_out(session, sql.to_string(), stdin_taken, sender);
        let task = self.workers.start(statement)?;
        while let Some(arrived) = arriving.recv().await {
            match arrived {
                Arrived::Writes => self.writing = true,
                Arrived::Columns(schema) => {
                    return self.print_rows(&schema, &mut arriving, task).await;
                }
                Arrived::Rows(_) => {}
            }
        }
        Ok(match task.await?? {
            Some((verb, count)) => Some(format!("{} {verb}", notes::rows(count))),
            None => self.settings.interactive.then(|| "done".to_string()),
        })
    }

    /// Prints the rows of a result as they arrive.
    async fn print_rows(
        &mut self,
        schema: &SchemaRef,
        arriving: &mut mpsc::Receiver<Arrived>,
        task: JoinHandle<Result<Option<Count>>>,
    ) -> Result<Option<String>> {
        let mut printer = output::printer(self.settings.format, schema, Limits::for_stdout());
        let mut rows = 0;
        while let Some(arrived) = arriving.recv().await {
            let Arrived::Rows(batch) = arrived else { continue };
            rows += batch.num_rows() as u64;
            printer.batch(&batch, &mut self.out)?;
            self.out.flush()?;
        }
        // The channel closes at the end of the rows, and when an operator fails or panics.
        task.await??;
        let left_out = printer.finish(&mut self.out)?;
        self.out.flush()?;
        if left_out > 0 {
            let shown = notes::grouped(rows - left_out);
            notes::note(format!("only the first {shown} rows are shown; .mode csv shows all"));
        }
        Ok(self.settings.interactive.then(|| notes::rows(rows)))
    }
}

/// What a statement says before its end.
enum Arrived {
    /// It will write.
    Writes,
    /// It answers with rows of these columns.
    Columns(SchemaRef),
    /// Some of the rows.
    Rows(RecordBatch),
}

/// What was done to how many rows.
type Count = (&'static str, u64);

/// Plans a statement and carries it out; a count if it wrote rows. Ends early when nobody listens.
async fn carry_out(
    session: Session,
    sql: String,
    stdin_taken: bool,
    sender: mpsc::Sender<Arrived>,
) -> Result<Option<Count>> {
    let statement = session.parse(&sql)?;
    if stdin_taken && statement.reads_standard_input() {
        return Err(Failure::Error(
            "standard input brings the statements already; omen PATH -c \"COPY … FROM STDIN …\" \
             reads rows from it, COPY … FROM 'file' from a file"
                .to_string(),
        ));
    }
    if defines_table(&statement) && sender.send(Arrived::Writes).await.is_err() {
        return Err(Failure::Interrupted);
    }
    let edits = match statement.as_datafusion() {
        Some(PlainStatement::Statement(statement)) => edit_verb(statement),
        _ => statement.is_copy().then_some("copied"),
    };
    let copied = edits.filter(|_| statement.is_copy());
    let frame = session.execute(statement).await?;
    let written = copied.or_else(|| write_verb(frame.logical_plan()));
    if (edits.is_some() || written.is_some()) && sender.send(Arrived::Writes).await.is_err() {
        return Err(Failure::Interrupted);
    }
    if let Some(written) = written {
        return Ok(Some((edits.unwrap_or(written), total(&frame.collect().await?))));
    }
    if frame.schema().fields().is_empty() {
        frame.collect().await?;
        return Ok(None);
    }
    send_rows(frame, sender).await?;
    Ok(None)
}

/// Whether planning alone changes the database.
fn defines_table(statement: &Statement) -> bool {
    let Some(PlainStatement::Statement(statement)) = statement.as_datafusion() else {
        return statement.is_import();
    };
    matches!(
        **statement,
        SqlStatement::CreateTable(_) | SqlStatement::Drop { .. } | SqlStatement::Commit { .. }
    )
}

async fn send_rows(frame: DataFrame, sender: mpsc::Sender<Arrived>) -> Result<()> {
    let mut stream = frame.execute_stream().await?;
    let mut arrived = Arrived::Columns(stream.schema());
    while sender.send(arrived).await.is_ok() {
        match stream.next().await {
            Some(batch) => arrived = Arrived::Rows(batch?),
            None => break,
        }
    }
    Ok(())
}

/// What a statement does to rows, where its plan may not tell; also if it returns them.
fn edit_verb(statement: &SqlStatement) -> Option<&'static str> {
    match statement {
        SqlStatement::Update(_) => Some("updated"),
        SqlStatement::Delete(_) | SqlStatement::Truncate(_) => Some("deleted"),
        SqlStatement::Merge(_) => Some("merged"),
        SqlStatement::Insert(insert) => match &insert.on {
            Some(OnInsert::OnConflict(OnConflict { action: DoUpdate(_), .. })) => {
                Some("inserted or updated")
            }
            None if insert.returning.is_none() => None,
            _ => Some("inserted"),
        },
        SqlStatement::Query(query) => match query.body.as_ref() {
            SetExpr::Insert(inner) | SetExpr::Update(inner) | SetExpr::Delete(inner) => {
                edit_verb(inner)
            }
            _ => None,
        },
        _ => None,
    }
}

/// What a statement did to the rows that it counts; `None` if it answers with rows.
fn write_verb(plan: &LogicalPlan) -> Option<&'static str> {
    match plan {
        LogicalPlan::Dml(statement) => Some(match &statement.op {
            WriteOp::Insert(InsertOp::Replace) => "inserted or replaced",
            WriteOp::Insert(_) | WriteOp::Ctas => "inserted",
            WriteOp::Delete | WriteOp::Truncate => "deleted",
            WriteOp::Update => "updated",
            _ => "written",
        }),
        _ => None,
    }
}

fn total(batches: &[RecordBatch]) -> u64 {
    let counts = batches.iter().filter_map(|batch| batch.columns().first());
    counts
        .filter_map(|column| column.as_any().downcast_ref::<UInt64Array>())
        .flat_map(|counts| counts.iter().flatten())
        .sum()
}
