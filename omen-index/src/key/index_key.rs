//! Single numbers as model keys.

use super::float;

/// A number that an index can be trained on.
///
/// Law: if `a < b` then `a.to_model_key() < b.to_model_key()`, and equal numbers have equal model
/// keys.
///
/// ```
/// use omen_index::key::IndexKey;
///
/// assert!((-5i64).to_model_key() < 3i64.to_model_key());
/// assert!((-0.5f64).to_model_key() < 0.25f64.to_model_key());
/// assert_eq!((-0.0f64).to_model_key(), 0.0f64.to_model_key());
/// ```
///
/// Floating point: the two zeros are one key. Every NaN maps to one key above infinity; whoever
/// does not want NaN as a key has to refuse it before.
pub trait IndexKey: Copy {
    /// The model key of this number.
    fn to_model_key(self) -> u64;
}

macro_rules! unsigned {
    ($($type:ty),*) => {$(
        impl IndexKey for $type {
            #[inline]
            fn to_model_key(self) -> u64 {
                u64::from(self)
            }
        }
    )*};
}

// Flipping the sign bit moves the negative numbers below the positive ones.
macro_rules! signed {
    ($($type:ty as $unsigned:ty),*) => {$(
        impl IndexKey for $type {
            #[inline]
            fn to_model_key(self) -> u64 {
                u64::from((self ^ <$type>::MIN) as $unsigned)
            }
        }
    )*};
}

unsigned!(u8, u16, u32, u64, bool);
signed!(i8 as u8, i16 as u16, i32 as u32, i64 as u64);

impl IndexKey for f32 {
    #[inline]
    fn to_model_key(self) -> u64 {
        u64::from(float::ordered_f32(self))
    }
}

impl IndexKey for f64 {
    #[inline]
    fn to_model_key(self) -> u64 {
        float::ordered_f64(self)
    }
}
