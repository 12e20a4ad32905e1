//! Random lists of operations, shaped so that keys meet again: inserts of new and known keys, rows
//! that are written over in memory and on disk, ranges across parts.

use proptest::prelude::*;

use crate::harness::rows::Values;

/// One step. Keys are numbers that the shape of the table turns into keys.
#[derive(Debug, Clone)]
pub enum Operation {
    /// Insert rows; refused as a whole if a key is known.
    Insert(Vec<(u16, Values)>),
    /// Insert or replace rows.
    Upsert(Vec<(u16, Values)>),
    /// Delete by key.
    Delete(Vec<u16>),
    /// Look up keys, one by one and together.
    Get(Vec<u16>),
    /// Read the rows between two keys.
    Range(u16, u16),
    /// Bring everything to segments.
    Checkpoint,
    /// Merge the segments.
    Compact,
    /// Close, or only drop, and open again.
    Reopen {
        /// Whether to close first.
        close: bool,
    },
}

/// A list of operations.
pub fn operations() -> impl Strategy<Value = Vec<Operation>> {
    prop::collection::vec(operation(), 1..40)
}

fn operation() -> impl Strategy<Value = Operation> {
    let key = 0u16..600;
    prop_oneof![
        3 => prop::collection::vec((key.clone(), values()), 0..6).prop_map(Operation::Insert),
        // A long stretch of keys, most of them new: the appending writer.
        2 => (key.clone(), 1u16..300, values()).prop_map(|(start, count, values)| {
            Operation::Insert((start..start + count).map(|k| (k, values.clone())).collect())
        }),
        3 => prop::collection::vec((key.clone(), values()), 0..40).prop_map(Operation::Upsert),
        2 => prop::collection::vec(key.clone(), 0..20).prop_map(Operation::Delete),
        3 => prop::collection::vec(key.clone(), 1..8).prop_map(Operation::Get),
        3 => (key.clone(), key).prop_map(|(a, b)| Operation::Range(a, b)),
        1 => Just(Operation::Checkpoint),
        1 => Just(Operation::Compact),
        1 => any::<bool>().prop_map(|close| Operation::Reopen { close }),
    ]
}

fn values() -> impl Strategy<Value = Values> {
    let note = prop_oneof![Just(String::new()), "[a-z]{1,12}", Just("ü".repeat(40))];
    (prop::option::of(any::<i64>()), prop::option::of(note))
}
