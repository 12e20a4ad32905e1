//! Imports inside omen-provider go from higher layers to lower ones, never up or sideways.
//!
//! The layers are those of the code map in ARCHITECTURE.md; each module stands there with all that
//! is below it. A file may name its own module and those of lower layers. `lib.rs` and
//! `storage/mod.rs` only re-export and stand above all.

use std::collections::HashMap;

use super::source_text::{code_only, is_test_file, without_tests};

/// The modules by layer, lowest first; those of one layer do not know each other.
pub type Layers = Vec<Vec<String>>;

/// Reads the layers from the table of the code map: rows `| 2 | `schema.rs`, `run/` | … |`. A row
/// without a number goes on with the layer above, a row `| 3–5 |` gives each module its own.
pub fn layers(map: &str) -> Layers {
    let mut layers = Layers::new();
    for row in map.lines().skip_while(|line| !line.starts_with("| layer |")).skip(2) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, number, modules, ..] = cells.as_slice() else { break };
        let names = modules.split('`').skip(1).step_by(2);
        let names =
            names.map(|name| name.trim_end_matches('/').trim_end_matches(".rs").to_string());
        match *number {
            "" => layers.last_mut().expect("a layer to go on with").extend(names),
            number if number.contains('–') => layers.extend(names.map(|name| vec![name])),
            _ => layers.push(names.collect()),
        }
    }
    layers
}

/// A path of names below the crate's root.
type ModulePath = Vec<String>;

/// The names that `lib.rs` re-exports, each with the path behind it.
pub fn reexports(root_module: &str) -> HashMap<String, ModulePath> {
    let code = code_only(root_module);
    let items = code.split("pub use ").skip(1).filter_map(|rest| rest.split(';').next());
    let named = |path: ModulePath| path.last().cloned().map(|name| (name, path));
    items.flat_map(expand).filter_map(named).collect()
}

/// Complaints about the imports of one file; `path` is below `omen-provider/src`.
pub fn upward(
    path: &str,
    source: &str,
    layers: &Layers,
    names: &HashMap<String, ModulePath>,
) -> Vec<String> {
    if is_test_file(path) || path == "lib.rs" || path == "storage/mod.rs" {
        return Vec::new();
    }
    let own = module_of(path);
    let Some((own_name, own_layer)) = layer(layers, &own) else {
        return vec![format!("{path}: its module has no layer in ARCHITECTURE.md")];
    };
    let mut complaints = Vec::new();
    for target in targets(&own, &code_only(&without_tests(source))) {
        let reexported = target.first().and_then(|first| names.get(first));
        match layer(layers, &target).or_else(|| layer(layers, reexported?)) {
            Some((name, at)) if name != own_name && at >= own_layer => {
                complaints.push(format!("{path}: {own_name} must not import {name}"));
            }
            None if !target.is_empty() => {
                complaints.push(format!("{path}: {} has no layer", target.join("::")));
            }
            _ => {}
        }
    }
    complaints
}

/// The layered module that a path begins with, and the number of its layer.
fn layer<'a>(layers: &Layers, path: &'a [String]) -> Option<(&'a str, usize)> {
    let name = match path {
        [first, second, ..] if first == "storage" => second,
        [first, ..] => first,
        [] => return None,
    };
    layers.iter().position(|layer| layer.contains(name)).map(|at| (name.as_str(), at))
}

/// `storage/wal/reader.rs` is `storage::wal::reader`, `storage/wal/mod.rs` is `storage::wal`.
fn module_of(path: &str) -> ModulePath {
    let path = path.trim_end_matches(".rs").trim_end_matches("/mod");
    path.split('/').map(str::to_string).collect()
}

