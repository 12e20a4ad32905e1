//! The Protocol Buffers messages that log and manifest share: tables, columns, segments.
//!
//! A field number is never reused; unknown fields are skipped, missing ones take their default.
//! FORMAT.md lists the same fields.

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::ipc::convert::{IpcSchemaEncoder, fb_to_schema};
use arrow::ipc::root_as_schema;
use arrow::ipc::writer::DictionaryTracker;
use bytes::Bytes;

mod identity;
mod index;
mod views;

pub use identity::IdentityRecord;
pub use index::IndexRecord;
pub use views::{SchemaRecord, ViewRecord};

use super::row_bytes::{decode_rows, encode_rows};
use super::schema::{Column, Identity, SecondaryIndex, TableId, TableSchema};
use crate::error::{Error, Result};
use crate::expression::check::Check;

/// A table's schema.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TableRecord {
    /// Id of the table.
    #[prost(uint32, tag = "1")]
    pub id: u32,
    /// Its name.
    #[prost(string, tag = "2")]
    pub name: String,
    /// The columns, in order.
    #[prost(message, repeated, tag = "3")]
    pub columns: Vec<ColumnRecord>,
    /// Indices of the key columns in `columns`, in key order.
    #[prost(uint32, repeated, tag = "4")]
    pub key: Vec<u32>,
    /// Whether the key is the hidden row id.
    #[prost(bool, tag = "5")]
    pub hidden_key: bool,
    /// The id of the next added column.
    #[prost(uint32, tag = "6")]
    pub next_column_id: u32,
    /// Conditions that no row may make false.
    #[prost(message, repeated, tag = "7")]
    pub checks: Vec<CheckRecord>,
    /// Its secondary indexes.
    #[prost(message, repeated, tag = "8")]
    pub indexes: Vec<IndexRecord>,
    /// One less than the id of the next index.
    #[prost(uint32, tag = "9")]
    pub last_index_id: u32,
    /// The column whose values the table gives, if there is one.
    #[prost(message, optional, tag = "10")]
    pub identity: Option<IdentityRecord>,
    /// Whether it is in a schema other than `public`: its name is that of the schema, a dot, and
    /// its own.
    #[prost(bool, tag = "11")]
    pub in_schema: bool,
    /// What is said of it.
    #[prost(string, optional, tag = "12")]
    pub comment: Option<String>,
}

/// The entries of a segment's rows in a secondary index: a segment of their own.
#[derive(Clone, PartialEq, prost::Message)]
pub struct EntriesRecord {
    /// The id of the index.
    #[prost(uint32, tag = "1")]
    pub index: u32,
    /// The entries.
    #[prost(message, optional, tag = "2")]
    pub segment: Option<SegmentRecord>,
}

/// A CHECK.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CheckRecord {
    /// The name of the constraint.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The condition as SQL text.
    #[prost(string, tag = "2")]
    pub sql: String,
}

/// A column.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ColumnRecord {
    /// Its stable id, the Parquet field id.
    #[prost(uint32, tag = "1")]
    pub id: u32,
    /// The Arrow IPC encoding (a Schema flatbuffer) of a schema holding just this field.
    #[prost(bytes = "vec", tag = "2")]
    pub field: Vec<u8>,
    /// The DEFAULT expression as SQL text.
    #[prost(string, optional, tag = "3")]
    pub default: Option<String>,
    /// The value of rows that were written before there was the column: one row of this field, see
    /// [`super::row_bytes`].
    #[prost(bytes = "vec", optional, tag = "4")]
    pub missing: Option<Vec<u8>>,
    /// Whether it was declared NOT NULL when there were rows already.
    #[prost(bool, tag = "5")]
    pub is_required: bool,
    /// What is said of it.
    #[prost(string, optional, tag = "6")]
    pub comment: Option<String>,
}

/// Bytes of a key in the records of segments.
pub const KEY_BOUND_BYTES: usize = 256;

