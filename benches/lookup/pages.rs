//! Keys in pages of plain little-endian bytes, beside the same keys in one slice.

use omen_benches::Random;
use omen_benches::figure::Table;
use omen_benches::settings::size_name;
use omen_benches::turns::{Contender, Turns};
use omen_benches::workload::{MISS, Pages, Workload};
use omen_index::{PagedKeys, Rmi};

use super::sheet::{Row, Sheet};

/// One by one, then many at once.
const COLUMNS: [&str; 6] =
    ["slice", "pages", "unaligned pages", "slice, batch", "pages, batch", "unaligned pages, batch"];

/// Nanoseconds per lookup on one workload, in the order of the columns.
pub struct Paged {
    workload: Workload,
    ns: Vec<f64>,
}

impl Row for Paged {
    fn is_smooth(&self) -> bool {
        self.workload.is_smooth
    }
}

/// Measures lookups of stored keys.
pub fn measure(workload: Workload, keys: &[u64], index: &Rmi, turns: &Turns) -> Paged {
    let (aligned, unaligned) = (Pages::aligned(keys), Pages::behind_headers(keys));
    let (aligned, unaligned) = (aligned.pages(), unaligned.pages());
    let (aligned, unaligned) = (PagedKeys::new(&aligned), PagedKeys::new(&unaligned));
    let contenders = [
        Contender::each(COLUMNS[0], |&key: &u64| index.lower_bound(keys, key)),
        Contender::each(COLUMNS[1], |&key: &u64| index.lower_bound_paged(aligned, key)),
        Contender::each(COLUMNS[2], |&key: &u64| index.lower_bound_paged(unaligned, key)),
        Contender::many(COLUMNS[3], |probes: &[u64], positions: &mut [usize]| {
            index.lower_bound_batch(keys, probes, positions);
        }),
        Contender::many(COLUMNS[4], |probes: &[u64], positions: &mut [usize]| {
            index.lower_bound_paged_batch(aligned, probes, positions);
        }),
        Contender::many(COLUMNS[5], |probes: &[u64], positions: &mut [usize]| {
            index.lower_bound_paged_batch(unaligned, probes, positions);
        }),
    ];
    let mut random = Random::new(15);
    let ns = turns.ns(&contenders, &MISS, || {
        let position = random.below(keys.len() as u64) as usize;
        (keys[position], position)
    });
    Paged { workload, ns }
}

/// Prints the table and the figures of one size: how many times longer a lookup in pages takes
/// than one in a slice.
pub fn print(size: usize, rows: &[Paged]) {
    if rows.is_empty() {
        return;
    }
    let title = format!("{} keys, ns per lookup: keys in pages of 1,024", size_name(size));
    let mut table = Table::new(title, COLUMNS.map(str::to_string).to_vec(), 1);
    rows.iter().for_each(|row| table.row(row.workload.name, row.ns.clone()));
    table.print();
    println!();
    let sheet = Sheet::new(size, "_paged_x", rows);
    sheet.measured_most("single", |row| row.ns[1] / row.ns[0]);
    sheet.measured_most("single_unaligned", |row| row.ns[2] / row.ns[0]);
    sheet.measured_most("batched", |row| row.ns[4] / row.ns[3]);
    sheet.measured_most("batched_unaligned", |row| row.ns[5] / row.ns[3]);
}
