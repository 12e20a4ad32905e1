//! Where the demo puts its database, and how the person goes on from there.

use std::env;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Result};

const NAME: &str = "omen-demo";
/// After so many demos in one directory the person is asked to choose.
const DEMOS_MAX: u32 = 999;

/// Makes a directory that did not exist: the one asked for, or `omen-demo`, `omen-demo-2`, …
pub(super) fn create(asked: Option<PathBuf>) -> Result<PathBuf> {
    if let Some(path) = asked {
        return match fs::create_dir(&path) {
            Ok(()) => Ok(path),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(Failure::Error(format!(
                "{} exists, and the demo never overwrites; choose a new --dir",
                path.display()
            ))),
            Err(error) => Err(cannot_create(&path, &error)),
        };
    }
    for number in 1..=DEMOS_MAX {
        let path = match number {
            1 => PathBuf::from(NAME),
            number => PathBuf::from(format!("{NAME}-{number}")),
        };
        match fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(cannot_create(&path, &error)),
        }
    }
    Err(Failure::Error(format!("{NAME} to {NAME}-{DEMOS_MAX} exist; choose a --dir")))
}

fn cannot_create(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Error(format!("cannot create {}: {error}", path.display()))
}

/// The commands that follow, as the person would type them here.
pub(super) fn next_steps(path: &Path) -> String {
    let omen = command();
    let path = path.display();
    format!(
        "\nYour own data, from a CSV file (or JSON lines, or Parquet):\n  \
         {omen} import my.db my_table my_data.csv --key id\n\
         SQL on this database:\n  {omen} {path}"
    )
}

/// How this program was started: through cargo (which says so in the environment), or by a path.
fn command() -> String {
    let executable = env::current_exe().ok();
    if env::var("CARGO_PKG_NAME").is_ok_and(|name| name == env!("CARGO_PKG_NAME")) {
        let directory = executable.as_deref().and_then(Path::parent).and_then(Path::file_name);
        return cargo_command(directory.and_then(|name| name.to_str()).unwrap_or("debug"));
    }
    env::args().next().unwrap_or_else(|| "omen".to_string())
}

/// The cargo command of a profile, named by its directory under `target`.
fn cargo_command(profile: &str) -> String {
    match profile {
        "debug" => "cargo run --".to_string(),
        "release" => "cargo run --release --".to_string(),
        other => format!("cargo run --profile {other} --"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn existing_directory_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new");
        assert_eq!(create(Some(path.clone())).unwrap(), path);
        let Err(Failure::Error(message)) = create(Some(path)) else { panic!("overwritten") };
        assert!(message.contains("never overwrites"), "{message}");
    }

    #[test]
    fn cargo_commands_name_the_profile() {
        assert_eq!(cargo_command("debug"), "cargo run --");
        assert_eq!(cargo_command("release"), "cargo run --release --");
        assert_eq!(cargo_command("quick"), "cargo run --profile quick --");
    }
}
