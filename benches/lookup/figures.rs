//! Figures for programs: the ratios that are goals, each the worst of its workloads.
//!
//! `index_lookup_1M_vs_btreemap_smooth` is how many times faster than `BTreeMap` the index is on
//! the smooth workload where it is least so; `_any` takes all workloads in. Goals are for stored
//! keys, but for one: binary search is never to be faster, whatever is asked for and how.

use super::rounds::{ABSENCES, Asked, Outcome, Way};
use super::sheet::{Row, Sheet};

const OMEN: &str = "omen-index";
const TREE: &str = "S+-tree";

/// Peers beside which lookups without goals are published: in names of figures, and in tables.
const PEERS: [(&str, &str); 4] = [
    ("btreemap", "BTreeMap"),
    ("binary_search", "partition_point"),
    ("radix_spline", "radix_spline"),
    ("s_tree", TREE),
];

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
    let sheet = Lookups(Sheet::new(size, "", outcomes));
    let goals = goals(size);
    println!();
    sheet.faster("btreemap", "BTreeMap", 10.0, 5.0);
    sheet.claims(size);
    sheet.faster("binary_search", "partition_point", goals.binary_search, 1.8);
    sheet.faster("radix_spline", "radix_spline", 2.0, 1.3);
    sheet.against_tree(&goals);
    sheet.against_floor(&goals);
    sheet.never_slower();
    sheet.dependent();
    sheet.absent();
    sheet.memory();
    sheet.rival(&goals);
}

impl Row for Outcome {
    fn is_smooth(&self) -> bool {
        self.workload.is_smooth
    }
}

struct Lookups<'a>(Sheet<'a, Outcome>);

impl Lookups<'_> {
    /// Independent lookups beside a peer.
    fn faster(&self, name: &str, peer: &str, smooth: f64, any: f64) {
        let ratio = |outcome: &Outcome| speedup(outcome, peer, Asked::Stored, Way::Independent);
        self.0.at_least(&format!("vs_{name}_smooth"), self.0.least(true, ratio), smooth);
        self.0.at_least(&format!("vs_{name}_any"), self.0.least(false, ratio), any);
    }

    /// What has to be beaten on single workloads.
    fn claims(&self, size: usize) {
        let ratio = |o: &Outcome| speedup(o, "BTreeMap", Asked::Stored, Way::Independent);
        for outcome in self.0.rows {
            let name = outcome.workload.name;
            if name == "sequential" {
                self.0.at_least("vs_btreemap_sequential", ratio(outcome), 20.0);
            }
            let claim = CLAIMED.iter().find(|claim| claim.0 == name && size == 1_000_000);
            if let Some((_, claimed)) = claim {
                self.0.at_least(&format!("vs_claim_{name}"), ratio(outcome), *claimed);
            }
        }
    }

    fn against_tree(&self, goals: &Goals) {
        let single = |outcome: &Outcome| speedup(outcome, TREE, Asked::Stored, Way::Independent);
        let batched = |outcome: &Outcome| speedup(outcome, TREE, Asked::Stored, Way::Batched);
        let sheet = &self.0;
        sheet.at_least("vs_s_tree_smooth", sheet.least(true, single), 1.0);
        sheet.measured("vs_s_tree_any", sheet.least(false, single));
        sheet.at_least("batched_vs_s_tree_smooth", sheet.least(true, batched), goals.tree_batched);
        sheet.measured("batched_vs_s_tree_any", sheet.least(false, batched));
    }

    fn against_floor(&self, goals: &Goals) {
        let batched = |outcome: &Outcome| outcome.ns(OMEN, Asked::Stored, Way::Batched);
        let floor = |outcome: &Outcome| outcome.ns("floor", Asked::Stored, Way::Independent);
        let floors = |outcome: &Outcome| batched(outcome) / floor(outcome);
        self.0.at_most("batched_floors_smooth", self.0.most(true, floors), goals.floor);
        self.0.at_most("batched_floors_any", self.0.most(false, floors), 5.0);
        let spread = self.0.most(false, batched) / self.0.least(false, batched);
        self.0.at_most("batched_worst_to_best", spread, 4.0);
    }

    /// Binary search on any data, in every way, for stored and absent keys.
    fn never_slower(&self) {
        let least = |asked: Asked, way: Way| {
            // Binary search has no batches.
            let peers_way = if way == Way::Batched { Way::Independent } else { way };
            let ns = |o: &Outcome| o.ns("partition_point", asked, peers_way);
            self.0.least(false, |outcome| ns(outcome) / outcome.ns(OMEN, asked, way))
        };
        let least_absent =
            |way: Way| ABSENCES.map(|asked| least(asked, way)).into_iter().fold(f64::MAX, f64::min);
        for (name, ratio) in [
            ("single", least(Asked::Stored, Way::Independent)),
            ("dependent", least(Asked::Stored, Way::Dependent)),
            ("batched", least(Asked::Stored, Way::Batched)),
            ("absent_single", least_absent(Way::Independent)),
            ("absent_batched", least_absent(Way::Batched)),
        ] {
            self.0.at_least(&format!("never_slower_than_binary_search_{name}"), ratio, 1.0);
        }
    }

    /// Chains of lookups that wait for each other, beside the independent ones.
    fn dependent(&self) {
        for (name, peer) in PEERS {
            let ratio = |outcome: &Outcome| speedup(outcome, peer, Asked::Stored, Way::Dependent);
            self.0.measured_least(&format!("dependent_vs_{name}"), ratio);
        }
    }

    /// Absent keys beside the stored ones.
    fn absent(&self) {
        for (kind, asked) in ["near", "domain", "outside"].into_iter().zip(ABSENCES) {
            for (name, peer) in PEERS {
                let ratio = |outcome: &Outcome| speedup(outcome, peer, asked, Way::Independent);
                self.0.measured_least(&format!("absent_{kind}_vs_{name}"), ratio);
            }
            let batched = |outcome: &Outcome| speedup(outcome, TREE, asked, Way::Batched);
            self.0.measured_least(&format!("absent_{kind}_batched_vs_s_tree"), batched);
        }
    }

    fn memory(&self) {
        let ratio = |o: &Outcome| o.bytes_per_key("BTreeMap") / o.bytes_per_key(OMEN);
        self.0.at_least("btreemap_bytes_to_index_bytes_smooth", self.0.least(true, ratio), 50.0);
        self.0.at_least("btreemap_bytes_to_index_bytes_any", self.0.least(false, ratio), 50.0);
    }

    /// Whether the search tree is the rival it should be: a weak one proves nothing.
    fn rival(&self, goals: &Goals) {
        let (single, batched) = goals.tree_ns;
        let ns = |way: Way| self.0.most(false, |outcome| outcome.ns(TREE, Asked::Stored, way));
        self.0.at_most("s_tree_ns", ns(Way::Independent), single * RIVAL_MARGIN);
        self.0.at_most("s_tree_batched_ns", ns(Way::Batched), batched * RIVAL_MARGIN);
    }
}

/// How many times faster than a peer the index is.
fn speedup(outcome: &Outcome, peer: &str, asked: Asked, way: Way) -> f64 {
    outcome.ns(peer, asked, way) / outcome.ns(OMEN, asked, way)
}
