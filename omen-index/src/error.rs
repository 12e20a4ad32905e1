//! What can go wrong: keys that cannot be indexed, and bytes that are not what they claim to be.
//!
//! Lookups do not fail; only training, decoding and verifying do.

use std::fmt;

/// Why keys were refused or bytes could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The keys given for training do not ascend: the key at `position` is below the one before.
    Unsorted {
        /// Position of the first key that is smaller than its predecessor.
        position: usize,
    },
    /// More keys than one index can hold; positions are stored in 32 bits.
    TooManyKeys,
    /// An index was asked to vouch for keys it was not trained on.
    Mismatch {
        /// First position at which keys and index disagree.
        position: usize,
    },
    /// The bytes of a stored index are damaged or of an unknown version.
    Corrupt {
        /// Where in the bytes the problem was seen.
        offset: usize,
        /// What is wrong there.
        reason: &'static str,
    },
    /// The bytes of an encoded key are not an encoding of the expected type.
    InvalidKey {
        /// What is wrong with them.
        reason: &'static str,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Unsorted { position } => write!(
                f,
                "keys must ascend, but the key at position {position} is below the one before it"
            ),
            Error::TooManyKeys => {
                write!(f, "one index holds at most {} keys", u32::MAX)
            }
            Error::Mismatch { position } => write!(
                f,
                "the index was not trained on these keys: they differ at position {position}"
            ),
            Error::Corrupt { offset, reason } => {
                write!(f, "damaged index: {reason} (at byte {offset})")
            }
            Error::InvalidKey { reason } => write!(f, "invalid key encoding: {reason}"),
        }
    }
}

impl std::error::Error for Error {}
