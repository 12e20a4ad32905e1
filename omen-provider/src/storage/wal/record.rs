//! What a statement is made of in the log, and how each operation lies in the payload of a frame.
//!
//! | kind | operation | payload |
//! |---|---|---|
//! | 1 | put | table u32, fresh u8, three zero bytes, rows (see `rows`) |
//! | 2 | delete | [`DeleteRecord`] |
//! | 3 | attach | [`AttachRecord`] |
//! | 4 | create table | [`TableRecord`] |
//! | 5 | drop table | [`TableOnlyRecord`] |
//! | 6 | truncate | [`TableOnlyRecord`] |
//! | 7 | alter table | [`TableRecord`] |
//! | 8 | create view, over one of the same name | [`ViewRecord`] |
//! | 9 | drop view | [`ViewRecord`], the name alone |
//! | 10 | create schema, over one of the same name | [`SchemaRecord`] |
//! | 11 | drop schema, which is empty | [`SchemaRecord`], the name alone |
//! | 15 | commit | [`Commit`] |
//! | 16 | seal | [`Seal`] |
//!
//! Called by the log's writer and reader. Integers are little-endian, messages Protocol Buffers.

use bytes::Bytes;
use prost::Message;

use crate::storage::frame::{le_u32, le_u64};
use crate::storage::record::{SchemaRecord, SegmentRecord, TableRecord, ViewRecord};
use crate::storage::schema::{TableId, TableSchema};

/// Frame kind of [`Op::Put`].
pub(crate) const KIND_PUT: u8 = 1;
/// Frame kind of [`Op::Delete`].
pub(crate) const KIND_DELETE: u8 = 2;
/// Frame kind of [`Op::Attach`].
pub(crate) const KIND_ATTACH: u8 = 3;
/// Frame kind of [`Op::CreateTable`].
pub(crate) const KIND_CREATE_TABLE: u8 = 4;
/// Frame kind of [`Op::DropTable`].
pub(crate) const KIND_DROP_TABLE: u8 = 5;
/// Frame kind of [`Op::Truncate`].
pub(crate) const KIND_TRUNCATE: u8 = 6;
/// Frame kind of [`Op::AlterTable`].
pub(crate) const KIND_ALTER_TABLE: u8 = 7;
/// Frame kind of [`Op::CreateView`].
pub(crate) const KIND_CREATE_VIEW: u8 = 8;
/// Frame kind of [`Op::DropView`].
pub(crate) const KIND_DROP_VIEW: u8 = 9;
/// Frame kind of [`Op::CreateSchema`].
pub(crate) const KIND_CREATE_SCHEMA: u8 = 10;
/// Frame kind of [`Op::DropSchema`].
pub(crate) const KIND_DROP_SCHEMA: u8 = 11;
/// Frame kind of [`Commit`].
pub(crate) const KIND_COMMIT: u8 = 15;
/// Frame kind of [`Seal`].
pub(crate) const KIND_SEAL: u8 = 16;

/// Bytes of a put's payload before its rows.
const PUT_HEAD_BYTES: usize = 8;

/// One operation of a statement. Rows are named by key, never by position.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Op {
    /// Rows of a table; each replaces the row of its key if there is one.
    Put {
        /// The table.
        table: TableId,
        /// True if none of the keys was there before: replay need not look for old rows.
        fresh: bool,
        /// The rows, see [`crate::storage::row_bytes::encode_rows`].
        rows: Bytes,
    },
    /// Keys whose rows are gone.
    Delete {
        /// The table.
        table: TableId,
        /// The encoded keys.
        keys: Vec<Vec<u8>>,
    },
    /// Segments written before the statement was logged; their rows replace those of equal keys.
    Attach {
        /// The table.
        table: TableId,
        /// See [`Op::Put`].
        fresh: bool,
        /// What the identity column's counter is from now on, at least; 0 if there is none.
        next_number: i64,
        /// The segments, to be applied in order.
        segments: Vec<SegmentRecord>,
    },
    /// A new table.
    CreateTable(TableRecord),
    /// A table is gone.
    DropTable(TableId),
    /// All rows of a table are gone.
    Truncate(TableId),
    /// What a table is from now on.
    AlterTable(TableRecord),
    /// A view, in the place of one of the same name.
    CreateView(ViewRecord),
    /// A view is gone, of this name.
    DropView(String),
    /// A schema, in the place of one of the same name.
    CreateSchema(SchemaRecord),
    /// A schema is gone, of this name.
    DropSchema(String),
}

