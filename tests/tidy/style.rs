//! Rules about single files: their names, how they begin, their length, what may not stand in
//! them.

use super::source_text::{code_only, is_test_file, without_tests};

/// Columns of a line of Rust.
const COLUMNS_MAX: usize = 100;
/// Lines of a file without its tests, unless [`LONG_FILES`] names it.
const LINES_MAX: usize = 400;

/// Longer files, each with its lines outside tests: a ratchet. A file that grows past its number
/// is to be divided; one that shrinks takes its number down with it.
pub const LONG_FILES: &[(&str, usize)] = &[];

/// File names that say nothing about the contents.
const EMPTY_NAMES: &[&str] = &[
    "util", "utils", "common", "helper", "helpers", "misc", "types", "manager", "base", "core",
    "impl", "stuff", "shared",
];

/// Complaints about any of `words` in the code of a file, its tests and comments left out.
pub fn names_any(path: &str, source: &str, words: &[&str]) -> Vec<String> {
    if is_test_file(path) {
        return Vec::new();
    }
    let code = code_only(&without_tests(source));
    let named = words.iter().filter(|word| has_word(&code, word));
    named.map(|word| format!("{path}: names {word}")).collect()
}

fn has_word(code: &str, word: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| {
        !code[..at].ends_with(is_word) && !code[at + word.len()..].starts_with(is_word)
    })
}

/// Every file opens with prose and keeps to the width.
pub fn shape(path: &str, source: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    // The tests of one module, in the file beside it, need no introduction.
    if !source.starts_with("//! ") && !path.ends_with("/tests.rs") {
        complaints.push(format!("{path}: does not open with `//!` prose"));
    }
    for (number, line) in source.lines().enumerate() {
        if line.chars().count() > COLUMNS_MAX && !line.contains("https://") {
            complaints.push(format!("{path}:{}: longer than {COLUMNS_MAX} columns", number + 1));
        }
    }
    complaints
}

/// A file is named for what it holds.
pub fn file_name(path: &str) -> Vec<String> {
    let parts = path.trim_end_matches(".rs").split('/');
    let is_empty = |part: &&str| {
        let versioned = part.rsplit_once("_v").is_some_and(|(_, n)| n.parse::<u32>().is_ok());
        EMPTY_NAMES.contains(part) || versioned
    };
    parts.filter(is_empty).map(|part| format!("{path}: `{part}` says nothing")).collect()
}

/// Nothing unfinished or switched off stays in the tree.
pub fn left_behind(path: &str, source: &str) -> Vec<String> {
    let code = code_only(source);
    let marks = ["#[ignore", "todo!(", "dbg!("];
    let left = marks.iter().filter(|mark| code.contains(*mark));
    left.map(|mark| format!("{path}: {mark} is left")).collect()
}

/// Files longer than the limit or than their number in `known`, and numbers that are out of date.
pub fn too_long<'a>(
    files: impl Iterator<Item = (&'a str, usize)>,
    known: &[(&str, usize)],
) -> Vec<String> {
    let mut complaints = Vec::new();
    for (path, lines) in files {
        let allowed = known.iter().find(|(name, _)| *name == path).map(|(_, lines)| *lines);
        if lines > allowed.unwrap_or(LINES_MAX) {
            complaints.push(format!("{path}: {lines} lines without tests; divide it"));
        } else if allowed.is_some_and(|allowed| lines + 20 < allowed) {
            complaints.push(format!("{path}: down to {lines} lines; lower its number"));
        }
    }
    complaints
}

/// Home folders and package registries are a matter of one machine.
pub fn machine_paths(path: &str, text: &str) -> Vec<String> {
    let marks = ["/home/", "/root/", "/Users/", "C:\\Users", "sparse+http", "registry+http"];
    let mut complaints = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let named = marks.iter().find(|mark| line.contains(*mark));
        complaints.extend(named.map(|mark| format!("{path}:{}: names {mark}", number + 1)));
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forbidden_names_are_found_in_code_only() {
        let words = ["BTreeMap", "std::fs"];
        assert_eq!(names_any("a.rs", "use std::collections::BTreeMap;", &words).len(), 1);
        assert_eq!(names_any("a.rs", "std::fs::read(p)", &words).len(), 1);
        assert_eq!(names_any("a.rs", "// BTreeMap\nMyBTreeMap \"BTreeMap\"", &words), [""; 0]);
        assert_eq!(names_any("a/tests.rs", "BTreeMap", &words), [""; 0]);
    }

    #[test]
    fn a_bare_start_and_a_long_line_are_found() {
        assert_eq!(shape("a.rs", "use x;").len(), 1);
        assert_eq!(shape("a.rs", &format!("//! x\n//{}", "-".repeat(100))).len(), 1);
        assert_eq!(shape("a.rs", "//! x\n"), [""; 0]);
    }

    #[test]
    fn empty_names_are_found() {
        assert_eq!(file_name("omen-provider/src/util.rs").len(), 1);
        assert_eq!(file_name("omen-provider/src/common/page_v2.rs").len(), 2);
        assert_eq!(file_name("omen-provider/src/storage/segment/reader.rs"), [""; 0]);
    }

    #[test]
    fn unfinished_code_is_found() {
        assert_eq!(left_behind("a.rs", "#[ignore = \"slow\"]\nfn f() { todo!() }").len(), 2);
        assert_eq!(left_behind("a.rs", "// todo!()\n\"dbg!(\""), [""; 0]);
    }

    #[test]
    fn the_ratchet_turns_one_way() {
        let known = [("b.rs", 500)];
        assert_eq!(too_long([("a.rs", LINES_MAX + 1)].into_iter(), &known).len(), 1);
        assert_eq!(too_long([("b.rs", 501)].into_iter(), &known).len(), 1);
        assert_eq!(too_long([("b.rs", 420)].into_iter(), &known).len(), 1);
        assert_eq!(too_long([("a.rs", LINES_MAX), ("b.rs", 500)].into_iter(), &known), [""; 0]);
    }

    #[test]
    fn paths_of_a_machine_are_found() {
        assert_eq!(machine_paths("a.md", "x\nsee /home/me/x").len(), 1);
        assert_eq!(machine_paths("a.md", "see \"$HOME/x\""), [""; 0]);
    }
}
