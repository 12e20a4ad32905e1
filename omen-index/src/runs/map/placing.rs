//! Where entries go when an inbox is full: into which run, and what runs become of it.
//!
//! Called by `map` when something is added. An inbox full of ascending keys is a run, which goes
//! behind the tail if it is above it; full inboxes out of order wait until there are enough to sort
//! together. Whatever becomes a run leaves its dead entries behind.

use std::sync::Arc;

use super::{RunMap, TailRun};
use crate::runs::combine::{join, keep_live};
use crate::runs::inbox::Inbox;
use crate::runs::key_run::KeyRun;
use crate::runs::keys::{KeyList, Part, Sorted};
use crate::runs::merging::MergeTask;
use crate::runs::{Tail, tiers::merge_candidates};

/// Full inboxes that become one run: sorting them together takes as long as one by one, and saves a
/// merge.
pub(super) const SORTED_TOGETHER: usize = 4;

/// Runs of at most this many keys are merged at once, which takes less than a millisecond.
const MERGED_AT_ONCE_MAX: usize = 16384;

/// A tail of more keys than this becomes a run, which takes less than a millisecond.
pub(super) const TAIL_KEYS_MAX: u32 = 1 << 17;

/// Tails that ended are looked at for dead entries, so many each time another one ends: more than
/// one, so that they go as fast as they come.
const THINNED_PER_TAIL: usize = 4;

/// So many entries tell how many of all are dead.
const SAMPLED: usize = 512;

impl<L: KeyList> RunMap<L> {
    /// Makes room for new entries.
    #[cold]
    pub(super) fn empty_inbox(&mut self, is_live: &impl Fn(u64) -> bool) {
        let full = std::mem::take(&mut self.inbox);
        if full.is_sorted() {
            let lists = full.to_lists();
            self.inbox = Inbox::large(Some(full));
            return self.add_run(keep_live(lists, is_live), is_live);
        }
        let behind = Arc::make_mut(&mut self.behind);
        behind.full.push(full);
        if behind.full.len() < SORTED_TOGETHER {
            self.inbox = Inbox::large(None);
            return;
        }
        let mut full = std::mem::take(&mut behind.full);
        let lists: Vec<Sorted<L>> =
            full.iter().map(|inbox| keep_live(inbox.to_lists(), is_live)).collect();
        self.inbox = Inbox::large(full.pop());
        self.add_run(L::sort(&lists), is_live);
    }

    /// Takes in a run: behind the tail, or behind the newest run, which makes a tail of the two, or
    /// by itself.
    fn add_run(&mut self, entries: Sorted<L>, is_live: &impl Fn(u64) -> bool) {
        let Some(run) = KeyRun::new(entries) else { return };
        let len = run.len() as u32;
        let ascends =
            self.tail.last().is_some_and(|last| L::order(last.run.max(), run.min()).is_lt());
        if ascends {
            if is_full(&self.tail) || self.tail.len().saturating_add(len) > TAIL_KEYS_MAX {
                self.end_tail(is_live);
                return self.push_run(run, is_live);
            }
            // Not refused: there is room.
            let _ = self.tail.push(TailRun::new(Arc::new(run)), len);
            return;
        }
        let fits_behind = |last: &mut Arc<KeyRun<L>>| {
            L::order(last.max(), run.min()).is_lt()
                && last.len() + run.len() <= TAIL_KEYS_MAX as usize
        };
        match Arc::make_mut(&mut self.behind).runs.pop_if(fits_behind) {
            Some(last) => {
                self.end_tail(is_live);
                for run in [last, Arc::new(run)] {
                    let len = run.len() as u32;
                    // An empty tail takes two runs.
                    let _ = self.tail.push(TailRun::new(run), len);
                }
            }
            None => self.push_run(run, is_live),
        }
    }

    /// Puts a run with the others.
    fn push_run(&mut self, run: KeyRun<L>, is_live: &impl Fn(u64) -> bool) {
        let run = Arc::new(run.with_fingerprints());
        Arc::make_mut(&mut self.behind).runs.push(run);
        self.merge_at_once(is_live);
    }

    /// Makes one run of the tail's and puts it behind the tails that ended before, or with the
    /// runs.
    fn end_tail(&mut self, is_live: &impl Fn(u64) -> bool) {
        let full = std::mem::take(&mut self.tail);
        let parts: Vec<Part<L>> = full.iter().map(|(tailed, _)| tailed.run.entries()).collect();
        let Some(run) = KeyRun::new(keep_live(join(&parts), is_live)) else { return };
        let len = run.len() as u32;
        let ascends =
            self.ended.last().is_none_or(|last| L::order(last.run.max(), run.min()).is_lt());
        if !ascends || is_full(&self.ended) {
            return self.push_run(run, is_live);
        }
        // Not refused: there is room.
        let _ = self.ended.push(TailRun::new(Arc::new(run)), len);
        (0..THINNED_PER_TAIL).for_each(|_| self.thin_out(is_live));
    }

    /// Forgets the dead entries of one of the tails that ended, another one each time, if they
    /// are about half of it: these runs are not merged, which would do it.
    fn thin_out(&mut self, is_live: &impl Fn(u64) -> bool) {
        let turn = self.next_to_thin % self.ended.iter().len().max(1);
        self.next_to_thin = turn + 1;
        let Some((tailed, _)) = self.ended.iter().nth(turn) else { return };
        let values = tailed.run.values();
        let sample = values.iter().step_by(values.len().div_ceil(SAMPLED));
        let (seen, live) = (sample.len(), sample.filter(|&&value| is_live(value)).count());
        if 2 * live > seen {
            return;
        }
        let thinned = KeyRun::new(keep_live(join(&[tailed.run.entries()]), is_live));
        let thinned = thinned.map(|run| TailRun::new(Arc::new(run)));
        let runs = self.ended.iter().map(|(tailed, _)| tailed).enumerate();
        let kept = runs.filter_map(|(i, tailed)| match i == turn {
            true => thinned.clone(),
            false => Some(tailed.clone()),
        });
        let mut ended = Tail::new();
        for tailed in kept {
            let len = tailed.run.len() as u32;
            // Not refused: there were as many before.
            let _ = ended.push(tailed, len);
        }
        self.ended = ended;
    }

    fn merge_at_once(&mut self, is_live: &impl Fn(u64) -> bool) {
        loop {
            let short = |run: &&Arc<KeyRun<L>>| run.len() <= MERGED_AT_ONCE_MAX;
            let runs: Vec<&Arc<KeyRun<L>>> = self.runs().iter().filter(short).collect();
            let lengths: Vec<usize> = runs.iter().map(|run| run.len()).collect();
            let Some(chosen) = merge_candidates(&lengths) else { return };
            let task = MergeTask { runs: chosen.iter().map(|&i| Arc::clone(runs[i])).collect() };
            self.install(task.run(is_live));
        }
    }
}

/// Whether a tail has as many runs as it may have.
fn is_full<L: KeyList>(tail: &Tail<TailRun<L>>) -> bool {
    tail.iter().len() == Tail::<TailRun<L>>::CAPACITY
}
