//! What a run measures, chosen through the environment so that a quick run exists.
//!
//! `KEYS=1M,100M` sizes; `WORKLOADS=random,steps` a choice of workloads; `ROUNDS=7` rounds whose
//! median counts; `PROBES=100000` lookups in one round. A setting that cannot be read ends the
//! run with a message: a typing error must not measure something else.

use std::process::exit;

/// The sizes in `KEYS`, such as `1M,10M,250000`.
pub fn sizes(name: &str, default: &str) -> Vec<usize> {
    let list = std::env::var(name).unwrap_or_else(|_| default.to_string());
    list.split(',').map(|size| size_of(size).unwrap_or_else(|| refuse(name, size))).collect()
}

/// A number from the environment, such as `ROUNDS`.
pub fn count(name: &str, default: usize) -> usize {
    let Ok(text) = std::env::var(name) else { return default };
    match size_of(&text) {
        Some(count) if count > 0 => count,
        _ => refuse(name, &text),
    }
}

/// Whether a switch such as `HUGE_PAGES` is on: `1`/`on` or `0`/`off`.
pub fn is_on(name: &str, default: bool) -> bool {
    match std::env::var(name).as_deref() {
        Err(_) => default,
        Ok("1" | "on") => true,
        Ok("0" | "off") => false,
        Ok(text) => refuse(name, text),
    }
}

/// The words of a list such as `WORKLOADS`; `None` if all are meant.
pub fn chosen(name: &str, known: &[&str]) -> Option<Vec<String>> {
    let list = std::env::var(name).ok()?;
    let words: Vec<String> = list.split(',').map(|word| word.trim().to_string()).collect();
    if let Some(unknown) = words.iter().find(|word| !known.contains(&word.as_str())) {
        eprintln!("{name} knows {}", known.join(", "));
        refuse(name, unknown);
    }
    Some(words)
}

/// `1M` is how people and figures name a million: used in headings and names of figures.
pub fn size_name(size: usize) -> String {
    match size {
        s if s >= 1_000_000 && s.is_multiple_of(1_000_000) => format!("{}M", s / 1_000_000),
        s if s >= 1_000 && s.is_multiple_of(1_000) => format!("{}k", s / 1_000),
        s => s.to_string(),
    }
}

fn size_of(text: &str) -> Option<usize> {
    let text = text.trim().to_ascii_lowercase();
    let (digits, unit) = match text.strip_suffix('m') {
        Some(digits) => (digits, 1_000_000),
        None => text.strip_suffix('k').map_or((text.as_str(), 1), |digits| (digits, 1_000)),
    };
    digits.parse::<usize>().ok()?.checked_mul(unit)
}

fn refuse(name: &str, text: &str) -> ! {
    eprintln!("{name}={text} is not understood");
    exit(2)
}
