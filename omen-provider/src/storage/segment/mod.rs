//! A segment: a part on disk, one plain Parquet file sorted by key with its learned index inside.
