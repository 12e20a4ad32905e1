//! What ends a command: its message and its exit code.
//!
//! Any error of a library becomes [`Failure::Error`] through `?`; a closed standard output becomes
//! [`Failure::ClosedPipe`], because a reader that has seen enough (`omen … | head`) is no error.

use std::any::Any;
use std::error::Error;
use std::io;

/// The result of everything that may end a command.
pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// Why a command ended early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Something went wrong; the message says what was expected and what was found.
    Error(String),
    /// The command line was wrong.
    Usage(String),
    /// Ctrl-C.
    Interrupted,
    /// Nobody reads standard output any more.
    ClosedPipe,
}

impl Failure {
    /// The exit code of the process.
    pub(crate) fn exit_code(&self) -> i32 {
        match self {
            Self::ClosedPipe => 0,
            Self::Error(_) => 1,
            Self::Usage(_) => 2,
            Self::Interrupted => 130,
        }
    }

    /// The same failure, with the place of a statement (`file:line`) before its message.
    pub(crate) fn at(self, source: &str, line: u64) -> Self {
        match self {
            Self::Error(message) => Self::Error(format!("{source}:{line}: {message}")),
            other => other,
        }
    }
}

impl<E: Error + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        let any: &dyn Any = &error;
        if any.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) {
            return Self::ClosedPipe;
        }
        Self::Error(plain(&error.to_string()))
    }
}

/// A message without the names of the layers that it came through, nor what they were doing.
fn plain(message: &str) -> String {
    let mut rest = message.rsplit("\ncaused by\n").next().unwrap_or(message);
    while let Some(inner) = LAYERS.iter().find_map(|layer| rest.strip_prefix(layer)) {
        rest = inner;
    }
    if let Some(quoted) = rest.strip_prefix("SQL error: ") {
        let inner = quoted
            .split_once("(\"")
            .filter(|(kind, _)| kind.ends_with("Error"))
            .and_then(|(_, text)| text.strip_suffix("\")"));
        return format!("SQL syntax: {}", inner.unwrap_or(quoted).replace("\\\"", "\""));
    }
    rest.to_string()
}

const LAYERS: [&str; 8] = [
    "External error: ",
    "Arrow error: ",
    "Io error: ",
    "IO error: ",
    "Resources exhausted: ",
    "Cast error: ",
    "Execution error: ",
    "Error during planning: ",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_loses_the_names_of_layers() {
        assert_eq!(plain("Arrow error: External error: no space"), "no space");
        assert_eq!(
            plain("Not enough memory\ncaused by\nResources exhausted: queries may hold 1 MB"),
            "queries may hold 1 MB"
        );
        assert_eq!(
            plain("Optimizer rule 'x' failed\ncaused by\nArrow error: Cast error: no number"),
            "no number"
        );
        assert_eq!(
            plain("SQL error: ParserError(\"Expected: \\\"x\\\" at Line: 1, Column: 3\")"),
            "SQL syntax: Expected: \"x\" at Line: 1, Column: 3"
        );
    }

    #[test]
    fn closed_pipe_is_not_an_error() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(matches!(failure, Failure::ClosedPipe), "{failure:?}");
        assert_eq!(failure.exit_code(), 0);
        assert_eq!(Failure::from(io::Error::other("x")).exit_code(), 1);
    }
}
