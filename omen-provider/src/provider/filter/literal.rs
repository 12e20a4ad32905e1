//! What a comparison of a key column with a literal says about the column's values.
//!
//! DataFusion compares values of one type; after its rewrites the literal mostly has the column's
//! type. Where it has not (`id = 5.0`, a timestamp of another unit, an Int64 literal for a SMALLINT
//! column), both are placed on one line of exact numbers, and the literal becomes the bound that
//! separates the same values of the column: `id < 5.5` is `id <= 5`, `smallint < 100000` is always
//! true. A comparison that cannot be placed exactly restricts nothing.

use std::ops::Bound;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Decimal32Array, Decimal64Array, Decimal128Array, Decimal256Array, Int32Array,
    Int64Array, UInt64Array,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, TimeUnit, i256};
use datafusion::common::ScalarValue;

use super::domain::{Domain, Point};
use crate::storage::key::KeyCodec;

/// How a column is compared with a literal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A key column, as far as literals are concerned.
#[derive(Debug)]
pub(super) struct LiteralColumn {
    /// The column's type; the value type of a dictionary.
    data_type: DataType,
    /// Encodes values of this column alone.
    codec: KeyCodec,
}

impl LiteralColumn {
    /// `codec` encodes this column alone.
    pub(super) fn new(data_type: &DataType, codec: KeyCodec) -> Self {
        Self { data_type: plain(data_type).clone(), codec }
    }

    /// The column's type; the value type of a dictionary.
    pub(super) fn data_type(&self) -> &DataType {
        &self.data_type
    }

    /// The values for which `column <comparison> literal` is true, and whether exactly those;
    /// `None`: nothing is known.
    pub(super) fn values(
        &self,
        comparison: Comparison,
        literal: &ScalarValue,
    ) -> Option<(Domain, bool)> {
        let literal = match literal {
            ScalarValue::Dictionary(_, inner) => inner.as_ref(),
            other => other,
        };
        if literal.is_null() {
            return Some((Domain::empty(), true));
        }
        if is_float(&self.data_type) {
            return self.float_values(comparison, literal);
        }
        if literal.data_type() == self.data_type {
            let point = self.point(literal.to_array().ok()?)?;
            return Some((around(comparison, point), true));
        }
        if is_bytes(&self.data_type) {
            return self.bytes_values(comparison, literal);
        }
        let (floor, whole) = place(literal, &self.data_type)?;
        self.number_values(comparison, floor, whole)
    }

    /// Text and binary of another layout: the same bytes.
    fn bytes_values(
        &self,
        comparison: Comparison,
        literal: &ScalarValue,
    ) -> Option<(Domain, bool)> {
        if !keeps_value(&literal.data_type(), &self.data_type) {
            return None;
        }
        let array = strict_cast(&literal.to_array().ok()?, &self.data_type)?;
        Some((around(comparison, self.point(array)?), true))
    }

    /// Floats: never exact, since the key's order knows one zero and DataFusion's knows two.
    fn float_values(
        &self,
        comparison: Comparison,
        literal: &ScalarValue,
    ) -> Option<(Domain, bool)> {
        let value = match literal {
            ScalarValue::Float64(Some(v)) => *v,
            ScalarValue::Float32(Some(v)) => f64::from(*v),
            ScalarValue::Float16(Some(v)) => f64::from(*v),
            other => {
                let integer = integer_of(other)?;
                let is_number = line_of(&other.data_type()).is_some_and(|l| l == PLAIN_NUMBERS);
                (is_number && integer.unsigned_abs() <= 1 << 53).then_some(integer as f64)?
            }
        };
        let scalar = ScalarValue::Float64(Some(value)).to_array().ok()?;
        let array = strict_cast(&scalar, &self.data_type)?;
        let back = strict_cast(&array, &DataType::Float64)?;
        if value.is_nan() || ScalarValue::try_from_array(&back, 0).ok()? != value.into() {
            return None;
        }
        let comparison = match comparison {
            Comparison::Less if value == 0.0 => Comparison::LessOrEqual,
            Comparison::Greater if value == 0.0 => Comparison::GreaterOrEqual,
            other => other,
        };
        Some((around(comparison, self.point(array)?), false))
    }

    /// The literal lies at the integer `floor` of the column's numbers (`whole`), or between it
    /// and the next.
    fn number_values(
        &self,
        comparison: Comparison,
        floor: i128,
        whole: bool,
    ) -> Option<(Domain, bool)> {
        let comparison = match comparison {
            Comparison::Equal if !whole => return Some((Domain::empty(), true)),
            Comparison::Less if !whole => Comparison::LessOrEqual,
            Comparison::GreaterOrEqual if !whole => Comparison::Greater,
            other => other,
        };
        let (smallest, largest) = limits(&self.data_type)?;
        if floor < smallest || floor > largest {
            let everything = match comparison {
                Comparison::Equal => false,
                Comparison::Less | Comparison::LessOrEqual => floor > largest,
                Comparison::Greater | Comparison::GreaterOrEqual => floor < smallest,
            };
            return Some((if everything { Domain::all() } else { Domain::empty() }, true));
        }
        let point = self.point(number_array(&self.data_type, floor)?)?;
        Some((around(comparison, point), true))
    }

