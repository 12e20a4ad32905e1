//! Keys of other types: their encodings keep the order and can be undone.

use std::cmp::Ordering;

use proptest::prelude::*;

use crate::Error;
use crate::key::encoding::*;
use crate::key::{IndexKey, common_prefix_len, model_key, prefix_successor, successor};

/// A column of a test key.
#[derive(Clone, Debug, PartialEq)]
enum Column {
    U8(u8),
    U16(u16),
    U32(u32),
    U64(u64),
    I8(i8),
    I16(i16),
    I32(i32),
    I64(i64),
    I128(i128),
    I256(i128, u128),
    Bool(bool),
    F16(u16),
    F32(f32),
    F64(f64),
    Bytes(Vec<u8>),
    LastBytes(Vec<u8>),
}

use Column::*;

impl Column {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            U8(value) => put_u8(out, *value),
            U16(value) => put_u16(out, *value),
            U32(value) => put_u32(out, *value),
            U64(value) => put_u64(out, *value),
            I8(value) => put_i8(out, *value),
            I16(value) => put_i16(out, *value),
            I32(value) => put_i32(out, *value),
            I64(value) => put_i64(out, *value),
            I128(value) => put_i128(out, *value),
            I256(high, low) => put_i256(out, little_endian(*high, *low)),
            Bool(value) => put_bool(out, *value),
            F16(bits) => put_f16_bits(out, *bits),
            F32(value) => put_f32(out, *value),
            F64(value) => put_f64(out, *value),
            Bytes(value) => put_bytes_terminated(out, value),
            LastBytes(value) => put_bytes_raw(out, value),
        }
    }

    /// Takes a column of the same type as this one.
    fn take(&self, input: &mut &[u8]) -> Result<Column, Error> {
        Ok(match self {
            U8(_) => U8(take_u8(input)?),
            U16(_) => U16(take_u16(input)?),
            U32(_) => U32(take_u32(input)?),
            U64(_) => U64(take_u64(input)?),
            I8(_) => I8(take_i8(input)?),
            I16(_) => I16(take_i16(input)?),
            I32(_) => I32(take_i32(input)?),
            I64(_) => I64(take_i64(input)?),
            I128(_) => I128(take_i128(input)?),
            I256(..) => {
                let bytes = take_i256(input)?;
                let (low, high) = bytes.split_at(16);
                I256(
                    i128::from_le_bytes(high.try_into().unwrap()),
                    u128::from_le_bytes(low.try_into().unwrap()),
                )
            }
            Bool(_) => Bool(take_bool(input)?),
            F16(_) => F16(take_f16_bits(input)?),
            F32(_) => F32(take_f32(input)?),
            F64(_) => F64(take_f64(input)?),
            Bytes(_) => Bytes(take_bytes_terminated(input)?),
            LastBytes(_) => LastBytes(take_bytes_raw(input).to_vec()),
        })
    }

    fn compare(&self, other: &Column) -> Ordering {
        match (self, other) {
            (U8(a), U8(b)) => a.cmp(b),
            (U16(a), U16(b)) => a.cmp(b),
            (U32(a), U32(b)) => a.cmp(b),
            (U64(a), U64(b)) => a.cmp(b),
            (I8(a), I8(b)) => a.cmp(b),
            (I16(a), I16(b)) => a.cmp(b),
            (I32(a), I32(b)) => a.cmp(b),
            (I64(a), I64(b)) => a.cmp(b),
            (I128(a), I128(b)) => a.cmp(b),
            (I256(a, a_low), I256(b, b_low)) => (a, a_low).cmp(&(b, b_low)),
            (Bool(a), Bool(b)) => a.cmp(b),
            (F16(a), F16(b)) => compare_floats(widen_f16(*a), widen_f16(*b)),
            (F32(a), F32(b)) => compare_floats(f64::from(*a), f64::from(*b)),
            (F64(a), F64(b)) => compare_floats(*a, *b),
            (Bytes(a), Bytes(b)) | (LastBytes(a), LastBytes(b)) => a.cmp(b),
            _ => panic!("columns of different types"),
        }
    }
}

/// By value; the zeros are equal, NaN equals itself and is above all else.
fn compare_floats(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

/// The value of a half-precision number.
fn widen_f16(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let exponent = i32::from(bits >> 10 & 0x1F);
    let mantissa = f64::from(bits & 0x3FF);
    match exponent {
        0 => sign * mantissa * 2f64.powi(-24),
        0x1F if mantissa == 0.0 => sign * f64::INFINITY,
        0x1F => f64::NAN,
        _ => sign * (mantissa + 1024.0) * 2f64.powi(exponent - 25),
    }
}

fn little_endian(high: i128, low: u128) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(&low.to_le_bytes());
    bytes[16..].copy_from_slice(&high.to_le_bytes());
    bytes
}