/// A committed statement as the reader gives it back.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Statement {
    /// Sequence number of its commit frame.
    pub(crate) lsn: u64,
    /// Milliseconds since the Unix epoch when it was accepted; for display only.
    pub(crate) accepted_ms: u64,
    /// Its operations, in order.
    pub(crate) ops: Vec<Op>,
}

/// Payload of a delete frame.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct DeleteRecord {
    /// The table.
    #[prost(uint32, tag = "1")]
    pub(crate) table: u32,
    /// The encoded keys.
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub(crate) keys: Vec<Vec<u8>>,
}

/// Payload of an attach frame.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct AttachRecord {
    /// The table.
    #[prost(uint32, tag = "1")]
    pub(crate) table: u32,
    /// Whether none of the keys was there before.
    #[prost(bool, tag = "2")]
    pub(crate) fresh: bool,
    /// The segments, in order.
    #[prost(message, repeated, tag = "3")]
    pub(crate) segments: Vec<SegmentRecord>,
    /// The next number of the identity column; 0 if there is none.
    #[prost(int64, tag = "4")]
    pub(crate) next_number: i64,
}

/// Payload of a frame that only names a table.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct TableOnlyRecord {
    /// The table.
    #[prost(uint32, tag = "1")]
    pub(crate) table: u32,
}

impl Op {
    /// The kind of its frame.
    pub(crate) fn kind(&self) -> u8 {
        match self {
            Self::Put { .. } => KIND_PUT,
            Self::Delete { .. } => KIND_DELETE,
            Self::Attach { .. } => KIND_ATTACH,
            Self::CreateTable(_) => KIND_CREATE_TABLE,
            Self::DropTable(_) => KIND_DROP_TABLE,
            Self::Truncate(_) => KIND_TRUNCATE,
            Self::AlterTable(_) => KIND_ALTER_TABLE,
            Self::CreateView(_) => KIND_CREATE_VIEW,
            Self::DropView(_) => KIND_DROP_VIEW,
            Self::CreateSchema(_) => KIND_CREATE_SCHEMA,
            Self::DropSchema(_) => KIND_DROP_SCHEMA,
        }
    }

    /// The payload of its frame, in two parts of which the second is not copied.
    pub(crate) fn payload(&self) -> (Vec<u8>, &[u8]) {
        match self {
            Self::Put { table, fresh, rows } => {
                let mut head = table.to_le_bytes().to_vec();
                head.extend_from_slice(&[u8::from(*fresh), 0, 0, 0]);
                (head, rows)
            }
            Self::Delete { table, keys } => (encode_delete(*table, keys), &[]),
            Self::Attach { table, fresh, next_number, segments } => {
                let segments = segments.iter().map(SegmentRecord::bounded).collect();
                let record = AttachRecord {
                    table: *table,
                    fresh: *fresh,
                    segments,
                    next_number: *next_number,
                };
                (record.encode_to_vec(), &[])
            }
            Self::CreateTable(record) | Self::AlterTable(record) => (record.encode_to_vec(), &[]),
            Self::CreateView(record) => (record.encode_to_vec(), &[]),
            Self::DropView(name) => {
                let record = ViewRecord { name: name.clone(), ..ViewRecord::default() };
                (record.encode_to_vec(), &[])
            }
            Self::CreateSchema(record) => (record.encode_to_vec(), &[]),
            Self::DropSchema(name) => {
                let record = SchemaRecord { name: name.clone(), comment: None };
                (record.encode_to_vec(), &[])
            }
            Self::DropTable(table) | Self::Truncate(table) => {
                (TableOnlyRecord { table: *table }.encode_to_vec(), &[])
            }
        }
    }

    /// Bytes of rows in the payload.
    pub(crate) fn rows_bytes(&self) -> usize {
        if let Self::Put { rows, .. } = self { rows.len() } else { 0 }
    }

