//! Time, as pauses between attempts go by it: the system's, or one that whoever tests moves.
//!
//! Chosen with the options; the engine asks it when it may try again what failed. Never goes back.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Where the system's clock begins to count: when it is asked for the first time.
static START: OnceLock<Instant> = OnceLock::new();

/// A clock; clones of one show the same time. Default: the system's.
#[derive(Debug, Clone, Default)]
pub struct Clock(Option<Arc<AtomicU64>>);

impl Clock {
    /// A clock that stands still but for [`Clock::advance`].
    pub fn stopped() -> Self {
        Self(Some(Arc::default()))
    }

    /// Moves a clock that stands still; the system's goes by itself.
    pub fn advance(&self, by: Duration) {
        if let Some(milliseconds) = &self.0 {
            milliseconds.fetch_add(by.as_millis() as u64, SeqCst);
        }
    }

    /// Whether it goes on only when somebody moves it.
    pub(crate) fn stands_still(&self) -> bool {
        self.0.is_some()
    }

    /// Returns after a pause of this length; on a clock that stands still, after all others had
    /// their turn.
    pub(crate) async fn pause(&self, length: Duration) {
        if self.0.is_some() {
            return tokio::task::yield_now().await;
        }
        // Not every runtime has timers.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => {
                let slept = runtime.spawn_blocking(move || std::thread::sleep(length)).await;
                // A runtime that ends cuts the pause short.
                drop(slept);
            }
            Err(_) => std::thread::sleep(length),
        }
    }

    /// Time since some moment in the past.
    pub(crate) fn now(&self) -> Duration {
        match &self.0 {
            Some(milliseconds) => Duration::from_millis(milliseconds.load(SeqCst)),
            None => START.get_or_init(Instant::now).elapsed(),
        }
    }
}
