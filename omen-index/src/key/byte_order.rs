//! What byte order offers to whoever keeps encoded keys: the next key, the end of a prefix, the
//! common prefix, a model key.

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
