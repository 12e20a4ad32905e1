//! Rows of plain columns: numbers, times, booleans, texts and bytes, column by column.
//!
//! ```text
//! rows u32 | per column:
//!   has nulls u8 (0 or 1) | if it has: one bit per row, set for a value
//!   fixed width: the values | boolean: one bit per row
//!   text, bytes: the length of each u32 | their bytes, one behind the other
//! ```
//! (Little-endian; bits fill bytes from the lowest on, rest zero. What stands for a null is not
//! specified.) There is no schema and nothing is aligned: the catalog knows the types, and decoding
//! copies.
//!
//! Called by `row_bytes`. Invariant: see there.

use std::sync::Arc;

use arrow::array::types::{
    ArrowPrimitiveType, BinaryType, ByteArrayType, LargeBinaryType, LargeUtf8Type, Utf8Type,
};
use arrow::array::{
    Array, ArrayAccessor, ArrayRef, AsArray, BinaryArray, BinaryViewArray, BooleanArray,
    FixedSizeBinaryArray, GenericByteArray, PrimitiveArray, RecordBatch, StringArray,
    StringViewArray, downcast_primitive,
};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{ArrowNativeType, DataType, SchemaRef};

use super::{damaged, rebuilt};
use crate::error::Result;
use crate::storage::frame::le_u32;

// Values are written as they lie in memory.
const _: () =
    assert!(cfg!(target_endian = "little"), "the log is written by little-endian machines");

/// Bytes for what is not counted when a buffer is made.
const COLUMN_BYTES: usize = 32;

/// Encodes the rows of a batch; `None` if a column has another type.
pub(super) fn encode(batch: &RecordBatch) -> Option<Vec<u8>> {
    let columns = batch.columns();
    let rows = u32::try_from(batch.num_rows()).ok().filter(|rows| *rows < u32::MAX)?;
    if !columns.iter().all(|column| is_plain(column.data_type())) {
        return None;
    }
    let width = |column: &ArrayRef| column.data_type().primitive_width().unwrap_or(8);
    let row_bytes: usize = columns.iter().map(width).sum();
    let mut out = Vec::with_capacity(batch.num_rows() * row_bytes + columns.len() * COLUMN_BYTES);
    out.extend_from_slice(&rows.to_le_bytes());
    columns.iter().for_each(|column| put_column(column.as_ref(), &mut out));
    Some(out)
}

/// Whether columns of a type have this form.
pub(super) fn is_plain(data_type: &DataType) -> bool {
    use DataType::*;
    match data_type {
        Boolean | Utf8 | LargeUtf8 | Utf8View | Binary | LargeBinary | BinaryView => true,
        FixedSizeBinary(width) => *width > 0,
        other => other.primitive_width().is_some(),
    }
}

fn put_column(array: &dyn Array, out: &mut Vec<u8>) {
    let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0);
    out.push(u8::from(nulls.is_some()));
    if let Some(nulls) = nulls {
        put_bits(nulls.inner(), out);
    }
    macro_rules! put_primitive {
        ($t:ty) => {
            out.extend_from_slice(array.as_primitive::<$t>().values().inner().as_slice())
        };
    }
    match array.data_type() {
        DataType::Boolean => put_bits(array.as_boolean().values(), out),
        DataType::Utf8 => put_texts(array.as_bytes::<Utf8Type>(), out),
        DataType::LargeUtf8 => put_texts(array.as_bytes::<LargeUtf8Type>(), out),
        DataType::Binary => put_texts(array.as_bytes::<BinaryType>(), out),
        DataType::LargeBinary => put_texts(array.as_bytes::<LargeBinaryType>(), out),
        DataType::Utf8View => put_views(array.as_string_view(), out),
        DataType::BinaryView => put_views(array.as_binary_view(), out),
        DataType::FixedSizeBinary(_) => {
            let array = array.as_fixed_size_binary();
            (0..array.len()).for_each(|row| out.extend_from_slice(array.value(row)));
        }
        other => downcast_primitive! {
            other => (put_primitive),
            // No other is plain.
            _ => ()
        },
    }
}

fn put_bits(bits: &BooleanBuffer, out: &mut Vec<u8>) {
    let bytes = bits.sliced();
    let (whole, rest) = (bits.len() / 8, bits.len() % 8);
    out.extend_from_slice(&bytes[..whole]);
    if rest > 0 {
        out.push(bytes[whole] & ((1 << rest) - 1));
    }
}

fn put_texts<T: ByteArrayType>(array: &GenericByteArray<T>, out: &mut Vec<u8>) {
    let offsets = array.value_offsets();
    for ends in offsets.windows(2) {
        let length = ends[1].as_usize() - ends[0].as_usize();
        out.extend_from_slice(&(length as u32).to_le_bytes());
    }
    let (first, last) = (offsets[0].as_usize(), offsets[array.len()].as_usize());
    out.extend_from_slice(&array.value_data()[first..last]);
}

