//! Where the scripts are: in the package `datafusion-sqllogictest` of DataFusion's own version, as
//! cargo keeps it. No code of it is built, so it is no dependency.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The scripts, each with its path below `test_files`, in order.
pub fn scripts() -> Result<Vec<(PathBuf, String)>, String> {
    let folder = package()?.join("test_files");
    let mut found = Vec::new();
    collect(&folder, &mut found).map_err(|error| format!("{}: {error}", folder.display()))?;
    let named = found.into_iter().filter_map(|path| {
        let name = path.strip_prefix(&folder).ok()?.to_str()?.to_string();
        Some((path, name))
    });
    let mut scripts: Vec<_> = named.filter(|(_, name)| name.ends_with(".slt")).collect();
    scripts.sort();
    Ok(scripts)
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        match path.is_dir() {
            true => collect(&path, found)?,
            false => found.push(path),
        }
    }
    Ok(())
}

/// The folder of the package; fetched if it is not there yet.
fn package() -> Result<PathBuf, String> {
    let version = version()?;
    let name = format!("datafusion-sqllogictest-{version}");
    if let Some(folder) = kept(&name) {
        return Ok(folder);
    }
    // Unpacks this package, and none that it would depend on.
    let package = format!("datafusion-sqllogictest@{version}");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let asked = Command::new(cargo).args(["info", "--quiet", &package]).output();
    let asked = asked.map_err(|error| format!("cargo info: {error}"))?;
    kept(&name).ok_or_else(|| {
        let said = String::from_utf8_lossy(&asked.stderr);
        format!("cargo did not bring {name}: {}", said.lines().next().unwrap_or_default())
    })
}

/// Where cargo unpacked the package.
fn kept(name: &str) -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))?;
    let registries = std::fs::read_dir(home.join("registry/src")).ok()?;
    let mut folders = registries.flatten().map(|registry| registry.path().join(name));
    folders.find(|folder| folder.join("test_files").is_dir())
}

/// DataFusion's version, from the lock file.
fn version() -> Result<String, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock");
    let lock = std::fs::read_to_string(path).map_err(|error| format!("Cargo.lock: {error}"))?;
    let mut lines = lock.lines().skip_while(|line| *line != "name = \"datafusion\"").skip(1);
    let version = lines.next().and_then(|line| line.strip_prefix("version = \""));
    let version = version.and_then(|version| version.strip_suffix('"'));
    version.map(String::from).ok_or("Cargo.lock names no datafusion".to_string())
}
