//! Tables for people.

use omen_benches::figure::{Table, median};
use omen_benches::settings::size_name;

use super::rounds::{ABSENCES, Asked, ORDER, Outcome, Way};

const TITLES: [(Asked, Way, &str); 9] = [
    (Asked::Stored, Way::Independent, "one by one, stored keys"),
    (Asked::Stored, Way::Dependent, "one by one, each key known only when the last is found"),
    (Asked::Stored, Way::Batched, "many at once, stored keys (floor: one by one)"),
    (ABSENCES[0], Way::Independent, "one by one, absent keys near stored ones"),
    (ABSENCES[0], Way::Batched, "many at once, absent keys near stored ones"),
    (ABSENCES[1], Way::Independent, "one by one, absent keys anywhere from first to last"),
    (ABSENCES[1], Way::Batched, "many at once, absent keys anywhere from first to last"),
    (ABSENCES[2], Way::Independent, "one by one, keys below or above all"),
    (ABSENCES[2], Way::Batched, "many at once, keys below or above all"),
];

/// Prints everything measured at one size.
pub fn print(size: usize, outcomes: &[Outcome]) {
    let keys = size_name(size);
    for (asked, way, title) in TITLES {
        let names: Vec<&str> = match way {
            Way::Batched => vec!["omen-index", "S+-tree", "floor"],
            _ => ORDER.to_vec(),
        };
        let columns = names.iter().map(|name| name.to_string()).collect();
        let mut table = Table::new(format!("{keys} keys, ns per lookup: {title}"), columns, 1);
        for outcome in outcomes {
            let ns = names.iter().map(|name| ns(outcome, name, asked, way));
            table.row(outcome.workload.name, ns.collect());
        }
        table.print();
    }
    print_bytes(&keys, outcomes);
    print_wrong(outcomes);
    print_noise(outcomes);
}

/// Batches stand beside the floor of single loads, which has no batch of its own.
fn ns(outcome: &Outcome, name: &str, asked: Asked, way: Way) -> f64 {
    match (name, way) {
        ("floor", Way::Batched) => outcome.ns(name, asked, Way::Independent),
        _ => outcome.ns(name, asked, way),
    }
}

/// Bytes that stay allocated, per key.
fn print_bytes(keys: &str, outcomes: &[Outcome]) {
    let names: Vec<&str> = ORDER.into_iter().filter(|name| *name != "floor").collect();
    let columns = names.iter().map(|name| name.to_string()).collect();
    let title = format!(
        "{keys} keys, bytes per key that stay allocated; S+-tree, Eytzinger, BTreeMap and \
         pgm_index hold the keys (8 bytes)"
    );
    let mut table = Table::new(title, columns, 3);
    for outcome in outcomes {
        let per_key = |name: &&str| outcome.bytes_per_key(name);
        table.row(outcome.workload.name, names.iter().map(per_key).collect());
    }
    table.print();
}

/// Whoever gave a wrong answer.
fn print_wrong(outcomes: &[Outcome]) {
    for outcome in outcomes {
        for contender in outcome.contenders.iter().filter(|contender| contender.right < 1.0) {
            println!(
                "{}: {} finds {:.1} % of the stored keys",
                outcome.workload.name,
                contender.name,
                contender.hits * 100.0,
            );
        }
    }
}

/// How quiet the machine was: figures from rounds that differ a lot mean little.
fn print_noise(outcomes: &[Outcome]) {
    let contenders = outcomes.iter().flat_map(|outcome| &outcome.contenders);
    let spreads: Vec<f64> =
        contenders.flat_map(|c| c.spread).filter(|spread| !spread.is_nan()).collect();
    let worst = spreads.iter().copied().fold(0.0, f64::max);
    println!(
        "noise: the quartiles of a contender's rounds are {:.0} % apart, at worst {:.0} %",
        median(&spreads) * 100.0,
        worst * 100.0,
    );
}
