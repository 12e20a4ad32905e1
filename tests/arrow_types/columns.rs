//! A column of every Arrow type, with nulls and with extreme values where the type has any.

use std::sync::Arc;

use arrow::array::types::{
    Date32Type, Date64Type, DurationNanosecondType, Float16Type, Float32Type, Float64Type,
    Int8Type, Int16Type, Int32Type, IntervalDayTimeType, IntervalMonthDayNanoType,
    IntervalYearMonthType, RunEndIndexType, TimestampNanosecondType, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, DictionaryArray, FixedSizeBinaryArray,
    FixedSizeListArray, Int32Array, Int64Array, LargeListArray, LargeListViewArray, ListArray,
    ListViewArray, MapArray, NullArray, PrimitiveArray, RunArray, StringArray, StructArray,
    UnionArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::cast;
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Field, Fields, IntervalDayTime, IntervalMonthDayNano, TimeUnit,
    UnionFields,
};
use half::f16;

/// One column of each type.
pub fn all() -> Vec<ArrayRef> {
    [numbers(), times(), texts(), dictionaries(), nested(), exotic()].concat()
}

fn primitive<T: ArrowPrimitiveType>(values: [T::Native; 4]) -> ArrayRef {
    let [a, b, c, d] = values;
    Arc::new(PrimitiveArray::<T>::from_iter([Some(a), None, Some(b), Some(c), Some(d)]))
}

/// Small integers of a wider type, cast.
fn integers_as(kind: DataType) -> ArrayRef {
    let values = Int64Array::from(vec![Some(0), None, Some(1), Some(59), Some(86_399)]);
    let narrow = cast(&values, &DataType::Int32).unwrap();
    cast(&values, &kind).or_else(|_| cast(&narrow, &kind)).unwrap()
}

fn numbers() -> Vec<ArrayRef> {
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])),
        primitive::<Int8Type>([i8::MIN, -1, 0, i8::MAX]),
        primitive::<Int16Type>([i16::MIN, -1, 0, i16::MAX]),
        primitive::<Int32Type>([i32::MIN, -1, 0, i32::MAX]),
        Arc::new(Int64Array::from(vec![Some(i64::MIN), None, Some(-1), Some(0), Some(i64::MAX)])),
        primitive::<UInt8Type>([0, 1, 2, u8::MAX]),
        primitive::<UInt16Type>([0, 1, 2, u16::MAX]),
        primitive::<UInt32Type>([0, 1, 2, u32::MAX]),
        primitive::<UInt64Type>([0, 1, 2, u64::MAX]),
        primitive::<Float16Type>([f16::MIN, f16::NEG_INFINITY, f16::from_f32(0.5), f16::MAX]),
        primitive::<Float32Type>([f32::MIN, f32::INFINITY, -0.0, f32::NAN]),
        primitive::<Float64Type>([f64::MIN, f64::NEG_INFINITY, -0.0, f64::NAN]),
    ];
    let decimals = [
        DataType::Decimal32(9, 2),
        DataType::Decimal64(18, 6),
        DataType::Decimal128(7, 0),
        DataType::Decimal128(18, 2),
        DataType::Decimal128(38, 10),
        DataType::Decimal128(20, -2),
        DataType::Decimal256(40, 5),
        DataType::Decimal256(76, 30),
    ];
    columns.extend(decimals.map(integers_as));
    columns
}

