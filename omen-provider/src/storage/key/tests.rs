//! The encoding keeps the order that Arrow's own comparison gives, for every key type.

use std::sync::Arc;

use arrow::array::*;
use arrow::compute::{SortColumn, lexsort_to_indices};
use arrow::datatypes::*;
use proptest::prelude::*;

use super::*;

/// Columns of every kind of key type from one seed column of integers.
fn columns(seed: &[i64], data_type: &DataType) -> ArrayRef {
    let text = |v: &i64| match v % 5 {
        0 => String::new(),
        1 => "a\0".repeat((v.unsigned_abs() % 3) as usize),
        2 => "a".to_string(),
        _ => format!("{v:x}\0{}", v % 3),
    };
    let ints: ArrayRef = Arc::new(Int64Array::from(seed.to_vec()));
    let cast = |array: &ArrayRef| arrow::compute::cast(array, data_type).unwrap();
    match data_type {
        DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::Dictionary(..) => {
            let array: ArrayRef = Arc::new(StringArray::from_iter_values(seed.iter().map(text)));
            cast(&array)
        }
        DataType::FixedSizeBinary(3) => Arc::new(
            FixedSizeBinaryArray::try_from_iter(seed.iter().map(|v| v.to_be_bytes()[5..].to_vec()))
                .unwrap(),
        ),
        DataType::Float64 => Arc::new(Float64Array::from_iter_values(
            seed.iter().map(|v| if *v == 0 { -0.0 } else { *v as f64 * 0.37 }),
        )),
        DataType::Boolean => {
            Arc::new(BooleanArray::from(seed.iter().map(|v| v % 2 == 0).collect::<Vec<_>>()))
        }
        _ => {
            let small: ArrayRef = Arc::new(Int64Array::from_iter_values(seed.iter().map(|v| {
                if data_type.is_unsigned_integer() { v.rem_euclid(200) } else { v % 90 }
            })));
            let narrow = match data_type {
                DataType::Time32(_) | DataType::Date32 => {
                    arrow::compute::cast(&small, &DataType::Int32).unwrap()
                }
                DataType::Decimal32(..)
                | DataType::Decimal64(..)
                | DataType::Decimal256(..)
                | DataType::Decimal128(..) => small,
                _ if matches!(data_type, DataType::Int64 | DataType::Timestamp(..)) => ints,
                _ => small,
            };
            cast(&narrow)
        }
    }
}

fn key_types() -> Vec<DataType> {
    use DataType::*;
    vec![
        Int8,
        Int16,
        Int32,
        Int64,
        UInt8,
        UInt16,
        UInt32,
        UInt64,
        Float16,
        Float32,
        Float64,
        Boolean,
        Date32,
        Date64,
        Time32(TimeUnit::Second),
        Time64(TimeUnit::Nanosecond),
        Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        Duration(TimeUnit::Second),
        Decimal32(5, 1),
        Decimal64(12, 2),
        Decimal128(30, 3),
        Decimal256(60, 4),
        Utf8,
        LargeUtf8,
        Utf8View,
        Binary,
        LargeBinary,
        BinaryView,
        FixedSizeBinary(3),
        Dictionary(Box::new(Int8), Box::new(Utf8)),
    ]
}

/// The sorted order by Arrow; dictionaries compare by value, minus zero equals zero.
fn oracle_order(columns: &[ArrayRef]) -> Vec<Vec<String>> {
    let sort: Vec<SortColumn> = columns
        .iter()
        .map(|c| {
            let values = match c.data_type() {
                DataType::Dictionary(_, v) => arrow::compute::cast(c, v).unwrap(),
                DataType::Float64 => {
                    Arc::new(c.as_primitive::<Float64Type>().unary::<_, Float64Type>(|v| v + 0.0))
                }
                _ => Arc::clone(c),
            };
            SortColumn { values, options: None }
        })
        .collect();
    let order = lexsort_to_indices(&sort, None).unwrap();
    let sorted: Vec<ArrayRef> =
        sort.iter().map(|c| arrow::compute::take(&c.values, &order, None).unwrap()).collect();
    rows(&sorted)
}

fn rows(columns: &[ArrayRef]) -> Vec<Vec<String>> {
    (0..columns[0].len())
        .map(|row| columns.iter().map(|c| format!("{:?}", c.slice(row, 1))).collect())
        .collect()
}