fn encode(columns: &[Column]) -> Vec<u8> {
    let mut out = Vec::new();
    columns.iter().for_each(|column| column.put(&mut out));
    out
}

fn compare(a: &[Column], b: &[Column]) -> Ordering {
    let unequal = |(a, b): (&Column, &Column)| Some(a.compare(b)).filter(|order| order.is_ne());
    a.iter().zip(b).find_map(unequal).unwrap_or(Ordering::Equal)
}

fn check_pair(a: &[Column], b: &[Column]) {
    assert_eq!(encode(a).cmp(&encode(b)), compare(a, b), "{a:?} against {b:?}");
}

/// Decodes as the columns say; what comes back encodes alike and, but for zero and NaN, is equal.
fn check_round_trip(columns: &[Column]) {
    let bytes = encode(columns);
    let mut input = bytes.as_slice();
    let back: Vec<Column> = columns.iter().map(|column| column.take(&mut input).unwrap()).collect();
    assert!(input.is_empty());
    assert_eq!(encode(&back), bytes);
    assert_eq!(compare(columns, &back), Ordering::Equal);
}

/// Every value at which something could go wrong, by type.
fn edge_columns() -> Vec<Vec<Column>> {
    let floats = [
        f64::NEG_INFINITY,
        f64::MIN,
        -1.5,
        -f64::MIN_POSITIVE,
        -5e-324,
        -0.0,
        0.0,
        5e-324,
        1.0,
        f64::MAX,
        f64::INFINITY,
        f64::NAN,
        -f64::NAN,
    ];
    let mut strings: Vec<Vec<u8>> = vec![vec![]];
    for len in 1..=3 {
        let longer: Vec<_> = strings.iter().filter(|s| s.len() == len - 1).cloned().collect();
        for string in longer {
            for byte in [0, 1, b'a', 0xFE, 0xFF] {
                let mut string = string.clone();
                string.push(byte);
                strings.push(string);
            }
        }
    }
    let bounds =
        [i128::MIN, i128::MIN + 1, -256, -255, -1, 0, 1, 255, 256, i128::MAX - 1, i128::MAX];
    vec![
        (0..=u8::MAX).map(U8).collect(),
        [0, 1, 255, 256, u16::MAX].map(U16).to_vec(),
        [0, 1, 255, 256, u32::MAX].map(U32).to_vec(),
        [0, 1, 1 << 53, 1 << 63, u64::MAX].map(U64).to_vec(),
        (i8::MIN..=i8::MAX).map(I8).collect(),
        [i16::MIN, -256, -1, 0, 1, 256, i16::MAX].map(I16).to_vec(),
        [i32::MIN, -256, -1, 0, 1, 256, i32::MAX].map(I32).to_vec(),
        [i64::MIN, -256, -1, 0, 1, 256, i64::MAX].map(I64).to_vec(),
        bounds.map(I128).to_vec(),
        bounds.iter().flat_map(|&high| [0, 1, u128::MAX].map(|low| I256(high, low))).collect(),
        vec![Bool(false), Bool(true)],
        (0..=u16::MAX).step_by(251).chain([0x8000, 0x7C00, 0xFC00, 0x7C01]).map(F16).collect(),
        floats.map(|value| F32(value as f32)).to_vec(),
        floats.map(F64).to_vec(),
        strings.iter().cloned().map(Bytes).collect(),
        strings.into_iter().map(LastBytes).collect(),
    ]
}

#[test]
fn edge_values_keep_their_order_and_come_back() {
    for columns in edge_columns() {
        for a in &columns {
            check_round_trip(std::slice::from_ref(a));
            for b in &columns {
                check_pair(std::slice::from_ref(a), std::slice::from_ref(b));
            }
        }
    }
}

#[test]
fn text_does_not_run_into_the_next_column() {
    let strings: [&[u8]; 7] = [b"", b"\0", b"\0\0", b"\0\xFF", b"a", b"a\0", b"ab"];
    let keys: Vec<[Column; 2]> = strings
        .iter()
        .flat_map(|s| [0, 1, 255].map(|next| [Bytes(s.to_vec()), U8(next)]))
        .collect();
    for a in &keys {
        check_round_trip(a);
        keys.iter().for_each(|b| check_pair(a, b));
    }
}

