//! One script on one engine: what became of each of its records.

use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::time::Duration;

use futures::FutureExt;
use sqllogictest::{Normalizer, Record, Runner, parse_file, strict_column_validator};

use super::engine::Engine;
use super::values::Kind;

/// A record takes no longer.
const SECONDS_MAX: u64 = 60;

/// What became of a statement or query.
#[derive(Debug, Clone)]
pub struct Judged {
    /// Its line in the script, or `file:line` of what that includes.
    pub place: String,
    pub sql: String,
    /// What was wrong.
    pub failure: Option<String>,
}

/// Runs a script to its end, whatever fails.
pub async fn run(path: &Path, engine: &Engine) -> Result<Vec<Judged>, String> {
    let records = parse_file::<Kind>(path).map_err(|error| error.to_string())?;
    let mut runner = Runner::new(|| async { Ok(engine.clone()) });
    runner.add_label("Datafusion");
    runner.with_column_validator(strict_column_validator);
    runner.with_normalizer(|text| text.trim_end().to_string());
    runner.with_validator(agrees);
    let mut judged = Vec::new();
    for record in records {
        if matches!(record, Record::Halt { .. }) {
            break;
        }
        let place = match &record {
            Record::Statement { loc, sql, .. } | Record::Query { loc, sql, .. } => {
                Some((loc.line().to_string(), sql.clone()))
            }
            _ => None,
        };
        let done = AssertUnwindSafe(runner.run_async(record)).catch_unwind();
        let done = tokio::time::timeout(Duration::from_secs(SECONDS_MAX), done).await;
        let failure = match done {
            Ok(Ok(Ok(_))) => None,
            Ok(Ok(Err(error))) => Some(error.kind().to_string()),
            Ok(Err(_)) => Some("a panic".to_string()),
            Err(_) => Some(format!("no answer within {SECONDS_MAX} s")),
        };
        if let Some((place, sql)) = place {
            judged.push(Judged { place, sql, failure });
        }
    }
    Ok(judged)
}

/// Whether rows are what a script expects; `<slt:ignore>` stands for any text.
fn agrees(normalizer: Normalizer, actual: &[Vec<String>], expected: &[String]) -> bool {
    const ANYTHING: &str = "<slt:ignore>";
    let expected: Vec<String> = expected.iter().map(normalizer).collect();
    let actual: Vec<String> = actual.iter().map(|row| row.join(" ").trim_end().into()).collect();
    if !expected.iter().any(|line| line.contains(ANYTHING)) {
        return actual == expected;
    }
    let (actual, expected) = (actual.join("\n"), expected.join("\n"));
    let mut rest = actual.as_str();
    for (index, part) in expected.split(ANYTHING).enumerate() {
        match rest.find(part) {
            Some(at) if at == 0 || index > 0 => rest = &rest[at + part.len()..],
            _ => return false,
        }
    }
    true
}
