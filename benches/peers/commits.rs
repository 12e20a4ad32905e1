//! The growing map as an engine uses it: every statement makes a new version of the map, which
//! readers have from then on, and the old one goes when nobody looks at it any more.
//!
//! Invariant: a version that somebody keeps has what was there when it was made, and nothing else.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use omen_index::runs::RunMap;

/// Entries between two looks at whether a merge is due.
const LOOK_EVERY: usize = 4096;

/// Versions that are kept and checked.
const KEPT: usize = 8;

/// Clones taken in one go, so that the clock costs next to nothing.
const CLONES: u32 = 1_000;

/// Nanoseconds per statement of `rows` entries each, merging included; the map at the end.
///
/// # Panics
/// If a version does not have what it should.
pub fn statement_ns(entries: &[(u64, u64)], rows: usize) -> (f64, RunMap) {
    let statements = entries.len().div_ceil(rows);
    let keep_every = statements.div_ceil(KEPT);
    let (mut kept, mut since_look) = (Vec::new(), 0);
    let mut published: Arc<RunMap> = Arc::default();
    let started = Instant::now();
    for (number, statement) in entries.chunks(rows).enumerate() {
        let mut next = RunMap::clone(&published);
        next.extend(statement.iter().copied(), |_| true);
        since_look += statement.len();
        if since_look >= LOOK_EVERY {
            since_look = 0;
            while let Some(task) = next.merge_due() {
                next.install(task.run(|_| true));
            }
        }
        if number % keep_every == keep_every / 2 {
            kept.push((number * rows, Arc::clone(&published)));
        }
        published = Arc::new(next);
    }
    let ns = started.elapsed().as_nanos() as f64 / statements as f64;
    for (len, version) in kept {
        assert_eq!(version.len(), len, "a version has entries of its own time");
        for i in (0..entries.len()).step_by(entries.len() / 500 + 1).chain([len]) {
            let (key, value) = entries[i];
            assert_eq!(version.get(key), Some(value).filter(|_| i < len), "entry {i} of {len}");
        }
    }
    (ns, Arc::unwrap_or_clone(published))
}

/// Nanoseconds of a snapshot that is let go at once.
pub fn snapshot_ns(map: &RunMap) -> f64 {
    let started = Instant::now();
    for _ in 0..CLONES {
        black_box(map.clone());
    }
    started.elapsed().as_nanos() as f64 / f64::from(CLONES)
}
