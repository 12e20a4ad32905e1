//! Says which suites left themselves out, and why: in one line on standard error, past the test
//! runner, which shows nothing of a test that passes; and at the end of the file that the variable
//! `OMEN_SKIPPED` names, for who runs everything and lists at the end what was left out.

use std::fs::OpenOptions;
use std::io::Write;
use std::sync::Mutex;

/// Suites of which it was said.
static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Says that `suite` does not run here because of what is missing; once, however many tests it has.
pub(super) fn skip(suite: &str, what: &str) {
    let mut said = SAID.lock().unwrap();
    if said.iter().any(|earlier| earlier == suite) {
        return;
    }
    said.push(suite.to_string());
    let line = format!("* {suite}: {what}\n");
    let _ = std::io::stderr().write_all(format!("SKIPPED {line}").as_bytes());
    if let Some(path) = std::env::var_os("OMEN_SKIPPED") {
        let file = OpenOptions::new().create(true).append(true).open(path);
        file.and_then(|mut file| file.write_all(line.as_bytes())).unwrap();
    }
}

/// A number that a variable of the environment holds.
pub(super) fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is {text:?}, no number")))
}
