//! Finding keys in the parts of a map, one by one, many at once, and all between two of them.
//!
//! Called by `map`. Of the entries of a key at most one is live, so whatever is found live is the
//! answer. What is found dead settles nothing: an inbox in order is emptied before older ones that
//! are not, so a part may be newer than those that are asked before it.

use std::sync::Arc;

use super::Tail;
use super::combine::combine;
use super::inbox::Inbox;
use super::key_run::KeyRun;
use super::keys::{KeyList, Part, Sorted};
use super::map::{RunMap, TailRun};

/// Lookups that go through the runs together.
pub(super) const GROUP: usize = 128;

impl<L: KeyList> RunMap<L> {
    /// The value of `key`. If the key was added again after its value died, the answer may be a
    /// dead value: [`RunMap::find`] is to be asked then.
    pub fn get(&self, key: L::Key<'_>) -> Option<u64> {
        self.find(key, |_| true)
    }

    /// The live value of `key`.
    #[inline]
    pub fn find(&self, key: L::Key<'_>, is_live: impl Fn(u64) -> bool) -> Option<u64> {
        let hash = L::hash(key);
        self.find_in_inboxes(key, hash, &is_live)
            .or_else(|| self.find_in_tails(key, &is_live))
            .or_else(|| self.find_in_runs(key, hash, &is_live))
    }

