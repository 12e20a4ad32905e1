//! What every fuzz target does before and after the decoder: seeds, bounds of memory, panics.
//!
//! Called by the targets (`src/bin/`); calls `omen_provider::fuzzing`, and [`sql`] for statements.
//! `seeds.rs` and `sql.rs` are compiled by the repository's tests too, which run every seed.

mod seeds;
pub mod sql;

use std::alloc::System;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use cap::Cap;

/// Counts what is allocated, and refuses what exceeds the bound of an input.
#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

/// Bytes that most inputs may take, and those that each of their bytes may take besides.
const BYTES_MAX: usize = 64 << 20;
const BYTES_PER_BYTE_MAX: usize = 256;

/// The folder that a target writes its seeds to, and does nothing else.
const SEEDS: &str = "OMEN_FUZZ_SEEDS";

/// Names the file that keeps the input at hand: nothing else is left when a stack has overflowed.
const LATEST: &str = "OMEN_FUZZ_INPUT";

/// The latest panic: many are caught, and what is caught is not to be printed.
static PANIC: Mutex<String> = Mutex::new(String::new());

/// What a target does once: see [`SEEDS`]; from then on panics are told only if they matter.
pub fn begin(target: &str) {
    let Some(folder) = std::env::var_os(SEEDS).map(PathBuf::from) else {
        std::panic::set_hook(Box::new(note));
        return;
    };
    let seeds = seeds::of(target);
    assert!(!seeds.is_empty(), "{target} has no seeds");
    for (number, seed) in seeds.iter().enumerate() {
        if let Err(error) = std::fs::write(folder.join(format!("seed-{number:04}")), seed) {
            panic!("{}: {error}", folder.display());
        }
    }
    println!("{target}: {} seeds", seeds.len());
    std::process::exit(0);
}

fn note(panic: &PanicHookInfo<'_>) {
    let told = format!("{panic}\n{}", std::backtrace::Backtrace::capture());
    *PANIC.lock().unwrap_or_else(PoisonError::into_inner) = told;
}

/// The latest panic, which is forgotten.
pub fn latest_panic() -> Option<String> {
    let told = std::mem::take(&mut *PANIC.lock().unwrap_or_else(PoisonError::into_inner));
    Some(told).filter(|told| !told.is_empty())
}

/// Keeps the input that comes next; see [`LATEST`].
pub fn note_input(input: &[u8]) {
    if let Some(path) = std::env::var_os(LATEST) {
        // Without it the input is only harder to find.
        let _ = std::fs::write(path, input);
    }
}

/// Gives an input to a decoder. A panic that comes out of it ends the process, and so does an
/// allocation beyond what an input of that length may take.
pub fn run(input: &[u8], decode: impl FnOnce(&[u8]) -> bool) {
    run_within(BYTES_MAX, input, decode);
}

/// As [`run`], for inputs that may take another number of bytes.
pub fn run_within(bytes_max: usize, input: &[u8], decode: impl FnOnce(&[u8]) -> bool) {
    let bound = bytes_max + BYTES_PER_BYTE_MAX * input.len();
    let _ = MEMORY.set_limit(MEMORY.allocated() + bound);
    let decoded = catch_unwind(AssertUnwindSafe(|| decode(input)));
    let _ = MEMORY.set_limit(usize::MAX);
    if decoded.is_err() {
        eprintln!("{}", latest_panic().unwrap_or_default());
        std::process::abort();
    }
}
