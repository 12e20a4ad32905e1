//! Rows of any columns: Arrow IPC messages, as Arrow's stream format has them, without the schema
//! (the catalog knows it): the dictionaries, then one record batch.
//!
//! ```text
//! per message: 0xFFFFFFFF u32 | metadata length u32 | metadata (flatbuffer, padded) | body
//! ```
//! Buffers are aligned to 8 bytes, uncompressed. Dictionary ids count the dictionary fields of
//! the schema, depth first, from 0.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::ipc::convert::{IpcSchemaEncoder, fb_to_schema};
use arrow::ipc::reader::{read_dictionary, read_record_batch};
use arrow::ipc::writer::{
    DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions, write_message,
};
use arrow::ipc::{Message, MessageHeader, MetadataVersion, root_as_message, root_as_schema};

use super::{damaged, rebuilt};
use crate::error::Result;
use crate::storage::frame::le_u32;

/// Alignment of buffers: few bytes are lost in statements of one row.
const ALIGNMENT: usize = 8;
/// What every message begins with.
pub(super) const CONTINUATION: u32 = u32::MAX;

/// Encodes the rows of a batch, whatever its types.
pub(super) fn encode(batch: &RecordBatch) -> Result<Vec<u8>> {
    let mut tracker = DictionaryTracker::new(false);
    if has_dictionary(&batch.schema()) {
        // Walking the schema is what gives the dictionaries their ids.
        let _ = IpcSchemaEncoder::new()
            .with_dictionary_tracker(&mut tracker)
            .schema_to_fb(&batch.schema());
    }
    let options = IpcWriteOptions::try_new(ALIGNMENT, false, MetadataVersion::V5)?;
    let (dictionaries, rows) = IpcDataGenerator::default().encode(
        compacted(batch)?.as_ref(),
        &mut tracker,
        &options,
        &mut IpcWriteContext::default(),
    )?;
    let mut out = Vec::with_capacity(rows.arrow_data.len() + rows.ipc_message.len() + 64);
    for message in dictionaries.into_iter().chain([rows]) {
        write_message(&mut out, message, &options)?;
    }
    Ok(out)
}

/// Decodes what [`encode`] wrote for a batch of the same schema.
pub(super) fn decode(bytes: &[u8], schema: &SchemaRef) -> Result<RecordBatch> {
    let numbered = with_dictionary_ids(schema)?;
    let mut dictionaries: HashMap<i64, ArrayRef> = HashMap::new();
    let mut rest = bytes;
    loop {
        let (message, body);
        (message, body, rest) = take_message(rest)?;
        let version = message.version();
        match message.header_type() {
            MessageHeader::DictionaryBatch => {
                let batch = message
                    .header_as_dictionary_batch()
                    .ok_or_else(|| damaged("a dictionary message has no dictionary"))?;
                let data = batch.data().ok_or_else(|| damaged("a dictionary has no values"))?;
                check_buffers(&data, body.len())?;
                read_dictionary(&body, batch, &numbered, &mut dictionaries, &version)?;
            }
            MessageHeader::RecordBatch => {
                let batch = message
                    .header_as_record_batch()
                    .ok_or_else(|| damaged("a rows message has no rows"))?;
                check_buffers(&batch, body.len())?;
                if !rest.is_empty() {
                    return Err(damaged("bytes follow the rows"));
                }
                let rows =
                    read_record_batch(&body, batch, numbered, &dictionaries, None, &version)?;
                return with_schema(&rows, schema);
            }
            _ => return Err(damaged("the message holds neither rows nor a dictionary")),
        }
    }
}

