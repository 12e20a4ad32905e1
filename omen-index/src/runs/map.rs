//! A growing map of `u64` keys in memory: the parts of this module put together.
//!
//! Keys gather in the inbox, however they arrive. An inbox full of ascending keys is a run, which
//! goes behind the tail if it is above it; full inboxes out of order wait until there are enough to
//! sort together. Runs of one size are merged; that takes time in proportion to their length, so
//! it is a task that another thread can carry out while this one goes on ([`RunMap::merge_due`]).
//!
//! Invariant: each key is in one part only, and once.

use std::sync::Arc;

use super::inbox::Inbox;
use super::key_run::{KeyRun, hash};
use super::merge::Entries;
use super::{Tail, merge_candidates};

/// Full inboxes that become one run: sorting them together takes as long as one by one, and saves a
/// merge.
const SORTED_TOGETHER: usize = 4;

/// Runs of at most this many keys are merged at once, which takes less than a millisecond.
const MERGED_AT_ONCE_MAX: usize = 16384;

/// A tail of more keys than this becomes a run, which takes less than a millisecond.
const TAIL_KEYS_MAX: u32 = 1 << 17;

/// Lookups that go through the runs together.
const GROUP: usize = 128;

/// A map from `u64` keys to `u64` values that grows and is never written over, kept in sorted runs.
/// A clone is a snapshot that does not see what is added later. It takes microseconds, however many
/// keys there are: at most a few thousand of them are copied, all else is shared.
///
/// A key must be added only once: look it up first if it may be there already. (Of a key that was
/// added twice, lookups find either value.)
///
/// ```
/// use omen_index::runs::RunMap;
///
/// let mut map = RunMap::new();
/// map.extend(&[(10, 100), (20, 200), (30, 300)]);
/// let snapshot = map.clone();
/// map.insert(15, 150);
/// assert_eq!(map.get(15), Some(150));
/// assert_eq!(snapshot.get(15), None);
///
/// // Merging keeps lookups quick. It may run on another thread, while keys are added here.
/// while let Some(task) = map.merge_due() {
///     let merged = std::thread::spawn(move || task.run()).join().unwrap();
///     map.install(merged);
/// }
/// ```
#[derive(Clone, Debug, Default)]
pub struct RunMap {
    inbox: Inbox,
    /// Inboxes that are full, fewer than [`SORTED_TOGETHER`], their keys in no order.
    full: Vec<Arc<Inbox>>,
    /// What arrived in order: runs with their largest keys.
    tail: Tail<(u64, Arc<KeyRun>)>,
    /// Tails that were full, each one run now, as long as they are in order.
    ended: Tail<(u64, Arc<KeyRun>)>,
    runs: Vec<Arc<KeyRun>>,
}

/// Runs that should become one.
#[derive(Debug)]
pub struct MergeTask {
    runs: Vec<Arc<KeyRun>>,
}

/// Runs that have become one.
#[derive(Debug)]
pub struct Merged {
    replaced: Vec<Arc<KeyRun>>,
    run: KeyRun,
}

