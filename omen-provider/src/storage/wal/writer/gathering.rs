//! How a group comes together before it is synced.
//!
//! Who waits for a round gives others a turn first, until as many statements are queued as there
//! were at the last one: whoever was told then is back with its next statement. Otherwise the first
//! one back syncs alone, and all others wait for two syncs. Each waiter counts for itself, and any
//! of them begins the round: nobody depends on another who may never be polled again.
//!
//! Once in [`LOOK_ROUNDS`] rounds, turns are given until nobody comes any more: on one thread
//! nobody is queued during a sync, so that a group which was once torn would not find together
//! again. A turn takes as long as what others compute in it.
//!
//! Called by the writer.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use super::{Clock, Inner, State};

/// How often in succession turns are given without one more statement being queued: once more than
/// tokio lets a task have that is ready before it looks for those which other threads have spawned.
const TURNS_MAX: u32 = 64;
/// In how many rounds it is looked once whether there are more than were at the last.
const LOOK_ROUNDS: u64 = 256;
/// After how long no more turns are given.
const GATHERING_MAX: Duration = Duration::from_millis(1);

/// What one waiter has seen of the group that it waits for.
pub(super) struct Gathering {
    /// None: gives no turns.
    clock: Option<Clock>,
    since: Option<Duration>,
    queued: usize,
    turns: u32,
}

impl Gathering {
    pub(super) fn new(clock: &Clock) -> Self {
        Self { clock: Some(clock.clone()), ..Self::none() }
    }

    /// Of who begins a round at once.
    pub(super) fn none() -> Self {
        Self { clock: None, since: None, queued: 0, turns: 0 }
    }

    /// For the next group.
    pub(super) fn begin_anew(&mut self) {
        (self.since, self.queued, self.turns) = (None, 0, 0);
    }

    /// Whether to give one more turn, with so many statements queued.
    fn gives_turn(&mut self, queued: usize) -> bool {
        let Some(clock) = &self.clock else { return false };
        let now = clock.now();
        let since = *self.since.get_or_insert(now);
        self.turns = if queued > self.queued { 0 } else { self.turns + 1 };
        self.queued = queued;
        self.turns < TURNS_MAX && now.saturating_sub(since) < GATHERING_MAX
    }
}

/// Lets other tasks run. (Not as tokio's own does it, which wakes nobody before the thread that
/// polls is back in its runtime: a program may block it on a statement, with another executor.)
pub(super) async fn give_turn() {
    let mut is_given = false;
    poll_fn(|context| {
        if std::mem::replace(&mut is_given, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl<V> Inner<V> {
    /// Whether a waiter gives others a turn before it begins a round.
    pub(super) fn is_gathering(&self, state: &State<V>, gathering: &mut Gathering) -> bool {
        // There may be no sync to share; and nobody comes behind the end of a file.
        if self.deferred.get().is_some() || state.queue.last().is_none_or(|last| last.is_seal()) {
            return false;
        }
        let queued = state.queue.len();
        let looks = state.rounds % LOOK_ROUNDS == LOOK_ROUNDS - 1;
        (looks || queued < state.together) && gathering.gives_turn(queued)
    }
}
