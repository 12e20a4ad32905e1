//! One key column: how its Arrow values become bytes, and back.
//!
//! Called by [`super::codec`] alone. The layouts are those of [`omen_index::key::encoding`].
//!
//! Invariant: of two values of one column, the smaller one has the smaller bytes; equal values have
//! equal bytes (minus zero equals zero).

use std::sync::Arc;

use arrow::array::types::*;
use arrow::array::*;
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::{ArrowNativeType, DataType, i256};
use half::f16;
use omen_index::key::encoding as enc;

use crate::error::{Error, Result};

/// The physical form of a key column's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    I8,
    I16,
    I32,
    I64,
    I128,
    I256,
    U8,
    U16,
    U32,
    U64,
    F16,
    F32,
    F64,
    Bool,
    Bytes,
    FixedBytes(usize),
}

impl Kind {
    /// The form of `data_type`; `None` for types that cannot be part of a key.
    pub(super) fn of(data_type: &DataType) -> Option<Self> {
        use DataType::*;
        Some(match data_type {
            Int8 => Self::I8,
            Int16 => Self::I16,
            Int32 | Date32 | Time32(_) | Decimal32(..) => Self::I32,
            Int64 | Date64 | Time64(_) | Timestamp(..) | Duration(_) | Decimal64(..) => Self::I64,
            Decimal128(..) => Self::I128,
            Decimal256(..) => Self::I256,
            UInt8 => Self::U8,
            UInt16 => Self::U16,
            UInt32 => Self::U32,
            UInt64 => Self::U64,
            Float16 => Self::F16,
            Float32 => Self::F32,
            Float64 => Self::F64,
            Boolean => Self::Bool,
            Utf8 | LargeUtf8 | Utf8View | Binary | LargeBinary | BinaryView => Self::Bytes,
            FixedSizeBinary(width) => Self::FixedBytes(usize::try_from(*width).ok()?),
            _ => return None,
        })
    }

    /// Encoded bytes per value, if it is always the same number.
    pub(super) fn width(self) -> Option<usize> {
        Some(match self {
            Self::I8 | Self::U8 | Self::Bool => 1,
            Self::I16 | Self::U16 | Self::F16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::I64 | Self::U64 | Self::F64 => 8,
            Self::I128 => 16,
            Self::I256 => 32,
            Self::FixedBytes(width) => width,
            Self::Bytes => return None,
        })
    }
}

