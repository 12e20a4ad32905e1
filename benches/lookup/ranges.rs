//! Key ranges: many at once, and as pairs of single lookups.

use std::ops::Range;

use omen_benches::Random;
use omen_benches::figure::Table;
use omen_benches::settings::size_name;
use omen_benches::turns::{Contender, Turns};
use omen_benches::workload::{Workload, draw_range};
use omen_index::Rmi;

use super::sheet::{Row, Sheet};

const COLUMNS: [&str; 3] = ["range_batch", "pairs", "partition_point"];

/// Nanoseconds per key range on one workload, in the order of the columns.
pub struct Ranges {
    workload: Workload,
    ns: Vec<f64>,
}

impl Row for Ranges {
    fn is_smooth(&self) -> bool {
        self.workload.is_smooth
    }
}

/// Measures the ways to look up key ranges.
pub fn measure(workload: Workload, keys: &[u64], index: &Rmi, turns: &Turns) -> Ranges {
    let mut random = Random::new(14);
    let contenders = [
        Contender::many(COLUMNS[0], |bounds: &[Range<u64>], ranges: &mut [Range<usize>]| {
            index.range_batch(keys, bounds, ranges);
        }),
        Contender::each(COLUMNS[1], |bounds: &Range<u64>| {
            index.lower_bound(keys, bounds.start)..index.lower_bound(keys, bounds.end)
        }),
        Contender::each(COLUMNS[2], |bounds: &Range<u64>| {
            let bound = |wanted: u64| keys.partition_point(|&key| key < wanted);
            bound(bounds.start)..bound(bounds.end)
        }),
    ];
    let no_answer = usize::MAX..usize::MAX;
    let ns = turns.ns(&contenders, &no_answer, || draw_range(keys, &mut random));
    Ranges { workload, ns }
}

/// Prints the table and the figures of one size.
pub fn print(size: usize, rows: &[Ranges]) {
    if rows.is_empty() {
        return;
    }
    let title = format!("{} keys, ns per key range: where it begins and ends", size_name(size));
    let mut table = Table::new(title, COLUMNS.map(str::to_string).to_vec(), 1);
    rows.iter().for_each(|row| table.row(row.workload.name, row.ns.clone()));
    table.print();
    println!();
    let sheet = Sheet::new(size, "_range_batch", rows);
    sheet.measured_least("vs_pairs", |row| row.ns[1] / row.ns[0]);
    let vs_binary_search = |row: &Ranges| row.ns[2] / row.ns[0];
    sheet.measured("vs_binary_search_smooth", sheet.least(true, vs_binary_search));
    sheet.at_least("vs_binary_search_any", sheet.least(false, vs_binary_search), 1.0);
}
