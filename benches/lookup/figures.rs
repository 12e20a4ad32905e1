//! Figures for programs: the ratios that are goals, each the worst of its workloads.
//!
//! `index_lookup_1M_vs_btreemap_smooth` is how many times faster than `BTreeMap` the index is on
//! the smooth workload where it is least so; `_any` takes all workloads in.

use omen_benches::figure::{at_least, at_most, measured};
use omen_benches::settings::size_name;

use super::rounds::{Outcome, Way};

const OMEN: &str = "omen-index";
const TREE: &str = "S+-tree";

/// By how much the search tree may be slower here than where its figures were measured.
const RIVAL_MARGIN: f64 = 1.3;

/// What an earlier attempt claimed over `BTreeMap` at a million keys, unchecked.
const CLAIMED: [(&str, f64); 5] = [
    ("sequential", 20.8),
    ("bursty", 11.4),
    ("interleaved", 7.4),
    ("zipfian", 7.5),
    ("random", 2.2),
];

/// The goals at a size. Sizes between have those of the next smaller one.
struct Goals {
    binary_search: f64,
    tree_batched: f64,
    floor: f64,
    /// The search tree's own figures: single and batched, in ns.
    tree_ns: (f64, f64),
}

fn goals(size: usize) -> Goals {
    match size {
        0..10_000_000 => {
            Goals { binary_search: 4.0, tree_batched: 1.0, floor: 4.0, tree_ns: (26.0, 11.0) }
        }
        10_000_000..100_000_000 => {
            Goals { binary_search: 4.0, tree_batched: 1.3, floor: 2.5, tree_ns: (70.0, 24.0) }
        }
        _ => Goals { binary_search: 8.0, tree_batched: 1.5, floor: 2.5, tree_ns: (145.0, 50.0) },
    }
}

/// Prints the figures of one size.
pub fn print(size: usize, outcomes: &[Outcome]) {
    let sheet = Sheet { prefix: format!("index_lookup_{}", size_name(size)), outcomes };
    let goals = goals(size);
    println!();
    sheet.faster("btreemap", "BTreeMap", 10.0, 5.0);
    sheet.claims(size);
    sheet.faster("binary_search", "partition_point", goals.binary_search, 1.8);
    sheet.faster("radix_spline", "radix_spline", 2.0, 1.3);
    sheet.against_tree(&goals);
    sheet.against_floor(&goals);
    sheet.never_slower();
    sheet.memory();
    sheet.rival(&goals);
}

struct Sheet<'a> {
    prefix: String,
    outcomes: &'a [Outcome],
}

impl Sheet<'_> {
    /// The smallest value over the workloads of a kind; infinite if there are none.
    fn least(&self, smooth_only: bool, value: impl Fn(&Outcome) -> f64) -> f64 {
        let kind = self.outcomes.iter().filter(|o| o.workload.is_smooth || !smooth_only);
        kind.map(value).filter(|value| !value.is_nan()).fold(f64::INFINITY, f64::min)
    }

    fn most(&self, smooth_only: bool, value: impl Fn(&Outcome) -> f64) -> f64 {
        -self.least(smooth_only, |outcome| -value(outcome))
    }

    /// Prints a ratio that should be large, unless nothing was measured.
    fn at_least(&self, name: &str, value: f64, goal: f64) {
        if value.is_finite() {
            at_least(&format!("{}_{name}", self.prefix), value, goal);
        }
    }

    fn at_most(&self, name: &str, value: f64, goal: f64) {
        if value.is_finite() {
            at_most(&format!("{}_{name}", self.prefix), value, goal);
        }
    }

    fn measured(&self, name: &str, value: f64) {
        if value.is_finite() {
            measured(&format!("{}_{name}", self.prefix), value);
        }
    }

    /// Independent lookups beside a peer.
    fn faster(&self, name: &str, peer: &str, smooth: f64, any: f64) {
        let ratio = |outcome: &Outcome| speedup(outcome, peer, Way::Independent);
        self.at_least(&format!("vs_{name}_smooth"), self.least(true, ratio), smooth);
        self.at_least(&format!("vs_{name}_any"), self.least(false, ratio), any);
    }

    /// What has to be beaten on single workloads.
    fn claims(&self, size: usize) {
        let ratio = |outcome: &Outcome| speedup(outcome, "BTreeMap", Way::Independent);
        for outcome in self.outcomes {
            let name = outcome.workload.name;
            if name == "sequential" {
                self.at_least("vs_btreemap_sequential", ratio(outcome), 20.0);
            }
            let claim = CLAIMED.iter().find(|claim| claim.0 == name && size == 1_000_000);
            if let Some((_, claimed)) = claim {
                self.at_least(&format!("vs_claim_{name}"), ratio(outcome), *claimed);
            }
        }
    }

    fn against_tree(&self, goals: &Goals) {
        let single = |outcome: &Outcome| speedup(outcome, TREE, Way::Independent);
        let batched = |outcome: &Outcome| speedup(outcome, TREE, Way::Batched);
        self.at_least("vs_s_tree_smooth", self.least(true, single), 1.0);
        self.measured("vs_s_tree_any", self.least(false, single));
        self.at_least("batched_vs_s_tree_smooth", self.least(true, batched), goals.tree_batched);
        self.measured("batched_vs_s_tree_any", self.least(false, batched));
    }

    fn against_floor(&self, goals: &Goals) {
        let floors = |o: &Outcome| o.ns(OMEN, Way::Batched) / o.ns("floor", Way::Independent);
        self.at_most("batched_floors_smooth", self.most(true, floors), goals.floor);
        self.at_most("batched_floors_any", self.most(false, floors), 5.0);
        let batched = |outcome: &Outcome| outcome.ns(OMEN, Way::Batched);
        let spread = self.most(false, batched) / self.least(false, batched);
        self.at_most("batched_worst_to_best", spread, 4.0);
    }

    /// Binary search on any data and in every way.
    fn never_slower(&self) {
        let present = Way::Independent;
        let least = |way: Way, peers_way: Way| {
            self.least(false, |o| o.ns("partition_point", peers_way) / o.ns(OMEN, way))
        };
        let ratios = [
            least(present, present),
            least(Way::Dependent, Way::Dependent),
            least(Way::Batched, present),
            least(Way::AbsentIndependent, Way::AbsentIndependent),
            least(Way::AbsentBatched, Way::AbsentIndependent),
        ];
        self.at_least(
            "never_slower_than_binary_search",
            ratios.into_iter().fold(f64::INFINITY, f64::min),
            1.0,
        );
    }

    fn memory(&self) {
        let ratio = |o: &Outcome| o.bytes_per_key("BTreeMap") / o.bytes_per_key(OMEN);
        self.at_least("btreemap_bytes_to_index_bytes", self.least(false, ratio), 50.0);
    }

    /// Whether the search tree is the rival it should be: a weak one proves nothing.
    fn rival(&self, goals: &Goals) {
        let (single, batched) = goals.tree_ns;
        let ns = |way: Way| self.most(false, |outcome| outcome.ns(TREE, way));
        self.at_most("s_tree_ns", ns(Way::Independent), single * RIVAL_MARGIN);
        self.at_most("s_tree_batched_ns", ns(Way::Batched), batched * RIVAL_MARGIN);
    }
}

/// How many times faster than a peer the index is.
fn speedup(outcome: &Outcome, peer: &str, way: Way) -> f64 {
    outcome.ns(peer, way) / outcome.ns(OMEN, way)
}