/// The values of one key column, ready to be encoded row by row.
pub(super) enum Values<'a> {
    I8(&'a [i8]),
    I16(&'a [i16]),
    I32(&'a [i32]),
    I64(&'a [i64]),
    I128(&'a [i128]),
    I256(&'a [i256]),
    U8(&'a [u8]),
    U16(&'a [u16]),
    U32(&'a [u32]),
    U64(&'a [u64]),
    F16(&'a [f16]),
    F32(&'a [f32]),
    F64(&'a [f64]),
    Bool(&'a BooleanArray),
    Bytes(Box<dyn Fn(usize) -> &'a [u8] + 'a>),
    FixedBytes(&'a FixedSizeBinaryArray),
}

impl<'a> Values<'a> {
    /// The values of `array`, which has a type of form `kind`.
    pub(super) fn new(array: &'a dyn Array, kind: Kind) -> Result<Self> {
        Ok(match kind {
            Kind::I8 => Self::I8(natives(array)?),
            Kind::I16 => Self::I16(natives(array)?),
            Kind::I32 => Self::I32(natives(array)?),
            Kind::I64 => Self::I64(natives(array)?),
            Kind::I128 => Self::I128(natives(array)?),
            Kind::I256 => Self::I256(natives(array)?),
            Kind::U8 => Self::U8(natives(array)?),
            Kind::U16 => Self::U16(natives(array)?),
            Kind::U32 => Self::U32(natives(array)?),
            Kind::U64 => Self::U64(natives(array)?),
            Kind::F16 => Self::F16(natives(array)?),
            Kind::F32 => Self::F32(natives(array)?),
            Kind::F64 => Self::F64(natives(array)?),
            Kind::Bool => Self::Bool(array.as_boolean()),
            Kind::FixedBytes(_) => Self::FixedBytes(array.as_fixed_size_binary()),
            Kind::Bytes => Self::Bytes(bytes_of(array)),
        })
    }

    /// Whether value `row` is not a number.
    pub(super) fn is_nan(&self, row: usize) -> bool {
        match self {
            Self::F16(values) => values[row].is_nan(),
            Self::F32(values) => values[row].is_nan(),
            Self::F64(values) => values[row].is_nan(),
            _ => false,
        }
    }

    /// Appends the encoding of value `row`; text that is not the last column is terminated.
    pub(super) fn put(&self, row: usize, terminated: bool, out: &mut Vec<u8>) {
        match self {
            Self::I8(values) => enc::put_i8(out, values[row]),
            Self::I16(values) => enc::put_i16(out, values[row]),
            Self::I32(values) => enc::put_i32(out, values[row]),
            Self::I64(values) => enc::put_i64(out, values[row]),
            Self::I128(values) => enc::put_i128(out, values[row]),
            Self::I256(values) => enc::put_i256(out, values[row].to_le_bytes()),
            Self::U8(values) => enc::put_u8(out, values[row]),
            Self::U16(values) => enc::put_u16(out, values[row]),
            Self::U32(values) => enc::put_u32(out, values[row]),
            Self::U64(values) => enc::put_u64(out, values[row]),
            Self::F16(values) => enc::put_f16_bits(out, values[row].to_bits()),
            Self::F32(values) => enc::put_f32(out, values[row]),
            Self::F64(values) => enc::put_f64(out, values[row]),
            Self::Bool(values) => enc::put_bool(out, values.value(row)),
            // All values have one width: nothing needs to mark their end.
            Self::FixedBytes(values) => enc::put_bytes_raw(out, values.value(row)),
            Self::Bytes(value) if terminated => enc::put_bytes_terminated(out, value(row)),
            Self::Bytes(value) => enc::put_bytes_raw(out, value(row)),
        }
    }
}

/// Takes one value of `data_type` off the front of an encoded key, as an array of one row.
pub(super) fn take(
    input: &mut &[u8],
    kind: Kind,
    data_type: &DataType,
    terminated: bool,
) -> Result<ArrayRef> {
    let damaged = |e: omen_index::Error| Error::invalid(format!("an encoded key is damaged: {e}"));
    let bad = |e: arrow::error::ArrowError| Error::from(e);
    macro_rules! native {
        ($take:ident) => {{
            let value = enc::$take(input).map_err(damaged)?;
            one_native(ScalarBuffer::from(vec![value]), data_type)?
        }};
    }
    Ok(match kind {
        Kind::I8 => native!(take_i8),
        Kind::I16 => native!(take_i16),
        Kind::I32 => native!(take_i32),
        Kind::I64 => native!(take_i64),
        Kind::I128 => native!(take_i128),
        Kind::I256 => {
            let value = i256::from_le_bytes(enc::take_i256(input).map_err(damaged)?);
            one_native(ScalarBuffer::from(vec![value]), data_type)?
        }
        Kind::U8 => native!(take_u8),
        Kind::U16 => native!(take_u16),
        Kind::U32 => native!(take_u32),
        Kind::U64 => native!(take_u64),
        Kind::F16 => {
            let value = f16::from_bits(enc::take_f16_bits(input).map_err(damaged)?);
            one_native(ScalarBuffer::from(vec![value]), data_type)?
        }
        Kind::F32 => native!(take_f32),
        Kind::F64 => native!(take_f64),
        Kind::Bool => Arc::new(BooleanArray::from(vec![enc::take_bool(input).map_err(damaged)?])),
        Kind::FixedBytes(width) => {
            let (value, rest) = input
                .split_at_checked(width)
                .ok_or_else(|| Error::invalid("an encoded key is cut short"))?;
            *input = rest;
            let values = std::iter::once(value);
            Arc::new(FixedSizeBinaryArray::try_from_iter(values).map_err(bad)?)
        }
        Kind::Bytes => {
            let value = match terminated {
                true => enc::take_bytes_terminated(input).map_err(damaged)?,
                false => enc::take_bytes_raw(input).to_vec(),
            };
            let binary: ArrayRef = Arc::new(BinaryArray::from(vec![value.as_slice()]));
            arrow::compute::cast(&binary, data_type).map_err(bad)?
        }
    })
}

fn one_native<T: ArrowNativeType>(
    values: ScalarBuffer<T>,
    data_type: &DataType,
) -> Result<ArrayRef> {
    let data =
        ArrayData::builder(data_type.clone()).len(1).add_buffer(values.into_inner()).build()?;
    Ok(make_array(data))
}

/// The values buffer of a primitive array, whatever its logical type.
fn natives<T: ArrowNativeType>(array: &dyn Array) -> Result<&[T]> {
    macro_rules! view {
        ($($type:ty),*) => {$(
            if let Some(array) = array.as_any().downcast_ref::<PrimitiveArray<$type>>() {
                let bytes = array.values().inner();
                return Ok(bytes.typed_data());
            }
        )*};
    }
    view!(
        Int8Type,
        Int16Type,
        Int32Type,
        Int64Type,
        UInt8Type,
        UInt16Type,
        UInt32Type,
        UInt64Type,
        Float16Type,
        Float32Type,
        Float64Type,
        Date32Type,
        Date64Type,
        Time32SecondType,
        Time32MillisecondType,
        Time64MicrosecondType,
        Time64NanosecondType,
        TimestampSecondType,
        TimestampMillisecondType,
        TimestampMicrosecondType,
        TimestampNanosecondType,
        DurationSecondType,
        DurationMillisecondType,
        DurationMicrosecondType,
        DurationNanosecondType,
        Decimal32Type,
        Decimal64Type,
        Decimal128Type,
        Decimal256Type
    );
    Err(Error::invalid(format!("{} cannot be part of a key", array.data_type())))
}

fn bytes_of<'a>(array: &'a dyn Array) -> Box<dyn Fn(usize) -> &'a [u8] + 'a> {
    macro_rules! view {
        ($array:expr) => {{
            let array = $array;
            Box::new(move |row| array.value(row).as_ref())
        }};
    }
    match array.data_type() {
        DataType::Utf8 => view!(array.as_string::<i32>()),
        DataType::LargeUtf8 => view!(array.as_string::<i64>()),
        DataType::Utf8View => view!(array.as_string_view()),
        DataType::Binary => view!(array.as_binary::<i32>()),
        DataType::LargeBinary => view!(array.as_binary::<i64>()),
        _ => view!(array.as_binary_view()),
    }
}
