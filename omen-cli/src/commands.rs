//! Commands of the shell that are not SQL, in the spelling of psql (`\d`) and of SQLite
//! (`.tables`).

use std::path::Path;

use clap::ValueEnum;

use crate::describe;
use crate::execute::Executor;
use crate::failure::{Failure, Result};
use crate::notes;
use crate::output::Format;
use crate::script;

/// Whether more is to be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// Yes.
    GoOn,
    /// No: `\q`.
    Quit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    Quit,
    Help,
    Tables,
    Indexes,
    Describe,
    Mode,
    Expanded,
    Timing,
    Read,
}

/// All spellings.
const NAMES: [(&str, Command); 22] = [
    ("\\q", Command::Quit),
    (".quit", Command::Quit),
    (".exit", Command::Quit),
    ("\\?", Command::Help),
    (".help", Command::Help),
    ("\\h", Command::Help),
    ("\\dt", Command::Tables),
    ("\\l", Command::Tables),
    (".tables", Command::Tables),
    ("\\di", Command::Indexes),
    (".indexes", Command::Indexes),
    ("\\d", Command::Describe),
    (".schema", Command::Describe),
    (".mode", Command::Mode),
    ("\\mode", Command::Mode),
    (".format", Command::Mode),
    ("\\x", Command::Expanded),
    ("\\timing", Command::Timing),
    (".timer", Command::Timing),
    (".timing", Command::Timing),
    (".read", Command::Read),
    ("\\i", Command::Read),
];

/// What newcomers type at a prompt to leave it or to learn of it: the command they mean.
pub(crate) fn plain_word(line: &str) -> Option<&'static str> {
    match line.trim().trim_end_matches(';').to_ascii_lowercase().as_str() {
        "quit" | "exit" => Some(".quit"),
        "help" | "?" => Some(".help"),
        _ => None,
    }
}

/// Files that may read one another, one within the other.
const FILES_OPEN_MAX: usize = 16;

const HELP: &str = "\
SQL statements end with ; and may span lines. Ctrl-C stops a statement, Ctrl-D leaves.

  \\dt             .tables         tables, with their keys and rows
  \\d TABLE        .schema TABLE   columns of a table, its constraints and indexes
  \\di [TABLE]     .indexes [TABLE] indexes, with their columns and entries
  \\mode FORMAT    .mode FORMAT    table, box, csv, tsv, json, jsonl, markdown or line
  \\x                              one column a line, on and off
  \\timing         .timer          times, on and off
  \\i FILE         .read FILE      run a file of statements
  \\?              .help           this help
  \\q              .quit           leave

EXPLAIN SELECT … shows the key range, the parts and the rows that a query reads.
To load a file, leave and run: omen import PATH TABLE FILE --key COLUMN,…";

/// Runs one command line.
pub(crate) async fn run(executor: &mut Executor, line: &str) -> Result<Flow> {
    let (name, argument) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let argument = Some(argument.trim()).filter(|text| !text.is_empty());
    match find(name)? {
        Command::Quit => return Ok(Flow::Quit),
        Command::Help => notes::note(HELP),
        Command::Tables => {
            executor.refresh().await?;
            describe::tables(executor)?;
        }
        Command::Indexes => {
            executor.refresh().await?;
            describe::indexes(executor, argument.map(unquote)).await?;
        }
        Command::Describe => {
            executor.refresh().await?;
            match argument {
                Some(table) => describe::table(executor, unquote(table)).await?,
                None => describe::tables(executor)?,
            }
        }
        Command::Mode => set_format(executor, argument)?,
        Command::Expanded => {
            let settings = &mut executor.settings;
            let expanded = settings.format == Format::Line;
            settings.format = if expanded { Format::default_for_stdout() } else { Format::Line };
        }
        Command::Timing => {
            executor.settings.timing = switch(argument, executor.settings.timing)?;
            let state = if executor.settings.timing { "on" } else { "off" };
            notes::note(format!("timing is {state}"));
        }
        Command::Read => {
            let Some(path) = argument else {
                return Err(Failure::Error(format!("{name} needs the name of a file")));
            };
            if executor.files_open == FILES_OPEN_MAX {
                return Err(Failure::Error(format!(
                    "{name}: files read each other more than {FILES_OPEN_MAX} deep"
                )));
            }
            executor.files_open += 1;
            let outcome = script::run_file(executor, Path::new(unquote(path))).await;
            executor.files_open -= 1;
            return outcome;
        }
    }
    Ok(Flow::GoOn)
}

fn find(name: &str) -> Result<Command> {
    if let Some((_, command)) = NAMES.iter().find(|(spelling, _)| *spelling == name) {
        return Ok(*command);
    }
    let hint = match notes::nearest(name, NAMES.iter().map(|(spelling, _)| *spelling)) {
        Some(nearest) => format!("did you mean {nearest}?"),
        None => ".help lists the commands".to_string(),
    };
    Err(Failure::Error(format!("unknown command {name}; {hint}")))
}

fn switch(argument: Option<&str>, current: bool) -> Result<bool> {
    match argument {
        None => Ok(!current),
        Some("on") => Ok(true),
        Some("off") => Ok(false),
        Some(other) => Err(Failure::Error(format!("expected on or off, found {other}"))),
    }
}

fn set_format(executor: &mut Executor, argument: Option<&str>) -> Result<()> {
    let names: Vec<String> = Format::value_variants()
        .iter()
        .filter_map(|format| format.to_possible_value())
        .map(|value| value.get_name().to_string())
        .collect();
    let Some(argument) = argument else {
        let current = executor.settings.format.to_possible_value();
        let current = current.as_ref().map_or("", |value| value.get_name());
        notes::note(format!("format is {current}; formats: {}", names.join(", ")));
        return Ok(());
    };
    executor.settings.format = Format::from_str(argument, true).map_err(|_| {
        Failure::Error(format!("unknown format {argument}; expected one of {}", names.join(", ")))
    })?;
    Ok(())
}

/// A name or path without the quotes around it.
fn unquote(text: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote).and_then(|t| t.strip_suffix(quote)) {
            return inner;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_command_names_the_nearest() {
        assert_eq!(find("\\dt").unwrap(), Command::Tables);
        let Err(Failure::Error(message)) = find(".tabels") else { panic!("found") };
        assert_eq!(message, "unknown command .tabels; did you mean .tables?");
        let Err(Failure::Error(message)) = find(".wibblewobble") else { panic!("found") };
        assert!(message.ends_with(".help lists the commands"), "{message}");
    }

    #[test]
    fn plain_words_are_whole_lines() {
        assert_eq!(plain_word(" EXIT; "), Some(".quit"));
        assert_eq!(plain_word("help"), Some(".help"));
        assert_eq!(plain_word("help me"), None);
    }

    #[test]
    fn switches_and_quotes() {
        assert!(switch(None, false).unwrap() && switch(Some("on"), true).unwrap());
        assert!(!switch(Some("off"), true).unwrap() && switch(Some("x"), true).is_err());
        assert_eq!(unquote("\"a b\""), "a b");
    }
}