fn codec_for(types: &[DataType]) -> KeyCodec {
    let fields: Vec<Field> = types
        .iter()
        .enumerate()
        .map(|(i, t)| Field::new(format!("k{i}"), t.clone(), false))
        .collect();
    KeyCodec::new(fields.iter()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn encoded_order_is_column_order(
        first in 0usize..30, second in prop::option::of(0usize..30),
        seed in prop::collection::vec(prop_oneof![-6i64..6, any::<i64>()], 1..30),
    ) {
        let types: Vec<DataType> = std::iter::once(first)
            .chain(second)
            .map(|i| key_types()[i].clone())
            .collect();
        let codec = codec_for(&types);
        let arrays: Vec<ArrayRef> = types
            .iter()
            .enumerate()
            .map(|(i, t)| {
                let spread = |s: &i64| s.wrapping_mul(1 + 2 * i as i64) >> i;
                let seed: Vec<i64> = seed.iter().map(spread).collect();
                columns(&seed, t)
            })
            .collect();
        let keys = codec.encode(&arrays).unwrap();
        let order = UInt32Array::from(keys.sorted_order());
        let plain = |c: &ArrayRef| match c.data_type() {
            DataType::Dictionary(_, v) => arrow::compute::cast(c, v).unwrap(),
            DataType::Float64 => {
                let floats = c.as_primitive::<Float64Type>();
                Arc::new(floats.unary::<_, Float64Type>(|v| v + 0.0)) as ArrayRef
            }
            _ => Arc::clone(c),
        };
        let sorted: Vec<ArrayRef> = arrays
            .iter()
            .map(|c| arrow::compute::take(&plain(c), &order, None).unwrap())
            .collect();
        prop_assert_eq!(rows(&sorted), oracle_order(&arrays));
        // Equal keys have equal bytes, and decoding gives the values back.
        for row in 0..keys.len() {
            let decoded = codec.decode(&keys.get(row)).unwrap();
            for (value, column) in decoded.iter().zip(&arrays) {
                let given = plain(column).slice(row, 1);
                prop_assert_eq!(format!("{value:?}"), format!("{given:?}"));
            }
            let one: Vec<ArrayRef> = arrays.iter().map(|c| c.slice(row, 1)).collect();
            prop_assert_eq!(codec.encode_prefix(&one).unwrap(), keys.get(row).into_owned());
            // A prefix covers exactly the keys that begin with it.
            let prefix = KeyRange::prefix(&codec.encode_prefix(&one[..1]).unwrap());
            if one.len() > 1 {
                for other in 0..keys.len() {
                    let first = |row| plain(&arrays[0]).slice(row, 1).to_data();
                    let same = first(other) == first(row);
                    prop_assert_eq!(prefix.contains(&keys.get(other)), same);
                }
            }
        }
    }
}

#[test]
fn null_and_nan_are_refused_by_name() {
    let codec = codec_for(&[DataType::Float64]);
    let message =
        |array: Float64Array| codec.encode(&[Arc::new(array) as ArrayRef]).unwrap_err().to_string();
    assert!(
        message(Float64Array::from(vec![Some(1.0), None]))
            .contains("NULL in key column \"k0\" (row 1)")
    );
    assert!(
        message(Float64Array::from(vec![1.0, f64::NAN]))
            .contains("NaN in key column \"k0\" (row 1)")
    );
}

#[test]
fn keys_convert_only_without_loss() {
    let codec = codec_for(&[DataType::Int16]);
    assert_eq!(
        codec.encode_key(&Key::from(7)).unwrap(),
        codec.encode_key(&Key::from(7.0)).unwrap()
    );
    for key in [Key::from(70_000), Key::from(7.5), Key::from("x"), Key::from((1, 2))] {
        assert!(matches!(codec.encode_key(&key), Err(crate::Error::InvalidInput(_))), "{key:?}");
    }
    let time = codec_for(&[DataType::Timestamp(TimeUnit::Second, Some("UTC".into()))]);
    let text = time.encode_key(&Key::from("2013-07-04T10:00:00Z")).unwrap();
    assert_eq!(text, time.encode_key(&Key::from(1_372_932_000)).unwrap());
    assert!(time.describe(&text).contains("2013-07-04T10:00:00Z"));
}

proptest! {
    #[test]
    fn a_search_finds_the_lower_bound_wherever_it_begins(
        mut numbers in prop::collection::vec(0u16..300, 0..60),
        probe in prop::collection::vec(0u8..4, 0..4),
        (start, len, hint) in (0usize..60, 0usize..60, 0usize..80),
        fixed: bool,
    ) {
        numbers.sort_unstable();
        numbers.dedup();
        let mut keys = Keys::new(fixed.then_some(2));
        numbers.iter().for_each(|number| keys.push(&number.to_be_bytes()));
        let start = start.min(keys.len());
        let range = start..(start + len).min(keys.len());
        let below = |i: &usize| *keys.get(*i) < probe[..];
        let expected = start + range.clone().take_while(below).count();
        prop_assert_eq!(keys.lower_bound_in(range.clone(), &probe), expected);
        let lower = keys.lower_bound_in(0..keys.len(), &probe);
        prop_assert_eq!(keys.lower_bound_near(range, hint, &probe), lower);
    }
}
