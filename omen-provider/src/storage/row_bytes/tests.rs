use std::collections::HashMap;

use arrow::array::types::{Int8Type, Int32Type};
use arrow::array::*;
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, IntervalUnit, Schema, TimeUnit, i256};
use proptest::prelude::*;

use super::*;

fn dictionary() -> DictionaryArray<Int32Type> {
    vec![Some("red"), None, Some("green"), Some("red"), Some("blue"), None].into_iter().collect()
}

fn list_of(values: ArrayRef) -> ArrayRef {
    let field = Arc::new(Field::new("item", values.data_type().clone(), true));
    let offsets = OffsetBuffer::new(ScalarBuffer::from(vec![0, 1, 1, 4, 4, 6, 6]));
    let nulls = NullBuffer::from(vec![true, false, true, true, true, true]);
    Arc::new(ListArray::new(field, offsets, values, Some(nulls)))
}

fn struct_of(values: ArrayRef) -> ArrayRef {
    let field = Arc::new(Field::new("inner", values.data_type().clone(), true));
    let nulls = NullBuffer::from(vec![true, true, false, true, true, true]);
    Arc::new(StructArray::new(vec![field].into(), vec![values], Some(nulls)))
}

fn map_of(values: ArrayRef) -> ArrayRef {
    let keys: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c", "d", "e", "f"]));
    let fields = vec![
        Arc::new(Field::new("key", DataType::Utf8, false)),
        Arc::new(Field::new("value", values.data_type().clone(), true)),
    ];
    let entries = StructArray::new(fields.clone().into(), vec![keys, values], None);
    let field = Arc::new(Field::new("entries", DataType::Struct(fields.into()), false));
    let offsets = OffsetBuffer::new(ScalarBuffer::from(vec![0, 1, 1, 4, 4, 6, 6]));
    Arc::new(MapArray::new(field, offsets, entries, None, false))
}

/// Six rows of many types.
fn columns() -> Vec<ArrayRef> {
    let texts =
        vec![Some("a"), None, Some(""), Some("a text of more than twelve bytes"), None, Some("z")];
    let blobs: Vec<Option<&[u8]>> = texts.iter().map(|text| text.map(str::as_bytes)).collect();
    let numbers =
        Int64Array::from(vec![Some(1), None, Some(i64::MIN), Some(i64::MAX), Some(0), None]);
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(NullArray::new(6)),
        Arc::new(BooleanArray::from(vec![Some(true), None, Some(false), None, None, Some(true)])),
        Arc::new(Int8Array::from(vec![1, 2, 3, 4, 5, 6])),
        Arc::new(UInt16Array::from(vec![1, 2, 3, 4, 5, 6])),
        Arc::new(Float32Array::from(vec![0.0, -0.0, f32::NAN, f32::INFINITY, 1.5, f32::MIN])),
        Arc::new(Float64Array::from(vec![Some(0.1), None, Some(f64::MAX), None, None, None])),
        Arc::new(Decimal128Array::from(vec![
            Some(i128::MAX / 100),
            None,
            Some(-1),
            None,
            Some(0),
            None,
        ])),
        Arc::new(Decimal256Array::from(vec![
            Some(i256::MAX),
            None,
            Some(i256::MIN),
            None,
            None,
            None,
        ])),
        Arc::new(StringArray::from(texts.clone())),
        Arc::new(LargeStringArray::from(texts.clone())),
        Arc::new(StringViewArray::from(texts.clone())),
        Arc::new(BinaryArray::from(blobs.clone())),
        Arc::new(BinaryViewArray::from(blobs)),
        Arc::new(FixedSizeBinaryArray::try_from_iter((0u8..6).map(|i| [i, i])).unwrap()),
        Arc::new(
            TimestampMicrosecondArray::from(vec![Some(1), None, Some(-1), None, None, Some(0)])
                .with_timezone("America/New_York"),
        ),
        Arc::new(dictionary()),
        Arc::new(
            vec!["x", "y", "x", "x", "y", "z"].into_iter().collect::<DictionaryArray<Int8Type>>(),
        ),
        Arc::new(numbers.clone()),
    ];
    for data_type in [
        DataType::Date32,
        DataType::Date64,
        DataType::Time32(TimeUnit::Second),
        DataType::Time64(TimeUnit::Nanosecond),
        DataType::Duration(TimeUnit::Millisecond),
        DataType::Interval(IntervalUnit::MonthDayNano),
        DataType::Float16,
        DataType::Decimal32(5, 2),
        DataType::Decimal64(12, 2),
    ] {
        columns.push(new_null_array(&data_type, 6));
    }
    let item = Arc::new(Field::new("item", DataType::Int64, true));
    columns.push(Arc::new(FixedSizeListArray::new(item, 1, Arc::new(numbers), None)));
    let inner = [
        Arc::new(dictionary()) as ArrayRef,
        Arc::new(StringViewArray::from(texts)),
        struct_of(Arc::new(dictionary())),
        list_of(struct_of(Arc::new(dictionary()))),
    ];
    for values in inner {
        columns.push(list_of(Arc::clone(&values)));
        columns.push(struct_of(Arc::clone(&values)));
        columns.push(map_of(values));
    }
    columns
}