impl RunMap {
    /// An empty map.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many keys.
    pub fn len(&self) -> usize {
        let inboxes: usize = self.inboxes().map(Inbox::len).sum();
        let runs: usize = self.runs.iter().map(|run| run.len()).sum();
        inboxes + self.tail.len() as usize + self.ended.len() as usize + runs
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory, keys and values included.
    pub fn byte_size(&self) -> usize {
        let runs: usize = self.all_runs().map(|run| run.byte_size()).sum();
        runs + self.inboxes().map(Inbox::byte_size).sum::<usize>()
    }

    /// Adds a new key.
    #[inline]
    pub fn insert(&mut self, key: u64, value: u64) {
        if self.inbox.room() == 0 {
            self.empty_inbox();
        }
        self.inbox.push(key, value, hash);
    }

    /// Adds new keys, in any order.
    pub fn extend(&mut self, entries: &[(u64, u64)]) {
        let mut entries = entries;
        while !entries.is_empty() {
            if self.inbox.room() == 0 {
                self.empty_inbox();
            }
            let (fitting, rest) = entries.split_at(self.inbox.room().min(entries.len()));
            self.inbox.extend(fitting, hash);
            entries = rest;
        }
    }

    /// Makes room for new keys.
    #[cold]
    fn empty_inbox(&mut self) {
        let full = std::mem::take(&mut self.inbox);
        if full.is_sorted() {
            return self.add_run(KeyRun::ascending(full.into_lists()));
        }
        self.full.push(Arc::new(full));
        if self.full.len() == SORTED_TOGETHER {
            let full = std::mem::take(&mut self.full);
            let lists: Vec<Entries> = full.iter().map(|inbox| inbox.entries()).collect();
            self.add_run(KeyRun::sort(&lists));
        }
    }

    /// The value of `key`.
    pub fn get(&self, key: u64) -> Option<u64> {
        let hash = hash(key);
        self.get_in_inboxes(key, hash)
            .or_else(|| self.get_in_tails(key))
            .or_else(|| self.get_in_runs(key, hash))
    }

    /// Sets `values[i]` to the value of `keys[i]`, for all `i`; the keys may be in any order.
    ///
    /// # Panics
    /// If `keys` and `values` differ in length.
    pub fn get_many(&self, keys: &[u64], values: &mut [Option<u64>]) {
        assert!(keys.len() == values.len(), "one place for a value is needed per key");
        for (keys, values) in keys.chunks(GROUP).zip(values.chunks_mut(GROUP)) {
            self.get_group(keys, values);
        }
    }

    fn get_group(&self, keys: &[u64], values: &mut [Option<u64>]) {
        let mut hashes = [0; GROUP];
        for ((hashed, &key), value) in hashes.iter_mut().zip(keys).zip(values.iter_mut()) {
            *hashed = hash(key);
            *value = None;
        }
        for run in &self.runs {
            find_group(run, keys, &hashes, values);
        }
        for tail in [&self.tail, &self.ended].into_iter().filter(|tail| !tail.is_empty()) {
            find_group_in_tail(tail, keys, values);
        }
        for ((&key, value), &hash) in keys.iter().zip(values.iter_mut()).zip(&hashes) {
            if value.is_none() {
                *value = self.get_in_inboxes(key, hash);
            }
        }
    }

    #[inline]
    fn get_in_inboxes(&self, key: u64, hash: u64) -> Option<u64> {
        self.inboxes().find_map(|inbox| inbox.get(key, hash))
    }

    fn get_in_tails(&self, key: u64) -> Option<u64> {
        let tails = [&self.tail, &self.ended].into_iter();
        tails.filter_map(|tail| run_around(tail, key)).find_map(|run| run.get(key))
    }

    /// Asks the fingerprints of all runs before any run, so that the waits for them overlap.
    fn get_in_runs(&self, key: u64, hash: u64) -> Option<u64> {
        self.runs.chunks(u64::BITS as usize).find_map(|runs| {
            let mut candidates = 0u64;
            for (i, run) in runs.iter().enumerate() {
                candidates |= u64::from(run.may_contain(hash)) << i;
            }
            while let Some(run) = runs.get(candidates.trailing_zeros() as usize) {
                if let Some(value) = run.get(key) {
                    return Some(value);
                }
                candidates &= candidates - 1;
            }
            None
        })
    }

    /// The inbox and those that are full.
    fn inboxes(&self) -> impl Iterator<Item = &Inbox> {
        std::iter::once(&self.inbox).chain(self.full.iter().map(|full| &**full))
    }

    /// All runs, those of tails included.
    fn all_runs(&self) -> impl Iterator<Item = &Arc<KeyRun>> {
        let tails = self.ended.iter().chain(self.tail.iter());
        tails.map(|((_, run), _)| run).chain(&self.runs)
    }

    /// The runs that should be merged, if any.
    pub fn merge_due(&self) -> Option<MergeTask> {
        let lengths: Vec<usize> = self.runs.iter().map(|run| run.len()).collect();
        let chosen = merge_candidates(&lengths)?;
        Some(MergeTask { runs: chosen.iter().map(|&i| Arc::clone(&self.runs[i])).collect() })
    }

    /// Puts a merged run in the place of those it was made of, if they are still here.
    pub fn install(&mut self, merged: Merged) {
        let is_replaced =
            |run: &Arc<KeyRun>| merged.replaced.iter().any(|old| Arc::ptr_eq(old, run));
        let present = self.runs.iter().filter(|run| is_replaced(run)).count();
        if present == merged.replaced.len() {
            self.runs.retain(|run| !is_replaced(run));
            self.runs.push(Arc::new(merged.run));
        }
    }

    /// All entries in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        let inboxes = self.inboxes().map(Inbox::entries);
        let runs = self.all_runs().map(|run| run.entries());
        let parts = inboxes.chain(runs);
        let mut all: Vec<(u64, u64)> = parts.flat_map(|part| part.iter()).collect();
        // Mostly a few ascending sequences, which the stable sort finds and merges.
        all.sort_by_key(|entry| entry.0);
        all.into_iter()
    }

