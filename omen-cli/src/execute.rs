//! Runs single statements: rows to standard output as they come, counts and times to standard
//! error.
//!
//! Every statement can be interrupted by Ctrl-C: its plan is dropped, which stops its work.
//! Invariant: standard output is flushed when a statement ends, before anything is said about it.

use std::io::{BufWriter, Stdout, Write, stdout};
use std::time::Instant;

use arrow::array::{Array, RecordBatch, UInt64Array};
use arrow::datatypes::SchemaRef;
use datafusion::common::runtime::SpawnedTask;
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{LogicalPlan, WriteOp, dml::InsertOp};
use futures::StreamExt;
use omen_provider::{Database, Session};
use tokio::sync::mpsc;

use crate::failure::{Failure, Result};
use crate::interrupt::interruptible;
use crate::notes;
use crate::output::{self, Format, Limits};

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
    /// Whether the statement that runs writes.
    writing: bool,
    session: Session,
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
            writing: false,
            session,
            out: BufWriter::new(stdout()),
        }
    }

    /// Runs one statement.
    pub(crate) async fn run(&mut self, sql: &str) -> Result<()> {
        let started = Instant::now();
        self.writing = false;
        let outcome = interruptible(self.run_to_end(sql)).await;
        self.out.flush()?;
        if self.writing && matches!(outcome, Err(Failure::Interrupted)) {
            notes::note("the statement may have been carried out; look before you repeat it");
        }
        let mut said = outcome?;
        if self.settings.timing {
            let time = notes::time(started.elapsed());
            said = Some(said.map_or_else(|| time.clone(), |said| format!("{said} in {time}")));
        }
        if let Some(said) = said {
            notes::note(said);
        }
        Ok(())
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
        let frame = self.session.sql(sql).await?;
        if let Some(verb) = write_verb(frame.logical_plan()) {
            self.writing = true;
            let count = total(&collect(frame).await?);
            return Ok(Some(format!("{} {verb}", notes::rows(count))));
        }
        if frame.schema().fields().is_empty() {
            collect(frame).await?;
            return Ok(self.settings.interactive.then(|| "done".to_string()));
        }
        let (rows, left_out) = self.print_rows(frame).await?;
        if left_out > 0 {
            let shown = notes::grouped(rows - left_out);
            notes::note(format!("only the first {shown} rows are shown; .mode csv shows all"));
        }
        Ok(self.settings.interactive.then(|| notes::rows(rows)))
    }

    /// Returns the rows of the result, and how many of them the limits left out.
    async fn print_rows(&mut self, frame: DataFrame) -> Result<(u64, u64)> {
        let mut results = Results::start(frame).await?;
        let limits = Limits::for_stdout();
        let mut printer = output::printer(self.settings.format, &results.schema, limits);
        let mut rows = 0;
        while let Some(batch) = results.batches.recv().await {
            let batch = batch?;
            rows += batch.num_rows() as u64;
            printer.batch(&batch, &mut self.out)?;
            self.out.flush()?;
        }
        // The channel closes at the end of the rows, and when an operator panics: that is no end.
        results.task.await?;
        let left_out = printer.finish(&mut self.out)?;
        self.out.flush()?;
        Ok((rows, left_out))
    }
}

/// The batches of a statement that runs in a task of its own, so that Ctrl-C is heard while an
/// operator computes. Dropping this ends the task.
struct Results {
    schema: SchemaRef,
    batches: mpsc::Receiver<Result<RecordBatch, DataFusionError>>,
    task: SpawnedTask<()>,
}

impl Results {
    async fn start(frame: DataFrame) -> Result<Self> {
        const BATCHES_WAITING_MAX: usize = 2;
        let mut stream = frame.execute_stream().await?;
        let schema = stream.schema();
        let (sender, batches) = mpsc::channel(BATCHES_WAITING_MAX);
        let task = SpawnedTask::spawn(async move {
            while let Some(batch) = stream.next().await {
                if sender.send(batch).await.is_err() {
                    break;
                }
            }
        });
        Ok(Self { schema, batches, task })
    }
}

/// All batches of a statement, which runs in a task of its own for the same reason.
async fn collect(frame: DataFrame) -> Result<Vec<RecordBatch>> {
    let task = SpawnedTask::spawn(async move { frame.collect().await });
    Ok(task.await??)
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
        LogicalPlan::Copy(_) => Some("copied"),
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
