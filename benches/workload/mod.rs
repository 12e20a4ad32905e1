//! The key sets of the index benches: ten synthetic distributions and two real ones.
//!
//! Each is a strictly ascending sequence of `u64`, the same in every run. What each stands for is
//! in [`Workload::note`]; how it is made, in `synthetic` and `real`. Probes for lookups are drawn
//! in `probes`, absent keys in `absent`, key ranges in `ranges`. `pages` lays keys out as a file
//! does, `texts` makes keys that are byte strings.

mod absent;
mod pages;
mod probes;
mod ranges;
mod real;
mod synthetic;
mod texts;

pub use absent::{Absence, Absent};
pub use pages::Pages;
pub use probes::{MISS, Pool, Probes};
pub use ranges::draw_range;
pub use texts::{PackedTexts, TextWorkload, draw_absent_text, draw_stored_text};

use crate::settings;

/// A named key set of any size.
#[derive(Debug, Clone, Copy)]
pub struct Workload {
    /// The name in tables, figures and the environment.
    pub name: &'static str,
    /// What it models.
    pub note: &'static str,
    /// Whether short straight pieces describe it well; goals differ.
    pub is_smooth: bool,
    make: fn(usize) -> Vec<u64>,
}

const ALL: &[Workload] = &[
    Workload {
        name: "sequential",
        note: "ids handed out one by one",
        is_smooth: true,
        make: synthetic::sequential,
    },
    Workload {
        name: "interleaved",
        note: "16 devices, each with its own dense stream of jittered times: (device, time)",
        is_smooth: true,
        make: synthetic::interleaved,
    },
    Workload {
        name: "zipfian",
        note: "gaps between ids follow Zipf's law: most are short, some 100,000 times longer",
        is_smooth: true,
        make: synthetic::zipfian,
    },
    Workload {
        name: "random",
        note: "hashes or random ids, uniform over all 64 bits",
        is_smooth: true,
        make: synthetic::random,
    },
    Workload {
        name: "lognormal",
        note: "sizes, prices, durations: log-normal with sigma 2",
        is_smooth: true,
        make: synthetic::lognormal,
    },
    Workload {
        name: "outliers",
        note: "uniform user ids below 2^38 and 21 far above, up to 2^63, as in a social network",
        is_smooth: true,
        make: synthetic::outliers,
    },
    Workload {
        name: "flights",
        note: "real: (hour, carrier, flight) of New York's flights in 2013; years repeat as needed",
        is_smooth: true,
        make: real::flights,
    },
    Workload {
        name: "weather",
        note: "real: (station, hour) of New York's weather in 2013; years repeat as needed",
        is_smooth: true,
        make: real::weather,
    },
    Workload {
        name: "bursty",
        note: "event times in microseconds: bursts of 1 to 4,096 events, up to 10 s between them",
        is_smooth: false,
        make: synthetic::bursty,
    },
    Workload {
        name: "clustered",
        note: "places in 20,000 towns of very different size, numbered along a space-filling curve",
        is_smooth: false,
        make: synthetic::clustered,
    },
    Workload {
        name: "steps",
        note: "adversarial: dense stretches of 16 to 65,536 keys, enormous jumps between them",
        is_smooth: false,
        make: synthetic::steps,
    },
    Workload {
        name: "cascade",
        note: "adversarial: self-similar, at every scale one half of a range holds 3/4 of its keys",
        is_smooth: false,
        make: synthetic::cascade,
    },
];

impl Workload {
    /// All workloads, or those that `WORKLOADS` in the environment names.
    pub fn chosen() -> Vec<Workload> {
        let names: Vec<&str> = ALL.iter().map(|workload| workload.name).collect();
        let all = ALL.iter().copied();
        match settings::chosen("WORKLOADS", &names) {
            Some(words) => all.filter(|w| words.iter().any(|word| word == w.name)).collect(),
            None => all.collect(),
        }
    }

    /// `count` keys, strictly ascending.
    ///
    /// # Panics
    /// If the keys made are not what was promised.
    pub fn keys(&self, count: usize) -> Vec<u64> {
        let keys = (self.make)(count);
        assert!(keys.len() == count, "{}: {} keys, not {count}", self.name, keys.len());
        assert!(keys.is_sorted_by(|a, b| a < b), "{}: keys do not ascend", self.name);
        keys
    }
}

/// How many keys the real files hold: (name, count).
pub fn real_sizes() -> [(&'static str, usize); 2] {
    [("flights", real::FLIGHTS), ("weather", real::WEATHER)]
}

#[cfg(test)]
mod tests;