fn put_views<A: ArrayAccessor<Item: AsRef<[u8]>>>(array: A, out: &mut Vec<u8>) {
    let value = |row: usize| array.is_valid(row).then(|| array.value(row));
    for row in 0..array.len() {
        let length = value(row).map_or(0, |value| value.as_ref().len());
        out.extend_from_slice(&(length as u32).to_le_bytes());
    }
    for value in (0..array.len()).filter_map(value) {
        out.extend_from_slice(value.as_ref());
    }
}

/// Decodes what [`encode`] wrote for a batch of the same schema.
pub(super) fn decode(bytes: &[u8], schema: &SchemaRef) -> Result<RecordBatch> {
    let mut input = Input { rest: bytes };
    let rows = input.number()?;
    let columns = schema.fields().iter().map(|field| input.column(field.data_type(), rows));
    let columns = columns.collect::<Result<Vec<_>>>()?;
    if !input.rest.is_empty() {
        return Err(damaged("bytes follow the rows"));
    }
    rebuilt(schema, columns, rows)
}

/// What is not decoded yet.
struct Input<'a> {
    rest: &'a [u8],
}

impl Input<'_> {
    fn take(&mut self, count: usize) -> Result<&[u8]> {
        let split = self.rest.split_at_checked(count);
        let (taken, rest) = split.ok_or_else(|| damaged("the rows are cut short"))?;
        self.rest = rest;
        Ok(taken)
    }

    /// Bytes of `rows` values, copied: aligned, and independent of the log's memory.
    fn values(&mut self, rows: usize, width: usize) -> Result<Buffer> {
        // More than there can be, if that is too much for a number.
        Ok(Buffer::from(self.take(rows.saturating_mul(width))?))
    }

    fn number(&mut self) -> Result<usize> {
        Ok(le_u32(self.take(4)?) as usize)
    }

    fn bits(&mut self, rows: usize) -> Result<BooleanBuffer> {
        Ok(BooleanBuffer::new(self.values(rows.div_ceil(8), 1)?, 0, rows))
    }

    fn nulls(&mut self, rows: usize) -> Result<Option<NullBuffer>> {
        match self.take(1)? {
            [0] => Ok(None),
            [1] => Ok(Some(NullBuffer::new(self.bits(rows)?))),
            _ => Err(damaged("a column has flags that this version never writes")),
        }
    }

    fn column(&mut self, data_type: &DataType, rows: usize) -> Result<ArrayRef> {
        let nulls = self.nulls(rows)?;
        macro_rules! take_primitive {
            ($t:ty) => {
                Ok(Arc::new(self.primitive::<$t>(rows, nulls)?.with_data_type(data_type.clone())))
            };
        }
        Ok(match data_type {
            DataType::Boolean => Arc::new(BooleanArray::new(self.bits(rows)?, nulls)),
            DataType::Utf8 => Arc::new(self.texts::<Utf8Type>(rows, nulls)?),
            DataType::LargeUtf8 => Arc::new(self.texts::<LargeUtf8Type>(rows, nulls)?),
            DataType::Binary => Arc::new(self.texts::<BinaryType>(rows, nulls)?),
            DataType::LargeBinary => Arc::new(self.texts::<LargeBinaryType>(rows, nulls)?),
            DataType::Utf8View => {
                let texts: StringArray = self.texts(rows, nulls)?;
                Arc::new(StringViewArray::from(&texts))
            }
            DataType::BinaryView => {
                let texts: BinaryArray = self.texts(rows, nulls)?;
                Arc::new(BinaryViewArray::from(&texts))
            }
            DataType::FixedSizeBinary(width) if *width > 0 => {
                let values = self.values(rows, *width as usize)?;
                Arc::new(FixedSizeBinaryArray::try_new(*width, values, nulls)?)
            }
            other => {
                let column: Result<ArrayRef> = downcast_primitive! {
                    other => (take_primitive),
                    _ => Err(damaged("a column is of a type that is never written like this"))
                };
                column?
            }
        })
    }

    fn primitive<T: ArrowPrimitiveType>(
        &mut self,
        rows: usize,
        nulls: Option<NullBuffer>,
    ) -> Result<PrimitiveArray<T>> {
        let values = self.values(rows, size_of::<T::Native>())?;
        Ok(PrimitiveArray::try_new(ScalarBuffer::new(values, 0, rows), nulls)?)
    }

    fn texts<T: ByteArrayType>(
        &mut self,
        rows: usize,
        nulls: Option<NullBuffer>,
    ) -> Result<GenericByteArray<T>> {
        let lengths = self.take(rows.saturating_mul(4))?;
        let mut offsets = Vec::with_capacity(rows + 1);
        let mut end = 0_usize;
        offsets.push(T::Offset::usize_as(0));
        for length in lengths.chunks_exact(4) {
            end += le_u32(length) as usize;
            offsets.push(T::Offset::usize_as(end));
        }
        // Offsets that have become too long for their type are longer than what is there.
        let values = self.values(end, 1)?;
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        Ok(GenericByteArray::try_new(offsets, values, nulls)?)
    }
}
