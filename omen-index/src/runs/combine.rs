//! Entries of several parts become one list, without those that are dead.
//!
//! Called by `map` and `merging`. Parts that lie one behind the other, as those of a tail do, are
//! put so first; only what is left is merged, key by key.

use super::keys::{KeyList, Part, Sorted};

/// One list of all parts, each of which ascends.
pub(super) fn combine<L: KeyList>(mut parts: Vec<Part<'_, L>>) -> Sorted<L> {
    parts.retain(|part| part.len() > 0);
    parts.sort_by(|a, b| L::order(a.min(), b.min()));
    let mut chains: Vec<Vec<Part<L>>> = Vec::new();
    for part in parts {
        let is_behind = |chain: &&mut Vec<Part<L>>| {
            chain.last().is_some_and(|last| L::order(last.max(), part.min()).is_lt())
        };
        match chains.iter_mut().find(is_behind) {
            Some(chain) => chain.push(part),
            None => chains.push(vec![part]),
        }
    }
    let joined: Vec<Option<Sorted<L>>> =
        chains.iter().map(|chain| (chain.len() > 1).then(|| join(chain))).collect();
    if let [Some(_)] = joined[..] {
        return joined.into_iter().flatten().next().unwrap_or_default();
    }
    let parts = chains.iter().zip(&joined).filter_map(|(chain, joined)| match joined {
        Some((keys, values)) => Some(Part::all(keys, values)),
        None => chain.first().cloned(),
    });
    L::merge(parts.collect())
}

/// One list of parts, each above the one before.
pub(super) fn join<L: KeyList>(parts: &[Part<'_, L>]) -> Sorted<L> {
    let (mut keys, mut values) = (L::default(), Vec::new());
    keys.reserve_for(parts);
    values.reserve_exact(parts.iter().map(Part::len).sum());
    for part in parts {
        keys.append(part.keys, part.range.clone());
        values.extend_from_slice(&part.values[part.range.clone()]);
    }
    (keys, values)
}

/// The entries that are live, in the same order.
pub(super) fn keep_live<L: KeyList>(
    (keys, values): Sorted<L>,
    is_live: &impl Fn(u64) -> bool,
) -> Sorted<L> {
    // Mostly there is no other.
    let Some(first) = values.iter().position(|&value| !is_live(value)) else {
        return (keys, values);
    };
    let (mut live_keys, mut live_values) = (L::default(), values[..first].to_vec());
    live_keys.append(&keys, 0..first);
    for (position, &value) in values.iter().enumerate().skip(first + 1) {
        if is_live(value) {
            live_keys.push(keys.key(position));
            live_values.push(value);
        }
    }
    // What grew step by step has room to spare, and may stay for long.
    live_keys.shrink();
    live_values.shrink_to_fit();
    (live_keys, live_values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn combined(lists: &[Vec<u64>]) -> Sorted<Vec<u64>> {
        combine(lists.iter().map(|keys| Part::all(keys, keys)).collect())
    }

    #[test]
    fn parts_come_out_in_order_whether_they_share_a_stretch_or_not() {
        assert_eq!(combined(&[]), Sorted::default());
        assert_eq!(combined(&[vec![], vec![4], vec![]]).0, [4]);
        assert_eq!(combined(&[vec![7, 9], vec![1, 3], vec![4, 5]]).0, [1, 3, 4, 5, 7, 9]);
        // Two chains of parts, and one that lies across both; and keys that occur twice.
        let lists = [vec![10, 12], vec![1, 3], vec![2, 11], vec![4, 9], vec![13], vec![3, 13]];
        let (keys, values) = combined(&lists);
        assert_eq!(keys, [1, 2, 3, 3, 4, 9, 10, 11, 12, 13, 13]);
        assert_eq!(keys, values);
        let part = Part { range: 1..3, ..Part::all(&keys, &values) };
        assert_eq!(combine(vec![part]).0, [2, 3]);
    }

    #[test]
    fn the_dead_are_left_out_wherever_they_are() {
        let all: Vec<u64> = (0..10).collect();
        for dead in 0..1u64 << 10 {
            let is_live = |value: u64| dead >> value & 1 == 0;
            let (keys, values) = keep_live((all.clone(), all.clone()), &is_live);
            assert!(keys.iter().copied().eq((0..10).filter(|&value| is_live(value))));
            assert_eq!(keys, values);
        }
    }
}
