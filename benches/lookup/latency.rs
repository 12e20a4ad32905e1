//! What a load costs on the machine: without it, no nanoseconds can be compared between machines.

use std::time::Instant;

use omen_benches::Random;

/// Words of a cache line; one is used.
const LINE_WORDS: usize = 16;

/// A walk that visits every cache line of so many bytes once, in random order.
pub fn cycle(bytes: usize) -> Vec<u32> {
    let mut random = Random::new(bytes as u64);
    let mut lines: Vec<usize> = (0..bytes / (4 * LINE_WORDS)).collect();
    // Sattolo's shuffle, which makes one cycle of all.
    for i in (1..lines.len()).rev() {
        lines.swap(i, random.below(i as u64) as usize);
    }
    let mut next = vec![0; bytes / 4];
    for (line, following) in lines.into_iter().enumerate() {
        next[line * LINE_WORDS] = (following * LINE_WORDS) as u32;
    }
    next
}

/// Nanoseconds of a step, the best of a few walks.
pub fn chase_ns(next: &[u32], steps: usize) -> f64 {
    let walk = |mut at: u32| {
        let started = Instant::now();
        for _ in 0..steps {
            at = next[at as usize];
        }
        (started.elapsed().as_nanos() as f64 / steps as f64, at)
    };
    let (mut best, mut at) = walk(0);
    for _ in 0..8 {
        let (ns, reached) = walk(at);
        (best, at) = (best.min(ns), reached);
    }
    // The last line visited is used, so the walk is not left out.
    if at == u32::MAX { f64::NAN } else { best }
}
