//! Keys.
pub fn model_key(bytes: &[u8], prefix_len: usize) -> u64 {
    let mut out = [0u8; 8];
    for (o, b) in out.iter_mut().zip(bytes.iter().skip(prefix_len)) {
        *o = *b;
    }
    u64::from_be_bytes(out)
}
pub fn common_prefix_len(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(x, y)| x == y).count()
}
pub fn successor(bytes: &mut Vec<u8>) {
    bytes.push(0);
}
pub fn prefix_successor(bytes: &[u8]) -> Option<Vec<u8>> {
    let last = bytes.iter().rposition(|b| *b != 0xFF)?;
    let mut out = bytes[..=last].to_vec();
    out[last] += 1;
    Some(out)
}
