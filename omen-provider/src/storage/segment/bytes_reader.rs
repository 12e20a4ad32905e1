//! Takes little-endian numbers and byte strings off the front of bytes that may be damaged.

/// A cursor that never reads past the end; errors say that the bytes are cut short.
#[derive(Debug)]
pub(super) struct BytesReader<'a> {
    bytes: &'a [u8],
}

impl<'a> BytesReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Bytes not yet taken.
    pub(super) fn remaining(&self) -> usize {
        self.bytes.len()
    }

    /// The next `length` bytes.
    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let (head, rest) = self.bytes.split_at_checked(length).ok_or_else(|| {
            format!("cut short: {length} bytes expected, {} left", self.bytes.len())
        })?;
        self.bytes = rest;
        Ok(head)
    }

    /// Everything not yet taken.
    pub(super) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.bytes)
    }

    /// The next number.
    pub(super) fn u32(&mut self) -> Result<u32, String> {
        let (head, rest) = self.bytes.split_first_chunk::<4>().ok_or("cut short in a number")?;
        self.bytes = rest;
        Ok(u32::from_le_bytes(*head))
    }
}