/// A segment: what must be known before its file is opened.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SegmentRecord {
    /// Number of the file.
    #[prost(fixed64, tag = "1")]
    pub file: u64,
    /// Rows in it, deleted ones included.
    #[prost(uint32, tag = "2")]
    pub rows: u32,
    /// Length of the file in bytes.
    #[prost(uint64, tag = "3")]
    pub bytes: u64,
    /// Where the tail (index, checksums, Parquet page index and footer) begins.
    #[prost(uint64, tag = "4")]
    pub tail_offset: u64,
    /// CRC32C of the hints, the bytes from `tail_offset` to `core_offset`.
    #[prost(fixed32, tag = "5")]
    pub hints_crc: u32,
    /// Smallest encoded key; as it is written ([`SegmentRecord::bounded`]), perhaps a smaller one.
    #[prost(bytes = "vec", tag = "6")]
    pub min_key: Vec<u8>,
    /// Largest encoded key; as it is written, perhaps a larger one.
    #[prost(bytes = "vec", tag = "7")]
    pub max_key: Vec<u8>,
    /// Rows per page: page `p` of every column holds rows `p * page_rows ..` of the file.
    #[prost(uint32, tag = "8")]
    pub page_rows: u32,
    /// Rows per row group (the last one may hold fewer).
    #[prost(uint32, tag = "9")]
    pub row_group_rows: u32,
    /// Where the part of the tail begins that no read can do without.
    #[prost(uint64, tag = "10")]
    pub core_offset: u64,
    /// CRC32C of the bytes from `core_offset` to the end of the file.
    #[prost(fixed32, tag = "11")]
    pub core_crc: u32,
    /// The entries of its rows in secondary indexes, as far as they were made.
    #[prost(message, repeated, tag = "12")]
    pub entries: Vec<EntriesRecord>,
}

impl SegmentRecord {
    /// The name of the segment's file.
    pub fn file_name(&self) -> String {
        segment_name(self.file)
    }

    /// The record as manifest and log have it: with long keys cut short, so that many segments have
    /// room in one manifest, whatever their keys. The file knows them whole.
    pub fn bounded(&self) -> Self {
        let (min_key, max_key) = (bound_below(&self.min_key), bound_above(&self.max_key));
        let bounded = |entries: &EntriesRecord| EntriesRecord {
            segment: entries.segment.as_ref().map(Self::bounded),
            ..*entries
        };
        Self {
            min_key: min_key.to_vec(),
            max_key: max_key.into_owned(),
            entries: self.entries.iter().map(bounded).collect(),
            ..self.clone()
        }
    }

    /// The record without entries in indexes: what says whether a file is the same.
    pub fn alone(&self) -> Self {
        Self { entries: Vec::new(), ..self.clone() }
    }

    /// The record itself and those of its entries.
    pub fn all(&self) -> impl Iterator<Item = &Self> {
        let entries = self.entries.iter().filter_map(|entries| entries.segment.as_ref());
        std::iter::once(self).chain(entries)
    }

    /// The names of its file and those of its entries.
    pub fn file_names(&self) -> impl Iterator<Item = String> {
        self.all().map(Self::file_name)
    }
}

/// A key of bounded length that is not above `key`.
pub fn bound_below(key: &[u8]) -> &[u8] {
    key.get(..KEY_BOUND_BYTES).unwrap_or(key)
}

/// A key of bounded length that is not below `key`; `key` itself if it is that short, or if there
/// is none, since it begins with nothing but 0xFF.
pub fn bound_above(key: &[u8]) -> Cow<'_, [u8]> {
    let Some(prefix) = key.get(..KEY_BOUND_BYTES).filter(|prefix| prefix.len() < key.len()) else {
        return Cow::Borrowed(key);
    };
    let Some(last) = prefix.iter().rposition(|byte| *byte != u8::MAX) else {
        return Cow::Borrowed(key);
    };
    let mut bound = prefix[..=last].to_vec();
    bound[last] += 1;
    Cow::Owned(bound)
}

/// The name of segment file `number`.
pub fn segment_name(number: u64) -> String {
    format!("segments/{number:016x}.parquet")
}

