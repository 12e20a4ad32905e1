//! The memory that all queries of a database share, counted as their operators ask for it.
//!
//! Three kinds of operators ask. Those that can write to files (sorts, most aggregates) have equal
//! shares; one that asks for more is told to spill. Merges of such files, which read as many at
//! once as they get memory for, have a third of a share each until they read: then they need what
//! they ask for. So do all others, which take what is free; a quarter of all is kept for them.
//! DataFusion's own fair pool has no such quarter and no shares of merges: there a large sort
//! starves whatever stands behind it.
//!
//! Made by `runtime`; called by DataFusion's operators. Invariant: grown with `try_grow` alone, it
//! exceeds its limit by half at most, and only by what operators took when their shares were
//! larger and have not given back yet, and by what merges need to go on.

use std::collections::HashMap;
use std::fmt::{self, Display, Formatter};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use datafusion::common::human_readable_size;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{
    MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation,
};

/// This part is for operators that need what they ask for, and no other.
const KEPT_BACK: usize = 4;

/// How the merge of a sort's files is called.
const MERGE: &str = "ExternalSorterMerge";

/// How the merge of sorted partitions is called.
const LAST_MERGE: &str = "SortPreservingMerge";

/// Shares are counted in thirds.
const SHARE: usize = 3;

/// A bounded pool.
#[derive(Debug)]
pub(super) struct QueryPool {
    limit: AtomicUsize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    /// Shares of all that have one.
    shares: usize,
    /// Bytes that they hold.
    shared: usize,
    /// Bytes that all others hold.
    unshared: usize,
    /// Merges that hold something, by the number of the operator.
    merges: HashMap<usize, Merge>,
}

/// A merge: first it takes memory for as many files as it can, then it reads them.
#[derive(Debug, Default)]
struct Merge {
    held: usize,
    reads: bool,
}

impl QueryPool {
    /// A pool of `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit: AtomicUsize::new(limit), taken: Mutex::default() }
    }

    /// The most bytes that may be held.
    pub(super) fn limit(&self) -> usize {
        self.limit.load(Relaxed)
    }

    /// Sets the limit. What is held beyond it stays until it is given back.
    pub(super) fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Relaxed);
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refusal(
        &self,
        reservation: &MemoryReservation,
        more: usize,
        free: usize,
    ) -> DataFusionError {
        let name = reservation.consumer().name();
        let advice = match name.contains("HashJoin") {
            true => "; SET datafusion.optimizer.prefer_hash_join = false joins in less memory",
            false => "",
        };
        DataFusionError::ResourcesExhausted(format!(
            "queries may hold {} of memory; {name} holds {} and needs {} more, {} are left for it. \
             The limit is the option query_bytes_max (omen --memory-limit), or SET \
             datafusion.runtime.memory_limit = '1G'{advice}",
            human_readable_size(self.limit()),
            human_readable_size(reservation.size()),
            human_readable_size(more),
            human_readable_size(free),
        ))
    }
}

/// The share that an operator has, in thirds; zero: none.
fn shares(consumer: &MemoryConsumer) -> usize {
    match (consumer.can_spill(), consumer.name().starts_with(MERGE)) {
        (true, _) => SHARE,
        (false, true) => 1,
        (false, false) => 0,
    }
}

impl Taken {
    fn add(&mut self, consumer: &MemoryConsumer, bytes: usize) {
        match shares(consumer) {
            0 => self.unshared += bytes,
            _ => self.shared += bytes,
        }
        if consumer.name().starts_with(MERGE) {
            self.merges.entry(consumer.id()).or_default().held += bytes;
        }
    }

    fn take_away(&mut self, consumer: &MemoryConsumer, bytes: usize) {
        let held = match shares(consumer) {
            0 => &mut self.unshared,
            _ => &mut self.shared,
        };
        *held = held.saturating_sub(bytes);
        if let Some(merge) = self.merges.get_mut(&consumer.id()) {
            merge.held = merge.held.saturating_sub(bytes);
            if merge.held == 0 {
                self.merges.remove(&consumer.id());
            }
        }
    }

