//! Key columns of fixed width: integers, booleans, floating point.
//!
//! Reached through `encoding`, which states the layout. Flipping the sign bit of a signed integer
//! moves the negative ones below the positive ones; big-endian bytes then compare like the number.

use super::float;
use crate::error::Error;

macro_rules! integers {
    ($($put:ident, $take:ident, $type:ty, $flip:expr;)*) => {$(
        #[doc = concat!("Appends a key column of type `", stringify!($type), "`.")]
        pub fn $put(out: &mut Vec<u8>, value: $type) {
            out.extend_from_slice(&(value ^ $flip).to_be_bytes());
        }

        #[doc = concat!("Takes a key column of type `", stringify!($type), "` off the front.")]
        pub fn $take(input: &mut &[u8]) -> Result<$type, Error> {
            take_array(input).map(|bytes| <$type>::from_be_bytes(bytes) ^ $flip)
        }
    )*};
}

integers! {
    put_u8, take_u8, u8, 0;
    put_u16, take_u16, u16, 0;
    put_u32, take_u32, u32, 0;
    put_u64, take_u64, u64, 0;
    put_i8, take_i8, i8, i8::MIN;
    put_i16, take_i16, i16, i16::MIN;
    put_i32, take_i32, i32, i32::MIN;
    put_i64, take_i64, i64, i64::MIN;
    put_i128, take_i128, i128, i128::MIN;
}

/// Appends a 256-bit signed integer, given as two's complement in little-endian order.
pub fn put_i256(out: &mut Vec<u8>, mut little_endian: [u8; 32]) {
    little_endian[31] ^= 0x80;
    little_endian.reverse();
    out.extend_from_slice(&little_endian);
}

/// Takes a 256-bit signed integer off the front, as two's complement in little-endian order.
pub fn take_i256(input: &mut &[u8]) -> Result<[u8; 32], Error> {
    let mut bytes: [u8; 32] = take_array(input)?;
    bytes.reverse();
    bytes[31] ^= 0x80;
    Ok(bytes)
}

/// Appends a boolean; `false` comes first.
pub fn put_bool(out: &mut Vec<u8>, value: bool) {
    out.push(u8::from(value));
}

/// Takes a boolean off the front.
pub fn take_bool(input: &mut &[u8]) -> Result<bool, Error> {
    take_checked(input, |[byte]| match byte {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    })
}

/// Appends the half-precision number that has these bits.
pub fn put_f16_bits(out: &mut Vec<u8>, bits: u16) {
    out.extend_from_slice(&float::ordered_f16(bits).to_be_bytes());
}

/// Takes a half-precision number off the front, as its bits.
pub fn take_f16_bits(input: &mut &[u8]) -> Result<u16, Error> {
    take_checked(input, |bytes| float::from_ordered_f16(u16::from_be_bytes(bytes)))
}

/// Appends a single-precision number.
pub fn put_f32(out: &mut Vec<u8>, value: f32) {
    out.extend_from_slice(&float::ordered_f32(value).to_be_bytes());
}

/// Takes a single-precision number off the front.
pub fn take_f32(input: &mut &[u8]) -> Result<f32, Error> {
    take_checked(input, |bytes| float::from_ordered_f32(u32::from_be_bytes(bytes)))
}

/// Appends a double-precision number.
pub fn put_f64(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(&float::ordered_f64(value).to_be_bytes());
}

/// Takes a double-precision number off the front.
pub fn take_f64(input: &mut &[u8]) -> Result<f64, Error> {
    take_checked(input, |bytes| float::from_ordered_f64(u64::from_be_bytes(bytes)))
}

fn take_array<const N: usize>(input: &mut &[u8]) -> Result<[u8; N], Error> {
    take_checked(input, Some)
}

/// Takes `N` bytes off the front if `read` makes something of them.
fn take_checked<T, const N: usize>(
    input: &mut &[u8],
    read: impl Fn([u8; N]) -> Option<T>,
) -> Result<T, Error> {
    let Some((bytes, rest)) = input.split_first_chunk::<N>() else {
        return Err(Error::InvalidKey { reason: "it ends within a column" });
    };
    let Some(value) = read(*bytes) else {
        return Err(Error::InvalidKey { reason: "no number has this encoding" });
    };
    *input = rest;
    Ok(value)
}
