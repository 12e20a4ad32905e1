//! The interactive shell: reads statements at a prompt and runs them until Ctrl-D or `\q`.
//!
//! An error or Ctrl-C ends the statement, never the shell.

mod editor;
mod history;

use rustyline::error::ReadlineError;

use crate::commands::{self, Flow};
use crate::execute::Executor;
use crate::failure::{Failure, Result};
use crate::statements::Splitter;
use crate::{interrupt, notes};
use editor::SqlEditor;

const PROMPT: &str = "omen> ";
/// Inside a statement; as wide as the other.
const PROMPT_INSIDE: &str = "  ... ";

/// Runs the shell until the person leaves.
pub(crate) async fn run(executor: &mut Executor) -> Result<()> {
    let mut editor = SqlEditor::new()?;
    let mut splitter = Splitter::new();
    loop {
        editor.set_words(known_names(executor));
        let prompt = if splitter.is_inside() { PROMPT_INSIDE } else { PROMPT };
        let line = match editor.read(prompt) {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => {
                splitter = Splitter::new();
                continue;
            }
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(error.into()),
        };
        interrupt::forget().await;
        let word = commands::plain_word(&line).filter(|_| !splitter.is_inside());
        splitter.push(word.unwrap_or(&line).as_bytes());
        splitter.push(b"\n");
        match run_complete(executor, &mut splitter).await {
            Ok(Flow::GoOn) => {}
            Ok(Flow::Quit) => break,
            Err(Failure::ClosedPipe) => return Err(Failure::ClosedPipe),
            Err(failure) => {
                notes::report(&failure);
                splitter = Splitter::new();
            }
        }
    }
    Ok(())
}

async fn run_complete(executor: &mut Executor, splitter: &mut Splitter) -> Result<Flow> {
    while let Some(piece) = splitter.next()? {
        if !piece.command {
            executor.run(&piece.text).await?;
        } else if commands::run(executor, &piece.text).await? == Flow::Quit {
            return Ok(Flow::Quit);
        }
    }
    Ok(Flow::GoOn)
}

/// Tables and their columns, for completion.
fn known_names(executor: &Executor) -> Vec<String> {
    let mut names = executor.database.table_names();
    for index in 0..names.len() {
        let schema = executor.database.table(&names[index]).and_then(|table| table.schema());
        if let Ok(schema) = schema {
            names.extend(schema.fields().iter().map(|field| field.name().clone()));
        }
    }
    names.sort();
    names.dedup();
    names
}
