//! ARCHITECTURE.md names what exists, and every folder of sources.

/// Where a relative path in the map may start.
const STARTS: &[&str] =
    &["", "omen-index/src/", "omen-provider/src/", "omen-provider/src/storage/", "omen-cli/src/"];
/// What makes a name in backticks a path of the repository.
const ENDINGS: &[&str] = &[".rs", ".md", ".toml", ".slt", "/"];

/// Complaints about paths in backticks or at the start of a line that do not exist.
pub fn missing_paths(map: &str, exists: &dyn Fn(&str) -> bool) -> Vec<String> {
    let is_path = |name: &&str| {
        let plain = |c: char| c.is_alphanumeric() || "_-./".contains(c);
        name.chars().all(plain) && ENDINGS.iter().any(|ending| name.ends_with(ending))
    };
    let names = map.split('`').skip(1).step_by(2).filter(is_path);
    let missing = names.filter(|name| !STARTS.iter().any(|s| exists(&format!("{s}{name}"))));
    missing.map(|name| format!("ARCHITECTURE.md: {name} does not exist")).collect()
}

/// Complaints about folders that hold sources and are not named (`wal/`) in the map.
pub fn undescribed_folders(map: &str, rust_paths: &[&str]) -> Vec<String> {
    // A folder that holds nothing but a module's tests goes with the module.
    let described_alone = rust_paths.iter().filter(|path| !path.ends_with("/tests.rs"));
    let mut folders: Vec<&str> =
        described_alone.filter_map(|path| Some(path.rsplit_once('/')?.0)).collect();
    folders.sort_unstable();
    folders.dedup();
    let described = |folder: &str| {
        // `src` is described with its crate.
        let name = folder.trim_end_matches("/src").rsplit('/').next().unwrap_or(folder);
        let boundary = |at: usize| !map[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        map.match_indices(&format!("{name}/")).any(|(at, _)| boundary(at))
    };
    let missing = folders.into_iter().filter(|folder| !described(folder));
    missing.map(|folder| format!("ARCHITECTURE.md: {folder}/ is not described")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_gone_is_found() {
        let exists = |path: &str| path == "omen-provider/src/storage/wal/";
        let map = "`wal/` and `Options` and `gone.rs` and `not a path/`";
        assert_eq!(missing_paths(map, &exists), ["ARCHITECTURE.md: gone.rs does not exist"]);
    }

    #[test]
    fn a_folder_that_is_not_described_is_found() {
        let paths =
            ["omen-index/src/lib.rs", "x/src/wal/reader.rs", "x/src/run/mod.rs", "y/tests.rs"];
        let complaints = undescribed_folders("`omen-index/`: …, `wal/`: …, `prerun/`", &paths);
        assert_eq!(complaints, ["ARCHITECTURE.md: x/src/run/ is not described"]);
    }
}
