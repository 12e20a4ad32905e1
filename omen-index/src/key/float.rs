//! Floating-point numbers as unsigned integers of the same order.
//!
//! The bits of a positive number, read as an integer, already ascend with the number; setting the
//! sign bit puts them above all negative ones, whose bits descend and are therefore all flipped.
//! First, minus zero becomes zero and every NaN becomes the one positive quiet NaN without
//! payload, so that equal keys have equal bits and NaN sorts last.

const F16_NAN: u16 = 0x7E00;
const F32_NAN: u32 = 0x7FC0_0000;
const F64_NAN: u64 = 0x7FF8_0000_0000_0000;

const F16_SIGN: u16 = 1 << 15;
const F16_INFINITY: u16 = 0x7C00;
const F32_SIGN: u32 = 1 << 31;
const F64_SIGN: u64 = 1 << 63;

/// The half-precision number with these bits, in order.
pub(super) fn ordered_f16(bits: u16) -> u16 {
    let magnitude = bits & !F16_SIGN;
    let bits = if magnitude == 0 {
        0
    } else if magnitude > F16_INFINITY {
        F16_NAN
    } else {
        bits
    };
    if bits & F16_SIGN == 0 { bits | F16_SIGN } else { !bits }
}

/// A single-precision number, in order.
pub(super) fn ordered_f32(value: f32) -> u32 {
    let bits = if value == 0.0 {
        0
    } else if value.is_nan() {
        F32_NAN
    } else {
        value.to_bits()
    };
    if bits & F32_SIGN == 0 { bits | F32_SIGN } else { !bits }
}

/// A double-precision number, in order.
pub(super) fn ordered_f64(value: f64) -> u64 {
    let bits = if value == 0.0 {
        0
    } else if value.is_nan() {
        F64_NAN
    } else {
        value.to_bits()
    };
    if bits & F64_SIGN == 0 { bits | F64_SIGN } else { !bits }
}

/// Undoes [`ordered_f16`]; `None` for what it never returns.
pub(super) fn from_ordered_f16(ordered: u16) -> Option<u16> {
    let bits = if ordered & F16_SIGN == 0 { !ordered } else { ordered ^ F16_SIGN };
    (ordered_f16(bits) == ordered).then_some(bits)
}

/// Undoes [`ordered_f32`]; `None` for what it never returns.
pub(super) fn from_ordered_f32(ordered: u32) -> Option<f32> {
    let bits = if ordered & F32_SIGN == 0 { !ordered } else { ordered ^ F32_SIGN };
    let value = f32::from_bits(bits);
    (ordered_f32(value) == ordered).then_some(value)
}

/// Undoes [`ordered_f64`]; `None` for what it never returns.
pub(super) fn from_ordered_f64(ordered: u64) -> Option<f64> {
    let bits = if ordered & F64_SIGN == 0 { !ordered } else { ordered ^ F64_SIGN };
    let value = f64::from_bits(bits);
    (ordered_f64(value) == ordered).then_some(value)
}
