//! The house rules that a program can check: direction of imports, the shape of files, the map of
//! the code, what may stand in a tracked file.
//!
//! Every rule is a pure function from text to a list of complaints, with a small test beside it
//! that shows it can fail; the tests in this file only read the tree and apply the rules to it.

mod code_map;
mod imports;
mod manifests;
mod named_tests;
mod source_text;
mod style;

use std::path::{Path, PathBuf};

/// A text file of the repository.
pub struct TextFile {
    /// The path below the repository's root, with `/`.
    pub path: String,
    /// The contents.
    pub text: String,
}

impl TextFile {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Source of one of the crates that users build.
    fn is_product(&self) -> bool {
        ["omen-index/src/", "omen-provider/src/", "omen-cli/src/"]
            .iter()
            .any(|folder| self.path.starts_with(folder))
            && self.is_rust()
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace's root").to_path_buf()
}

/// All files below `folder`, build output and version control left out.
fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        if path.is_dir() {
            // (What fuzz targets gather is not tracked.)
            if !["target", ".git", "corpus", "findings"].contains(&name) {
                walk(&path, found);
            }
        } else if name != ".git" && !name.ends_with('~') {
            found.push(path);
        }
    }
}

/// Every text file of the repository (Parquet data and fixtures are not text).
fn text_files() -> Vec<TextFile> {
    let (root, mut paths) = (root(), Vec::new());
    walk(&root, &mut paths);
    paths.sort();
    let read = |path: PathBuf| {
        let name = path.strip_prefix(&root).ok()?.to_str()?.replace('\\', "/");
        Some(TextFile { path: name, text: std::fs::read_to_string(&path).ok()? })
    };
    paths.into_iter().filter_map(read).collect()
}

fn rust_files() -> Vec<TextFile> {
    text_files().into_iter().filter(TextFile::is_rust).collect()
}

#[track_caller]
fn assert_tidy(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}

#[test]
fn imports_go_downward_only() {
    let root_module = std::fs::read_to_string(root().join("omen-provider/src/lib.rs")).unwrap();
    let names = imports::reexports(&root_module);
    let map = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let layers = imports::layers(&map);
    let files = rust_files();
    let engine = files.iter().filter_map(|f| Some((f, f.path.strip_prefix("omen-provider/src/")?)));
    assert_tidy(
        engine.flat_map(|(f, path)| imports::upward(path, &f.text, &layers, &names)).collect(),
    );
}

#[test]
fn the_engine_does_not_know_datafusion_and_the_provider_opens_no_file() {
    let files = rust_files();
    let storage = files.iter().filter(|f| f.path.starts_with("omen-provider/src/storage/"));
    let provider = files.iter().filter(|f| f.path.starts_with("omen-provider/src/provider/"));
    let mut complaints: Vec<_> =
        storage.flat_map(|f| style::names_any(&f.path, &f.text, &["datafusion"])).collect();
    let file_access = ["std::fs", "tokio::fs", "File::open", "File::create", "OpenOptions"];
    complaints.extend(provider.flat_map(|f| style::names_any(&f.path, &f.text, &file_access)));
    assert_tidy(complaints);
}

#[test]
fn no_ordered_tree_is_in_the_product() {
    let trees = ["BTreeMap", "BTreeSet", "SkipMap", "SkipSet", "RoaringTreemap"];
    let files = rust_files();
    let product = files.iter().filter(|f| f.is_product());
    assert_tidy(product.flat_map(|f| style::names_any(&f.path, &f.text, &trees)).collect());
}

#[test]
fn every_source_file_has_the_house_shape() {
    let files = rust_files();
    let mut complaints: Vec<_> =
        files.iter().flat_map(|f| style::shape(&f.path, &f.text)).collect();
    complaints.extend(files.iter().flat_map(|f| style::file_name(&f.path)));
    complaints.extend(files.iter().flat_map(|f| style::left_behind(&f.path, &f.text)));
    let product = files.iter().filter(|f| f.is_product() && !source_text::is_test_file(&f.path));
    let lengths = product.map(|f| (f.path.as_str(), source_text::product_lines(&f.text)));
    complaints.extend(style::too_long(lengths, style::LONG_FILES));
    assert_tidy(complaints);
}

#[test]
fn tracked_files_name_no_machine() {
    let files = text_files();
    let checked = files
        .iter()
        .filter(|f| !f.path.ends_with("Cargo.lock") && !f.path.starts_with("tests/tidy"));
    assert_tidy(checked.flat_map(|f| style::machine_paths(&f.path, &f.text)).collect());
}

#[test]
fn the_code_map_and_the_code_agree() {
    let files = text_files();
    let map = files.iter().find(|f| f.path == "ARCHITECTURE.md").expect("ARCHITECTURE.md");
    let exists = |path: &str| root().join(path).exists();
    let mut complaints = code_map::missing_paths(&map.text, &exists);
    let paths: Vec<_> = files.iter().filter(|f| f.is_rust()).map(|f| f.path.as_str()).collect();
    complaints.extend(code_map::undescribed_folders(&map.text, &paths));
    assert_tidy(complaints);
}

#[test]
fn manifests_follow_the_rules() {
    let files = text_files();
    let find = |path: &str| files.iter().find(|f| f.path == path).map(|f| f.text.as_str());
    let workspace = find("Cargo.toml").expect("the workspace's manifest");
    let mut complaints = Vec::new();
    for member in manifests::list(workspace, "workspace", "members") {
        let path = format!("{member}/Cargo.toml");
        complaints.extend(manifests::dependencies(&path, find(&path).expect("a manifest")));
        complaints.extend(manifests::teeth(&path, find(&path).expect("a manifest")));
    }
    complaints.extend(manifests::teeth("Cargo.toml", workspace));
    let defaults = manifests::list(workspace, "workspace", "default-members");
    let binaries = defaults.iter().map(|member| {
        let manifest = find(&format!("{member}/Cargo.toml")).expect("a manifest");
        let has_main = find(&format!("{member}/src/main.rs")).is_some();
        manifests::binaries(manifest, has_main)
    });
    complaints.extend(manifests::one_binary(binaries.sum()));
    let index = find("omen-index/Cargo.toml").expect("a manifest");
    complaints.extend(manifests::no_dependencies("omen-index/Cargo.toml", index));
    assert_tidy(complaints);
}

#[test]
fn what_others_have_learned_is_tested() {
    let files = rust_files();
    let sources = files.iter().filter(|f| !f.path.ends_with("named_tests.rs"));
    assert_tidy(named_tests::missing(&named_tests::NAMED, sources.map(|f| f.text.as_str())));
}
