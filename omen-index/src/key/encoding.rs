//! Keys as bytes whose order is the order of the keys.
//!
//! A key of several columns is the concatenation of its columns, each appended by the `put_`
//! function of its type. Of two keys put by the same sequence of functions, the smaller one, column
//! by column, has the smaller bytes:
//!
//! ```text
//! unsigned      big-endian
//! signed        big-endian, sign bit flipped; 1 to 16 bytes, or 32
//! bool          one byte, 0 or 1
//! float         big-endian; positive: sign bit set, negative: all bits flipped;
//!               minus zero is put as zero, every NaN as one, above infinity
//! bytes, text   terminated: a zero byte becomes 00 FF, the end is 00 00
//!               raw: as they are; only for the last column
//! ```
//!
//! The `take_` functions read columns back off the front. They accept exactly what `put_`
//! writes: if they return a value, putting that value gives the same bytes again. On other bytes
//! they fail, without a panic and without moving the input.
//!
//! ```
//! use omen_index::key::encoding::{put_bytes_raw, put_i32, take_bytes_raw, take_i32};
//!
//! let encode = |year: i32, name: &str| {
//!     let mut key = Vec::new();
//!     put_i32(&mut key, year);
//!     put_bytes_raw(&mut key, name.as_bytes());
//!     key
//! };
//! assert!(encode(-44, "Ides") < encode(1969, "Moon"));
//! assert!(encode(1969, "Moon") < encode(1969, "Moon landing"));
//!
//! let key = encode(1969, "Moon");
//! let mut input = key.as_slice();
//! assert_eq!(take_i32(&mut input)?, 1969);
//! assert_eq!(take_bytes_raw(&mut input), b"Moon");
//! # Ok::<(), omen_index::Error>(())
//! ```
//!
//! [`ByteIndex`](super::ByteIndex) is a learned index over such keys.

pub use super::byte_order::{common_prefix_len, model_key, prefix_successor, successor};
pub use super::bytes::{
    put_bytes_raw, put_bytes_terminated, take_bytes_raw, take_bytes_terminated,
};
pub use super::number::{
    put_bool, put_f16_bits, put_f32, put_f64, put_i8, put_i16, put_i32, put_i64, put_i128,
    put_i256, put_u8, put_u16, put_u32, put_u64, take_bool, take_f16_bits, take_f32, take_f64,
    take_i8, take_i16, take_i32, take_i64, take_i128, take_i256, take_u8, take_u16, take_u32,
    take_u64,
};
