//! What is told to the person at standard error: notes, errors, and numbers fit for reading.

use std::io::Write;
use std::time::Duration;

use crate::failure::Failure;

/// Writes a line to standard error; what it quotes does not steer the terminal. A closed standard
/// error is nobody's problem.
pub(crate) fn note(message: impl AsRef<str>) {
    let _ = writeln!(std::io::stderr(), "{}", visible(message.as_ref().to_string()));
}

/// Text that cannot steer the terminal: control characters other than line breaks and tabs are
/// shown by their code.
pub(crate) fn visible(text: String) -> String {
    if !text.chars().any(|c| c.is_control() && c != '\n') {
        return text;
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => shown.push('\n'),
            '\t' => shown.push_str("    "),
            '\r' => shown.push_str("\\r"),
            c if c.is_control() => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    shown
}

/// Reports a failure that deserves words.
pub(crate) fn report(failure: &Failure) {
    match failure {
        Failure::Error(message) | Failure::Usage(message) => note(format!("error: {message}")),
        Failure::Interrupted => note("interrupted"),
        Failure::ClosedPipe => {}
    }
}

/// `1234567` as `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `n rows`, or `1 row`.
pub(crate) fn rows(count: u64) -> String {
    counted(count, "row")
}

/// A number of things whose plural takes an s.
pub(crate) fn counted(count: u64, thing: &str) -> String {
    format!("{} {thing}{}", grouped(count), if count == 1 { "" } else { "s" })
}

/// A time in the unit that reads best.
pub(crate) fn time(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 0.001 {
        format!("{:.0} µs", seconds * 1e6)
    } else if seconds < 1.0 {
        format!("{:.1} ms", seconds * 1e3)
    } else {
        format!("{seconds:.2} s")
    }
}

/// Bytes in the unit that reads best.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1024 {
        return format!("{count} bytes");
    }
    let mut value = count as f64 / 1024.0;
    let mut unit = UNITS[0];
    for larger in &UNITS[1..] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    format!("{value:.1} {unit}")
}

/// `count` events over `duration`, a second.
pub(crate) fn rate(count: u64, duration: Duration) -> u64 {
    (count as f64 / duration.as_secs_f64().max(1e-6)) as u64
}

/// The candidate most like `word`, if any is alike.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (edits(word, candidate), candidate))
        .filter(|(edits, candidate)| *edits <= 1 + candidate.len().min(word.len()) / 3)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// Letters to insert, delete or replace to turn one word into the other, case aside.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.to_lowercase().chars().collect();
    let mut costs: Vec<usize> = (0..=to.len()).collect();
    for (row, letter) in from.to_lowercase().chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut costs[0], row + 1);
        for (column, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = costs[column + 1];
            costs[column + 1] = replaced.min(costs[column] + 1).min(diagonal + 1);
        }
    }
    costs[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(["0", "999", "1,000", "1,234,567"], [0, 999, 1000, 1_234_567].map(grouped)[..]);
        assert_eq!(rows(1), "1 row");
        assert_eq!(bytes(1023), "1023 bytes");
        assert_eq!(bytes(3 << 20), "3.0 MiB");
        assert_eq!(bytes(u64::MAX), "16777216.0 TiB");
        assert_eq!(time(Duration::from_micros(1500)), "1.5 ms");
    }

    #[test]
    fn nearest_word_is_found_and_strangers_are_not() {
        assert_eq!(nearest(".tabels", [".schema", ".tables"]), Some(".tables"));
        assert_eq!(nearest("orgin", ["time_hour", "origin"]), Some("origin"));
        assert_eq!(nearest(".banana", [".schema", ".tables"]), None);
        assert_eq!(edits("kitten", "sitting"), 3);
    }
}
