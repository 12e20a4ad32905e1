//! Which types of numbers, texts and bytes have all values of another one.
//!
//! Called by ALTER COLUMN … TYPE.

use arrow::datatypes::DataType;

/// Digits of the integers of 8, 16, 32 and 64 bits.
const INTEGER_DIGITS: [u8; 4] = [3, 5, 10, 20];

/// Whether every value of `from` is one of `to` too, and cast to it as itself.
pub(super) fn is_wider(to: &DataType, from: &DataType) -> bool {
    use DataType::*;
    let is_text = |kind: &DataType| matches!(kind, Utf8 | LargeUtf8 | Utf8View);
    let is_binary = |kind: &DataType| matches!(kind, Binary | LargeBinary | BinaryView);
    let digits = |bits: usize| INTEGER_DIGITS[(bits.ilog2() - 3) as usize];
    match (integer(from), integer(to), to) {
        (Some((signed, bits)), Some((to_signed, to_bits)), _) => {
            let room = to_bits - usize::from(to_signed && !signed);
            return (to_signed || !signed) && bits <= room;
        }
        (Some((_, bits)), None, Float32) => return bits <= 16,
        (Some((_, bits)), None, Float64) => return bits <= 32,
        (Some((_, bits)), None, Decimal128(precision, scale)) => {
            return *scale >= 0 && precision - *scale as u8 >= digits(bits);
        }
        _ => {}
    }
    match (from, to) {
        (Float16, Float32 | Float64) | (Float32, Float64) => true,
        (Decimal128(p, s), Decimal128(to_p, to_s) | Decimal256(to_p, to_s)) => {
            to_s >= s && i16::from(*to_p) - i16::from(*to_s) >= i16::from(*p) - i16::from(*s)
        }
        (Date32, Date64) => true,
        _ => (is_text(from) && is_text(to)) || (is_binary(from) && is_binary(to)),
    }
}

/// Of an integer: whether it is signed, and its bits.
fn integer(kind: &DataType) -> Option<(bool, usize)> {
    let is_signed = kind.is_signed_integer();
    let width = kind.primitive_width().filter(|_| kind.is_integer())?;
    Some((is_signed, 8 * width))
}
