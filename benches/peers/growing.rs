//! The growing map that this package is about, with its merges on the thread that writes or on
//! another one.

use std::fmt::Debug;
use std::sync::mpsc::{Receiver, Sender, channel};

use omen_index::runs::{MergeTask, Merged, RunMap};

use super::MutableMap;

/// Insertions between two looks at whether a merge is due: at least so many make a run.
const LOOK_EVERY: usize = 4096;

/// `omen_index::runs::RunMap`, all work done by the thread that writes.
pub type OneThread = Growing<AtOnce>;

/// `omen_index::runs::RunMap`, long merges done by a second thread, as the engine has it.
pub type Background = Growing<Beside>;

/// Who merges.
pub trait Merging: Default + Debug {
    /// The name in tables.
    const NAME: &'static str;

    /// Does what is due, or sees to it that it is done.
    fn look(&mut self, map: &mut RunMap);

    /// Returns when nothing is due.
    fn settle(&mut self, map: &mut RunMap);
}

/// The map and who merges its runs.
#[derive(Debug, Default)]
pub struct Growing<M> {
    map: RunMap,
    since_look: usize,
    merging: M,
}

impl<M: Merging> MutableMap for Growing<M> {
    const NAME: &'static str = M::NAME;

    #[inline]
    fn insert(&mut self, key: u64, value: u64) {
        self.map.insert(key, value);
        self.since_look += 1;
        if self.since_look == LOOK_EVERY {
            self.since_look = 0;
            self.merging.look(&mut self.map);
        }
    }

    fn insert_batch(&mut self, entries: &[(u64, u64)]) {
        self.map.extend(entries.iter().copied(), |_| true);
        self.merging.look(&mut self.map);
    }

    #[inline]
    fn get(&self, key: u64) -> Option<u64> {
        self.map.get(key)
    }

    fn get_many(&self, keys: &[u64], values: &mut [Option<u64>]) {
        self.map.get_many(keys, values);
    }

    fn snapshot(&self) -> Self {
        Self { map: self.map.clone(), since_look: 0, merging: M::default() }
    }

    fn settle(&mut self) {
        self.merging.settle(&mut self.map);
    }
}

/// Merges as soon as runs are due.
#[derive(Debug, Default)]
pub struct AtOnce;

impl Merging for AtOnce {
    const NAME: &'static str = "runs, 1 thread";

    fn look(&mut self, map: &mut RunMap) {
        while let Some(task) = map.merge_due() {
            map.install(task.run(|_| true));
        }
    }

    fn settle(&mut self, map: &mut RunMap) {
        self.look(map);
    }
}

/// Has a second thread merge, one task at a time.
#[derive(Debug, Default)]
pub struct Beside {
    /// Where tasks go and come back from, if there has been one.
    thread: Option<(Sender<MergeTask>, Receiver<Merged>)>,
    is_merging: bool,
}

impl Merging for Beside {
    const NAME: &'static str = "runs, 2 threads";

    fn look(&mut self, map: &mut RunMap) {
        if self.is_merging {
            let merged = self.thread.as_ref().and_then(|(_, merged)| merged.try_recv().ok());
            let Some(merged) = merged else { return };
            map.install(merged);
            self.is_merging = false;
        }
        if let Some(task) = map.merge_due() {
            let (tasks, _) = self.thread.get_or_insert_with(start);
            self.is_merging = tasks.send(task).is_ok();
        }
    }

    fn settle(&mut self, map: &mut RunMap) {
        self.look(map);
        while self.is_merging {
            if let Some(Ok(merged)) = self.thread.as_ref().map(|(_, merged)| merged.recv()) {
                map.install(merged);
            }
            self.is_merging = false;
            self.look(map);
        }
    }
}

/// The thread ends when the map is dropped and with it the sender of tasks.
fn start() -> (Sender<MergeTask>, Receiver<Merged>) {
    let (tasks, inbox) = channel::<MergeTask>();
    let (outbox, merged) = channel();
    std::thread::spawn(move || {
        while let Ok(task) = inbox.recv() {
            if outbox.send(task.run(|_| true)).is_err() {
                return;
            }
        }
    });
    (tasks, merged)
}
