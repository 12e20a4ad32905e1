//! DuckDB through its Python client, in a process of its own that is told what to do line by line.
//!
//! `PYTHON` names the interpreter (`python3`); the package `duckdb` must be installed there. The
//! time is taken within that process, around the statements alone.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use super::{Change, Engine, Result};

const SCRIPT: &str = include_str!("duckdb.py");

struct DuckDb {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

pub(super) fn open(path: &Path) -> Result<Box<dyn Engine>> {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_string());
    let mut child = Command::new(&python)
        .args(["-c", SCRIPT])
        .arg(path.join("duckdb"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let (input, output) = child.stdin.take().zip(child.stdout.take()).ok_or("no pipes")?;
    let mut duckdb = DuckDb { child, input, output: BufReader::new(output) };
    duckdb.answer().map_err(|error| {
        format!("{python} has no package duckdb (PYTHON names another interpreter): {error}")
    })?;
    Ok(Box::new(duckdb))
}

impl DuckDb {
    /// Sends a command with its rows.
    fn ask(&mut self, command: &str, rows: &[(i64, f64)]) -> Result<String> {
        let mut text = format!("{command} {}\n", rows.len());
        for (id, value) in rows {
            text.push_str(&format!("{id} {value:?}\n"));
        }
        self.input.write_all(text.as_bytes())?;
        self.input.flush()?;
        self.answer()
    }

    fn answer(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        match line.trim_end().split_once(' ') {
            Some(("ok", answer)) => Ok(answer.to_string()),
            _ if line.is_empty() => Err("the process has ended".into()),
            _ => Err(line.into()),
        }
    }

    fn time(&mut self, command: &str, rows: &[(i64, f64)]) -> Result<Duration> {
        Ok(Duration::from_secs_f64(self.ask(command, rows)?.parse()?))
    }
}

impl Engine for DuckDb {
    fn load(&mut self, rows: i64) -> Result<()> {
        self.ask(&format!("load-{rows}"), &[]).map(drop)
    }

    fn one_by_one(&mut self, change: Change, rows: &[(i64, f64)]) -> Result<Duration> {
        self.time(&format!("one-{}", change.name()), rows)
    }

    fn at_once(&mut self, change: Change, rows: &[(i64, f64)]) -> Result<Duration> {
        let sql = change.bulk_sql();
        self.time(&format!("all-{}", sql.replace(' ', "\u{1}")), rows)
    }

    fn rows(&mut self) -> Result<Vec<(i64, f64)>> {
        let count: usize = self.ask("rows", &[])?.parse()?;
        let mut rows = Vec::with_capacity(count);
        for _ in 0..count {
            let mut line = String::new();
            self.output.read_line(&mut line)?;
            let (id, value) = line.trim_end().split_once(' ').ok_or("half a row")?;
            rows.push((id.parse()?, value.parse()?));
        }
        Ok(rows)
    }
}

impl Drop for DuckDb {
    fn drop(&mut self) {
        let _ = self.input.write_all(b"end 0\n");
        let _ = self.child.wait();
    }
}
