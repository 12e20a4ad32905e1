//! Made-up log files: frames with checksums that fit, or a file as it is under a right header.
//!
//! ```text
//! input: first lsn u64 | items …      or: a log file, of which only the header is mended
//! item: kind u8 | length u16 | bytes, as many or as many as are left
//! ```
//! An item becomes a frame of its kind with the bytes as payload. Commit frames are made to fit
//! what is before them, and puts are not called fresh, unless [`AS_IT_IS`] is added to the kind;
//! the bytes of an item [`BARE`] stand in the file without a frame.

use std::sync::Arc;

use bytes::Bytes;
use futures::executor::block_on;

use super::manifest::check_schema;
use super::rows::{check_columns, check_table, is_clear};
use super::{medium, part, push_part};
use crate::error::{Error, Result};
use crate::storage::frame::{self, FrameResult};
use crate::storage::manifest::{FORMAT_VERSION, Manifest};
use crate::storage::recovery::{Access, LogDamage, Opener, recover};
use crate::storage::row_bytes::{decode_rows, encode_rows};
use crate::storage::schema::TableSchema;
use crate::storage::wal::{
    Commit, KIND_COMMIT, KIND_PUT, LogContents, LogHeader, Op, Statement, log_name, read_log,
    read_log_before_damage,
};

/// The payload is taken as it is.
const AS_IT_IS: u8 = 0x80;
/// Bytes without a frame.
const BARE: u8 = 0x40;
/// Where a put says whether it is fresh.
const FRESH_AT: usize = 4;
/// The log files that are made up.
const HEADER: LogHeader =
    LogHeader { database: [7; 16], epoch: 1, number: 0x1_0000_0002, generation: 77, first_lsn: 1 };

/// A log file; see above.
pub fn log(input: &[u8]) -> bool {
    let file = Bytes::from(file_of(input));
    let Ok(header) = LogHeader::decode(&file, "fuzzed") else { return false };
    let read = read_log_before_damage(header.number, &header.database, &file);
    let (contents, damage) = match read {
        Ok(read) => read,
        Err(error) => panic!("a log with a right header: {error}"),
    };
    check_places(&contents, &file);
    check_statements(&contents);
    if let Err(error) = block_on(check_recovery(&contents, &file)) {
        assert!(is_clear(&error), "not a clear error: {error:?}");
    }
    damage.is_none()
}

fn file_of(input: &[u8]) -> Vec<u8> {
    if let Some((head, rest)) = input.split_first_chunk::<{ LogHeader::BYTES }>()
        && head.starts_with(b"OMENLOG1")
    {
        let crc = crc32c::crc32c(&head[..LogHeader::BYTES - 4]).to_le_bytes();
        return [&head[..LogHeader::BYTES - 4], &crc, rest].concat();
    }
    let (first_lsn, mut items) = input.split_first_chunk::<8>().unwrap_or((&[1; 8], &[]));
    let header = LogHeader { first_lsn: u64::from_le_bytes(*first_lsn), ..HEADER };
    let mut file = Frames { file: header.encode().to_vec(), lsn: header.first_lsn, open: None };
    while let Some((&kind, rest)) = items.split_first() {
        items = rest;
        let payload = part(&mut items);
        match kind {
            BARE => file.file.extend_from_slice(payload),
            kind => file.push(kind, payload),
        }
        if rest.len() < 2 {
            break;
        }
    }
    file.file
}

/// A log file in the making.
struct Frames {
    file: Vec<u8>,
    lsn: u64,
    /// What the next commit frame says.
    open: Option<Commit>,
}

impl Frames {
    fn push(&mut self, kind: u8, payload: &[u8]) {
        let durable_lsn = self.lsn.saturating_sub(1);
        let open = self.open.unwrap_or(Commit {
            first_lsn: self.lsn,
            frames: 0,
            crc: 0,
            accepted_ms: 1,
            durable_lsn,
        });
        let mut payload = payload.to_vec();
        if kind == KIND_PUT && payload.len() > FRESH_AT {
            payload[FRESH_AT] = 0;
        }
        if kind == KIND_COMMIT {
            payload = open.encode().to_vec();
        }
        let kind = kind & !AS_IT_IS;
        let framed = frame::encode(kind, HEADER.generation, self.lsn, &[&payload], &mut self.file);
        let Ok(crc) = framed else { return };
        self.open = (kind != KIND_COMMIT).then(|| Commit {
            frames: open.frames + 1,
            crc: crc32c::crc32c_append(open.crc, &crc.to_le_bytes()),
            ..open
        });
        self.lsn = self.lsn.saturating_add(1);
    }
}

/// What is said of the file lies in it, and in order.
fn check_places(contents: &LogContents, file: &Bytes) {
    let length = file.len() as u64;
    assert!(contents.complete.1 <= contents.end && contents.end <= length);
    assert!(contents.bytes <= length.max(LogHeader::BYTES as u64));
    let lsns: Vec<u64> = contents.statements.iter().map(|statement| statement.lsn).collect();
    assert!(lsns.is_sorted_by(|a, b| a < b), "{lsns:?}");
    assert!(lsns.first().is_none_or(|first| *first >= contents.header.first_lsn));
    let _ = contents.place();
}