    /// Whether a merge has come to read its files: it counts the keys of each apart from what it
    /// took before.
    fn reads(&mut self, reservation: &MemoryReservation) -> bool {
        let merge = self.merges.get_mut(&reservation.consumer().id());
        merge.is_some_and(|merge| {
            merge.reads |= reservation.size() == 0;
            merge.reads
        })
    }

    /// How much a reservation may grow.
    fn free_for(&mut self, reservation: &MemoryReservation, limit: usize) -> usize {
        let held = self.shared.saturating_add(self.unshared);
        let own = shares(reservation.consumer());
        // Who has more than a share by now gives it back when it asks for more.
        let most = limit.saturating_add(limit / 2).saturating_sub(held);
        if reservation.consumer().name().starts_with(LAST_MERGE) || self.reads(reservation) {
            return most;
        }
        if own == 0 {
            return limit.saturating_sub(held);
        }
        let divided = (limit - limit / KEPT_BACK).saturating_sub(self.unshared);
        let share = divided / self.shares.max(own) * own;
        share.saturating_sub(reservation.size()).min(most)
    }
}

impl Display for QueryPool {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "queries (at most {})", human_readable_size(self.limit()))
    }
}

impl MemoryPool for QueryPool {
    fn name(&self) -> &str {
        "queries"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.taken().shares += shares(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        let mut taken = self.taken();
        taken.shares = taken.shares.saturating_sub(shares(consumer));
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.taken().add(reservation.consumer(), additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.taken().take_away(reservation.consumer(), shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let mut taken = self.taken();
        let free = taken.free_for(reservation, self.limit());
        if additional > free {
            drop(taken);
            return Err(self.refusal(reservation, additional, free));
        }
        taken.add(reservation.consumer(), additional);
        Ok(())
    }

    fn reserved(&self) -> usize {
        let taken = self.taken();
        taken.shared + taken.unshared
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.limit())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn register(pool: &Arc<QueryPool>, name: &str, can_spill: bool) -> MemoryReservation {
        let dynamic: Arc<dyn MemoryPool> = Arc::clone(pool) as _;
        MemoryConsumer::new(name).with_can_spill(can_spill).register(&dynamic)
    }

    #[test]
    fn shares_are_fair_and_the_limit_can_be_changed() {
        let pool = Arc::new(QueryPool::new(1000));
        let (first, other) = (register(&pool, "first", true), register(&pool, "other", false));
        assert!(first.try_grow(751).is_err(), "a quarter is kept from it");
        first.try_grow(750).unwrap();
        other.try_grow(250).unwrap();
        assert!(other.try_grow(1).is_err(), "nothing is left");
        other.shrink(150);
        let second = register(&pool, "second", true);
        let merge = register(&pool, "ExternalSorterMerge[0]", false);
        // 650 are divided by 7.
        second.try_grow(276).unwrap();
        let refused = second.try_grow(1).unwrap_err();
        assert!(matches!(&refused, DataFusionError::ResourcesExhausted(_)), "{refused}");
        assert!(refused.to_string().contains("query_bytes_max"), "{refused}");
        merge.try_grow(92).unwrap();
        assert!(merge.try_grow(1).is_err() && first.try_grow(1).is_err());
        pool.set_limit(2000);
        merge.try_grow(92).unwrap();
        // It reads: each file has keys, and what they take is given while there is something.
        let keys = merge.new_empty();
        keys.try_grow(600).unwrap();
        merge.try_grow(1).unwrap();
        drop((keys, first, second, other, merge));
        assert_eq!(pool.reserved(), 0);
    }

    #[test]
    fn shares_that_were_larger_exceed_the_limit_by_half_at_most() {
        let pool = Arc::new(QueryPool::new(1000));
        let mut all = Vec::new();
        for _ in 0..100 {
            let reservation = register(&pool, "sort", true);
            while reservation.try_grow(1).is_ok() {}
            all.push(reservation);
        }
        assert!((1400..=1500).contains(&pool.reserved()), "{}", pool.reserved());
    }
}
