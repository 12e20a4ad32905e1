//! The command as a process of its own, fed with statements; counts what it acknowledges.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Longer than anything takes on a machine with much else to do: after that it hangs.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// A command that runs.
pub(super) struct Running {
    child: Child,
    acknowledged: Arc<AtomicUsize>,
    said: Option<JoinHandle<String>>,
    input: Option<Sender<String>>,
}

/// A command that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// Statements and imports that it has acknowledged.
    pub(super) acknowledged: usize,
    /// How many of them count: before the power was cut, if it was.
    pub(super) certain: usize,
    /// What else it said on standard error.
    pub(super) said: String,
    /// How it ended.
    pub(super) status: ExitStatus,
}

impl Running {
    pub(super) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let (input, statements) = channel::<String>();
        std::thread::spawn(move || {
            for statement in statements {
                if stdin.write_all(statement.as_bytes()).is_err() {
                    return; // it has ended
                }
            }
        });
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&acknowledged);
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let said = std::thread::spawn(move || {
            let mut other = String::new();
            for line in stderr.lines().map_while(Result::ok) {
                let counts = line.contains(" inserted") || line.starts_with("imported ");
                if counts && !line.starts_with("error") {
                    counter.fetch_add(1, Ordering::SeqCst);
                } else {
                    other.push_str(&line);
                    other.push('\n');
                }
            }
            other
        });
        Self { child, acknowledged, said: Some(said), input: Some(input) }
    }

    /// Puts statements into the pipe; the command runs them one after the other.
    pub(super) fn send(&self, statements: impl IntoIterator<Item = String>) {
        let Some(input) = &self.input else { panic!("the input has ended") };
        for statement in statements {
            // It fails if the command has ended, which its status will tell.
            let _ = input.send(statement);
        }
    }

    /// Ends the input: the command closes the database once it has done what was sent.
    pub(super) fn end_input(&mut self) {
        self.input = None;
    }

    /// Waits for some acknowledgements. An error: the command ended before, or hangs.
    pub(super) fn wait_for(&mut self, count: usize) -> Result<(), String> {
        let started = Instant::now();
        while self.acknowledged() < count {
            if started.elapsed() > PATIENCE {
                return Err("it hangs: no acknowledgement for a minute".to_string());
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                return Err(format!("the command ended by itself: {status}"));
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok(())
    }

    /// Statements and imports that it has acknowledged so far.
    pub(super) fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::SeqCst)
    }

    /// Ends it with SIGKILL, if it has not ended by itself.
    pub(super) fn kill(mut self) -> Ended {
        self.child.kill().unwrap();
        self.ended()
    }

    /// Waits for its end. An error: it hangs, and was killed.
    pub(super) fn wait(mut self) -> Result<Ended, String> {
        let started = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            if started.elapsed() > PATIENCE {
                return Err(format!("it hangs: {:?}", self.kill()));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(self.ended())
    }

    fn ended(&mut self) -> Ended {
        self.input = None;
        let status = self.child.wait().unwrap();
        let said = self.said.take().unwrap().join().unwrap();
        let acknowledged = self.acknowledged();
        Ended { acknowledged, certain: acknowledged, said, status }
    }
}

impl Drop for Running {
    /// A test that fails leaves no process behind.
    fn drop(&mut self) {
        if self.said.is_some() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
