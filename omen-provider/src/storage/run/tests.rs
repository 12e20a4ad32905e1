use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use proptest::prelude::*;

use super::*;
use crate::storage::deletion_vector::DeletionVector;
use crate::storage::key::KeyCodec;

/// A run over `(text key, value)` or `(integer key, value)` rows.
fn run_of(rows: &BTreeMap<i64, i64>, text: bool) -> (Run, KeyCodec) {
    let spell = |k: &i64| format!("device-{k:+06}");
    let key: ArrayRef = if text {
        Arc::new(StringArray::from_iter_values(rows.keys().map(spell)))
    } else {
        Arc::new(Int64Array::from_iter_values(rows.keys().copied()))
    };
    let schema = Arc::new(Schema::new(vec![
        Field::new("k", key.data_type().clone(), false),
        Field::new("v", DataType::Int64, false),
    ]));
    let codec = KeyCodec::new(std::iter::once(schema.field(0))).unwrap();
    let unsorted = codec.encode(&[Arc::clone(&key)]).unwrap();
    let order = unsorted.sorted_order();
    let values: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.values().copied()));
    let batch = RecordBatch::try_new(schema, vec![key, values]).unwrap();
    let batch =
        arrow::compute::take_record_batch(&batch, &arrow::array::UInt32Array::from(order.clone()))
            .unwrap();
    (Run::new(batch, unsorted.take(&order)).unwrap(), codec)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn finds_every_key_and_no_other(
        keys in prop::collection::btree_map(0i64..3000, any::<i64>(), 1..900), text: bool,
    ) {
        let (run, codec) = run_of(&keys, text);
        for probe in 0..3000 {
            let array: ArrayRef = if text {
                Arc::new(StringArray::from(vec![format!("device-{probe:+06}")]))
            } else {
                Arc::new(Int64Array::from(vec![probe]))
            };
            let key = codec.encode_prefix(&[array]).unwrap();
            let value = run.find(&key).map(|p| {
                run.rows().column(1).as_primitive::<Int64Type>().value(p as usize)
            });
            prop_assert_eq!(value, keys.get(&probe).copied());
            prop_assert_eq!(run.lower_bound(&key) as usize, keys.range(..probe).count());
        }
    }

    #[test]
    fn merging_keeps_the_live_rows(
        parts in prop::collection::vec(
            prop::collection::btree_map(0i64..5000, any::<bool>(), 1..300),
            1..5,
        ),
    ) {
        let mut model = BTreeMap::new();
        let mut runs = Vec::new();
        for (part, rows) in parts.iter().enumerate() {
            // Keys of different parts differ, dead ones aside, as the engine has it.
            let rows: BTreeMap<i64, i64> =
                rows.iter().map(|(k, live)| (k * 8 + part as i64, i64::from(*live))).collect();
            let (run, _) = run_of(&rows, false);
            let mut dead = DeletionVector::default();
            for (position, (key, live)) in rows.iter().enumerate() {
                if *live == 1 { model.insert(*key, *live); } else { dead.insert(position as u32); }
            }
            runs.push((run, dead));
        }
        let views: Vec<_> = runs.iter().map(|(r, d)| (r, d)).collect();
        let keys: Vec<i64> = merge(&views).unwrap().map_or(Vec::new(), |run| {
            run.rows().column(0).as_primitive::<Int64Type>().values().to_vec()
        });
        prop_assert_eq!(keys, model.keys().copied().collect::<Vec<_>>());
    }
}

#[test]
fn a_full_tier_is_merged_and_others_are_left_alone() {
    assert_eq!(merge_candidates(&[1, 1, 1]), None);
    assert_eq!(merge_candidates(&[100, 1, 1, 1, 1]), Some(vec![1, 2, 3, 4]));
    assert_eq!(merge_candidates(&[5, 5, 5, 1, 5]), Some(vec![0, 1, 2, 4]));
}
