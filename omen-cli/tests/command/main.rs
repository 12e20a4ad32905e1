//! Tests that start the `omen` command.

mod flights;
mod flights_csv;
mod kill;
mod same_rows;

use std::path::Path;
use std::process::{Command, Output};

/// `omen` with these arguments, run to its end.
fn omen(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_omen")).args(arguments).output().unwrap()
}

/// Like [`omen`]; panics with what it said if it fails.
#[track_caller]
fn omen_succeeds(arguments: &[&str]) -> Output {
    let output = omen(arguments);
    assert!(output.status.success(), "omen {arguments:?}: {}", said(&output));
    output
}

/// What a command wrote to standard error.
fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
