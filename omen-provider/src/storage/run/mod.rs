//! A run: a part in memory.