    fn point(&self, value: ArrayRef) -> Option<Point> {
        let bytes = self.codec.encode_prefix(&[Arc::clone(&value)]).ok()?;
        Some(Point { value, bytes })
    }
}

fn around(comparison: Comparison, point: Point) -> Domain {
    match comparison {
        Comparison::Equal => {
            Domain::between(Bound::Included(point.clone()), Bound::Included(point))
        }
        Comparison::Less => Domain::between(Bound::Unbounded, Bound::Excluded(point)),
        Comparison::LessOrEqual => Domain::between(Bound::Unbounded, Bound::Included(point)),
        Comparison::Greater => Domain::between(Bound::Excluded(point), Bound::Unbounded),
        Comparison::GreaterOrEqual => Domain::between(Bound::Included(point), Bound::Unbounded),
    }
}

/// Whether a cast from `from` to `to` keeps order and tells all values apart, or at least those on
/// this side of the literals that [`place`] accepts.
pub(super) fn keeps_value(from: &DataType, to: &DataType) -> bool {
    let (from, to) = (plain(from), plain(to));
    if from == to || (is_text(from) && is_text(to)) || (is_binary(from) && is_binary(to)) {
        return true;
    }
    if let (Some(from), Some(to)) = (float_bits(from), float_bits(to)) {
        return from <= to;
    }
    let Some(from) = line_of(from) else { return false };
    if is_float(to) {
        return from == PLAIN_NUMBERS;
    }
    let Some(to) = line_of(to) else { return false };
    // A unit of `from` must be a whole number of units of `to`.
    let units = from.multiplier.checked_mul(to.divisor);
    let per = from.divisor.checked_mul(to.multiplier);
    from.kind == to.kind
        && matches!((units, per), (Some(units), Some(per)) if units.checked_rem(per) == Some(0))
}

/// Lines on which values of different types can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LineKind {
    Number,
    /// Nanoseconds since 1970 in universal time.
    Instant,
    /// Nanoseconds since 1970 on a clock without a time zone.
    LocalInstant,
    TimeOfDay,
    Elapsed,
}

/// A type whose values are integers times `multiplier / divisor` on a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Line {
    kind: LineKind,
    multiplier: i128,
    divisor: i128,
}

const PLAIN_NUMBERS: Line = Line { kind: LineKind::Number, multiplier: 1, divisor: 1 };

fn line_of(data_type: &DataType) -> Option<Line> {
    let line = |kind, multiplier| Some(Line { kind, multiplier, divisor: 1 });
    match data_type {
        integer if integer.is_integer() => Some(PLAIN_NUMBERS),
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale) => {
            let power = 10i128.checked_pow(u32::from(scale.unsigned_abs()))?;
            let (multiplier, divisor) = if *scale < 0 { (power, 1) } else { (1, power) };
            Some(Line { kind: LineKind::Number, multiplier, divisor })
        }
        DataType::Timestamp(unit, Some(_)) => line(LineKind::Instant, nanoseconds(*unit)),
        DataType::Timestamp(unit, None) => line(LineKind::LocalInstant, nanoseconds(*unit)),
        DataType::Date32 => line(LineKind::LocalInstant, 86_400_000_000_000),
        DataType::Date64 => line(LineKind::LocalInstant, 1_000_000),
        DataType::Time32(unit) | DataType::Time64(unit) => {
            line(LineKind::TimeOfDay, nanoseconds(*unit))
        }
        DataType::Duration(unit) => line(LineKind::Elapsed, nanoseconds(*unit)),
        _ => None,
    }
}

fn nanoseconds(unit: TimeUnit) -> i128 {
    match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    }
}

/// Where `literal` lies among the integers that `column` stores: at the returned integer, or
/// between it and the next (`false`).
fn place(literal: &ScalarValue, column: &DataType) -> Option<(i128, bool)> {
    let to = line_of(column)?;
    if let Some((value, digits)) = float_of(literal) {
        // Beyond its mantissa a float stands for several integers at once.
        let is_exact = to == PLAIN_NUMBERS && value.abs() < 2f64.powi(digits);
        return is_exact.then(|| (value.floor() as i128, value.fract() == 0.0));
    }
    let from = line_of(&literal.data_type())?;
    if from.kind != to.kind {
        return None;
    }
    let units = integer_of(literal)?.checked_mul(from.multiplier)?.checked_mul(to.divisor)?;
    let per = from.divisor.checked_mul(to.multiplier)?;
    Some((units.div_euclid(per), units.rem_euclid(per) == 0))
}

