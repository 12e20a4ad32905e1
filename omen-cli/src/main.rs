//! The `omen` command: shell, scripts, import, inspection and demo.
//!
//! It holds no database logic: everything goes through [`omen_provider`].

mod args;
mod backup;
mod commands;
mod compact;
mod demo;
mod describe;
mod execute;
mod failure;
mod import;
mod inspect;
mod interrupt;
mod notes;
mod open;
mod output;
mod plot;
mod progress;
mod repair;
mod restore;
mod script;
mod shell;
mod sql_type;
mod statements;
mod verify;
mod workers;

use std::io::IsTerminal;

use args::{Arguments, Command, ShellArguments};
use execute::{Executor, Settings};
use failure::Result;
use omen_provider::{Durability, Options};
use output::Format;

fn main() {
    let runtime = workers::check_descriptors().and_then(|()| workers::runtime().build());
    let outcome = match runtime {
        Ok(runtime) => {
            let outcome = runtime.block_on(run());
            // A thread that computes or waits for standard input must not hold the process.
            runtime.shutdown_background();
            outcome
        }
        Err(error) => Err(error.into()),
    };
    std::process::exit(outcome.map_or_else(
        |failure| {
            notes::report(&failure);
            failure.exit_code()
        },
        |()| 0,
    ));
}

async fn run() -> Result<()> {
    let arguments = Arguments::read()?;
    interrupt::listen()?;
    match arguments.command {
        None => run_sql(arguments.shell).await,
        Some(Command::Import(arguments)) => import::run(&arguments).await,
        Some(Command::Inspect(arguments)) => inspect::run(&arguments).await,
        Some(Command::Verify { path }) => verify::run(&path).await,
        Some(Command::Repair { path, cut_log }) => repair::run(&path, cut_log).await,
        Some(Command::Compact { path, memory }) => compact::run(&path, memory).await,
        Some(Command::Backup { path, directory }) => backup::run(&path, &directory).await,
        Some(Command::Restore { backup, path }) => restore::run(&backup, &path).await,
        Some(Command::Demo { dir }) => demo::run(dir).await,
    }
}

/// The shell, or the statements of `-c`, `-f` or standard input.
async fn run_sql(arguments: ShellArguments) -> Result<()> {
    let interactive = arguments.inputs.is_empty() && std::io::stdin().is_terminal();
    let durability = arguments.may_lose_last_ms.map_or(Durability::Sync, Durability::MayLoseLastMs);
    let options = Options {
        durability,
        read_only: arguments.readonly,
        create: !arguments.no_create && !arguments.readonly,
        // Statements are left behind with their threads; what they have begun to commit is not.
        runtime: Some(tokio::runtime::Handle::current()),
        ..arguments.memory.options()
    };
    let database = open::open(arguments.path.as_deref(), options).await?;
    let settings = Settings {
        format: arguments.format.unwrap_or_else(Format::default_for_stdout),
        interactive,
        timing: arguments.timing || interactive,
    };
    let mut executor = Executor::new(database.clone(), settings);
    let outcome = if interactive {
        greet(arguments.path.is_none());
        shell::run(&mut executor).await
    } else if arguments.inputs.is_empty() {
        script::run_stdin(&mut executor).await.map(|_| ())
    } else {
        script::run_inputs(&mut executor, &arguments.inputs).await
    };
    executor.end().await;
    match outcome {
        // Nothing acknowledged is lost without it, and the person wants out.
        Err(failure::Failure::Interrupted) => Err(failure::Failure::Interrupted),
        outcome => outcome.and(open::close(database).await),
    }
}

fn greet(in_memory: bool) {
    notes::note(format!("omen {}: .help for help, Ctrl-D to leave", env!("CARGO_PKG_VERSION")));
    if in_memory {
        notes::note("in memory, gone when you leave; omen PATH keeps a database in a directory");
    }
}
