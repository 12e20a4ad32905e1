//! Sorted lists of numbers with their values become one.
//!
//! Called by `numbers`. Lists are merged two at a time, but not from end to end: a *stretch* of the
//! keys at a time goes through all of these merges while it is in the caches, and memory that was
//! never used before is taken for the result alone.

use std::cmp::Reverse;
use std::hint::select_unpredictable;
use std::ops::Range;

/// Keys of the longest list in one stretch.
const STRETCH: usize = 1024;

/// Sorted keys and the value of each, owned.
pub(super) type Lists = (Vec<u64>, Vec<u64>);

/// Sorted keys, and the value of each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entries<'a> {
    pub(super) keys: &'a [u64],
    pub(super) values: &'a [u64],
}

impl<'a> Entries<'a> {
    /// Each key with its value.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, u64)> + use<'a> {
        self.keys.iter().copied().zip(self.values.iter().copied())
    }

    fn part(self, range: Range<usize>) -> Entries<'a> {
        Entries { keys: &self.keys[range.clone()], values: &self.values[range] }
    }

    /// Takes away the entries before `bound`, or all.
    fn split_before(&mut self, bound: Option<u64>) -> Entries<'a> {
        let end = match bound {
            Some(bound) => self.keys.partition_point(|&key| key < bound),
            None => self.keys.len(),
        };
        let (keys, rest_keys) = self.keys.split_at(end);
        let (values, rest_values) = self.values.split_at(end);
        *self = Entries { keys: rest_keys, values: rest_values };
        Entries { keys, values }
    }
}

/// The entries of all lists, in order.
pub(super) fn merge(mut lists: Vec<Entries<'_>>) -> Lists {
    let len = lists.iter().map(|list| list.keys.len()).sum();
    let mut merged = (Vec::with_capacity(len), Vec::with_capacity(len));
    // The shortest last: merged first, so that each entry is moved as few times as can be.
    lists.sort_by_key(|list| Reverse(list.keys.len()));
    let longest = lists.first().map_or(&[][..], |list| list.keys);
    let bounds = longest.iter().copied().step_by(STRETCH).skip(1).map(Some);
    let mut scratch = Vec::new();
    for bound in bounds.chain([None]) {
        let stretch = lists.iter_mut().map(|list| Source::Given(list.split_before(bound)));
        merge_stretch(stretch.collect(), &mut scratch, &mut merged);
    }
    merged
}

/// Entries on their way into a run.
enum Source<'a> {
    Given(Entries<'a>),
    Merged(Lists),
}

impl Source<'_> {
    fn entries(&self) -> Entries<'_> {
        match self {
            Source::Given(entries) => *entries,
            Source::Merged((keys, values)) => Entries { keys, values },
        }
    }

    /// The memory of entries that were merged, empty.
    fn into_memory(self) -> Option<Lists> {
        match self {
            Source::Given(_) => None,
            Source::Merged((mut keys, mut values)) => {
                keys.clear();
                values.clear();
                Some((keys, values))
            }
        }
    }
}

/// Appends the entries of all sources, using the memory in `scratch` on the way.
fn merge_stretch(mut sources: Vec<Source<'_>>, scratch: &mut Vec<Lists>, merged: &mut Lists) {
    while sources.len() > 2 {
        let (Some(a), Some(b)) = (sources.pop(), sources.pop()) else { break };
        let mut lists = scratch.pop().unwrap_or_default();
        append_two(a.entries(), b.entries(), &mut lists);
        let at = sources.partition_point(|source| source.entries().keys.len() > lists.0.len());
        sources.insert(at, Source::Merged(lists));
        scratch.extend([a, b].into_iter().filter_map(Source::into_memory));
    }
    let nothing = Entries { keys: &[], values: &[] };
    let entries = |i: usize| sources.get(i).map_or(nothing, Source::entries);
    append_two(entries(0), entries(1), merged);
    scratch.extend(sources.into_iter().filter_map(Source::into_memory));
}