/// What was read is read again when it is written again.
fn check_statements(contents: &LogContents) {
    let mut file = contents.header.encode().to_vec();
    let generation = contents.header.generation;
    for Statement { lsn, accepted_ms, ops } in &contents.statements {
        let first_lsn = lsn - ops.len() as u64;
        let mut crc = 0;
        for (op, lsn) in ops.iter().zip(first_lsn..) {
            let (head, body) = op.payload();
            let framed = frame::encode(op.kind(), generation, lsn, &[&head, body], &mut file);
            let Ok(payload_crc) = framed else { return };
            crc = crc32c::crc32c_append(crc, &payload_crc.to_le_bytes());
        }
        let commit = Commit {
            first_lsn,
            frames: ops.len() as u32,
            crc,
            accepted_ms: *accepted_ms,
            durable_lsn: lsn.saturating_sub(1),
        };
        let framed = frame::encode(KIND_COMMIT, generation, *lsn, &[&commit.encode()], &mut file);
        assert!(framed.is_ok(), "a commit frame is short");
    }
    let again = read_log(contents.header.number, &contents.header.database, &file.into());
    let again = match again {
        Ok(again) => again.statements,
        Err(error) => panic!("a log is written and refused: {error}"),
    };
    let bounded = |statements: &[Statement]| -> Vec<_> {
        let ops = statements.iter().flat_map(|s| s.ops.iter().map(move |op| (s.lsn, op)));
        ops.map(|(lsn, op)| (lsn, op.kind(), op.payload().0, op.payload().1.to_vec())).collect()
    };
    assert_eq!(bounded(&again), bounded(&contents.statements));
}

/// A database that has this log and nothing else.
async fn check_recovery(contents: &LogContents, file: &Bytes) -> Result<()> {
    let header = &contents.header;
    let medium = medium();
    let mut log = medium.store.logs.create(&log_name(header.number)).await?;
    log.append(file.clone()).await?;
    log.sync().await?;
    let manifest = Manifest {
        database: header.database.to_vec(),
        number: 1,
        flushed_lsn: header.first_lsn.saturating_sub(1),
        log: header.number,
        format: FORMAT_VERSION,
        ..Manifest::default()
    };
    check_rows(contents);
    let opener = Opener::unpinned(&medium);
    let recovered = recover(&opener, &manifest, Access::Look, LogDamage::Cut).await?;
    let mut ops = contents.statements.iter().flat_map(|statement| &statement.ops);
    let says_fresh =
        |op: &Op| matches!(op, Op::Put { fresh: true, .. } | Op::Attach { fresh: true, .. });
    // Who says that none of the keys is there is believed.
    if !ops.any(says_fresh) {
        for table in recovered.version.tables() {
            check_schema(&table.schema);
            check_table(table).await?;
        }
    }
    Ok(())
}

/// Rows are read again as the same when they are written again.
fn check_rows(contents: &LogContents) {
    let mut schemas: Vec<Arc<TableSchema>> = Vec::new();
    for op in contents.statements.iter().flat_map(|statement| &statement.ops) {
        if let Op::CreateTable(record) | Op::AlterTable(record) = op {
            let schema: Result<TableSchema, Error> = record.clone().try_into();
            schemas.extend(schema.map(Arc::new));
        }
        let Op::Put { table, rows, .. } = op else { continue };
        for schema in schemas.iter().filter(|schema| schema.id == *table) {
            let Ok(batch) = decode_rows(rows, schema.stored()) else { continue };
            check_columns(&batch);
            let written = encode_rows(&batch);
            let again = written.and_then(|bytes| decode_rows(&bytes, schema.stored()));
            match again {
                Ok(again) => assert_eq!(again, batch),
                Err(error) => panic!("rows are written and refused: {error}"),
            }
        }
    }
}

/// The inputs for a log file: as items, behind one statement that makes what was there before, and
/// as it is.
pub(super) fn inputs(file: &[u8], before: &[Op]) -> Vec<Vec<u8>> {
    let Ok(header) = LogHeader::decode(file, "") else { return Vec::new() };
    let used = file.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
    let mut items = header.first_lsn.to_le_bytes().to_vec();
    for op in before {
        items.push(op.kind());
        push_part(&op.payload().0, &mut items);
    }
    items.extend([KIND_COMMIT, 0, 0]);
    let mut rest = file.get(LogHeader::BYTES..used).unwrap_or_default();
    while let FrameResult::Frame(frame) = frame::decode(rest) {
        items.push(frame.header.kind);
        if !push_part(&frame.payload(), &mut items) {
            return Vec::new();
        }
        rest = &rest[frame.header.frame_bytes()..];
    }
    vec![items, file[..used].to_vec()]
}
