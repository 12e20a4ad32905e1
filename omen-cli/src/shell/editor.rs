//! Line editing: history, completion of words, and lines that go on until a statement is whole.

use std::io::IsTerminal;
use std::path::PathBuf;

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Behavior, CompletionType, Config, Context, Editor, Helper};

use super::history;
use crate::commands::plain_word;
use crate::failure::Result;
use crate::statements::Splitter;

/// Words that are completed, besides the names of tables and columns.
const KEYWORDS: &str = "\
    ALL AND ANALYZE AS ASC AVG( BETWEEN BIGINT BOOLEAN BY CASE CAST( COUNT( CREATE DATE \
    DEFAULT DELETE DESC DESCRIBE DISTINCT DOUBLE DROP ELSE END EXISTS EXPLAIN FROM GROUP \
    HAVING IN INSERT INTO IS JOIN KEY LEFT LIKE LIMIT MAX( MIN( NOT NULL ON OR ORDER OVER \
    PARTITION PRAGMA PRIMARY REPLACE SELECT SET SHOW SUM( TABLE TABLES TEXT THEN TIMESTAMP \
    UPDATE VALUES WHERE";

/// Reads lines.
pub(super) struct SqlEditor {
    editor: Editor<SqlHelper, FileHistory>,
    history: Option<PathBuf>,
}

impl SqlEditor {
    pub(super) fn new() -> Result<Self> {
        // Rows alone go to standard output: redirected, it must not get the prompt.
        let behavior = match std::io::stdout().is_terminal() {
            true => Behavior::Stdio,
            false => Behavior::PreferTerm,
        };
        let config = Config::builder()
            .behavior(behavior)
            .history_ignore_space(true)
            .history_ignore_dups(true)?
            .max_history_size(10_000)?
            .auto_add_history(true)
            .completion_type(CompletionType::List)
            .build();
        let mut editor = Editor::with_config(config)?;
        editor.set_helper(Some(SqlHelper { words: Vec::new() }));
        let history = history::file();
        if let Some(path) = &history {
            // An unreadable history is no reason to refuse the shell.
            let _ = editor.load_history(path);
        }
        Ok(Self { editor, history })
    }

    /// Replaces the names that are completed.
    pub(super) fn set_words(&mut self, words: Vec<String>) {
        if let Some(helper) = self.editor.helper_mut() {
            helper.words = words;
        }
    }

    /// Reads one or more lines; the history keeps them at once, should the shell be killed.
    pub(super) fn read(&mut self, prompt: &str) -> Result<String, ReadlineError> {
        let line = self.editor.readline(prompt)?;
        if let Some(path) = &self.history {
            let _ = self.editor.append_history(path);
        }
        Ok(line)
    }
}

/// Completes and validates.
struct SqlHelper {
    words: Vec<String>,
}

impl Helper for SqlHelper {}
impl Highlighter for SqlHelper {}

impl Hinter for SqlHelper {
    type Hint = String;
}

impl Validator for SqlHelper {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(match is_whole(context.input()) {
            true => ValidationResult::Valid(None),
            false => ValidationResult::Incomplete,
        })
    }
}

impl Completer for SqlHelper {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _context: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(completions(&self.words, line, position))
    }
}

/// Whether Enter runs the input.
fn is_whole(input: &str) -> bool {
    if plain_word(input).is_some() {
        return true;
    }
    let mut splitter = Splitter::new();
    splitter.push(input.as_bytes());
    splitter.push(b"\n");
    loop {
        match splitter.next() {
            Ok(Some(_)) => {}
            Ok(None) => return !splitter.is_inside(),
            // Running it shows the error.
            Err(_) => return true,
        }
    }
}

/// Where the word before the cursor begins, and what it may become.
fn completions(words: &[String], line: &str, position: usize) -> (usize, Vec<String>) {
    let before = line.get(..position).unwrap_or_default();
    let start = before
        .rfind(|c: char| !c.is_alphanumeric() && c != '_')
        .map_or(0, |index| index + before[index..].chars().next().map_or(1, char::len_utf8));
    let word = &before[start..];
    if word.is_empty() {
        return (start, Vec::new());
    }
    let lower = word.to_lowercase();
    let alike = |candidate: &str| candidate.to_lowercase().starts_with(&lower);
    let mut found: Vec<String> = words.iter().filter(|word| alike(word)).cloned().collect();
    let small = word.chars().all(|c| !c.is_uppercase());
    found.extend(KEYWORDS.split(' ').filter(|keyword| alike(keyword)).map(|keyword| match small {
        true => keyword.to_lowercase(),
        false => (*keyword).to_string(),
    }));
    (start, found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enter_runs_whole_statements_only() {
        for whole in ["", "  ", "SELECT 1;", "\\d", ".tables", "SELECT 1; -- x", "-- x", "exit"] {
            assert!(is_whole(whole), "{whole:?}");
        }
        for part in ["SELECT 1", "SELECT ';", "SELECT 1; SELECT", "/* x", "SELECT $$;"] {
            assert!(!is_whole(part), "{part:?}");
        }
    }

    #[test]
    fn words_complete_in_the_case_that_was_typed() {
        let words = vec!["weather".to_string()];
        assert_eq!(completions(&words, "SELECT x FROM we", 16), (14, vec!["weather".into()]));
        assert_eq!(completions(&words, "sel", 3), (0, vec!["select".into()]));
        assert_eq!(completions(&words, "SEL", 3), (0, vec!["SELECT".into()]));
        assert_eq!(completions(&words, "é.WE", 5).1, ["weather"]);
        assert_eq!(completions(&words, "a ", 2).1.len(), 0);
    }
}