/// Appends the entries of both lists, in order.
///
/// Half of them are found from the front and half from the back, in one loop: where the next one
/// comes from is known only after a comparison, and the processor waits for two of them at once.
fn append_two(a: Entries<'_>, b: Entries<'_>, merged: &mut Lists) {
    let len = a.keys.len() + b.keys.len();
    let start = merged.0.len();
    merged.0.resize(start + len, 0);
    merged.1.resize(start + len, 0);
    let (to_keys, to_values) = (&mut merged.0[start..], &mut merged.1[start..]);
    let (keys, back_keys) = to_keys.split_at_mut(len / 2);
    let (values, back_values) = to_values.split_at_mut(len / 2);
    // What is left of both lists, ends included; below zero is above all lengths.
    let (mut a_first, mut a_last) = (0, a.keys.len().wrapping_sub(1));
    let (mut b_first, mut b_last) = (0, b.keys.len().wrapping_sub(1));
    let front = keys.iter_mut().zip(values);
    let back = back_keys.iter_mut().zip(back_values).rev();
    let mut done = 0;
    for ((key, value), (back_key, back_value)) in front.zip(back) {
        let (Some(&x), Some(&y)) = (a.keys.get(a_first), b.keys.get(b_first)) else { break };
        let (Some(&u), Some(&w)) = (a.keys.get(a_last), b.keys.get(b_last)) else { break };
        // Which list is next is a coin toss: chosen by arithmetic, since a branch would be
        // mispredicted half of the time.
        let is_a = x < y;
        *key = x.min(y);
        *value = select_unpredictable(is_a, a.values[a_first], b.values[b_first]);
        a_first += usize::from(is_a);
        b_first += usize::from(!is_a);
        let is_a = u >= w;
        *back_key = u.max(w);
        *back_value = select_unpredictable(is_a, a.values[a_last], b.values[b_last]);
        a_last = a_last.wrapping_sub(usize::from(is_a));
        b_last = b_last.wrapping_sub(usize::from(!is_a));
        done += 1;
    }
    // One list is left, or one entry.
    let mut to = done;
    for rest in [a.part(a_first..a_last.wrapping_add(1)), b.part(b_first..b_last.wrapping_add(1))] {
        let end = to + rest.keys.len();
        to_keys[to..end].copy_from_slice(rest.keys);
        to_values[to..end].copy_from_slice(rest.values);
        to = end;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Sorted keys from a small range, so that lists may share keys, or from all numbers.
    fn keys() -> impl Strategy<Value = Vec<u64>> {
        let key = prop_oneof![Just(0), Just(u64::MAX), 1_000u64..9_000, any::<u64>(),];
        let shift = prop_oneof![Just(0u64), Just(20_000), Just(u64::MAX - 9_000)];
        let keys = (prop::collection::vec(key, 0..3_000), shift).prop_map(|(mut keys, shift)| {
            keys.iter_mut().for_each(|key| *key = key.saturating_add(shift));
            keys
        });
        keys.prop_map(|mut keys| {
            keys.sort_unstable();
            keys.dedup();
            keys
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn nothing_is_lost_or_out_of_order(lists in prop::collection::vec(keys(), 0..9)) {
            // Values tell the lists apart: a key may be in several.
            let values: Vec<Vec<u64>> = lists
                .iter()
                .zip(0..)
                .map(|(keys, list)| keys.iter().map(|key| key.wrapping_mul(16) + list).collect())
                .collect();
            let entries: Vec<Entries> =
                lists.iter().zip(&values).map(|(keys, values)| Entries { keys, values }).collect();
            let mut expected: Vec<(u64, u64)> = entries.iter().flat_map(Entries::iter).collect();
            let (keys, values) = merge(entries);
            prop_assert!(keys.is_sorted());
            let mut merged: Vec<(u64, u64)> = keys.into_iter().zip(values).collect();
            merged.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(merged, expected);
        }
    }
}
