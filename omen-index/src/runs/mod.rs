//! The mutable side: a sorted map in memory that grows while it is asked.
//!
//! [`RunMap`] goes from keys, numbers or byte strings, to `u64` values. The life of an entry:
//!
//! 1. It goes to the end of the *inbox*, where it is found by halving as long as keys arrive in
//!    order, and by a small hash table as soon as they do not. The inbox's memory is shared by all
//!    clones of the map; each remembers how much of it is its own. So a *snapshot* is a clone, and
//!    costs a few reference counts.
//! 2. An inbox of 4,096 entries is full. If its keys are in order, it is a *run* as it is, mostly
//!    above all before it: such runs are put one behind the other in the [`Tail`], which needs no
//!    merging at all. Otherwise it waits until four of them are sorted together into a run.
//! 3. Runs of one size are merged into a larger one (the *logarithmic method*): an entry is copied
//!    once per size, and there are only a few runs to look into. Each run has fingerprints, by
//!    which most lookups pass it over, and a long one has a learned index. Short runs are merged at
//!    once; long ones by a [`MergeTask`], which may run on another thread while the map goes on.
//! 4. On the way into a run and from run to run, entries that are *dead* are left out. The map does
//!    not know which are; whoever calls says so by a function of the value, for instance of the
//!    position in a log that the value is. What is dead stays dead; its key may be added again.
//!
//! ```
//! use omen_index::runs::{ByteKeys, RunMap};
//!
//! // Rows are kept in the order of arrival; the map says which row a key has.
//! let (mut rows, mut is_dead) = (vec!["red", "ripe"], vec![false; 4]);
//! let mut map = RunMap::<ByteKeys>::new();
//! map.extend([(&b"apple"[..], 0), (&b"plum"[..], 1)].into_iter(), |_| true);
//! let before = map.clone();
//!
//! // A row is written over: the old one dies, and its key is added again.
//! rows.extend(["green", "new"]);
//! is_dead[0] = true;
//! let is_live = |row: u64| !is_dead[row as usize];
//! map.extend([(&b"apple"[..], 2), (&b"fig"[..], 3)].into_iter(), is_live);
//!
//! let row = map.find(b"apple", is_live).unwrap();
//! assert_eq!(rows[row as usize], "green");
//! // In the order of the keys; dead entries may not be forgotten yet.
//! let in_order = map.range(b"a", Some(b"o"));
//! assert!(in_order.into_iter().filter(|&row| is_live(row)).eq([2, 3]));
//! assert_eq!((before.get(b"apple"), before.get(b"fig")), (Some(0), None));
//! ```
//!
//! Where to begin reading: `map` puts the parts together and says what moves when, `lookup` finds
//! keys, `inbox` and `inbox/memory` are what clones share and threads meet in. `numbers` and
//! `byte_keys` are what is different for the two kinds of keys, behind [`KeyList`].

mod byte_keys;
mod combine;
mod inbox;
mod key_run;
mod keys;
mod lookup;
mod map;
mod merge;
mod merging;
mod numbers;
#[cfg(test)]
mod scheduled;
mod slots;
mod sort;
mod tail;
mod tiers;

// What threads meet in; `scheduled` has others in its place.
use std::sync;

pub use byte_keys::ByteKeys;
pub use keys::KeyList;
pub use map::RunMap;
pub use merging::{MergeTask, Merged};
pub use tail::Tail;
