//! A two-layer recursive model index over sorted `u64` keys.