    /// Sets `values[i]` to what [`RunMap::get`] says of `keys[i]`, for all `i`; the keys may be in
    /// any order.
    ///
    /// # Panics
    /// If `keys` and `values` differ in length.
    pub fn get_many(&self, keys: &[L::Key<'_>], values: &mut [Option<u64>]) {
        self.find_many(keys, |_| true, values);
    }

    /// Sets `values[i]` to the live value of `keys[i]`, for all `i`; the keys may be in any order.
    ///
    /// # Panics
    /// If `keys` and `values` differ in length.
    pub fn find_many(
        &self,
        keys: &[L::Key<'_>],
        is_live: impl Fn(u64) -> bool,
        values: &mut [Option<u64>],
    ) {
        assert!(keys.len() == values.len(), "one place for a value is needed per key");
        for (keys, values) in keys.chunks(GROUP).zip(values.chunks_mut(GROUP)) {
            self.find_group(keys, &is_live, values);
        }
    }

    fn find_group(
        &self,
        keys: &[L::Key<'_>],
        is_live: &impl Fn(u64) -> bool,
        values: &mut [Option<u64>],
    ) {
        let mut hashes = [0; GROUP];
        for ((hashed, &key), value) in hashes.iter_mut().zip(keys).zip(values.iter_mut()) {
            *hashed = L::hash(key);
            *value = None;
        }
        for run in self.runs() {
            find_group_in_run(run, keys, &hashes, is_live, values);
        }
        for tail in self.tails().into_iter().filter(|tail| !tail.is_empty()) {
            find_group_in_tail(tail, keys, is_live, values);
        }
        for ((&key, value), &hash) in keys.iter().zip(values.iter_mut()).zip(&hashes) {
            if value.is_none() {
                *value = self.find_in_inboxes(key, hash, is_live);
            }
        }
    }

    #[inline]
    fn find_in_inboxes(
        &self,
        key: L::Key<'_>,
        hash: u64,
        is_live: &impl Fn(u64) -> bool,
    ) -> Option<u64> {
        self.inboxes().find_map(|inbox| inbox.get(key, hash).filter(|&value| is_live(value)))
    }

    fn find_in_tails(&self, key: L::Key<'_>, is_live: &impl Fn(u64) -> bool) -> Option<u64> {
        let around = self.tails().into_iter().filter_map(|tail| run_around(tail, key));
        around.filter_map(|run| run.find(key, is_live)).next()
    }

    /// The values of the keys in `start..end` (without an end: of all from `start` on) in the order
    /// of the keys, those of dead entries that are not yet forgotten included.
    pub fn range(&self, start: L::Key<'_>, end: Option<L::Key<'_>>) -> Vec<u64> {
        let is_inside = |key: L::Key<'_>| {
            L::order(start, key).is_le() && end.is_none_or(|end| L::order(key, end).is_lt())
        };
        let mut gathered: Sorted<L> = Sorted::default();
        for (key, value) in self.inboxes().flat_map(Inbox::iter) {
            if is_inside(key) {
                gathered.0.push(key);
                gathered.1.push(value);
            }
        }
        let gathered = L::sort(&[gathered]);
        let mut parts = vec![Part::all(&gathered.0, &gathered.1)];
        let stem = L::stem(start);
        for tail in self.tails() {
            let runs = tail.iter_from(|tailed| tailed.is_below(stem, start));
            let is_before_end = |tailed: &&TailRun<L>| {
                end.is_none_or(|end| L::order(tailed.run.min(), end).is_lt())
            };
            parts.extend(runs.take_while(is_before_end).map(|t| t.run.between(start, end)));
        }
        parts.extend(self.runs().iter().map(|run| run.between(start, end)));
        combine(parts).1
    }

    /// The smallest and the largest key of all entries, dead ones included. Looks at every key of
    /// the inboxes.
    pub fn bounds(&self) -> Option<(L::Key<'_>, L::Key<'_>)> {
        let in_tails = self.tails().into_iter().flat_map(|tail| {
            let first = tail.iter().next().map(|(tailed, _)| tailed.run.min());
            first.into_iter().chain(tail.last().map(|tailed| tailed.run.max()))
        });
        let in_runs = self.runs().iter().flat_map(|run| [run.min(), run.max()]);
        let in_inboxes = self.inboxes().flat_map(Inbox::iter).map(|(key, _)| key);
        in_tails.chain(in_runs).chain(in_inboxes).fold(None, |bounds, key| match bounds {
            Some((min, max)) => Some((key.min(min), key.max(max))),
            None => Some((key, key)),
        })
    }

    /// Asks the fingerprints of all runs before any run, so that the waits for them overlap.
    fn find_in_runs(
        &self,
        key: L::Key<'_>,
        hash: u64,
        is_live: &impl Fn(u64) -> bool,
    ) -> Option<u64> {
        self.runs().chunks(u64::BITS as usize).find_map(|runs| {
            let mut candidates = 0u64;
            for (i, run) in runs.iter().enumerate() {
                candidates |= u64::from(run.may_contain(hash)) << i;
            }
            while let Some(run) = runs.get(candidates.trailing_zeros() as usize) {
                if let Some(value) = run.find(key, is_live) {
                    return Some(value);
                }
                candidates &= candidates - 1;
            }
            None
        })
    }
}

/// Looks up in one run those of a group of keys that its fingerprints let through.
fn find_group_in_run<'k, L: KeyList>(
    run: &KeyRun<L>,
    keys: &[L::Key<'k>],
    hashes: &[u64; GROUP],
    is_live: &impl Fn(u64) -> bool,
    values: &mut [Option<u64>],
) {
    let (mut candidates, mut count) = ([0; GROUP], 0);
    let mut wanted = [L::Key::<'k>::default(); GROUP];
    for (i, &key) in keys.iter().enumerate() {
        candidates[count] = i;
        wanted[count] = key;
        count += usize::from(values[i].is_none() & run.may_contain(hashes[i]));
    }
    let mut positions = [0; GROUP];
    run.lower_bound_batch(&wanted[..count], &mut positions[..count]);
    for (&i, &position) in candidates[..count].iter().zip(&positions) {
        values[i] = run.find_from(position, keys[i], is_live);
    }
}

/// The run of a tail in whose span `key` lies.
#[inline]
fn run_around<'t, L: KeyList>(
    tail: &'t Tail<TailRun<L>>,
    key: L::Key<'_>,
) -> Option<&'t Arc<KeyRun<L>>> {
    let (first, _) = tail.iter().next()?;
    if L::order(key, first.run.min()).is_lt() {
        return None;
    }
    let stem = L::stem(key);
    let (found, _) = tail.search(|tailed| tailed.is_below(stem, key))?;
    L::order(found.run.min(), key).is_le().then_some(&found.run)
}

/// Looks up in a tail those of a group of keys that have no value yet. Each may be in another run,
/// so there is no batch for any of them; but their waits for memory overlap.
fn find_group_in_tail<L: KeyList>(
    tail: &Tail<TailRun<L>>,
    keys: &[L::Key<'_>],
    is_live: &impl Fn(u64) -> bool,
    values: &mut [Option<u64>],
) {
    let (mut candidates, mut count) = ([None; GROUP], 0);
    for (i, &key) in keys.iter().enumerate() {
        if values[i].is_none()
            && let Some(run) = run_around(tail, key)
        {
            run.prefetch_keys(key);
            candidates[count] = Some((i, run, 0));
            count += 1;
        }
    }
    for (i, run, position) in candidates[..count].iter_mut().flatten() {
        *position = run.lower_bound(keys[*i]);
        run.prefetch_value(*position);
    }
    for (i, run, position) in candidates[..count].iter().flatten() {
        values[*i] = run.find_from(*position, keys[*i], is_live);
    }
}
