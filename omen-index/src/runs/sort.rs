//! Sorting the entries of a new run: by counting, where keys are spread evenly enough.
//!
//! Called by `key_run`. The span of the keys is cut into equal cells, about as many as there are
//! keys. One pass counts the keys of each cell, one puts every entry into its cell, and what is
//! out of order then is so inside its cell, a step or two from its place. Keys that gather in a few
//! cells are sorted by comparisons instead.

/// Entries above which cells are no longer in the first caches.
const COUNTED_MAX: usize = 1 << 17;

/// A cell of more keys than this is not put in order step by step.
const CELL_KEYS_MAX: u32 = 24;

/// The entries in the order of their keys.
pub(super) fn sorted(keys: &[u64], values: &[u64]) -> (Vec<u64>, Vec<u64>) {
    let len = keys.len();
    debug_assert!(values.len() == len);
    if len <= COUNTED_MAX
        && let Some(sorted) = sorted_by_counting(keys, values)
    {
        return sorted;
    }
    let mut entries: Vec<(u64, u64)> = keys.iter().copied().zip(values.iter().copied()).collect();
    entries.sort_unstable_by_key(|entry| entry.0);
    entries.into_iter().unzip()
}

/// `None` if too many keys are in one cell.
fn sorted_by_counting(keys: &[u64], values: &[u64]) -> Option<(Vec<u64>, Vec<u64>)> {
    let min = keys.iter().copied().min()?;
    let max = keys.iter().copied().max()?;
    // From the span of the keys to a number of cells between once and twice that of the keys.
    let cells = keys.len().next_power_of_two();
    let shift = (u64::BITS - (max - min).leading_zeros()).saturating_sub(cells.ilog2() + 1);
    let cell = |key: u64| ((key - min) >> shift) as usize;

    let mut ends = vec![0u32; 2 * cells];
    for &key in keys {
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
    let mut sorted = (vec![0; keys.len()], vec![0; keys.len()]);
    for (&key, &value) in keys.iter().zip(values) {
        let end = &mut ends[cell(key)];
        *end -= 1;
        sorted.0[*end as usize] = key;
        sorted.1[*end as usize] = value;
    }
    order_neighbours(&mut sorted.0, &mut sorted.1);
    Some(sorted)
}

/// Sorts by insertion, which is quick where nothing is far from its place.
fn order_neighbours(keys: &mut [u64], values: &mut [u64]) {
    let values = &mut values[..keys.len()];
    for i in 1..keys.len() {
        let (key, value) = (keys[i], values[i]);
        let mut at = i;
        while at > 0 && keys[at - 1] > key {
            (keys[at], values[at]) = (keys[at - 1], values[at - 1]);
            at -= 1;
        }
        (keys[at], values[at]) = (key, value);
    }
}