fn times() -> Vec<ArrayRef> {
    use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
    let zones = [None, Some("UTC"), Some("+02:00"), Some("America/New_York")];
    let units = [Second, Millisecond, Microsecond, Nanosecond];
    let mut columns = vec![
        primitive::<Date32Type>([-719_162, -1, 0, 2_932_896]),
        primitive::<Date64Type>([-86_400_000, 0, 86_400_000, 253_402_214_400_000]),
        primitive::<TimestampNanosecondType>([i64::MIN, -1, 0, i64::MAX]),
        primitive::<DurationNanosecondType>([i64::MIN, -1, 0, i64::MAX]),
        primitive::<IntervalYearMonthType>([i32::MIN, -1, 0, i32::MAX]),
        primitive::<IntervalDayTimeType>([
            IntervalDayTime::new(i32::MIN, 0),
            IntervalDayTime::new(-1, 1),
            IntervalDayTime::ZERO,
            IntervalDayTime::MAX,
        ]),
        primitive::<IntervalMonthDayNanoType>([
            IntervalMonthDayNano::MIN,
            IntervalMonthDayNano::new(1, -1, 1),
            IntervalMonthDayNano::ZERO,
            IntervalMonthDayNano::MAX,
        ]),
    ];
    for unit in units {
        for zone in zones {
            columns.push(integers_as(DataType::Timestamp(unit, zone.map(Into::into))));
        }
        columns.push(integers_as(match unit {
            Second | Millisecond => DataType::Time32(unit),
            Microsecond | Nanosecond => DataType::Time64(unit),
        }));
        columns.push(integers_as(DataType::Duration(unit)));
    }
    columns
}

fn text() -> StringArray {
    let long = "long enough to leave the inline part of a view ".repeat(20);
    StringArray::from(vec![Some("b"), None, Some(""), Some("naïve \0 ☃"), Some(&long), Some("b")])
}

fn texts() -> Vec<ArrayRef> {
    let bytes: [Option<&[u8]>; 4] = [Some(b"\xff\0"), None, Some(b""), Some(&[7; 100])];
    let binary: ArrayRef = Arc::new(BinaryArray::from(bytes.to_vec()));
    let fixed = [Some([0u8; 16]), None, Some([255; 16])].into_iter();
    let cast_text = |kind| cast(&text(), &kind).unwrap();
    let cast_binary = |kind| cast(&binary, &kind).unwrap();
    vec![
        Arc::new(text()),
        cast_text(DataType::LargeUtf8),
        cast_text(DataType::Utf8View),
        Arc::clone(&binary),
        cast_binary(DataType::LargeBinary),
        cast_binary(DataType::BinaryView),
        Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(fixed, 16).unwrap()),
    ]
}

fn dictionaries() -> Vec<ArrayRef> {
    let of = |key: DataType, value: DataType| {
        cast(&text(), &DataType::Dictionary(Box::new(key), Box::new(value))).unwrap()
    };
    use DataType::{Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64};
    let mut columns: Vec<ArrayRef> = [Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64]
        .map(|key| of(key, DataType::Utf8))
        .to_vec();
    columns.push(of(Int32, DataType::LargeUtf8));
    columns.push(of(Int32, DataType::Binary));
    let numbers = Int32Array::from(vec![Some(0), None, Some(1), Some(0)]);
    let values = Arc::new(Int64Array::from(vec![-5, 5])) as ArrayRef;
    columns.push(Arc::new(DictionaryArray::new(numbers, values)));
    columns
}

fn item(kind: &DataType) -> Arc<Field> {
    Arc::new(Field::new("item", kind.clone(), true))
}

/// Lists of 0, 2, none, 1 and 3 values.
fn lists_of(values: &ArrayRef) -> Vec<ArrayRef> {
    let values = values.slice(0, 6);
    let nulls = Some(NullBuffer::from(vec![true, true, false, true, true]));
    let (field, lengths) = (item(values.data_type()), [0, 2, 0, 1, 3]);
    let starts = [0, 0, 2, 2, 3];
    let list = ListArray::new(
        Arc::clone(&field),
        OffsetBuffer::from_lengths(lengths),
        values.clone(),
        nulls.clone(),
    );
    let large = LargeListArray::new(
        Arc::clone(&field),
        OffsetBuffer::from_lengths(lengths),
        values.clone(),
        nulls.clone(),
    );
    let view = ListViewArray::new(
        Arc::clone(&field),
        ScalarBuffer::from(starts.to_vec()),
        ScalarBuffer::from(lengths.map(|n| n as i32).to_vec()),
        values.clone(),
        nulls.clone(),
    );
    let large_view = LargeListViewArray::new(
        Arc::clone(&field),
        ScalarBuffer::from(starts.map(i64::from).to_vec()),
        ScalarBuffer::from(lengths.map(|n| n as i64).to_vec()),
        values.clone(),
        nulls,
    );
    let pairs = NullBuffer::from(vec![true, false, true]);
    let fixed = FixedSizeListArray::new(field, 2, values, Some(pairs));
    vec![Arc::new(list), Arc::new(large), Arc::new(view), Arc::new(large_view), Arc::new(fixed)]
}

