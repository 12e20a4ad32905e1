//! A growing map in memory: the parts of this module put together.
//!
//! Keys gather in the inbox, however they arrive. What happens when it is full is in `placing`,
//! lookups are in `lookup`. Runs of one size are merged; that takes time in proportion to their
//! length, so it is a task that another thread can carry out while this one goes on (`merging`).
//!
//! Invariants: of the entries of one key, whatever parts they are in, at most one is live. Runs are
//! not empty.

mod placing;

use std::fmt;
use std::sync::Arc;

use super::inbox::Inbox;
use super::key_run::KeyRun;
use super::keys::KeyList;
use super::merging::{MergeTask, Merged};
use super::{Tail, tiers::merge_candidates};

/// A map from keys to `u64` values that grows, kept in sorted runs. A clone is a snapshot that does
/// not see what is added later, and costs no more than a few reference counts.
///
/// Keys are numbers, or byte strings (`RunMap<ByteKeys>`). Values differ. A value may *die*, which
/// the map is not told but asks: a function `is_live` says so of each value, and what is dead once
/// stays dead. A key may be added again after its value died; so of the entries of one key only
/// the newest may be live. Dead entries are forgotten on the way into runs.
///
/// ```
/// use omen_index::runs::RunMap;
///
/// let mut map: RunMap = RunMap::new();
/// map.extend([(10, 100), (20, 200), (30, 300)].into_iter(), |_| true);
/// let snapshot = map.clone();
/// map.insert(15, 150);
/// assert_eq!(map.get(15), Some(150));
/// assert_eq!(snapshot.get(15), None);
///
/// // Merging keeps lookups quick. It may run on another thread, while keys are added here.
/// while let Some(task) = map.merge_due() {
///     let merged = std::thread::spawn(move || task.run(|_| true)).join().unwrap();
///     map.install(merged);
/// }
/// ```
pub struct RunMap<L: KeyList = Vec<u64>> {
    inbox: Inbox<L>,
    behind: Arc<Behind<L>>,
    /// What arrived in order.
    tail: Tail<TailRun<L>>,
    /// Tails that were full, each one run now, as long as they are in order.
    ended: Tail<TailRun<L>>,
    /// Which of them is looked at next for dead entries.
    next_to_thin: usize,
}

/// What changes when an inbox is full, shared by clones until then.
#[derive(Debug)]
struct Behind<L: KeyList> {
    /// Inboxes that are full, fewer than [`SORTED_TOGETHER`], newest last, their keys in no order.
    full: Vec<Inbox<L>>,
    runs: Vec<Arc<KeyRun<L>>>,
}

/// A run of a tail, and what of its largest key can be compared without a look at the run.
#[derive(Debug)]
pub(super) struct TailRun<L: KeyList> {
    max_stem: u64,
    pub(super) run: Arc<KeyRun<L>>,
}