impl From<&TableSchema> for TableRecord {
    fn from(schema: &TableSchema) -> Self {
        Self {
            id: schema.id,
            name: schema.name.clone(),
            columns: schema.columns.iter().map(ColumnRecord::from).collect(),
            key: schema.key.iter().map(|&i| i as u32).collect(),
            hidden_key: schema.hidden_key,
            next_column_id: schema.next_column_id,
            checks: schema.checks.iter().map(CheckRecord::from).collect(),
            indexes: schema.indexes.iter().map(|index| IndexRecord::from(&index.index)).collect(),
            last_index_id: schema.next_index_id.saturating_sub(1),
            identity: schema.identity.map(IdentityRecord::from),
            in_schema: schema.in_schema,
            comment: schema.comment.clone(),
        }
    }
}

impl From<&Check> for CheckRecord {
    fn from(check: &Check) -> Self {
        Self { name: check.name.clone(), sql: check.sql.clone() }
    }
}

impl From<CheckRecord> for Check {
    fn from(record: CheckRecord) -> Self {
        Self { name: record.name, sql: record.sql }
    }
}

impl From<&Column> for ColumnRecord {
    fn from(column: &Column) -> Self {
        let schema = Schema::new(vec![Arc::clone(&column.field)]);
        // A dictionary type cannot be encoded without a tracker to number it.
        let mut tracker = DictionaryTracker::new(false);
        let mut encoder = IpcSchemaEncoder::new().with_dictionary_tracker(&mut tracker);
        let field = encoder.schema_to_fb(&schema).finished_data().to_vec();
        Self {
            id: column.id,
            field,
            default: column.default.clone(),
            missing: column.missing.as_ref().map(|value| encode_value(&column.field, value)),
            is_required: column.is_required,
            comment: column.comment.clone(),
        }
    }
}

impl TryFrom<TableRecord> for TableSchema {
    type Error = Error;

    fn try_from(record: TableRecord) -> Result<Self> {
        let columns = record.columns.into_iter().map(Column::try_from).collect::<Result<_>>()?;
        let key: Vec<usize> = record.key.iter().map(|&i| i as usize).collect();
        if record.id == TableId::MAX {
            return Err(Error::invalid(format!("no id follows on that of \"{}\"", record.name)));
        }
        if key.is_empty() {
            return Err(Error::invalid(format!("table \"{}\" has no key", record.name)));
        }
        let next_index_id = record
            .last_index_id
            .checked_add(1)
            .ok_or_else(|| Error::invalid(format!("no index follows in \"{}\"", record.name)))?;
        if record.in_schema && !record.name.contains('.') {
            return Err(Error::invalid(format!("table \"{}\" names no schema", record.name)));
        }
        let mut schema = Self::restore(
            record.id,
            record.name,
            columns,
            key,
            record.hidden_key,
            record.next_column_id,
            record.checks.into_iter().map(Check::from).collect(),
        )?;
        (schema.in_schema, schema.comment) = (record.in_schema, record.comment);
        let indexes = record.indexes.into_iter().map(SecondaryIndex::from).collect();
        let identity = record.identity.map(Identity::from);
        let indexed = schema.with_indexes(indexes, next_index_id).map_err(|error| match error {
            // A record that says so is wrong; nothing is in anybody's way.
            Error::AlreadyExists(what) => Error::invalid(format!("{what} is declared twice")),
            other => other,
        });
        indexed?.with_identity(identity)
    }
}

impl TryFrom<ColumnRecord> for Column {
    type Error = Error;

