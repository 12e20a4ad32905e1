//! Rules about the manifests: versions stand in one place, tests' needs are dev-dependencies, one
//! binary is built by default, omen-index needs nothing.

/// What only tests and benches need.
const FOR_TESTS: &[&str] = &["proptest", "sqllogictest", "criterion", "assert_cmd"];

/// The lines of a section, comments and blank lines left out.
fn section<'a>(manifest: &'a str, name: &str) -> Vec<&'a str> {
    let header = format!("[{name}]");
    let lines = manifest.lines().skip_while(|line| line.trim() != header).skip(1);
    let lines = lines.take_while(|line| !line.starts_with('[')).map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

/// A list of strings, such as the workspace's members.
pub fn list(manifest: &str, section_name: &str, key: &str) -> Vec<String> {
    let body = section(manifest, section_name).join(" ");
    let opening = format!("{key} = [");
    // `members` is also the end of `default-members`.
    let starts = body.match_indices(&opening).map(|(at, _)| at);
    let exact = starts.filter(|at| !body[..*at].ends_with('-')).map(|at| &body[at..]).next();
    let list = exact.and_then(|rest| rest.split(']').next()).unwrap_or_default();
    list.split('"').skip(1).step_by(2).map(str::to_string).collect()
}

/// Dependencies take their version from the workspace; what tests need is a dev-dependency.
pub fn dependencies(path: &str, manifest: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for name in ["dependencies", "dev-dependencies", "build-dependencies"] {
        for line in section(manifest, name) {
            let dependency = line.split(['.', ' ', '=']).next().unwrap_or_default();
            if !line.contains("workspace = true") {
                complaints.push(format!("{path}: {dependency} has a version of its own"));
            }
            if name == "dependencies" && FOR_TESTS.contains(&dependency) {
                complaints.push(format!("{path}: {dependency} belongs to dev-dependencies"));
            }
        }
    }
    complaints
}

/// The features by which tests plant bugs, and hand made-up bytes to decoders, are asked for by
/// dev-dependencies alone.
pub fn teeth(path: &str, manifest: &str) -> Vec<String> {
    let (mut place, mut complaints) = ("", Vec::new());
    for line in manifest.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        if line.starts_with('[') {
            place = line;
        }
        let is_own = ["teeth = [", "fuzzing = ["].iter().any(|own| line.starts_with(own));
        let is_allowed =
            place.contains("dev-dependencies") || (is_own && !line.contains("teeth\""));
        if ["teeth", "fuzzing"].iter().any(|name| line.contains(name)) && !is_allowed {
            complaints.push(format!("{path}: {place} asks for a feature of tests: {line}"));
        }
    }
    complaints
}

/// Complaints if the package needs anything.
pub fn no_dependencies(path: &str, manifest: &str) -> Vec<String> {
    let needed = section(manifest, "dependencies");
    needed.iter().map(|line| format!("{path}: depends on {line}")).collect()
}

/// How many binaries a package builds.
pub fn binaries(manifest: &str, has_main: bool) -> usize {
    manifest.matches("[[bin]]").count().max(usize::from(has_main))
}

/// `cargo run` needs no `--bin`.
pub fn one_binary(count: usize) -> Option<String> {
    (count != 1).then(|| format!("Cargo.toml: default-members hold {count} binaries, not one"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "[workspace]\ndefault-members = [\"b\"]\nmembers = [\"a\",\n \"b\"]\n\
        [dependencies]\nx.workspace = true\nproptest.workspace = true\ny = \"1\"\n[[bin]]\n";

    #[test]
    fn lists_are_read() {
        assert_eq!(list(MANIFEST, "workspace", "members"), ["a", "b"]);
        assert_eq!(list(MANIFEST, "workspace", "default-members"), ["b"]);
    }

    #[test]
    fn a_version_of_its_own_and_a_misplaced_dependency_are_found() {
        assert_eq!(dependencies("Cargo.toml", MANIFEST).len(), 2);
        assert_eq!(no_dependencies("Cargo.toml", MANIFEST).len(), 3);
        assert_eq!(dependencies("Cargo.toml", "[dependencies]\nx.workspace = true"), [""; 0]);
    }

    #[test]
    fn planted_bugs_outside_of_dev_dependencies_are_found() {
        let asks = "omen-provider = { workspace = true, features = [\"teeth\"] }";
        let manifest = |section: &str| format!("[features]\nteeth = []\n[{section}]\n{asks}\n");
        assert_eq!(teeth("Cargo.toml", &manifest("dev-dependencies")), [""; 0]);
        for section in ["dependencies", "build-dependencies", "workspace.dependencies"] {
            assert_eq!(teeth("Cargo.toml", &manifest(section)).len(), 1, "{section}");
        }
        assert_eq!(teeth("Cargo.toml", "[features]\ndefault = [\"teeth\"]").len(), 1);
        assert_eq!(teeth("Cargo.toml", "[features]\ndefault = [\"fuzzing\"]").len(), 1);
        assert_eq!(teeth("Cargo.toml", "[features]\nfuzzing = [\"teeth\"]").len(), 1);
        assert_eq!(teeth("Cargo.toml", "[features]\nfuzzing = [\"x/fuzzing\"]"), [""; 0]);
    }

    #[test]
    fn a_second_binary_is_found() {
        assert_eq!(binaries(MANIFEST, true), 1);
        assert!(one_binary(2).is_some() && one_binary(0).is_some() && one_binary(1).is_none());
    }
}
