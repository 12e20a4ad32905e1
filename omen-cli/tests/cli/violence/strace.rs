//! The command under strace, which makes calls of the system fail, and what strace wrote of it.
//!
//! Calls are counted for each thread by itself, so a call is chosen as the n-th of its name on the
//! thread that makes it: one worker thread makes them repeat from run to run. Not every run is
//! alike all the same; what was really hit is read from the trace.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

use crate::omen::{Place, binary};

/// The calls that matter to a database's files.
const CALLS: &str = "openat,write,pwrite64,fsync,fdatasync,fallocate,ftruncate,link,linkat,rename,\
                     renameat,renameat2,unlink,unlinkat";

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Purpose {
    /// A log or the folder of logs.
    Log,
    /// A manifest or their folder; also one that has no name yet.
    Manifest,
    /// A segment or deletion vectors, or their folder; also those that have no name yet.
    Segment,
    /// Another file of the database: its lock, its folder, a blob of which nothing is written yet.
    Other,
    /// No file of the database.
    Foreign,
}

/// A call of the system, as it was traced.
#[derive(Debug, Clone)]
pub(super) struct Call {
    /// Its name.
    pub(super) name: String,
    /// It is the n-th of its name on its thread, from 1 on.
    pub(super) number: u64,
    /// What it was about.
    pub(super) purpose: Purpose,
    /// Whether it failed because it was told to.
    pub(super) injected: bool,
    /// The line of the trace.
    pub(super) line: String,
}

/// One run of the command under strace.
pub(super) struct Strace<'a> {
    place: &'a Place,
    trace: PathBuf,
    options: Vec<String>,
}

/// Whether strace is here and may do its work. An error: what is missing.
pub(super) fn works() -> Result<(), String> {
    let mut command = Command::new("strace");
    let output = command.args(["-f", "--seccomp-bpf", "-e", "trace=openat", "true"]).output();
    let output = output.map_err(|error| format!("strace does not run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("strace fails: {}", said.lines().last().unwrap_or_default()))
}

impl<'a> Strace<'a> {
    /// Traces alone.
    pub(super) fn new(place: &'a Place) -> Self {
        let options = vec![format!("--trace={CALLS}")];
        Self { place, trace: place.path().join("trace"), options }
    }

    /// Calls that are not made and succeed all the same.
    pub(super) fn succeeding_without_effect(mut self, calls: &[&str]) -> Self {
        self.options.push(format!("--inject={}:retval=0", calls.join(",")));
        self
    }

    /// Calls of one name that are not made; `what` and `when` in strace's words.
    pub(super) fn failing(mut self, call: &str, what: &str, when: &str) -> Self {
        self.options.push(format!("--inject={call}:{what}:when={when}"));
        self
    }

    /// The command under strace.
    pub(super) fn command(&self, arguments: &[&OsStr]) -> Command {
        let mut command = self.place.program("strace", &["-f", "--seccomp-bpf", "-y", "-s", "8"]);
        command.arg("-o").arg(&self.trace).args(&self.options).arg(binary()).args(arguments);
        command.env("TOKIO_WORKER_THREADS", "1");
        command
    }

    /// The calls that were made.
    pub(super) fn calls(&self) -> Vec<Call> {
        let text = String::from_utf8_lossy(&std::fs::read(&self.trace).unwrap()).into_owned();
        calls(&text)
    }
}

/// Reads a trace whose lines begin with the thread.
fn calls(trace: &str) -> Vec<Call> {
    let mut unfinished: HashMap<&str, String> = HashMap::new();
    let mut counts: HashMap<(String, String), u64> = HashMap::new();
    // Blobs have random names while they are written; their first bytes say what they are.
    let mut nameless: HashMap<String, Purpose> = HashMap::new();
    let mut found = Vec::new();
    for line in trace.lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        let whole = if let Some(begun) = rest.strip_suffix(" <unfinished ...>") {
            unfinished.insert(thread, begun.to_string());
            continue;
        } else if let Some((_, end)) = rest.split_once(" resumed>") {
            unfinished.remove(thread).unwrap_or_default() + end
        } else {
            rest.to_string()
        };
        let Some((name, _)) = whole.split_once('(') else { continue };
        if name.contains(' ') {
            continue; // the end of a thread, a signal
        }
        let number = counts.entry((thread.to_string(), name.to_string())).or_default();
        *number += 1;
        found.push(Call {
            name: name.to_string(),
            number: *number,
            purpose: purpose(&whole, &mut nameless),
            injected: whole.ends_with("(INJECTED)"),
            line: whole,
        });
    }
    found
}

fn purpose(call: &str, nameless: &mut HashMap<String, Purpose>) -> Purpose {
    let has = |part: &str| call.contains(part);
    if has("db/log") {
        return Purpose::Log;
    }
    if has("db/manifest") {
        return Purpose::Manifest;
    }
    if has("db/segments") {
        return Purpose::Segment;
    }
    if let Some((_, rest)) = call.split_once("db/tmp/") {
        let name = rest.split_once(".tmp").map_or(rest, |(name, _)| name);
        if call.starts_with("write(") || call.starts_with("pwrite64(") {
            let is_manifest = has("\"OM ");
            let first = if is_manifest { Purpose::Manifest } else { Purpose::Segment };
            nameless.entry(name.to_string()).or_insert(first);
        }
        return nameless.get(name).copied().unwrap_or(Purpose::Other);
    }
    if has("/db>") || has("db/") || has("\"db\"") { Purpose::Other } else { Purpose::Foreign }
}

#[test]
fn a_trace_is_read_over_interrupted_lines() {
    let trace = "7  openat(AT_FDCWD</x>, \"db/log/01.log\", O_RDONLY) = 3</x/db/log/01.log>\n\
        7  fsync(4</x/db/tmp/ab.tmp> <unfinished ...>\n\
        8  write(4</x/db/tmp/ab.tmp>, \"PAR1\\25\"..., 9) = 9\n\
        7  <... fsync resumed>) = -1 EIO (Input/output error) (INJECTED)\n\
        7  fsync(4</x/db/tmp/ab.tmp>) = 0\n\
        8  write(5<anon_inode:[eventfd]>, \"\\1\", 8) = 8\n\
        7  +++ exited with 0 +++\n";
    let found: Vec<_> = calls(trace)
        .into_iter()
        .map(|call| (call.name, call.number, call.purpose, call.injected))
        .collect();
    let call =
        |name: &str, number, purpose, injected| (name.to_string(), number, purpose, injected);
    assert_eq!(
        found,
        [
            call("openat", 1, Purpose::Log, false),
            call("write", 1, Purpose::Segment, false),
            call("fsync", 1, Purpose::Segment, true),
            call("fsync", 2, Purpose::Segment, false),
            call("write", 2, Purpose::Foreign, false),
        ]
    );
}