    fn try_from(record: ColumnRecord) -> Result<Self> {
        let encoded = root_as_schema(&record.field)
            .ok()
            .filter(|schema| schema.fields().is_some_and(|fields| fields.len() == 1));
        let Some(encoded) = encoded else {
            return Err(Error::invalid("a column record must hold one field"));
        };
        // Arrow panics at types that it does not know, and at some that cannot be: there, or when
        // a value is to be made.
        let decode = || {
            let schema = fb_to_schema(encoded);
            schema.fields().iter().for_each(|field| drop(new_null_array(field.data_type(), 0)));
            schema
        };
        let decoded = std::panic::catch_unwind(AssertUnwindSafe(decode));
        let Some(field) = decoded.ok().and_then(|schema| schema.fields().first().cloned()) else {
            return Err(Error::invalid("a column record has a type that there is not"));
        };
        let missing = record.missing.map(|bytes| decode_value(&field, bytes)).transpose()?;
        let (id, default, is_required) = (record.id, record.default, record.is_required);
        Ok(Self { id, field, default, missing, is_required, comment: record.comment })
    }
}

/// The row of a column with one value; nothing if it cannot be written, which [`decode_value`]
/// refuses.
fn encode_value(field: &Arc<Field>, value: &ArrayRef) -> Vec<u8> {
    let row = RecordBatch::try_new(schema_of_value(field), vec![Arc::clone(value)]);
    let bytes = row.map_err(Error::from).and_then(|row| encode_rows(&row));
    bytes.map(Vec::from).unwrap_or_default()
}

fn decode_value(field: &Arc<Field>, bytes: Vec<u8>) -> Result<ArrayRef> {
    let row = decode_rows(&Bytes::from(bytes), &schema_of_value(field));
    let row = row.ok().filter(|row| row.num_rows() == 1);
    row.and_then(|row| row.columns().first().cloned()).ok_or_else(|| {
        Error::invalid(format!(
            "column \"{}\" has a value for earlier rows that is not one of its type",
            field.name()
        ))
    })
}

