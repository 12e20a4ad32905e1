//! Keys of other types, in the order the index needs.
//!
//! Two mappings, used by whoever stores the keys. [`IndexKey`] turns one number into the `u64`
//! that the index is trained on, its *model key*. [`encoding`] turns a key of one or more columns
//! into bytes that compare like the columns do; [`model_key`] cuts a model key out of those bytes.
//!
//! [`ByteIndex`] is a learned index over such byte strings; it looks at as many bytes as it takes.
//!
//! Invariant of both: a smaller key never maps to a larger result. Numbers keep all of their
//! order; of bytes, a model key keeps the order of eight, and keys that agree in them appear to
//! the index as equal, so a lookup ends with comparing the keys themselves.

pub mod encoding;

pub(crate) mod byte_builder;
mod byte_codec;
mod byte_index;
mod byte_order;
mod bytes;
mod float;
mod gallop;
mod index_key;
mod number;

pub use byte_builder::ByteIndexBuilder;
pub use byte_index::ByteIndex;
pub use encoding::{common_prefix_len, model_key, prefix_successor, successor};
pub use gallop::gallop;
pub(crate) use gallop::halve;
pub use index_key::IndexKey;
