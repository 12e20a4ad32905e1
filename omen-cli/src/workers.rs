//! The threads that statements run on, apart from those of the database and the prompt.
//!
//! An operator may compute for hours without once letting go of its thread, and a thread cannot be
//! killed. So a statement that Ctrl-C ends is left behind together with its threads, and the next
//! one gets new threads. What is left behind computes on until its operator looks up, or until the
//! process ends; nothing waits for it.
//!
//! Called by `execute`. Invariant: a statement that was left behind stores nothing that it had not
//! begun to commit. It stops where it waits the next time, and the database, which commits on
//! threads of its own (`Options::runtime`), waits once before it begins.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use crate::failure::{Failure, Result};

/// Stack of a worker: deep SQL recurses, deepest in builds without optimisation.
const STACK_BYTES: usize = 16 << 20;

/// Descriptors that a runtime takes, and some.
#[cfg(unix)]
const DESCRIPTORS: usize = 8;

/// An error where so few files may be open that making a runtime would panic.
pub(crate) fn check_descriptors() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        let pair = |_| std::os::unix::net::UnixStream::pair();
        (0..DESCRIPTORS / 2).map(pair).collect::<std::io::Result<Vec<_>>>()?;
    }
    Ok(())
}

/// A runtime whose workers have room for deep SQL.
pub(crate) fn runtime() -> Builder {
    let mut builder = Builder::new_multi_thread();
    builder.enable_all().thread_stack_size(STACK_BYTES);
    builder
}

/// Runs one statement after the other.
#[derive(Default)]
pub(crate) struct Workers {
    crew: Option<Crew>,
}

/// The threads of one runtime. Never simply dropped: that waits for them.
struct Crew {
    runtime: Runtime,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    left: AtomicBool,
    threads: AtomicUsize,
}

/// Threads that were left behind.
pub(crate) struct LeftBehind(Arc<Shared>);

impl Workers {
    /// Starts a statement. Dropping what is returned does not end it.
    pub(crate) fn start<T: Send + 'static>(
        &mut self,
        statement: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<JoinHandle<Result<T>>> {
        let crew = match self.crew.take() {
            Some(crew) if crew.is_free() => crew,
            busy => {
                busy.map(Crew::leave);
                Crew::new()?
            }
        };
        let shared = Arc::clone(&crew.shared);
        let task = crew.runtime.spawn(async move {
            let mut statement = pin!(statement);
            poll_fn(|context| match shared.left.load(SeqCst) {
                true => Poll::Ready(Err(Failure::Interrupted)),
                false => statement.as_mut().poll(context),
            })
            .await
        });
        self.crew = Some(crew);
        Ok(task)
    }

    /// Leaves the statement that runs behind, if there is one.
    pub(crate) fn leave_behind(&mut self) -> Option<LeftBehind> {
        self.crew.take().map(Crew::leave)
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        // Dropping a runtime would wait for its threads.
        self.leave_behind();
    }
}

impl Crew {
    fn new() -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let (started, stopped) = (Arc::clone(&shared), Arc::clone(&shared));
        let runtime = runtime()
            .thread_name("statement")
            .on_thread_start(move || _ = started.threads.fetch_add(1, SeqCst))
            .on_thread_stop(move || _ = stopped.threads.fetch_sub(1, SeqCst))
            .build()?;
        Ok(Self { runtime, shared })
    }

    /// Whether nothing of an earlier statement runs any more. (A statement can end before its
    /// operators do: one that LIMIT has cut off may be far from looking up.)
    fn is_free(&self) -> bool {
        const LOOKS: usize = 20;
        (0..LOOKS).any(|_| {
            let free = self.runtime.metrics().num_alive_tasks() == 0;
            if !free {
                // A task that has just ended is counted for some moments more.
                std::thread::yield_now();
            }
            free
        })
    }

    fn leave(self) -> LeftBehind {
        self.shared.left.store(true, SeqCst);
        self.runtime.shutdown_background();
        LeftBehind(self.shared)
    }
}

