//! Runs statements that are not typed at a prompt: `-c`, `-f`, standard input and `.read`.
//!
//! Statements run as they arrive complete; the first error ends everything, named with file and
//! line.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::args::Input;
use crate::commands::{self, Flow};
use crate::execute::Executor;
use crate::failure::{Failure, Result};
use crate::interrupt::interruptible;
use crate::statements::{Piece, Splitter};

/// Bytes that are read at once.
const CHUNK_BYTES: usize = 64 << 10;

/// Runs `-c` and `-f` in their order.
pub(crate) async fn run_inputs(executor: &mut Executor, inputs: &[Input]) -> Result<()> {
    for input in inputs {
        let flow = match input {
            Input::Command(text) => run_text(executor, text).await?,
            Input::File(path) if path.as_os_str() == "-" => run_stdin(executor).await?,
            Input::File(path) => run_file(executor, path).await?,
        };
        if flow == Flow::Quit {
            break;
        }
    }
    Ok(())
}

/// Runs standard input.
pub(crate) async fn run_stdin(executor: &mut Executor) -> Result<Flow> {
    executor.stdin_taken = true;
    run_reader(executor, "stdin", std::io::stdin()).await
}

/// Runs a file.
pub(crate) async fn run_file(executor: &mut Executor, path: &Path) -> Result<Flow> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(|error| Failure::Error(format!("{name}: {error}")))?;
    run_reader(executor, &name, file).await
}

async fn run_text(executor: &mut Executor, text: &str) -> Result<Flow> {
    for piece in Splitter::split(text)? {
        if run_piece(executor, &piece).await? == Flow::Quit {
            return Ok(Flow::Quit);
        }
    }
    Ok(Flow::GoOn)
}

async fn run_reader(
    executor: &mut Executor,
    name: &str,
    mut reader: impl Read + Send + 'static,
) -> Result<Flow> {
    let mut splitter = Splitter::new();
    loop {
        let (returned, chunk) = interruptible(read_chunk(name, reader)).await?;
        reader = returned;
        let ended = chunk.is_empty();
        splitter.push(&chunk);
        let next = |splitter: &mut Splitter| match ended {
            true => splitter.finish(),
            false => splitter.next(),
        };
        while let Some(piece) = next(&mut splitter).map_err(|failure| named(failure, name))? {
            let outcome = run_piece(executor, &piece).await;
            if outcome.map_err(|failure| failure.at(name, piece.line))? == Flow::Quit {
                return Ok(Flow::Quit);
            }
        }
        if ended {
            return Ok(Flow::GoOn);
        }
    }
}

/// Reads what is there, off the executor's thread, so that Ctrl-C is heard meanwhile.
async fn read_chunk<R: Read + Send + 'static>(name: &str, mut reader: R) -> Result<(R, Vec<u8>)> {
    let read = tokio::task::spawn_blocking(move || {
        let mut chunk = vec![0; CHUNK_BYTES];
        let length = reader.read(&mut chunk)?;
        chunk.truncate(length);
        Ok::<_, std::io::Error>((reader, chunk))
    });
    read.await?.map_err(|error| Failure::Error(format!("{name}: {error}")))
}

async fn run_piece(executor: &mut Executor, piece: &Piece) -> Result<Flow> {
    if piece.command {
        return Box::pin(commands::run(executor, &piece.text)).await;
    }
    executor.run(&piece.text).await?;
    Ok(Flow::GoOn)
}

fn named(failure: Failure, name: &str) -> Failure {
    match failure {
        Failure::Error(message) => Failure::Error(format!("{name}: {message}")),
        other => other,
    }
}
