//! How a segment's Parquet file is shaped: rows per page, encodings, statistics.
//!
//! Decided from the first rows that arrive. A page of the widest column should take 64 to 128 KiB
//! before compression: small enough that a lookup decodes little, large enough that scans and
//! compression lose nothing. Where rows are very wide, pages and row groups have fewer rows, so
//! that reading a page and writing a row group take bounded memory. Rows that are wider than the
//! first ones end the file early (`parquet_file`).

use std::collections::HashSet;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::take;
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
/// All columns of a page take at most this much, before compression, even if that takes fewer rows.
const WIDE_PAGE_BYTES_MAX: usize = 4 << 20;
/// A row group takes at most this much, before compression, or one page.
const ROW_GROUP_BYTES_MAX: usize = 64 << 20;
/// Every page of a chunk needs its dictionary to be decoded, so one is chosen only where it will
/// probably not be larger than this.
const DICTIONARY_BYTES_MAX: usize = 128 << 10;
/// Values looked at to decide whether a dictionary pays.
const SAMPLE_VALUES: usize = 16 << 10;
/// Larger than any page: pages are cut by rows alone.
const NO_LIMIT: usize = 1 << 30;

/// Rows per page for rows like `first`: a power of two.
pub(super) fn page_rows(first: &RecordBatch) -> usize {
    let widest = first.columns().iter().map(row_bytes).max().unwrap_or(1).max(1);
    let rows = (PAGE_BYTES_MAX / widest).clamp(PAGE_ROWS.0, PAGE_ROWS.1);
    let rows = rows.min((WIDE_PAGE_BYTES_MAX / bytes_per_row(first)).max(1));
    1 << rows.ilog2()
}

/// Rows per row group for rows like `first`: a multiple of `page_rows`, and if the rows are wide
/// fewer than the `wanted` ones.
pub(super) fn row_group_rows(first: &RecordBatch, page_rows: usize, wanted: usize) -> usize {
    let wanted = wanted.clamp(1, 1 << 30).next_multiple_of(page_rows);
    let pages = ROW_GROUP_BYTES_MAX / bytes_per_row(first) / page_rows;
    wanted.min(pages.max(1) * page_rows)
}

/// Bytes of a row in memory, on average; at least one.
pub fn bytes_per_row(rows: &RecordBatch) -> usize {
    rows.columns().iter().map(row_bytes).sum::<usize>().max(1)
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
    (page_rows, row_group_rows): (usize, usize),
    first: &RecordBatch,
) -> Result<WriterProperties> {
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_data_page_row_count_limit(page_rows)
        .set_data_page_size_limit(NO_LIMIT)
        // Whole pages are handed over at once. Nothing but the row count cuts one, not even a
        // dictionary that outgrows its limit, where the crate would begin a plain page at once.
        .set_write_batch_size(NO_LIMIT)
        .set_dictionary_page_size_limit(NO_LIMIT)
        .set_max_row_group_row_count(None)
        .set_sorting_columns(Some(sorting_columns(schema, parquet)));
    let mut leaves = Vec::with_capacity(parquet.num_columns());
    first.columns().iter().try_for_each(|column| leaf_values(column, &mut leaves))?;
    for leaf in 0..parquet.num_columns() {
        let values = leaves.get(leaf).filter(|_| leaves.len() == parquet.num_columns());
        let root = first.column(parquet.get_column_root_idx(leaf)).data_type();
        let values = values.filter(|_| !has_narrow_dictionary(root));
        let pays = values.map(|v| dictionary_pays(v, row_group_rows)).transpose()?;
        let path = parquet.column(leaf).path().clone();
        builder = builder.set_column_dictionary_enabled(path, pays.unwrap_or(false));
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

/// Whether a row group might hold more distinct values than an Arrow dictionary of its type
/// can: no reader could decode the dictionary page of such a row group into that type.
fn has_narrow_dictionary(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(keys, _) => keys.primitive_width().is_none_or(|bytes| bytes < 4),
        DataType::Struct(fields) => fields.iter().any(|f| has_narrow_dictionary(f.data_type())),
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::FixedSizeList(field, _)
        | DataType::Map(field, _) => has_narrow_dictionary(field.data_type()),
        _ => false,
    }
}

/// Appends the first values of each leaf of a column, in the order of the leaves.
fn leaf_values(array: &ArrayRef, out: &mut Vec<ArrayRef>) -> Result<()> {
    match array.data_type() {
        DataType::Struct(_) => {
            let columns = array.as_struct().columns();
            return columns.iter().try_for_each(|column| leaf_values(column, out));
        }
        DataType::List(_) => return leaf_values(array.as_list::<i32>().values(), out),
        DataType::LargeList(_) => return leaf_values(array.as_list::<i64>().values(), out),
        DataType::FixedSizeList(_, _) => {
            return leaf_values(array.as_fixed_size_list().values(), out);
        }
        DataType::Map(_, _) => {
            let entries = array.as_map().entries().columns();
            return entries.iter().try_for_each(|column| leaf_values(column, out));
        }
        _ => {}
    }
    let sample = array.slice(0, array.len().min(SAMPLE_VALUES));
    out.push(match sample.as_any_dictionary_opt() {
        Some(dictionary) => take(dictionary.values(), dictionary.keys(), None)?,
        None => sample,
    });
    Ok(())
}

/// Whether values repeat so often that the dictionary of a row group stays small, taken that new
/// values keep coming as in the second half of the sample.
fn dictionary_pays(sample: &ArrayRef, row_group_rows: usize) -> Result<bool> {
    let field = SortField::new(sample.data_type().clone());
    let known = RowConverter::supports_fields(std::slice::from_ref(&field));
    if sample.is_empty() || sample.data_type() == &DataType::Boolean || !known {
        return Ok(false);
    }
    let rows = RowConverter::new(vec![field])?.convert_columns(std::slice::from_ref(sample))?;
    let half = sample.len() / 2;
    let mut distinct: HashSet<_> = rows.iter().take(half).collect();
    let before = distinct.len();
    distinct.extend(rows.iter().skip(half));
    let (count, new) = (distinct.len(), distinct.len() - before);
    let to_come = row_group_rows.saturating_sub(sample.len());
    let expected = count + new.saturating_mul(to_come) / (sample.len() - half);
    let bytes: usize = distinct.iter().map(|row| row.as_ref().len()).sum::<usize>() / count.max(1);
    Ok(count * 2 <= sample.len() && expected.saturating_mul(bytes) <= DICTIONARY_BYTES_MAX)
}
