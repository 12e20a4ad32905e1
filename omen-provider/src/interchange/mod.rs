//! Files that other programs write and read: CSV, JSON lines, Parquet, Arrow IPC.
//!
//! Rows go to a file that appears whole or not at all, and come from files in the types that a
//! table has. Called by the provider for COPY, EXPORT and IMPORT; knows neither tables nor
//! DataFusion. All calls here block: they are made on threads for that.

mod cell_text;
mod compression;
mod csv_reader;
mod csv_records;
mod csv_writer;
mod json_lines;
mod listing;
mod options;
mod partitions;
mod reader;
mod strict_cast;
mod whole_file;
mod writer;

pub use listing::{DataFile, list};
pub use options::{FileOptions, Format, is_option};
pub use partitions::PartitionedWriter;
pub use reader::{FileColumns, columns_of, present_name, read};
pub use whole_file::{WholeFolder, read_text, write_text};
pub use writer::{FileWriter, check_types};

/// Where rows go to or come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    /// A path of the local file system.
    Path(String),
    /// Standard input or output of the process.
    Standard,
}

/// What a partition's value is called that is NULL, as Hive does.
const NULL_PARTITION: &str = "__HIVE_DEFAULT_PARTITION__";
