//! Where the lines typed at the prompt are kept: the XDG state directory, for their owner only.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// The history file, in a directory that exists; `None` keeps no history.
pub(super) fn file() -> Option<PathBuf> {
    let path = place(std::env::var_os("XDG_STATE_HOME"), std::env::var_os("HOME"))?;
    make_private(&path).ok()?;
    Some(path)
}

/// `$XDG_STATE_HOME/omen/history`; by default the state home is `~/.local/state`. A relative
/// `XDG_STATE_HOME` is invalid and counts as unset.
fn place(state_home: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let state = state_home
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| home.map(|home| Path::new(&home).join(".local/state")))?;
    Some(state.join("omen").join("history"))
}

/// Makes the directory and the empty file; statements may hold secrets, so only the owner reads.
fn make_private(path: &Path) -> std::io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let mut options = fs::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let file = options.open(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
    }
    drop(file);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xdg_directory_comes_first() {
        let place = |state: Option<&str>, home: Option<&str>| {
            place(state.map(OsString::from), home.map(OsString::from))
        };
        assert_eq!(place(Some("/s"), Some("/h")), Some("/s/omen/history".into()));
        assert_eq!(place(Some("s"), Some("/h")), Some("/h/.local/state/omen/history".into()));
        assert_eq!(place(None, None), None);
    }

    #[cfg(unix)]
    #[test]
    fn file_is_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("omen/history");
        make_private(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