/// Rows in either form.
fn samples() -> [RecordBatch; 2] {
    let (plain, other): (Vec<_>, Vec<_>) =
        columns().into_iter().partition(|column| plain::is_plain(column.data_type()));
    assert!(plain.len() > 20 && other.len() > 10);
    [batch_of(plain), batch_of(other)]
}

fn batch_of(columns: Vec<ArrayRef>) -> RecordBatch {
    let fields = columns.iter().enumerate().map(|(i, column)| {
        let metadata = HashMap::from([("PARQUET:field_id".to_string(), i.to_string())]);
        Field::new(format!("c{i}"), column.data_type().clone(), true).with_metadata(metadata)
    });
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    RecordBatch::try_new(schema, columns).unwrap()
}

#[test]
fn every_type_and_every_slice_comes_back() {
    for batch in samples() {
        for (start, length) in (0..=6).flat_map(|start| (0..=6 - start).map(move |l| (start, l))) {
            let slice = batch.slice(start, length);
            let bytes = encode_rows(&slice).unwrap();
            let found = decode_rows(&bytes, &batch.schema()).unwrap();
            assert_eq!(found, slice);
            // Where the bytes lie in the log is chance.
            let shifted = Bytes::from([&[0], bytes.as_ref()].concat()).slice(1..);
            assert_eq!(decode_rows(&shifted, &batch.schema()).unwrap(), slice);
        }
    }
}

/// NaN is not equal to itself: its bits are.
#[test]
fn every_bit_of_a_number_comes_back() {
    let bits = [0, 1, 0x7FF8_0000_0000_0001, 0xFFF8_0000_0000_0000, 1 << 63, u64::MAX];
    let column: ArrayRef = Arc::new(Float64Array::from_iter_values(bits.map(f64::from_bits)));
    let batch = RecordBatch::try_from_iter([("v", column)]).unwrap();
    let found = decode_rows(&encode_rows(&batch).unwrap(), &batch.schema()).unwrap();
    let values = found.column(0).as_primitive::<arrow::datatypes::Float64Type>().values();
    assert!(values.iter().map(|value| value.to_bits()).eq(bits));
}

/// As FORMAT.md has it.
#[test]
fn bytes_of_plain_columns_do_not_change() {
    let id: ArrayRef = Arc::new(Int32Array::from(vec![1, -1, 2]));
    let flag: ArrayRef = Arc::new(BooleanArray::from(vec![Some(true), None, Some(true)]));
    let text: ArrayRef = Arc::new(StringViewArray::from(vec![Some("ab"), None, Some("c")]));
    let columns = [("id", id), ("flag", flag), ("text", text)];
    let bytes = encode_rows(&RecordBatch::try_from_iter(columns).unwrap()).unwrap();
    let id = [0, 1, 0, 0, 0, 255, 255, 255, 255, 2, 0, 0, 0];
    let flag = [1, 0b101, 0b101];
    let text = [1, 0b101, 2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, b'a', b'b', b'c'];
    assert_eq!(*bytes, *[&[3, 0, 0, 0][..], &id, &flag, &text].concat());
}