#[test]
fn encodings_are_as_specified() {
    assert_eq!(encode(&[U32(258)]), [0, 0, 1, 2]);
    assert_eq!(encode(&[I16(-2), I16(2)]), [0x7F, 0xFE, 0x80, 2]);
    assert_eq!(encode(&[F32(1.0), F32(-1.0)]), [0xBF, 0x80, 0, 0, 0x40, 0x7F, 0xFF, 0xFF]);
    assert_eq!(encode(&[F32(-0.0)]), [0x80, 0, 0, 0]);
    assert_eq!(encode(&[F16(0x3C00), F16(0xFE01)]), [0xBC, 0, 0xFE, 0]);
    assert_eq!(encode(&[Bytes(b"a\0b".to_vec()), Bool(true)]), *b"a\0\xFFb\0\0\x01");
    let mut minus_one = vec![0x7F];
    minus_one.extend([0xFF; 31]);
    assert_eq!(encode(&[I256(-1, u128::MAX)]), minus_one);
}

#[test]
fn bytes_that_nothing_encodes_to_are_refused() {
    let refused = |column: Column, bytes: &[u8]| {
        let mut input = bytes;
        assert!(matches!(column.take(&mut input), Err(Error::InvalidKey { .. })), "{bytes:?}");
        assert_eq!(input, bytes, "a failed take moved the input");
    };
    refused(U8(0), &[]);
    refused(I64(0), &[0; 7]);
    refused(I256(0, 0), &[0; 31]);
    refused(Bool(true), &[2]);
    refused(Bytes(vec![]), b"");
    refused(Bytes(vec![]), b"abc");
    refused(Bytes(vec![]), b"abc\0");
    refused(Bytes(vec![]), b"abc\0\x01\0\0");
    refused(Bytes(vec![]), b"abc\0\xFF");
    // Minus zero, and a NaN with a payload.
    refused(F32(0.0), &(!(1u32 << 31)).to_be_bytes());
    refused(F64(0.0), &[0xFF; 8]);
    refused(F16(0), &[0x7F, 0xFF]);
}

#[test]
fn every_half_precision_number_keeps_its_order() {
    let mut all: Vec<u16> = (0..=u16::MAX).collect();
    all.sort_by(|a, b| compare_floats(widen_f16(*a), widen_f16(*b)));
    for pair in all.windows(2) {
        check_pair(&[F16(pair[0])], &[F16(pair[1])]);
        check_round_trip(&[F16(pair[0])]);
    }
}

