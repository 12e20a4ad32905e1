//! Rust source as text: without its comments, string contents and tests.
//!
//! Simpler than a parser because the sources are formatted by rustfmt: a test module begins with
//! `#[cfg(test)]` at the start of a line and ends with `}` at the start of a line.

/// The source without comments and with empty strings; line breaks stay.
pub fn code_only(source: &str) -> String {
    let bytes: Vec<char> = source.chars().collect();
    let (mut code, mut i) = (String::with_capacity(source.len()), 0);
    while i < bytes.len() {
        let rest = &bytes[i..];
        i += match rest {
            ['/', '/', ..] => rest.iter().position(|&c| c == '\n').unwrap_or(rest.len()),
            ['/', '*', ..] => block_comment(rest, &mut code),
            ['r', '"' | '#', ..] if !ends_in_word(&code) => raw_string(rest, &mut code),
            ['"', ..] => string(rest, &mut code),
            ['\'', '\\', ..] => {
                2 + rest[2..].iter().skip(1).position(|&c| c == '\'').unwrap_or(0) + 2
            }
            ['\'', _, '\'', ..] => 3,
            _ => {
                code.push(rest[0]);
                1
            }
        };
    }
    code
}

fn ends_in_word(code: &str) -> bool {
    code.chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_')
}

fn block_comment(rest: &[char], code: &mut String) -> usize {
    let end = rest.windows(2).position(|w| w == ['*', '/']).map_or(rest.len(), |p| p + 2);
    code.extend(rest[..end].iter().filter(|&&c| c == '\n'));
    end
}

fn string(rest: &[char], code: &mut String) -> usize {
    let mut i = 1;
    while i < rest.len() && rest[i] != '"' {
        if rest[i] == '\n' {
            code.push('\n');
        }
        i += if rest[i] == '\\' { 2 } else { 1 };
    }
    code.push_str("\"\"");
    i + 1
}

fn raw_string(rest: &[char], code: &mut String) -> usize {
    let hashes = rest[1..].iter().take_while(|&&c| c == '#').count();
    if rest.get(1 + hashes) != Some(&'"') {
        code.push('r');
        return 1; // a raw identifier
    }
    let closing: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let body = &rest[2 + hashes..];
    let end = body.windows(closing.len()).position(|w| w == closing).unwrap_or(body.len());
    code.extend(body[..end].iter().filter(|&&c| c == '\n'));
    code.push_str("\"\"");
    (2 + hashes + end + closing.len()).min(rest.len())
}

/// The source without its items under `#[cfg(test)]`.
pub fn without_tests(source: &str) -> String {
    let (mut kept, mut in_test) = (String::new(), false);
    for line in source.lines() {
        if line.starts_with("#[cfg(test)]") || line.starts_with("#[cfg(all(test") {
            in_test = true;
        } else if in_test {
            // The item ends at its closing brace, or at once: `mod tests;`.
            let one_line = !line.starts_with([' ', '#']) && line.ends_with([';', '}']);
            in_test = !(line.starts_with('}') || one_line);
        } else {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// Whether the whole file is tests.
pub fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/") || path.starts_with("tests/")
}

/// Lines outside tests.
pub fn product_lines(source: &str) -> usize {
    without_tests(source).lines().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_strings_are_removed_and_code_stays() {
        let source = "a // x\n/* y */ b \"c \\\" d\" r#\"e\"# 'f' '\\'' 'g r#h for";
        assert_eq!(code_only(source), "a \n b \"\" \"\"   'g r#h for");
    }

    #[test]
    fn test_items_are_removed_and_the_rest_stays() {
        let source = "a\n#[cfg(test)]\nmod tests;\nb\n#[cfg(test)]\nmod tests {\n    c\n}\nd\n";
        assert_eq!(without_tests(source), "a\nb\nd\n");
        assert_eq!(product_lines(source), 3);
    }
}
