//! The interactive command in a terminal of its own.
//!
//! Nothing here waits by sleeping: the editor says by a control sequence that it takes keys (it
//! turns bracketed paste on) and that it has handed a statement over (off). In between the terminal
//! is an ordinary one, where Ctrl-C is a signal; so keys sent after the one or the other mean what
//! they would mean to a person.

use std::time::{Duration, Instant};

use rexpect::process::WaitStatus;
use rexpect::session::{PtySession, spawn_command};

use crate::omen::{Place, binary};

/// Longer than anything takes on a machine with much else to do; shorter than any of the queries
/// that never end.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

const TAKES_KEYS: &str = "\x1b[?2004h";
pub(crate) const HANDED_OVER: &str = "\x1b[?2004l";

pub(crate) const ARROW_UP: &str = "\x1b[A";
pub(crate) const CTRL_C: &str = "\x03";
pub(crate) const CTRL_D: &str = "\x04";
pub(crate) const ENTER: &str = "\r";

/// A shell that a person types into.
pub(crate) struct Terminal {
    session: PtySession,
    /// What was printed and not yet looked at.
    screen: String,
    /// What was said before the first prompt.
    pub(crate) greeting: String,
}

impl Terminal {
    /// Starts the command with `arguments` and waits for its prompt.
    pub(crate) fn start(place: &Place, arguments: &[&str]) -> Self {
        Self::start_by(place, &binary(), arguments)
    }

    /// The same, by way of another program.
    pub(crate) fn start_by(place: &Place, program: &str, arguments: &[&str]) -> Self {
        let mut command = place.program(program, arguments);
        // As many as on the smallest machine, so that few statements can keep all of them busy.
        command.env("TERM", "xterm").env("TOKIO_WORKER_THREADS", "2");
        let session = spawn_command(command, None).unwrap();
        let mut terminal = Self { session, screen: String::new(), greeting: String::new() };
        terminal.greeting = terminal.until_prompt();
        terminal
    }

    /// Presses keys.
    pub(crate) fn press(&mut self, keys: &str) {
        self.session.send(keys).unwrap();
        self.session.flush().unwrap();
    }

    /// Waits for `text` on the screen; returns what came before.
    #[track_caller]
    pub(crate) fn until(&mut self, text: &str) -> String {
        self.until_within(text, PATIENCE)
            .unwrap_or_else(|| panic!("no {text:?}: {:?}", self.screen))
    }

    fn until_within(&mut self, text: &str, patience: Duration) -> Option<String> {
        let started = Instant::now();
        loop {
            while let Some(printed) = self.session.try_read() {
                self.screen.push(printed);
            }
            if let Some((before, after)) = self.screen.split_once(text) {
                let (before, after) = (before.to_string(), after.to_string());
                self.screen = after;
                return Some(before);
            }
            if started.elapsed() > patience {
                return None;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until the shell takes keys again; returns what was printed before.
    #[track_caller]
    pub(crate) fn until_prompt(&mut self) -> String {
        self.until(TAKES_KEYS).replace("\r\n", "\n").trim().to_string()
    }

    /// Types a statement and has it run.
    #[track_caller]
    pub(crate) fn enter(&mut self, statement: &str) {
        self.press(statement);
        self.press(ENTER);
        self.until(HANDED_OVER);
    }

    /// Runs a statement; returns what is printed until the next prompt.
    #[track_caller]
    pub(crate) fn answer(&mut self, statement: &str) -> String {
        self.enter(statement);
        self.until_prompt()
    }

    /// Waits until the shell takes keys and has nothing left to do. After a Ctrl-C that came too
    /// late for a statement this is not plain: it ends an empty line, and what is typed meanwhile
    /// may go with it.
    #[track_caller]
    pub(crate) fn settle(&mut self) {
        for attempt in 0..40 {
            self.press(&format!("SELECT 'set' || 'tled {attempt}';\r"));
            if self.until_within(&format!("settled {attempt}"), PATIENCE / 40).is_some() {
                self.until_prompt();
                return;
            }
        }
        panic!("it does not settle: {:?}", self.screen);
    }

    /// Waits for the end of the command; returns its exit code.
    #[track_caller]
    pub(crate) fn ended(mut self) -> i32 {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            match self.session.process().status() {
                Some(WaitStatus::Exited(_, code)) => return code,
                Some(WaitStatus::StillAlive) => std::thread::sleep(Duration::from_millis(20)),
                other => panic!("ended by {other:?}"),
            }
            // A full terminal would keep the command from ending.
            while self.session.try_read().is_some() {}
        }
        panic!("it runs on after {PATIENCE:?}");
    }
}
