//! `omen import`: loads a file into a table as one atomic statement.
//!
//! A file for a new table is read twice: once to infer the types from all of it, once to load it.
//! A thread reads and converts while the engine takes the batches, with a few of them in between,
//! so memory stays bounded. The first bad row ends the stream with an error that names its line,
//! and the engine drops the whole statement.

mod csv;
mod csv_records;
mod infer;
mod jsonl;
mod parquet;
mod source;
mod target;

use std::time::Instant;

use arrow::datatypes::SchemaRef;
use futures::StreamExt;
use futures::stream;
use omen_provider::{Database, Error, Table, TableDefinition};
use tokio::sync::mpsc;

use crate::args::ImportArguments;
use crate::failure::{Failure, Result};
use crate::interrupt::interruptible_apart;
use crate::open;
use crate::progress::Progress;
use crate::{notes, notes::note};
use source::Source;
use target::Target;

/// Batches between the thread that reads and the engine.
const BATCHES_WAITING_MAX: usize = 4;

/// Runs the subcommand.
pub(crate) async fn run(arguments: &ImportArguments) -> Result<()> {
    let source = Source::open(arguments)?;
    let database = open::open(Some(&arguments.path), arguments.memory.options()).await?;
    let (target, arguments) = (database.clone(), arguments.clone());
    let progress = Progress::new("reading types", source.bytes);
    let bar = progress.clone();
    let work = async move { import(&target, source, &bar, &arguments).await };
    let outcome = interruptible_apart(work).await;
    progress.clear();
    match outcome {
        Err(Failure::Interrupted) => Err(Failure::Interrupted),
        outcome => outcome.and(open::close(database).await),
    }
}

async fn import(
    database: &Database,
    source: Source,
    progress: &Progress,
    arguments: &ImportArguments,
) -> Result<()> {
    let started = Instant::now();
    let existing = existing_table(database, &arguments.table)?;
    let target = match &existing {
        Some(table) => {
            check_key(table, arguments)?;
            Target::of_table(table.schema()?, &table.key_names()?)
        }
        None => {
            let schema = infer(&source, progress).await?;
            Target::new_table(schema, &arguments.key)?
        }
    };
    progress.begin("loading");
    let rows = load(database, existing.as_ref(), source, &target, progress, arguments).await;
    progress.clear();
    say_what_happened(arguments, existing.is_some(), &target, rows?, started);
    Ok(())
}

fn existing_table(database: &Database, name: &str) -> Result<Option<Table>> {
    if database.table_names().iter().any(|known| known == name) {
        return Ok(Some(database.table(name)?));
    }
    Ok(None)
}

/// `--key` may repeat the key of an existing table, not change it.
fn check_key(table: &Table, arguments: &ImportArguments) -> Result<()> {
    let key = table.key_names()?;
    if arguments.key.is_empty() || arguments.key == key {
        return Ok(());
    }
    let (table, found) = (&arguments.table, arguments.key.join(","));
    let (has, expected) = match key.is_empty() {
        true => ("without a primary key".to_string(), "no --key"),
        false => (format!("with the primary key ({})", key.join(", ")), "the same --key or none"),
    };
    Err(Failure::Error(format!(
        "table \"{table}\" exists {has}; expected {expected}, found {found}"
    )))
}

async fn infer(source: &Source, progress: &Progress) -> Result<SchemaRef> {
    let (source, progress) = (source.clone(), progress.clone());
    tokio::task::spawn_blocking(move || source.infer(&progress)).await?
}

async fn load(
    database: &Database,
    existing: Option<&Table>,
    source: Source,
    target: &Target,
    progress: &Progress,
    arguments: &ImportArguments,
) -> Result<u64> {
    let (sender, mut receiver) = mpsc::channel(BATCHES_WAITING_MAX);
    let (thread_target, thread_progress) = (target.clone(), progress.clone());
    let reader = tokio::task::spawn_blocking(move || {
        let outcome = source.load(&thread_target, &thread_progress, &mut |batch| {
            thread_progress.add_rows(batch.num_rows() as u64);
            // The receiver is gone when the engine has refused the statement.
            sender.blocking_send(Ok(batch)).is_ok()
        });
        if let Err(failure) = outcome {
            let message = match failure {
                Failure::Error(message) | Failure::Usage(message) => message,
                Failure::Interrupted | Failure::ClosedPipe => "reading ended early".to_string(),
            };
            let _ = sender.blocking_send(Err(Error::InvalidInput(message)));
        }
        thread_progress.set_task("storing");
    });
    let received = stream::poll_fn(move |context| receiver.poll_recv(context));
    // The channel closes when the file is read, and when its reader panics: that is no end.
    let ended = stream::once(reader).filter_map(|joined| async move {
        let panic = joined.err()?;
        Some(Err(Error::InvalidInput(format!("reading the file failed: {panic}"))))
    });
    let batches = received.chain(ended);
    if let Some(table) = existing {
        return Ok(table.insert_stream(batches).await?);
    }
    let definition = TableDefinition::new(&arguments.table, &target.schema);
    let definition = definition.primary_key(arguments.key.iter().map(String::as_str));
    Ok(database.create_table_from(definition, batches).await?)
}

fn say_what_happened(
    arguments: &ImportArguments,
    existed: bool,
    target: &Target,
    rows: u64,
    started: Instant,
) {
    let table = &arguments.table;
    if !existed && arguments.key.is_empty() {
        note(format!(
            "created table \"{table}\" without a primary key: rows have a hidden row id \
             (--key COLUMN,… makes rows of a column's value quick to find)"
        ));
    } else if !existed {
        note(format!("created table \"{table}\" with primary key ({})", arguments.key.join(", ")));
    }
    let capital = |name: &String| name.chars().any(char::is_uppercase);
    let names: Vec<&String> = target.schema.fields().iter().map(|field| field.name()).collect();
    if let Some(name) = names.into_iter().find(|name| capital(name)).filter(|_| !existed) {
        let from = if capital(table) { format!("\"{table}\"") } else { table.clone() };
        note(format!("names with capitals need quotes in SQL: SELECT \"{name}\" FROM {from}"));
    }
    let elapsed = started.elapsed();
    note(format!(
        "imported {} into \"{table}\" in {} ({} rows/s)",
        notes::rows(rows),
        notes::time(elapsed),
        notes::grouped(notes::rate(rows, elapsed))
    ));
}
