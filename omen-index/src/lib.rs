//! A learned index for sorted `u64` keys: two small layers of integer arithmetic that say where
//! in a sorted array a key must be.
//!
//! A binary search halves the whole array about `log2(n)` times and misses the cache most of
//! those times. But the positions of sorted keys, seen as a function of the key, are a rising
//! curve, and a rising curve is well described by short straight pieces:
//!
//! 1. The **root** cuts the key space into *cells*, each with a straight line of its own: one cell
//!    for keys that lie on a line, one for every thousand keys where no line fits, so outliers and
//!    dense regions each get their share. Finding the cell compares 32 cells at a time.
//! 2. One multiplication per cell places the key. Where the line fits, in one of the cell's
//!    *leaves*: equally wide slices of the key space, four bytes each, the position of the first
//!    key. Where it does not, between two of the cell's *knots*: three bytes for every sixteenth
//!    key that say where on the line it lies, compared all at once.
//!
//! The key's leaf `l` and the next leaf bound the answer, `start[l] ..= start[l + 1]`, and how far
//! the key lies into its leaf says where to look first: the **last-mile search** compares the two
//! cache lines of keys there. Between two knots there are no more keys than that.
//!
//! The bounds are a guarantee, not an expectation. Routing never decreases as keys grow, and
//! `start[l]` counts the keys routed before leaf `l`; so for every one of the 2^64 possible keys,
//! stored or not, both the first position not below the key and the first position above it lie
//! inside [`Rmi::search_range`]. There is no floating point on this path, so the same bytes give
//! the same positions on every machine.
//!
//! ```
//! use omen_index::Rmi;
//!
//! let keys: Vec<u64> = (0..10_000).map(|i| 1_000 + i * i).collect();
//! let index = Rmi::train(&keys)?;
//!
//! // A stored key is found at its position ...
//! assert_eq!(index.lower_bound(&keys, 1_000 + 77 * 77), 77);
//! // ... and an absent one at the position where it would be inserted.
//! assert_eq!(index.lower_bound(&keys, 1_001 + 77 * 77), 78);
//!
//! // Without the keys at hand, the index names the few positions worth reading.
//! let range = index.search_range(1_000 + 77 * 77);
//! assert!(range.contains(&77) && range.len() <= 512);
//!
//! // It is stored apart from the keys, checksummed, and checked when read back.
//! let stored = index.to_bytes();
//! assert_eq!(Rmi::from_bytes(&stored)?, index);
//! # Ok::<(), omen_index::Error>(())
//! ```
//!
//! Keys of other types are mapped to `u64` in order: numbers by [`key::IndexKey`], tuples and
//! strings by the byte encoding in [`key::encoding`], over which [`key::ByteIndex`] puts as many
//! models as it takes.

#![deny(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::duplicate_mod,
        reason = "tests compile some files once more, over a scheduler's locks"
    )
)]

mod error;
pub mod fingerprints;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
#[cfg(all(test, not(feature = "fuzzing")))]
mod fuzzing;
pub mod key;

mod fit;
mod knots;
mod linear;
mod root;
mod scalar;
mod simd;
mod slots;

mod rmi;
pub mod runs;

mod batch;
mod codec;
mod crc32c;
mod paged;
mod search;
mod train;

#[cfg(test)]
mod tests;

/// Compiles and runs the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use error::Error;
pub use paged::{KeyPage, LeKeys, PagedKeys};
pub use rmi::{Rmi, RmiStats};
pub use train::RmiBuilder;