    /// Takes in a run: behind the tail, or behind the newest run, which makes a tail of the two, or
    /// by itself.
    fn add_run(&mut self, run: KeyRun) {
        let len = run.len() as u32;
        let ascends = self.tail.last().is_some_and(|(last, _)| *last < run.min());
        if ascends && self.tail.len().saturating_add(len) > TAIL_KEYS_MAX {
            self.end_tail();
        } else if ascends {
            // Never refused: a tail of so many runs is longer than it may be.
            if let Err((_, run)) = self.tail.push((run.max(), Arc::new(run)), len) {
                self.end_tail();
                self.push_run(KeyRun::concat(&[&run]));
            }
            return;
        }
        let fits_behind = |last: &mut Arc<KeyRun>| {
            last.max() < run.min() && last.len() + run.len() <= TAIL_KEYS_MAX as usize
        };
        match self.runs.pop_if(fits_behind) {
            Some(last) => {
                self.end_tail();
                for run in [last, Arc::new(run)] {
                    let len = run.len() as u32;
                    // An empty tail takes two runs.
                    let _ = self.tail.push((run.max(), run), len);
                }
            }
            None => self.push_run(run),
        }
    }

    /// Puts a run with the others.
    fn push_run(&mut self, run: KeyRun) {
        self.runs.push(Arc::new(run.with_fingerprints()));
        self.merge_at_once();
    }

    /// Makes one run of the tail's and puts it behind the tails that ended before, or with the
    /// runs.
    fn end_tail(&mut self) {
        let full = std::mem::take(&mut self.tail);
        let runs: Vec<&KeyRun> = full.iter().map(|((_, run), _)| &**run).collect();
        if runs.is_empty() {
            return;
        }
        let run = KeyRun::concat(&runs);
        let (len, max) = (run.len() as u32, run.max());
        let ascends = self.ended.last().is_none_or(|(last, _)| *last < run.min());
        if !ascends {
            self.push_run(run);
        } else if let Err((_, run)) = self.ended.push((max, Arc::new(run)), len) {
            // There are as many tails as there may be.
            self.push_run(KeyRun::concat(&[&run]));
        }
    }

    fn merge_at_once(&mut self) {
        loop {
            let short = |run: &&Arc<KeyRun>| run.len() <= MERGED_AT_ONCE_MAX;
            let runs: Vec<&Arc<KeyRun>> = self.runs.iter().filter(short).collect();
            let lengths: Vec<usize> = runs.iter().map(|run| run.len()).collect();
            let Some(chosen) = merge_candidates(&lengths) else { return };
            let task = MergeTask { runs: chosen.iter().map(|&i| Arc::clone(runs[i])).collect() };
            self.install(task.run());
        }
    }
}

impl MergeTask {
    /// Merges, in time proportional to the keys.
    pub fn run(self) -> Merged {
        let runs: Vec<&KeyRun> = self.runs.iter().map(|run| &**run).collect();
        let run = KeyRun::merge(&runs);
        Merged { replaced: self.runs, run }
    }

    /// How many keys it will move.
    pub fn len(&self) -> usize {
        self.runs.iter().map(|run| run.len()).sum()
    }

    /// Never: a task has keys to move.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Looks up in one run those of a group of keys that its fingerprints let through.
fn find_group(run: &KeyRun, keys: &[u64], hashes: &[u64; GROUP], values: &mut [Option<u64>]) {
    let (mut candidates, mut wanted, mut count) = ([0; GROUP], [0; GROUP], 0);
    for (i, &key) in keys.iter().enumerate() {
        candidates[count] = i;
        wanted[count] = key;
        count += usize::from(values[i].is_none() & run.may_contain(hashes[i]));
    }
    let mut positions = [0; GROUP];
    run.lower_bound_batch(&wanted[..count], &mut positions[..count]);
    for (&i, &position) in candidates[..count].iter().zip(&positions) {
        if run.keys().get(position) == Some(&keys[i]) {
            values[i] = Some(run.values()[position]);
        }
    }
}

/// The run of a tail in whose span `key` lies.
#[inline]
fn run_around(tail: &Tail<(u64, Arc<KeyRun>)>, key: u64) -> Option<&KeyRun> {
    let ((_, first), _) = tail.iter().next()?;
    if key < first.min() {
        return None;
    }
    let ((_, run), _) = tail.search(|(max, _)| *max < key)?;
    (run.min() <= key).then_some(&**run)
}

/// Looks up in a tail those of a group of keys that have no value yet. Each may be in another run,
/// so there is no batch for any of them; but their waits for memory overlap.
fn find_group_in_tail(tail: &Tail<(u64, Arc<KeyRun>)>, keys: &[u64], values: &mut [Option<u64>]) {
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
        if run.keys().get(*position) == Some(&keys[*i]) {
            values[*i] = Some(run.values()[*position]);
        }
    }
}

#[cfg(test)]
mod tests;
