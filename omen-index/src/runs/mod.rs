//! The mutable side: what a sorted set of keys in memory is made of while it grows.
//!
//! The *logarithmic method*: keys arrive in batches, each batch sorted becomes an immutable run
//! with an index of its own, and when several runs are of one size they are merged into a larger
//! one. A key is copied once per size, and there are only a few runs to look into. What arrives
//! most often has shortcuts:
//!
//! * [`Tail`]: runs above all that came before are put one behind the other, which needs no merging
//!   at all;
//! * [`Buffer`]: single keys in any order gather, unsorted, until they are worth a run. What it
//!   holds it shares with its clones, so that a snapshot after each of many small statements costs
//!   next to nothing;
//! * the inboxes of [`RunMap`]: the same for entries of two numbers, of which thousands gather
//!   before they are sorted.
//!
//! All grow in place, and a clone is a snapshot, which does not see what is added later.
//! [`merge_candidates`] says which runs to merge, [`merge_entries`] does it. [`RunMap`] is all of
//! it put together for `u64` keys; an owner of other keys and of rows beside them puts the same
//! parts together with runs of its own.

mod buffer;
mod inbox;
mod key_run;
mod map;
mod merge;
mod slots;
mod sort;
mod tail;
mod tiers;

pub use buffer::Buffer;
pub use map::{MergeTask, Merged, RunMap};
pub use merge::merge_entries;
pub use tail::Tail;
pub use tiers::merge_candidates;
