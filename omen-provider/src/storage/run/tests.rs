use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, StringArray, UInt32Array};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use arrow::record_batch::RecordBatch;
use proptest::prelude::*;

use super::index::RunIndex;
use super::*;
use crate::storage::deletion_vector::DeletionVector;
use crate::storage::key::{KeyCodec, KeyRange, Keys};
use omen_index::fingerprints;

type Model = BTreeMap<i64, i64>;
type Rows = BTreeMap<Vec<u8>, i64>;

/// How keys are spelled: as integers (of fixed width) or as text (bytes with a common prefix).
#[derive(Debug, Clone, Copy)]
struct Spelling {
    text: bool,
}

impl Spelling {
    fn column(self, keys: &[i64]) -> ArrayRef {
        match self.text {
            true => Arc::new(StringArray::from_iter_values(
                keys.iter().map(|k| format!("device-{k:06}")),
            )),
            false => Arc::new(Int64Array::from(keys.to_vec())),
        }
    }

    fn codec(self) -> KeyCodec {
        let column = self.column(&[]);
        KeyCodec::new(std::iter::once(&Field::new("k", column.data_type().clone(), false))).unwrap()
    }

    fn encode(self, key: i64) -> Vec<u8> {
        self.codec().encode_prefix(&[self.column(&[key])]).unwrap()
    }

    fn run(self, rows: &Model) -> Arc<Run> {
        let keys: Vec<i64> = rows.keys().copied().collect();
        let key = self.column(&keys);
        let schema = Arc::new(Schema::new(vec![
            Field::new("k", key.data_type().clone(), false),
            Field::new("v", DataType::Int64, false),
        ]));
        let encoded = self.codec().encode(&[Arc::clone(&key)]).unwrap();
        let values: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.values().copied()));
        let batch = RecordBatch::try_new(schema, vec![key, values]).unwrap();
        let order = encoded.sorted_order();
        let batch =
            arrow::compute::take_record_batch(&batch, &UInt32Array::from(order.clone())).unwrap();
        Arc::new(Run::new(batch, encoded.take(&order)).unwrap())
    }
}

fn values(batches: &[RecordBatch]) -> Vec<i64> {
    let column = |b: &RecordBatch| b.column(1).as_primitive::<Int64Type>().values().to_vec();
    batches.iter().flat_map(column).collect()
}

