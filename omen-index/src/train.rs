//! Training: from sorted keys, in one pass, to an index.
//!
//! Keys are taken a *chunk* at a time, which stays in the first-level cache while `fit` looks at
//! it. The chunk either continues the last cell, if the keys go on along its line, or gets cells of
//! its own. Either way the keys are then routed by the same arithmetic that lookups use, and
//! counted. There is nothing to fit and no error to measure for the bounds: they are right
//! whatever the lines are, which decide only how tight they are.
//!
//! [`Rmi::train`] and [`RmiBuilder`] run the same code on the same chunks, so they make the same
//! index; the builder holds one chunk and what will be the index.

use crate::error::Error;
use crate::fit::Fitter;
use crate::rmi::Rmi;

/// Keys looked at together.
pub(crate) const CHUNK: usize = 4096;

impl Rmi {
    /// Trains an index on `keys`, which ascend and may repeat.
    ///
    /// # Errors
    /// [`Error::Unsorted`] if they do not ascend, [`Error::TooManyKeys`] if there are more than
    /// `u32::MAX`.
    pub fn train(keys: &[u64]) -> Result<Rmi, Error> {
        Rmi::train_with(Fitter::new(), CHUNK, keys)
    }

    /// Trains an index with that fitter, so many keys at a time.
    pub(crate) fn train_with(
        mut fitter: Fitter,
        chunk_len: usize,
        keys: &[u64],
    ) -> Result<Rmi, Error> {
        let count = checked_count(keys.len())?;
        for (chunk, position) in keys.chunks(chunk_len).zip((0..).step_by(chunk_len)) {
            check_order(chunk, position, keys.get(position.wrapping_sub(1)))?;
            fitter.add(chunk, position as u32);
        }
        Ok(fitter.finish(count))
    }
}

/// Where the keys of a chunk, which begins at `position` after the key `before`, first descend.
fn check_order(chunk: &[u64], position: usize, before: Option<&u64>) -> Result<(), Error> {
    if before.is_some_and(|&before| before > chunk[0]) {
        return Err(Error::Unsorted { position });
    }
    // Without a way out of the loop, so that it is done many at a time.
    let pairs = chunk.iter().zip(&chunk[1..]);
    let descents: usize = pairs.map(|(a, b)| usize::from(a > b)).sum();
    if descents == 0 {
        return Ok(());
    }
    let sorted = chunk.windows(2).take_while(|pair| pair[0] <= pair[1]).count();
    Err(Error::Unsorted { position: position + sorted + 1 })
}

/// Builds an index from keys that arrive one by one or in batches, in order.
///
/// Besides the index to be, it holds at most 4,096 keys.
#[derive(Clone, Debug)]
pub struct RmiBuilder {
    fitter: Fitter,
    chunk: Vec<u64>,
    /// Keys before the chunk.
    done: usize,
    /// The key added last.
    last: u64,
}

impl Default for RmiBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl RmiBuilder {
    /// A builder that has seen no key.
    pub fn new() -> Self {
        Self { fitter: Fitter::new(), chunk: Vec::new(), done: 0, last: 0 }
    }

    /// Adds the next key, which must not be below the one before.
    ///
    /// # Errors
    /// As [`Rmi::train`]; the refused key is not added.
    #[inline]
    pub fn push(&mut self, key: u64) -> Result<(), Error> {
        let position = self.done + self.chunk.len();
        if key < self.last {
            return Err(Error::Unsorted { position });
        }
        checked_count(position + 1)?;
        self.last = key;
        self.chunk.push(key);
        if self.chunk.len() == CHUNK {
            self.add_chunk();
        }
        Ok(())
    }

    /// Adds the next keys.
    ///
    /// # Errors
    /// As [`Rmi::train`]; of refused keys, those before the position named in the error were
    /// added.
    pub fn extend_from_slice(&mut self, keys: &[u64]) -> Result<(), Error> {
        keys.iter().try_for_each(|&key| self.push(key))
    }

    /// The index over all keys pushed, the same that [`Rmi::train`] makes of them.
    ///
    /// # Errors
    /// None today; the signature leaves room for them.
    pub fn finish(mut self) -> Result<Rmi, Error> {
        if !self.chunk.is_empty() {
            self.add_chunk();
        }
        Ok(self.fitter.finish(checked_count(self.done)?))
    }

    #[inline(never)]
    fn add_chunk(&mut self) {
        // `push` lets in no more than `u32::MAX` keys.
        self.fitter.add(&self.chunk, self.done as u32);
        self.done += self.chunk.len();
        self.chunk.clear();
    }
}

/// The number of keys as stored.
pub(crate) fn checked_count(count: usize) -> Result<u32, Error> {
    u32::try_from(count).map_err(|_| Error::TooManyKeys)
}
