//! A segment: a part on disk, one plain Parquet file sorted by key with its learned index inside.
//!
//! Written once by flush, compaction and bulk statements ([`SegmentWriter`]), opened from the
//! [`crate::storage::record::SegmentRecord`] that the manifest keeps, never changed afterwards.
//!
//! ```text
//! "PAR1" | pages of row group 0 | ... | tail: sections | Parquet page indexes | footer | "PAR1"
//! ```
//!
//! Pages tile the file from byte 4 to the tail. The tail is read whole when the segment is opened
//! and verified by the checksum of the record; it holds one checksum per page, and a page is
//! verified whenever it comes from storage.
//!
//! Invariants: keys ascend strictly; row number is position; pages of all columns begin at the
//! same rows; the learned index is a hint with a guarantee, every answer compares keys.

mod bytes_reader;
mod caught;
mod columns;
mod copy;
mod decode;
mod entries;
mod file_bytes;
mod index;
mod layout;
mod named;
mod page_cache;
mod pages;
mod parquet_file;
mod read_stats;
mod reader;
mod rows;
mod sample;
mod scan;
mod search;
mod shape;
mod tail;
mod verify;
mod writer;

#[cfg(test)]
mod tests;

pub use page_cache::PageCache;
pub use read_stats::ReadStats;
pub use reader::Segment;
pub use shape::bytes_per_row;
pub use writer::SegmentWriter;