/// Every path below the crate's root that the code names, in a `use` or inline.
fn targets(own: &[String], code: &str) -> Vec<ModulePath> {
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(at) = next_path(rest) {
        let item = rest[..at].trim_end();
        let in_use = item.ends_with("use") || item.ends_with("use ::");
        let tree = &rest[at..];
        let end = match in_use {
            true => tree.find(';').unwrap_or(tree.len()),
            false => tree.find(|c: char| !is_word(c) && c != ':').unwrap_or(tree.len()),
        };
        let paths = expand(&tree[..end]);
        found.extend(paths.iter().filter_map(|path| absolute(own, path)));
        rest = &tree[end..];
    }
    found
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Where the next path begins that starts at the crate, or at a parent.
fn next_path(code: &str) -> Option<usize> {
    let starts = ["crate::", "super::"].into_iter().flat_map(|s| code.match_indices(s));
    let free = |at: &usize| !code[..*at].ends_with(|c| is_word(c) || c == ':' || c == '$');
    starts.map(|(at, _)| at).filter(free).min()
}

/// `a::{b, c::d}` is `a::b` and `a::c::d`; names after `as`, and generics, are dropped.
fn expand(tree: &str) -> Vec<ModulePath> {
    let tree = tree.trim();
    let Some(open) = tree.find('{') else {
        let path = tree.split(" as ").next().unwrap_or_default();
        let names = path.split("::").map(|n| n.trim().to_string());
        return vec![names.filter(|n| !n.is_empty()).collect()];
    };
    let prefix: ModulePath = expand(&tree[..open]).remove(0);
    let inner = tree[open + 1..].rsplit_once('}').map_or(&tree[open + 1..], |(inner, _)| inner);
    let joined = |path: ModulePath| prefix.iter().cloned().chain(path).collect();
    split_list(inner).into_iter().flat_map(expand).map(joined).collect()
}

/// Splits at the commas outside braces.
fn split_list(list: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (i, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&list[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    parts.push(&list[start..]);
    parts.into_iter().filter(|part| !part.trim().is_empty()).collect()
}

/// The path below the crate's root; None for one that leads to the root itself.
fn absolute(own: &[String], path: &[String]) -> Option<ModulePath> {
    let mut base: ModulePath = match path.first()?.as_str() {
        "crate" => Vec::new(),
        _ => own.to_vec(),
    };
    for name in path {
        match name.as_str() {
            "crate" | "self" | "*" => {}
            "super" => drop(base.pop()),
            name => base.push(name.to_string()),
        }
    }
    Some(base).filter(|base| !base.is_empty() && *base != ["storage"])
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: &str = "| layer | modules | what |\n|---|---|---|\n| 0 | `error.rs` | … |\n\
        | 1 | `store/` | … |\n| | `key/` | … |\n| 2 | `wal/`, `run/` | … |\n\
        | 3–5 | `segment/`, `version.rs`, `table.rs` | … |\n| 6 | `provider/` | … |\n\nText | x";

    fn complaints(path: &str, source: &str) -> Vec<String> {
        let names = reexports("pub use error::{Error, Result};\npub use table::Table;");
        upward(path, source, &layers(MAP), &names)
    }

    #[test]
    fn layers_are_read_from_the_map() {
        let layers = layers(MAP);
        assert_eq!(layers.len(), 7);
        assert_eq!(layers[1], ["store", "key"]);
        assert_eq!(layers[4], ["version"]);
    }

    #[test]
    fn upward_and_sideways_imports_are_found_in_every_spelling() {
        for source in [
            "use crate::storage::segment::Reader;",
            "use crate::{error::Error, storage::{key::Key, segment}};",
            "use super::super::segment::Reader as R;",
            "use super::super::{run::Run, key};",
            "fn f(r: &crate::storage::version::Version) {}",
            "fn f() { super::super::version::load() }",
            "use crate::Table;",
            "use crate::storage::nonsense::X;",
        ] {
            assert_eq!(complaints("storage/wal/reader.rs", source).len(), 1, "{source}");
        }
    }

    #[test]
    fn downward_imports_own_modules_tests_and_comments_are_fine() {
        for source in [
            "use super::record::Op;",
            "use crate::storage::{key::Key, store::{self, Logs}};",
            "use crate::Error; use crate::error::Result;",
            "// use crate::storage::segment::X;\nfn f() { \"crate::storage::segment\"; }",
            "#[cfg(test)]\nmod tests {\n    use crate::storage::segment::X;\n}\n",
        ] {
            assert_eq!(complaints("storage/wal/reader.rs", source), [""; 0], "{source}");
        }
        assert_eq!(complaints("storage/wal/tests.rs", "use crate::provider::X;"), [""; 0]);
    }

    #[test]
    fn a_module_without_a_layer_is_reported() {
        assert_eq!(complaints("storage/novelty.rs", "").len(), 1);
    }
}