/// Distinct byte strings that agree in many bytes, sorted.
fn byte_keys() -> impl Strategy<Value = Keys> {
    let byte = || prop_oneof![Just(0u8), Just(0xFF), Just(b'a'), any::<u8>()];
    let stems = prop::collection::vec(prop::collection::vec(byte(), 0..26), 1..4);
    let rest = (0usize..4, prop::collection::vec(byte(), 0..2), any::<u16>(), 0usize..20);
    (stems, prop::collection::vec(rest, 700..2500)).prop_map(|(stems, rests)| {
        let spell = |(stem, between, number, zeros): (usize, Vec<u8>, u16, usize)| {
            let stem: &[u8] = &stems[stem % stems.len()];
            let mut key = [stem, &between, &number.to_be_bytes()].concat();
            key.resize(key.len() + zeros.saturating_sub(15), 0);
            key
        };
        let mut spelled: Vec<Vec<u8>> = rests.into_iter().map(spell).collect();
        spelled.sort();
        spelled.dedup();
        let mut keys = Keys::new(None);
        spelled.iter().for_each(|key| keys.push(key));
        keys
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    #[test]
    fn byte_keys_of_a_run_are_found_by_any_index(keys in byte_keys(), others in byte_keys()) {
        let len = keys.len().min(others.len());
        let of_len = |keys: &Keys| keys.take(&(0..len as u32).collect::<Vec<_>>());
        let (keys, others) = (of_len(&keys), of_len(&others));
        let own = RunIndex::train(&keys).unwrap();
        let misled = RunIndex::train(&others).unwrap();
        prop_assert_eq!(own.is_some(), len > 512);
        for index in own.iter().chain(&misled) {
            for position in 0..len {
                let key = keys.get(position).into_owned();
                let mut next = key.clone();
                omen_index::key::successor(&mut next);
                let other = others.get(position).into_owned();
                let short = key[..key.len() * 2 / 3].to_vec();
                for probe in [key, next, other, short] {
                    let expected = keys.lower_bound_in(0..len, &probe);
                    prop_assert_eq!(index.lower_bound(&keys, &probe), expected);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn a_run_finds_every_key_and_no_other(
        keys in prop::collection::btree_map(0i64..3000, any::<i64>(), 1..900), text: bool,
    ) {
        let spelling = Spelling { text };
        let run = spelling.run(&keys);
        for probe in 0..3000 {
            let key = spelling.encode(probe);
            let value = run.find(&key, fingerprints::hash(&key)).map(|position| {
                let (batch, first) = run.batch_at(position);
                values(&[batch.slice((position - first) as usize, 1)])[0]
            });
            prop_assert_eq!(value, keys.get(&probe).copied());
            prop_assert_eq!(run.lower_bound(&key) as usize, keys.range(..probe).count());
        }
    }
}

/// What is done to a table's parts in memory.
#[derive(Debug, Clone)]
enum Step {
    /// Rows anywhere.
    Add(Vec<i64>),
    /// Rows above all there are.
    Append(u16),
    /// Deletions.
    Delete(Vec<i64>),
    MergeSmall,
    /// A background merge begins ...
    Freeze,
    /// ... and ends.
    Thaw,
    /// A statement that is applied and then given up.
    Abandon(Vec<i64>),
}

fn step() -> impl Strategy<Value = Step> {
    let keys = |most| prop::collection::vec(0i64..20_000, 1..most);
    prop_oneof![
        4 => keys(5).prop_map(Step::Add),
        2 => keys(60).prop_map(Step::Add),
        2 => keys(900).prop_map(Step::Add),
        1 => keys(6000).prop_map(Step::Add),
        4 => (1u16..700).prop_map(Step::Append),
        1 => (1u16..6000).prop_map(Step::Append),
        3 => keys(200).prop_map(Step::Delete),
        1 => Just(Step::MergeSmall),
        3 => Just(Step::Freeze),
        2 => Just(Step::Thaw),
        1 => keys(90).prop_map(Step::Abandon),
    ]
}

/// A table's parts in memory beside a map with the same rows.
struct Pair {
    spelling: Spelling,
    runs: Runs,
    model: Model,
    next_value: i64,
    /// The base of a merge that is under way, and what is being merged.
    merging: Option<(Runs, Vec<u64>)>,
    frozen: u64,
}

impl Pair {
    fn add(&mut self, keys: impl IntoIterator<Item = i64>) {
        let mut rows = Model::new();
        for key in keys {
            self.next_value += 1;
            rows.insert(key, self.next_value);
        }
        self.delete(&rows.keys().copied().collect::<Vec<_>>());
        self.runs.add(self.spelling.run(&rows), self.frozen).unwrap();
        self.model.extend(rows);
    }

    fn delete(&mut self, keys: &[i64]) {
        for key in keys {
            let place = self.runs.find(&self.spelling.encode(*key));
            assert_eq!(place.is_some(), self.model.remove(key).is_some(), "key {key}");
            if let Some((id, position)) = place {
                assert!(self.runs.mark(id, position));
            }
        }
    }

    fn freeze(&mut self) {
        if self.merging.is_none() && !self.runs.is_empty() {
            // A flush takes all parts, a merge those of a full tier.
            let all = || self.runs.iter().map(RunView::id).collect();
            let ids = self.runs.merge_due().unwrap_or_else(all);
            self.frozen = upcoming_id();
            self.merging = Some((self.runs.clone(), ids));
        }
    }

    /// Ends a merge as the engine does: marks that arrived meanwhile are carried over by key.
    fn thaw(&mut self) {
        let Some((base, ids)) = self.merging.take() else { return };
        self.frozen = 0;
        let view = base.merged(&ids).unwrap().map(|run| {
            let mut dead = DeletionVector::default();
            for id in &ids {
                let (old, new) = (base.get(*id).unwrap(), self.runs.get(*id).unwrap());
                assert_eq!(old.rows(), new.rows(), "a frozen part has grown");
                for position in new.dead().since(old.dead()) {
                    let key = old.key(position).unwrap();
                    dead.insert(run.find(&key, fingerprints::hash(&key)).unwrap());
                }
            }
            RunView::new(Arc::new(run), dead)
        });
        self.runs.replace(&ids, view);
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Add(keys) => self.add(keys),
            Step::Append(count) => {
                let top = self.model.keys().next_back().copied().unwrap_or(0).max(20_000);
                self.add(top + 1..=top + i64::from(count));
            }
            Step::Delete(keys) => self.delete(&keys),
            Step::MergeSmall => self.runs.merge_small(self.frozen, 4096).unwrap(),
            Step::Freeze => self.freeze(),
            Step::Thaw => self.thaw(),
            Step::Abandon(keys) => {
                let before = (self.runs.clone(), self.model.clone());
                self.add(keys);
                (self.runs, self.model) = before;
            }
        }
    }

    fn check(&self) {
        check(&self.runs, &self.model, self.spelling);
    }
}

/// The rows of all parts by encoded key; each part must give its own in order.
fn rows_of(runs: &Runs, ranges: Option<&[KeyRange]>, spelling: Spelling) -> Rows {
    let mut rows = Rows::new();
    for view in runs.iter() {
        let batches = view.select(ranges).unwrap();
        let codec = spelling.codec();
        let mut keys = Keys::new(codec.fixed_width());
        for batch in &batches {
            let encoded = codec.encode(&[Arc::clone(batch.column(0))]).unwrap();
            keys.extend_from(&encoded, 0..encoded.len());
        }
        assert!(keys.is_strictly_ascending());
        for (index, value) in values(&batches).into_iter().enumerate() {
            assert!(rows.insert(keys.get(index).into_owned(), value).is_none());
        }
    }
    rows
}

fn check(runs: &Runs, model: &Model, spelling: Spelling) {
    let rows = |model: Vec<(&i64, &i64)>| -> Rows {
        model.into_iter().map(|(key, value)| (spelling.encode(*key), *value)).collect()
    };
    assert_eq!(rows_of(runs, None, spelling), rows(model.iter().collect()));
    let value_at = |(id, position)| values(&[runs.get(id).unwrap().row(position).unwrap()])[0];
    let top = model.keys().next_back().copied().unwrap_or(0);
    let probes: Vec<i64> =
        (0..top + 3).step_by(37).chain(model.keys().copied().step_by(11)).collect();
    for &probe in &probes {
        let found = runs.find(&spelling.encode(probe)).map(value_at);
        assert_eq!(found, model.get(&probe).copied(), "key {probe}");
    }
    let sorted: std::collections::BTreeSet<i64> = probes.into_iter().collect();
    let sorted: Vec<i64> = sorted.into_iter().collect();
    let keys = spelling.codec().encode(&[spelling.column(&sorted)]).unwrap();
    let mut found = Model::new();
    runs.find_many(&keys, |index, id, position| {
        assert!(found.insert(sorted[index as usize], value_at((id, position))).is_none());
    });
    let wanted = |k: &&i64| model.contains_key(k);
    assert_eq!(found, sorted.iter().filter(wanted).map(|k| (*k, model[k])).collect());

    for (low, high) in [(0, 500), (7_000, 7_010), (19_000, 21_000), (top - 3, top + 9)] {
        let (start, end) = (spelling.encode(low.max(0)), Some(spelling.encode(high.max(1))));
        let range = KeyRange { start, end };
        let found = rows_of(runs, Some(&[range]), spelling);
        let expected = rows(model.range(low.max(0)..high.max(1)).collect());
        assert_eq!(found, expected, "keys {low}..{high}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn parts_in_memory_hold_what_a_map_holds(
        steps in prop::collection::vec(step(), 1..60), text: bool,
    ) {
        let mut pair = Pair {
            spelling: Spelling { text },
            runs: Runs::default(),
            model: Model::new(),
            next_value: 0,
            merging: None,
            frozen: 0,
        };
        let mut snapshots = Vec::new();
        for (i, step) in steps.into_iter().enumerate() {
            pair.apply(step);
            if i % 3 == 0 {
                // What a reader asked for must not be what a later one gets.
                rows_of(&pair.runs, None, pair.spelling);
            }
            if i % 7 == 0 {
                snapshots.push((pair.runs.clone(), pair.model.clone()));
            }
        }
        pair.check();
        pair.thaw();
        pair.check();
        // What came later is in none of the snapshots.
        for (runs, model) in snapshots {
            check(&runs, &model, pair.spelling);
        }
    }
}

fn add(runs: &mut Runs, keys: impl IntoIterator<Item = i64>) {
    let rows: Model = keys.into_iter().map(|key| (key, key)).collect();
    runs.add(Spelling { text: false }.run(&rows), 0).unwrap();
}

#[test]
fn rows_in_order_make_one_part_without_merging() {
    let mut runs = Runs::default();
    for batch in 0..200 {
        add(&mut runs, batch * 100..(batch + 1) * 100);
    }
    assert_eq!(runs.len(), 1);
    assert_eq!(runs.iter().next().map(RunView::rows), Some(20_000));
    assert_eq!(runs.merge_due(), None);
}

#[test]
fn single_rows_share_a_buffer_that_becomes_a_run() {
    let mut runs = Runs::default();
    for key in 0..512 {
        add(&mut runs, [(key * 331) % 512]);
    }
    assert_eq!(runs.iter().map(RunView::kind).collect::<Vec<_>>(), ["buffer"]);
    add(&mut runs, [512]);
    assert_eq!(runs.iter().map(RunView::kind).collect::<Vec<_>>(), ["run", "buffer"]);
    assert_eq!(runs.iter().next().map(RunView::rows), Some(512));
}

#[test]
fn merging_rows_in_order_copies_none() {
    let mut runs = Runs::default();
    for batch in 0..4 {
        add(&mut runs, batch * 5000..(batch + 1) * 5000);
    }
    let ids: Vec<u64> = runs.iter().map(RunView::id).collect();
    let before = runs.iter().next().unwrap().select(None).unwrap();
    let merged = runs.merged(&ids).unwrap().unwrap();
    for (old, (_, new)) in before.iter().zip(merged.batches()) {
        let address = |b: &RecordBatch| b.column(1).to_data().buffers()[0].as_ptr();
        assert_eq!(address(old), address(new));
    }
}

#[test]
fn streams_that_alternate_do_not_pile_up_parts() {
    let mut runs = Runs::default();
    for round in 0..200 {
        for stream in 0..2 {
            let first = stream * 1_000_000 + round * 100;
            add(&mut runs, first..first + 100);
            runs.merge_small(0, 4096).unwrap();
        }
    }
    assert!(runs.len() < 24, "{} parts", runs.len());
}

#[test]
fn buffers_left_behind_by_a_merge_are_drained() {
    let mut runs = Runs::default();
    let add_one = |runs: &mut Runs, key: i64, frozen: u64| {
        let rows = Model::from([(key, key)]);
        runs.add(Spelling { text: false }.run(&rows), frozen).unwrap();
        runs.iter().filter(|view| view.kind() == "buffer").count()
    };
    for round in 0..10 {
        add_one(&mut runs, round * 10, 0);
        assert_eq!(add_one(&mut runs, round * 10 + 1, upcoming_id()), 2);
        assert_eq!(add_one(&mut runs, round * 10 + 2, 0), 1);
    }
    assert_eq!(rows_of(&runs, None, Spelling { text: false }).len(), 30);
}
