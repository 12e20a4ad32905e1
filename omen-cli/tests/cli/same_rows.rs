//! Compares two answers to one query, row by row.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{Field, Schema};
use arrow::util::pretty::pretty_format_batches;

/// One batch of all rows, with plain text columns.
fn whole(batches: &[RecordBatch], like: Option<&Schema>) -> RecordBatch {
    let first = batches.first().unwrap_or_else(|| panic!("an answer without a schema"));
    let batch = concat_batches(&first.schema(), batches).unwrap();
    let Some(like) = like else { return batch };
    assert_eq!(batch.num_columns(), like.fields().len());
    let columns = batch.columns().iter().zip(like.fields());
    let cast_column = |(column, field): (&arrow::array::ArrayRef, &Arc<Field>)| {
        cast(column, field.data_type()).unwrap_or_else(|e| panic!("{}: {e}", field.name()))
    };
    // Nullability may differ: a primary key is NOT NULL, a CSV column never is.
    let fields: Vec<Field> =
        like.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
    let columns = columns.map(cast_column).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

/// Panics unless both hold the same rows in the same order; returns their number.
#[track_caller]
pub(crate) fn assert_same_rows(
    what: &str,
    actual: &[RecordBatch],
    expected: &[RecordBatch],
) -> usize {
    let expected = whole(expected, None);
    let actual = whole(actual, Some(&expected.schema()));
    assert_eq!(actual.num_rows(), expected.num_rows(), "{what}: number of rows");
    for row in 0..expected.num_rows() {
        let (a, e) = (actual.slice(row, 1), expected.slice(row, 1));
        assert!(
            a.columns() == e.columns(),
            "{what}: row {row}\nactual\n{}\nexpected\n{}",
            pretty_format_batches(&[a]).unwrap(),
            pretty_format_batches(&[e]).unwrap()
        );
    }
    expected.num_rows()
}

#[test]
#[should_panic(expected = "row 1")]
fn a_wrong_value_is_found() {
    let batch = |values: Vec<i64>| {
        let column: ArrayRef = Arc::new(Int64Array::from(values));
        RecordBatch::try_from_iter([("a", column)]).unwrap()
    };
    assert_same_rows("planted", &[batch(vec![1, 3])], &[batch(vec![1, 2])]);
}