    /// Reads the payload of a verified frame; the error says what is wrong.
    pub(crate) fn decode(kind: u8, payload: Bytes) -> Result<Self, String> {
        let wrong = |error: prost::DecodeError| error.to_string();
        match kind {
            KIND_PUT => decode_put(&payload),
            KIND_DELETE => {
                let record = DeleteRecord::decode(payload).map_err(wrong)?;
                Ok(Self::Delete { table: record.table, keys: record.keys })
            }
            KIND_ATTACH => {
                let AttachRecord { table, fresh, next_number, segments } =
                    AttachRecord::decode(payload).map_err(wrong)?;
                Ok(Self::Attach { table, fresh, next_number, segments })
            }
            KIND_CREATE_TABLE => Ok(Self::CreateTable(decode_table(payload)?)),
            KIND_ALTER_TABLE => Ok(Self::AlterTable(decode_table(payload)?)),
            KIND_DROP_TABLE => {
                Ok(Self::DropTable(TableOnlyRecord::decode(payload).map_err(wrong)?.table))
            }
            KIND_TRUNCATE => {
                Ok(Self::Truncate(TableOnlyRecord::decode(payload).map_err(wrong)?.table))
            }
            KIND_CREATE_VIEW => Ok(Self::CreateView(ViewRecord::decode(payload).map_err(wrong)?)),
            KIND_DROP_VIEW => Ok(Self::DropView(ViewRecord::decode(payload).map_err(wrong)?.name)),
            KIND_CREATE_SCHEMA => {
                Ok(Self::CreateSchema(SchemaRecord::decode(payload).map_err(wrong)?))
            }
            KIND_DROP_SCHEMA => {
                Ok(Self::DropSchema(SchemaRecord::decode(payload).map_err(wrong)?.name))
            }
            _ => Err(format!("the log has a record of unknown kind {kind}")),
        }
    }
}

fn decode_table(payload: Bytes) -> Result<TableRecord, String> {
    let record = TableRecord::decode(payload).map_err(|error| error.to_string())?;
    TableSchema::try_from(record.clone()).map_err(|error| error.to_string())?;
    Ok(record)
}

fn decode_put(payload: &Bytes) -> Result<Op, String> {
    let Some(head) = payload.first_chunk::<PUT_HEAD_BYTES>() else {
        return Err("a put record is shorter than its head".to_string());
    };
    let fresh = match head[4..] {
        [0, 0, 0, 0] => false,
        [1, 0, 0, 0] => true,
        _ => return Err("a put record has flags that this version never writes".to_string()),
    };
    Ok(Op::Put { table: le_u32(head), fresh, rows: payload.slice(PUT_HEAD_BYTES..) })
}

/// The encoding of a [`DeleteRecord`], without a copy of every key.
fn encode_delete(table: TableId, keys: &[Vec<u8>]) -> Vec<u8> {
    const KEYS_TAG: u8 = 2 << 3 | 2;
    let mut out = DeleteRecord { table, keys: Vec::new() }.encode_to_vec();
    out.reserve(keys.iter().map(|key| key.len() + 4).sum());
    for key in keys {
        out.push(KEYS_TAG);
        // A Vec grows as needed: encoding into it cannot fail.
        let _ = prost::encode_length_delimiter(key.len(), &mut out);
        out.extend_from_slice(key);
    }
    out
}

/// What makes the frames before it a statement.
///
/// ```text
/// first lsn u64 | frame count u32 | crc u32 | accepted ms u64 | durable lsn u64
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Commit {
    /// Sequence number of the statement's first frame (this one's, if it has no other).
    pub(crate) first_lsn: u64,
    /// How many frames come before this one.
    pub(crate) frames: u32,
    /// CRC32C of their payload checksums, in order, little-endian.
    pub(crate) crc: u32,
    /// Milliseconds since the Unix epoch when the statement was accepted.
    pub(crate) accepted_ms: u64,
    /// Everything up to this sequence number was durable before this frame was written.
    pub(crate) durable_lsn: u64,
}

impl Commit {
    pub(crate) const BYTES: usize = 32;

    pub(crate) fn encode(&self) -> [u8; Self::BYTES] {
        let mut out = [0; Self::BYTES];
        out[..8].copy_from_slice(&self.first_lsn.to_le_bytes());
        out[8..12].copy_from_slice(&self.frames.to_le_bytes());
        out[12..16].copy_from_slice(&self.crc.to_le_bytes());
        out[16..24].copy_from_slice(&self.accepted_ms.to_le_bytes());
        out[24..].copy_from_slice(&self.durable_lsn.to_le_bytes());
        out
    }

    pub(crate) fn decode(payload: &[u8]) -> Option<Self> {
        let bytes = <&[u8; Self::BYTES]>::try_from(payload).ok()?;
        Some(Self {
            first_lsn: le_u64(bytes),
            frames: le_u32(&bytes[8..]),
            crc: le_u32(&bytes[12..]),
            accepted_ms: le_u64(&bytes[16..]),
            durable_lsn: le_u64(&bytes[24..]),
        })
    }
}