fn structure() -> StructArray {
    let numbers = Int64Array::from(vec![Some(1), None, Some(3), None, Some(5), Some(6)]);
    let fields =
        vec![Field::new("text", DataType::Utf8, true), Field::new("number", DataType::Int64, true)];
    let nulls = NullBuffer::from(vec![true, true, false, true, true, true]);
    let columns = vec![Arc::new(text()) as ArrayRef, Arc::new(numbers)];
    StructArray::new(Fields::from(fields), columns, Some(nulls))
}

fn map() -> MapArray {
    let fields = Fields::from(vec![
        Field::new("key", DataType::Utf8, false),
        Field::new("value", DataType::Int64, true),
    ]);
    let keys = Arc::new(StringArray::from(vec!["a", "b", "a", ""])) as ArrayRef;
    let values = Arc::new(Int64Array::from(vec![Some(1), None, Some(3), Some(4)])) as ArrayRef;
    let entries = StructArray::new(fields.clone(), vec![keys, values], None);
    let field = Arc::new(Field::new("entries", DataType::Struct(fields), false));
    let nulls = NullBuffer::from(vec![true, false, true, true]);
    MapArray::new(field, OffsetBuffer::from_lengths([2, 0, 0, 2]), entries, Some(nulls), false)
}

fn nested() -> Vec<ArrayRef> {
    let number: ArrayRef =
        Arc::new(Int64Array::from(vec![Some(1), None, Some(3), Some(4), None, Some(6)]));
    let structure: ArrayRef = Arc::new(structure());
    let mut columns = [lists_of(&number), lists_of(&(Arc::new(text()) as ArrayRef))].concat();
    columns.extend(lists_of(&structure).into_iter().take(1));
    // A list of lists, and a struct of a list, a map and a struct.
    let inner = lists_of(&number).remove(0);
    let two = ListArray::new(
        item(inner.data_type()),
        OffsetBuffer::from_lengths([2, 0, 3]),
        Arc::clone(&inner),
        Some(NullBuffer::from(vec![true, false, true])),
    );
    columns.push(Arc::new(two));
    let parts = [
        ("list", inner.slice(0, 4)),
        ("map", Arc::new(map()) as ArrayRef),
        ("inner", structure.slice(0, 4)),
    ];
    let fields = parts.iter().map(|(name, c)| Field::new(*name, c.data_type().clone(), true));
    let fields: Fields = fields.collect();
    columns.push(structure);
    columns.push(Arc::new(map()));
    columns.push(Arc::new(StructArray::new(fields, parts.map(|(_, c)| c).to_vec(), None)));
    columns
}

fn runs<R: RunEndIndexType>(ends: PrimitiveArray<R>) -> ArrayRef {
    Arc::new(RunArray::<R>::try_new(&ends, &StringArray::from(vec![Some("a"), None])).unwrap())
}

fn exotic() -> Vec<ArrayRef> {
    let fields = UnionFields::try_new(vec![0], vec![Field::new("n", DataType::Int32, true)]);
    let children = vec![Arc::new(Int32Array::from(vec![1, 2])) as ArrayRef];
    let union =
        UnionArray::try_new(fields.unwrap(), ScalarBuffer::from(vec![0i8, 0]), None, children);
    vec![Arc::new(NullArray::new(3)), runs(Int32Array::from(vec![2, 4])), Arc::new(union.unwrap())]
}
