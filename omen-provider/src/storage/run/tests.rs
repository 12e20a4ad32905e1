use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, DictionaryArray, Int64Array, StringArray, UInt32Array};
use arrow::datatypes::{DataType, Field, Int8Type, Int64Type, Schema};
use arrow::record_batch::RecordBatch;
use proptest::prelude::*;

use super::rows::SHORT_ROWS;
use super::*;
use crate::storage::key::{KeyCodec, KeyRange, Keys};
use crate::storage::keyed_batch::KeyedBatch;
use crate::storage::schema::{Column, SecondaryIndex, TableSchema};

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

    /// The table, with an index over the values.
    fn schema(self) -> TableSchema {
        let fields = [("k", self.column(&[]).data_type().clone()), ("v", DataType::Int64)];
        let columns = (1..)
            .zip(fields)
            .map(|(id, (name, kind))| Column::new(id, Arc::new(Field::new(name, kind, false))));
        let index = SecondaryIndex {
            id: 1,
            name: "by_v".to_string(),
            columns: vec![2],
            is_unique: false,
            is_constraint: false,
            comment: None,
        };
        let schema = TableSchema::new(1, "t", columns.collect(), vec![0]).unwrap();
        schema.with_indexes(vec![index], 2).unwrap()
    }

    /// The same without an index.
    fn plain_schema(self) -> TableSchema {
        self.schema().with_indexes(Vec::new(), 2).unwrap()
    }

    fn add(self, runs: &mut Runs, rows: &Model, frozen: u64) {
        runs.add(&self.schema(), &self.batch(rows), frozen).unwrap();
    }

    fn batch(self, rows: &Model) -> KeyedBatch {
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
        KeyedBatch::new(batch, encoded.take(&order)).unwrap()
    }
}

fn values(batches: &[RecordBatch]) -> Vec<i64> {
    let column = |b: &RecordBatch| b.column(1).as_primitive::<Int64Type>().values().to_vec();
    batches.iter().flat_map(column).collect()
}

/// What is done to the runs of a table.
#[derive(Debug, Clone)]
enum Step {
    /// Rows anywhere.
    Add(Vec<i64>),
    /// Rows above all there are.
    Append(u16),
    /// Deletions.
    Delete(Vec<i64>),
    /// A merge of keys begins ...
    BeginMerge,
    /// ... and ends.
    EndMerge,
    /// A flush begins ...
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
        2 => keys(6000).prop_map(Step::Add),
        4 => (1u16..700).prop_map(Step::Append),
        1 => (1u16..6000).prop_map(Step::Append),
        3 => keys(200).prop_map(Step::Delete),
        1 => keys(5000).prop_map(Step::Delete),
        2 => Just(Step::BeginMerge),
        2 => Just(Step::EndMerge),
        1 => Just(Step::Freeze),
        2 => Just(Step::Thaw),
        1 => keys(90).prop_map(Step::Abandon),
    ]
}

/// A table's runs beside a map with the same rows.
struct Pair {
    spelling: Spelling,
    runs: Runs,
    model: Model,
    next_value: i64,
    merging: Option<(u64, super::part::RunMerge)>,
    /// What is being flushed.
    flushing: Option<Runs>,
    frozen: u64,
}

impl Pair {
    fn new(text: bool) -> Self {
        Self {
            spelling: Spelling { text },
            runs: Runs::default(),
            model: Model::new(),
            next_value: 0,
            merging: None,
            flushing: None,
            frozen: 0,
        }
    }

    fn add(&mut self, keys: impl IntoIterator<Item = i64>) {
        let mut rows = Model::new();
        for key in keys {
            self.next_value += 1;
            rows.insert(key, self.next_value);
        }
        self.delete(&rows.keys().copied().collect::<Vec<_>>());
        self.spelling.add(&mut self.runs, &rows, self.frozen);
        self.model.extend(rows);
    }

    fn delete(&mut self, keys: &[i64]) {
        for key in keys {
            let place = self.runs.find(&self.spelling.encode(*key));
            assert_eq!(place.is_some(), self.model.remove(key).is_some(), "key {key}");
            if let Some((id, position)) = place {
                assert!(self.runs.mark(id, position));
                assert!(!self.runs.mark(id, position));
            }
        }
    }

    fn end_merge(&mut self) {
        if let Some((id, merge)) = self.merging.take() {
            // Refused if the run was flushed meanwhile.
            self.runs.install(id, merge.run());
        }
    }