impl<L: KeyList> RunMap<L> {
    /// An empty map.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many entries, dead ones that are not yet forgotten included.
    pub fn len(&self) -> usize {
        let inboxes: usize = self.inboxes().map(Inbox::len).sum();
        let runs: usize = self.runs().iter().map(|run| run.len()).sum();
        inboxes + self.tail.len() as usize + self.ended.len() as usize + runs
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory, keys and values included.
    pub fn byte_size(&self) -> usize {
        let runs: usize = self.all_runs().map(|run| run.byte_size()).sum();
        runs + self.inboxes().map(Inbox::byte_size).sum::<usize>()
    }

    /// Adds a key that was never added before. Forgets nothing.
    #[inline]
    pub fn insert(&mut self, key: L::Key<'_>, value: u64) {
        if !self.inbox.has_place() {
            self.make_place();
        }
        self.inbox.push(key, value);
    }

    #[cold]
    fn make_place(&mut self) {
        match self.inbox.room() {
            0 => self.empty_inbox(&|_| true),
            _ => self.inbox.grow(),
        }
    }

    /// Adds entries, in any order of their keys, each of which is new or has no live value.
    /// `is_live` may be asked about any value, those that are being added included.
    pub fn extend<'a>(
        &mut self,
        entries: impl Iterator<Item = (L::Key<'a>, u64)>,
        is_live: impl Fn(u64) -> bool,
    ) {
        let mut entries = entries;
        loop {
            if self.inbox.room() == 0 {
                self.empty_inbox(&is_live);
            }
            if self.inbox.fill(&mut entries) {
                return;
            }
        }
    }

    /// The inbox and those that are full, newest first.
    #[inline]
    pub(super) fn inboxes(&self) -> impl Iterator<Item = &Inbox<L>> {
        std::iter::once(&self.inbox).chain(self.behind.full.iter().rev())
    }

    /// The runs outside of tails.
    #[inline]
    pub(super) fn runs(&self) -> &[Arc<KeyRun<L>>] {
        &self.behind.runs
    }

    #[inline]
    pub(super) fn tails(&self) -> [&Tail<TailRun<L>>; 2] {
        [&self.tail, &self.ended]
    }

    /// All runs, those of tails included.
    fn all_runs(&self) -> impl Iterator<Item = &Arc<KeyRun<L>>> {
        let tails = self.ended.iter().chain(self.tail.iter());
        tails.map(|(tailed, _)| &tailed.run).chain(self.runs())
    }

    /// Keys, values and index of the longest run that has an index.
    pub fn longest_run(&self) -> Option<(&L, &[u64], &L::Index)> {
        let indexed = self.all_runs().filter_map(|run| Some((run, run.index()?)));
        let (run, index) = indexed.max_by_key(|(run, _)| run.len())?;
        Some((run.keys(), run.values(), index))
    }

    /// The runs that should be merged, if any.
    pub fn merge_due(&self) -> Option<MergeTask<L>> {
        let lengths: Vec<usize> = self.runs().iter().map(|run| run.len()).collect();
        let chosen = merge_candidates(&lengths)?;
        Some(MergeTask { runs: chosen.iter().map(|&i| Arc::clone(&self.runs()[i])).collect() })
    }

    /// Puts a merged run in the place of those it was made of. False if they are not all here any
    /// more; then nothing is changed.
    pub fn install(&mut self, merged: Merged<L>) -> bool {
        let is_replaced =
            |run: &Arc<KeyRun<L>>| merged.replaced.iter().any(|old| Arc::ptr_eq(old, run));
        let present = self.runs().iter().filter(|run| is_replaced(run)).count();
        if present != merged.replaced.len() {
            return false;
        }
        let runs = &mut Arc::make_mut(&mut self.behind).runs;
        runs.retain(|run| !is_replaced(run));
        runs.extend(merged.run.map(Arc::new));
        true
    }
}

impl<L: KeyList> Clone for RunMap<L> {
    #[inline]
    fn clone(&self) -> Self {
        Self {
            inbox: self.inbox.clone(),
            behind: Arc::clone(&self.behind),
            tail: self.tail.clone(),
            ended: self.ended.clone(),
            next_to_thin: self.next_to_thin,
        }
    }
}

impl<L: KeyList> Default for RunMap<L> {
    fn default() -> Self {
        Self {
            inbox: Inbox::default(),
            behind: Arc::default(),
            tail: Tail::new(),
            ended: Tail::new(),
            next_to_thin: 0,
        }
    }
}

impl<L: KeyList> fmt::Debug for RunMap<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inboxes: Vec<usize> = self.inboxes().map(Inbox::len).collect();
        let runs: Vec<usize> = self.runs().iter().map(|run| run.len()).collect();
        f.debug_struct("RunMap")
            .field("inboxes", &inboxes)
            .field("tail", &self.tail.len())
            .field("ended", &self.ended.len())
            .field("runs", &runs)
            .finish()
    }
}

impl<L: KeyList> Clone for Behind<L> {
    fn clone(&self) -> Self {
        Self { full: self.full.clone(), runs: self.runs.clone() }
    }
}

impl<L: KeyList> Default for Behind<L> {
    fn default() -> Self {
        Self { full: Vec::new(), runs: Vec::new() }
    }
}

impl<L: KeyList> Clone for TailRun<L> {
    fn clone(&self) -> Self {
        Self { max_stem: self.max_stem, run: Arc::clone(&self.run) }
    }
}

impl<L: KeyList> TailRun<L> {
    fn new(run: Arc<KeyRun<L>>) -> Self {
        Self { max_stem: L::stem(run.max()), run }
    }

    /// Whether all keys are below a key of that stem.
    #[inline]
    pub(super) fn is_below(&self, stem: u64, key: L::Key<'_>) -> bool {
        self.max_stem < stem || self.max_stem == stem && L::order(self.run.max(), key).is_lt()
    }
}

#[cfg(test)]
mod tests;
