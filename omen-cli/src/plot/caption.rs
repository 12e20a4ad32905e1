//! What is said of a part in words: a verdict, and the figures behind it.

use omen_provider::{IndexSample, PartInspection};

use super::figures::{Figures, WITHIN_WINDOW, percent};
use super::svg::shortened;
use crate::notes::{counted, grouped, rows};

/// Letters of a key in a caption.
const KEY_LETTERS_MAX: usize = 60;

/// What a part is called: its file, or what it is in memory.
pub(super) fn name(part: &PartInspection) -> String {
    part.file.clone().unwrap_or_else(|| format!("{} in memory", part.kind))
}

/// What the figures mean for a lookup, in a sentence or two.
pub(super) fn verdict(sample: &IndexSample, figures: &Figures) -> String {
    let page = if sample.page_rows.is_some() { "reads one page and" } else { "reads no file and" };
    let near = figures.in_window();
    if near >= 0.5 {
        let mostly = if near >= 0.9 { "" } else { "in most cases " };
        let then = if sample.fixed_width {
            "compares 16 keys at once"
        } else {
            "compares a few keys around that place"
        };
        return format!(
            "{} less than {WITHIN_WINDOW} positions from where the index expects them: a lookup \
             {page} {mostly}{then}.",
            keys_lie(near)
        );
    }
    let searched = figures.range_of(0.5).min(sample.page_rows.unwrap_or(u32::MAX)).max(2);
    format!(
        "Half of the keys lie at least {} from where the index expects them, one in a hundred at \
         least {}: a lookup {page} finds its key there in about {}.",
        counted(u64::from(figures.error_of(0.5)), "position"),
        grouped(u64::from(figures.error_of(0.99))),
        counted(u64::from(u32::BITS - (searched - 1).leading_zeros()), "comparison"),
    )
}

/// The beginning of a sentence about a share of the keys.
fn keys_lie(share: f64) -> String {
    let shown = percent(share);
    let mut letters = shown.chars();
    match (share, letters.next()) {
        (1.0.., _) => "All keys lie".to_string(),
        (_, Some(first)) => format!("{}{} of the keys lie", first.to_uppercase(), letters.as_str()),
        (_, None) => shown,
    }
}

/// The figures of a part, a line for each subject.
pub(super) fn lines(part: &PartInspection, sample: &IndexSample, figures: &Figures) -> Vec<String> {
    let deleted = match part.deleted {
        0 => String::new(),
        deleted => format!(", {} of them deleted", grouped(deleted)),
    };
    // What both keys begin with says nothing of either, if it is all that there is room for.
    let shared = part.min_key.chars().zip(part.max_key.chars()).take_while(|(a, b)| a == b).count();
    let key = |text: &str| match sample.fixed_width {
        true => shortened(text, KEY_LETTERS_MAX),
        false if shared + 10 > KEY_LETTERS_MAX => {
            let rest: String = text.chars().skip(shared).collect();
            format!("\"…{}\"", shortened(&rest, KEY_LETTERS_MAX))
        }
        false => format!("\"{}\"", shortened(text, KEY_LETTERS_MAX)),
    };
    let mut lines = vec![format!(
        "{}{deleted}. First key {}; last key {}.",
        rows(part.rows),
        key(&part.min_key),
        key(&part.max_key)
    )];
    if let Some(index) = &part.index {
        lines.push(format!(
            "Index: {}, {}, {}, {} bytes = {:.2} bytes per key. Search range: {:.1} positions on \
             average, {} at most.",
            counted(index.cells as u64, "cell"),
            if index.leaves == 1 {
                "1 leaf".to_string()
            } else {
                format!("{} leaves", grouped(index.leaves as u64))
            },
            counted(index.knots as u64, "knot"),
            grouped(index.bytes as u64),
            index.bytes as f64 / index.keys.max(1) as f64,
            index.range_mean,
            grouped(index.range_max as u64),
        ));
    }
    let page = figures.in_page().map_or_else(String::new, |share| {
        format!(
            ", {} in the very page where it expects them (the first keys of all pages are in \
             memory and lead the others to theirs)",
            percent(share)
        )
    });
    let page_rows = match sample.page_rows {
        Some(rows) => format!("; a page has {} rows", grouped(rows.into())),
        None => String::new(),
    };
    lines.push(format!(
        "{} in the first window of 16 keys around where the index expects them{page}{page_rows}.",
        keys_lie(figures.in_window())
    ));
    lines.push(match sample.is_whole() {
        true => "Every key is counted.".to_string(),
        false => format!(
            "Curves and shares are of a sample: {} of {} keys, evenly spread.",
            grouped(sample.entries.len() as u64),
            grouped(sample.rows.into())
        ),
    });
    lines
}

/// What is said of the parts that are not drawn; nothing if there are none.
pub(super) fn rest(parts: &[PartInspection], drawn: &[usize]) -> Vec<String> {
    let others = || (0..parts.len()).filter(|i| !drawn.contains(i)).map(|i| &parts[i]);
    let (indexed, plain): (Vec<_>, Vec<_>) = others().partition(|part| part.index.is_some());
    let sum = |parts: &[&PartInspection]| rows(parts.iter().map(|part| part.rows).sum());
    let mut lines = Vec::new();
    if !indexed.is_empty() {
        lines.push(format!(
            "Not drawn: {} with an index of their own, {}; none is larger than those above.",
            counted(indexed.len() as u64, "part"),
            sum(&indexed)
        ));
    }
    if !plain.is_empty() {
        lines.push(format!(
            "Without an index of their own: {} in memory, {}. Such rows are few or new; omen \
             compact, or the database when it is closed, writes them to a segment, which has one.",
            counted(plain.len() as u64, "part"),
            sum(&plain)
        ));
    }
    lines
}
