//! Key columns of any length: bytes and text.
//!
//! Reached through `encoding`, which states the layout. The end mark 00 00 is below 00 FF, which
//! a zero byte becomes, and below any other byte, so a string sorts before what continues it,
//! whatever the next column holds.

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