/// A float literal and the binary digits of its mantissa.
fn float_of(literal: &ScalarValue) -> Option<(f64, i32)> {
    match literal {
        ScalarValue::Float64(Some(v)) => Some((*v, 53)),
        ScalarValue::Float32(Some(v)) => Some((f64::from(*v), 24)),
        ScalarValue::Float16(Some(v)) => Some((f64::from(*v), 11)),
        _ => None,
    }
}

/// The integer by which a literal of a type on a line is stored.
fn integer_of(literal: &ScalarValue) -> Option<i128> {
    use ScalarValue::*;
    match literal {
        Int8(v) => v.map(i128::from),
        Int16(v) => v.map(i128::from),
        Int32(v) | Date32(v) | Time32Second(v) | Time32Millisecond(v) | Decimal32(v, ..) => {
            v.map(i128::from)
        }
        Int64(v)
        | Date64(v)
        | Time64Microsecond(v)
        | Time64Nanosecond(v)
        | TimestampSecond(v, _)
        | TimestampMillisecond(v, _)
        | TimestampMicrosecond(v, _)
        | TimestampNanosecond(v, _)
        | DurationSecond(v)
        | DurationMillisecond(v)
        | DurationMicrosecond(v)
        | DurationNanosecond(v)
        | Decimal64(v, ..) => v.map(i128::from),
        UInt8(v) => v.map(i128::from),
        UInt16(v) => v.map(i128::from),
        UInt32(v) => v.map(i128::from),
        UInt64(v) => v.map(i128::from),
        Decimal128(v, ..) => *v,
        Decimal256(v, ..) => v.and_then(i256::to_i128),
        _ => None,
    }
}

/// The smallest and largest integer that a type on a line can store.
fn limits(data_type: &DataType) -> Option<(i128, i128)> {
    let signed = |bits: u32| Some((-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1));
    match data_type {
        DataType::Int8 => signed(8),
        DataType::Int16 => signed(16),
        DataType::Int32 | DataType::Date32 | DataType::Time32(_) | DataType::Decimal32(..) => {
            signed(32)
        }
        DataType::UInt8 => Some((0, i128::from(u8::MAX))),
        DataType::UInt16 => Some((0, i128::from(u16::MAX))),
        DataType::UInt32 => Some((0, i128::from(u32::MAX))),
        DataType::UInt64 => Some((0, i128::from(u64::MAX))),
        DataType::Decimal128(..) | DataType::Decimal256(..) => Some((i128::MIN, i128::MAX)),
        other => line_of(other).and_then(|_| signed(64)),
    }
}

/// A one-row array of `data_type` that stores the integer `number`.
fn number_array(data_type: &DataType, number: i128) -> Option<ArrayRef> {
    let array: ArrayRef = match data_type {
        DataType::UInt64 => Arc::new(UInt64Array::from(vec![u64::try_from(number).ok()?])),
        DataType::Decimal32(precision, scale) => {
            let array = Decimal32Array::from(vec![i32::try_from(number).ok()?]);
            Arc::new(array.with_precision_and_scale(*precision, *scale).ok()?)
        }
        DataType::Decimal64(precision, scale) => {
            let array = Decimal64Array::from(vec![i64::try_from(number).ok()?]);
            Arc::new(array.with_precision_and_scale(*precision, *scale).ok()?)
        }
        DataType::Decimal128(precision, scale) => {
            let array = Decimal128Array::from(vec![number]);
            Arc::new(array.with_precision_and_scale(*precision, *scale).ok()?)
        }
        DataType::Decimal256(precision, scale) => {
            let array = Decimal256Array::from(vec![i256::from_i128(number)]);
            Arc::new(array.with_precision_and_scale(*precision, *scale).ok()?)
        }
        DataType::Date32 | DataType::Time32(_) => {
            let array: ArrayRef = Arc::new(Int32Array::from(vec![i32::try_from(number).ok()?]));
            strict_cast(&array, data_type)?
        }
        _ => {
            let array: ArrayRef = Arc::new(Int64Array::from(vec![i64::try_from(number).ok()?]));
            strict_cast(&array, data_type)?
        }
    };
    Some(array)
}

fn strict_cast(array: &ArrayRef, to: &DataType) -> Option<ArrayRef> {
    let options = CastOptions { safe: false, ..Default::default() };
    let cast = cast_with_options(array, to, &options).ok()?;
    (cast.null_count() == 0).then_some(cast)
}

fn plain(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::Dictionary(_, values) => values,
        other => other,
    }
}

fn float_bits(data_type: &DataType) -> Option<u32> {
    match data_type {
        DataType::Float16 => Some(16),
        DataType::Float32 => Some(32),
        DataType::Float64 => Some(64),
        _ => None,
    }
}

fn is_float(data_type: &DataType) -> bool {
    float_bits(data_type).is_some()
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn is_binary(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::FixedSizeBinary(_)
    )
}

fn is_bytes(data_type: &DataType) -> bool {
    is_text(data_type) || is_binary(data_type)
}
