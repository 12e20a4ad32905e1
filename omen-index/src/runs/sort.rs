//! Sorting the entries of a new run: by counting, where keys are spread evenly enough.
//!
//! Called by `numbers`. The span of the keys is cut into equal cells, about as many as there are
//! keys. One pass counts the keys of each cell, one puts every entry into its cell, and what is
//! out of order then is so inside its cell, a step or two from its place. Keys that gather in a few
//! cells are sorted by comparisons instead.

use super::merge::{Entries, Lists};

/// Entries above which cells are no longer in the first caches.
const COUNTED_MAX: usize = 1 << 17;

/// A cell of more keys than this is not put in order step by step.
const CELL_KEYS_MAX: u32 = 24;

/// The entries of all lists, at least one, in the order of their keys.
pub(super) fn sort(lists: &[Entries<'_>]) -> Lists {
    let len: usize = lists.iter().map(|list| list.keys.len()).sum();
    if len <= COUNTED_MAX
        && let Some(sorted) = sort_by_counting(lists, len)
    {
        return sorted;
    }
    let mut entries: Vec<(u64, u64)> = lists.iter().flat_map(Entries::iter).collect();
    entries.sort_unstable_by_key(|entry| entry.0);
    entries.into_iter().unzip()
}

/// As [`sort`]; `None` if too many keys are in one cell.
fn sort_by_counting(lists: &[Entries<'_>], len: usize) -> Option<Lists> {
    let min = lists.iter().filter_map(|list| list.keys.iter().copied().min()).min()?;
    let max = lists.iter().filter_map(|list| list.keys.iter().copied().max()).max()?;
    // Between once and twice as many cells as a power of two that is no less than the length.
    let cells_log = len.next_power_of_two().ilog2() + 1;
    let shift = (u64::BITS - (max - min).leading_zeros()).saturating_sub(cells_log);
    let cell = |key: u64| ((key - min) >> shift) as usize;

    let mut ends = vec![0u32; 1 << cells_log];
    for &key in lists.iter().flat_map(|list| list.keys) {
        ends[cell(key)] += 1;
    }
    let (mut sum, mut most) = (0, 0);
    for end in &mut ends {
        most = most.max(*end);
        sum += *end;
        *end = sum;
    }
    if most > CELL_KEYS_MAX {
        return None;
    }
    let mut entries = vec![(0, 0); len];
    for entry in lists.iter().flat_map(Entries::iter) {
        let end = &mut ends[cell(entry.0)];
        *end -= 1;
        entries[*end as usize] = entry;
    }
    order_neighbours(&mut entries);
    Some(entries.into_iter().unzip())
}

/// Sorts by insertion, which is quick where nothing is far from its place.
fn order_neighbours(entries: &mut [(u64, u64)]) {
    for i in 1..entries.len() {
        let entry = entries[i];
        let mut at = i;
        while at > 0 && entries[at - 1].0 > entry.0 {
            entries[at] = entries[at - 1];
            at -= 1;
        }
        entries[at] = entry;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sorts the keys in lists of at most `len`, each with itself turned around as its value.
    fn check(keys: Vec<u64>, len: usize) {
        let values: Vec<u64> = keys.iter().map(|key| key.reverse_bits()).collect();
        let lists = keys.chunks(len).zip(values.chunks(len));
        let lists: Vec<Entries> = lists.map(|(keys, values)| Entries { keys, values }).collect();
        let (sorted, values) = sort(&lists);
        let mut expected = keys;
        expected.sort_unstable();
        assert_eq!(sorted, expected);
        assert!(sorted.iter().zip(values).all(|(key, value)| key.reverse_bits() == value));
    }

    #[test]
    fn keys_of_any_distribution_come_out_in_order() {
        for count in [1, 2, 3, 65, 1_000, 4_097, COUNTED_MAX as u64 + 1] {
            let scattered = (1..=count).map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            check(scattered.clone().collect(), 4_096);
            check(scattered.clone().chain([0, u64::MAX]).collect(), 1_000);
            check((0..count).rev().collect(), 77);
            check((0..count).map(|i| u64::MAX - i * i).collect(), 4_096);
            // As many as one cell may have, which turns them round.
            let gathered = 0..u64::from(CELL_KEYS_MAX);
            check(scattered.clone().map(|key| key | 1 << 50).chain(gathered).collect(), 4_096);
            // One far from all others, which share a cell; and all the same.
            check(scattered.map(|key| key >> 30).chain([u64::MAX]).collect(), 4_096);
            check(vec![count; count as usize], 4_096);
        }
    }

    #[test]
    fn keys_that_gather_are_not_counted() {
        let spread: Vec<u64> = (0..1_000).map(|i| i * 1_000).collect();
        let gathered: Vec<u64> = (0..1_000).chain([u64::MAX]).collect();
        let is_counted = |keys: &[u64]| {
            sort_by_counting(&[Entries { keys, values: keys }], keys.len()).is_some()
        };
        assert!(is_counted(&spread) && !is_counted(&gathered));
    }
}
