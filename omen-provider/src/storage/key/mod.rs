//! Primary keys: values, their order-preserving encoding, and ranges of them.
//!
//! Inside the engine a key is a byte string whose bytewise order is the order of the key columns
//! (`codec`); keys of up to eight fixed bytes are kept as `u64` (`keys`), and a learned index over
//! either finds them (`model`). A [`KeyRange`] is a
//! half-open interval of such byte strings, and [`Key`] is what callers write.

mod codec;
mod column;
mod keys;
mod model;
mod range;
mod value;

pub use codec::{KeyCodec, NULL};
pub use keys::{Keys, least_not_below};
pub use model::{KeyModel, KeyModelBuilder};
pub use range::KeyRange;
pub use value::{Key, KeyValue};

#[cfg(test)]
mod tests;
