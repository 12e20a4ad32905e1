//! A map of either kind of keys beside a `BTreeMap` that holds what is live, through whatever
//! befalls it: entries that die and come again, snapshots, lines of descent that part, merges that
//! are installed late, twice or never.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Debug;

use proptest::prelude::*;

use super::super::*;
use crate::runs::ByteKeys;

/// A kind of keys; all are made from numbers, in the same order.
trait Kind: KeyList + Clone {
    type Owned: Debug + AsKey<Self>;
    fn make(number: u64) -> Self::Owned;
    fn number(key: Self::Key<'_>) -> u64;
}

trait AsKey<L: KeyList> {
    fn as_key(&self) -> L::Key<'_>;
}

impl Kind for Vec<u64> {
    type Owned = u64;
    fn make(number: u64) -> u64 {
        number
    }
    fn number(key: u64) -> u64 {
        key
    }
}

impl AsKey<Vec<u64>> for u64 {
    fn as_key(&self) -> u64 {
        *self
    }
}

impl Kind for ByteKeys {
    type Owned = Vec<u8>;
    /// With a beginning in common, in which one model key is not enough, and of different lengths.
    fn make(number: u64) -> Vec<u8> {
        let mut key = b"a table/".to_vec();
        key.extend_from_slice(&(number >> 32).to_be_bytes());
        key.extend_from_slice(&number.to_be_bytes()[4..]);
        key.extend((0..number % 5).map(|_| b'x'));
        key
    }
    fn number(key: &[u8]) -> u64 {
        let high = u32::from_be_bytes(key[12..16].try_into().unwrap());
        let low = u32::from_be_bytes(key[16..20].try_into().unwrap());
        u64::from(high) << 32 | u64::from(low)
    }
}

impl AsKey<ByteKeys> for Vec<u8> {
    fn as_key(&self) -> &[u8] {
        self
    }
}

#[derive(Clone, Debug)]
enum Order {
    AsDrawn,
    Ascending,
    Descending,
}

#[derive(Clone, Debug)]
enum Step {
    /// One by one, scattered.
    Insert(u16),
    Extend(Vec<u32>, Order),
    /// Above all others.
    Append(u16),
    Extremes,
    /// Every so many of the live keys die.
    Kill(u16),
    /// The same, and they are added again.
    Again(u16, Order),
    /// The lowest keys die and come again many times.
    Overwrite(u8, u8),
    MergeBegins,
    MergeEnds,
    MergeIsForgotten,
    Snapshot,
    /// A line of descent begins here, and this one rests.
    Branch,
    /// Goes on with another line.
    Switch,
}

fn step() -> impl Strategy<Value = Step> {
    let order = prop_oneof![Just(Order::AsDrawn), Just(Order::Ascending), Just(Order::Descending)];
    prop_oneof![
        4 => (1u16..5000).prop_map(Step::Insert),
        3 => (prop::collection::vec(0u32..1 << 20, 1..5000), order.clone())
            .prop_map(|(keys, order)| Step::Extend(keys, order)),
        3 => (1u16..9000).prop_map(Step::Append),
        1 => Just(Step::Extremes),
        2 => (2u16..50).prop_map(Step::Kill),
        3 => (2u16..50, order).prop_map(|(every, order)| Step::Again(every, order)),
        1 => (1u8..200, 1u8..60).prop_map(|(keys, times)| Step::Overwrite(keys, times)),
        2 => Just(Step::MergeBegins),
        2 => Just(Step::MergeEnds),
        1 => Just(Step::MergeIsForgotten),
        3 => Just(Step::Snapshot),
        2 => Just(Step::Branch),
        2 => Just(Step::Switch),
    ]
}

/// Scattered keys, a different one for each count.
fn scattered(count: u64) -> u64 {
    count.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// A map, and what it should hold. A clone is a snapshot, or another line.
#[derive(Clone)]
struct Line<L: Kind> {
    map: RunMap<L>,
    live: BTreeMap<u64, u64>,
    dead: HashSet<u64>,
    /// The key of every value ever added.
    added: HashMap<u64, u64>,
    /// Entries added so far; the value of the last one.
    count: u64,
}

impl<L: Kind> Line<L> {
    /// Adds those keys that have no live value.
    fn extend(&mut self, keys: impl IntoIterator<Item = u64>) {
        let mut new = Vec::new();
        for key in keys {
            if !self.live.contains_key(&key) {
                self.count += 1;
                self.live.insert(key, self.count);
                self.added.insert(self.count, key);
                new.push((L::make(key), self.count));
            }
        }
        let entries = new.iter().map(|(key, value)| (key.as_key(), *value));
        match self.count % 3 {
            // Not known beforehand how many there are.
            0 => self.map.extend(entries.filter(|_| true), |value| !self.dead.contains(&value)),
            _ => self.map.extend(entries, |value| !self.dead.contains(&value)),
        }
    }

    fn insert(&mut self, key: u64) {
        if !self.live.contains_key(&key) {
            self.count += 1;
            self.live.insert(key, self.count);
            self.added.insert(self.count, key);
            self.map.insert(L::make(key).as_key(), self.count);
        }
    }

    fn kill(&mut self, keys: &[u64]) {
        self.dead.extend(keys.iter().filter_map(|key| self.live.remove(key)));
    }

    fn every(&self, every: u16) -> Vec<u64> {
        self.live.keys().copied().skip(usize::from(every) / 2).step_by(every.into()).collect()
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Insert(keys) => {
                for _ in 0..*keys {
                    self.insert(scattered(self.count + 1));
                }
            }
            Step::Extend(keys, order) => {
                let keys = keys.iter().copied().map(u64::from).collect();
                self.extend(in_order(keys, order));
            }
            Step::Append(keys) => {
                let top = self.live.keys().next_back().map_or(0, |key| key.saturating_add(1));
                self.extend((0..u64::from(*keys)).filter_map(|i| top.checked_add(i * 3)));
            }
            Step::Extremes => self.extend([u64::MAX, 0]),
            Step::Kill(every) => self.kill(&self.every(*every)),
            Step::Again(every, order) => {
                let keys = self.every(*every);
                self.kill(&keys);
                self.extend(in_order(keys, order));
            }
            Step::Overwrite(keys, times) => {
                let keys: Vec<u64> = (0..u64::from(*keys)).map(|key| key * 7).collect();
                for _ in 0..*times {
                    self.kill(&keys);
                    self.extend(keys.iter().copied());
                }
            }
            _ => {}
        }
    }

    /// What is due, or else all runs: so many keys that something is due would take long.
    fn some_merge(&self) -> Option<MergeTask<L>> {
        let all = Some(MergeTask { runs: self.map.runs().to_vec() });
        self.map.merge_due().or(all).filter(|task| task.runs.len() > 1)
    }

    fn check(&self) {
        let is_live = |value| !self.dead.contains(&value);
        let present = self.added.values().copied().step_by(5);
        let near = present.flat_map(|key| [key, key.wrapping_add(1), key.wrapping_sub(3)]);
        let numbers: Vec<u64> = near.chain([0, u64::MAX]).collect();
        let probes: Vec<L::Owned> = numbers.iter().map(|&number| L::make(number)).collect();
        let keys: Vec<L::Key<'_>> = probes.iter().map(|probe| probe.as_key()).collect();
        let (mut found, mut got) = (vec![Some(7); keys.len()], vec![Some(7); keys.len()]);
        self.map.find_many(&keys, is_live, &mut found);
        self.map.get_many(&keys, &mut got);
        for ((&key, number), (found, got)) in keys.iter().zip(&numbers).zip(found.iter().zip(got)) {
            let expected = self.live.get(number).copied();
            assert_eq!((self.map.find(key, is_live), *found), (expected, expected), "{number}");
            for value in [self.map.get(key), got] {
                assert!(expected.is_none() || value.is_some());
                assert!(value.is_none_or(|value| self.added[&value] == *number));
            }
        }
        self.check_order();
    }

    fn check_order(&self) {
        let all = self.map.range(L::make(0).as_key(), None);
        assert_eq!(all.len(), self.map.len());
        // Of one key several may be there, none of them twice.
        assert!(all.is_sorted_by_key(|value| self.added[value]));
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
        let live: Vec<u64> = all.iter().copied().filter(|v| !self.dead.contains(v)).collect();
        assert!(live.iter().eq(self.live.values()), "what is live, in order");

        let ends = all.first().zip(all.last()).map(|(a, b)| (self.added[a], self.added[b]));
        let bounds = self.map.bounds().map(|(min, max)| (L::number(min), L::number(max)));
        assert_eq!(bounds, ends);

        let some: Vec<u64> = all.iter().step_by(all.len() / 6 + 1).copied().collect();
        for (start, end) in some.iter().flat_map(|a| some.iter().map(move |b| (a, b))) {
            // Bounds that are keys, and such that are not.
            let (start, end) = (self.added[start], self.added[end].wrapping_add(start % 2));
            let is_inside = |value: &&u64| (start..end).contains(&self.added[*value]);
            let mut expected: Vec<u64> = all.iter().filter(is_inside).copied().collect();
            expected.sort_by_key(|value| (self.added[value], *value));
            let (start, end) = (L::make(start), L::make(end));
            // Of equal keys, any may come first.
            let mut found = self.map.range(start.as_key(), Some(end.as_key()));
            assert!(found.is_sorted_by_key(|value| self.added[value]), "a range is in order");
            found.sort_by_key(|value| (self.added[value], *value));
            assert!(found == expected, "a range of {} entries", expected.len());
        }
    }
}

fn in_order(mut keys: Vec<u64>, order: &Order) -> Vec<u64> {
    match order {
        Order::AsDrawn => {}
        Order::Ascending => keys.sort_unstable(),
        Order::Descending => keys.sort_unstable_by(|a, b| b.cmp(a)),
    }
    keys
}

/// Takes all steps, then checks all lines and all snapshots.
fn go_through<L: Kind>(steps: &[Step]) {
    let new = Line::<L> {
        map: RunMap::new(),
        live: BTreeMap::new(),
        dead: HashSet::new(),
        added: HashMap::new(),
        count: 0,
    };
    let (mut snapshots, mut task) = (vec![new.clone()], None);
    let (mut line, mut others) = (new, Vec::new());
    for step in steps {
        line.apply(step);
        let is_live = |value| !line.dead.contains(&value);
        match step {
            Step::MergeBegins => task = task.or_else(|| line.some_merge()),
            Step::MergeEnds => {
                if let Some(task) = task.take() {
                    let again = MergeTask { runs: task.runs.clone() };
                    // Short runs may have been merged at once meanwhile.
                    let is_here = |run| line.map.runs().iter().any(|here| Arc::ptr_eq(here, run));
                    let are_here = task.runs.iter().all(is_here);
                    assert_eq!(line.map.install(task.run(is_live)), are_here);
                    assert!(!line.map.install(again.run(is_live)), "installed twice");
                }
            }
            Step::MergeIsForgotten => task = None,
            Step::Snapshot if snapshots.len() < 6 => snapshots.push(line.clone()),
            // Values are dead in one line that are not in the other: a task is of one line.
            Step::Branch if others.len() < 2 => {
                others.push((line.clone(), None));
            }
            Step::Switch if !others.is_empty() => {
                let (other, other_task) = others.remove(0);
                let resting = std::mem::replace(&mut line, other);
                others.push((resting, std::mem::replace(&mut task, other_task)));
            }
            _ => {}
        }
    }
    line.check();
    while let Some(task) = line.map.merge_due() {
        assert!(line.map.install(task.run(|value| !line.dead.contains(&value))));
    }
    line.check();
    snapshots.iter().chain(others.iter().map(|(other, _)| other)).for_each(Line::check);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn numbers_are_held_as_in_a_tree(steps in prop::collection::vec(step(), 1..40)) {
        go_through::<Vec<u64>>(&steps);
    }

    #[test]
    fn byte_strings_are_held_as_in_a_tree(steps in prop::collection::vec(step(), 1..40)) {
        go_through::<ByteKeys>(&steps);
    }
}
