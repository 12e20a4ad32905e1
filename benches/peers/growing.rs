//! The growing map that this package is about, with its merges on the thread that writes or on
//! another one.

use std::sync::mpsc::{Receiver, Sender, channel};

use omen_index::runs::{MergeTask, Merged, RunMap};

use super::MutableMap;

/// Insertions between two looks at whether a merge is due: a run is born every 512.
const LOOK_EVERY: usize = 512;

/// `omen_index::runs::RunMap`, all work done by the thread that writes.
#[derive(Debug, Default)]
pub struct OneThread {
    map: RunMap,
    since_look: usize,
}

impl OneThread {
    fn merge(&mut self) {
        while let Some(task) = self.map.merge_due() {
            self.map.install(task.run());
        }
    }
}

impl MutableMap for OneThread {
    const NAME: &'static str = "runs, 1 thread";

    #[inline]
    fn insert(&mut self, key: u64, value: u64) {
        self.map.insert(key, value);
        self.since_look += 1;
        if self.since_look == LOOK_EVERY {
            self.since_look = 0;
            self.merge();
        }
    }

    fn insert_batch(&mut self, entries: &[(u64, u64)]) {
        self.map.extend(entries);
        self.merge();
    }

    #[inline]
    fn get(&self, key: u64) -> Option<u64> {
        self.map.get(key)
    }

    fn get_many(&self, keys: &[u64], values: &mut [Option<u64>]) {
        self.map.get_many(keys, values);
    }

    fn snapshot(&self) -> Self {
        Self { map: self.map.clone(), since_look: 0 }
    }

    fn settle(&mut self) {
        self.merge();
    }
}

/// `omen_index::runs::RunMap`, long merges done by a second thread, as the engine has it.
#[derive(Debug)]
pub struct Background {
    map: RunMap,
    since_look: usize,
    tasks: Sender<MergeTask>,
    merged: Receiver<Merged>,
    is_merging: bool,
}

impl Default for Background {
    fn default() -> Self {
        Self::beside(RunMap::new())
    }
}

impl Background {
    /// The thread ends when the map is dropped and with it the sender of tasks.
    fn beside(map: RunMap) -> Self {
        let (tasks, inbox) = channel::<MergeTask>();
        let (outbox, merged) = channel();
        std::thread::spawn(move || {
            while let Ok(task) = inbox.recv() {
                if outbox.send(task.run()).is_err() {
                    return;
                }
            }
        });
        Self { map, since_look: 0, tasks, merged, is_merging: false }
    }

    fn look(&mut self) {
        if self.is_merging {
            let Ok(merged) = self.merged.try_recv() else { return };
            self.map.install(merged);
            self.is_merging = false;
        }
        if let Some(task) = self.map.merge_due() {
            self.is_merging = self.tasks.send(task).is_ok();
        }
    }
}

impl MutableMap for Background {
    const NAME: &'static str = "runs, 2 threads";

    #[inline]
    fn insert(&mut self, key: u64, value: u64) {
        self.map.insert(key, value);
        self.since_look += 1;
        if self.since_look == LOOK_EVERY {
            self.since_look = 0;
            self.look();
        }
    }

    fn insert_batch(&mut self, entries: &[(u64, u64)]) {
        self.map.extend(entries);
        self.look();
    }

    #[inline]
    fn get(&self, key: u64) -> Option<u64> {
        self.map.get(key)
    }

    fn get_many(&self, keys: &[u64], values: &mut [Option<u64>]) {
        self.map.get_many(keys, values);
    }

    fn snapshot(&self) -> Self {
        Self::beside(self.map.clone())
    }

    fn settle(&mut self) {
        self.look();
        while self.is_merging {
            if let Ok(merged) = self.merged.recv() {
                self.map.install(merged);
            }
            self.is_merging = false;
            self.look();
        }
    }
}
