//! Runs the command in a directory of its own.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A directory with a database `db` in it, once something has made one.
pub(crate) struct Place {
    directory: TempDir,
}

/// What a run left behind.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The command under test: the one that was built with the tests, unless `OMEN_BINARY` names
/// another, such as a copy for a run that takes longer than until the next build.
pub(crate) fn binary() -> String {
    std::env::var("OMEN_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_omen").to_string())
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { directory: TempDir::new().unwrap() }
    }

    /// One with the database `db`, which has a table `t` of 5,000 rows: id, the key, and name.
    pub(crate) fn with_rows() -> Self {
        let place = Self::new();
        let rows: String = (0..5000).map(|id| format!("{id},name {id}\n")).collect();
        place.file("t.csv", format!("id,name\n{rows}"));
        place.run(&["import", "db", "t", "t.csv", "--key", "id"]).success();
        place
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Writes a file and returns its path.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.program(&binary(), arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Any program, in this directory, with the streams of the tests.
    pub(crate) fn program(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(name);
        command.args(arguments).current_dir(self.path());
        command.env("XDG_STATE_HOME", self.path().join("state")).env_remove("CARGO_PKG_NAME");
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        Outcome::of(self.command(arguments).output().unwrap())
    }

    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &str) -> Outcome {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        // A command that fails early does not read all of it.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        Outcome::of(child.wait_with_output().unwrap())
    }

    /// Runs statements on `db` that must succeed; returns the rows as CSV.
    pub(crate) fn sql(&self, sql: &str) -> String {
        self.run(&["db", "--format", "csv", "-c", sql]).success().stdout
    }
}

impl Outcome {
    pub(crate) fn of(output: std::process::Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    pub(crate) fn success(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// Ended with this code, and said this on standard error.
    #[track_caller]
    pub(crate) fn failure(self, code: i32, message: &str) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.stderr.contains(message), "expected {message:?} in {self:?}");
        self
    }
}
