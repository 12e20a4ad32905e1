//! Runs the scripts `tests/sql/*.slt`: statements with the answers they must have, each script on a
//! database of its own, on every medium.
//!
//! Of an EXPLAIN only what the key did is compared: the part of each line that begins with `key=`.
//! A script reads `reopen` as a statement that closes the database and opens it again, `checkpoint`
//! and `compact` as the calls of the same name, `write PATH` and its further lines as a file to be
//! written, `read PATH` as a query for the lines of one. `$TMP` is a folder of the script's own.

use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use async_trait::async_trait;
use omen_provider::{Database, Error, Options, Session};
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType, Runner};
use tempfile::TempDir;

use crate::harness::block_on;
use crate::harness::media::Medium;

/// The database of one script.
struct Script {
    medium: std::sync::Arc<Medium>,
    folder: std::sync::Arc<TempDir>,
    open: Option<(Database, Session)>,
}

impl Script {
    async fn open(
        medium: std::sync::Arc<Medium>,
        folder: std::sync::Arc<TempDir>,
    ) -> Result<Self, Error> {
        let database = medium.open(Options::default()).await?;
        let session = database.session();
        Ok(Self { medium, folder, open: Some((database, session)) })
    }

    /// The lines of a file that the script names, or what it writes there.
    fn file(&self, sql: &str) -> Option<DBOutput<DefaultColumnType>> {
        if let Some(path) = sql.strip_prefix("read ") {
            let text = std::fs::read_to_string(path.trim()).expect(path);
            let rows = text.lines().map(|line| vec![line.to_string()]).collect();
            return Some(DBOutput::Rows { types: vec![DefaultColumnType::Text], rows });
        }
        let (path, text) = sql.strip_prefix("write ")?.split_once('\n')?;
        std::fs::create_dir_all(Path::new(path).parent().unwrap()).unwrap();
        std::fs::write(path, format!("{text}\n")).unwrap();
        Some(DBOutput::StatementComplete(0))
    }
}

#[async_trait]
impl AsyncDB for Script {
    type Error = Error;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Error> {
        let Some((database, session)) = &self.open else { panic!("the database is closed") };
        let sql = sql.replace("$TMP", &self.folder.path().display().to_string());
        if let Some(output) = self.file(sql.trim()) {
            return Ok(output);
        }
        match sql.trim() {
            "checkpoint" => database.checkpoint().await?,
            "compact" => database.compact().await?,
            "reopen" => {
                database.close().await?;
                self.open = None; // before it is opened again, which the lock demands
                let folder = std::sync::Arc::clone(&self.folder);
                *self = Self::open(std::sync::Arc::clone(&self.medium), folder).await?;
            }
            sql => return answer(session, sql).await,
        }
        Ok(DBOutput::StatementComplete(0))
    }

    async fn shutdown(&mut self) {
        self.open = None;
    }
}

async fn answer(session: &Session, sql: &str) -> Result<DBOutput<DefaultColumnType>, Error> {
    let frame = session.sql(sql).await?;
    let schema: SchemaRef = frame.schema().inner().clone();
    let batches = frame.collect().await?;
    if schema.fields().is_empty() {
        return Ok(DBOutput::StatementComplete(0));
    }
    let types = schema.fields().iter().map(|field| column_type(field.data_type())).collect();
    let rows: Vec<Vec<String>> = batches.iter().flat_map(printed).collect();
    if sql.trim_start().to_uppercase().starts_with("EXPLAIN") {
        let rows = rows.iter().flatten().flat_map(|text| key_lines(text)).collect();
        return Ok(DBOutput::Rows { types: vec![DefaultColumnType::Text], rows });
    }
    // INSERT answers with one count.
    if schema.fields().len() == 1 && schema.field(0).name() == "count" {
        let count = rows.iter().flatten().filter_map(|count| count.parse::<u64>().ok()).sum();
        return Ok(DBOutput::StatementComplete(count));
    }
    Ok(DBOutput::Rows { types, rows })
}

fn column_type(kind: &DataType) -> DefaultColumnType {
    match kind {
        _ if kind.is_integer() => DefaultColumnType::Integer,
        _ if kind.is_floating() => DefaultColumnType::FloatingPoint,
        _ => DefaultColumnType::Text,
    }
}

fn printed(batch: &RecordBatch) -> Vec<Vec<String>> {
    let options = FormatOptions::default().with_null("NULL");
    let columns: Vec<_> =
        batch.columns().iter().map(|c| ArrayFormatter::try_new(c, &options).unwrap()).collect();
    let value = |text: String| if text.is_empty() { "(empty)".to_string() } else { text };
    let row = |row| columns.iter().map(|c| value(c.value(row).to_string())).collect();
    (0..batch.num_rows()).map(row).collect()
}

/// From each line of a plan that says so, what the key selected.
fn key_lines(plan: &str) -> Vec<Vec<String>> {
    let selected = |line: &str| {
        let rest = &line[line.find("key=")?..];
        let rows = rest.find("rows=")?;
        let end = rest[rows..].find([',', ' ', ']']).map_or(rest.len(), |at| rows + at);
        Some(vec![rest[..end].to_string()])
    };
    plan.lines().filter_map(selected).collect()
}

fn scripts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut scripts: Vec<_> = files.filter(|p| p.extension().is_some_and(|e| e == "slt")).collect();
    scripts.sort();
    // One alone, for whoever works on it.
    if let Ok(only) = std::env::var("OMEN_SCRIPT") {
        scripts.retain(|script| script.file_stem().is_some_and(|name| *name == *only));
    }
    scripts
}

async fn run_script(script: &Path, medium: Medium) -> Result<(), String> {
    let medium = std::sync::Arc::new(medium);
    let folder = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let mut runner = Runner::new(|| {
        let (medium, folder) = (std::sync::Arc::clone(&medium), std::sync::Arc::clone(&folder));
        async move { Script::open(medium, folder).await }
    });
    let outcome = runner.run_file_async(script).await.map_err(|e| e.to_string());
    runner.shutdown_async().await;
    outcome
}

#[test]
fn scripts_give_their_answers_on_every_medium() {
    let scripts = scripts();
    assert!(!scripts.is_empty(), "no script");
    let mut failures = Vec::new();
    for script in scripts {
        for medium in Medium::all() {
            failures.extend(block_on(run_script(&script, medium)).err());
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// The statements of a page of `docs/` that the script does not have word for word.
fn untested<'a>(page: &'a str, script: &str) -> Vec<&'a str> {
    let blocks = page.split("```sql\n").skip(1);
    let statements = blocks.filter_map(|block| block.split("\n```").next());
    statements.filter(|statement| !script.contains(&format!("\n{statement}\n"))).collect()
}

#[test]
fn documented_statements_are_in_scripts() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(tests.join("../docs/time.md")).unwrap();
    let script = std::fs::read_to_string(tests.join("sql/time.slt")).unwrap();
    assert!(page.contains("```sql\n"), "a page without statements");
    assert_eq!(untested(&page, &script), [""; 0]);
    assert_eq!(untested("```sql\nSELECT 1;\n```", "query I\nSELECT 1\n").len(), 1);
}

#[test]
fn a_wrong_answer_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("wrong.slt");
    std::fs::write(&script, "query I\nSELECT 1 + 1\n----\n3\n").unwrap();
    assert!(block_on(run_script(&script, Medium::objects())).is_err());
    std::fs::write(&script, "query I\nSELECT 1 + 1\n----\n2\n").unwrap();
    assert_eq!(block_on(run_script(&script, Medium::objects())), Ok(()));
}