impl LeftBehind {
    /// Whether all of it comes to an end within a moment.
    pub(crate) async fn ends_soon(&self) -> bool {
        const LOOKS: usize = 20;
        const PAUSE: Duration = Duration::from_millis(5);
        for _ in 0..LOOKS {
            if self.0.threads.load(SeqCst) == 0 {
                return true;
            }
            tokio::time::sleep(PAUSE).await;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};

    use tokio::runtime::Handle;
    use tokio::sync::oneshot;

    use super::*;

    /// Keeps all workers busy: all but one until `end`, the last one until `go_on`. Then the
    /// statement would go on.
    async fn stuck(
        began: oneshot::Sender<()>,
        go_on: mpsc::Receiver<()>,
        end: mpsc::Receiver<()>,
        went_on: Arc<AtomicBool>,
    ) -> Result<()> {
        let others = Handle::current().metrics().num_workers() - 1;
        let (end, busy) = (Arc::new(Mutex::new(end)), Arc::new(AtomicUsize::new(0)));
        for _ in 0..others {
            let (end, busy) = (Arc::clone(&end), Arc::clone(&busy));
            tokio::spawn(async move {
                busy.fetch_add(1, SeqCst);
                let _ = end.lock().map(|end| end.recv());
            });
        }
        while busy.load(SeqCst) < others {
            // Not a mere yield: what yields stays with its worker, which may become busy for good.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let _ = began.send(());
        let _ = go_on.recv();
        tokio::task::yield_now().await;
        went_on.store(true, SeqCst);
        Ok(())
    }

    #[tokio::test]
    async fn stuck_statement_delays_nobody_and_never_goes_on() {
        let mut workers = Workers::default();
        let went_on = Arc::new(AtomicBool::new(false));
        for _ in 0..3 {
            let (began, has_begun) = oneshot::channel();
            // Dropped by a panic of this test, which lets the threads go.
            let ((tell, go_on), (tell_others, end)) = (mpsc::channel(), mpsc::channel());
            let task = workers.start(stuck(began, go_on, end, Arc::clone(&went_on))).unwrap();
            has_begun.await.unwrap();
            let left = workers.leave_behind().unwrap();
            assert!(!left.ends_soon().await);
            let next = workers.start(async { Ok(7) }).unwrap();
            let next = tokio::time::timeout(Duration::from_secs(60), next).await;
            assert_eq!(next.unwrap().unwrap().unwrap(), 7);
            tell.send(()).unwrap();
            let ended = task.await;
            assert!(!matches!(ended, Ok(Ok(()))), "{ended:?}");
            drop(tell_others);
            while !left.ends_soon().await {}
        }
        assert!(!went_on.load(SeqCst));
    }

    /// The threads of the crew, once what has ended is counted no more.
    async fn threads_of(workers: &Workers, tasks: usize) -> Arc<Shared> {
        let crew = workers.crew.as_ref().unwrap();
        while crew.runtime.metrics().num_alive_tasks() > tasks {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Arc::clone(&crew.shared)
    }

    #[tokio::test]
    async fn threads_are_used_again_unless_something_runs_on() {
        let mut workers = Workers::default();
        workers.start(async { Ok(()) }).unwrap().await.unwrap().unwrap();
        let first = threads_of(&workers, 0).await;
        workers.start(async { Ok(()) }).unwrap().await.unwrap().unwrap();
        assert!(Arc::ptr_eq(&first, &threads_of(&workers, 0).await));

        let (tell, go_on) = mpsc::channel::<()>();
        let leaves_a_task = async move {
            tokio::spawn(async move { go_on.recv() });
            Ok(())
        };
        workers.start(leaves_a_task).unwrap().await.unwrap().unwrap();
        assert!(Arc::ptr_eq(&first, &threads_of(&workers, 1).await));
        workers.start(async { Ok(()) }).unwrap().await.unwrap().unwrap();
        assert!(!Arc::ptr_eq(&first, &threads_of(&workers, 0).await));
        drop(tell);
    }
}