/// The last frame of a finished log file.
///
/// ```text
/// next log u64 (0: none, the database was closed) | durable lsn u64
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seal {
    /// Number of the log file that goes on; none after a clean close.
    pub(crate) next: Option<u64>,
    /// See [`Commit::durable_lsn`].
    pub(crate) durable_lsn: u64,
}

impl Seal {
    pub(crate) const BYTES: usize = 16;

    pub(crate) fn encode(&self) -> [u8; Self::BYTES] {
        let mut out = [0; Self::BYTES];
        out[..8].copy_from_slice(&self.next.unwrap_or(0).to_le_bytes());
        out[8..].copy_from_slice(&self.durable_lsn.to_le_bytes());
        out
    }

    pub(crate) fn decode(payload: &[u8]) -> Option<Self> {
        let bytes = <&[u8; Self::BYTES]>::try_from(payload).ok()?;
        let next = le_u64(bytes);
        Some(Self { next: (next != 0).then_some(next), durable_lsn: le_u64(&bytes[8..]) })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field};

    use super::*;
    use crate::storage::schema::Column;

    fn table_record() -> TableRecord {
        let field = Arc::new(Field::new("id", DataType::Int64, false));
        let columns = vec![Column::new(1, field)];
        TableRecord::from(&TableSchema::new(3, "t", columns, vec![0]).unwrap())
    }

    #[test]
    fn operations_come_back() {
        let ops = [
            Op::Put { table: 7, fresh: true, rows: Bytes::from_static(b"rows") },
            Op::Put { table: 7, fresh: false, rows: Bytes::new() },
            Op::Delete { table: 300, keys: vec![b"a".to_vec(), Vec::new(), vec![9; 300]] },
            Op::Delete { table: 0, keys: Vec::new() },
            Op::Attach {
                table: 1,
                fresh: true,
                next_number: 7,
                segments: vec![SegmentRecord::default()],
            },
            Op::CreateTable(table_record()),
            Op::DropTable(9),
            Op::Truncate(4),
            Op::AlterTable(table_record()),
            Op::CreateView(ViewRecord {
                name: "v".into(),
                sql: "CREATE VIEW v AS SELECT 1".into(),
                comment: Some("one".into()),
            }),
            Op::DropView("v".to_string()),
            Op::CreateSchema(SchemaRecord { name: "a".into(), comment: Some("b".into()) }),
            Op::DropSchema("a".to_string()),
        ];
        for op in ops {
            let (head, body) = op.payload();
            let payload = Bytes::from([&head, body].concat());
            assert_eq!(Op::decode(op.kind(), payload).unwrap(), op);
        }
    }

    #[test]
    fn hand_written_delete_is_the_message() {
        let record = DeleteRecord { table: 5, keys: vec![vec![1; 200], Vec::new()] };
        assert_eq!(encode_delete(5, &record.keys), record.encode_to_vec());
    }

    #[test]
    fn wrong_payloads_are_errors() {
        assert!(Op::decode(KIND_PUT, Bytes::from_static(b"short")).is_err());
        assert!(Op::decode(KIND_PUT, Bytes::from_static(&[1, 0, 0, 0, 2, 0, 0, 0])).is_err());
        assert!(Op::decode(KIND_DELETE, Bytes::from_static(b"\x12\xFF")).is_err());
        assert!(Op::decode(99, Bytes::new()).is_err());
        let no_table = TableRecord { columns: Vec::new(), ..table_record() };
        for kind in [KIND_CREATE_TABLE, KIND_ALTER_TABLE] {
            assert!(Op::decode(kind, no_table.encode_to_vec().into()).is_err());
        }
        assert!(Commit::decode(&[0; 31]).is_none());
        assert!(Seal::decode(&[0; 17]).is_none());
    }

    #[test]
    fn commit_and_seal_come_back() {
        let commit =
            Commit { first_lsn: 1, frames: 2, crc: 3, accepted_ms: 4, durable_lsn: u64::MAX };
        assert_eq!(Commit::decode(&commit.encode()), Some(commit));
        for next in [None, Some(5)] {
            let seal = Seal { next, durable_lsn: 6 };
            assert_eq!(Seal::decode(&seal.encode()), Some(seal));
        }
    }
}