#[test]
fn rows_without_columns_keep_their_count() {
    let options = RecordBatchOptions::new().with_row_count(Some(5));
    let schema = Arc::new(Schema::empty());
    let batch = RecordBatch::try_new_with_options(Arc::clone(&schema), vec![], &options).unwrap();
    assert_eq!(decode_rows(&encode_rows(&batch).unwrap(), &schema).unwrap().num_rows(), 5);
}

#[test]
fn slice_of_a_view_column_does_not_log_its_siblings() {
    let texts: Vec<String> = (0..1000).map(|i| format!("a rather long text number {i}")).collect();
    let column: ArrayRef = Arc::new(StringViewArray::from_iter_values(texts));
    let batch = RecordBatch::try_from_iter([("t", column)]).unwrap();
    assert!(encode_rows(&batch.slice(500, 1)).unwrap().len() < 1000);
}

#[test]
fn small_row_takes_few_bytes() {
    let id: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let value: ArrayRef = Arc::new(Float64Array::from(vec![1.0]));
    let note: ArrayRef = Arc::new(StringArray::from(vec!["fifteen letters"]));
    let batch = RecordBatch::try_from_iter([("id", id), ("value", value), ("note", note)]).unwrap();
    let bytes = encode_rows(&batch).unwrap().len();
    assert_eq!(bytes, 4 + (1 + 8) + (1 + 8) + (1 + 4 + 15));
}

#[test]
fn cut_rows_are_errors() {
    for batch in samples() {
        let bytes = encode_rows(&batch).unwrap();
        for cut in 0..bytes.len() {
            assert!(decode_rows(&bytes.slice(..cut), &batch.schema()).is_err(), "cut at {cut}");
        }
        let longer = Bytes::from([bytes.as_ref(), &[0]].concat());
        assert!(decode_rows(&longer, &batch.schema()).is_err());
    }
}

#[test]
fn counts_beyond_the_bytes_are_errors() {
    let [batch, _] = samples();
    let bytes = encode_rows(&batch).unwrap();
    for rows in [7, 1 << 20, u32::MAX - 1, u32::MAX] {
        let changed = Bytes::from([&rows.to_le_bytes(), &bytes[4..]].concat());
        assert!(decode_rows(&changed, &batch.schema()).is_err(), "{rows}");
    }
    let text: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
    let batch = RecordBatch::try_from_iter([("t", text)]).unwrap();
    for (lengths, values) in
        [([u32::MAX, 3], &b"ab"[..]), ([1, 1], b"\xC3\xA9"), ([2, 0], b"\xFFa")]
    {
        let lengths = lengths.map(u32::to_le_bytes).concat();
        let bytes = Bytes::from([&[2, 0, 0, 0, 0], &lengths[..], values].concat());
        assert!(decode_rows(&bytes, &batch.schema()).is_err(), "{lengths:?}");
    }
}

#[test]
fn rows_of_another_schema_are_errors() {
    let id: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    let batch = RecordBatch::try_from_iter([("id", id)]).unwrap();
    let bytes = encode_rows(&batch).unwrap();
    for data_type in [DataType::Utf8, DataType::Utf8View, DataType::Decimal128(38, 0)] {
        let schema = Arc::new(Schema::new(vec![Field::new("id", data_type, true)]));
        assert!(decode_rows(&bytes, &schema).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damaged_rows_do_not_panic(
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1u8..), 1..4),
    ) {
        for batch in samples() {
            let mut bytes = encode_rows(&batch).unwrap().to_vec();
            for (at, flip) in &flips {
                let at = at.index(bytes.len());
                bytes[at] ^= flip;
            }
            let _ = decode_rows(&Bytes::from(bytes), &batch.schema());
        }
    }
}