/// The message at the beginning of `bytes`, its body (copied, so aligned and independent of the
/// log's memory) and what follows.
fn take_message(bytes: &[u8]) -> Result<(Message<'_>, Buffer, &[u8])> {
    let short = || damaged("the rows are cut short");
    if bytes.len() < 8 || le_u32(bytes) != CONTINUATION {
        return Err(damaged("no message begins where one should"));
    }
    let (metadata, rest) =
        bytes[8..].split_at_checked(le_u32(&bytes[4..]) as usize).ok_or_else(short)?;
    let message = root_as_message(metadata).map_err(|e| damaged(&e.to_string()))?;
    let length = usize::try_from(message.bodyLength()).map_err(|_| short())?;
    let (body, rest) = rest.split_at_checked(length).ok_or_else(short)?;
    Ok((message, Buffer::from(body), rest))
}

/// Refuses buffers outside the body, and compression, which is never written.
fn check_buffers(batch: &arrow::ipc::RecordBatch<'_>, body_bytes: usize) -> Result<()> {
    let inside = |buffer: &arrow::ipc::Buffer| {
        let start = usize::try_from(buffer.offset()).ok()?;
        let end = start.checked_add(usize::try_from(buffer.length()).ok()?)?;
        (end <= body_bytes).then_some(())
    };
    let whole = batch.buffers().is_some_and(|buffers| buffers.iter().all(|b| inside(b).is_some()));
    let small = batch.nodes().is_some_and(|nodes| {
        nodes.iter().all(|n| n.length() >= 0 && (0..=n.length()).contains(&n.null_count()))
    });
    if !whole || !small || batch.length() < 0 || batch.compression().is_some() {
        return Err(damaged("a buffer or a count of the rows is out of bounds"));
    }
    Ok(())
}

/// The schema whose dictionary fields carry the ids that the encoder gave them.
fn with_dictionary_ids(schema: &SchemaRef) -> Result<SchemaRef> {
    if !has_dictionary(schema) {
        return Ok(Arc::clone(schema));
    }
    let mut tracker = DictionaryTracker::new(false);
    let encoded =
        IpcSchemaEncoder::new().with_dictionary_tracker(&mut tracker).schema_to_fb(schema);
    let encoded = root_as_schema(encoded.finished_data()).map_err(|e| damaged(&e.to_string()))?;
    Ok(Arc::new(fb_to_schema(encoded)))
}

fn has_dictionary(schema: &Schema) -> bool {
    fn within(data_type: &DataType) -> bool {
        match data_type {
            DataType::Dictionary(..) => true,
            DataType::List(field)
            | DataType::LargeList(field)
            | DataType::ListView(field)
            | DataType::LargeListView(field)
            | DataType::FixedSizeList(field, _)
            | DataType::Map(field, _) => within(field.data_type()),
            DataType::RunEndEncoded(_, values) => within(values.data_type()),
            DataType::Struct(fields) => fields.iter().any(|f| within(f.data_type())),
            DataType::Union(fields, _) => fields.iter().any(|(_, f)| within(f.data_type())),
            _ => false,
        }
    }
    schema.fields().iter().any(|field| within(field.data_type()))
}

/// The same rows without the parts of shared buffers that they do not use: a slice of a view
/// column would else log the strings of all its siblings.
fn compacted(batch: &RecordBatch) -> Result<Cow<'_, RecordBatch>> {
    let is_view = |c: &ArrayRef| matches!(c.data_type(), DataType::Utf8View | DataType::BinaryView);
    if !batch.columns().iter().any(is_view) {
        return Ok(Cow::Borrowed(batch));
    }
    let columns: Vec<ArrayRef> = batch
        .columns()
        .iter()
        .map(|column| match column.data_type() {
            DataType::Utf8View => Arc::new(column.as_string_view().gc()) as ArrayRef,
            DataType::BinaryView => Arc::new(column.as_binary_view().gc()),
            _ => Arc::clone(column),
        })
        .collect();
    Ok(Cow::Owned(rebuilt(&batch.schema(), columns, batch.num_rows())?))
}

fn with_schema(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    rebuilt(schema, rows.columns().to_vec(), rows.num_rows())
}