fn schema_of_value(field: &Arc<Field>) -> SchemaRef {
    Arc::new(Schema::new(vec![field.as_ref().clone().with_nullable(true)]))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use arrow::array::StringArray;
    use arrow::datatypes::{DataType, TimeUnit};

    use super::*;

    fn round_trip(column: &Column) -> Result<Column> {
        Column::try_from(ColumnRecord::from(column))
    }

    #[test]
    fn columns_come_back() {
        let colour = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
        let list = DataType::List(Arc::new(Field::new("item", colour.clone(), true)));
        let types = [
            DataType::Int64,
            DataType::Utf8View,
            DataType::Timestamp(TimeUnit::Nanosecond, Some("America/New_York".into())),
            DataType::Decimal128(38, -3),
            colour,
            list,
        ];
        for (id, data_type) in (7..).zip(types) {
            let metadata = HashMap::from([("a".to_string(), "b".to_string())]);
            let field =
                Arc::new(Field::new("name", data_type, id % 2 == 0).with_metadata(metadata));
            let missing = new_null_array(field.data_type(), 1);
            let column = Column {
                default: Some("1 + 1".to_string()),
                missing: (id > 8).then_some(missing),
                is_required: id == 9,
                comment: (id > 9).then(|| "said".to_string()),
                ..Column::new(id, field)
            };
            assert_eq!(round_trip(&column).unwrap(), column);
        }
    }

    #[test]
    fn value_of_earlier_rows_is_one_of_the_type() {
        let text: ArrayRef = Arc::new(StringArray::from(vec!["before"]));
        let field = Arc::new(Field::new("name", DataType::Utf8, false));
        let column = Column { missing: Some(text), ..Column::new(1, field) };
        assert_eq!(round_trip(&column).unwrap(), column);
        let whole = ColumnRecord::from(&column);
        let other = Arc::new(Field::new("name", DataType::Int64, true));
        let of_another_type = ColumnRecord {
            missing: whole.missing.clone(),
            ..ColumnRecord::from(&Column::new(1, other))
        };
        assert!(Column::try_from(of_another_type).is_err());
        for at in 0..whole.missing.as_ref().unwrap().len() {
            for byte in [0, 1, 0x7F, 0x80, 0xFF] {
                let mut record = whole.clone();
                record.missing.as_mut().unwrap()[at] = byte;
                let _ = Column::try_from(record);
            }
        }
        let nothing = ColumnRecord { missing: Some(Vec::new()), ..whole };
        assert!(Column::try_from(nothing).is_err());
    }

    #[test]
    fn no_bytes_of_a_column_end_the_program() {
        let fields = [DataType::Int64, DataType::Timestamp(TimeUnit::Second, Some("UTC".into()))];
        let mut guarded = 0;
        for data_type in fields {
            let field = Arc::new(Field::new("name", data_type, true));
            let whole = ColumnRecord::from(&Column::new(1, field));
            for at in 0..whole.field.len() {
                for byte in 0..=u8::MAX {
                    let mut record = whole.clone();
                    record.field[at] = byte;
                    let error = Column::try_from(record).err();
                    guarded += u32::from(error.is_some_and(|e| e.to_string().contains("type")));
                }
            }
        }
        assert!(guarded > 0, "arrow refuses them all by itself");
    }

    #[test]
    fn bounds_of_keys_are_short_and_on_their_side() {
        let long = |byte: u8| [vec![byte; 300], vec![1]].concat();
        let mixed = [vec![7; 200], vec![u8::MAX; 200]].concat();
        for key in [Vec::new(), vec![1; 256], long(0), long(9), long(254), mixed] {
            let (below, above) = (bound_below(&key), bound_above(&key));
            assert!(below <= &key[..] && *above >= key[..], "{key:?}");
            assert!(below.len() <= KEY_BOUND_BYTES && above.len() <= KEY_BOUND_BYTES, "{key:?}");
            assert_eq!((bound_below(below), &*bound_above(&above)), (below, &*above));
            if key.len() <= KEY_BOUND_BYTES {
                assert_eq!((below, &*above), (&key[..], &key[..]));
            }
        }
        assert_eq!(*bound_above(&long(u8::MAX)), long(u8::MAX)[..]);
        // Keys of one beginning have one bound: it does not tell them apart.
        assert!(*bound_above(&long(9)) > *bound_below(&long(9)));
    }

    #[test]
    fn last_id_of_all_is_refused() {
        let field = Arc::new(Field::new("id", DataType::Int64, false));
        let columns = vec![Column::new(1, field)];
        let schema = TableSchema::new(3, "t", columns, vec![0]).unwrap();
        for (id, is_table) in [(TableId::MAX - 1, true), (TableId::MAX, false)] {
            let record = TableRecord { id, ..TableRecord::from(&schema) };
            assert_eq!(TableSchema::try_from(record).is_ok(), is_table);
        }
    }

    #[test]
    fn index_that_is_there_twice_is_refused() {
        let field = Arc::new(Field::new("id", DataType::Int64, false));
        let schema = TableSchema::new(3, "t", vec![Column::new(1, field)], vec![0]).unwrap();
        let index = |id, name: &str| IndexRecord {
            id,
            name: name.to_string(),
            columns: vec![1],
            ..IndexRecord::default()
        };
        let of = |indexes| TableRecord { indexes, last_index_id: 2, ..TableRecord::from(&schema) };
        assert!(TableSchema::try_from(of(vec![index(1, "i"), index(2, "j")])).is_ok());
        for second in [index(2, "i"), index(1, "j"), index(2, "t_pkey"), index(3, "j")] {
            let refused = TableSchema::try_from(of(vec![index(1, "i"), second]));
            assert!(matches!(refused, Err(Error::InvalidInput(_))), "{refused:?}");
        }
    }

    #[test]
    fn damaged_column_is_an_error() {
        for field in [Vec::new(), vec![0; 64], b"not a schema at all".to_vec()] {
            let record = ColumnRecord { id: 1, field, ..Default::default() };
            assert!(matches!(Column::try_from(record), Err(Error::InvalidInput(_))));
        }
        let numbered = |key| DataType::Dictionary(Box::new(key), Box::new(DataType::Int64));
        for (key, can_be) in [(DataType::Int8, true), (DataType::Utf8, false)] {
            let field = Arc::new(Field::new("name", numbered(key), true));
            assert_eq!(round_trip(&Column::new(1, field)).is_ok(), can_be);
        }
    }
}
