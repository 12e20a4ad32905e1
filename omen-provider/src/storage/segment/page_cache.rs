//! One budget of memory for verified pages.
/// A bounded cache of verified pages.
#[derive(Debug)]
pub struct PageCache {}

impl PageCache {
    /// A cache of at most `bytes_max` bytes.
    pub fn new(bytes_max: usize) -> Self {
        let _ = bytes_max;
        Self {}
    }
}