    /// Ends a flush as the engine does: its runs go, with the rows that are in them now.
    fn thaw(&mut self) {
        let Some(base) = self.flushing.take() else { return };
        self.frozen = 0;
        let mut ids = Vec::new();
        for old in base.iter() {
            let new = self.runs.get(old.id()).unwrap();
            assert_eq!(old.rows(), new.rows(), "a frozen run has grown");
            let marked: Vec<u32> = new.dead().since(old.dead()).collect();
            assert_eq!(old.select(None).count() - marked.len(), new.select(None).count());
            for value in values(&batches(new.select(None))) {
                let key = *self.model.iter().find(|(_, v)| **v == value).unwrap().0;
                self.model.remove(&key);
            }
            ids.push(old.id());
        }
        self.runs.remove(&ids);
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Add(keys) => self.add(keys),
            Step::Append(count) => {
                let top = self.model.keys().next_back().copied().unwrap_or(0).max(20_000);
                self.add(top + 1..=top + i64::from(count));
            }
            Step::Delete(keys) => self.delete(&keys),
            Step::BeginMerge => self.merging = self.merging.take().or(self.runs.merge_due()),
            Step::EndMerge => self.end_merge(),
            Step::Freeze if self.flushing.is_none() => {
                self.flushing = Some(self.runs.clone());
                self.frozen = upcoming_id();
            }
            Step::Freeze => {}
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

fn batches(scan: RunScan) -> Vec<RecordBatch> {
    scan.into_batches(None).map(Result::unwrap).collect()
}

/// The rows of all runs by encoded key; each run must give its own in order.
fn rows_of(runs: &Runs, ranges: Option<&[KeyRange]>, spelling: Spelling) -> Rows {
    let mut rows = Rows::new();
    for run in runs.iter() {
        let scan = run.select(ranges);
        let (count, batches) = (scan.count(), batches(scan));
        let codec = spelling.codec();
        let mut keys = Keys::new(codec.fixed_width());
        for batch in &batches {
            let encoded = codec.encode(&[Arc::clone(batch.column(0))]).unwrap();
            (0..encoded.len()).for_each(|i| keys.push_from(&encoded, i));
        }
        assert!(keys.is_strictly_ascending() && keys.len() == count);
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
    check_entries(runs, model);
}

/// Each run has its rows in the order of their values, and no others.
fn check_entries(runs: &Runs, model: &Model) {
    let mut all = Vec::new();
    for run in runs.iter() {
        let positions = run.positions(1, &[KeyRange::default()]).unwrap();
        let value = |position: &u32| values(&[run.row(*position).unwrap()])[0];
        let found: Vec<i64> = positions.iter().map(value).collect();
        assert!(found.is_sorted(), "entries ascend");
        all.extend(found);
    }
    all.sort_unstable();
    let mut expected: Vec<i64> = model.values().copied().collect();
    expected.sort_unstable();
    assert_eq!(all, expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn runs_hold_what_a_map_holds(
        steps in prop::collection::vec(step(), 1..60), text: bool,
    ) {
        let mut pair = Pair::new(text);
        let mut snapshots = Vec::new();
        for (i, step) in steps.into_iter().enumerate() {
            pair.apply(step);
            if i % 7 == 0 {
                snapshots.push((pair.runs.clone(), pair.model.clone()));
            }
        }
        pair.check();
        pair.end_merge();
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
    let spelling = Spelling { text: false };
    runs.add(&spelling.plain_schema(), &spelling.batch(&rows), 0).unwrap();
}

fn only(runs: &Runs) -> &Run {
    assert_eq!(runs.len(), 1);
    runs.iter().next().unwrap()
}

#[test]
fn rows_in_order_are_read_where_they_arrived() {
    let mut runs = Runs::default();
    let statements: Vec<KeyedBatch> = (0..600)
        .map(|i| (0..1000).map(|k| (i * 1000 + k, k)).collect::<Model>())
        .map(|rows| Spelling { text: false }.batch(&rows))
        .collect();
    let schema = Spelling { text: false }.plain_schema();
    statements.iter().for_each(|statement| runs.add(&schema, statement, 0).unwrap());
    let read = batches(only(&runs).select(None));
    assert_eq!(read.len(), statements.len());
    let address = |b: &RecordBatch| b.column(1).to_data().buffers()[0].as_ptr();
    for (given, read) in statements.iter().zip(&read) {
        assert_eq!(address(given.rows()), address(read));
    }
    assert!(runs.merge_due().is_none());
}

#[test]
fn single_rows_are_joined_and_stay_where_they_are() {
    let (mut runs, count) = (Runs::default(), 3000);
    let key_at = |i: i64| (i * 331) % count;
    for i in 0..count {
        add(&mut runs, [key_at(i)]);
        if i % 500 == 0 {
            (0..=i).for_each(|p| {
                assert_eq!(values(&[only(&runs).row(p as u32).unwrap()]), [key_at(p)]);
            });
        }
    }
    let run = only(&runs);
    assert!((0..count).all(|p| values(&[run.row(p as u32).unwrap()]) == [key_at(p)]));
    assert!(run.row(count as u32).is_none());
    assert_eq!(values(&batches(run.select(None))), (0..count).collect::<Vec<_>>());
    // A row of two numbers, its key and what finds it; not a batch for each.
    assert!(run.byte_size() < 400_000, "{} bytes", run.byte_size());
}

#[test]
fn some_columns_are_gathered_or_none() {
    let mut runs = Runs::default();
    (0..50).rev().for_each(|i| add(&mut runs, [i, i + 1000]));
    let run = only(&runs);
    let read = |columns: &[usize], most| -> Vec<RecordBatch> {
        let scan = run.select(None).first(most);
        scan.into_batches(Some(columns.to_vec())).map(Result::unwrap).collect()
    };
    let one = read(&[1], 60);
    assert_eq!((one.len(), one[0].num_columns(), one[0].num_rows()), (1, 1, 60));
    let none = read(&[], 7);
    assert_eq!((none.len(), none[0].num_columns(), none[0].num_rows()), (1, 0, 7));
    assert!(read(&[0, 1], 0).is_empty());
}

/// Each statement has a dictionary of its own, and all values together are too many for one.
#[test]
fn dictionaries_that_do_not_fit_together_are_read_apart() {
    let (statements, rows) = (SHORT_ROWS as i64, 3i64);
    let schema = Spelling { text: false }.plain_schema();
    let mut runs = Runs::default();
    let key_of = |statement: i64, row: i64| (statement * 37) % statements + row * statements;
    for statement in 0..statements {
        let keys: Vec<i64> = (0..rows).map(|row| key_of(statement, row)).collect();
        let key: ArrayRef = Arc::new(Int64Array::from(keys.clone()));
        let texts = keys.iter().map(|key| format!("value {key}"));
        let words: DictionaryArray<Int8Type> =
            texts.collect::<Vec<_>>().iter().map(|t| t.as_str()).collect();
        let batch = RecordBatch::try_from_iter([
            ("k", Arc::clone(&key)),
            ("v", Arc::new(words) as ArrayRef),
        ]);
        let encoded = Spelling { text: false }.codec().encode(&[key]).unwrap();
        let batch = KeyedBatch::new(batch.unwrap(), encoded).unwrap();
        runs.add(&schema, &batch, 0).unwrap();
    }
    let mut next = 0;
    for batch in batches(only(&runs).select(None)) {
        let words = batch.column(1).as_dictionary::<Int8Type>();
        for word in words.downcast_dict::<StringArray>().unwrap() {
            assert_eq!(word, Some(format!("value {next}").as_str()));
            next += 1;
        }
    }
    assert_eq!(next, statements * rows);
}

#[test]
fn a_frozen_run_is_left_alone() {
    let mut runs = Runs::default();
    add(&mut runs, 0..10);
    let frozen = upcoming_id();
    let add_rows = |runs: &mut Runs, keys: std::ops::Range<i64>, frozen| {
        let rows = keys.map(|key| (key, key)).collect();
        Spelling { text: false }.add(runs, &rows, frozen);
    };
    add_rows(&mut runs, 10..20, frozen);
    add_rows(&mut runs, 20..30, frozen);
    assert_eq!(runs.iter().map(Run::rows).collect::<Vec<_>>(), [10, 20]);
    let first = runs.iter().next().unwrap().id();
    runs.remove(&[first]);
    add_rows(&mut runs, 30..40, 0);
    assert_eq!(rows_of(&runs, None, Spelling { text: false }).len(), 30);
    assert_eq!(only(&runs).rows(), 30);
}

#[test]
fn a_sample_shows_the_longest_list_of_keys() {
    for text in [false, true] {
        let mut runs = Runs::default();
        let (count, spelling) = (70_000i64, Spelling { text });
        for first in (0..count).step_by(1000) {
            let keys = (first..first + 1000).map(|i| (i * 48_611) % count * 3);
            spelling.add(&mut runs, &keys.map(|key| (key, key)).collect(), 0);
        }
        runs.merge_all();
        let run = only(&runs);
        let sample = run.sample(&[1], 500).unwrap().unwrap();
        assert_eq!(Some(sample.rows as usize), run.index_stats().map(|stats| stats.keys));
        assert!(sample.rows > 30_000 && (400..=501).contains(&sample.entries.len()));
        assert_eq!((sample.page_rows, sample.fixed_width), (None, !text));
        let values = sample.columns[0].as_primitive::<Int64Type>().values();
        assert!(values.is_sorted() && values.len() == sample.entries.len());
        let mut errors = 0;
        for (entry, pair) in sample.entries.iter().zip(sample.entries.iter().skip(1)) {
            assert!(entry.position < pair.position && entry.number < pair.number);
            assert!((entry.range.start..=entry.range.end).contains(&entry.position));
            errors += entry.position.abs_diff(entry.predicted);
        }
        assert!(errors / 500 < 100, "predictions are {} off", errors / 500);
    }
}

#[test]
fn a_position_past_the_end_is_an_error() {
    let mut runs = Runs::default();
    let schema = Spelling { text: false }.schema();
    assert!(Run::new(&schema).columns_at(vec![0], &[0]).is_err());
    add(&mut runs, 0..10);
    let run = only(&runs);
    assert_eq!(run.columns_at(vec![9, 0], &[1]).unwrap()[0].len(), 2);
    for positions in [vec![10], vec![0, 10], vec![u32::MAX]] {
        assert!(run.columns_at(positions, &[1]).is_err());
    }
}
