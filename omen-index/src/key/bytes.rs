//! Key columns of any length, and what byte order offers to whoever keeps encoded keys: the next
//! key, the end of a prefix, a model key.
//!
//! Reached through `encoding`, which states the layout.

use crate::error::Error;

/// What a zero byte inside a terminated column is followed by; the end is marked by two zeros.
const ESCAPED_ZERO: u8 = 0xFF;

/// Appends bytes or text so that further columns may follow.
pub fn put_bytes_terminated(out: &mut Vec<u8>, value: &[u8]) {
    for &byte in value {
        out.push(byte);
        if byte == 0 {
            out.push(ESCAPED_ZERO);
        }
    }
    out.extend_from_slice(&[0, 0]);
}

/// Takes a terminated column off the front.
pub fn take_bytes_terminated(input: &mut &[u8]) -> Result<Vec<u8>, Error> {
    let mut value = Vec::new();
    let mut rest = *input;
    loop {
        let Some(zero) = rest.iter().position(|&byte| byte == 0) else {
            return Err(Error::InvalidKey { reason: "it ends within a column" });
        };
        value.extend_from_slice(&rest[..zero]);
        match rest.get(zero + 1) {
            Some(0) => {
                *input = &rest[zero + 2..];
                return Ok(value);
            }
            Some(&ESCAPED_ZERO) => value.push(0),
            Some(_) => return Err(Error::InvalidKey { reason: "a zero byte is not escaped" }),
            None => return Err(Error::InvalidKey { reason: "it ends within a column" }),
        }
        rest = &rest[zero + 2..];
    }
}

/// Appends bytes or text as the last column.
pub fn put_bytes_raw(out: &mut Vec<u8>, value: &[u8]) {
    out.extend_from_slice(value);
}

/// Takes the last column: all that is left.
pub fn take_bytes_raw<'a>(input: &mut &'a [u8]) -> &'a [u8] {
    std::mem::take(input)
}

/// Makes of `bytes` the smallest byte string above it.
///
/// An inclusive upper bound becomes an exclusive one this way.
pub fn successor(bytes: &mut Vec<u8>) {
    bytes.push(0);
}

/// The smallest byte string above all that begin with `prefix`; `None` if there is none, because
/// the prefix is empty or nothing but 0xFF.
pub fn prefix_successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte != 0xFF)?;
    let mut above = prefix[..=last].to_vec();
    above[last] += 1;
    Some(above)
}

/// The model key of an encoded key: the eight bytes after the first `prefix_len`, big-endian, as
/// if followed by zeros.
///
/// Among keys that agree in the first `prefix_len` bytes, a smaller key never has a larger model
/// key; it may have the same. A key with another prefix is below or above all of them, which its
/// model key does not show: compare the prefix first.
pub fn model_key(bytes: &[u8], prefix_len: usize) -> u64 {
    let rest = bytes.get(prefix_len..).unwrap_or_default();
    let mut eight = [0; 8];
    let len = rest.len().min(eight.len());
    eight[..len].copy_from_slice(&rest[..len]);
    u64::from_be_bytes(eight)
}

/// How many bytes `a` and `b` have in common from the front.
///
/// In a sorted sequence, what the first and the last key have in common, all have.
pub fn common_prefix_len(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