/// A schema and two keys of it.
fn two_keys() -> impl Strategy<Value = (Vec<Column>, Vec<Column>)> {
    let column = |which: usize| -> BoxedStrategy<Column> {
        let text = prop::collection::vec(prop::sample::select(vec![0, 1, b'a', 0xFF]), 0..5);
        match which {
            0 => any::<u8>().prop_map(U8).boxed(),
            1 => any::<u64>().prop_map(U64).boxed(),
            2 => (-2i8..3).prop_map(I8).boxed(),
            3 => any::<i32>().prop_map(I32).boxed(),
            4 => any::<i64>().prop_map(I64).boxed(),
            5 => any::<i128>().prop_map(I128).boxed(),
            6 => (any::<i128>(), any::<u128>()).prop_map(|(high, low)| I256(high, low)).boxed(),
            7 => any::<bool>().prop_map(Bool).boxed(),
            8 => any::<u16>().prop_map(F16).boxed(),
            9 => any::<u32>().prop_map(|bits| F32(f32::from_bits(bits))).boxed(),
            10 => any::<u64>().prop_map(|bits| F64(f64::from_bits(bits))).boxed(),
            _ => text.prop_map(Bytes).boxed(),
        }
    };
    let text = || prop::collection::vec(prop::sample::select(vec![0, b'b', 0xFF]), 0..4);
    let schema = prop::collection::vec(0usize..16, 0..4);
    (schema, any::<bool>(), any::<[bool; 4]>()).prop_flat_map(move |(schema, last, same)| {
        let key: Vec<_> = schema.iter().map(|&which| column(which)).collect();
        let end = || if last { text().prop_map(Some).boxed() } else { Just(None).boxed() };
        (key.clone(), key, end(), end()).prop_map(move |(mut a, mut b, a_end, b_end)| {
            for (i, column) in a.iter().enumerate().filter(|(i, _)| same[*i]) {
                b[i] = column.clone();
            }
            a.extend(a_end.map(LastBytes));
            b.extend(b_end.map(LastBytes));
            (a, b)
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn composite_keys_keep_their_order_and_come_back((a, b) in two_keys()) {
        check_pair(&a, &b);
        check_round_trip(&a);
        check_round_trip(&b);
    }

    #[test]
    fn hostile_key_bytes_never_panic_and_never_decode_twice(
        (schema, _) in two_keys(),
        bytes in prop::collection::vec(prop_oneof![Just(0), Just(0xFF), any::<u8>()], 0..80),
    ) {
        let mut input = bytes.as_slice();
        let mut taken = Vec::new();
        for column in &schema {
            match column.take(&mut input) {
                Ok(value) => taken.push(value),
                Err(_) => break,
            }
        }
        prop_assert_eq!(encode(&taken), &bytes[..bytes.len() - input.len()]);
    }

    #[test]
    fn model_keys_follow_byte_order(
        prefix in prop::collection::vec(any::<u8>(), 0..4),
        mut rests in prop::collection::vec(
            prop::collection::vec(prop::sample::select(vec![0, 1, 0xFF]), 0..11), 1..20),
    ) {
        rests.sort();
        let keys: Vec<Vec<u8>> =
            rests.iter().map(|rest| [prefix.as_slice(), rest].concat()).collect();
        prop_assert!(keys.iter().map(|key| model_key(key, prefix.len())).is_sorted());
        let common = common_prefix_len(&keys[0], &keys[keys.len() - 1]);
        prop_assert!(common >= prefix.len());
        prop_assert!(keys.iter().all(|key| key[..common] == keys[0][..common]));
    }

    #[test]
    fn nothing_lies_between_a_key_and_its_successor(
        a in prop::collection::vec(prop::sample::select(vec![0, 1, 0xFF]), 0..5),
        b in prop::collection::vec(prop::sample::select(vec![0, 1, 0xFF]), 0..5),
    ) {
        let mut above = a.clone();
        successor(&mut above);
        prop_assert!(a < above);
        prop_assert!(b <= a || b >= above);

        match prefix_successor(&a) {
            Some(end) => prop_assert_eq!(b.starts_with(&a), b >= a && b < end),
            None => prop_assert_eq!(b.starts_with(&a), b >= a),
        }
    }
}

#[test]
fn prefix_successor_cuts_what_it_cannot_raise() {
    assert_eq!(prefix_successor(b"ab"), Some(b"ac".to_vec()));
    assert_eq!(prefix_successor(b"a\xFF\xFF"), Some(b"b".to_vec()));
    assert_eq!(prefix_successor(b"\xFF\xFF"), None);
    assert_eq!(prefix_successor(b""), None);
}

#[test]
fn model_key_reads_eight_bytes_after_the_prefix() {
    assert_eq!(model_key(b"xxABCDEFGHI", 2), u64::from_be_bytes(*b"ABCDEFGH"));
    assert_eq!(model_key(b"xxAB", 2), 0x4142_0000_0000_0000);
    assert_eq!(model_key(b"xx", 2), 0);
    assert_eq!(model_key(b"x", 2), 0);
}

#[test]
fn numbers_keep_their_order_as_model_keys() {
    fn check<K: IndexKey + PartialOrd + std::fmt::Debug>(numbers: &[K]) {
        for a in numbers {
            for b in numbers {
                let order = a.partial_cmp(b).unwrap();
                assert_eq!(a.to_model_key().cmp(&b.to_model_key()), order, "{a:?} against {b:?}");
            }
        }
    }
    check(&[false, true]);
    check(&(0..=u8::MAX).collect::<Vec<_>>());
    check(&(i8::MIN..=i8::MAX).collect::<Vec<_>>());
    check(&[0, 1, u16::MAX]);
    check(&[i16::MIN, -1, 0, 1, i16::MAX]);
    check(&[0, 1, u32::MAX]);
    check(&[i32::MIN, -1, 0, 1, i32::MAX]);
    check(&[0, 1, 1 << 53, 1 << 63, u64::MAX]);
    check(&[i64::MIN, -1, 0, 1, i64::MAX]);
    check(&[f32::NEG_INFINITY, f32::MIN, -1.0, -1e-45, -0.0, 0.0, 1e-45, 1.0, f32::INFINITY]);
    check(&[f64::NEG_INFINITY, f64::MIN, -1.0, -5e-324, -0.0, 0.0, 5e-324, 1.0, f64::INFINITY]);
    assert!(f64::NAN.to_model_key() > f64::INFINITY.to_model_key());
    assert_eq!((-f64::NAN).to_model_key(), f64::NAN.to_model_key());
    assert!(f32::NAN.to_model_key() > f32::INFINITY.to_model_key());
}

#[test]
fn model_key_of_an_encoded_number_is_its_model_key() {
    assert_eq!(model_key(&encode(&[I64(-7)]), 0), (-7i64).to_model_key());
    assert_eq!(model_key(&encode(&[U64(7)]), 0), 7u64.to_model_key());
    assert_eq!(model_key(&encode(&[F64(-0.5)]), 0), (-0.5f64).to_model_key());
    assert_eq!(model_key(&encode(&[I32(-7)]), 0) >> 32, (-7i32).to_model_key());
}
