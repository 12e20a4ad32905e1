//! `omen demo`: real data, imported durably, queried four ways, found again after reopening.
//!
//! Everything printed is a result of the database just made; what a person would want to copy
//! (answers, SQL, paths, times) goes to standard output, the progress bar to standard error.

mod data;
mod directory;
mod queries;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use arrow::array::cast::AsArray;
use arrow::datatypes::Int64Type;
use arrow::util::display::array_value_to_string;
use omen_provider::{Database, Session};

use crate::failure::{Failure, Result};
use crate::interrupt::interruptible_apart;
use crate::notes;
use crate::output::{self, Format, Limits};
use queries::{QUERIES, Query};

/// Runs the subcommand.
pub(crate) async fn run(directory: Option<PathBuf>) -> Result<()> {
    let path = directory::create(directory)?;
    interruptible_apart(async move { show(&path).await }).await
}

async fn show(path: &Path) -> Result<()> {
    say(&format!("new database  {}", path.display()))?;
    if let Some(warning) = slow_build() {
        say(warning)?;
    }
    let database = Database::open(path).await?;
    for table in &data::TABLES {
        import(&database, table).await?;
    }
    // The rows are durable in the log; as segments they show what the index is for.
    database.checkpoint().await?;
    let session = database.session();
    for query in &QUERIES {
        answer(&session, query).await?;
    }
    drop(session);
    database.close().await?;
    reopen(path).await?;
    say(&directory::next_steps(path))
}

async fn import(database: &Database, table: &data::DemoTable) -> Result<()> {
    let started = Instant::now();
    let rows = table.import(database).await?;
    let elapsed = started.elapsed();
    say(&format!(
        "imported      {}: {}, key ({}), durable on disk after {} ({} rows/s)",
        table.name,
        notes::rows(rows),
        table.key.join(", "),
        notes::time(elapsed),
        notes::grouped(notes::rate(rows, elapsed)),
    ))
}

/// The statement, its answer, its time, and what it read.
async fn answer(session: &Session, query: &Query) -> Result<()> {
    say(&format!("\n{}\n{};", query.title, query.sql))?;
    let started = Instant::now();
    let frame = session.sql(query.sql).await?;
    let schema = std::sync::Arc::new(frame.schema().as_arrow().clone());
    let batches = frame.collect().await?;
    let elapsed = started.elapsed();
    let mut out = std::io::stdout();
    output::print_all(Format::Table, Limits::default(), &schema, &batches, &mut out)?;
    let rows = batches.iter().map(|batch| batch.num_rows() as u64).sum();
    say(&format!("{} in {}", notes::rows(rows), notes::time(elapsed)))?;
    for line in scan_lines(session, query.sql).await? {
        say(&format!("read: {line}"))?;
    }
    Ok(())
}

/// What the lines of the plan say of the rows that are read of how many.
async fn scan_lines(session: &Session, sql: &str) -> Result<Vec<String>> {
    let batches = session.sql(&format!("EXPLAIN {sql}")).await?.collect().await?;
    let mut lines = Vec::new();
    for batch in &batches {
        let Some(plans) = batch.columns().last() else { continue };
        for row in 0..batch.num_rows() {
            let plan = array_value_to_string(plans, row)?;
            lines.extend(plan.lines().filter_map(rows_read).map(ToString::to_string));
        }
    }
    Ok(lines)
}

/// From a scan's line, `key=… parts=1/1 rows=6/26115`.
fn rows_read(line: &str) -> Option<&str> {
    let (start, rows) = (line.find("key=")?, line.find(" rows=")? + 1);
    let end = line[rows..].find([',', ' ']).map_or(line.len(), |length| rows + length);
    line.get(start..end)
}

/// Opens the directory again and counts.
async fn reopen(path: &Path) -> Result<()> {
    let started = Instant::now();
    let database = Database::open(path).await?;
    let elapsed = started.elapsed();
    let session = database.session();
    let mut counts = Vec::new();
    for table in &data::TABLES {
        let batches =
            session.sql(&format!("SELECT count(*) FROM {}", table.name)).await?.collect().await?;
        let count = batches
            .first()
            .and_then(|batch| batch.column(0).as_primitive_opt::<Int64Type>())
            .map_or(0, |counts| counts.value(0).unsigned_abs());
        if count != table.rows {
            return Err(Failure::Error(format!(
                "{}: expected {} after reopening, found {}",
                table.name,
                notes::rows(table.rows),
                notes::rows(count)
            )));
        }
        counts.push(format!("{} {}", notes::grouped(count), table.name));
    }
    drop(session);
    database.close().await?;
    say(&format!(
        "\nclosed and reopened in {}: all there ({})",
        notes::time(elapsed),
        counts.join(", ")
    ))
}

/// What to know before reading the times, if this build is not the fast one.
fn slow_build() -> Option<&'static str> {
    let optimised = matches!(env!("OMEN_OPT_LEVEL"), "2" | "3");
    (cfg!(debug_assertions) || !optimised).then_some(
        "note          this omen was not built for speed: with --release the times below are \
         shorter",
    )
}

fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_read_are_found_in_a_line_of_a_plan() {
        let line =
            "  DataSourceExec: a=b, key=[(JFK, 1), (JFK, 2)) parts=1/2 rows=24/99, predicate=x";
        assert_eq!(rows_read(line), Some("key=[(JFK, 1), (JFK, 2)) parts=1/2 rows=24/99"));
        assert_eq!(rows_read("x key=all parts=0/0 rows=0/0"), Some("key=all parts=0/0 rows=0/0"));
        assert_eq!(rows_read("FilterExec: id = 1"), None);
    }
}
