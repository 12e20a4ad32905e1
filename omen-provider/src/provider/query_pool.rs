//! The memory that all queries of a database share, counted as their operators ask for it.
//!
//! Operators that can write to files (sorts, most aggregates) share what the others leave, each an
//! equal part: whoever asks for more is told to spill. All others take what is free, in the order
//! in which they ask. So it is with DataFusion's own fair pool. Unlike there, a quarter is kept
//! from those that take whatever they get, or a large sort would starve the merge behind it; the
//! limit can be changed while queries run, and refusals say what to do.
//!
//! Made by `runtime`; called by DataFusion's operators and by `scan`. Invariant: grown with
//! `try_grow` alone, it never exceeds its limit.

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

/// The merge of a sort's files: it reads as many at once as it gets memory for.
const MERGE: &str = "ExternalSorterMerge";

/// A bounded pool.
#[derive(Debug)]
pub(super) struct QueryPool {
    limit: AtomicUsize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    /// Operators that can spill.
    spillers: usize,
    /// Bytes that they hold.
    spillable: usize,
    /// Bytes that all others hold.
    unspillable: usize,
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

impl Taken {
    fn held(&mut self, consumer: &MemoryConsumer) -> &mut usize {
        match consumer.can_spill() {
            true => &mut self.spillable,
            false => &mut self.unspillable,
        }
    }

    /// How much a reservation may grow.
    fn free_for(&self, reservation: &MemoryReservation, limit: usize) -> usize {
        let consumer = reservation.consumer();
        let is_modest = !consumer.can_spill() && !consumer.name().starts_with(MERGE);
        let most = if is_modest { limit } else { limit - limit / KEPT_BACK };
        let free = most.saturating_sub(self.spillable + self.unspillable);
        if !consumer.can_spill() {
            return free;
        }
        // Shares were larger before others came; they are given back, not taken away.
        let share = most.saturating_sub(self.unspillable) / self.spillers.max(1);
        free.min(share.saturating_sub(reservation.size()))
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
        if consumer.can_spill() {
            self.taken().spillers += 1;
        }
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        if consumer.can_spill() {
            let mut taken = self.taken();
            taken.spillers = taken.spillers.saturating_sub(1);
        }
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        *self.taken().held(reservation.consumer()) += additional;
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        let mut taken = self.taken();
        let held = taken.held(reservation.consumer());
        *held = held.saturating_sub(shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let consumer = reservation.consumer();
        let mut taken = self.taken();
        let free = taken.free_for(reservation, self.limit());
        if additional > free {
            drop(taken);
            return Err(self.refusal(reservation, additional, free));
        }
        *taken.held(consumer) += additional;
        Ok(())
    }

    fn reserved(&self) -> usize {
        let taken = self.taken();
        taken.spillable + taken.unspillable
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.limit())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn shares_are_equal_and_the_limit_is_kept_and_can_be_changed() {
        let pool = Arc::new(QueryPool::new(1000));
        let dynamic: Arc<dyn MemoryPool> = Arc::clone(&pool) as _;
        let register = |name: &str, can_spill| {
            MemoryConsumer::new(name).with_can_spill(can_spill).register(&dynamic)
        };
        let (first, other) = (register("first", true), register("other", false));
        assert!(first.try_grow(751).is_err(), "a quarter is kept from it");
        first.try_grow(750).unwrap();
        other.try_grow(250).unwrap();
        assert!(other.try_grow(1).is_err(), "nothing is left");
        first.shrink(500);
        let (second, merge) = (register("second", true), register("ExternalSorterMerge[0]", false));
        second.try_grow(250).unwrap();
        let refused = second.try_grow(1).unwrap_err();
        assert!(matches!(&refused, DataFusionError::ResourcesExhausted(_)), "{refused}");
        assert!(refused.to_string().contains("query_bytes_max"), "{refused}");
        assert!(merge.try_grow(1).is_err(), "a merge must leave a quarter");
        other.try_grow(250).unwrap();
        pool.set_limit(2000);
        merge.try_grow(500).unwrap();
        assert_eq!(pool.reserved(), 1500);
        drop((first, second, other, merge));
        assert_eq!(pool.reserved(), 0);
    }

    #[test]
    fn what_was_taken_before_others_came_is_not_given_out_twice() {
        let dynamic: Arc<dyn MemoryPool> = Arc::new(QueryPool::new(1000));
        let register = || MemoryConsumer::new("n").with_can_spill(true).register(&dynamic);
        let first = register();
        first.try_grow(700).unwrap();
        let second = register();
        assert!(second.try_grow(51).is_err());
        second.try_grow(50).unwrap();
        assert_eq!(dynamic.reserved(), 750);
    }
}
