//! Keys as callers write them.
//!
//! `42`, `"EWR"` and tuples such as `("EWR", 7)` convert into a [`Key`]; the table's codec turns
//! it into the encoded form, checking it against the key columns.

use arrow::array::ArrayRef;

/// One value of a key.
#[derive(Debug, Clone)]
pub enum KeyValue {
    /// Any integer type; dates, times, timestamps and durations by their stored integer.
    Int(i64),
    /// An unsigned integer.
    UInt(u64),
    /// A float.
    Float(f64),
    /// A boolean.
    Bool(bool),
    /// Text; also read as a date, time, timestamp or decimal where the column is one.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
    /// A one-row array of any type that casts to the column's without loss.
    Array(ArrayRef),
}

/// A primary key: one value per key column, in key order. Bounds of a range may be shorter and
/// then stand for all keys that begin so.
#[derive(Debug, Clone)]
pub struct Key(pub Vec<KeyValue>);

macro_rules! value_from {
    ($($type:ty => $variant:ident as $inner:ty),* $(,)?) => {$(
        impl From<$type> for KeyValue {
            fn from(value: $type) -> Self {
                Self::$variant(<$inner>::from(value))
            }
        }
    )*};
}

value_from!(
    i8 => Int as i64, i16 => Int as i64, i32 => Int as i64, i64 => Int as i64,
    u8 => UInt as u64, u16 => UInt as u64, u32 => UInt as u64, u64 => UInt as u64,
    f32 => Float as f64, f64 => Float as f64, bool => Bool as bool,
    &str => Text as String, String => Text as String, Vec<u8> => Binary as Vec<u8>,
    &[u8] => Binary as Vec<u8>, ArrayRef => Array as ArrayRef,
);

impl<T: Into<KeyValue>> From<T> for Key {
    fn from(value: T) -> Self {
        Self(vec![value.into()])
    }
}

macro_rules! key_from_tuple {
    ($($name:ident),+) => {
        impl<$($name: Into<KeyValue>),+> From<($($name,)+)> for Key {
            #[expect(non_snake_case, reason = "the type parameters name the tuple's fields")]
            fn from(($($name,)+): ($($name,)+)) -> Self {
                Self(vec![$($name.into()),+])
            }
        }
    };
}

key_from_tuple!(A, B);
key_from_tuple!(A, B, C);
key_from_tuple!(A, B, C, D);
