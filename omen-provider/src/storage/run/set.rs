//! The parts in memory of one table: where new rows go, and which parts to merge.
//!
//! The logarithmic method of `omen_index::runs`: statements of a few rows gather in a buffer, rows
//! above the newest part go behind it, all others become runs of their own, and runs of one size
//! are merged. Held by `version`; commit and recovery add rows, the background merges.
//!
//! Parts with an id below `frozen` are being flushed or merged: nothing is added to them and none
//! of them is removed until that is through. Ids ascend in the order of creation.
//!
//! Invariant: no key has two live rows, in whatever parts they are.

use std::sync::Arc;

use omen_index::runs::merge_candidates;

use super::merge::merge;
use super::sorted::Run;
use super::view::RunView;
use crate::error::Result;
use crate::storage::deletion_vector::DeletionVector;
use crate::storage::key::Keys;
use omen_index::fingerprints;

/// Statements of at most this many rows go through the buffer.
const SMALL_ROWS: usize = 64;

/// All parts in memory of a table, as one version sees them.
#[derive(Debug, Clone, Default)]
pub struct Runs {
    views: Vec<RunView>,
}

impl Runs {
    /// The parts.
    pub fn iter(&self) -> impl Iterator<Item = &RunView> {
        self.views.iter()
    }

    /// How many parts.
    pub fn len(&self) -> usize {
        self.views.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.views.is_empty()
    }

    /// Bytes of memory.
    pub fn byte_size(&self) -> usize {
        self.views.iter().map(RunView::byte_size).sum()
    }

    /// The part of that id.
    pub fn get(&self, id: u64) -> Option<&RunView> {
        self.views.iter().find(|view| view.id() == id)
    }

    /// Adds rows, none of whose keys has a live row here.
    pub fn add(&mut self, run: Arc<Run>, frozen: u64) -> Result<()> {
        if run.len() > SMALL_ROWS {
            self.add_sorted(run, frozen);
            return Ok(());
        }
        let mut newest_first = self.views.iter().rev();
        let newest = newest_first.find(|view| view.is_buffer() && view.id() >= frozen);
        let open = newest.filter(|view| view.room() >= run.len()).map(RunView::id);
        self.drain_buffers(frozen, open)?;
        let index = match self.views.iter().position(|view| Some(view.id()) == open) {
            Some(index) => index,
            None => {
                self.views.push(RunView::buffer());
                self.views.len() - 1
            }
        };
        self.views[index].push_rows(&run);
        Ok(())
    }

    /// Makes runs of the buffers that are not frozen, but for the one that goes on: of full ones,
    /// and of those that were left behind when they were frozen.
    fn drain_buffers(&mut self, frozen: u64, open: Option<u64>) -> Result<()> {
        let is_left =
            |view: &RunView| view.is_buffer() && view.id() >= frozen && Some(view.id()) != open;
        while let Some(index) = self.views.iter().position(is_left) {
            let sorted = self.views[index].sorted()?;
            self.views.remove(index);
            if let Some(run) = sorted {
                self.add_sorted(run, frozen);
            }
        }
        Ok(())
    }

    /// Where the live row of `key` is: part and position.
    pub fn find(&self, key: &[u8]) -> Option<(u64, u32)> {
        let hash = fingerprints::hash(key);
        let mut newest_first = self.views.iter().rev();
        newest_first.find_map(|view| Some((view.id(), view.find(key, hash)?)))
    }

    /// Where the live rows of `keys` (ascending) are: `found` is called with the index of the key,
    /// part and position, in no particular order.
    pub fn find_many(&self, keys: &Keys, mut found: impl FnMut(u32, u64, u32)) {
        let Some(last) = keys.len().checked_sub(1) else { return };
        let (min, max) = (keys.get(0), keys.get(last));
        let views: Vec<&RunView> = self.views.iter().filter(|v| v.overlaps(&min, &max)).collect();
        if views.is_empty() {
            return;
        }
        for index in 0..keys.len() {
            let key = keys.get(index);
            let hash = keys.hash(index);
            let mut hits = views.iter().map(|view| (view.id(), view.find(&key, hash)));
            if let Some((id, Some(position))) = hits.find(|(_, position)| position.is_some()) {
                found(index as u32, id, position);
            }
        }
    }

    /// Marks a position as deleted; false if it was already, or the part is not here.
    pub fn mark(&mut self, id: u64, position: u32) -> bool {
        let view = self.views.iter_mut().find(|view| view.id() == id);
        view.is_some_and(|view| view.mark(position))
    }

    /// Merges full tiers of parts that have at most `rows_max` rows each, until there is none. The
    /// tail that may go on growing is left alone, here and below.
    pub fn merge_small(&mut self, frozen: u64, rows_max: usize) -> Result<()> {
        loop {
            let views: Vec<&RunView> = self
                .settled()
                .filter(|view| view.id() >= frozen && view.rows() as usize <= rows_max)
                .collect();
            let Some(chosen) = full_tier(&views) else { return Ok(()) };
            let merged = merge(&chosen)?;
            let ids: Vec<u64> = chosen.iter().map(|view| view.id()).collect();
            let view = |run| RunView::new(Arc::new(run), DeletionVector::default());
            self.replace(&ids, merged.map(view));
        }
    }

    /// The parts that should become one in the background, whatever their size.
    pub fn merge_due(&self) -> Option<Vec<u64>> {
        let views: Vec<&RunView> = self.settled().collect();
        full_tier(&views).map(|chosen| chosen.iter().map(|view| view.id()).collect())
    }

    /// The sorted parts, but for the tail that may go on growing.
    fn settled(&self) -> impl Iterator<Item = &RunView> {
        let open = self.views.iter().rposition(RunView::is_tail);
        let parts = self.views.iter().enumerate();
        parts.filter(move |(i, view)| !view.is_buffer() && open != Some(*i)).map(|(_, view)| view)
    }

    /// One run of the live rows of the parts of these ids; `None` if there are none.
    pub fn merged(&self, ids: &[u64]) -> Result<Option<Run>> {
        let views: Vec<&RunView> = self.views.iter().filter(|v| ids.contains(&v.id())).collect();
        merge(&views)
    }

    /// Puts a part in the place of others; the live rows stay the same.
    pub fn replace(&mut self, removed: &[u64], added: Option<RunView>) {
        self.views.retain(|view| !removed.contains(&view.id()));
        self.views.extend(added);
    }

    /// Rows that are worth a part of their own: behind the tail, or behind the newest run, or
    /// alone.
    fn add_sorted(&mut self, mut run: Arc<Run>, frozen: u64) {
        for may_grow in [RunView::is_tail, RunView::is_run] {
            let newest = self.views.iter_mut().rev().find(|view| may_grow(view));
            if let Some(view) = newest.filter(|view| view.id() >= frozen) {
                match view.push_run(run) {
                    Ok(()) => return,
                    Err(back) => run = back,
                }
            }
        }
        self.views.push(RunView::new(run, DeletionVector::default()));
    }
}

/// The views of the lowest full tier.
fn full_tier<'a>(views: &[&'a RunView]) -> Option<Vec<&'a RunView>> {
    let rows: Vec<usize> = views.iter().map(|view| view.rows() as usize).collect();
    merge_candidates(&rows).map(|chosen| chosen.iter().map(|&i| views[i]).collect())
}
