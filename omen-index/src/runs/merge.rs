//! Two sorted lists of entries become one.
//!
//! Called by `key_run`, which merges many runs by merging two at a time.

/// Sorted keys, and the value of each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entries<'a> {
    pub(super) keys: &'a [u64],
    pub(super) values: &'a [u64],
}

impl Entries<'_> {
    /// How many.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }
}

/// The entries of both lists, in order.
pub(super) fn merge(a: Entries<'_>, b: Entries<'_>) -> (Vec<u64>, Vec<u64>) {
    let len = a.len() + b.len();
    let (mut i, mut j) = (0, 0);
    let mut merged = (Vec::with_capacity(len), Vec::with_capacity(len));
    loop {
        // So many steps cannot lead beyond the end of either list; an iterator that knows its
        // length has the lists grow without a look at their capacity.
        let steps = (a.len() - i).min(b.len() - j);
        if steps == 0 {
            break;
        }
        merged.extend((0..steps).map(|_| {
            // Which list is next is a coin toss: chosen by arithmetic, since a branch would be
            // mispredicted half of the time.
            let (x, y) = (a.keys[i], b.keys[j]);
            let first = u64::from(x < y);
            let choice = first.wrapping_neg();
            let value = (a.values[i] & choice) | (b.values[j] & !choice);
            i += first as usize;
            j += 1 - first as usize;
            (x.min(y), value)
        }));
    }
    for (list, from) in [(a, i), (b, j)] {
        merged.0.extend_from_slice(&list.keys[from..]);
        merged.1.extend_from_slice(&list.values[from..]);
    }
    merged
}
