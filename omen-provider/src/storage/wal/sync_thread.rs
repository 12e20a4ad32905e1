//! A thread that does one thing a while after it was asked to: syncs the log.
//!
//! A thread of its own, since a sync blocks for milliseconds, and because it must come also where
//! statements run on runtimes that are busy, have ended, or have no timers.
//!
//! Called by the writer (`writer/deferred.rs`), where syncs come after acknowledgements.
//!
//! Invariant: it is awake only when something was asked for, and has ended when [`SyncThread`] is
//! dropped.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// As the system's tools show it.
const NAME: &str = "omen-sync";

/// The thread; dropped, it is gone.
#[derive(Debug)]
pub(super) struct SyncThread {
    alarm: Arc<Alarm>,
    thread: Option<JoinHandle<()>>,
}

/// When the thread is to wake.
#[derive(Debug, Default)]
struct Alarm {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    due: Option<Instant>,
    ended: bool,
}

impl SyncThread {
    /// Starts a thread that does `work` each time it was asked to.
    ///
    /// # Errors
    /// If the system has no thread left.
    pub(super) fn start(work: impl FnMut() + Send + 'static) -> io::Result<Self> {
        let alarm = Arc::new(Alarm::default());
        let of_thread = Arc::clone(&alarm);
        let thread = Builder::new().name(NAME.to_string()).spawn(move || of_thread.wait(work))?;
        Ok(Self { alarm, thread: Some(thread) })
    }

    /// Asks for the work after this pause, if it is not due sooner.
    pub(super) fn work_after(&self, pause: Duration) {
        let mut state = self.alarm.lock();
        let asked = Instant::now().checked_add(pause);
        if asked.is_some_and(|asked| state.due.is_none_or(|due| asked < due)) {
            state.due = asked;
            self.alarm.changed.notify_one();
        }
    }
}

impl Drop for SyncThread {
    fn drop(&mut self) {
        self.alarm.lock().ended = true;
        self.alarm.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // Whatever it panicked of was printed.
            let _ = thread.join();
        }
    }
}

impl Alarm {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works whenever that is due, until the end.
    fn wait(&self, mut work: impl FnMut()) {
        let mut state = self.lock();
        while !state.ended {
            let left = state.due.map(|due| due.saturating_duration_since(Instant::now()));
            state = match left {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => {
                    state.due = None;
                    drop(state);
                    work();
                    self.lock()
                }
                Some(left) => {
                    let woken = self.changed.wait_timeout(state, left);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn it_works_once_for_each_time_it_is_asked_and_ends_when_dropped() {
        let (done, seen) = channel();
        let thread = SyncThread::start(move || done.send(Instant::now()).unwrap()).unwrap();
        for pause in [0, 30] {
            let asked = Instant::now();
            thread.work_after(Duration::from_millis(pause));
            // Due already.
            thread.work_after(Duration::from_secs(3600));
            let worked = seen.recv_timeout(Duration::from_secs(60)).unwrap();
            assert!(worked - asked >= Duration::from_millis(pause));
        }
        thread.work_after(Duration::from_secs(3600));
        drop(thread);
        // Its end has closed the channel: nothing was sent, and nothing can be any more.
        assert!(seen.recv().is_err());
    }
}
