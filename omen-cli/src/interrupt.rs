//! Ctrl-C: ends the statement or the command that runs, never by killing it halfway.
//!
//! One listener lives as long as the process, so that no signal falls between two statements. A
//! second Ctrl-C that comes before the first was heeded ends the process at once: what was
//! acknowledged is safe from that.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::common::runtime::SpawnedTask;
use futures::future::poll_immediate;
use tokio::sync::Notify;

use crate::failure::{Failure, Result};

/// Whether a Ctrl-C waits to be heeded.
static PENDING: AtomicBool = AtomicBool::new(false);
/// Wakes who can heed it; keeps one wake-up for who comes later.
static WAKE: Notify = Notify::const_new();

/// Listens from now on, in a thread of its own: a statement may keep every worker busy without ever
/// letting go of it.
pub(crate) fn listen() -> Result<()> {
    let (ready, installed) = std::sync::mpsc::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("interrupt".to_string()).spawn(move || {
        runtime.block_on(async {
            let mut first = Box::pin(tokio::signal::ctrl_c());
            // The first poll installs the handler.
            let early = poll_immediate(&mut first).await;
            // Nobody waits any more if the process is about to end.
            let _ = ready.send(());
            let mut outcome = match early {
                Some(outcome) => outcome,
                None => first.await,
            };
            while outcome.is_ok() {
                if PENDING.swap(true, Ordering::SeqCst) {
                    std::process::exit(Failure::Interrupted.exit_code());
                }
                WAKE.notify_one();
                outcome = tokio::signal::ctrl_c().await;
            }
        });
    })?;
    // An error means that the thread ended: there is nothing to listen to.
    let _ = installed.recv();
    Ok(())
}

/// Runs `work` until it is done or Ctrl-C was pressed.
pub(crate) async fn interruptible<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let work = pin!(work);
    tokio::select! {
        biased;
        () = WAKE.notified() => {
            PENDING.store(false, Ordering::SeqCst);
            Err(Failure::Interrupted)
        }
        outcome = work => outcome,
    }
}

/// The same for work that ends with the process, on another thread: it need not let go of it for
/// Ctrl-C to be heard.
pub(crate) async fn interruptible_apart<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    interruptible(async { SpawnedTask::spawn(work).await? }).await
}

/// Forgets a Ctrl-C that came too late for what it was meant for.
pub(crate) async fn forget() {
    if poll_immediate(pin!(WAKE.notified())).await.is_some() {
        PENDING.store(false, Ordering::SeqCst);
    }
}
