//! How a segment's Parquet file is shaped: rows per page, encodings, statistics.
//!
//! Decided from the first rows that arrive. A page of the widest column should take 64 to 128 KiB
//! before compression: small enough that a lookup decodes little, large enough that scans and
//! compression lose nothing.

use std::collections::HashSet;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use arrow::row::{RowConverter, SortField};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::SchemaDescriptor;

use crate::error::Result;
use crate::storage::schema::TableSchema;

/// A page of the widest column takes at most this much, before compression.
const PAGE_BYTES_MAX: usize = 128 << 10;
/// Fewest and most rows of a page.
const PAGE_ROWS: (usize, usize) = (128, 8192);
/// Every page of a chunk needs its dictionary to be decoded, so a dictionary is at most this large;
/// beyond it the rest of the chunk is written plainly.
const DICTIONARY_BYTES_MAX: usize = 64 << 10;
/// Rows looked at to decide whether a dictionary pays.
const SAMPLE_ROWS: usize = 4096;
/// Larger than any page: pages are cut by rows alone.
const NO_LIMIT: usize = 1 << 30;

/// Rows per page for rows like `first`: a power of two.
pub(super) fn page_rows(first: &RecordBatch) -> usize {
    let widest = first.columns().iter().map(row_bytes).max().unwrap_or(1).max(1);
    let rows = (PAGE_BYTES_MAX / widest).clamp(PAGE_ROWS.0, PAGE_ROWS.1);
    1 << rows.ilog2()
}

/// Bytes of a value, on average.
fn row_bytes(array: &ArrayRef) -> usize {
    let rows = array.len().max(1);
    let total = match array.data_type() {
        // The memory of these says little about the rows of a slice.
        DataType::Utf8View => array.as_string_view().iter().flatten().map(str::len).sum(),
        DataType::BinaryView => array.as_binary_view().iter().flatten().map(<[u8]>::len).sum(),
        DataType::Dictionary(_, _) => {
            let values = array.as_any_dictionary().values();
            return row_bytes(values);
        }
        _ => array.to_data().get_slice_memory_size().unwrap_or(0),
    };
    total / rows
}

/// The properties of the Parquet file.
pub(super) fn properties(
    schema: &TableSchema,
    parquet: &SchemaDescriptor,
    page_rows: usize,
    first: &RecordBatch,
) -> Result<WriterProperties> {
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_data_page_row_count_limit(page_rows)
        .set_data_page_size_limit(NO_LIMIT)
        // Whole pages are handed over at once, so that nothing but the row count cuts one: a
        // dictionary that grows too large is noticed between pages only.
        .set_write_batch_size(NO_LIMIT)
        .set_dictionary_page_size_limit(DICTIONARY_BYTES_MAX)
        .set_max_row_group_row_count(None)
        .set_sorting_columns(Some(sorting_columns(schema, parquet)));
    for leaf in 0..parquet.num_columns() {
        let column = parquet.column(leaf);
        let array = first.column(parquet.get_column_root_idx(leaf));
        let pays = dictionary_pays(array)?;
        builder = builder.set_column_dictionary_enabled(column.path().clone(), pays);
    }
    Ok(builder.build())
}

fn sorting_columns(schema: &TableSchema, parquet: &SchemaDescriptor) -> Vec<SortingColumn> {
    let leaf = |root| (0..parquet.num_columns()).find(|&l| parquet.get_column_root_idx(l) == root);
    let columns = schema.key.iter().filter_map(|&root| leaf(root));
    columns
        .map(|leaf| SortingColumn {
            column_idx: leaf as i32,
            descending: false,
            nulls_first: false,
        })
        .collect()
}

/// Whether values repeat often enough; nested columns are taken to.
fn dictionary_pays(array: &ArrayRef) -> Result<bool> {
    let data_type = array.data_type();
    if data_type == &DataType::Boolean {
        return Ok(false);
    }
    if data_type.is_nested() || matches!(data_type, DataType::Dictionary(_, _)) {
        return Ok(true);
    }
    let sample = array.slice(0, array.len().min(SAMPLE_ROWS));
    let field = SortField::new(data_type.clone());
    if !RowConverter::supports_fields(std::slice::from_ref(&field)) {
        return Ok(false);
    }
    let rows = RowConverter::new(vec![field])?.convert_columns(&[sample])?;
    let distinct = rows.iter().collect::<HashSet<_>>().len();
    Ok(distinct * 2 <= rows.num_rows())
}
