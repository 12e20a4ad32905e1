//! Memory that statements of many rows share while they are prepared.
//!
//! Who wants to hold many rows takes a share first and waits while others have all of it. A waiting
//! statement must not wait for one that itself waits for rows: they may come from where the first
//! one's do, one after the other. So whoever holds a share and has no row to go on with is told
//! that others wait, and gives it back.
//!
//! Called by `engine/load` and `engine/commit`. Invariant: shares add up to the whole at most; one
//! that is larger than the whole counts as the whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// Shares are counted in pieces of this many bytes.
const PIECE: usize = 1 << 10;

/// A number of bytes that can be taken.
#[derive(Debug)]
pub struct Budget {
    free: Arc<Semaphore>,
    pieces: u32,
    waiting: AtomicUsize,
    somebody_waits: Notify,
}

/// Bytes that were taken; given back when dropped.
#[derive(Debug)]
pub struct Share {
    _permit: Option<OwnedSemaphorePermit>,
}

/// One that waits.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

impl Budget {
    /// A budget of `bytes`.
    pub fn new(bytes: usize) -> Self {
        let pieces = u32::try_from(bytes.div_ceil(PIECE)).unwrap_or(u32::MAX).max(1);
        Self {
            free: Arc::new(Semaphore::new(pieces as usize)),
            pieces,
            waiting: AtomicUsize::new(0),
            somebody_waits: Notify::new(),
        }
    }

    /// Takes `bytes`; waits, in turn, until there are so many.
    pub async fn take(&self, bytes: usize) -> Share {
        let pieces = u32::try_from(bytes.div_ceil(PIECE)).unwrap_or(u32::MAX).min(self.pieces);
        if let Ok(permit) = Arc::clone(&self.free).try_acquire_many_owned(pieces) {
            return Share { _permit: Some(permit) };
        }
        self.waiting.fetch_add(1, SeqCst);
        let _waiting = Waiting(&self.waiting);
        self.somebody_waits.notify_waiters();
        // The semaphore is never closed.
        Share { _permit: Arc::clone(&self.free).acquire_many_owned(pieces).await.ok() }
    }

    /// Returns when somebody waits for a share.
    pub async fn is_wanted(&self) {
        loop {
            let mut told = std::pin::pin!(self.somebody_waits.notified());
            told.as_mut().enable();
            if self.waiting.load(SeqCst) > 0 {
                return;
            }
            told.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn shares_add_up_to_the_whole_at_most() {
        let budget = Budget::new(10 * PIECE);
        let first = budget.take(6 * PIECE).await;
        assert!(budget.take(5 * PIECE).now_or_never().is_none());
        let second = budget.take(4 * PIECE).await;
        drop(first);
        assert!(budget.take(7 * PIECE).now_or_never().is_none());
        drop(second);
        let whole = budget.take(1000 * PIECE).await;
        assert!(budget.take(1).now_or_never().is_none());
        drop(whole);
        budget.take(1).await;
    }

    #[tokio::test]
    async fn who_holds_a_share_is_told_that_others_wait() {
        let budget = Budget::new(PIECE);
        let held = budget.take(PIECE).await;
        assert!(budget.is_wanted().now_or_never().is_none());
        let (share, ()) = tokio::join!(budget.take(PIECE), async {
            budget.is_wanted().await;
            drop(held);
        });
        assert!(budget.is_wanted().now_or_never().is_none(), "nobody waits any more");
        drop(share);
    }
}
